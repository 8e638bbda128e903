//! An answer to reset in words, for people.

use super::Atr;
use crate::parameters::{D, F};

impl Atr {
    /// What the card says of itself, a line each.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut say = |line: String| lines.push(line);
        if self.contactless {
            say("made up by the reader for a contactless card (PC/SC Part 3, 3.1.3.2.3)".to_owned());
        }
        say(format!("TS: {} convention", if self.inverse { "inverse" } else { "direct" }));
        say(format!(
            "protocols: {}",
            self.protocols().iter().map(|t| format!("T={t}")).collect::<Vec<_>>().join(", ")
        ));
        match self.fi_di {
            Some(fi_di) => say(format!("TA1 {fi_di:02X}: {}", rate(fi_di))),
            None => say(format!("no TA1: {}", rate(crate::parameters::DEFAULT_FI_DI))),
        }
        match self.extra_guard_time {
            255 => say("TC1 FF: the least guard time that the protocol allows".to_owned()),
            n => say(format!("TC1 {n:02X}: extra guard time of {n} etu")),
        }
        if let Some(specific) = self.specific_mode {
            let rate =
                if specific & 0x10 == 0 { "at the rate of TA1" } else { "at a rate that it does not name" };
            say(format!("TA2 {specific:02X}: specific mode, T={} {rate}", specific & 0x0F));
        }
        if self.protocols().contains(&0) {
            say(format!(
                "WI {} of T=0: waits up to {} etu at D = 1",
                self.waiting_integer,
                960 * u32::from(self.waiting_integer)
            ));
        }
        if self.protocols().contains(&1) {
            let (block, character) = (self.waiting_integers >> 4, self.waiting_integers & 0x0F);
            let check = if self.crc { "CRC" } else { "LRC" };
            say(format!("T=1: IFSC {}, BWI {block}, CWI {character}, {check}", self.ifsc));
        }
        match self.historical.as_slice() {
            [] => say("no historical bytes".to_owned()),
            bytes => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                let text: String = bytes
                    .iter()
                    .map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '.' })
                    .collect();
                say(format!("{} historical bytes: {hex} {text:?}", bytes.len()));
            }
        }
        lines
    }
}

/// F and D by tables 7 and 8.
fn rate(fi_di: u8) -> String {
    let of =
        |table: &[u32; 16], index: u8| table.get(usize::from(index)).copied().filter(|&value| value != 0);
    match (of(&F, fi_di >> 4), of(&D, fi_di & 0x0F)) {
        (Some(f), Some(d)) => format!("F = {f}, D = {d}: {} clock cycles for each bit", f / d),
        _ => "reserved for future use".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cards_answer_to_reset_reads_as_its_parameters() {
        let bytes =
            [0x3B, 0xE7, 0x00, 0x00, 0x81, 0x31, 0xFE, 0x45, 0x80, 0x31, 0x80, 0x65, 0xB0, b'A', 0x12];
        let tck = bytes.iter().skip(1).fold(0, |sum, byte| sum ^ byte);
        let words = Atr::parse(&[&bytes[..], &[tck]].concat()).unwrap().words();
        assert_eq!(
            words,
            [
                "TS: direct convention",
                "protocols: T=1",
                "no TA1: F = 372, D = 1: 372 clock cycles for each bit",
                "TC1 00: extra guard time of 0 etu",
                "T=1: IFSC 254, BWI 4, CWI 5, LRC",
                "7 historical bytes: 80318065B04112 \".1.e.A.\"",
            ]
        );
        let reserved = Atr::parse(&[0x3F, 0x10, 0x7F]).unwrap().words();
        assert_eq!(reserved.get(2).map(String::as_str), Some("TA1 7F: reserved for future use"));
    }
}
