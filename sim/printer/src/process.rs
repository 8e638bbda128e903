//! The process: the machine between its wire, its control socket and the folder of receipts.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use escpos::Font;
use serde_json::json;
use sim_control::Reply;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use crate::machine::{Machine, Output};
use crate::options::Options;
use crate::paper::Receipt;
use crate::port::{Port, Reader, Writer};

/// The receipts that `printer jobs` remembers.
const REMEMBERED: usize = 100;

const HELP: &str = "paper out [AFTER-DOTS] | load | near-end | status | text | png FILE; \
    printer offline | online | reset | jobs";

/// Serves until the wire or the control socket fails. Prints `ready` once both are open.
///
/// # Errors
/// What failed.
pub async fn run(options: &Options) -> io::Result<()> {
    let font = Font::builtin().map_err(io::Error::other)?;
    std::fs::create_dir_all(&options.paper)?;
    let port = Port::open(&options.wire).await?;
    let printer = Printer {
        inside: RefCell::new(Inside {
            machine: Machine::new(options.dots, font),
            outgoing: Vec::new(),
            hang_up: false,
            number: last_number(&options.paper)? + 1,
            receipts: VecDeque::new(),
            paper: options.paper.clone(),
        }),
        changed: Notify::new(),
    };
    let control =
        sim_control::serve(&options.control, "printer", async |words: Vec<String>| printer.control(&words));
    let ready = async {
        // The control socket is bound when its future is first polled, which `join` does before this one.
        writeln!(io::stdout(), "ready")?;
        io::stdout().flush()
    };
    tokio::try_join!(control, ready, printer.wire(&port)).map(drop)
}

/// The highest number of a receipt in the folder.
fn last_number(folder: &Path) -> io::Result<u32> {
    let mut last = 0;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix("receipt-")?.strip_suffix(".png")?.parse().ok());
        last = last.max(number.unwrap_or(0));
    }
    Ok(last)
}

struct Printer {
    inside: RefCell<Inside>,
    /// There is something to say, or the buffer has room again.
    changed: Notify,
}

struct Inside {
    machine: Machine,
    outgoing: Vec<u8>,
    hang_up: bool,
    /// Of the receipt that is being printed.
    number: u32,
    receipts: VecDeque<(u32, Receipt)>,
    paper: PathBuf,
}

impl Printer {
    async fn wire(&self, port: &Port) -> io::Result<()> {
        loop {
            let (reader, writer) = port.accept().await?;
            {
                let mut inside = self.inside.borrow_mut();
                inside.outgoing.clear();
                inside.hang_up = false;
            }
            // A host that goes away ends its session, not the printer.
            let _ = self.session(reader, writer).await;
        }
    }

    async fn session(&self, mut reader: Reader, mut writer: Writer) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let (say, room, hang_up) = {
                let mut inside = self.inside.borrow_mut();
                (std::mem::take(&mut inside.outgoing), inside.machine.room(), inside.hang_up)
            };
            if hang_up {
                return Ok(());
            }
            writer.write_all(&say).await?;
            let space = buffer.len().min(room);
            let Some(space) = buffer.get_mut(..space) else { continue };
            tokio::select! {
                count = reader.read(space), if room > 0 => {
                    let count = count?;
                    if count == 0 {
                        return Ok(());
                    }
                    let bytes = space.get(..count).unwrap_or_default();
                    let mut inside = self.inside.borrow_mut();
                    let output = inside.machine.receive(bytes);
                    inside.handle(output)?;
                }
                () = self.changed.notified() => {}
            }
        }
    }

    fn control(&self, words: &[String]) -> Reply {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let reply = self.inside.borrow_mut().command(&words);
        self.changed.notify_one();
        reply.unwrap_or_else(|error| Reply::refused(error.to_string()))
    }
}

