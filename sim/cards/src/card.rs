//! The card in the slot: power, removal, and how response data travel (ISO/IEC 7816-3, EMV Book 1 part II).

use crate::Error;
use crate::apdu::{Command, Status, response};
use crate::applet::Applet;
use crate::profile::Profile;

/// Direct convention, T=0, no historical bytes (Book 1 clause 8).
const ATR: [u8; 4] = [0x3B, 0x60, 0x00, 0x00];
const GET_RESPONSE: u8 = 0xC0;

/// A virtual card. Its counters live as long as the value; a session lives from reset to reset.
#[derive(Debug)]
pub struct Card {
    applet: Applet,
    /// Response data that wait for GET RESPONSE, with the status that follows them.
    waiting: Option<(Vec<u8>, Status)>,
    /// APDUs since the card was inserted.
    received: u32,
}

impl Card {
    /// A card fresh from its issuer, except that its application transaction counter stands at `atc`.
    pub(crate) fn new(profile: Profile, atc: u16) -> Result<Self, Error> {
        Ok(Self { applet: Applet::new(profile, atc)?, waiting: None, received: 0 })
    }

    /// The profile that this card was made from.
    pub fn profile(&self) -> &Profile {
        self.applet.profile()
    }

    /// The application transaction counter (tag 9F36).
    pub fn atc(&self) -> u16 {
        self.applet.atc()
    }

    /// The answer to reset; `None` if the chip is mute or the card is gone. Powering up needs [`Card::reset`].
    pub fn atr(&self) -> Option<Vec<u8>> {
        (!self.profile().behaviour.mute && !self.is_removed()).then(|| ATR.to_vec())
    }

    /// Cold or warm reset: forgets the session, keeps the counters.
    pub fn reset(&mut self) {
        self.applet.reset();
        self.waiting = None;
    }

    /// Has the card pulled itself out?
    pub fn is_removed(&self) -> bool {
        self.profile().behaviour.removed_at.is_some_and(|at| self.received >= at)
    }

    /// Gives the card a command APDU (short, cases 1 to 4). The answer is data, then SW1 SW2; `None` if the
    /// card is mute or has been pulled out.
    pub fn transmit(&mut self, apdu: &[u8]) -> Option<Vec<u8>> {
        self.received = self.received.saturating_add(1);
        if self.is_removed() || self.profile().behaviour.mute {
            return None;
        }
        let waiting = self.waiting.take();
        Some(match Command::parse(apdu) {
            Err(status) => response(Vec::new(), status),
            Ok(command) if command.ins == GET_RESPONSE => self.get_response(command, waiting),
            Ok(command) => self.execute(command),
        })
    }

    /// Book 1 clause 9.3.1: how outgoing data meet the length that the terminal expects.
    fn execute(&mut self, command: Command<'_>) -> Vec<u8> {
        let t0 = self.profile().behaviour.t0;
        let (data, status) = self.applet.execute(&command);
        if data.is_empty() {
            return response(data, status);
        }
        let exact = |le: u8| usize::from(le) == data.len();
        let enough = |le: u8| le == 0 || usize::from(le) >= data.len();
        let fits = command.le.is_some_and(|le| exact(le) || (!t0 && enough(le)));
        if command.data.is_empty() && command.le.is_some() {
            // Case 2: READ RECORD and GET DATA, which change nothing and so can be asked for again.
            return if fits {
                response(data, status)
            } else {
                response(Vec::new(), Status::exact_length(data.len()))
            };
        }
        if fits && !t0 { response(data, status) } else { self.wait(data, status) }
    }

    /// Keeps response data for GET RESPONSE.
    fn wait(&mut self, data: Vec<u8>, status: Status) -> Vec<u8> {
        let available = Status::bytes_available(data.len());
        self.waiting = Some((data, status));
        response(Vec::new(), available)
    }

    fn get_response(&mut self, command: Command<'_>, waiting: Option<(Vec<u8>, Status)>) -> Vec<u8> {
        let refusal = match (command.cla, command.parameters(), command.le) {
            (0x00, (0, 0), Some(le)) => return self.hand_over(usize::from(le), waiting),
            (0x00, (0, 0), None) => Status::WRONG_LENGTH,
            (0x00, ..) => Status::INCORRECT_PARAMETERS,
            _ => Status::CLASS_NOT_SUPPORTED,
        };
        self.waiting = waiting;
        response(Vec::new(), refusal)
    }

    /// Gives `length` of the waiting bytes, all for 0; what is left goes on waiting.
    fn hand_over(&mut self, length: usize, waiting: Option<(Vec<u8>, Status)>) -> Vec<u8> {
        let Some((mut data, status)) = waiting else {
            return response(Vec::new(), Status::CONDITIONS_NOT_SATISFIED);
        };
        if length > data.len() {
            let exact = Status::exact_length(data.len());
            self.waiting = Some((data, status));
            return response(Vec::new(), exact);
        }
        let rest = if length == 0 { Vec::new() } else { data.split_off(length) };
        if rest.is_empty() {
            return response(data, status);
        }
        let available = Status::bytes_available(rest.len());
        self.waiting = Some((rest, status));
        response(data, available)
    }
}
