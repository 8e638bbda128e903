//! Packing a message into a buffer of the caller's.

use std::fmt;

use crate::message::binary_prefix_len;
use crate::profile::{Class, Encoding, Field, Length, Unit};
use crate::{Error, Mti, Place, Profile, Value, bcd};

/// A message being put together. Contents are borrowed until [`Builder::pack`] writes them.
///
/// ```
/// # let toml = r#"
/// # mti = "bcd"
/// # bitmap = "binary"
/// # digits = "bcd"
/// # length = "bcd"
/// # fields = { 4 = { name = "Amount", class = "n", fixed = 12 }, 41 = { name = "Terminal", class = "ans", fixed = 8 } }
/// # "#;
/// # let profile: iso8583::Profile = toml::from_str(toml).unwrap();
/// use iso8583::{Builder, Mti};
///
/// let mut message = [0; 64];
/// let length = Builder::new(&profile, Mti(0x0200)).number(4, 1234).text(41, "12345678").pack(&mut message)?;
/// assert_eq!(profile.parse(&message[..length])?.require(4)?.to_u64()?, 1234);
/// # Ok::<(), iso8583::Error>(())
/// ```
pub struct Builder<'v> {
    profile: &'v Profile,
    mti: Mti,
    /// Index 0 is data element 1, which is the secondary bitmap and stays empty.
    contents: [Option<Content<'v>>; 128],
    out_of_range: bool,
}

