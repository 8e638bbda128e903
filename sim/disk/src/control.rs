//! The words of `simctl disk …`.

use serde_json::json;
use sim_control::Reply;

use crate::disk::{Disk, Loss, Refusal};

const HELP: &str = "say `disk cut SEED`, `disk cut-after STEPS SEED` or `disk status`";

/// Carries out the words of one command.
pub(crate) fn command(disk: &mut Disk, words: &[String]) -> Reply {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match *words.as_slice() {
        ["disk", "cut", seed] => match seed.parse() {
            Ok(seed) => disk.cut(seed).map(|loss| Reply::ok(in_words(loss))),
            Err(_) => return no_number(seed),
        },
        ["disk", "cut-after", steps, seed] => match (steps.parse(), seed.parse()) {
            (Ok(steps @ 1..), Ok(seed)) => disk
                .cut_after(steps, seed)
                .map(|()| Reply::ok(format!("the power is cut after {steps} writes and flushes"))),
            (Ok(_), Err(_)) => return no_number(seed),
            _ => return no_number(steps),
        },
        ["disk", "status"] => Ok(Reply::ok(match disk.loss() {
            None => format!("{} writes are not flushed", disk.unflushed()),
            Some(loss) => in_words(loss),
        })),
        _ => return Reply::refused(HELP),
    };
    match done {
        Ok(reply) => reply.with_data(json!({
            "steps": disk.steps(),
            "unflushed": disk.unflushed(),
            "loss": disk.loss(),
        })),
        Err(Refusal::NoPower) => {
            Reply::refused("the disk has no power; it is there again for the next machine that connects")
        }
        Err(refusal) => Reply::refused(refusal.to_string()),
    }
}

fn in_words(Loss { seed, unflushed, kept, torn }: Loss) -> String {
    format!("the power is cut (seed {seed}): of {unflushed} unflushed writes {kept} are kept and {torn} torn")
}

fn no_number(word: &str) -> Reply {
    Reply::refused(format!("`{word}` is no number from 1 on (a seed may be 0); {HELP}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(disk: &mut Disk, line: &str) -> Reply {
        command(disk, &line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_cut_is_told_and_a_second_one_is_refused_with_what_gives_power_back() {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(4096).unwrap();
        let mut disk = Disk::open(image.path()).unwrap();
        for wrong in
            ["disk", "disk cut", "disk cut x", "disk cut-after 0 1", "disk cut-after 1 x", "disk cut -1"]
        {
            assert!(!say(&mut disk, wrong).ok, "{wrong}");
        }
        assert!(say(&mut disk, "disk cut-after 5 0").ok);
        disk.write(0, vec![1; 512], false).unwrap();
        let status = say(&mut disk, "disk status");
        assert_eq!(status.data, json!({ "steps": 1, "unflushed": 1, "loss": null }));
        assert!(say(&mut disk, "disk cut 7").ok);
        assert_eq!(say(&mut disk, "disk status").data["loss"]["seed"], 7);
        assert!(say(&mut disk, "disk cut 7").text.contains("next machine"));
    }
}
