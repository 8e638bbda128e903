//! A received message: parsed in place, borrowed from the bytes that it came in.

use std::borrow::Cow;
use std::fmt;

use crate::bcd;
use crate::profile::{Class, Encoding, Field, Length, Unit};
use crate::{Error, Place, Profile};

/// A message type identifier, as four BCD digits: `Mti(0x0200)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mti(pub u16);

impl Mti {
    /// The type of the answer to a request of this type: 0200 → 0210.
    #[must_use]
    pub fn answer(self) -> Mti {
        Mti(self.0 | 0x0010)
    }
}

impl fmt::Display for Mti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

/// Where the content of one data element lies.
#[derive(Clone, Copy, Default)]
struct Slot {
    start: u16,
    bytes: u16,
    units: u16,
}

/// A parsed message. It is small enough for the stack and holds no content, only where the content lies.
#[derive(Clone)]
pub struct Message<'a> {
    profile: &'a Profile,
    bytes: &'a [u8],
    mti: Mti,
    /// Bit 127 is data element 1.
    bitmap: u128,
    slots: [Slot; 128],
}

impl Profile {
    /// Parses one whole message, from the MTI to the last data element.
    ///
    /// # Errors
    /// Each names the place: a message that ends early or goes on after its last element, a character that
    /// its field does not allow, a length over the maximum, an element that the profile does not have.
    pub fn parse<'a>(&'a self, bytes: &'a [u8]) -> Result<Message<'a>, Error> {
        if u16::try_from(bytes.len()).is_err() {
            return Err(Error::TooLong { at: Place::Message, max: usize::from(u16::MAX), got: bytes.len() });
        }
        let mut reader = Reader { all: bytes, rest: bytes };
        let mti = reader.mti(self.mti)?;
        let bitmap = reader.bitmap(self.bitmap)?;
        let mut slots = [Slot::default(); 128];
        for (number, slot) in (1u8..).zip(&mut slots) {
            if number == 1 || !has(bitmap, number) {
                continue;
            }
            let field = self.field(number).ok_or(Error::Unknown { at: Place::Field(number) })?;
            *slot = reader.field(number, field)?;
        }
        if !reader.rest.is_empty() {
            return Err(Error::Trailing(reader.rest.len()));
        }
        Ok(Message { profile: self, bytes, mti, bitmap, slots })
    }
}

impl<'a> Message<'a> {
    /// The message type.
    #[must_use]
    pub fn mti(&self) -> Mti {
        self.mti
    }

    /// Data element `number`, if it is there.
    #[must_use]
    pub fn get(&self, number: u8) -> Option<Value<'a>> {
        if number < 2 || !has(self.bitmap, number) {
            return None;
        }
        let slot = self.slots.get(usize::from(number) - 1)?;
        let start = usize::from(slot.start);
        let bytes = self.bytes.get(start..start + usize::from(slot.bytes))?;
        let field = self.profile.field(number)?;
        Some(Value { number, field, bytes, units: usize::from(slot.units) })
    }

    /// Data element `number`.
    ///
    /// # Errors
    /// [`Error::Missing`] if it is not there.
    pub fn require(&self, number: u8) -> Result<Value<'a>, Error> {
        self.get(number).ok_or(Error::Missing { at: Place::Field(number) })
    }

    /// All data elements that are there, in order.
    pub fn fields(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (2..=128).filter_map(|number| self.get(number))
    }

    /// The element that a MAC is in (ISO 8583:1987, 4.4): 128 where there are elements beyond 64, else 64.
    #[must_use]
    pub fn mac_number(&self) -> u8 {
        if has(self.bitmap, 1) { 128 } else { 64 }
    }

    /// What a MAC in `number` (64 or 128) is computed over: from the MTI through the element before it.
    ///
    /// # Errors
    /// [`Error::Missing`] if the MAC is not there, or is not the last element.
    pub fn mac_input(&self, number: u8) -> Result<&'a [u8], Error> {
        let mac = self.require(number)?;
        match self.bytes.strip_suffix(mac.bytes) {
            Some(input) if self.bitmap.trailing_zeros() == 128 - u32::from(number) => Ok(input),
            _ => Err(Error::Missing { at: Place::Field(number) }),
        }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut message = f.debug_struct("Message");
        message.field("mti", &format_args!("{}", self.mti));
        for value in self.fields() {
            message.field(&format!("DE {}", value.number), &value);
        }
        message.finish()
    }
}

