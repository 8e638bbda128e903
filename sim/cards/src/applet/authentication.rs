//! Who the card and the cardholder are: INTERNAL AUTHENTICATE and VERIFY (EMV Book 3 clauses 6.5.9 and 6.5.12).

use super::{Applet, PIN_TRIES, Phase, values};
use crate::apdu::{Answer, Command, Status};
use crate::certificate;

/// P2 of VERIFY: plaintext PIN.
const PLAINTEXT_PIN: u8 = 0x80;

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

    /// Compares an offline PIN: `2L PP PP PP/FF PP/FF PP/FF PP/FF FF`.
    pub(super) fn verify(&mut self, command: &Command<'_>) -> Answer {
        if command.parameters() != (0, PLAINTEXT_PIN) {
            return Err(Status::INCORRECT_PARAMETERS);
        }
        if self.session.phase != Phase::Initiated {
            return Err(Status::CONDITIONS_NOT_SATISFIED);
        }
        let pin = self.profile.pin.as_ref().ok_or(Status::REFERENCED_DATA_NOT_FOUND)?;
        if command.data.len() != 8 {
            return Err(Status::WRONG_LENGTH);
        }
        let tries = self.memory.pin_tries.checked_sub(1).ok_or(Status::AUTHENTICATION_METHOD_BLOCKED)?;
        // The counter goes down before the comparison: pulling the card out gains no try.
        self.memory.pin_tries = tries;
        let right = keys::mac::equal(command.data, &plaintext_block(pin.digits()));
        self.session.cvr.offline_pin(right);
        if !right {
            return Err(Status::tries_left(tries));
        }
        self.memory.pin_tries = PIN_TRIES;
        Ok(Vec::new())
    }
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
