//! QRCPS Merchant-Presented Mode 1.1: a code that the merchant shows, read and made.
//!
//! A code is a list of data objects: an id of two digits, a length of two digits that counts characters, a value.
//! Some values are lists again (templates). [`MerchantCode`] borrows a text that has been checked as a whole;
//! [`Builder`] makes one, and lets the same checks decide.

mod build;
mod object;
mod rules;

pub use build::{Builder, encode};
pub use object::{Object, Objects};

use crate::error::{Problem, Result};
use crate::{MAX_LENGTH, decimal};

/// The ids under the root that EMVCo has allocated (Table 3.6).
pub mod id {
    /// Payload Format Indicator.
    pub const FORMAT: u8 = 0;
    /// Point of Initiation Method.
    pub const INITIATION: u8 = 1;
    /// Merchant Account Information: from here, to [`LAST_ACCOUNT`]. Those from 26 are templates.
    pub const FIRST_ACCOUNT: u8 = 2;
    /// The last Merchant Account Information.
    pub const LAST_ACCOUNT: u8 = 51;
    /// Merchant Category Code.
    pub const CATEGORY: u8 = 52;
    /// Transaction Currency.
    pub const CURRENCY: u8 = 53;
    /// Transaction Amount.
    pub const AMOUNT: u8 = 54;
    /// Tip or Convenience Indicator.
    pub const TIP: u8 = 55;
    /// Value of Convenience Fee Fixed.
    pub const FEE_FIXED: u8 = 56;
    /// Value of Convenience Fee Percentage.
    pub const FEE_PERCENTAGE: u8 = 57;
    /// Country Code.
    pub const COUNTRY: u8 = 58;
    /// Merchant Name.
    pub const NAME: u8 = 59;
    /// Merchant City.
    pub const CITY: u8 = 60;
    /// Postal Code.
    pub const POSTAL_CODE: u8 = 61;
    /// Additional Data Field Template.
    pub const ADDITIONAL: u8 = 62;
    /// CRC.
    pub const CRC: u8 = 63;
    /// Merchant Information—Language Template.
    pub const LANGUAGE: u8 = 64;
}

/// The checksum of 4.7.3: polynomial 1021, initial value FFFF, over the UTF-8 bytes.
const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_IBM_3740);

/// How often a code is used (4.7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiation {
    /// The same code is shown for more than one transaction.
    Static,
    /// A new code is shown for each transaction.
    Dynamic,
}

/// What is paid beside the amount (4.7.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tip<'a> {
    /// The customer is asked for a tip.
    Prompt,
    /// A fee, in the transaction's currency: digits with at most one point.
    Fixed(&'a str),
    /// A fee of so many hundredths of the amount: `00.01` to `99.99`.
    Percentage(&'a str),
}

/// A merchant's code that has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MerchantCode<'a> {
    text: &'a str,
}

impl<'a> MerchantCode<'a> {
    /// Reads a code that has all that Table 3.6 makes mandatory.
    ///
    /// # Errors
    /// What breaks the specification first, and where.
    pub fn parse(text: &'a str) -> Result<Self> {
        let code = Self::parse_domestic(text)?;
        rules::check_presence(text)?;
        Ok(code)
    }

    /// Reads a code that may lack mandatory data objects, as those of some domestic schemes do: PromptPay leaves
    /// category, name and city out. What is there is checked all the same.
    ///
    /// # Errors
    /// What breaks the specification first, and where.
    pub fn parse_domestic(text: &'a str) -> Result<Self> {
        if text.len() > MAX_LENGTH {
            return Err(Problem::Length { min: 1, max: MAX_LENGTH, got: text.len() }.at("code"));
        }
        check_crc(text)?;
        rules::check(text)?;
        Ok(Self { text })
    }

    /// The text that was read.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The data objects under the root, in their order.
    pub fn objects(&self) -> impl Iterator<Item = Object<'a>> + use<'a> {
        Objects::new(self.text).flatten()
    }

    /// The value at `path`, ids from the root on: `&[62, 7]` is the Terminal Label.
    #[must_use]
    pub fn get(&self, path: &[u8]) -> Option<&'a str> {
        path.iter().try_fold(self.text, |text, id| {
            Objects::new(text).flatten().find(|object| object.id == *id).map(|object| object.value)
        })
    }

    /// How often the code is used, if it says.
    #[must_use]
    pub fn initiation(&self) -> Option<Initiation> {
        self.get(&[id::INITIATION]).map(|value| match value {
            "12" => Initiation::Dynamic,
            _ => Initiation::Static,
        })
    }

    /// Merchant Account Information: one data object for each payment system that takes the code.
    pub fn accounts(&self) -> impl Iterator<Item = Object<'a>> + use<'a> {
        self.objects().filter(|object| (id::FIRST_ACCOUNT..=id::LAST_ACCOUNT).contains(&object.id))
    }

    /// The amount in minor units of a currency with `exponent` digits after the point.
    ///
    /// # Errors
    /// If it has more digits than that, or is beyond 64 bits.
    pub fn amount(&self, exponent: u8) -> Result<Option<u64>> {
        let Some(text) = self.get(&[id::AMOUNT]) else { return Ok(None) };
        let amount = decimal::to_minor(text, exponent);
        amount.map(Some).ok_or(Problem::Expected("an amount with the digits of its currency").at("54"))
    }

    /// What is paid beside the amount.
    #[must_use]
    pub fn tip(&self) -> Option<Tip<'a>> {
        match self.get(&[id::TIP])? {
            "01" => Some(Tip::Prompt),
            "02" => self.get(&[id::FEE_FIXED]).map(Tip::Fixed),
            _ => self.get(&[id::FEE_PERCENTAGE]).map(Tip::Percentage),
        }
    }
}

/// 4.7.3: the last eight characters are id 63, length 04 and the checksum of all before it.
fn check_crc(text: &str) -> Result<()> {
    let split = text.len().checked_sub(4).and_then(|end| text.split_at_checked(end));
    let Some((covered, digits)) = split.filter(|(covered, _)| covered.ends_with("6304")) else {
        return Err(Problem::Misplaced("last").at("63"));
    };
    if digits.eq_ignore_ascii_case(&checksum(covered)) { Ok(()) } else { Err(Problem::Checksum.at("63")) }
}

/// The four digits of id 63 for a text that ends in `6304`.
fn checksum(covered: &str) -> String {
    format!("{:04X}", CRC.checksum(covered.as_bytes()))
}
