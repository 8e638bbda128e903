//! Book 3 Annexes C1, C2, C5 and C6, Book 4 Annexes A2 and A3: bit maps, with the clause that sets each result.

use crate::bits::Bit;

/// A bit in words: byte and mask, what it says, and for results the clause that sets it.
pub(super) struct Row {
    byte: usize,
    mask: u8,
    words: &'static str,
    clause: &'static str,
}

const fn row_of(byte: usize, mask: u8, words: &'static str, clause: &'static str) -> Row {
    Row { byte, mask, words, clause }
}

const fn said(byte: usize, mask: u8, words: &'static str) -> Row {
    row_of(byte, mask, words, "")
}

const RESERVED: &str = "reserved for future use";

/// A line for each bit that is set, the highest first.
pub(super) fn words(rows: &'static [Row], value: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for (byte, bits) in value.iter().enumerate() {
        for shift in (0..8).rev() {
            let mask = 1_u8 << shift;
            if bits & mask != 0 {
                let (words, _) = row(rows, Bit { byte, mask });
                lines.push(format!("byte {} bit {}: {words}", byte + 1, shift + 1));
            }
        }
    }
    lines
}

/// The words and the clause of a bit.
pub(super) fn row(rows: &'static [Row], bit: Bit) -> (&'static str, &'static str) {
    let row = rows.iter().find(|row| row.byte == bit.byte && row.mask == bit.mask);
    row.map_or((RESERVED, ""), |row| (row.words, row.clause))
}

pub(super) const TVR: &[Row] = &[
    row_of(0, 0x80, "offline data authentication was not performed", "Book 3, 10.3"),
    row_of(0, 0x40, "SDA failed", "Book 2, 5.4"),
    row_of(0, 0x20, "ICC data missing", "Book 3, 7.2"),
    row_of(0, 0x10, "card appears on terminal exception file", "Book 4, 6.3.5"),
    row_of(0, 0x08, "DDA failed", "Book 2, 6.5"),
    row_of(0, 0x04, "CDA failed", "Book 2, 6.6"),
    row_of(0, 0x02, "SDA selected", "Book 3, 10.3"),
    row_of(0, 0x01, "XDA selected", "Book 3, 10.3"),
    row_of(1, 0x80, "ICC and terminal have different application versions", "Book 3, 10.4.1"),
    row_of(1, 0x40, "expired application", "Book 3, 10.4.3"),
    row_of(1, 0x20, "application not yet effective", "Book 3, 10.4.3"),
    row_of(1, 0x10, "requested service not allowed for card product", "Book 3, 10.4.2"),
    row_of(1, 0x08, "new card", "Book 3, 10.6.3"),
    row_of(1, 0x02, "biometric performed and successful", "Book 3, 10.5"),
    row_of(1, 0x01, "biometric template format not supported", "Book 3, 10.5"),
    row_of(2, 0x80, "cardholder verification was not successful", "Book 3, 10.5"),
    row_of(2, 0x40, "unrecognised CVM", "Book 3, 10.5"),
    row_of(2, 0x20, "PIN try limit exceeded", "Book 3, 10.5.1"),
    row_of(2, 0x10, "PIN entry required and PIN pad not present or not working", "Book 3, 10.5"),
    row_of(2, 0x08, "PIN entry required, PIN pad present, but PIN was not entered", "Book 4, 6.3.4.3"),
    row_of(2, 0x04, "online CVM captured", "Book 3, 10.5.2"),
    row_of(2, 0x02, "biometric required but capture device not working", "Book 3, 10.5"),
    row_of(2, 0x01, "biometric required, capture device present, but bypassed", "Book 3, 10.5"),
    row_of(3, 0x80, "transaction exceeds floor limit", "Book 3, 10.6.1"),
    row_of(3, 0x40, "lower consecutive offline limit exceeded", "Book 3, 10.6.3"),
    row_of(3, 0x20, "upper consecutive offline limit exceeded", "Book 3, 10.6.3"),
    row_of(3, 0x10, "transaction selected randomly for online processing", "Book 3, 10.6.2"),
    row_of(3, 0x08, "merchant forced transaction online", "Book 4, 6.5.3"),
    row_of(3, 0x04, "biometric try limit exceeded", "Book 3, 10.5"),
    row_of(3, 0x02, "a selected biometric type not supported", "Book 3, 10.5"),
    row_of(3, 0x01, "XDA signature verification failed", "Book 2, 12"),
    row_of(4, 0x80, "default TDOL used", "Book 3, 9.2.2"),
    row_of(4, 0x40, "issuer authentication failed", "Book 3, 10.9"),
    row_of(4, 0x20, "script processing failed before final GENERATE AC", "Book 3, 10.10"),
    row_of(4, 0x10, "script processing failed after final GENERATE AC", "Book 3, 10.10"),
    row_of(4, 0x04, "CA ECC key missing", "Book 2, 12"),
    row_of(4, 0x02, "ECC key recovery failed", "Book 2, 12"),
];

