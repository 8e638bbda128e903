//! Logs go to the journal with structured fields; without a journal, to standard error as text.
//!
//! `SMARTPOS_LOG` (error, warn, info, debug, trace) sets the level; the default is info.

use std::env;
use std::io::Write as _;

use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// Installs the logger of this process.
pub fn init() {
    let level =
        env::var("SMARTPOS_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::Info);
    log::set_max_level(level);
    let installed =
        connected_to_journal() && JournalLog::new().is_ok_and(|journal| journal.install().is_ok());
    if !installed {
        // A second logger in one process is refused; the first one stays, which is what a test wants.
        let _ = log::set_logger(&StandardError);
    }
}

struct StandardError;

impl Log for StandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut line = format!("{:<5} {}", record.level(), record.args());
        let _ = record.key_values().visit(&mut Fields(&mut line));
        line.push('\n');
        // A log that nobody reads is no reason to stop.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

struct Fields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.push_str(&format!(" {key}={value}"));
        Ok(())
    }
}
