//! `simctl`: drives the virtual terminal while it runs.
//!
//! Exit codes: 0 done, 1 refused by the part that was asked, 2 a command that nobody knows,
//! 3 no virtual terminal answers.

#![expect(clippy::print_stderr, reason = "a command-line tool says what went wrong on stderr")]

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sim_control::{Reply, send};

const HELP: &str = "\
simctl [--json] [--dir DIR] COMMAND

  card insert NAME      put a card of the drawer into the slot; removed-early:N is pulled at APDU N
  card remove           pull the card out
  card swipe NAME       swipe a card of the drawer at the stripe reader
  card list             the cards in the drawer
  card status           what is in the slot
  card trace            what the card was told and answered since its reset, for `posctl emv replay`

  pin DIGITS            type the PIN and Enter as soon as the PIN pad asks
  pin cancel            press Cancel as soon as the PIN pad asks
  pin timeout           press nothing

  key NAME [CODE]       key what is printed on a card as soon as the pad asks for a card: number, expiry
                        date, security code (the last three digits of the number), or CODE; - for none

  component CODE HEX
                        a custodian enters a component; the codes are 111111, 222222 and 333333

  module tamper         open the case: the module erases its keys, also for its next starts
  module reset          service the module: the keys of the factory, and new ones of its own
  module fail TEST      the self-test TEST fails from now on (aes, random, firmware …), or none
  module status         keys, slot, PIN pad

  reader insert NAME    put a card into the USB reader, where there is one (the machine of QEMU)
  reader remove         pull it out
  reader silent         commands to the card are not answered any more
  reader garbage        they are answered with what is no answer
  reader truthful       they are answered again (the start)
  reader status         what is in it

  paper out             the roll ends
  paper load            a new roll
  paper near-end        the sensor sees the end of the roll coming
  paper status          what the sensors see
  paper text            the last receipt as text
  paper png FILE        the last receipt as an image

  printer offline       switch the printer off its line
  printer online        and back
  printer reset         cut the printer's power for a moment
  printer jobs          what was printed, and what was not understood

  host approve          answer requests with a card truthfully (the start)
  host decline CODE     answer them with this response code
  host silent           book them, and never answer
  host late 40s         book them, and answer so much later
  host after reversal   book them, and answer right behind the answer to the next reversal
  host wrong mac|stan|amount|mti|terminal
                        answer them with this part wrong
  host wrong ELEMENT missing|changed
                        answer them without this data element, or with another bit in it, and a right MAC
  host wrong truncated|oversized|garbage
                        answer them with half a frame, one too long, or no message in it
  host repeat           answer them twice
  host stray            answer for another trace number first
  host drop before|after
                        close the connection before or after booking
  host restart before|after
                        start anew before or after booking
  host 0500 unbalanced  find that a settlement does not balance
  host MTI RULE…        any of these, for messages of this type: 0100, 0200, 0220, 0320, 0400,
                        0500, 0620, 0800, 0820
  host once RULE…       any of these, for the next message only
  host script RULE; RULE; …
                        several of these, one after the other
  host issuer script right|wrong
                        the next answer to a card has a script for it, sealed right or wrong
  host terminal TAG TEXT  what the host says of the terminal, such as 19 05: tips of at most 5 %
  host capk revoke|add RID INDEX
                        take a CA key off the list that terminals fetch, or put it back; that is due then
  host application floor AID AMOUNT
                        another floor limit for an application of that list, in minor units
  host parameters wrong check|endless|twice|other|cut|truthful
                        hand out keys with a wrong check sum, a list without an end or with a record
                        twice, another record than that asked for, half a record
  host restart          start anew now: connections and working keys are gone, the ledger is not
  host status           the rules in force

  ledger                what the host has booked
  ledger batch NUMBER   what it has booked in one batch

  qr code WALLET        a code that a customer shows: alipay, wechat, unionpay
  qr pay CODE           a customer scans the code that is shown, and pays
  qr refund ORDER [AMOUNT]
                        somebody gives minor units of a paid order back, or all, in the gateway's office
  qr user pays          customers pay with their wallets at once (the start)
  qr user declines      customers refuse
  qr user waits [40s]   customers take so long, or until the next of these
  qr rule [OPERATION] truthful|silent|late 40s|garbage|wrong signature|replay
                        answer OPERATION (pay, prepare, query, cancel, refund, refund-query; pay if
                        none is named) truthfully, never, later, with no answer in it, forged, or
                        with the answer before
  qr rule [OPERATION] repeat|twice
  qr rule [OPERATION] drop before|after
  qr rule [OPERATION] restart before|after
                        send the answer twice; do it twice; close the connection, or forget what was seen, before or after
                        booking
  qr once …             any of these rules, for the next request only
  qr truthful           forget the rules; customers pay at once
  qr status             the rules in force
  qr ledger             what the QR gateway has booked

  disk cut SEED         cut the power; the seed says what of the unflushed writes is kept, lost or torn
  disk cut-after STEPS SEED
                        the same, after so many more writes and flushes
  disk status           what is not flushed; the disk is that of the power cuts in QEMU

  help                  this text