/// The content of one data element.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    number: u8,
    field: &'a Field,
    bytes: &'a [u8],
    units: usize,
}

impl<'a> Value<'a> {
    /// Which data element it is.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// How it is coded.
    #[must_use]
    pub fn field(&self) -> &'a Field {
        self.field
    }

    /// The content as in the message, without its length prefix.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The content as bytes: of class `b` those that hexadecimal digits stand for, else [`bytes`](Value::bytes).
    #[must_use]
    pub fn content(&self) -> Cow<'a, [u8]> {
        if !self.field.is_hex() {
            return Cow::Borrowed(self.bytes);
        }
        let (pairs, _) = self.bytes.as_chunks::<2>();
        let byte =
            |[high, low]: &[u8; 2]| hex_digit(*high).zip(hex_digit(*low)).map(|(high, low)| high << 4 | low);
        Cow::Owned(pairs.iter().filter_map(byte).collect())
    }

    /// The number of digits, characters or bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.units
    }

    /// Whether there is no content: a variable length of zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units == 0
    }

    /// The content as characters: digits of BCD are unpacked, bytes of class `b` are taken as they are in the message.
    pub fn chars(&self) -> impl Iterator<Item = char> + 'a {
        let packed = self.field.is_bcd();
        let unpacked = if packed { self.bytes } else { &[] };
        let plain = if packed { &[] } else { self.bytes };
        let digit = |nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('?').to_ascii_uppercase();
        bcd::content(unpacked, self.units, self.field.align)
            .map(digit)
            .chain(plain.iter().map(|byte| char::from(*byte)))
    }

    /// The content as text; of a secret field that is a copy that the caller has to wipe.
    #[must_use]
    pub fn text(&self) -> String {
        self.chars().collect()
    }

    /// Whether the content is exactly `text`.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.chars().eq(text.chars())
    }

    /// The content as a number.
    ///
    /// # Errors
    /// [`Error::Kind`] if the class is not `n` or the number does not fit 64 bits.
    pub fn to_u64(&self) -> Result<u64, Error> {
        let wrong = Error::Kind { at: Place::Field(self.number), expected: "a number of at most 64 bits" };
        if self.field.class != Class::N {
            return Err(wrong);
        }
        let digits = self.chars().map(|digit| digit.to_digit(10));
        let sum = digits
            .into_iter()
            .try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit?)));
        sum.ok_or(wrong)
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.secret {
            return write!(f, "redacted ({})", self.units);
        }
        if self.field.class == Class::B {
            return self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"));
        }
        write!(f, "{:?}", self.text())
    }
}

/// Whether bit `number`, 1 to 128, is set.
fn has(bitmap: u128, number: u8) -> bool {
    bitmap >> (128 - u32::from(number)) & 1 == 1
}