pub(super) const TSI: &[Row] = &[
    row_of(0, 0x80, "offline data authentication was performed", "Book 3, 10.3"),
    row_of(0, 0x40, "cardholder verification was performed", "Book 3, 10.5"),
    row_of(0, 0x20, "card risk management was performed", "Book 3, 10.8"),
    row_of(0, 0x10, "issuer authentication was performed", "Book 3, 10.9"),
    row_of(0, 0x08, "terminal risk management was performed", "Book 3, 10.6"),
    row_of(0, 0x04, "script processing was performed", "Book 3, 10.10"),
];

pub(super) const AIP: &[Row] = &[
    said(0, 0x80, "XDA supported"),
    said(0, 0x40, "SDA supported"),
    said(0, 0x20, "DDA supported"),
    said(0, 0x10, "cardholder verification is supported"),
    said(0, 0x08, "terminal risk management is to be performed"),
    said(0, 0x04, "issuer authentication by EXTERNAL AUTHENTICATE is supported"),
    said(0, 0x01, "CDA supported"),
];

pub(super) const USAGE_CONTROL: &[Row] = &[
    said(0, 0x80, "valid for domestic cash transactions"),
    said(0, 0x40, "valid for international cash transactions"),
    said(0, 0x20, "valid for domestic goods"),
    said(0, 0x10, "valid for international goods"),
    said(0, 0x08, "valid for domestic services"),
    said(0, 0x04, "valid for international services"),
    said(0, 0x02, "valid at ATMs"),
    said(0, 0x01, "valid at terminals other than ATMs"),
    said(1, 0x80, "domestic cashback allowed"),
    said(1, 0x40, "international cashback allowed"),
];

pub(super) const TERMINAL_CAPABILITIES: &[Row] = &[
    said(0, 0x80, "manual key entry"),
    said(0, 0x40, "magnetic stripe"),
    said(0, 0x20, "IC with contacts"),
    said(1, 0x80, "plaintext PIN for ICC verification"),
    said(1, 0x40, "enciphered PIN for online verification"),
    said(1, 0x20, "signature"),
    said(1, 0x10, "enciphered PIN for offline verification (RSA)"),
    said(1, 0x08, "no CVM required"),
    said(1, 0x04, "online biometric"),
    said(1, 0x02, "offline biometric"),
    said(1, 0x01, "enciphered PIN for offline verification (ECC)"),
    said(2, 0x80, "SDA"),
    said(2, 0x40, "DDA"),
    said(2, 0x20, "card capture"),
    said(2, 0x08, "CDA"),
    said(2, 0x04, "XDA"),
];

pub(super) const ADDITIONAL_CAPABILITIES: &[Row] = &[
    said(0, 0x80, "cash"),
    said(0, 0x40, "goods"),
    said(0, 0x20, "services"),
    said(0, 0x10, "cashback"),
    said(0, 0x08, "inquiry"),
    said(0, 0x04, "transfer"),
    said(0, 0x02, "payment"),
    said(0, 0x01, "administrative"),
    said(1, 0x80, "cash deposit"),
    said(2, 0x80, "numeric keys"),
    said(2, 0x40, "alphabetic and special character keys"),
    said(2, 0x20, "command keys"),
    said(2, 0x10, "function keys"),
    said(3, 0x80, "print, attendant"),
    said(3, 0x40, "print, cardholder"),
    said(3, 0x20, "display, attendant"),
    said(3, 0x10, "display, cardholder"),
    said(3, 0x02, "code table 10"),
    said(3, 0x01, "code table 9"),
    said(4, 0x80, "code table 8"),
    said(4, 0x40, "code table 7"),
    said(4, 0x20, "code table 6"),
    said(4, 0x10, "code table 5"),
    said(4, 0x08, "code table 4"),
    said(4, 0x04, "code table 3"),
    said(4, 0x02, "code table 2"),
    said(4, 0x01, "code table 1"),
];
