//! Choosing among a card's applications, where a person is at the keys.

use std::io::{self, BufRead, IsTerminal};
use std::thread;

use tokio::sync::mpsc;

use crate::output;

/// Answers that wait to be sent.
const ANSWERS: usize = 1;

/// Whether somebody can be asked.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks, and hands on what is answered.
#[derive(Debug, Default)]
pub(crate) struct Chooser {
    /// What was asked last.
    asked: Vec<String>,
    answers: Option<mpsc::Receiver<u32>>,
}

impl Chooser {
    /// Shows `names`, the applications of the card, and asks for a number; once for each list.
    pub(crate) fn ask(&mut self, names: &[String]) {
        if names.is_empty() || names == self.asked {
            return;
        }
        self.asked = names.to_vec();
        for (number, name) in (1..).zip(names) {
            output::note(&format!("    {number}  {name}"));
        }
        output::note("  type its number and Enter; Ctrl-C cancels");
        self.answers.get_or_insert_with(listen);
    }

    /// The index that was chosen next.
    pub(crate) async fn chosen(&mut self) -> u32 {
        if let Some(answers) = &mut self.answers
            && let Some(index) = answers.recv().await
        {
            return index;
        }
        // Nobody types any more.
        self.answers = None;
        std::future::pending().await
    }
}

/// Reads numbers, from 1, on a thread of its own: nothing else ends a read from a terminal than the end of the program.
fn listen() -> mpsc::Receiver<u32> {
    let (sender, answers) = mpsc::channel(ANSWERS);
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            match line.trim().parse::<u32>().ok().and_then(|number| number.checked_sub(1)) {
                Some(index) if sender.blocking_send(index).is_err() => return,
                Some(_) => {}
                None => output::note("  that is no number of the list"),
            }
        }
    });
    answers
}
