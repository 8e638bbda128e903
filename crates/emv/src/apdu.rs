//! EMV Book 1 clause 9 and Book 3 clause 6: commands, responses, and what a transport makes of them.

use tlv::Output;
use zeroize::Zeroizing;

use crate::bytes::Bytes;
use crate::objects::room;

/// Status words 90 00.
pub(crate) const OK: u16 = 0x9000;

/// More procedure bytes than this for one command are a broken card's.
const MAX_FOLLOW_UPS: u8 = 8;

/// EMV responses have at most 256 data bytes.
const MAX_RESPONSE: usize = 256;

/// Header, Lc, 255 bytes, Le.
const MAX_COMMAND: usize = 261;

/// A command that a terminal sends. Case 4 commands carry `Le = 00`, which a T=0 transport leaves out.
pub struct Command {
    pub(crate) bytes: Bytes<MAX_COMMAND>,
}

impl Command {
    /// `None` if the data are longer than 255 bytes.
    fn new(header: [u8; 4], data: Option<&[u8]>, expects: bool) -> Option<Self> {
        let mut bytes = Bytes::copy(&header)?;
        if let Some(data) = data.filter(|data| !data.is_empty()) {
            bytes.put(&[u8::try_from(data.len()).ok()?]).ok()?;
            bytes.put(data).ok()?;
        }
        if expects {
            bytes.put(&[0]).ok()?;
        }
        Some(Self { bytes })
    }

    /// Book 1 clause 11.3: by name, the first or the next occurrence. `None` if the name is longer than 255 bytes.
    #[must_use]
    pub fn select(name: &[u8], next: bool) -> Option<Self> {
        Self::new([0x00, 0xA4, 0x04, if next { 0x02 } else { 0x00 }], Some(name), true)
    }

    /// Book 3 clause 6.5.11.
    pub(crate) fn read_record(sfi: u8, record: u8) -> Option<Self> {
        Self::new([0x00, 0xB2, record, (sfi << 3) | 0x04], None, true)
    }

    /// Book 3 clause 6.5.8, with the command template that holds the PDOL's values.
    pub(crate) fn get_processing_options(values: &[u8]) -> Option<Self> {
        let mut template = Bytes::<255>::default();
        tlv::write(&mut template, tlv::tags::COMMAND_TEMPLATE, values).ok()?;
        Self::new([0x80, 0xA8, 0x00, 0x00], Some(&template), true)
    }

    /// Book 3 clause 6.5.9.
    pub(crate) fn internal_authenticate(values: &[u8]) -> Option<Self> {
        Self::new([0x00, 0x88, 0x00, 0x00], Some(values), true)
    }

    /// Book 3 clause 6.5.7.
    pub(crate) fn get_data(tag: tlv::Tag) -> Option<Self> {
        let [.., p1, p2] = tag.number().to_be_bytes();
        Self::new([0x80, 0xCA, p1, p2], None, true)
    }

    /// Book 3 clause 6.5.6.
    pub(crate) fn get_challenge() -> Option<Self> {
        Self::new([0x00, 0x84, 0x00, 0x00], None, true)
    }

    /// Book 3 clause 6.5.5.
    pub(crate) fn generate_ac(reference_control: u8, values: &[u8]) -> Option<Self> {
        Self::new([0x80, 0xAE, reference_control, 0x00], Some(values), true)
    }

    /// Book 3 clause 6.5.4.
    pub(crate) fn external_authenticate(data: &[u8]) -> Option<Self> {
        Self::new([0x00, 0x82, 0x00, 0x00], Some(data), false)
    }

    /// A short command as somebody else coded it, such as an issuer in a script: `None` if it has not 4 to 261 bytes.
    #[must_use]
    pub fn coded(bytes: &[u8]) -> Option<Self> {
        let bytes = Bytes::copy(bytes).filter(|bytes| bytes.len() >= 4)?;
        Some(Self { bytes })
    }
}

/// A whole response: its data, up to 256 bytes, and its status word.
pub struct Response {
    /// The data, without the status word.
    pub data: Zeroizing<Vec<u8>>,
    /// SW1 SW2.
    pub status: u16,
}

impl Response {
    /// SW1.
    pub(crate) fn sw1(&self) -> u8 {
        let [sw1, _] = self.status.to_be_bytes();
        sw1
    }
}

/// What to do after bytes from the card.
pub enum Step {
    /// Send [`Exchange::outgoing`] again.
    Again,
    /// The response is whole.
    Done(Response),
    /// The card doesn't follow the protocol.
    Malformed,
}

/// One command and its response, including GET RESPONSE (61 xx) and the right Le (6C xx).
///
/// The buffers have their full capacity from the start: a vector that moves leaves card data behind in freed memory.
pub struct Exchange {
    command: Zeroizing<Vec<u8>>,
    get_response: Option<[u8; 5]>,
    data: Zeroizing<Vec<u8>>,
    follow_ups: u8,
}

impl Default for Exchange {
    fn default() -> Self {
        Self { command: room(MAX_COMMAND), get_response: None, data: room(MAX_RESPONSE), follow_ups: 0 }
    }
}

