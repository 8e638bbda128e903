//! The committed inputs: real messages, and whatever once broke a promise.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use smartpos_fuzz::TARGETS;

fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&folder).expect("each target has a folder in corpus/");
    entries.map(|entry| entry.expect("a file").path()).collect()
}

/// Each input as it is, and cut off and changed at up to 100 places.
#[test]
fn every_input_of_the_corpus_and_those_next_to_it_keep_the_promises() {
    for target in &TARGETS {
        let mut taken = 0;
        for path in inputs(target.name) {
            println!("{}", path.display());
            let bytes = fs::read(&path).expect("a readable file");
            taken += usize::from((target.check)(&bytes));
            for place in (0..bytes.len()).step_by(bytes.len() / 100 + 1) {
                let (before, _) = bytes.split_at(place);
                (target.check)(before);
                for change in [0x01, 0x80, 0xFF] {
                    let mut changed = bytes.clone();
                    changed.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= change);
                    (target.check)(&changed);
                }
            }
        }
        assert!(taken > 0, "{}: none of its inputs is taken, so none tests a promise", target.name);
        println!("{}: {taken} taken", target.name);
    }
}
