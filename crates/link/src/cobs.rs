//! Consistent Overhead Byte Stuffing (Cheshire and Baker, IEEE/ACM Transactions on Networking 7, 1999):
//! no zero byte within a frame, so that a zero byte always ends one.

use zeroize::Zeroizing;

/// Appends the stuffed form of `data` to `out`.
pub(crate) fn stuff(data: &[u8], out: &mut Vec<u8>) {
    for run in data.split(|byte| *byte == 0) {
        // A full run of 254 bytes implies no zero, so it is followed by another run, which may be empty.
        let (full, rest) = run.as_chunks::<254>();
        for chunk in full {
            out.push(0xFF);
            out.extend(chunk);
        }
        out.push(u8::try_from(rest.len() + 1).unwrap_or(0xFF));
        out.extend(rest);
    }
}

/// The data in a stuffed form without zero bytes, or none if it isn't one.
pub(crate) fn unstuff(stuffed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut data = Zeroizing::new(Vec::with_capacity(stuffed.len()));
    let mut rest = stuffed;
    while let Some((code, after)) = rest.split_first() {
        let (run, next) = after.split_at_checked(usize::from(*code).checked_sub(1)?)?;
        data.extend(run);
        if *code != 0xFF && !next.is_empty() {
            data.push(0);
        }
        rest = next;
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuffed(data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        stuff(data, &mut out);
        out
    }

    #[test]
    fn the_usual_examples_hold() {
        assert_eq!(stuffed(&[0]), [1, 1]);
        assert_eq!(stuffed(&[0, 0]), [1, 1, 1]);
        assert_eq!(stuffed(&[0x11, 0x22, 0, 0x33]), [3, 0x11, 0x22, 2, 0x33]);
        assert_eq!(stuffed(&[0x11, 0, 0, 0]), [2, 0x11, 1, 1, 1]);
    }

    #[test]
    fn a_run_that_ends_early_is_refused() {
        assert_eq!(unstuff(&[5, 1, 2]), None);
        assert_eq!(unstuff(&[1, 0]), None);
    }

    proptest! {
        #[test]
        fn what_is_stuffed_has_no_zero_and_comes_back(data in proptest::collection::vec(0_u8..3, 0..900)) {
            let stuffed = stuffed(&data);
            prop_assert!(!stuffed.contains(&0));
            prop_assert_eq!(unstuff(&stuffed).unwrap().to_vec(), data);
        }
        #[test]
        fn long_runs_come_back(length in 0_usize..1100) {
            let data = vec![7; length];
            prop_assert_eq!(unstuff(&stuffed(&data)).unwrap().to_vec(), data);
        }
    }
}
