//! The disk: a medium that keeps what it holds, and before it a write cache that needs power.
//!
//! What the cache promises is what NBD asks of a server, and no more ("Ordering of messages and writes"): a write that
//! was completed before a flush, or that carried FUA, is on the medium. All else may be there or not, in any order.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Serialize;

/// The unit that a disk writes whole or not at all, in bytes.
const SECTOR: u64 = 512;

/// What the cache holds, in bytes. Beyond it, the oldest writes go to the medium.
const CACHE_SIZE: usize = 32 << 20;

/// A disk with an image file as its medium.
#[derive(Debug)]
pub(crate) struct Disk {
    medium: File,
    size: u64,
    /// Writes that are not on the medium yet, oldest first.
    cache: VecDeque<Write>,
    /// The bytes in `cache`.
    cached: usize,
    /// Writes and flushes since the disk was made.
    steps: u64,
    planned: Option<Plan>,
    loss: Option<Loss>,
}

#[derive(Debug)]
struct Write {
    offset: u64,
    data: Vec<u8>,
}

/// A power cut to come.
#[derive(Debug)]
struct Plan {
    /// The number of steps at which it comes.
    at: u64,
    seed: u64,
}

/// What a power cut did to the writes that were not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Loss {
    /// Repeats it.
    pub(crate) seed: u64,
    /// How many there were.
    pub(crate) unflushed: usize,
    /// Of them whole on the medium.
    pub(crate) kept: usize,
    /// Of them there in part.
    pub(crate) torn: usize,
}

/// Why a request comes to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no power, and so no answer.
    #[error("the disk has no power")]
    NoPower,
    /// The range is not all on the disk.
    #[error("outside of the disk")]
    OutOfRange,
    /// The image file.
    #[error("the medium: {0}")]
    Medium(#[from] io::Error),
}

type Result<T> = std::result::Result<T, Refusal>;

impl Disk {
    /// A disk whose medium is the file `image`, with power.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn open(image: &Path) -> io::Result<Disk> {
        let medium = File::options().read(true).write(true).open(image)?;
        let size = medium.metadata()?.len();
        if size == 0 || !size.is_multiple_of(SECTOR) {
            let what = format!("{}: {size} bytes are no number of sectors of {SECTOR}", image.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Ok(Disk { medium, size, cache: VecDeque::new(), cached: 0, steps: 0, planned: None, loss: None })
    }

    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Writes and flushes that were carried out, since the disk was made.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// How many writes a power cut could lose now.
    pub(crate) fn unflushed(&self) -> usize {
        self.cache.len()
    }

    /// What the power cut did, while there is no power.
    pub(crate) fn loss(&self) -> Option<Loss> {
        self.loss
    }

    /// Gives power back, after a cut.
    pub(crate) fn power_on(&mut self) {
        self.loss = None;
    }

    /// Reads `length` bytes at `offset`: what was written last, on the medium or not.
    pub(crate) fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>> {
        let range = self.range(offset, u64::from(length))?;
        let mut data = vec![0; usize::try_from(length).map_err(|_| Refusal::OutOfRange)?];
        self.medium.read_exact_at(&mut data, offset)?;
        for write in &self.cache {
            write.lay_over(&range, &mut data);
        }
        Ok(data)
    }

    /// Writes `data` at `offset`, into the cache; onto the medium if it has to be `durable` (FUA).
    pub(crate) fn write(&mut self, offset: u64, data: Vec<u8>, durable: bool) -> Result<()> {
        let length = u64::try_from(data.len()).map_err(|_| Refusal::OutOfRange)?;
        let range = self.range(offset, length)?;
        if durable {
            // Before it go older writes to the same place, which would else overwrite it later.
            let older = self.cache.iter().rposition(|write| write.overlaps(&range));
            for _ in 0..older.map_or(0, |last| last.saturating_add(1)) {
                self.write_back_oldest()?;
            }
            self.medium.write_all_at(&data, offset)?;
        } else {
            self.cached = self.cached.saturating_add(data.len());
            self.cache.push_back(Write { offset, data });
        }
        while self.cached > CACHE_SIZE {
            self.write_back_oldest()?;
        }
        self.step()
    }

    /// Puts all that was written onto the medium.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.powered()?;
        while !self.cache.is_empty() {
            self.write_back_oldest()?;
        }
        self.step()
    }

    /// Cuts the power: of what is not on the medium, `seed` says what gets there yet.
    pub(crate) fn cut(&mut self, seed: u64) -> Result<Loss> {
        self.powered()?;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut loss = Loss { seed, unflushed: self.cache.len(), kept: 0, torn: 0 };
        for write in self.cache.drain(..) {
            let sectors = sectors(&write);
            match random.u8(..4) {
                0 | 1 => {}
                2 if sectors.len() > 1 => {
                    loss.torn += 1;
                    let whole = random.usize(1..sectors.len());
                    for (offset, data) in sectors.into_iter().take(whole) {
                        self.medium.write_all_at(data, offset)?;
                    }
                }
                _ => {
                    loss.kept += 1;
                    self.medium.write_all_at(&write.data, write.offset)?;
                }
            }
        }
        self.cached = 0;
        self.planned = None;
        self.loss = Some(loss);
        Ok(loss)
    }

