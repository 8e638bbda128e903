//! The fields of a message: integers big-endian, data with a length of two bytes, text with one of one byte.

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::frame::MAX_PAYLOAD;
use crate::parts::MAX_MESSAGE;

/// Writes a message field by field.
pub(crate) struct Writer {
    bytes: Zeroizing<Vec<u8>>,
    fits: bool,
}

impl Writer {
    pub(crate) fn new() -> Self {
        // Room for any message of one frame from the start: growing would leave clear copies behind.
        Self { bytes: Zeroizing::new(Vec::with_capacity(MAX_PAYLOAD)), fits: true }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let length = self.bytes.len() + bytes.len();
        self.fits &= length <= MAX_MESSAGE;
        if !self.fits {
            return;
        }
        if length > self.bytes.capacity() {
            let mut room = Zeroizing::new(Vec::with_capacity(MAX_MESSAGE));
            room.extend(self.bytes.iter());
            self.bytes = room;
        }
        self.bytes.extend(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.raw(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn data(&mut self, data: &[u8]) {
        match u16::try_from(data.len()) {
            Ok(length) => self.u16(length),
            Err(_) => self.fits = false,
        }
        self.raw(data);
    }

    pub(crate) fn text(&mut self, text: &str) {
        match u8::try_from(text.len()) {
            Ok(length) => self.u8(length),
            Err(_) => self.fits = false,
        }
        self.raw(text.as_bytes());
    }

    pub(crate) fn finish(self) -> Result<Zeroizing<Vec<u8>>> {
        if self.fits { Ok(self.bytes) } else { Err(Error::TooLong) }
    }
}

/// Reads a message field by field.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Error::Short)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::Value(field)),
        }
    }

    pub(crate) fn data(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        let length = self.u16()?;
        self.take(usize::from(length)).map(|data| Zeroizing::new(data.to_vec()))
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Result<Zeroizing<String>> {
        let length = self.u8()?;
        let text = std::str::from_utf8(self.take(usize::from(length))?).map_err(|_| Error::Value(field))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Nothing may follow the last field.
    pub(crate) fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Trailing) }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (data, rest) = self.0.split_at_checked(length).ok_or(Error::Short)?;
        self.0 = rest;
        Ok(data)
    }
}
