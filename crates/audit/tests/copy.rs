//! Copies of a journal, as they were made and as somebody changed them.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use audit::chain::{Broken, Chain, Record};
use audit::copy::{Check, Error, Line, MAX_LINE, VERSION, Whole};
use audit::seal::{Seal, statement};
use audit::{Identity, Link, Octets, PublicKey};
use keys::sm2::{DEFAULT_ID, PrivateKey};
use proptest::prelude::*;

const JOURNAL: Identity = Octets([7; 16]);
const BODIES: [&str; 5] = ["{}", "", "{\"event\":\"answered\"}", "收据\n\"\\", "{}"];

/// A copy of a journal with `bodies`, each its lines.
fn copy(bodies: &[&str]) -> Vec<String> {
    let mut chain = Chain::new(&JOURNAL);
    let mut lines = vec![Line::Journal { version: VERSION, identity: JOURNAL }.to_text().unwrap()];
    for body in bodies {
        let (id, transaction, at) = (chain.next_id(), 4, 1_763_900_000_000);
        chain.append(&Record { id, transaction, at, body });
        let line = Line::Record { id, transaction, at, body: (*body).into(), link: chain.head };
        lines.push(line.to_text().unwrap());
    }
    lines.push(Line::End { last: chain.last, head: chain.head }.to_text().unwrap());
    lines
}

fn check(lines: &[String], known: Option<Link>) -> Result<Chain, Error> {
    verify(lines, known, Vec::new()).map(|whole| whole.chain)
}

fn verify(lines: &[String], known: Option<Link>, trusted: Vec<PublicKey>) -> Result<Whole, Error> {
    let mut check = Check::new(known, trusted);
    lines.iter().try_for_each(|line| check.line(line.as_bytes()))?;
    check.finish()
}

fn head(bodies: &[&str]) -> Link {
    check(&copy(bodies), None).unwrap().head
}

/// A secure module with the audit key `secret`.
fn module(secret: u8) -> PrivateKey {
    PrivateKey::new(&[secret; 32]).unwrap()
}

fn sealed_by(module: &PrivateKey, chain: &Chain) -> Seal {
    let at = 1_763_900_000_999;
    let signature = module.sign(DEFAULT_ID, &statement(&JOURNAL, chain, at)).unwrap();
    Seal {
        last: chain.last,
        head: chain.head,
        at,
        key: Octets(module.public_key()),
        signature: Octets(signature),
    }
}

/// A copy of a journal with `bodies` that `module` has sealed after the second and the fourth record: lines 4 and 7.
fn sealed_copy(bodies: &[&str], module: &PrivateKey) -> Vec<String> {
    let mut lines = copy(bodies);
    for (records, line) in [(4, 5), (2, 3)] {
        let chain = check(&copy(bodies.get(..records).unwrap()), None).unwrap();
        lines.insert(line, Line::Seal(sealed_by(module, &chain)).to_text().unwrap());
    }
    lines
}

/// Computed apart from this crate, by Python's hashlib, from the definition in `chain.rs`.
#[test]
fn the_links_are_those_of_the_definition() {
    let mut chain = Chain::new(&JOURNAL);
    assert_eq!(chain.head.to_string(), "42f9edce317176b83933483c95696c067891fe934d51e498aaa1acecc4025d35");
    chain.append(&Record { id: 1, transaction: 4, at: 1_763_900_000_000, body: "{}" });
    assert_eq!(chain.head.to_string(), "da748b1b0383acde19ccba78b2a1f37777bbe66ec3e66285166e00e8b45278b8");
}

#[test]
fn a_copy_is_whole_as_it_was_made_and_an_empty_one_too() {
    assert_eq!(check(&copy(&BODIES), None).unwrap().last, 5);
    assert_eq!(check(&copy(&[]), None).unwrap(), Chain::new(&JOURNAL));
}

