//! The sums of a batch in a reconciliation, and the host's verdict on them: packed into DE 48 (UnionPay), or in the elements
//! that ISO 8583:1987 has for them.

use iso8583::{Message, Sums};

use super::{HostError, dialect};
use crate::transaction::{Sum, Totals};

/// The most that DE 48 can say of one side. A batch with more is told as this much: then the host finds it out of balance,
/// and has all of it uploaded.
const MOST: Sum = Sum { count: 999, amount: 999_999_999_999 };
/// Where the verdict on the domestic sums stands in DE 48: after two sums of 12 and 3 digits.
const VERDICT: usize = 30;
/// Settlement code, with the digits of the verdict in DE 48.
const SETTLEMENT_CODE: u8 = 66;

/// The elements that say `totals`.
pub(super) fn elements(sums: Sums, totals: &Totals) -> Vec<(u8, String)> {
    let Totals { debit, credit, .. } = totals;
    match sums {
        Sums::Packed => vec![(48, packed(debit, credit))],
        Sums::Elements => vec![
            (74, format!("{:010}", credit.count)),
            (76, format!("{:010}", debit.count)),
            (86, format!("{:016}", credit.amount)),
            (88, format!("{:016}", debit.amount)),
        ],
    }
}

/// Debit, credit and a verdict that the host fills in; for domestic cards, then for foreign currency, which this terminal
/// does not take.
fn packed(debit: &Sum, credit: &Sum) -> String {
    let side = |sum: &Sum| format!("{:012}{:03}", sum.amount.min(MOST.amount), sum.count.min(MOST.count));
    format!("{}{}0{:031}", side(debit), side(credit), 0)
}

/// Whether the host's sums are the `told` ones; `None` where it can't tell.
pub(super) fn verdict(
    sums: Sums,
    answer: &Message<'_>,
    told: &[(u8, String)],
) -> Result<Option<bool>, HostError> {
    let mut verdict = None;
    for (number, told) in told {
        let content = dialect::text(answer, *number)?;
        let compared = if sums == Sums::Packed { VERDICT } else { told.len() };
        if content.len() != told.len() || content.get(..compared) != told.get(..compared) {
            let problem = format!("DE {number}: this is not the sum of the request");
            return Err(HostError::BadAnswer(problem));
        }
        verdict = content.as_bytes().get(compared).copied();
    }
    if sums == Sums::Elements {
        verdict = dialect::text(answer, SETTLEMENT_CODE)?.as_bytes().first().copied();
    }
    match verdict {
        Some(b'1') => Ok(Some(true)),
        Some(b'2') => Ok(Some(false)),
        Some(b'3') => Ok(None),
        _ => Err(HostError::BadAnswer("the host gave no verdict on the sums".to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_sums_have_62_digits_and_room_for_two_verdicts() {
        let (debit, credit) = (Sum { count: 2, amount: 1234 }, Sum { count: 1, amount: 34 });
        let text = packed(&debit, &credit);
        assert_eq!(text.len(), 62);
        assert_eq!(&text[..31], "0000000012340020000000000340010");
        let debit = Sum { count: 1000, amount: u64::MAX };
        assert_eq!(packed(&debit, &credit).len(), 62, "however much it is");
    }

    #[test]
    fn sums_in_elements_of_their_own_are_those_of_iso_8583() {
        let (debit, credit) = (Sum { count: 2, amount: 1234 }, Sum { count: 1, amount: 34 });
        let told = elements(Sums::Elements, &Totals { debit, credit, ..Totals::default() });
        let told: Vec<(u8, &str)> = told.iter().map(|(number, text)| (*number, text.as_str())).collect();
        let expected =
            [(74, "0000000001"), (76, "0000000002"), (86, "0000000000000034"), (88, "0000000000001234")];
        assert_eq!(told, expected);
    }
}
