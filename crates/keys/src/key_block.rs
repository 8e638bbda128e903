//! Key blocks: ANSI X9.143-2021 (TR-31:2018) versions A, B, C and D, and ISO 20038:2017 version E.
//!
//! A block says in its header what the key in it is and may do, and binds both together. So a [`Key`] comes out of
//! it with its [attributes](crate::Attributes), which it then keeps to; and it goes into one only as they allow.

use crate::attributes::{Algorithm, Exportability, Usage};
use crate::error::{Error, Result};
use crate::kcv;
use crate::key::{Key, Secret};
use crate::permission::Operation;

mod binding;
mod header;
mod optional;
#[cfg(test)]
mod tests;

pub use header::{Context, Header, Version, attributes};
pub use optional::{Optional, Optionals};

/// The most characters of a block: its length field has four digits.
pub const LONGEST: usize = 9_999;
/// Most of what fits after the key in its last block, and what hides the length of the shortest key.
const MOST_PADDING: usize = 32;

/// A key, and what else its block says.
#[derive(Debug)]
pub struct Opened<'a> {
    /// The key.
    pub key: Key,
    /// The header.
    pub header: Header<'a>,
}

/// The key in `block`, which `protection` protects.
///
/// The check values that the block carries are compared.
///
/// # Errors
/// [`Error::KeyBlock`] if the text isn't a block; [`Error::NotPermitted`] or [`Error::Algorithm`] if the protection key isn't
/// one for blocks of this version; [`Error::KeyBlockMac`] if it is the wrong one or the block was changed; [`Error::Attributes`]
/// if the header contradicts itself; [`Error::Length`] or [`Error::CheckValue`] if the key doesn't fit it.
pub fn unwrap<'a>(protection: &Key, block: &'a [u8]) -> Result<Opened<'a>> {
    let header = Header::parse(block)?;
    let bytes = protects(protection, Operation::UnwrapBlock, header.version)?;
    if let Some((method, value)) = header.optionals().find_map(|optional| optional.check_value(*b"KP")) {
        kcv::check(protection, method, value.as_ref())?;
    }
    let (text, body) =
        block.split_at_checked(header.length).ok_or(Error::KeyBlock("its header is too long"))?;
    let ciphertext_length = body.len().checked_sub(2 * header.version.mac_length());
    let (ciphertext, mac) = ciphertext_length
        .and_then(|length| body.split_at_checked(length))
        .filter(|(ciphertext, _)| (ciphertext.len() / 2).is_multiple_of(header.version.granularity()))
        .ok_or(Error::KeyBlock("its body is not made of whole blocks and a code"))?;
    let mut payload = Secret::zeros(ciphertext.len() / 2);
    let mut code = [0; 16];
    let (code, _) = code.split_at_mut(header.version.mac_length());
    hex::decode_to_slice(ciphertext, payload.as_mut())
        .map_err(|_| Error::KeyBlock("its body is not hexadecimal"))?;
    hex::decode_to_slice(mac, code).map_err(|_| Error::KeyBlock("its code is not hexadecimal"))?;
    binding::open(header.version, bytes, text, payload.as_mut(), code)?;
    let key = key_of(&header, payload.as_ref())?;
    if let Some((method, value)) = header.optionals().find_map(|optional| optional.check_value(*b"KC")) {
        kcv::check(&key, method, value.as_ref())?;
    }
    Ok(Opened { key, header })
}

/// Where a block goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Into our own store: the attributes stay, and exportability is not asked.
    Storage,
    /// To someone else, who may hand the key on as this says.
    Receiver(Exportability),
}

/// What a block is to be.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its version.
    pub version: Version,
    /// Where it goes.
    pub destination: Destination,
    /// Optional blocks. A padding block is added as needed.
    pub optionals: &'a [Optional<'a>],
    /// Whether a TDES or AES key is filled up to the length of the longest (X9.143, 5.2.1), as new systems do.
    pub hide_length: bool,
}

