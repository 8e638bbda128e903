//! Derived unique keys per transaction: TDES by ANSI X9.24-1:2009, Annex A ([`tdes`]; also X9.24-3:2017, Annex C), and AES by
//! X9.24-3:2017 ([`aes`]). Here is what they share: the counter, and the device's registers of future keys.
//!
//! The counter runs through the numbers with few one bits. A key is made from the key of the counter without its lowest one bit, so
//! the host gets from the initial key to any transaction in few steps, and the device, which forgets each key that it
//! has used, can never get back.

use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::error::{Error, Result};

pub mod aes;
pub mod tdes;

/// Which end of the line this is. A key works in opposite directions at both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The terminal: it enciphers PINs, and makes the codes of requests.
    Originator,
    /// The host.
    Receiver,
}

/// The most bits of a counter.
const REGISTERS: usize = 32;
/// The layout of a stored state.
const LAYOUT: u8 = 1;

/// One of the two ways to make a key from another.
trait Derivation {
    /// A derivation key.
    type Secret: Clone + ZeroizeOnDrop;
    /// Bits of the transaction counter.
    const COUNTER_BITS: u32;
    /// The most one bits of a counter that is used.
    const MOST_ONES: u32;

    /// The key of `counter` from that of the counter without its lowest one bit.
    fn derive(&self, key: &Self::Secret, counter: u32) -> Result<Self::Secret>;
}

/// Whether transactions with this counter occur.
fn occurs<D: Derivation>(counter: u32) -> bool {
    counter != 0 && u64::from(counter) >> D::COUNTER_BITS == 0 && counter.count_ones() <= D::MOST_ONES
}

/// The key of `counter` from the initial key, as the host derives it.
fn walk<D: Derivation>(derivation: &D, initial: &D::Secret, counter: u32) -> Result<D::Secret> {
    let mut key = initial.clone();
    let (mut reached, mut left) = (0, counter);
    while left != 0 {
        let highest = 1 << left.ilog2();
        (reached, left) = (reached | highest, left ^ highest);
        key = derivation.derive(&key, reached)?;
    }
    Ok(key)
}

/// A device's memory: the next counter, and for each bit of it the key that awaits use there.
struct Registers<D: Derivation> {
    derivation: D,
    /// 0 once all keys are used up.
    next: u32,
    keys: [Option<D::Secret>; REGISTERS],
}

impl<D: Derivation> Registers<D> {
    /// The registers of a new initial key, which itself is forgotten.
    fn load(derivation: D, initial: &D::Secret) -> Result<Self> {
        let mut registers = Self { derivation, next: 1, keys: [const { None }; REGISTERS] };
        registers.fill(initial, 0, D::COUNTER_BITS)?;
        Ok(registers)
    }

    /// The next counter and its key, which is forgotten here, and replaced by those that come from it.
    fn take(&mut self) -> Result<(u32, D::Secret)> {
        let counter = self.next;
        let bit = counter.trailing_zeros();
        let key = self.register(bit).and_then(Option::take).ok_or(Error::KeysUsedUp)?;
        // With all its one bits spent, a counter has no successors below its lowest one: they are skipped.
        let step = if counter.count_ones() < D::MOST_ONES {
            self.fill(&key, counter, bit)?;
            1
        } else {
            1 << bit
        };
        self.next = counter.checked_add(step).filter(|next| occurs::<D>(*next)).unwrap_or_default();
        Ok((counter, key))
    }

    /// Derives the keys of the bits below `bit` from that of `counter`.
    fn fill(&mut self, key: &D::Secret, counter: u32, bit: u32) -> Result<()> {
        for lower in 0..bit {
            let derived = self.derivation.derive(key, counter | 1 << lower)?;
            if let Some(register) = self.register(lower) {
                *register = Some(derived);
            }
        }
        Ok(())
    }

    fn register(&mut self, bit: u32) -> Option<&mut Option<D::Secret>> {
        usize::try_from(bit).ok().and_then(|bit| self.keys.get_mut(bit))
    }

    /// The state, for a sealed store: layout, `identity`, counter, and each register by a mark and its key.
    fn to_bytes(&self, identity: &[u8], write: impl Fn(&D::Secret, &mut Vec<u8>)) -> State {
        // Room for all from the start: growing would leave a clear copy behind.
        let mut state = Zeroizing::new(Vec::with_capacity(1 + 12 + 4 + REGISTERS * 33));
        state.push(LAYOUT);
        state.extend(identity);
        state.extend(self.next.to_be_bytes());
        for key in &self.keys {
            state.push(u8::from(key.is_some()));
            if let Some(key) = key {
                write(key, &mut state);
            }
        }
        State(state)
    }

    /// The registers of a state, of which `read` takes an identity and keys off the front.
    fn from_bytes(
        state: &[u8],
        identify: impl FnOnce(&mut &[u8]) -> Option<D>,
        read: impl Fn(&mut &[u8]) -> Option<D::Secret>,
    ) -> Option<Self> {
        let mut rest = state;
        let [LAYOUT] = split(&mut rest)? else { return None };
        let derivation = identify(&mut rest)?;
        let next = u32::from_be_bytes(split(&mut rest)?);
        let mut keys = [const { None }; REGISTERS];
        for key in &mut keys {
            match split(&mut rest)? {
                [0] => {}
                [1] => *key = Some(read(&mut rest)?),
                _ => return None,
            }
        }
        (rest.is_empty() && (next == 0 || occurs::<D>(next))).then_some(Self { derivation, next, keys })
    }
}

/// What a device keeps between transactions. It holds keys: store it sealed.
#[derive(Clone)]
pub struct State(Zeroizing<Vec<u8>>);

impl State {
    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State(…)")
    }
}

/// Takes `N` bytes off the front.
fn split<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that are the list of the counters on their way, with small counters.
    struct Path;

    #[derive(Debug, Clone, PartialEq, zeroize::Zeroize, ZeroizeOnDrop)]
    struct Way(Vec<u32>);

    impl Derivation for Path {
        type Secret = Way;
        const COUNTER_BITS: u32 = 6;
        const MOST_ONES: u32 = 3;

        fn derive(&self, key: &Way, counter: u32) -> Result<Way> {
            Ok(Way([&key.0[..], &[counter]].concat()))
        }
    }

    #[test]
    fn a_device_goes_once_through_all_counters_with_few_ones_and_its_keys_are_the_hosts() {
        let mut device = Registers::load(Path, &Way(vec![])).unwrap();
        let mut counters = Vec::new();
        while let Ok((counter, key)) = device.take() {
            assert_eq!(key, walk(&Path, &Way(vec![]), counter).unwrap());
            assert_eq!(key.0.len(), usize::try_from(counter.count_ones()).unwrap());
            counters.push(counter);
        }
        let all: Vec<u32> = (1..64_u32).filter(|counter| counter.count_ones() <= 3).collect();
        assert_eq!(counters, all);
        assert!(matches!(device.take(), Err(Error::KeysUsedUp)), "and stays at its end");
    }

    #[test]
    fn a_device_forgets_the_keys_it_has_used() {
        let mut device = Registers::load(Path, &Way(vec![])).unwrap();
        while let Ok((used, _)) = device.take() {
            let kept = device.keys.iter().flatten();
            assert!(kept.filter_map(|key| key.0.last()).all(|counter| *counter > used), "{used}");
        }
    }
}
