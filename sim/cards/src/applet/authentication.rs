//! Who the card and the cardholder are: INTERNAL AUTHENTICATE, GET CHALLENGE and VERIFY (EMV Book 3 clauses 6.5.9, 6.5.6
//! and 6.5.12).

use super::{Applet, PIN_TRIES, Phase, values};
use crate::apdu::{Answer, Command, Status};
use crate::certificate;

/// P2 of VERIFY: plaintext PIN.
const PLAINTEXT_PIN: u8 = 0x80;
/// P2 of VERIFY: enciphered PIN.
const ENCIPHERED_PIN: u8 = 0x88;
/// What the data of an enciphered PIN begin with (Book 2 clause 7.2).
const HEADER: u8 = 0x7F;

impl Applet {
    /// Signs the terminal's unpredictable number.
    pub(super) fn internal_authenticate(&mut self, command: &Command<'_>) -> Answer {
        if command.parameters() != (0, 0) {
            return Err(Status::INCORRECT_PARAMETERS);
        }
        if self.session.phase != Phase::Initiated {
            return Err(Status::CONDITIONS_NOT_SATISFIED);
        }
        values(&self.profile.scheme.ddol, command.data)?;
        // A card has a random generator here; ours must answer the same way each time it is asked the same.
        let dynamic_number = keys::mac::retail(&self.session_key(), command.data);
        let signed = certificate::signed_dynamic_data(&self.profile.scheme.icc, dynamic_number, command.data);
        self.session.cvr.dynamic_data_authenticated();
        self.formatted(&[(0x9F4B, &signed)])
    }

    /// A number for one enciphered PIN.
    pub(super) fn get_challenge(&mut self, command: &Command<'_>) -> Answer {
        if command.parameters() != (0, 0) {
            return Err(Status::INCORRECT_PARAMETERS);
        }
        if self.session.phase != Phase::Initiated {
            return Err(Status::CONDITIONS_NOT_SATISFIED);
        }
        if !command.data.is_empty() {
            return Err(Status::WRONG_LENGTH);
        }
        self.session.challenges += 1;
        let challenge = keys::mac::retail(&self.session_key(), &self.session.challenges.to_be_bytes());
        self.session.challenge = Some(challenge);
        Ok(challenge.to_vec())
    }

    /// Compares an offline PIN: `2L PP PP PP/FF PP/FF PP/FF PP/FF FF`, in the clear or enciphered.
    pub(super) fn verify(&mut self, command: &Command<'_>) -> Answer {
        let enciphered = match command.parameters() {
            (0, PLAINTEXT_PIN) => false,
            (0, ENCIPHERED_PIN) => true,
            _ => return Err(Status::INCORRECT_PARAMETERS),
        };
        let challenge = self.session.challenge.take();
        if self.session.phase != Phase::Initiated {
            return Err(Status::CONDITIONS_NOT_SATISFIED);
        }
        let pin = self.profile.pin.as_ref().ok_or(Status::REFERENCED_DATA_NOT_FOUND)?;
        let key = self.profile.pin_encipherment_key();
        if command.data.len() != if enciphered { key.modulus_bytes().len() } else { 8 } {
            return Err(Status::WRONG_LENGTH);
        }
        let tries = self.memory.pin_tries.checked_sub(1).ok_or(Status::AUTHENTICATION_METHOD_BLOCKED)?;
        let recovered = enciphered.then(|| key.decipher(command.data));
        let block = match &recovered {
            None => command.data,
            Some(clear) => pin_block(clear, challenge).ok_or(Status::REFERENCE_DATA_INVALIDATED)?,
        };
        // The counter goes down before the comparison: pulling the card out gains no try.
        self.memory.pin_tries = tries;
        let right = keys::mac::equal(block, &plaintext_block(pin.digits()));
        self.session.cvr.offline_pin(right);
        if !right {
            return Err(Status::tries_left(tries));
        }
        self.memory.pin_tries = PIN_TRIES;
        Ok(Vec::new())
    }
}

/// The PIN block in what was deciphered: header, block, the number that the card gave, and padding (Book 2 clause 7.2).
fn pin_block(clear: &[u8], challenge: Option<[u8; 8]>) -> Option<&[u8]> {
    let (header, rest) = clear.split_first()?;
    let (block, rest) = rest.split_at_checked(8)?;
    (*header == HEADER && rest.starts_with(&challenge?)).then_some(block)
}

/// The plaintext PIN block of Book 3 clause 6.5.12, from ASCII digits.
fn plaintext_block(digits: &[u8]) -> [u8; 8] {
    let mut nibbles = [0x0F_u8; 14];
    for (nibble, digit) in nibbles.iter_mut().zip(digits) {
        *nibble = digit & 0x0F;
    }
    let mut block = [0x20 | u8::try_from(digits.len()).unwrap_or(0); 8];
    for (byte, pair) in block.iter_mut().skip(1).zip(nibbles.chunks(2)) {
        *byte = pair.iter().fold(0, |byte, nibble| byte << 4 | nibble);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::plaintext_block;

    #[test]
    fn a_pin_is_padded_with_f_nibbles() {
        assert_eq!(plaintext_block(b"1234"), [0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(plaintext_block(b"12345"), [0x25, 0x12, 0x34, 0x5F, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
}