#[test]
fn each_line_that_is_removed_doubled_or_swapped_is_found() {
    let whole = copy(&BODIES);
    for index in 0..whole.len() {
        let mut removed = whole.clone();
        removed.remove(index);
        assert!(check(&removed, None).is_err(), "without line {}", index + 1);
        let mut doubled = whole.clone();
        doubled.insert(index, whole.get(index).unwrap().clone());
        assert!(check(&doubled, None).is_err(), "line {} twice", index + 1);
        for other in 0..index {
            let mut swapped = whole.clone();
            swapped.swap(index, other);
            assert!(check(&swapped, None).is_err(), "lines {} and {} swapped", other + 1, index + 1);
        }
    }
}

#[test]
fn the_first_bad_record_is_named() {
    let whole = copy(&BODIES);
    let changed = |line: usize, from: &str, to: &str| {
        let mut lines = whole.clone();
        let line = lines.get_mut(line - 1).unwrap();
        assert!(line.contains(from), "{line}");
        *line = line.replacen(from, to, 1);
        check(&lines, None).unwrap_err()
    };
    let broken = |line, broken| Error::Broken { line, broken };
    assert_eq!(changed(4, "answered", "declined"), broken(4, Broken::Changed(3)));
    assert_eq!(changed(4, "\"transaction\":4", "\"transaction\":5"), broken(4, Broken::Changed(3)));
    assert_eq!(changed(4, "\"at\":17", "\"at\":18"), broken(4, Broken::Changed(3)));
    assert_eq!(changed(4, "\"id\":3", "\"id\":9"), broken(4, Broken::Missing { missing: 3, found: 9 }));
    assert_eq!(changed(1, "0707", "0708"), broken(2, Broken::Changed(1)));
    assert_eq!(changed(1, "\"version\":1", "\"version\":2"), Error::Version(2));
    assert_eq!(changed(7, "\"last\":5", "\"last\":6"), Error::End { last: 5, end: 6 });
    let mut short = whole.clone();
    short.remove(5);
    assert_eq!(check(&short, None).unwrap_err(), Error::End { last: 4, end: 5 });
    short.pop();
    assert_eq!(check(&short, None).unwrap_err(), Error::Cut(4));
}

#[test]
fn a_chain_that_was_made_anew_or_cut_lacks_a_head_that_was_known() {
    let known = head(BODIES.get(..4).unwrap());
    assert_eq!(check(&copy(&BODIES), Some(known)).unwrap().last, 5, "what came after it is no harm");
    assert_eq!(check(&copy(BODIES.get(..4).unwrap()), Some(known)).unwrap().last, 4);
    for forged in [&["{}", "another"][..], BODIES.get(..3).unwrap()] {
        assert!(check(&copy(forged), None).is_ok(), "by itself it is whole");
        assert_eq!(check(&copy(forged), Some(known)), Err(Error::Unknown(known)));
    }
}

#[test]
fn a_sealed_copy_says_up_to_where_and_by_whom() {
    let (module, stranger) = (module(1), Octets(module(2).public_key()));
    let lines = sealed_copy(&BODIES, &module);
    let key = Octets(module.public_key());
    let whole = verify(&lines, None, vec![stranger, key]).unwrap();
    assert_eq!((whole.chain.last, whole.dropped), (5, 0));
    assert_eq!(whole.seal.map(|seal| (seal.last, seal.key)), Some((4, key)));
    assert_eq!(verify(&lines, None, vec![stranger]), Err(Error::Stranger(4)));
    assert_eq!(verify(&copy(&BODIES), None, vec![key]), Err(Error::Unsealed));
}

#[test]
fn a_chain_that_was_made_anew_as_a_whole_does_not_fit_its_seals() {
    let (module, thief) = (module(1), module(2));
    let seals: Vec<String> =
        sealed_copy(&BODIES, &module).into_iter().filter(|line| line.contains("\"seal\"")).collect();
    // Every link fits; the seals are those of the true journal.
    let mut forged = copy(&["{\"cheaper\":1}", "", "{\"event\":\"answered\"}", "收据\n\"\\", "{}"]);
    forged.insert(5, seals.get(1).unwrap().clone());
    forged.insert(3, seals.first().unwrap().clone());
    let by_module = vec![Octets(module.public_key())];
    assert_eq!(verify(&forged, None, Vec::new()), Err(Error::NotSealed { line: 4, last: 2 }));
    // Nor does a seal that somebody made for the new chain, whose key is not the module's, or is only said to be.
    let resealed = sealed_copy(&["{\"cheaper\":1}", "", "{}", "", ""], &thief);
    assert_eq!(verify(&resealed, None, by_module.clone()), Err(Error::Stranger(4)));
    let (theirs, ours) = (Octets(thief.public_key()).to_string(), Octets(module.public_key()).to_string());
    let renamed: Vec<String> = resealed.iter().map(|line| line.replace(&theirs, &ours)).collect();
    assert_eq!(verify(&renamed, None, by_module), Err(Error::Forged(4)));
}