impl Exchange {
    /// Begins with `command`.
    #[must_use]
    pub fn new(command: Command) -> Self {
        let mut exchange = Self::default();
        exchange.begin(&command);
        exchange
    }

    /// Begins anew.
    pub(crate) fn begin(&mut self, command: &Command) {
        self.command.clear();
        self.command.extend_from_slice(&command.bytes);
        self.get_response = None;
        self.data.clear();
        self.follow_ups = 0;
    }

    /// Takes the buffer of a response back that nobody needs any more.
    pub(crate) fn reuse(&mut self, response: Response) {
        self.data = response.data;
        self.data.clear();
    }

    /// What to transmit now.
    #[must_use]
    pub fn outgoing(&self) -> &[u8] {
        self.get_response.as_ref().map_or(self.command.as_slice(), <[u8; 5]>::as_slice)
    }

    /// INS of the command.
    pub(crate) fn ins(&self) -> u8 {
        self.command.get(1).copied().unwrap_or_default()
    }

    /// Takes what the card answered.
    pub fn take(&mut self, bytes: &[u8]) -> Step {
        let Some((data, &[sw1, sw2])) = bytes.split_last_chunk() else { return Step::Malformed };
        if self.data.len() + data.len() > MAX_RESPONSE {
            return Step::Malformed;
        }
        match sw1 {
            0x61 | 0x6C if self.follow_ups == MAX_FOLLOW_UPS => Step::Malformed,
            0x61 => {
                self.data.extend_from_slice(data);
                self.follow_ups += 1;
                self.get_response = Some([0x00, 0xC0, 0x00, 0x00, sw2]);
                Step::Again
            }
            0x6C => {
                self.follow_ups += 1;
                // Of the command that was sent last, which may be GET RESPONSE.
                match &mut self.get_response {
                    Some([.., expected]) => *expected = sw2,
                    None => expect(&mut self.command, sw2),
                }
                Step::Again
            }
            _ => {
                self.data.extend_from_slice(data);
                let data = core::mem::take(&mut self.data);
                Step::Done(Response { data, status: u16::from_be_bytes([sw1, sw2]) })
            }
        }
    }
}

/// Gives the command another Le, whether or not it had one.
fn expect(command: &mut Vec<u8>, expected: u8) {
    let without = match command.as_slice() {
        [.., _] if command.len() == 5 => 4,
        [_, _, _, _, count, rest @ ..] => 5 + usize::from(*count).min(rest.len()),
        _ => command.len(),
    };
    command.truncate(without);
    command.push(expected);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(command: Option<Command>) -> Exchange {
        Exchange::new(command.unwrap())
    }

    #[test]
    fn a_response_in_two_parts_is_fetched_and_joined() {
        let mut exchange = exchange(Command::select(b"1PAY", false));
        assert!(matches!(exchange.take(&[0x6F, 0x61, 0x02]), Step::Again));
        assert_eq!(exchange.outgoing(), [0x00, 0xC0, 0x00, 0x00, 0x02]);
        let Step::Done(response) = exchange.take(&[0x01, 0x84, 0x90, 0x00]) else { panic!() };
        assert_eq!((response.data.as_slice(), response.status), (&[0x6F, 0x01, 0x84][..], OK));
    }

    #[test]
    fn a_wrong_length_is_repeated_with_the_right_one() {
        let mut exchange = exchange(Command::read_record(1, 2));
        assert!(matches!(exchange.take(&[0x6C, 0x2A]), Step::Again));
        assert_eq!(exchange.outgoing(), [0x00, 0xB2, 0x02, 0x0C, 0x2A]);
        let mut exchange = self::exchange(Command::generate_ac(0x80, &[1, 2]));
        assert!(matches!(exchange.take(&[0x6C, 0x2A]), Step::Again));
        assert_eq!(exchange.outgoing(), [0x80, 0xAE, 0x80, 0x00, 0x02, 1, 2, 0x2A]);
    }

    #[test]
    fn get_response_is_repeated_with_the_right_length_too() {
        let mut exchange = exchange(Command::read_record(1, 2));
        assert!(matches!(exchange.take(&[0x61, 0x00]), Step::Again));
        assert!(matches!(exchange.take(&[0x6C, 0x02]), Step::Again));
        assert_eq!(exchange.outgoing(), [0x00, 0xC0, 0x00, 0x00, 0x02]);
        let Step::Done(response) = exchange.take(&[0x70, 0x00, 0x90, 0x00]) else { panic!() };
        assert_eq!(response.data.as_slice(), [0x70, 0x00]);
    }

    #[test]
    fn a_card_that_never_finishes_is_cut_off() {
        let mut exchange = exchange(Command::get_data(tlv::tags::ATC));
        let steps = (0..100).take_while(|_| matches!(exchange.take(&[0x61, 0x01]), Step::Again)).count();
        assert_eq!(steps, usize::from(MAX_FOLLOW_UPS));
    }

    #[test]
    fn a_response_without_status_or_too_long_is_malformed() {
        assert!(matches!(exchange(Command::read_record(1, 1)).take(&[0x90]), Step::Malformed));
        assert!(matches!(exchange(Command::read_record(1, 1)).take(&[0; 300]), Step::Malformed));
    }
}
