//! EMV Book 3 clause 5 and 7: the data objects of one transaction, and where each came from.

use core::fmt;

use tlv::{Buffer, Dol, Output, Tag, is_sensitive, meanings, tags};

use crate::bytes::Bytes;
use crate::objects::Objects;
use crate::outcome::Reason;

/// Card data that may not be shown: a PAN, or track 2. Its `Debug` gives the length alone.
#[derive(Clone, Copy)]
pub struct Sensitive<'a>(pub(crate) &'a [u8]);

impl<'a> Sensitive<'a> {
    /// The bytes, for the secure module. Never for a log, a message or a screen.
    pub fn expose(&self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for Sensitive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// The most bytes of field 55 (ISO 8583, DE 55).
pub const MAX_FIELD_55: usize = 255;

/// Why there is no field 55.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Field55Error {
    /// A tag may not leave the kernel in the clear.
    #[error("data element {0} is sensitive and has no place in field 55: seal it with the secure module")]
    Sensitive(Tag),
    /// The data objects are too long together; their number of bytes.
    #[error("the data elements take {0} bytes and field 55 has room for {MAX_FIELD_55}: ask for fewer")]
    TooLong(usize),
}

/// What records, GET PROCESSING OPTIONS and SELECT do not say: a card that gives one of these there is not listened to.
const NOT_FROM_CARD: &[Tag] = &[
    // The response to GENERATE AC alone gives these, and GET DATA the counter.
    tags::CRYPTOGRAM,
    tags::CID,
    tags::IAD,
    tags::ATC,
    // The terminal may have none of these; then nobody has.
    tags::AMOUNT_AUTHORISED_BINARY,
    tags::AMOUNT_OTHER_BINARY,
    tags::AMOUNT_REFERENCE,
    tags::REFERENCE_CURRENCY,
    tags::ACQUIRER_IDENTIFIER,
    tags::MERCHANT_NAME,
    tags::POS_ENTRY_MODE,
    tags::ACCOUNT_TYPE,
    tags::PIN_DATA,
    tags::AUTHORISATION_CODE,
    tags::ARC,
    tags::ISSUER_AUTHENTICATION,
    tags::TC_HASH,
    tags::DATA_AUTHENTICATION_CODE,
    tags::ICC_DYNAMIC_NUMBER,
    tags::visa::SCRIPT_RESULTS,
];

/// The most data of a command (Book 1 clause 9.4).
pub(crate) const MAX_COMMAND_DATA: usize = 255;

/// Why the values that a DOL asks for are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unbuilt {
    /// The list is no list.
    Malformed,
    /// It asks for more than a command holds.
    TooLong,
}

impl Unbuilt {
    /// Why the transaction ends, if the list of this tag is to blame.
    pub(crate) fn reason(self, list: Tag) -> Reason {
        match self {
            Self::Malformed => Reason::DataMalformed(list),
            Self::TooLong => Reason::CommandTooLong,
        }
    }
}

/// What the terminal, the issuer and the card have said. A card can't override the terminal's own objects.
pub(crate) struct Data {
    terminal: Objects,
    /// From GET PROCESSING OPTIONS on, where a second occurrence is an error.
    card: Objects,
    /// From the final SELECT.
    fci: Objects,
}

impl Default for Data {
    /// With room for what a transaction mostly has, and twice that.
    fn default() -> Self {
        Self {
            terminal: Objects::with_room(64, 512),
            card: Objects::with_room(96, 3072),
            fci: Objects::with_room(24, 512),
        }
    }
}

impl Data {
    pub(crate) fn get(&self, tag: Tag) -> Option<&[u8]> {
        self.terminal.get(tag).or_else(|| self.card.get(tag)).or_else(|| self.fci.get(tag))
    }

    pub(crate) fn array<const N: usize>(&self, tag: Tag) -> Option<[u8; N]> {
        self.get(tag)?.try_into().ok()
    }