#[test]
fn a_seal_that_is_changed_moved_or_doubled_is_found() {
    let whole = sealed_copy(&BODIES, &module(1));
    for (what, from, to) in [
        ("time", "\"at\":1763900000999", "\"at\":1763900000998"),
        ("record", "\"seal\":{\"last\":2", "\"seal\":{\"last\":1"),
    ] {
        let mut changed = whole.clone();
        let line = changed.get_mut(3).unwrap();
        assert!(line.contains(from), "{line}");
        *line = line.replacen(from, to, 1);
        assert!(verify(&changed, None, Vec::new()).is_err(), "{what}");
    }
    let moved = |to: usize, remove: bool| {
        let mut lines = whole.clone();
        let seal = lines.get(3).unwrap().clone();
        if remove {
            lines.remove(3);
        }
        lines.insert(to, seal);
        verify(&lines, None, Vec::new())
    };
    assert!((1..8).filter(|to| *to != 3).all(|to| moved(to, true).is_err()));
    assert_eq!(moved(4, false), Err(Error::Misplaced(5)), "twice");
}

#[test]
fn a_copy_of_a_journal_that_has_dropped_records_begins_with_the_seal_over_them() {
    let module = module(1);
    let whole = sealed_copy(&BODIES, &module);
    let mut shortened = whole.clone();
    // The first two records; their seal becomes the anchor.
    let anchor = shortened.remove(3).replace("\"seal\"", "\"anchor\"");
    shortened.splice(1..3, [anchor.clone()]);
    let key = Octets(module.public_key());
    let verified = verify(&shortened, None, vec![key]).unwrap();
    assert_eq!((verified.dropped, verified.chain), (2, check(&whole, None).unwrap()));
    let known = Some(head(BODIES.get(..2).unwrap()));
    assert!(verify(&shortened, known, vec![key]).is_ok(), "the anchor's head is one that was known");
    // More is gone than the anchor covers, or less, or the anchor is not there.
    for (index, line) in [(2, None), (2, whole.get(2)), (1, None)] {
        let mut cut = shortened.clone();
        cut.remove(index);
        if let Some(line) = line {
            cut.insert(index, line.clone());
        }
        assert!(verify(&cut, None, Vec::new()).is_err(), "{index} {line:?}");
    }
    assert_eq!(verify(&[whole.clone(), vec![anchor]].concat(), None, vec![key]), Err(Error::Misplaced(10)));
}

#[test]
fn a_line_without_end_is_refused_and_not_parsed() {
    let endless = vec![b' '; MAX_LINE + 1];
    assert!(matches!(Check::new(None, Vec::new()).line(&endless), Err(Error::Unreadable { line: 1, .. })));
}

proptest! {
    #[test]
    fn octets_in_any_place_never_panic_and_never_pass_as_another_record(
        line in 0_usize..7, place in any::<prop::sample::Index>(), octet: u8,
    ) {
        let mut lines: Vec<Vec<u8>> = copy(&BODIES).into_iter().map(String::into_bytes).collect();
        let changed = lines.get_mut(line).unwrap();
        let place = place.index(changed.len() - 1);
        let same = changed.get(place) == Some(&octet);
        *changed.get_mut(place).unwrap() = octet;
        let mut check = Check::new(None, Vec::new());
        let fed = lines.iter().try_for_each(|line| check.line(line)).and_then(|()| check.finish());
        // A hex digit may be written large; nothing else can be written in two ways of the same length.
        let spelling = octet.is_ascii_uppercase();
        prop_assert!(if same { fed.is_ok() } else { fed.is_err() || spelling }, "{fed:?}");
    }
}
