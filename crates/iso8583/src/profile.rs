//! What a host expects of each data element, as data.
//!
//! The notation is that of ISO 8583 §4: a class (`n`, `z`, `a`, `an`, `ans`, `b`) and a length, fixed or with a
//! prefix of two (`ll`) or three (`lll`) digits:
//!
//! ```toml
//! mti = "bcd"         # encoding of the message type
//! bitmap = "binary"   # or "ascii": hex digits
//! digits = "bcd"      # default encoding of the classes n and z
//! bytes = "binary"    # default encoding of the class b, or "ascii": two hex digits in capitals for each
//! length = "bcd"      # default encoding of length prefixes
//!
//! [fields]
//! 3  = { name = "Processing code", class = "n", fixed = 6 }
//! 35 = { name = "Track 2", class = "b", ll = 40 }
//! 60 = { name = "Reserved, private", class = "n", lll = 13, align = "left" }
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Error, Place};

/// Data elements whose content is never shown, whatever a profile says: PAN, tracks, PIN block.
const ALWAYS_SECRET: [u8; 5] = [2, 35, 36, 45, 52];

/// How the messages of one host are coded.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawProfile")]
pub struct Profile {
    pub(crate) mti: Encoding,
    pub(crate) bitmap: Encoding,
    /// Index 0 is data element 1.
    fields: Vec<Option<Field>>,
}

/// How one data element is coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// What the standard or the host calls it.
    pub name: String,
    /// Which characters it holds.
    pub class: Class,
    /// How those are put into bytes.
    pub encoding: Encoding,
    /// How long it is.
    pub length: Length,
    /// On which side an odd number of BCD digits sits.
    pub align: Align,
    /// The nibble that fills up the other side, 0 to 15.
    pub fill: u8,
    /// Whether its content is hidden from `Debug`.
    pub secret: bool,
}

/// The characters of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Digits.
    N,
    /// Track data: digits and the separator `D` (`=` in ASCII).
    Z,
    /// Letters and spaces.
    A,
    /// Letters, digits and spaces.
    An,
    /// Printable ASCII.
    Ans,
    /// Bytes.
    B,
}

/// How characters, lengths or bits are put into bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Two digits in a byte.
    Bcd,
    /// One character in a byte; of bits and bytes, hexadecimal digits.
    Ascii,
    /// As they are; a length as a big-endian number.
    Binary,
}

/// The length of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Always so many digits, characters or bytes.
    Fixed(u16),
    /// Up to `max`, counted by a prefix.
    Variable {
        /// Digits of the prefix: 2 or 3.
        prefix: u8,
        /// The longest content, in `unit`.
        max: u16,
        /// How the prefix is coded.
        encoding: Encoding,
        /// What the prefix counts.
        unit: Unit,
    },
}

/// What a length prefix counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// The digits or characters of the content.
    Digits,
    /// The bytes that they take.
    Bytes,
}

/// The side on which the digits of an odd number of them sit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Align {
    /// `123` is `12 3F`.
    Left,
    /// `123` is `F1 23`.
    Right,
}

impl Profile {
    /// How data element `number` is coded, if this host knows it.
    #[must_use]
    pub fn field(&self, number: u8) -> Option<&Field> {
        let index = usize::from(number).checked_sub(1)?;
        self.fields.get(index)?.as_ref()
    }
}

impl Field {
    /// Whether the content are digits packed two in a byte.
    pub(crate) fn is_bcd(&self) -> bool {
        self.encoding == Encoding::Bcd
    }

    /// Whether the content are bytes, written as two hexadecimal digits each.
    pub(crate) fn is_hex(&self) -> bool {
        self.class == Class::B && self.encoding == Encoding::Ascii
    }