    /// Cuts the power after so many more writes and flushes; a plan before this one is forgotten.
    pub(crate) fn cut_after(&mut self, steps: u64, seed: u64) -> Result<()> {
        self.powered()?;
        self.planned = Some(Plan { at: self.steps.saturating_add(steps), seed });
        Ok(())
    }

    /// Counts a write or a flush that is done.
    fn step(&mut self) -> Result<()> {
        self.steps += 1;
        match self.planned {
            Some(Plan { at, seed }) if self.steps >= at => {
                self.cut(seed)?;
                // The answer to the step never leaves the disk.
                Err(Refusal::NoPower)
            }
            _ => Ok(()),
        }
    }

    /// The bytes that a request is about.
    fn range(&self, offset: u64, length: u64) -> Result<Range<u64>> {
        self.powered()?;
        let end = offset.checked_add(length).filter(|end| *end <= self.size);
        end.map(|end| offset..end).ok_or(Refusal::OutOfRange)
    }

    fn powered(&self) -> Result<()> {
        if self.loss.is_none() { Ok(()) } else { Err(Refusal::NoPower) }
    }

    fn write_back_oldest(&mut self) -> Result<()> {
        if let Some(write) = self.cache.pop_front() {
            self.cached = self.cached.saturating_sub(write.data.len());
            self.medium.write_all_at(&write.data, write.offset)?;
        }
        Ok(())
    }
}

impl Write {
    fn end(&self) -> u64 {
        self.offset.saturating_add(u64::try_from(self.data.len()).unwrap_or(u64::MAX))
    }

    fn overlaps(&self, range: &Range<u64>) -> bool {
        self.offset < range.end && range.start < self.end()
    }

    /// Puts what this write has of `range` over `data`, which is what the disk held there before.
    fn lay_over(&self, range: &Range<u64>, data: &mut [u8]) {
        if !self.overlaps(range) {
            return;
        }
        let skipped = |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let new = self.data.get(skipped(self.offset, range.start)..).unwrap_or_default();
        let old = data.get_mut(skipped(range.start, self.offset)..).unwrap_or_default();
        old.iter_mut().zip(new).for_each(|(old, new)| *old = *new);
    }
}

