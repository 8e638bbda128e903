//! Book 3 clause 6.5.5 (cryptogram information data), Book 4 Annex A5 (script results), and the issuer application data of
//! UnionPay (PBOC 3.0 part 5) and Visa, which share their card verification results.

use tlv::Definer;

/// The kind of the cryptogram, whether an advice is wanted, and why.
pub(super) fn cryptogram_information(value: &[u8]) -> Vec<String> {
    let &[cid] = value else { return Vec::new() };
    let kind = match cid & 0xC0 {
        0x00 => "AAC: declined",
        0x40 => "TC: approved",
        0x80 => "ARQC: the issuer is asked",
        _ => "reserved for future use",
    };
    let mut lines = vec![kind.to_owned()];
    if cid & 0x08 != 0 {
        lines.push("advice required".to_owned());
    }
    lines.extend(match cid & 0x07 {
        0 => None,
        1 => Some("service not allowed".to_owned()),
        2 => Some("PIN try limit exceeded".to_owned()),
        3 => Some("issuer authentication failed".to_owned()),
        _ => Some("a reason reserved for future use".to_owned()),
    });
    lines
}

/// A line for each script.
pub(super) fn script_results(value: &[u8]) -> Vec<String> {
    let (scripts, _) = value.as_chunks::<5>();
    let line = |&[result, a, b, c, d]: &[u8; 5]| {
        let came_to = match (result >> 4, result & 0x0F) {
            (0, _) => "not performed".to_owned(),
            (1, 0) => "failed".to_owned(),
            (1, command) => format!("failed at command {command}"),
            (2, _) => "successful".to_owned(),
            _ => "a result reserved for future use".to_owned(),
        };
        format!("script {a:02X}{b:02X}{c:02X}{d:02X}: {came_to}")
    };
    scripts.iter().map(line).collect()
}

/// The key and version that the cryptogram is made with, and what the card saw. Other payment systems code it differently.
pub(super) fn application_data(value: &[u8], card: Option<Definer>) -> Vec<String> {
    let (Some(Definer::UnionPay | Definer::Visa), Some((_, rest))) = (card, value.split_first()) else {
        return Vec::new();
    };
    let Some((&[index, version, 0x03, second, third, fourth], rest)) = rest.split_first_chunk() else {
        return Vec::new();
    };
    let mut lines = vec![format!("key derivation index {index:02X}, cryptogram version {version:02X}")];
    let (first, last) = (kind(second >> 4, "ARQC"), kind(second >> 6, "not requested"));
    lines.push(format!("first GENERATE AC: {first}, second: {last}"));
    lines.extend(set(&SECOND, second));
    lines.extend(set(&THIRD, third));
    if fourth >> 4 != 0 {
        lines.push(format!("{} script commands", fourth >> 4));
    }
    lines.extend(set(&FOURTH, fourth));
    if let (Some(Definer::UnionPay), Some(algorithm)) = (card, rest.first()) {
        lines.push(format!("algorithm {algorithm:02X}"));
    }
    lines
}

/// The kind of a cryptogram by two bits; `two` is what their value 2 says.
fn kind(bits: u8, two: &'static str) -> &'static str {
    match bits & 0x03 {
        0 => "AAC",
        1 => "TC",
        2 => two,
        _ => "reserved for future use",
    }
}

type Bits = [(u8, &'static str)];

fn set(rows: &Bits, byte: u8) -> impl Iterator<Item = String> {
    rows.iter().filter(move |(mask, _)| byte & mask != 0).map(|(_, words)| (*words).to_owned())
}

const SECOND: [(u8, &str); 4] = [
    (0x08, "issuer authentication performed and failed"),
    (0x04, "offline PIN verification performed"),
    (0x02, "offline PIN verification failed"),
    (0x01, "unable to go online"),
];

const THIRD: [(u8, &str); 8] = [
    (0x80, "last online transaction not completed"),
    (0x40, "PIN try limit exceeded"),
    (0x20, "velocity counters exceeded"),
    (0x10, "new card"),
    (0x08, "issuer authentication failed on the last online transaction"),
    (0x04, "issuer authentication not performed after online authorisation"),
    (0x02, "application blocked, because the PIN try limit was exceeded"),
    (0x01, "SDA failed on the last transaction, which was declined offline"),
];

const FOURTH: [(u8, &str); 3] = [
    (0x08, "a script command failed"),
    (0x04, "DDA failed on the last transaction, which was declined offline"),
    (0x02, "DDA performed"),
];
