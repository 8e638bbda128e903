//! `posctl emv replay`: a recorded transaction through the kernel, without card and terminal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use emv::replay::{Asked, Replay, Step, replay};
use emv::trace::{Answer, Trace};
use emv::words::words;
use emv::{Config, Decision, Finding};
use serde_json::{Value, json};
use tlv::tags;

use crate::error::Error;
use crate::{Outcome, output};

/// More than the longest trace has.
const MAX_FILE: u64 = 1 << 22;
/// The files that the kernel is configured with where a trace names none.
const FILES: [&str; 3] = ["terminal.toml", "aids.toml", "capks.toml"];

/// Replays the file, with the parameters that it names: from beside it, or else from one of `folders`.
pub(crate) fn run(path: &Path, folders: &[PathBuf], as_json: bool) -> Outcome {
    let trace = Trace::parse(&text(path)?);
    let trace = trace.map_err(|error| Error::Refused(format!("{}: {error}", path.display())))?;
    let config = config(&trace, path.parent().unwrap_or(Path::new("")), folders)?;
    let replayed = replay(Arc::new(config), &trace);
    output::line(&if as_json { in_json(&replayed).to_string() } else { in_words(&replayed) })?;
    let approved = replayed.outcome.decision == Decision::Approved;
    Ok(if approved { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(path: &Path) -> Result<String, Error> {
    let length = fs::metadata(path).map_err(|error| Error::file(path, error))?.len();
    if length > MAX_FILE {
        return Err(Error::Refused(format!("{}: longer than any trace, or parameters", path.display())));
    }
    fs::read_to_string(path).map_err(|error| Error::file(path, error))
}

fn config(trace: &Trace, beside: &Path, folders: &[PathBuf]) -> Result<Config, Error> {
    let named = trace.parameters.iter().map(String::as_str);
    let names: Vec<&str> = if trace.parameters.is_empty() { FILES.to_vec() } else { named.collect() };
    let read = |name: &&str| {
        let mut places = [beside].into_iter().chain(folders.iter().map(PathBuf::as_path));
        match places.find(|folder| folder.join(name).exists()) {
            Some(folder) => text(&folder.join(name)),
            None => Err(Error::Refused(format!(
                "{name}, which the trace names, is not beside it; --parameters says in which folders it may be"
            ))),
        }
    };
    let files: Vec<String> = names.iter().map(read).collect::<Result<_, _>>()?;
    let [terminal, applications, capks @ ..] = files.as_slice() else {
        return Err(Error::Refused("the trace names no terminal and no applications".to_owned()));
    };
    let capks: Vec<&str> = capks.iter().map(String::as_str).collect();
    Config::from_toml_parts(terminal, applications, &capks).map_err(|error| Error::Refused(error.to_string()))
}

/// What was asked for: the command by its name in Book 3.
fn asked(step: &Step) -> String {
    match &step.asked {
        Asked::Start => "start".to_owned(),
        Asked::Choice(index) => format!("application {} chosen", index.saturating_add(1)),
        Asked::Pin(result) => format!("PIN entry: {result:?}"),
        Asked::OfflinePin(status) => format!("PIN for the card: {status:04X}"),
        Asked::Host => "online".to_owned(),
        Asked::Card { command, recorded } => {
            let answer = match recorded.as_ref().map(|exchange| &exchange.answer) {
                Some(Answer::Response(response)) => match response.split_last_chunk() {
                    Some((data, [sw1, sw2])) => format!("{} bytes, {sw1:02X}{sw2:02X}", data.len()),
                    None => "malformed".to_owned(),
                },
                Some(Answer::Removed) => "card removed".to_owned(),
                Some(Answer::Mute) | None => "mute".to_owned(),
            };
            format!("{}: {answer}", name(command))
        }
    }
}

fn name(command: &[u8]) -> &'static str {
    match command.get(1).copied().unwrap_or_default() {
        0xA4 => "SELECT",
        0xB2 => "READ RECORD",
        0xA8 => "GET PROCESSING OPTIONS",
        0x88 => "INTERNAL AUTHENTICATE",
        0x84 => "GET CHALLENGE",
        0x20 => "VERIFY",
        0xCA => "GET DATA",
        0xAE => "GENERATE AC",
        0x82 => "EXTERNAL AUTHENTICATE",
        0xC0 => "GET RESPONSE",
        _ => "script command",
    }
}

fn with_clause(finding: &Finding) -> String {
    match finding.clause() {
        Some(clause) => format!("{finding} ({clause})"),
        None => finding.to_string(),
    }
}

/// The results as tag, name and bytes.
fn results(replayed: &Replay) -> [(tlv::Tag, &'static str, Vec<u8>); 3] {
    let cvm = replayed.kernel.field_55(&[tags::CVM_RESULTS]).unwrap_or_default();
    let cvm = cvm.get(3..).unwrap_or_default().to_vec();
    [
        (tags::TVR, "TVR", replayed.outcome.tvr.to_vec()),
        (tags::TSI, "TSI", replayed.outcome.tsi.to_vec()),
        (tags::CVM_RESULTS, "CVM results", cvm),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn in_words(replayed: &Replay) -> String {
    let mut lines = Vec::new();
    for step in &replayed.steps {
        lines.push(asked(step));
        lines.extend(step.difference.iter().map(|difference| format!("  ! {difference}")));
        lines.extend(step.findings.iter().map(|finding| format!("  {}", with_clause(finding))));
    }
    lines.push(String::new());
    for (tag, name, value) in results(replayed) {
        lines.push(format!("{name} {}", hex(&value)));
        lines.extend(words(tag, &value, None).into_iter().map(|line| format!("  {line}")));
    }
    lines.push(format!("outcome {:?}: {}", replayed.outcome.decision, replayed.outcome.reason));
    lines.join("\n")
}

fn in_json(replayed: &Replay) -> Value {
    let finding = |finding: &Finding| json!({ "clause": finding.clause(), "finding": finding.to_string() });
    let step = |step: &Step| {
        json!({
            "step": asked(step),
            "difference": step.difference,
            "findings": step.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    };
    let [tvr, tsi, cvm] = results(replayed)
        .map(|(tag, _, value)| json!({ "value": hex(&value), "words": words(tag, &value, None) }));
    let outcome = &replayed.outcome;
    json!({
        "decision": format!("{:?}", outcome.decision).to_lowercase(),
        "reason": outcome.reason.to_string(),
        "aid": outcome.aid.as_deref().map(hex),
        "pan": replayed.kernel.masked_pan(),
        "response_code": outcome.arc.map(|arc| String::from_utf8_lossy(&arc).into_owned()),
        "cryptogram": outcome.cryptogram.map(|cryptogram| hex(&cryptogram.value)),
        "tvr": tvr,
        "tsi": tsi,
        "cvm_results": cvm,
        "scripts": outcome.script_results.iter().map(|result| hex(result)).collect::<Vec<_>>(),
        "steps": replayed.steps.iter().map(step).collect::<Vec<_>>(),
    })
}
