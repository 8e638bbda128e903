//! EMV Book 3 Annex B: writing BER-TLV data objects, into a `Vec` or a caller's buffer.

use crate::{Error, Tag};

/// Where bytes are written to.
pub trait Output {
    /// Appends `bytes`, all or none.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if they don't fit.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error>;
}

impl Output for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// A caller's buffer that is filled from its start.
pub struct Buffer<'b> {
    room: &'b mut [u8],
    used: usize,
}

impl<'b> Buffer<'b> {
    /// An empty buffer in `room`.
    pub fn new(room: &'b mut [u8]) -> Self {
        Self { room, used: 0 }
    }

    /// What has been written.
    pub fn written(&self) -> &[u8] {
        self.room.get(..self.used).unwrap_or_default()
    }
}

impl Output for Buffer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.used.checked_add(bytes.len()).ok_or(Error::NoRoom)?;
        self.room.get_mut(self.used..end).ok_or(Error::NoRoom)?.copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }
}

/// Writes one data object, its length in the shortest form.
///
/// # Errors
/// [`Error::NoRoom`] if the output is full or the value is longer than three length bytes can say; what was
/// written before may then end with a part of this object.
pub fn write(out: &mut impl Output, tag: Tag, value: &[u8]) -> Result<(), Error> {
    let length = u32::try_from(value.len()).map_err(|_| Error::NoRoom)?;
    let [top, high, middle, low] = length.to_be_bytes();
    out.put(&tag.encoded())?;
    match length {
        0..=0x7F => out.put(&[low])?,
        0x80..=0xFF => out.put(&[0x81, low])?,
        0x100..=0xFFFF => out.put(&[0x82, middle, low])?,
        _ if top == 0 => out.put(&[0x83, high, middle, low])?,
        _ => return Err(Error::NoRoom),
    }
    out.put(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_says_so_and_keeps_what_it_has() {
        let mut room = [0; 6];
        let mut buffer = Buffer::new(&mut room);
        write(&mut buffer, Tag::new(0x95), &[1, 2]).unwrap();
        assert_eq!(write(&mut buffer, Tag::new(0x9F1A), &[1, 0x56]), Err(Error::NoRoom));
        assert_eq!(buffer.written().get(..4), Some(&[0x95, 2, 1, 2][..]));
    }

    #[test]
    fn lengths_take_their_shortest_form() {
        for (length, head) in
            [(0x7F, &[0x5A, 0x7F][..]), (0x80, &[0x5A, 0x81, 0x80]), (0x100, &[0x5A, 0x82, 1, 0])]
        {
            let mut out = Vec::new();
            write(&mut out, Tag::new(0x5A), &vec![0; length]).unwrap();
            assert!(out.starts_with(head));
        }
    }
}
