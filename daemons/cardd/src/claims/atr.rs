//! What an app sees of an answer to reset (ISO/IEC 7816-3, 8.2): all but the historical bytes, in which issuers may write whose card it is.

/// The bit of T0 and TD that says that a TD follows.
const TD: u8 = 0x80;

/// `atr` as of a card without historical bytes; none where it ends early.
pub(super) fn without_historical(atr: &[u8]) -> Option<Vec<u8>> {
    let (&[ts, t0], rest) = atr.split_first_chunk()?;
    let (mut indicator, mut length, mut checked) = (t0, 0_usize, false);
    loop {
        length += [0x10, 0x20, 0x40, TD].iter().filter(|bit| indicator & **bit != 0).count();
        if indicator & TD == 0 {
            break;
        }
        indicator = *rest.get(length.checked_sub(1)?)?;
        checked |= indicator & 0x0F != 0;
    }
    let mut shown = vec![ts, t0 & 0xF0];
    shown.extend(rest.get(..length)?);
    // TCK is there unless T=0 alone is offered.
    if checked {
        shown.push(shown.iter().skip(1).fold(0, |sum, byte| sum ^ byte));
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_reset_is_shown_without_its_historical_bytes() {
        for (atr, shown) in [
            ("3B00", "3B00"),
            ("3B6500002063CB6600", "3B600000"),
            // T=0 and T=1, with a TCK that is made anew.
            ("3B8B800101020304050607080900010A", "3B80800101"),
            ("3BE300008131FE454142431B", "3BE000008131FE45EB"),
            ("3F2F008069AF0204013600000AFF9000", "3F2000"),
        ] {
            let seen = without_historical(&hex::decode(atr).unwrap()).map(hex::encode_upper);
            assert_eq!(seen.as_deref(), Some(shown), "{atr}");
        }
        for early in ["", "3B", "3B10", "3B80", "3B8080", "3BE00000"] {
            assert_eq!(without_historical(&hex::decode(early).unwrap()), None, "{early}");
        }
    }
}
