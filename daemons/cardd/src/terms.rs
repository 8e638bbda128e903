//! What a transaction is for, as `CardPayment1.Start` is asked for it: read, and refused where it is wrong.

use jiff::civil::DateTime;
use secure_module::Amount;
use service::{Error, Result, currency};

/// The largest amount, in minor units: 9F02 has 12 digits.
const MAX_AMOUNT: u64 = 999_999_999_999;
/// The largest transaction sequence counter: 9F41 has 8 digits.
const MAX_COUNTER: u32 = 99_999_999;
/// 9C: goods and services.
const GOODS_AND_SERVICES: u8 = 0x00;
/// How many random bytes a transaction is made with.
pub(crate) const ENTROPY: u16 = 8;

/// A purchase of goods or services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purchase {
    amount: Amount,
    date: [u8; 3],
    time: [u8; 3],
    counter: u32,
}

impl Purchase {
    /// Reads what `Start` was given: minor units, three letters of ISO 4217, `YYMMDDhhmmss`, up to eight
    /// digits.
    pub(crate) fn new(minor_units: u64, currency: &str, when: &str, counter: u32) -> Result<Purchase> {
        if !(1..=MAX_AMOUNT).contains(&minor_units) {
            let problem = format!("{minor_units} is not from 1 to {MAX_AMOUNT} minor units");
            return Err(Error::invalid("amount", problem));
        }
        let currency = currency::by_letters(currency).ok_or_else(|| {
            Error::invalid("currency", "it is none that we know; give three capital letters of ISO 4217")
        })?;
        if counter > MAX_COUNTER {
            return Err(Error::invalid("counter", format!("{counter} has more than eight digits")));
        }
        let (date, time) = date_and_time(when)
            .ok_or_else(|| Error::invalid("when", "give an existing local time as YYMMDDhhmmss"))?;
        let amount = Amount { minor_units, currency: currency.code, exponent: currency.exponent };
        Ok(Purchase { amount, date, time, counter })
    }

    /// What the PIN pad shows.
    pub(crate) fn amount(&self) -> Amount {
        self.amount
    }

    /// The purchase as the kernel takes it; `entropy` is fresh from the module.
    pub(crate) fn transaction(&self, entropy: [u8; 8]) -> emv::Transaction {
        let [a, b, c, d, rest @ ..] = entropy;
        // Over 32 bits the remainder favours no percentage by more than one part in 40 million.
        let percent = u32::from_be_bytes(rest) % 99 + 1;
        emv::Transaction {
            kind: GOODS_AND_SERVICES,
            amount: self.amount.minor_units,
            other: 0,
            currency: self.amount.currency,
            currency_exponent: self.amount.exponent,
            date: self.date,
            time: self.time,
            unpredictable_number: [a, b, c, d],
            random_percent: u8::try_from(percent).unwrap_or(1),
            sequence: self.counter,
            force_online: false,
        }
    }
}

/// BCD date and time of twelve digits that are an existing moment.
fn date_and_time(when: &str) -> Option<([u8; 3], [u8; 3])> {
    if when.len() != 12 || !when.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    DateTime::strptime("%y%m%d%H%M%S", when).ok()?;
    let mut bcd = [0; 6];
    for (byte, pair) in bcd.iter_mut().zip(when.as_bytes().chunks_exact(2)) {
        *byte = pair.iter().fold(0, |packed, digit| packed << 4 | (digit & 0x0F));
    }
    let [year, month, day, hour, minute, second] = bcd;
    Some(([year, month, day], [hour, minute, second]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(purchase: Result<Purchase>) -> String {
        match purchase {
            Err(Error::InvalidArgument(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_purchase_becomes_what_the_kernel_takes() {
        let purchase = Purchase::new(1234, "CNY", "261122235959", 7).unwrap();
        let transaction = purchase.transaction([1, 2, 3, 4, 0, 0, 0, 98]);
        assert_eq!((transaction.amount, transaction.other), (1234, 0));
        assert_eq!((transaction.currency, transaction.currency_exponent), (156, 2));
        assert_eq!((transaction.date, transaction.time), ([0x26, 0x11, 0x22], [0x23, 0x59, 0x59]));
        assert_eq!((transaction.unpredictable_number, transaction.random_percent), ([1, 2, 3, 4], 99));
    }

    #[test]
    fn each_argument_is_checked_and_named() {
        let when = "261122235959";
        assert!(refused(Purchase::new(0, "CNY", when, 1)).starts_with("amount: "));
        assert!(refused(Purchase::new(1_000_000_000_000, "CNY", when, 1)).starts_with("amount: "));
        assert!(refused(Purchase::new(1, "cny", when, 1)).starts_with("currency: "));
        assert!(refused(Purchase::new(1, "CNY", when, 100_000_000)).starts_with("counter: "));
        for wrong in
            ["", "2611222359", "261322235959", "260230120000", "261122246000", "26112223595x", "２６１１"]
        {
            assert!(refused(Purchase::new(1, "CNY", wrong, 1)).starts_with("when: "), "{wrong}");
        }
    }
}