struct Reader<'a> {
    all: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, at: Place, count: usize) -> Result<&'a [u8], Error> {
        let short = Error::Truncated { at, expected: count, got: self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn mti(&mut self, encoding: Encoding) -> Result<Mti, Error> {
        let digits = self.digits(Place::Mti, 4, encoding)?;
        Ok(Mti(digits.fold(0, |mti, digit| mti << 4 | u16::from(digit))))
    }

    /// `count` digits, each known to be one.
    fn digits(
        &mut self,
        at: Place,
        count: u8,
        encoding: Encoding,
    ) -> Result<impl Iterator<Item = u8> + use<'a>, Error> {
        let count = usize::from(count);
        let (packed, plain): (&[u8], &[u8]) = match encoding {
            Encoding::Bcd => (self.take(at, bcd::packed_len(count))?, &[]),
            _ => (&[], self.take(at, count)?),
        };
        let digits = bcd::nibbles(packed).chain(plain.iter().map(|byte| byte.wrapping_sub(b'0')));
        match digits.clone().position(|digit| digit > 9) {
            Some(position) => Err(Error::Character { at, expected: "digits", position }),
            None => Ok(digits),
        }
    }

    fn bitmap(&mut self, encoding: Encoding) -> Result<u128, Error> {
        let primary = u128::from(self.half_bitmap(encoding)?) << 64;
        if !has(primary, 1) {
            return Ok(primary);
        }
        match self.half_bitmap(encoding)? {
            // One message has one spelling: a bitmap without a bit is left out.
            0 => Err(Error::Kind {
                at: Place::Bitmap,
                expected: "a data element from 65 to 128, as bit 1 says",
            }),
            secondary => Ok(primary | u128::from(secondary)),
        }
    }

    fn half_bitmap(&mut self, encoding: Encoding) -> Result<u64, Error> {
        let at = Place::Bitmap;
        if encoding == Encoding::Binary {
            return Ok(self.take(at, 8)?.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)));
        }
        let hex = self.take(at, 16)?;
        let mut bits = 0;
        for (position, byte) in hex.iter().enumerate() {
            let digit = hex_digit(*byte).ok_or(Error::Character { at, expected: HEX, position })?;
            bits = bits << 4 | u64::from(digit);
        }
        Ok(bits)
    }

    fn field(&mut self, number: u8, field: &Field) -> Result<Slot, Error> {
        let units = match field.length {
            Length::Fixed(units) => usize::from(units),
            Length::Variable { prefix, max, encoding, unit } => {
                let count = self.length(Place::Length(number), prefix, encoding)?;
                if count > usize::from(max) {
                    return Err(Error::TooLong {
                        at: Place::Length(number),
                        max: usize::from(max),
                        got: count,
                    });
                }
                if unit == Unit::Bytes && field.is_bcd() { count * 2 } else { count }
            }
        };
        let start = self.all.len() - self.rest.len();
        let bytes = self.take(Place::Field(number), field.byte_len(units))?;
        check(number, field, bytes, units)?;
        // Positions fit: `parse` refuses more than 65535 bytes.
        let short = |number| u16::try_from(number).unwrap_or(u16::MAX);
        Ok(Slot { start: short(start), bytes: short(bytes.len()), units: short(units) })
    }

    fn length(&mut self, at: Place, prefix: u8, encoding: Encoding) -> Result<usize, Error> {
        if encoding == Encoding::Binary {
            let bytes = self.take(at, binary_prefix_len(prefix))?;
            return Ok(bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)));
        }
        // BCD fills three digits up to two bytes with a leading zero.
        let digits = if encoding == Encoding::Bcd { prefix.next_multiple_of(2) } else { prefix };
        Ok(self.digits(at, digits, encoding)?.fold(0, |length, digit| length * 10 + usize::from(digit)))
    }
}

const HEX: &str = "hex digits in capitals";

/// The value of a hexadecimal digit. Capitals only: one message has one spelling.
fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The bytes of a binary length: one for `ll`, two for `lll`.
pub(crate) fn binary_prefix_len(prefix: u8) -> usize {
    if prefix == 2 { 1 } else { 2 }
}

/// Checks that `bytes` hold only what the class of the field allows.
fn check(number: u8, field: &Field, bytes: &[u8], units: usize) -> Result<(), Error> {
    let at = Place::Field(number);
    if field.is_hex() {
        let position = bytes.iter().position(|byte| hex_digit(*byte).is_none());
        return position.map_or(Ok(()), |position| Err(Error::Character { at, expected: HEX, position }));
    }
    let position = if field.is_bcd() {
        if let Some(got) = bcd::fill(bytes, units, field.align).filter(|got| *got != field.fill) {
            return Err(Error::Fill { at, expected: field.fill, got });
        }
        let track = field.class == Class::Z;
        bcd::content(bytes, units, field.align).position(|nibble| nibble > 9 && !(track && nibble == 0xD))
    } else {
        bytes.iter().position(|byte| !field.class.allows(*byte))
    };
    match position {
        Some(position) => Err(Error::Character { at, expected: field.class.describe(), position }),
        None => Ok(()),
    }
}

impl Class {
    /// Whether a field of this class may hold the character `byte`.
    pub(crate) fn allows(self, byte: u8) -> bool {
        match self {
            Class::N => byte.is_ascii_digit(),
            Class::Z => byte.is_ascii_digit() || byte == b'D' || byte == b'=',
            Class::A => byte.is_ascii_alphabetic() || byte == b' ',
            Class::An => byte.is_ascii_alphanumeric() || byte == b' ',
            Class::Ans => matches!(byte, b' '..=b'~'),
            Class::B => true,
        }
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Class::N => "digits",
            Class::Z => "track digits or the separator",
            Class::A => "letters or spaces",
            Class::An => "letters, digits or spaces",
            Class::Ans => "printable ASCII characters",
            Class::B => "bytes",
        }
    }
}
