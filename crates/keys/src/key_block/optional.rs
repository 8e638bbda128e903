//! Optional blocks: X9.143, 6.3.6 (TR-31:2018, A.5.6).

use super::ShortBytes;
use crate::error::{Error, Result};
use crate::kcv::Method;

/// The block that fills the others up to cipher blocks.
const PADDING: [u8; 2] = *b"PB";
/// Characters before the data: id and length, or with the long form of the length.
const SHORT_FORM: usize = 4;
const LONG_FORM: usize = 10;

/// An optional block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Optional<'a> {
    /// Its id: two letters or digits, as `KS` for a TDES DUKPT serial number.
    pub id: [u8; 2],
    /// Its data: printable characters.
    pub data: &'a [u8],
}

impl Optional<'_> {
    /// The check value in a block of this id (6.3.6.7: method, then hexadecimal digits).
    pub(super) fn check_value(&self, id: [u8; 2]) -> Option<(Method, ShortBytes)> {
        if self.id != id {
            return None;
        }
        let (method, digits) = self.data.split_first_chunk::<2>()?;
        let method = match method {
            b"00" => Method::Zeros,
            b"01" => Method::Cmac,
            _ => return None,
        };
        let mut value = ShortBytes { bytes: [0; 8], length: digits.len() / 2 };
        hex::decode_to_slice(digits, value.bytes.get_mut(..value.length)?).ok()?;
        Some((method, value))
    }

    /// Characters, length field included.
    fn length(&self) -> usize {
        let short = self.data.len() + SHORT_FORM;
        if short <= 0xFF { short } else { self.data.len() + LONG_FORM }
    }

    /// What its id says about its data.
    fn check(&self) -> Result<()> {
        let hexadecimal = |lengths: &[usize]| {
            lengths.contains(&self.data.len()) && self.data.iter().all(u8::is_ascii_hexdigit)
        };
        let right = match &self.id {
            // DUKPT: serial number, initial key id, base derivation key id.
            b"KS" => hexadecimal(&[16, 20]),
            b"IK" => hexadecimal(&[16]),
            b"BI" => hexadecimal(&[10, 12]),
            // Check values of the key, of its protection key, and of the export's protection key.
            b"KC" | b"KP" | b"PK" => {
                hexadecimal(&[6, 8, 10, 12]) && matches!(self.data.first_chunk(), Some(b"00" | b"01"))
            }
            // Hash of HMAC, and life of a key pair.
            b"HM" => hexadecimal(&[2]),
            b"AL" => hexadecimal(&[4]),
            _ => self.id.iter().all(u8::is_ascii_alphanumeric),
        };
        if right { Ok(()) } else { Err(Error::KeyBlock("an optional block of it is not of its format")) }
    }
}

/// The optional blocks of a header.
#[derive(Debug, Clone)]
pub struct Optionals<'a> {
    rest: &'a [u8],
}

impl<'a> Optionals<'a> {
    /// The blocks of a text that was [checked](check).
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }
}

impl<'a> Iterator for Optionals<'a> {
    type Item = Optional<'a>;

    fn next(&mut self) -> Option<Optional<'a>> {
        let (block, rest) = first(self.rest)?;
        self.rest = rest;
        (block.id != PADDING).then_some(block)
    }
}

/// The characters of the first `count` optional blocks of `text`: all well-formed, each id once, padding last.
pub(super) fn check(text: &[u8], count: usize) -> Result<usize> {
    let mut rest = text;
    for number in 1..=count {
        let (block, left) = first(rest).ok_or(Error::KeyBlock("an optional block of it is cut off"))?;
        block.check()?;
        let before = text.get(..text.len() - rest.len()).unwrap_or_default();
        if Optionals::new(before).any(|other| other.id == block.id) {
            return Err(Error::KeyBlock("an optional block of it is there twice"));
        }
        if block.id == PADDING && number != count {
            return Err(Error::KeyBlock("its padding block is not the last"));
        }
        rest = left;
    }
    Ok(text.len() - rest.len())
}

/// How many blocks these are, and how many characters, with the padding block that they may need.
pub(super) fn measure(blocks: &[Optional<'_>], block_length: usize) -> (usize, usize) {
    let total = blocks.iter().map(Optional::length).sum();
    match padding(total, block_length) {
        0 => (blocks.len(), total),
        padding => (blocks.len() + 1, total + padding),
    }
}

/// The characters of the padding block after blocks of `total`; 0 if they need none.
fn padding(total: usize, block_length: usize) -> usize {
    let needed = total.next_multiple_of(block_length) - total;
    if (1..SHORT_FORM).contains(&needed) { needed + block_length } else { needed }
}

/// Appends the blocks, and a padding block if they need one.
pub(super) fn write(blocks: &[Optional<'_>], block_length: usize, out: &mut String) -> Result<()> {
    let start = out.len();
    for (number, block) in blocks.iter().enumerate() {
        block.check()?;
        let twice = blocks.iter().take(number).any(|other| other.id == block.id);
        if twice || block.id == PADDING || !block.data.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(Error::KeyBlock("an optional block is there twice, is padding, or is not printable"));
        }
        out.extend(block.id.map(char::from));
        let length = block.length();
        if length > 0xFF {
            out.push_str("0004");
            push_hexadecimal(out, length, 4);
        } else {
            push_hexadecimal(out, length, 2);
        }
        out.extend(block.data.iter().copied().map(char::from));
    }
    let padding = padding(out.len() - start, block_length);
    if padding != 0 {
        out.extend(PADDING.map(char::from));
        push_hexadecimal(out, padding, 2);
        out.extend(std::iter::repeat_n('0', padding - SHORT_FORM));
    }
    Ok(())
}

/// Appends a number of `places` hexadecimal digits.
fn push_hexadecimal(out: &mut String, number: usize, places: u32) {
    let digit =
        |place| u32::try_from(number >> (4 * place) & 0xF).ok().and_then(|digit| char::from_digit(digit, 16));
    out.extend((0..places).rev().filter_map(digit).map(|digit| digit.to_ascii_uppercase()));
}

/// The first block of `text`, and what follows it.
fn first(text: &[u8]) -> Option<(Optional<'_>, &[u8])> {
    let ([a, b, l1, l2], rest) = text.split_first_chunk()?;
    let short = hexadecimal(&[*l1, *l2])?;
    let (length, start, rest) = if short == 0 {
        // The long form has four digits, after how many: 04 in the examples of X9.143, or 02 where bytes are counted.
        let ([b'0', b'2' | b'4', digits @ ..], rest) = rest.split_first_chunk::<6>()? else { return None };
        (hexadecimal(digits)?, LONG_FORM, rest)
    } else {
        (short, SHORT_FORM, rest)
    };
    let (data, rest) = rest.split_at_checked(length.checked_sub(start)?)?;
    Some((Optional { id: [*a, *b], data }, rest))
}

/// A number of hexadecimal digits.
fn hexadecimal(digits: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    usize::from_str_radix(text, 16).ok()
}