#[derive(Clone, Copy)]
enum Content<'v> {
    Text(&'v str),
    Number(u64),
    Bytes(&'v [u8]),
    Echo(Value<'v>),
}

impl<'v> Builder<'v> {
    /// A message of type `mti` without data elements.
    #[must_use]
    pub fn new(profile: &'v Profile, mti: Mti) -> Builder<'v> {
        Builder { profile, mti, contents: [None; 128], out_of_range: false }
    }

    /// Sets an element of the classes n, z, a, an, ans. A fixed length must be met exactly.
    pub fn text(&mut self, number: u8, text: &'v str) -> &mut Self {
        self.set(number, Some(Content::Text(text)))
    }

    /// Sets an element of class n; a fixed length is met with leading zeros.
    pub fn number(&mut self, number: u8, value: u64) -> &mut Self {
        self.set(number, Some(Content::Number(value)))
    }

    /// Sets an element of class b.
    pub fn bytes(&mut self, number: u8, bytes: &'v [u8]) -> &mut Self {
        self.set(number, Some(Content::Bytes(bytes)))
    }

    /// Sets an element as a host's [`Layout`](crate::Layout) has it: text, which in class b stands as its ASCII characters.
    pub fn filled(&mut self, number: u8, text: &'v str) -> &mut Self {
        match self.profile.field(number) {
            Some(field) if field.class == Class::B => self.bytes(number, text.as_bytes()),
            _ => self.text(number, text),
        }
    }

    /// Makes room for a MAC behind the elements that are there: in 128 where one of them is beyond 64, else in 64.
    pub fn empty_mac(&mut self) -> &mut Self {
        let number = if self.bitmap() >> 127 == 1 { 128 } else { 64 };
        self.bytes(number, &[0; 8])
    }

    /// Repeats an element of a received message, such as the STAN in an answer; `None` leaves it out.
    pub fn echo(&mut self, number: u8, value: Option<Value<'v>>) -> &mut Self {
        self.set(number, value.map(Content::Echo))
    }

    /// Leaves an element out again.
    pub fn unset(&mut self, number: u8) -> &mut Self {
        self.set(number, None)
    }

    fn set(&mut self, number: u8, content: Option<Content<'v>>) -> &mut Self {
        let index = usize::from(number).checked_sub(1).filter(|index| *index > 0);
        match index.and_then(|index| self.contents.get_mut(index)) {
            Some(slot) => *slot = content,
            None => self.out_of_range = true,
        }
        self
    }

    /// Writes the message to the beginning of `out` and returns its length.
    ///
    /// # Errors
    /// Each names the place: an element that the profile does not have or cannot hold, or a buffer too small.
    pub fn pack(&self, out: &mut [u8]) -> Result<usize, Error> {
        if self.out_of_range {
            return Err(Error::Kind { at: Place::Message, expected: "data elements numbered 2 to 128" });
        }
        let size = out.len();
        let mut writer = Writer { rest: out };
        writer.digits(Place::Mti, self.mti.0, 4, self.profile.mti)?;
        writer.bitmap(self.bitmap(), self.profile.bitmap)?;
        for (number, content) in self.numbered() {
            let field = self.profile.field(number).ok_or(Error::Unknown { at: Place::Field(number) })?;
            writer.field(number, field, content)?;
        }
        Ok(size - writer.rest.len())
    }

    fn numbered(&self) -> impl Iterator<Item = (u8, Content<'v>)> + '_ {
        (1..).zip(&self.contents).filter_map(|(number, content)| Some((number, (*content)?)))
    }

    fn bitmap(&self) -> u128 {
        let bits: u128 = self.numbered().fold(0, |bits, (number, _)| bits | 1 << (128 - u32::from(number)));
        // Element 1 announces elements 65 to 128.
        if bits.trailing_zeros() < 64 { bits | 1 << 127 } else { bits }
    }
}

impl fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<u8> = self.numbered().map(|(number, _)| number).collect();
        f.debug_struct("Builder").field("mti", &self.mti).field("elements", &numbers).finish_non_exhaustive()
    }
}

impl Profile {
    /// Replaces the MAC that ends the packed `message`: pack it with an [empty one](Builder::empty_mac), compute the MAC over
    /// what this function's counterpart [`crate::Message::mac_input`] returns, then put it here.
    ///
    /// # Errors
    /// [`Error::Missing`] if the message does not end in a MAC of 8 bytes.
    pub fn set_mac(&self, message: &mut [u8], mac: &[u8; 8]) -> Result<(), Error> {
        let parsed = self.parse(message)?;
        let number = parsed.mac_number();
        let start = parsed.mac_input(number)?.len();
        let field = self.field(number).ok_or(Error::Unknown { at: Place::Field(number) })?;
        let mut writer = Writer { rest: message.get_mut(start..).unwrap_or_default() };
        writer.field(number, field, Content::Bytes(mac))
    }
}

struct Writer<'b> {
    rest: &'b mut [u8],
}

impl<'b> Writer<'b> {
    fn take(&mut self, at: Place, count: usize) -> Result<&'b mut [u8], Error> {
        let rest = std::mem::take(&mut self.rest);
        let (taken, rest) = rest.split_at_mut_checked(count).ok_or(Error::BufferFull { at })?;
        self.rest = rest;
        Ok(taken)
    }

    fn put(&mut self, at: Place, bytes: &[u8]) -> Result<(), Error> {
        self.take(at, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// The last `count` digits of the BCD number `digits`.
    fn digits(&mut self, at: Place, digits: u16, count: u8, encoding: Encoding) -> Result<(), Error> {
        let packed = digits.to_be_bytes();
        let count = usize::from(count);
        let nibbles = bcd::nibbles(&packed).skip(packed.len() * 2 - count);
        if let Some(position) = nibbles.clone().position(|digit| digit > 9) {
            return Err(Error::Character { at, expected: "digits", position });
        }
        if encoding == Encoding::Bcd {
            bcd::pack(nibbles, count, crate::Align::Right, 0, self.take(at, bcd::packed_len(count))?);
        } else {
            let out = self.take(at, count)?;
            out.iter_mut().zip(nibbles).for_each(|(byte, digit)| *byte = b'0' + digit);
        }
        Ok(())
    }

    fn bitmap(&mut self, bits: u128, encoding: Encoding) -> Result<(), Error> {
        let bytes = bits.to_be_bytes();
        let used = if bits >> 127 == 1 { 16 } else { 8 };
        let bytes = bytes.get(..used).unwrap_or_default();
        if encoding == Encoding::Binary {
            self.put(Place::Bitmap, bytes)
        } else {
            self.hex(Place::Bitmap, bytes)
        }
    }

    /// Two hexadecimal digits for each byte.
    fn hex(&mut self, at: Place, bytes: &[u8]) -> Result<(), Error> {
        let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' - 10 + nibble };
        bytes.iter().try_for_each(|byte| self.put(at, &[digit(byte >> 4), digit(byte & 0x0F)]))
    }

    fn field(&mut self, number: u8, field: &Field, content: Content<'_>) -> Result<(), Error> {
        let at = Place::Field(number);
        match content {
            Content::Bytes(bytes) if field.class == Class::B => {
                self.length(number, field, bytes.len())?;
                if field.is_hex() { self.hex(at, bytes) } else { self.put(at, bytes) }
            }
            Content::Text(text) if field.class != Class::B => self.text(number, field, text.as_bytes()),
            Content::Number(value) if field.class == Class::N => self.number(number, field, value),
            Content::Echo(value) if value.field() == field => {
                self.length(number, field, value.len())?;
                self.put(at, value.bytes())
            }
            Content::Echo(_) => Err(Error::Kind { at, expected: "an element coded the same way" }),
            Content::Bytes(_) | Content::Text(_) | Content::Number(_) => {
                Err(Error::Kind { at, expected: field.class.describe() })
            }
        }
    }

    fn number(&mut self, number: u8, field: &Field, value: u64) -> Result<(), Error> {
        // 20 digits hold any u64.
        let mut digits = [b'0'; 20];
        let mut left = value;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
            left /= 10;
        }
        let significant = digits.iter().position(|digit| *digit != b'0').map_or(1, |zeros| 20 - zeros);
        let zeros = match field.length {
            Length::Fixed(length) => usize::from(length).saturating_sub(significant),
            Length::Variable { .. } => 0,
        };
        let significant = digits.into_iter().skip(20 - significant);
        self.characters(number, field, std::iter::repeat_n(b'0', zeros).chain(significant))
    }

    fn text(&mut self, number: u8, field: &Field, text: &[u8]) -> Result<(), Error> {
        self.characters(number, field, text.iter().copied())
    }

    fn characters(
        &mut self,
        number: u8,
        field: &Field,
        text: impl Iterator<Item = u8> + Clone,
    ) -> Result<(), Error> {
        let at = Place::Field(number);
        if let Some(position) = text.clone().position(|byte| !field.class.allows(byte)) {
            return Err(Error::Character { at, expected: field.class.describe(), position });
        }
        let units = text.clone().count();
        self.length(number, field, units)?;
        let out = self.take(at, field.byte_len(units))?;
        if field.is_bcd() {
            let nibble = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { 0xD };
            bcd::pack(text.map(nibble), units, field.align, field.fill, out);
        } else {
            out.iter_mut().zip(text).for_each(|(out, byte)| *out = byte);
        }
        Ok(())
    }

    /// Checks the length of the content and writes its prefix, if it has one.
    fn length(&mut self, number: u8, field: &Field, units: usize) -> Result<(), Error> {
        let at = Place::Field(number);
        match field.length {
            Length::Fixed(expected) if usize::from(expected) == units => Ok(()),
            Length::Fixed(expected) => {
                Err(Error::WrongLength { at, expected: usize::from(expected), got: units })
            }
            Length::Variable { prefix, max, encoding, unit } => {
                let in_bytes = unit == Unit::Bytes;
                if in_bytes && field.is_bcd() && units % 2 == 1 {
                    // The prefix could not tell the last digit from its filling.
                    return Err(Error::WrongLength { at, expected: units + 1, got: units });
                }
                let count = if in_bytes { field.byte_len(units) } else { units };
                let too_long = Error::TooLong { at, max: usize::from(max), got: count };
                let count = u16::try_from(count).ok().filter(|count| *count <= max).ok_or(too_long)?;
                self.prefix(Place::Length(number), prefix, encoding, count)
            }
        }
    }

    fn prefix(&mut self, at: Place, prefix: u8, encoding: Encoding, count: u16) -> Result<(), Error> {
        if encoding == Encoding::Binary {
            let bytes = count.to_be_bytes();
            let (_, low) = bytes.split_at(bytes.len() - binary_prefix_len(prefix));
            return self.put(at, low);
        }
        let digits = if encoding == Encoding::Bcd { prefix.next_multiple_of(2) } else { prefix };
        self.digits(at, bcd::from_number(count), digits, encoding)
    }
}