/// Writes the block of `key` under `protection` to `out`, in place of what was there. `random` is fresh randomness.
///
/// # Errors
/// [`Error::NotPermitted`] or [`Error::Algorithm`] if the protection key isn't one for blocks of this version;
/// [`Error::NotExportable`] if the key may not go there; [`Error::Weaker`] if the protection is weaker than the key, which only
/// a sensitive key suffers; [`Error::KeyBlock`] if the key's attributes have no codes, or the block would be too long.
pub fn wrap(
    protection: &Key,
    key: &Key,
    request: &Request<'_>,
    random: &[u8; 32],
    out: &mut String,
) -> Result<()> {
    let bytes = protects(protection, Operation::WrapBlock, request.version)?;
    let mut attributes = *key.attributes();
    let held = attributes.exportability;
    let context = match request.destination {
        Destination::Storage => Context::Storage,
        Destination::Receiver(theirs) if held.covers(theirs) => {
            attributes.exportability = theirs;
            Context::Any
        }
        Destination::Receiver(_) => return Err(Error::NotExportable),
    };
    if held != Exportability::Sensitive
        && key.strength().is_some_and(|strength| Some(strength) > protection.strength())
    {
        return Err(Error::Weaker);
    }
    let mut payload = payload_of(key, request, random)?;
    let body = 2 * (payload.as_ref().len() + request.version.mac_length());
    header::write(request.version, &attributes, context, request.optionals, body, out)?;
    let mac = binding::seal(request.version, bytes, out.as_bytes(), payload.as_mut())?;
    push_hex(out, payload.as_ref());
    push_hex(out, mac.get(..request.version.mac_length()).unwrap_or_default());
    Ok(())
}

/// The bytes of a key that may protect blocks of this version.
fn protects(protection: &Key, operation: Operation, version: Version) -> Result<&[u8]> {
    let bytes = protection.permitted(operation)?;
    let attributes = protection.attributes();
    if attributes.algorithm != version.algorithm() {
        return Err(Error::Algorithm { what: "this key block version", algorithm: attributes.algorithm });
    }
    // X9.143 has no key for ISO 20038's version E, and that standard has none for A, B and C.
    let right = match version {
        Version::A | Version::B | Version::C => attributes.usage == Usage::KeyBlockProtection,
        Version::D => true,
        Version::E => attributes.usage == Usage::Iso20038Protection,
    };
    if right {
        Ok(bytes)
    } else {
        Err(Error::NotPermitted { usage: attributes.usage, mode: attributes.mode, operation })
    }
}

/// The key of a deciphered payload: its length in bits, the key, padding.
fn key_of(header: &Header<'_>, payload: &[u8]) -> Result<Key> {
    let (bits, rest) = payload.split_first_chunk().ok_or(Error::KeyBlock("it has no key"))?;
    let bits = usize::from(u16::from_be_bytes(*bits));
    let bytes = rest.get(..bits / 8).filter(|_| bits.is_multiple_of(8));
    let bytes = bytes.ok_or(Error::KeyBlock("the length of its key is wrong"))?;
    // The one example of version E breaks X9.143's table of modes, and ISO 20038 has none.
    if header.version != Version::E {
        header.attributes.consistent()?;
    }
    Key::unchecked(header.attributes, Secret::from_slice(bytes))
}

/// The clear payload of a key.
fn payload_of(key: &Key, request: &Request<'_>, random: &[u8; MOST_PADDING]) -> Result<Secret> {
    let bytes = key.bytes();
    let longest = match key.attributes().algorithm {
        Algorithm::Tdes | Algorithm::Des if request.hide_length => 24,
        Algorithm::Aes if request.hide_length => 32,
        _ => 0,
    };
    let length = (2 + bytes.len().max(longest)).next_multiple_of(request.version.granularity());
    let bits = u16::try_from(bytes.len() * 8).map_err(|_| Error::KeyBlock("its key is too long"))?;
    let mut payload = Secret::zeros(length);
    let content = bits.to_be_bytes();
    let content = content.iter().chain(bytes).chain(random);
    payload.as_mut().iter_mut().zip(content).for_each(|(to, from)| *to = *from);
    Ok(payload)
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 });
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]));
}

/// Bytes on the stack that a text of hexadecimal digits stands for.
#[derive(Debug, Clone)]
struct ShortBytes {
    bytes: [u8; 8],
    length: usize,
}

impl AsRef<[u8]> for ShortBytes {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
