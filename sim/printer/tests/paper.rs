//! The printer against the encoder: what `escpos` says a receipt looks like is what this printer prints.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use escpos::{Bitmap, Document, Font, Profile, encode, layout, render};
use sim_printer::machine::{Machine, Output};

const RECEIPT: &str = include_str!("../../../crates/escpos/tests/data/receipt.json");

fn profile(name: &str) -> Profile {
    let path = format!("{}/../../config/printers/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn document(json: &str) -> Document {
    serde_json::from_str(json).unwrap()
}

fn sent(document: &Document, profile: &Profile) -> (Vec<u8>, Vec<Bitmap>) {
    let mut font = Font::builtin().unwrap();
    let layout = layout(document, profile, &font).unwrap();
    (encode(&layout, profile, &mut font), render(&layout, &mut font))
}

fn machine(profile: &Profile) -> Machine {
    Machine::new(usize::from(profile.dots), Font::builtin().unwrap())
}

/// What the host hears.
fn said(output: &[Output]) -> Vec<u8> {
    output
        .iter()
        .filter_map(|part| if let Output::Say(bytes) = part { Some(bytes.clone()) } else { None })
        .flatten()
        .collect()
}

#[test]
fn every_profile_prints_the_dots_of_the_preview() {
    for name in [
        "generic-58mm-gb18030",
        "generic-58mm-raster",
        "generic-80mm-gb18030",
        "generic-80mm-raster",
        "generic-80mm-latin",
    ] {
        let profile = profile(name);
        let (bytes, sheets) = sent(&document(RECEIPT), &profile);
        let mut machine = machine(&profile);
        let mut output = machine.receive(&bytes);
        // The next job: for a printer without a cutter, the last receipt is torn off now.
        output.extend(machine.receive(b"\x1b@"));
        assert!(machine.faults.is_empty(), "{name}: {:?}", machine.faults);
        let printed: Vec<_> = output
            .into_iter()
            .filter_map(|part| if let Output::Done(receipt) = part { Some(receipt.dots) } else { None })
            .collect();
        assert!(printed == sheets, "{name}: the paper differs from the preview");
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    let profile = profile("generic-58mm-gb18030");
    let (bytes, sheets) = sent(&document(RECEIPT), &profile);
    let mut machine = machine(&profile);
    for byte in bytes {
        machine.receive(&[byte]);
    }
    assert!(machine.receipt().dots == sheets[0]);
}

#[test]
fn the_text_of_a_chinese_receipt_can_be_read() {
    let profile = profile("generic-58mm-gb18030");
    let mut machine = machine(&profile);
    machine.receive(&sent(&document(RECEIPT), &profile).0);
    let text = &machine.receipt().text;
    for line in
        ["卡号：622588******1234", "合计 TOTAL", "￥43.80", "[QR https://smartpos.example/r/000123]", "〓"]
    {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn the_barrier_is_answered_only_once_paper_is_back() {
    let profile = profile("generic-58mm-gb18030");
    let (bytes, sheets) = sent(&document(RECEIPT), &profile);
    let mut machine = machine(&profile);
    machine.paper_left = Some(300);
    let output = machine.receive(&[&bytes[..], b"\x1dr\x01"].concat());
    // The status on `GS a`, then that of the paper's end.
    assert_eq!(said(&output), [0x10, 0, 0, 0x0F, 0x18, 0, 0x0F, 0x0F]);
    assert_eq!(said(&machine.receive(b"\x10\x04\x04")), [0x7E]);
    machine.paper_out = false;
    assert_eq!(said(&machine.run()), [0x00]);
    assert!(machine.receipt().dots == sheets[0]);
}

#[test]
fn what_is_not_understood_is_marked_and_kept() {
    let mut machine = machine(&profile("generic-58mm-gb18030"));
    machine.receive(b"\x1b@\x1cX\nok\n\x1ba\x07");
    assert_eq!(machine.faults, ["unknown command 1C 58", "arguments out of range: 1B 61 07"]);
    assert!(machine.receipt().text.contains("?? unknown command 1C 58"));
}