/// The parts of a write that reach the medium whole, each with its place. The first and the last may be less than a sector.
fn sectors(write: &Write) -> Vec<(u64, &[u8])> {
    let mut sectors = Vec::new();
    let (mut offset, mut rest) = (write.offset, write.data.as_slice());
    while !rest.is_empty() {
        let room = usize::try_from(SECTOR - offset % SECTOR).unwrap_or(usize::MAX);
        let (sector, after) = rest.split_at(room.min(rest.len()));
        sectors.push((offset, sector));
        offset = offset.saturating_add(u64::try_from(sector.len()).unwrap_or(u64::MAX));
        rest = after;
    }
    sectors
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECTORS: usize = 64;

    fn blank() -> (tempfile::NamedTempFile, Disk) {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(u64::try_from(SECTORS).unwrap() * SECTOR).unwrap();
        let disk = Disk::open(image.path()).unwrap();
        (image, disk)
    }

    fn sector(number: usize) -> u64 {
        u64::try_from(number).unwrap() * SECTOR
    }

    /// `length` sectors of one byte.
    fn filled(length: usize, byte: u8) -> Vec<u8> {
        vec![byte; length * 512]
    }

    /// The first byte of each sector, as the medium has it.
    fn medium(image: &tempfile::NamedTempFile) -> Vec<u8> {
        std::fs::read(image.path()).unwrap().chunks(512).map(|sector| sector[0]).collect()
    }

    #[test]
    fn what_was_written_is_read_before_it_is_on_the_medium() {
        let (image, mut disk) = blank();
        disk.write(sector(2), filled(2, 7), false).unwrap();
        disk.write(sector(3), filled(2, 8), false).unwrap();
        let read = disk.read(sector(2) + 256, 1024).unwrap();
        assert_eq!([read[0], read[255], read[256], read[1023]], [7, 7, 8, 8]);
        assert!(medium(&image).iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_write_with_fua_outlives_every_cut_and_an_older_one_does_not_come_back_over_it() {
        for seed in 0..50 {
            let (image, mut disk) = blank();
            disk.write(sector(4), filled(4, 1), false).unwrap();
            disk.write(sector(5), filled(1, 2), true).unwrap();
            disk.cut(seed).unwrap();
            assert_eq!(medium(&image)[5], 2, "seed {seed}");
        }
    }

    #[test]
    fn by_seed_a_write_that_was_not_flushed_is_kept_lost_or_torn_at_a_sector() {
        let survivors = |seed| {
            let (image, mut disk) = blank();
            disk.write(0, filled(8, 1), false).unwrap();
            let loss = disk.cut(seed).unwrap();
            let left = medium(&image).iter().filter(|byte| **byte == 1).count();
            let whole = std::fs::read(image.path()).unwrap();
            assert!(whole.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
            match left {
                0 => assert_eq!((loss.kept, loss.torn), (0, 0)),
                8 => assert_eq!((loss.kept, loss.torn), (1, 0)),
                _ => assert_eq!((loss.kept, loss.torn), (0, 1)),
            }
            left
        };
        let outcomes: Vec<usize> = (0..100).map(survivors).collect();
        assert!(outcomes.contains(&0) && outcomes.contains(&8));
        assert!(outcomes.iter().any(|left| (1..8).contains(left)));
        let again: Vec<usize> = (0..100).map(survivors).collect();
        assert_eq!(outcomes, again);
    }

    #[test]
    fn a_later_write_can_survive_an_earlier_one_that_is_lost() {
        let reordered = (0..100).any(|seed| {
            let (image, mut disk) = blank();
            disk.write(sector(1), filled(1, 1), false).unwrap();
            disk.write(sector(2), filled(1, 2), false).unwrap();
            disk.cut(seed).unwrap();
            matches!(medium(&image)[1..3], [0, 2])
        });
        assert!(reordered);
    }

    #[test]
    fn the_planned_cut_comes_with_its_write_or_flush_and_nothing_is_taken_before_power_is_back() {
        let (image, mut disk) = blank();
        disk.cut_after(2, 3).unwrap();
        disk.write(0, filled(1, 1), false).unwrap();
        assert!(matches!(disk.flush(), Err(Refusal::NoPower)));
        assert_eq!(disk.loss(), Some(Loss { seed: 3, unflushed: 0, kept: 0, torn: 0 }));
        assert!(matches!(disk.write(0, filled(1, 2), true), Err(Refusal::NoPower)));
        assert!(matches!(disk.read(0, 512), Err(Refusal::NoPower)));
        assert!(matches!(disk.cut(4), Err(Refusal::NoPower)));
        disk.power_on();
        assert_eq!(disk.read(0, 512).unwrap(), filled(1, 1));
        assert_eq!(medium(&image)[0], 1);
        assert_eq!(disk.steps(), 2);
    }

    #[test]
    fn what_lies_outside_of_the_disk_is_refused() {
        let (_image, mut disk) = blank();
        for (offset, length) in [(sector(SECTORS), 1), (sector(SECTORS) - 1, 2), (u64::MAX, 1)] {
            assert!(matches!(disk.read(offset, length), Err(Refusal::OutOfRange)));
            let data = vec![0; usize::try_from(length).unwrap()];
            assert!(matches!(disk.write(offset, data, false), Err(Refusal::OutOfRange)));
        }
    }

    #[test]
    fn a_cache_that_is_full_writes_its_oldest_back() {
        let image = tempfile::NamedTempFile::new().unwrap();
        let half = CACHE_SIZE / 2;
        image.as_file().set_len(u64::try_from(3 * half).unwrap()).unwrap();
        let mut disk = Disk::open(image.path()).unwrap();
        for (place, byte) in [(0, 1), (half, 2), (2 * half, 3)] {
            disk.write(u64::try_from(place).unwrap(), vec![byte; half], false).unwrap();
        }
        assert_eq!(disk.unflushed(), 2);
        assert_eq!(medium(&image)[0], 1);
        assert_eq!(disk.read(u64::try_from(2 * half).unwrap(), 1).unwrap(), [3]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write { sector: usize, length: usize, durable: bool },
        Flush,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let write = (0..SECTORS - 4, 1..4_usize, any::<bool>())
            .prop_map(|(sector, length, durable)| Step::Write { sector, length, durable });
        prop::collection::vec(prop_oneof![4 => write, 1 => Just(Step::Flush)], 1..60)
    }

    proptest! {
        /// Each sector ends with the last value that was promised to it, or with one written there later.
        #[test]
        fn no_cut_takes_away_what_was_durable(steps in steps(), seed: u64) {
            let (image, mut disk) = blank();
            let mut possible = vec![vec![0]; SECTORS];
            for (step, value) in steps.iter().zip(1..) {
                match step {
                    Step::Write { sector: first, length, durable } => {
                        disk.write(sector(*first), filled(*length, value), *durable).unwrap();
                        for values in possible.iter_mut().skip(*first).take(*length) {
                            if *durable {
                                values.clear();
                            }
                            values.push(value);
                        }
                    }
                    Step::Flush => {
                        disk.flush().unwrap();
                        for values in &mut possible {
                            values.drain(..values.len() - 1);
                        }
                    }
                }
            }
            let latest: Vec<u8> = possible.iter().map(|values| *values.last().unwrap()).collect();
            let read = disk.read(0, u32::try_from(SECTORS * 512).unwrap()).unwrap();
            prop_assert_eq!(read.chunks(512).map(|sector| sector[0]).collect::<Vec<_>>(), latest);
            disk.cut(seed).unwrap();
            for (sector, (value, values)) in medium(&image).iter().zip(&possible).enumerate() {
                prop_assert!(values.contains(value), "sector {} holds {}, not one of {:?}", sector, value, values);
            }
        }
    }
}
