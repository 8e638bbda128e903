//! The header: X9.143, 6.2 and 6.3.

use super::LONGEST;
use super::optional::{self, Optional, Optionals};
use crate::attributes::{Algorithm, Attributes, Exportability, KeyVersion, Mode, Usage};
use crate::error::{Error, Result};

/// Characters of a header without optional blocks.
pub(super) const FIXED: usize = 16;

/// How a block is bound together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// TDES, with variants of the protection key. Deprecated: it is read and written for hosts that know nothing else.
    A,
    /// TDES, with keys derived from the protection key.
    B,
    /// As A, in later editions.
    C,
    /// AES, with keys derived from the protection key.
    D,
    /// AES in counter mode (ISO 20038).
    E,
}

impl Version {
    const ALL: [Self; 5] = [Self::A, Self::B, Self::C, Self::D, Self::E];

    const fn code(self) -> u8 {
        match self {
            Self::A => b'A',
            Self::B => b'B',
            Self::C => b'C',
            Self::D => b'D',
            Self::E => b'E',
        }
    }

    /// The algorithm of the protection key.
    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::A | Self::B | Self::C => Algorithm::Tdes,
            Self::D | Self::E => Algorithm::Aes,
        }
    }

    /// The length of a cipher block, of which the header is a multiple.
    pub(super) const fn block_length(self) -> usize {
        match self {
            Self::A | Self::B | Self::C => 8,
            Self::D | Self::E => 16,
        }
    }

    /// The bytes of which the payload is a multiple.
    pub(super) const fn granularity(self) -> usize {
        match self {
            Self::E => 1,
            _ => self.block_length(),
        }
    }

    /// The bytes of the message authentication code.
    pub(super) const fn mac_length(self) -> usize {
        match self {
            Self::A | Self::C => 4,
            Self::B => 8,
            Self::D | Self::E => 16,
        }
    }
}

/// Where a block may be used (X9.143, 6.2, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// As the protection key says.
    Any,
    /// In a store alone.
    Storage,
    /// In an exchange alone.
    Exchange,
}

/// What a block says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// How it is bound together.
    pub version: Version,
    /// What the key is and may do.
    pub attributes: Attributes,
    /// Where it may be used.
    pub context: Context,
    /// Its characters, optional blocks included.
    pub(super) length: usize,
    optionals: &'a [u8],
}

impl<'a> Header<'a> {
    /// The header of a whole block. Nothing of it is authenticated yet.
    ///
    /// # Errors
    /// [`Error::KeyBlock`] if the text isn't a block, or has attributes that X9.143 doesn't know.
    pub fn parse(block: &'a [u8]) -> Result<Self> {
        if block.len() > LONGEST || !block.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(Error::KeyBlock("it is too long, or not printable"));
        }
        let (fixed, rest) = block.split_first_chunk::<FIXED>().ok_or(Error::KeyBlock("it is too short"))?;
        let [v, l1, l2, l3, l4, .., o1, o2, context, reserved] = *fixed;
        let version = Version::ALL.into_iter().find(|version| version.code() == v);
        let version = version.ok_or(Error::KeyBlock("its version is unknown"))?;
        if decimal(&[l1, l2, l3, l4]) != Some(block.len()) {
            return Err(Error::KeyBlock("its length is not what it says"));
        }
        let attributes = attributes(fixed)?;
        let context = match (context, reserved) {
            (b'0', b'0') => Context::Any,
            (b'1', b'0') => Context::Storage,
            (b'2', b'0') => Context::Exchange,
            _ => return Err(Error::KeyBlock("its key context is unknown")),
        };
        let count =
            decimal(&[o1, o2]).ok_or(Error::KeyBlock("its number of optional blocks is no number"))?;
        let length = optional::check(rest, count)?;
        if !length.is_multiple_of(version.block_length()) {
            return Err(Error::KeyBlock("its optional blocks are not padded to cipher blocks"));
        }
        let optionals = rest.get(..length).unwrap_or_default();
        Ok(Self { version, attributes, context, length: FIXED + length, optionals })
    }

    /// The optional blocks, without their padding.
    #[must_use]
    pub const fn optionals(&self) -> Optionals<'a> {
        Optionals::new(self.optionals)
    }
}

/// The attributes in a header's 16 fixed characters, whatever else they say: TR-34 sends them without a block.
///
/// # Errors
/// [`Error::KeyBlock`] for attributes that X9.143 doesn't know.
pub fn attributes(fixed: &[u8; FIXED]) -> Result<Attributes> {
    let [_, _, _, _, _, u1, u2, algorithm, mode, n1, n2, exportability, ..] = *fixed;
    Ok(Attributes {
        usage: Usage::from_code([u1, u2]).ok_or(Error::KeyBlock("its key usage is unknown"))?,
        algorithm: Algorithm::from_code([algorithm]).ok_or(Error::KeyBlock("its algorithm is unknown"))?,
        mode: Mode::from_code([mode]).ok_or(Error::KeyBlock("its mode of use is unknown"))?,
        version: KeyVersion::from_code([n1, n2]).ok_or(Error::KeyBlock("its key version is unknown"))?,
        exportability: Exportability::from_code([exportability])
            .ok_or(Error::KeyBlock("its exportability is unknown"))?,
    })
}

/// Writes a header that announces `body` more characters to `out`, in place of what was there.
pub(super) fn write(
    version: Version,
    attributes: &Attributes,
    context: Context,
    optionals: &[Optional<'_>],
    body: usize,
    out: &mut String,
) -> Result<()> {
    let no_code = Error::KeyBlock("the key's usage or algorithm has no code in it");
    let [u1, u2] = attributes.usage.code().ok_or(no_code)?;
    let [algorithm] = attributes.algorithm.code().ok_or(no_code)?;
    let ([mode], [exportability]) =
        (attributes.mode.code().ok_or(no_code)?, attributes.exportability.code().ok_or(no_code)?);
    let [n1, n2] = attributes.version.code();
    let context = match context {
        Context::Any => b'0',
        Context::Storage => b'1',
        Context::Exchange => b'2',
    };
    let (count, length) = optional::measure(optionals, version.block_length());
    let length = FIXED + length + body;
    if length > LONGEST || count > 99 {
        return Err(Error::KeyBlock("it would be too long"));
    }
    out.clear();
    out.push(char::from(version.code()));
    digits(out, length, 4);
    out.extend([u1, u2, algorithm, mode, n1, n2, exportability].map(char::from));
    digits(out, count, 2);
    out.extend([context, b'0'].map(char::from));
    optional::write(optionals, version.block_length(), out)
}

/// A number of decimal digits.
fn decimal(digits: &[u8]) -> Option<usize> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0')))
}

/// Appends a number of `places` decimal digits.
fn digits(out: &mut String, number: usize, places: u32) {
    let digit = |place| {
        u32::try_from(number / 10_usize.pow(place) % 10).ok().and_then(|digit| char::from_digit(digit, 10))
    };
    out.extend((0..places).rev().filter_map(digit));
}