    /// A binary number of at most eight bytes.
    pub(crate) fn number(&self, tag: Tag) -> Option<u64> {
        let bytes = self.get(tag).filter(|bytes| !bytes.is_empty() && bytes.len() <= 8)?;
        Some(bytes.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte)))
    }

    pub(crate) fn set(&mut self, tag: Tag, value: &[u8]) {
        self.terminal.insert(tag, value);
    }

    /// Takes an object of the final SELECT; one that is too long is malformed.
    pub(crate) fn set_fci(&mut self, tag: Tag, value: &[u8]) -> Result<(), Reason> {
        if NOT_FROM_CARD.contains(&tag) {
            return Ok(());
        }
        check_length(tag, value)?;
        self.fci.insert(tag, value);
        Ok(())
    }

    /// Takes an object from the card, unless it is too long or the card gave it already (Book 3 clauses 7.2
    /// and 7.5).
    pub(crate) fn add_from_card(&mut self, tag: Tag, value: &[u8]) -> Result<(), Reason> {
        if NOT_FROM_CARD.contains(&tag) {
            return Ok(());
        }
        check_length(tag, value)?;
        if self.card.insert(tag, value) { Err(Reason::DataTwice(tag)) } else { Ok(()) }
    }

    /// Takes an object that the card may give anew, such as its cryptogram.
    pub(crate) fn replace_from_card(&mut self, tag: Tag, value: &[u8]) {
        self.card.insert(tag, value);
    }

    /// Forgets an object that the card has not given anew.
    pub(crate) fn remove_from_card(&mut self, tag: Tag) {
        self.card.remove(tag);
    }

    /// Forgets the application that was selected.
    pub(crate) fn forget_card(&mut self) {
        self.card.clear();
        self.fci.clear();
    }

    /// The values that a DOL asks for, as the data of a command.
    pub(crate) fn build(&self, dol: &[u8]) -> Result<Bytes<MAX_COMMAND_DATA>, Unbuilt> {
        let mut out = Bytes::default();
        match self.build_into(dol, &mut out) {
            Ok(()) => Ok(out),
            Err(tlv::Error::NoRoom) => Err(Unbuilt::TooLong),
            Err(_) => Err(Unbuilt::Malformed),
        }
    }

    /// The same, however many there are.
    pub(crate) fn build_into(&self, dol: &[u8], out: &mut impl Output) -> Result<(), tlv::Error> {
        let dol = Dol::new(dol);
        // Before anything is written: what is malformed is not too long.
        dol.total_length()?;
        dol.build(out, |tag| self.get(tag))
    }

    pub(crate) fn field_55<'r>(
        &self,
        wanted: &[Tag],
        room: &'r mut [u8; MAX_FIELD_55],
    ) -> Result<&'r [u8], Field55Error> {
        let mut out = Counted { out: Buffer::new(room), length: 0 };
        for &tag in wanted {
            if is_sensitive(tag) || tag.is_constructed() {
                return Err(Field55Error::Sensitive(tag));
            }
            if let Some(value) = self.get(tag) {
                // What there is no room for is counted.
                let _ = tlv::write(&mut out, tag, value);
            }
        }
        let length = out.length;
        room.get(..length).ok_or(Field55Error::TooLong(length))
    }

    /// First six and last four digits of the PAN, the rest as asterisks.
    pub(crate) fn masked_pan(&self) -> Option<String> {
        let pan = self.get(tags::PAN)?;
        let digits = digits(pan)?;
        let digits = core::str::from_utf8(&digits).ok()?;
        let hidden = digits.len().checked_sub(10).filter(|_| digits.len() >= 12)?;
        let (first, rest) = digits.split_at_checked(6)?;
        let (_, last) = rest.split_at_checked(hidden)?;
        Some(format!("{first}{}{last}", "*".repeat(hidden)))
    }
}

/// Writes what fits, and counts all.
struct Counted<'r> {
    out: Buffer<'r>,
    length: usize,
}

impl Output for Counted<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), tlv::Error> {
        self.length += bytes.len();
        if self.length > MAX_FIELD_55 { Ok(()) } else { self.out.put(bytes) }
    }
}

/// Book 3 clause 7.5 and Annex A: a value that is longer than its element is in the wrong format; where the payment
/// systems differ in what the tag means, longer than each of them.
fn check_length(tag: Tag, value: &[u8]) -> Result<(), Reason> {
    let longest = meanings(tag).map(|element| element.max_length).max();
    let fits = longest.is_none_or(|longest| value.len() <= longest);
    if fits { Ok(()) } else { Err(Reason::DataMalformed(tag)) }
}

/// The digits of a compressed numeric value in ASCII, without its padding; `None` if something else is in it, or it is longer than
/// a PAN.
pub(crate) fn digits(bytes: &[u8]) -> Option<Bytes<20>> {
    let mut out = Bytes::default();
    let mut ended = false;
    for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]) {
        match nibble {
            0..=9 if !ended => out.put(&[b'0' + nibble]).ok()?,
            0x0F => ended = true,
            _ => return None,
        }
    }
    Some(out)
}

