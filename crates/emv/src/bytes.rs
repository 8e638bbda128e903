//! A few bytes in place, without heap, that are wiped when they are dropped.

use core::ops::Deref;

use tlv::{Error, Output};
use zeroize::Zeroize;

/// At most `N` bytes.
#[derive(Clone)]
pub(crate) struct Bytes<const N: usize> {
    room: [u8; N],
    length: usize,
}

impl<const N: usize> Bytes<N> {
    /// A copy; `None` if it does not fit.
    pub(crate) fn copy(bytes: &[u8]) -> Option<Self> {
        let mut copied = Self::default();
        copied.put(bytes).ok()?;
        Some(copied)
    }

    /// As many zeros.
    pub(crate) fn zeros(length: usize) -> Option<Self> {
        (length <= N).then_some(Self { room: [0; N], length })
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        self.room.get_mut(..self.length).unwrap_or_default()
    }
}

impl<const N: usize> Default for Bytes<N> {
    fn default() -> Self {
        Self { room: [0; N], length: 0 }
    }
}

impl<const N: usize> Deref for Bytes<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.room.get(..self.length).unwrap_or_default()
    }
}

impl<const N: usize> Output for Bytes<N> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.length.checked_add(bytes.len()).ok_or(Error::NoRoom)?;
        self.room.get_mut(self.length..end).ok_or(Error::NoRoom)?.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }
}

impl<const N: usize> Drop for Bytes<N> {
    fn drop(&mut self) {
        self.room.zeroize();
    }
}
