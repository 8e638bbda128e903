//! EMV Book 1 clause 12.2: what applications are called, without heap.

use core::fmt;
use core::ops::Deref;

use tlv::Output;

use crate::bytes::Bytes;

/// The name of an application on a card (4F, 84): at most 16 bytes.
#[derive(Clone, Default)]
pub struct Aid(Bytes<16>);

impl Aid {
    /// `None` if it is longer.
    pub(crate) fn new(name: &[u8]) -> Option<Self> {
        Bytes::copy(name).map(Self)
    }
}

impl Deref for Aid {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Aid {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Aid {}

impl fmt::Debug for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// What an application is called to people: at most 16 characters of a card's (UTF-8 needs two bytes for some), or the 32 bytes of the
/// terminal's own name.
#[derive(Clone, Default)]
pub struct Label(Bytes<{ Label::MAX }>);

impl Label {
    /// The most bytes of one.
    pub const MAX: usize = 32;

    /// The terminal's name of an application; what goes beyond the room is cut.
    pub(crate) fn new(name: &str) -> Self {
        Self::from_characters(name.chars())
    }

    /// What fits of the characters.
    pub(crate) fn from_characters(characters: impl Iterator<Item = char>) -> Self {
        let mut label = Bytes::default();
        for character in characters {
            if label.put(character.encode_utf8(&mut [0; 4]).as_bytes()).is_err() {
                break;
            }
        }
        Self(label)
    }

    /// As text; empty where no application is selected.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Deref for Label {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Label {}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
