//! Amounts of money, exactly: minor units of an ISO 4217 currency, never a floating-point number.

use crate::error::Error;

/// ISO 4217 currencies that don't have two minor digits.
const MINOR_DIGITS: &[(usize, &[&str])] = &[
    (
        0,
        &[
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV",
            "XAF", "XOF", "XPF",
        ],
    ),
    (3, &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]),
    (4, &["CLF", "UYW"]),
];

/// How many digits stand after the point.
fn minor_digits(currency: &str) -> usize {
    let known = MINOR_DIGITS.iter().find(|(_, currencies)| currencies.contains(&currency));
    known.map_or(2, |(digits, _)| *digits)
}

/// Reads an amount as a person types it, such as `12.34`, into minor units.
///
/// # Errors
/// Anything but digits with at most one point, more digits after it than the currency has, zero, or too much.
pub(crate) fn parse(text: &str, currency: &str) -> Result<u64, Error> {
    if currency.len() != 3 || !currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return Err(Error::Usage(format!(
            "`{currency}` is no currency: use three capital letters, such as CNY"
        )));
    }
    let digits = minor_digits(currency);
    let wrong = |why: &str| Err(Error::Usage(format!("`{text}` is no amount in {currency}: {why}")));
    let (major, minor) = text.split_once('.').unwrap_or((text, ""));
    if text.ends_with('.')
        || major.is_empty()
        || !major.bytes().chain(minor.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return wrong("use digits and one point, such as 12.34");
    }
    if minor.len() > digits {
        return wrong(&format!("it has {digits} digits after the point"));
    }
    match format!("{major}{minor:0<digits$}").parse() {
        Ok(0) => wrong("nothing can't be sold for"),
        Ok(amount) => Ok(amount),
        Err(_) => wrong("it is too much"),
    }
}

/// Writes minor units as a person reads them: `12.34`.
pub(crate) fn format(amount: u64, currency: &str) -> String {
    let digits = minor_digits(currency);
    let text = format!("{amount:0>width$}", width = digits.saturating_add(1));
    match text.split_at_checked(text.len().saturating_sub(digits)) {
        Some((major, minor)) if !minor.is_empty() => format!("{major}.{minor}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_in_the_digits_of_their_currency() {
        for (text, currency, amount) in [
            ("12.34", "CNY", 1234),
            ("12.3", "CNY", 1230),
            ("12", "CNY", 1200),
            ("0.01", "CNY", 1),
            ("0.29", "USD", 29),
            ("500", "JPY", 500),
            ("1.234", "KWD", 1234),
            ("184467440737095516.15", "EUR", u64::MAX),
        ] {
            assert_eq!(parse(text, currency).unwrap(), amount, "{text} {currency}");
            assert_eq!(parse(&format(amount, currency), currency).unwrap(), amount);
        }
        assert_eq!(format(5, "CNY"), "0.05");
        assert_eq!(format(5, "JPY"), "5");
        assert_eq!(format(1234, "KWD"), "1.234");
    }

    #[test]
    fn what_is_no_exact_amount_is_refused() {
        for (text, currency) in [
            ("", "CNY"),
            ("0.00", "CNY"),
            ("-1", "CNY"),
            ("+1", "CNY"),
            ("1,50", "CNY"),
            ("1.234", "CNY"),
            ("1.", "CNY"),
            (".5", "CNY"),
            ("1e3", "CNY"),
            ("1.2.3", "CNY"),
            ("１", "CNY"),
            ("1.5", "JPY"),
            ("184467440737095516.16", "EUR"),
            ("1", "cny"),
            ("1", "YUAN"),
        ] {
            assert!(parse(text, currency).is_err(), "{text} {currency}");
        }
    }
}
