//! QRCPS Merchant-Presented Mode 4.7.4, 4.7.7 and 4.7.8: amounts and percentages as digits with at most one point.

/// Whether `text` is digits with at most one `.` among or after them.
pub(crate) fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    !whole.is_empty() && digits(whole) && digits(fraction)
}

/// `text` in minor units of a currency with `exponent` digits after the point; `None` if it is no amount, has more
/// digits than that, or is beyond 64 bits.
#[must_use]
pub fn to_minor(text: &str, exponent: u8) -> Option<u64> {
    if !is_decimal(text) {
        return None;
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let missing = usize::from(exponent).checked_sub(fraction.len())?;
    let digits = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing));
    digits
        .map(|digit| u64::from(digit - b'0'))
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(digit))
}

/// `minor` units of a currency with `exponent` digits after the point, as text: `1234` with 2 is `12.34`.
#[must_use]
pub fn from_minor(minor: u64, exponent: u8) -> String {
    let exponent = usize::from(exponent);
    let digits = format!("{minor:0width$}", width = exponent + 1);
    match digits.split_at_checked(digits.len() - exponent) {
        Some((whole, fraction)) if !fraction.is_empty() => format!("{whole}.{fraction}"),
        _ => digits,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_valid_and_invalid_examples_of_4_7_4_1_are_told_apart() {
        for good in ["98.73", "98", "98."] {
            assert!(is_decimal(good), "{good}");
        }
        for bad in ["98,73", "3 705", "", ".", ".5", "1.2.3", "-1", "+1"] {
            assert!(!is_decimal(bad), "{bad}");
        }
    }

    #[test]
    fn minor_units_follow_the_exponent_of_the_currency() {
        assert_eq!(to_minor("98.", 2), Some(9800));
        assert_eq!(to_minor("98.7", 2), Some(9870));
        assert_eq!(to_minor("500", 0), Some(500));
        assert_eq!(to_minor("98.731", 2), None);
        assert_eq!(to_minor("99999999999999999999", 0), None);
        assert_eq!(from_minor(5, 2), "0.05");
        assert_eq!(from_minor(500, 0), "500");
    }

    proptest! {
        #[test]
        fn an_amount_is_read_back_as_written(minor: u64, exponent in 0_u8..5) {
            prop_assert_eq!(to_minor(&from_minor(minor, exponent), exponent), Some(minor));
        }
    }
}
