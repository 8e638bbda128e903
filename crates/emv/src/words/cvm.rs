//! Book 3 Annex C3 and Book 4 Annex A4: cardholder verification rules and results.

/// Bits 6 to 1 of a CVM code.
pub fn method(code: u8) -> &'static str {
    match code & 0x3F {
        0x00 => "fail CVM processing",
        0x01 => "plaintext PIN verified by the card",
        0x02 => "PIN enciphered online",
        0x03 => "plaintext PIN verified by the card, and signature",
        0x04 => "enciphered PIN verified by the card",
        0x05 => "enciphered PIN verified by the card, and signature",
        0x06 | 0x08 | 0x0A | 0x0C | 0x0E => "biometric verified by the card",
        0x07 | 0x09 | 0x0B | 0x0D | 0x0F => "biometric verified online",
        0x1E => "signature",
        0x1F => "no CVM required",
        0x20..=0x2F => "a method of the payment system",
        0x30..=0x3E => "a method of the issuer",
        0x3F => "no CVM performed",
        _ => "a method reserved for future use",
    }
}

/// A CVM condition code.
pub fn condition(code: u8) -> &'static str {
    match code {
        0x00 => "always",
        0x01 => "if unattended cash",
        0x02 => "if neither unattended nor manual cash nor purchase with cashback",
        0x03 => "if the terminal supports it",
        0x04 => "if manual cash",
        0x05 => "if purchase with cashback",
        0x06 => "if in the application's currency and under X",
        0x07 => "if in the application's currency and over X",
        0x08 => "if in the application's currency and under Y",
        0x09 => "if in the application's currency and over Y",
        0x0A..=0x7F => "on a condition reserved for future use",
        0x80..=0xFF => "on a condition of the payment system",
    }
}

/// The amounts, then a line for each rule.
pub(super) fn list(value: &[u8]) -> Vec<String> {
    let Some((x, rest)) = value.split_first_chunk::<4>() else { return Vec::new() };
    let Some((y, rules)) = rest.split_first_chunk::<4>() else { return Vec::new() };
    let (x, y) = (u32::from_be_bytes(*x), u32::from_be_bytes(*y));
    let (rules, odd) = rules.as_chunks();
    let mut lines = vec![format!("X = {x}, Y = {y}")];
    for &[code, when] in rules {
        let otherwise =
            if code & 0x40 == 0 { "else cardholder verification fails" } else { "else the next rule" };
        lines.push(format!("{}, {}; {otherwise}", method(code), condition(when)));
    }
    if !odd.is_empty() {
        lines.push("half a rule".to_owned());
    }
    lines
}

/// One line.
pub(super) fn results(value: &[u8]) -> Vec<String> {
    let &[code, when, result] = value else { return Vec::new() };
    let result = match result {
        0x00 => "result unknown",
        0x01 => "failed",
        0x02 => "successful",
        _ => "result reserved for future use",
    };
    match (code, result) {
        (0x3F, "result unknown") => vec![method(code).to_owned()],
        (0x3F, result) => vec![format!("{}: {result}", method(code))],
        _ => vec![format!("{}, {}: {result}", method(code), condition(when))],
    }
}
