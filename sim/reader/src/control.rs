//! What `simctl reader …` can do.

use serde_json::json;
use sim_control::Reply;

use crate::reader::{Conduct, Reader};

const HELP: &str = "say `reader insert NAME`, `reader remove`, `reader silent`, `reader garbage`, `reader truthful` or `reader status`";

/// Carries out the words of one command.
pub fn command(reader: &mut Reader, words: &[String]) -> Reply {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["reader", "insert", name] => match reader.insert(name) {
            Ok(()) => Reply::ok(format!("{name} is in the reader")),
            Err(reason) => Reply::refused(reason),
        },
        ["reader", "remove"] => match reader.remove() {
            Some(name) => Reply::ok(format!("{name} is out")),
            None => Reply::refused("no card is in the reader"),
        },
        ["reader", "silent"] => behave(reader, Conduct::Silent),
        ["reader", "garbage"] => behave(reader, Conduct::Garbage),
        ["reader", "truthful"] => behave(reader, Conduct::Truthful),
        ["reader", "status"] => status(reader),
        _ => Reply::refused(HELP),
    }
}

fn behave(reader: &mut Reader, conduct: Conduct) -> Reply {
    reader.conduct = conduct;
    Reply::ok(format!("commands to the card are {}", answered(conduct)))
}

fn status(reader: &Reader) -> Reply {
    let card = reader.card();
    let slot =
        card.map_or_else(|| "no card is in the reader".to_owned(), |name| format!("{name} is in the reader"));
    Reply::ok(format!("{slot}; commands to a card are {}", answered(reader.conduct)))
        .with_data(json!({ "card": card, "answered": answered(reader.conduct) }))
}

fn answered(conduct: Conduct) -> &'static str {
    match conduct {
        Conduct::Truthful => "answered",
        Conduct::Silent => "not answered",
        Conduct::Garbage => "answered with garbage",
    }
}
