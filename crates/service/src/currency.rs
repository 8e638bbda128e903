//! ISO 4217: the currencies that a terminal can be asked to take.

/// A currency as the host, EMV and the PIN pad count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency {
    /// The numeric code: 156 for CNY.
    pub code: u16,
    /// How many digits the minor unit has: 2 for CNY.
    pub exponent: u8,
}

const CURRENCIES: &[(&str, u16, u8)] = &[
    ("CNY", 156, 2),
    ("EUR", 978, 2),
    ("GBP", 826, 2),
    ("HKD", 344, 2),
    ("JPY", 392, 0),
    ("MOP", 446, 2),
    ("SGD", 702, 2),
    ("THB", 764, 2),
    ("USD", 840, 2),
];

/// The currency with these three letters; `None` for one that is not in the table.
#[must_use]
pub fn by_letters(letters: &str) -> Option<Currency> {
    let (_, code, exponent) = CURRENCIES.iter().find(|(name, ..)| *name == letters)?;
    Some(Currency { code: *code, exponent: *exponent })
}
