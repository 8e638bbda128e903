//! The command by which a card verifies a PIN that was typed at the keypad.

use ::keys::Pin;
use ::keys::offline_pin::{self, CardKey};
use secure_module::{Error, OfflinePinRequest, Result, Secret};
use zeroize::Zeroizing;

use super::{keys, only_slot};

/// What VERIFY is made with. It is checked before anyone types a PIN in vain.
pub(super) struct Verify(Option<(CardKey, [u8; 8])>);

impl Verify {
    pub(super) fn new(request: &OfflinePinRequest) -> Result<Verify> {
        only_slot(request.slot)?;
        let Some(with) = &request.encipherment else { return Ok(Verify(None)) };
        let key = CardKey::new(&with.modulus, &with.exponent);
        let key = key.map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Verify(Some((key, with.challenge))))
    }

    /// VERIFY with this PIN.
    pub(super) fn command(&self, pin: &Pin) -> Result<Secret> {
        let Some((key, challenge)) = &self.0 else { return Ok(offline_pin::plaintext(pin)) };
        let mut padding = Zeroizing::new(vec![0; key.padding_length()]);
        keys::fill(&mut padding)?;
        offline_pin::enciphered(pin, key, challenge, &padding)
            .map_err(|error| Error::Invalid(error.to_string()))
    }
}

/// The status word that a response ends with.
pub(super) fn status(response: &[u8]) -> Result<u16> {
    let status =
        response.last_chunk().ok_or_else(|| Error::Protocol("a response has no status".to_owned()))?;
    Ok(u16::from_be_bytes(*status))
}