impl Inside {
    fn command(&mut self, words: &[&str]) -> io::Result<Reply> {
        let machine = &mut self.machine;
        let text = match *words {
            ["paper", "out"] => {
                machine.paper_out = true;
                "the paper is out"
            }
            ["paper", "out", dots] => {
                let Ok(dots) = dots.parse() else {
                    return Ok(Reply::refused(format!("{dots} is no number of dots")));
                };
                machine.paper_left = Some(dots);
                "the paper ends soon"
            }
            ["paper", "load"] => {
                (machine.paper_out, machine.near_end, machine.paper_left) = (false, false, None);
                "a new roll"
            }
            ["paper", "near-end"] => {
                machine.near_end = true;
                "the paper is near its end"
            }
            ["paper", "status"] => return Ok(self.status()),
            ["paper", "text"] => return Ok(self.latest(|receipt| receipt.text.clone())),
            ["paper", "png", file] => {
                let Some(receipt) = self.last() else { return Ok(Reply::refused("nothing was printed yet")) };
                std::fs::write(file, receipt.dots.to_png().map_err(io::Error::other)?)?;
                return Ok(Reply::ok(format!("the last receipt is in {file}")));
            }
            ["printer", "offline"] => {
                machine.offline = true;
                "off line"
            }
            ["printer", "online"] => {
                machine.offline = false;
                "on line"
            }
            ["printer", "reset"] => {
                machine.power_cycle();
                self.hang_up = true;
                "switched off and on"
            }
            ["printer", "jobs"] => return Ok(self.jobs()),
            _ => return Ok(Reply::refused(format!("the printer knows: {HELP}"))),
        };
        let mut output: Vec<Output> = self.machine.status_change().into_iter().collect();
        output.extend(self.machine.run());
        self.handle(output)?;
        Ok(Reply::ok(text))
    }

    fn handle(&mut self, output: Vec<Output>) -> io::Result<()> {
        for part in output {
            match part {
                Output::Say(bytes) => self.outgoing.extend(bytes),
                Output::SoFar(receipt) => save(&self.paper, self.number, &receipt)?,
                Output::Done(receipt) => {
                    save(&self.paper, self.number, &receipt)?;
                    if self.receipts.len() >= REMEMBERED {
                        self.receipts.pop_front();
                    }
                    self.receipts.push_back((self.number, receipt));
                    self.number += 1;
                }
            }
        }
        Ok(())
    }

    /// The receipt that is being printed, or else the last one that was.
    fn last(&self) -> Option<&Receipt> {
        let current = self.machine.receipt();
        if current.dots.height() > 0 {
            Some(current)
        } else {
            self.receipts.back().map(|(_, receipt)| receipt)
        }
    }

    fn latest(&self, tell: impl Fn(&Receipt) -> String) -> Reply {
        match self.last() {
            Some(receipt) => Reply::ok(tell(receipt)),
            None => Reply::refused("nothing was printed yet"),
        }
    }

    fn status(&self) -> Reply {
        let machine = &self.machine;
        let paper = match (machine.paper_out, machine.near_end) {
            (true, _) => "out",
            (false, true) => "near-end",
            (false, false) => "ok",
        };
        let switch = if machine.offline { "off line" } else { "on line" };
        let text = format!(
            "paper {paper}, {switch}, {} bytes wait, {} faults",
            machine.waiting(),
            machine.faults.len()
        );
        Reply::ok(text).with_data(json!({
            "paper": paper,
            "offline": machine.offline,
            "waiting_bytes": machine.waiting(),
            "drawer_pulses": machine.drawer_pulses,
            "faults": machine.faults,
        }))
    }

    fn jobs(&self) -> Reply {
        let current = self.machine.receipt();
        let current = (current.dots.height() > 0).then_some((self.number, current));
        let all = self.receipts.iter().map(|(number, receipt)| (*number, receipt)).chain(current);
        let receipts: Vec<_> = all
            .map(|(number, receipt)| json!({"number": number, "dots": receipt.dots.height(), "text": receipt.text}))
            .collect();
        let faults = &self.machine.faults;
        let mut text = format!("{} receipts, {} faults", receipts.len(), faults.len());
        for fault in faults {
            text.push_str("\nfault: ");
            text.push_str(fault);
        }
        Reply::ok(text).with_data(json!({"receipts": receipts, "faults": faults}))
    }
}

/// Writes `receipt-NNNN.txt` and `.png`, each whole or not at all; the picture comes last.
fn save(folder: &Path, number: u32, receipt: &Receipt) -> io::Result<()> {
    let png = receipt.dots.to_png().map_err(io::Error::other)?;
    for (end, bytes) in [("txt", receipt.text.as_bytes()), ("png", &png)] {
        let path = folder.join(format!("receipt-{number:04}.{end}"));
        let draft = folder.join(format!(".receipt-{number:04}.{end}"));
        std::fs::write(&draft, bytes)?;
        std::fs::rename(&draft, &path)?;
    }
    Ok(())
}
