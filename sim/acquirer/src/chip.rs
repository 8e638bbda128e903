//! Data element 55: the chip data of a request, checked to be exactly what the dialect asks for.

use std::collections::BTreeMap;

use keys::emv::CryptogramInput;
use tlv::{Reader, Tag};

use crate::request::{FORMAT, Refusal};

/// The tags that a request carries, each with its shortest and longest length.
const TAGS: [(u32, usize, usize); 20] = [
    (0x9F26, 8, 8),
    (0x9F27, 1, 1),
    (0x9F10, 8, 32),
    (0x9F37, 4, 4),
    (0x9F36, 2, 2),
    (0x95, 5, 5),
    (0x9A, 3, 3),
    (0x9C, 1, 1),
    (0x9F02, 6, 6),
    (0x5F2A, 2, 2),
    (0x82, 2, 2),
    (0x9F1A, 2, 2),
    (0x9F03, 6, 6),
    (0x9F33, 3, 3),
    (0x9F34, 3, 3),
    (0x9F35, 1, 1),
    (0x9F1E, 8, 8),
    (0x84, 5, 16),
    (0x9F09, 2, 2),
    (0x9F41, 2, 4),
];

/// Card product identification: only some cards have it.
const OPTIONAL: (u32, usize, usize) = (0x9F63, 16, 16);

/// The chip data of one request.
#[derive(Debug)]
pub struct ChipData<'a> {
    values: BTreeMap<u32, &'a [u8]>,
}

impl<'a> ChipData<'a> {
    /// Reads DE 55.
    ///
    /// # Errors
    /// Code 30 for bytes that are no TLV, and for a tag that is missing, unexpected, repeated or of another length.
    pub fn parse(bytes: &'a [u8]) -> Result<ChipData<'a>, Refusal> {
        let mut values = BTreeMap::new();
        for tlv in Reader::new(bytes) {
            let tlv = tlv.map_err(|error| Refusal::new(FORMAT, format!("DE 55: {error}")))?;
            let tag = tlv.tag.number();
            let row = TAGS.iter().chain([&OPTIONAL]).find(|row| row.0 == tag);
            let Some((_, min, max)) = row else {
                return Err(Refusal::new(FORMAT, format!("DE 55: tag {} does not belong there", tlv.tag)));
            };
            if !(*min..=*max).contains(&tlv.value.len()) {
                let got = tlv.value.len();
                let reason = format!("DE 55: tag {}: expected {min} to {max} bytes, got {got}", tlv.tag);
                return Err(Refusal::new(FORMAT, reason));
            }
            if values.insert(tag, tlv.value).is_some() {
                return Err(Refusal::new(FORMAT, format!("DE 55: tag {} twice", tlv.tag)));
            }
        }
        match TAGS.iter().find(|row| !values.contains_key(&row.0)) {
            Some((tag, _, _)) => Err(Refusal::new(FORMAT, format!("DE 55: tag {} missing", Tag::new(*tag)))),
            None => Ok(ChipData { values }),
        }
    }

    /// The value of `tag`, which has `N` bytes.
    ///
    /// # Errors
    /// Code 30 if it has not.
    pub fn get<const N: usize>(&self, tag: u32) -> Result<[u8; N], Refusal> {
        let value = self.values.get(&tag).and_then(|value| value.first_chunk::<N>());
        value.copied().ok_or_else(|| Refusal::new(FORMAT, format!("DE 55: tag {} too short", Tag::new(tag))))
    }

    /// What the card computed its cryptogram over. The card verification results are bytes 4 to 7 of the
    /// issuer application data (9F10).
    ///
    /// # Errors
    /// Code 30 for issuer application data of another layout.
    pub fn cryptogram_input(&self) -> Result<CryptogramInput, Refusal> {
        let issuer_data: [u8; 8] = self.get(0x9F10)?;
        let [0x07, 0x01, 0x01, a, b, c, d, _] = issuer_data else {
            return Err(Refusal::new(
                FORMAT,
                "DE 55: tag 9F10: expected key index 01, cryptogram version 01",
            ));
        };
        let [transaction_type] = self.get(0x9C)?;
        Ok(CryptogramInput {
            amount_authorised: self.get(0x9F02)?,
            amount_other: self.get(0x9F03)?,
            terminal_country: self.get(0x9F1A)?,
            tvr: self.get(0x95)?,
            currency: self.get(0x5F2A)?,
            date: self.get(0x9A)?,
            transaction_type,
            unpredictable_number: self.get(0x9F37)?,
            aip: self.get(0x82)?,
            atc: self.get(0x9F36)?,
            cvr: [a, b, c, d],
        })
    }
}
