//! Issuer script commands (EMV Book 3 clauses 6.5.1, 6.5.2, 6.5.3 and 6.5.10), under secure messaging for
//! integrity, format 2 (Book 2 clause 9.2): the last eight data bytes are a MAC.
//!
//! The MAC is over header, Lc, ATC, the transaction's ARQC and the plain data; each command stands for itself.

use keys::TdesKey;

use super::{Applet, PIN_TRIES, Phase};
use crate::apdu::{Answer, Command, Status};
use crate::profile::Profile;

const CARD_BLOCK: u8 = 0x16;
const APPLICATION_UNBLOCK: u8 = 0x18;
const APPLICATION_BLOCK: u8 = 0x1E;
const PIN_CHANGE_UNBLOCK: u8 = 0x24;
const MAC_LENGTH: u8 = 8;

impl Applet {
    pub(super) fn script(&mut self, command: &Command<'_>) -> Answer {
        let arqc = match self.session.phase {
            Phase::Online { arqc } | Phase::Finished { arqc: Some(arqc) } => arqc,
            _ => return Err(Status::CONDITIONS_NOT_SATISFIED),
        };
        self.session.cvr.script_command();
        let result = self.execute_script(command, arqc);
        if result.is_err() {
            self.session.cvr.script_failed();
        }
        self.memory.scripts = self.session.cvr.scripts();
        result.map(|()| Vec::new())
    }

    fn execute_script(&mut self, command: &Command<'_>, arqc: [u8; 8]) -> Result<(), Status> {
        if command.parameters() != (0, 0) {
            return Err(Status::INCORRECT_PARAMETERS);
        }
        // None of the four commands carries data besides its MAC.
        let sent = <[u8; 8]>::try_from(command.data).map_err(|_| Status::WRONG_LENGTH)?;
        let header = [command.cla, command.ins, command.p1, command.p2, MAC_LENGTH];
        let expected = mac(&self.script_key, self.memory.atc, arqc, header);
        if !keys::mac::equal(&sent, &expected) {
            return Err(Status::SECURE_MESSAGING_INCORRECT);
        }
        match command.ins {
            CARD_BLOCK => self.memory.card_blocked = true,
            APPLICATION_BLOCK => self.memory.application_blocked = true,
            APPLICATION_UNBLOCK => self.memory.application_blocked = false,
            PIN_CHANGE_UNBLOCK => self.memory.pin_tries = PIN_TRIES,
            _ => return Err(Status::INSTRUCTION_NOT_SUPPORTED),
        }
        Ok(())
    }
}

/// An issuer's script command for a card, ready for a template 71 or 72 (tag 86): CARD BLOCK `84 16 00 00`,
/// APPLICATION UNBLOCK `84 18 00 00`, APPLICATION BLOCK `84 1E 00 00` or PIN UNBLOCK `84 24 00 00`.
///
/// `atc` and `arqc` are those of the transaction that the script answers.
pub fn seal_script(profile: &Profile, atc: u16, arqc: [u8; 8], header: [u8; 4]) -> Vec<u8> {
    let key = keys::emv::card_key(profile.imk_smi(), &profile.pan, profile.psn);
    let [cla, ins, p1, p2] = header;
    let header = [cla, ins, p1, p2, MAC_LENGTH];
    let mut command = header.to_vec();
    command.extend(mac(&key, atc, arqc, header));
    command
}

fn mac(card_key: &TdesKey, atc: u16, arqc: [u8; 8], header: [u8; 5]) -> [u8; 8] {
    let mut message = header.to_vec();
    message.extend(atc.to_be_bytes());
    message.extend(arqc);
    keys::mac::retail(&session_key(card_key, arqc), &message)
}

/// Common session key derivation (Book 2 A1.3.1) with R = ARQC, as secure messaging has it.
fn session_key(card_key: &TdesKey, arqc: [u8; 8]) -> TdesKey {
    let [first, second, _, rest @ ..] = arqc;
    let half = |marker: u8| {
        let [a, b, c, d, e] = rest;
        card_key.encrypt_block([first, second, marker, a, b, c, d, e])
    };
    let mut key = [0; 16];
    let (left, right) = key.split_at_mut(8);
    left.copy_from_slice(&half(0xF0));
    right.copy_from_slice(&half(0x0F));
    TdesKey::new(key)
}