/// An amount or counter as `N` bytes of BCD; the digits beyond are lost, which the caller has excluded.
pub(crate) fn bcd<const N: usize>(mut number: u64) -> [u8; N] {
    let mut out = [0; N];
    for byte in out.iter_mut().rev() {
        let pair = u8::try_from(number % 100).unwrap_or_default();
        *byte = (pair / 10) << 4 | (pair % 10);
        number /= 100;
    }
    out
}

/// A BCD date YYMMDD with its century (Book 3: years from 50 are of the twentieth), for comparing.
pub(crate) fn date(bcd: &[u8]) -> Option<[u8; 4]> {
    let &[year, month, day] = bcd else { return None };
    Some([if year >= 0x50 { 0x19 } else { 0x20 }, year, month, day])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_pan(pan: &str) -> Data {
        let mut data = Data::default();
        data.add_from_card(tags::PAN, &hex::decode(pan).unwrap()).unwrap();
        data
    }

    #[test]
    fn a_masked_pan_keeps_six_and_four_digits() {
        assert_eq!(with_pan("6228480000001234567F").masked_pan().unwrap(), "622848*********4567");
        assert_eq!(with_pan("4761739001010010").masked_pan().unwrap(), "476173******0010");
    }

    #[test]
    fn a_pan_too_short_to_mask_is_not_shown_at_all() {
        assert_eq!(with_pan("62284812345F").masked_pan(), None);
        assert_eq!(with_pan("6228F80000001234").masked_pan(), None);
    }

    #[test]
    fn field_55_refuses_sensitive_tags_and_leaves_out_absent_ones() {
        let (mut data, room) = (with_pan("4761739001010010"), &mut [0; MAX_FIELD_55]);
        data.set(tags::TVR, &[0; 5]);
        assert_eq!(data.field_55(&[tags::PAN], room), Err(Field55Error::Sensitive(tags::PAN)));
        assert_eq!(data.field_55(&[tags::ATC, tags::TVR], room).unwrap(), [0x95, 5, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn field_55_of_more_than_255_bytes_is_refused() {
        let (mut data, room) = (Data::default(), &mut [0; MAX_FIELD_55]);
        data.add_from_card(tags::CVM_LIST, &[0; 252]).unwrap();
        assert_eq!(data.field_55(&[tags::CVM_LIST], room).unwrap().len(), 255);
        data.set(tags::TRANSACTION_TYPE, &[0]);
        let wanted = [tags::CVM_LIST, tags::TRANSACTION_TYPE];
        assert_eq!(data.field_55(&wanted, room), Err(Field55Error::TooLong(258)));
    }

    #[test]
    fn what_the_acquirer_wants_fits_field_55_at_its_longest() {
        let mut data = Data::default();
        for &tag in crate::FIELD_55 {
            data.set(tag, &vec![0; meanings(tag).next().unwrap().max_length]);
        }
        assert!(data.field_55(crate::FIELD_55, &mut [0; MAX_FIELD_55]).is_ok());
    }

    #[test]
    fn a_value_is_taken_up_to_its_longest_and_no_longer() {
        let tag = tags::unionpay::PRODUCT_IDENTIFICATION;
        assert_eq!(Data::default().add_from_card(tag, &[0; 16]), Ok(()));
        assert_eq!(Data::default().add_from_card(tag, &[0; 17]), Err(Reason::DataMalformed(tag)));
        assert_eq!(Data::default().set_fci(tags::PDOL, &[0; 252]), Ok(()));
        assert_eq!(Data::default().set_fci(tags::PDOL, &[0; 253]), Err(Reason::DataMalformed(tags::PDOL)));
    }

    #[test]
    fn the_card_cannot_override_the_terminal() {
        let mut data = Data::default();
        data.set(tags::AMOUNT_AUTHORISED, &bcd::<6>(1234));
        data.add_from_card(tags::AMOUNT_AUTHORISED, &[0; 6]).unwrap();
        data.add_from_card(tags::ARC, b"00").unwrap();
        assert_eq!(data.get(tags::ARC), None);
        assert_eq!(data.get(tags::AMOUNT_AUTHORISED), Some(&[0, 0, 0, 0, 0x12, 0x34][..]));
    }

    #[test]
    fn years_from_fifty_are_of_the_last_century() {
        assert!(date(&[0x99, 0x12, 0x31]) < date(&[0x26, 0x01, 0x01]));
    }
}