--json prints the reply as JSON: ok, text, data.
The terminal is the one of --dir or SMARTPOS_SIM_DIR (a folder of control sockets), or else
the one that `cargo xtask up` left running: run/terminal.env here or in a folder above.
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let call = match Call::parse(std::env::args().skip(1)) {
        Ok(call) => call,
        Err(error) => {
            eprintln!("simctl: {error}");
            return ExitCode::from(2);
        }
    };
    if matches!(call.words.first().map(String::as_str), None | Some("help" | "--help" | "-h")) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match carry(&call).await {
        Ok(reply) => call.show(&reply),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            eprintln!("simctl: {error}; `simctl help` lists them all");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("simctl: {error}");
            ExitCode::from(3)
        }
    }
}

/// What the command line says.
#[derive(Debug, Default, PartialEq)]
struct Call {
    json: bool,
    dir: Option<PathBuf>,
    words: Vec<String>,
}

impl Call {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Call, String> {
        let mut call = Call::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--json" => call.json = true,
                "--dir" => {
                    let dir = arguments.next().ok_or("--dir needs the folder of the control sockets")?;
                    call.dir = Some(PathBuf::from(dir));
                }
                _ => call.words.push(argument),
            }
        }
        Ok(call)
    }

    fn show(&self, reply: &Reply) -> ExitCode {
        if self.json {
            println!("{}", serde_json::json!({ "ok": reply.ok, "text": reply.text, "data": reply.data }));
        } else if !reply.ok {
            eprintln!("simctl: {}", reply.text);
        } else if !reply.text.is_empty() {
            println!("{}", reply.text.trim_end());
        }
        if reply.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

async fn carry(call: &Call) -> io::Result<Reply> {
    let dir = match &call.dir {
        Some(dir) => dir.clone(),
        None => control_folder()?,
    };
    let words = with_absolute_files(&call.words)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    send(&dir, &words).await
}

/// The part that writes a file has a working directory of its own.
fn with_absolute_files(words: &[String]) -> io::Result<Vec<String>> {
    match words {
        [paper, png, file] if paper == "paper" && png == "png" => {
            let file = std::path::absolute(file)?;
            Ok(vec![paper.clone(), png.clone(), file.display().to_string()])
        }
        _ => Ok(words.to_vec()),
    }
}

/// Where the control sockets of the terminal are that this call is meant for.
fn control_folder() -> io::Result<PathBuf> {
    if let Some(dir) = std::env::var_os("SMARTPOS_SIM_DIR") {
        return Ok(PathBuf::from(dir));
    }
    let here = std::env::current_dir()?;
    here.ancestors().find_map(left_running).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "no virtual terminal is running here: start one with `cargo xtask up`, or name its control \
             sockets with --dir or SMARTPOS_SIM_DIR",
        )
    })
}

/// The control folder that `run/terminal.env` below `folder` names.
fn left_running(folder: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(folder.join("run/terminal.env")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("export SMARTPOS_SIM_DIR=")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Call, String> {
        Call::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_may_stand_before_and_after_the_words() {
        let call = parse("--json card insert --dir /d visa").unwrap();
        assert_eq!(call.words, ["card", "insert", "visa"]);
        assert!(call.json);
        assert_eq!(call.dir.as_deref(), Some(Path::new("/d")));
        assert!(parse("card --dir").is_err());
    }

    #[test]
    fn the_file_of_an_image_is_meant_where_the_caller_stands() {
        let words = with_absolute_files(&parse("paper png a.png").unwrap().words).unwrap();
        assert_eq!(
            words.last().map(Path::new),
            Some(std::env::current_dir().unwrap().join("a.png").as_path())
        );
    }

    #[test]
    fn every_command_of_the_help_has_a_part_that_answers_it() {
        let commands =
            HELP.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
        for command in commands {
            let first = command.split_whitespace().next().unwrap();
            assert!(first == "help" || sim_control::part_for(first).is_some(), "{command}");
        }
    }
}