    /// The bytes that `units` digits, characters or bytes of content take.
    pub(crate) fn byte_len(&self, units: usize) -> usize {
        match self.encoding {
            Encoding::Bcd => crate::bcd::packed_len(units),
            Encoding::Ascii if self.class == Class::B => units * 2,
            Encoding::Ascii | Encoding::Binary => units,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    mti: Encoding,
    bitmap: Encoding,
    digits: Encoding,
    #[serde(default = "binary")]
    bytes: Encoding,
    length: Encoding,
    fields: BTreeMap<String, RawField>,
}

fn binary() -> Encoding {
    Encoding::Binary
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawField {
    name: String,
    class: Class,
    fixed: Option<u16>,
    ll: Option<u16>,
    lll: Option<u16>,
    encoding: Option<Encoding>,
    length: Option<Encoding>,
    unit: Option<Unit>,
    align: Option<Align>,
    #[serde(default)]
    fill: u8,
    #[serde(default)]
    secret: bool,
}

impl TryFrom<RawProfile> for Profile {
    type Error = Error;

    fn try_from(raw: RawProfile) -> Result<Profile, Error> {
        if raw.mti == Encoding::Binary {
            return Err(unusable(Place::Mti, "write \"bcd\" or \"ascii\""));
        }
        if raw.bitmap == Encoding::Bcd {
            return Err(unusable(Place::Bitmap, "write \"binary\" or \"ascii\""));
        }
        if raw.digits == Encoding::Binary {
            return Err(unusable(Place::Message, "digits: write \"bcd\" or \"ascii\""));
        }
        if raw.bytes == Encoding::Bcd {
            return Err(unusable(Place::Message, "bytes: write \"binary\" or \"ascii\""));
        }
        let mut fields = vec![None; 128];
        for (key, field) in &raw.fields {
            let number = key.parse::<u8>().ok().filter(|number| (2..=128).contains(number));
            let slot = number.and_then(|number| fields.get_mut(usize::from(number) - 1));
            let (Some(number), Some(slot)) = (number, slot) else {
                return Err(unusable(Place::Message, "data elements are numbered 2 to 128"));
            };
            *slot = Some(field.check(number, &raw)?);
        }
        Ok(Profile { mti: raw.mti, bitmap: raw.bitmap, fields })
    }
}

impl RawField {
    fn check(&self, number: u8, profile: &RawProfile) -> Result<Field, Error> {
        let at = Place::Field(number);
        let encoding = match (self.class, self.encoding) {
            (Class::N | Class::Z, None) => profile.digits,
            (Class::N | Class::Z, Some(Encoding::Binary)) => {
                return Err(unusable(at, "digits are \"bcd\" or \"ascii\""));
            }
            (Class::N | Class::Z, Some(encoding)) => encoding,
            (Class::B, None) => profile.bytes,
            (_, None) => Encoding::Ascii,
            (Class::B, Some(Encoding::Bcd)) => {
                return Err(unusable(at, "bytes are \"binary\" or \"ascii\""));
            }
            (Class::B, Some(encoding)) => encoding,
            (_, Some(_)) => {
                return Err(unusable(at, "only the classes n, z and b have a choice of encoding"));
            }
        };
        if (self.class, encoding) == (Class::B, Encoding::Ascii) && self.unit.is_some() {
            return Err(unusable(
                at,
                "the length of hex digits counts the bytes that they stand for: leave unit out",
            ));
        }
        if self.fill > 0x0F {
            return Err(unusable(at, "fill is a nibble, 0 to 15"));
        }
        Ok(Field {
            name: self.name.clone(),
            class: self.class,
            encoding,
            length: self.check_length(at, profile.length)?,
            align: self.align.unwrap_or(Align::Right),
            fill: self.fill,
            secret: self.secret || ALWAYS_SECRET.contains(&number),
        })
    }

    fn check_length(&self, at: Place, default: Encoding) -> Result<Length, Error> {
        let (prefix, max) = match (self.fixed, self.ll, self.lll) {
            (Some(1..=999), None, None) if self.length.is_some() || self.unit.is_some() => {
                return Err(unusable(at, "a fixed length has no prefix: leave length and unit out"));
            }
            (Some(fixed @ 1..=999), None, None) => return Ok(Length::Fixed(fixed)),
            (None, Some(max @ 1..=99), None) => (2, max),
            (None, None, Some(max @ 1..=999)) => (3, max),
            _ => return Err(unusable(at, "write one of fixed = 1..999, ll = 1..99, lll = 1..999")),
        };
        let unit = self.unit.unwrap_or(Unit::Digits);
        Ok(Length::Variable { prefix, max, encoding: self.length.unwrap_or(default), unit })
    }
}

fn unusable(at: Place, problem: &str) -> Error {
    Error::Profile { at, problem: problem.to_owned() }
}
