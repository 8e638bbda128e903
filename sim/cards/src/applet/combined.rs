//! The signature over a cryptogram: combined DDA/application cryptogram generation (EMV Book 2 clause 6.6.1).

use super::cvr::Cryptogram;
use super::{Applet, Phase};
use crate::apdu::{Answer, Status};
use crate::certificate;
use crate::files::Objects;

/// P1 of GENERATE AC: the cryptogram is to come signed.
const SIGNATURE_REQUESTED: u8 = 0x10;

impl Applet {
    /// P1 without the request for a signature, and whether it was there. A card that does no CDA knows no such bit.
    pub(super) fn split_control(&self, p1: u8) -> (u8, bool) {
        let signed = self.profile.behaviour.combined && p1 & SIGNATURE_REQUESTED != 0;
        (if signed { p1 & !SIGNATURE_REQUESTED } else { p1 }, signed)
    }

    /// The response for a TC or ARQC: the signature in place of the cryptogram, which is inside.
    pub(super) fn signed_answer(&self, kind: Cryptogram, value: [u8; 8], issuer_data: &[u8]) -> Answer {
        let answered = || {
            Objects::default()
                .with(0x9F27, [kind.information()])?
                .with(0x9F36, self.session.input.atc)?
                .with(0x9F10, issuer_data)
        };
        let objects = answered().map_err(|_| Status::NO_PRECISE_DIAGNOSIS)?;
        let mut transaction_data = self.session.sent.clone();
        transaction_data.extend_from_slice(objects.as_bytes());
        let [a, b, c, d, e, f, g, h] = value;
        let mut signature = certificate::signed_cryptogram(
            &self.profile.scheme.icc,
            keys::mac::retail(&self.session_key(), &self.session.sent),
            [kind.information(), a, b, c, d, e, f, g, h],
            &transaction_data,
            self.session.input.unpredictable_number,
        );
        if self.profile.behaviour.wrong_signature == Some(self.generated())
            && let Some(byte) = signature.last_mut()
        {
            *byte ^= 0x01;
        }
        objects
            .with(0x9F4B, &signature)
            .and_then(|objects| objects.inside(0x77))
            .map_err(|_| Status::NO_PRECISE_DIAGNOSIS)
    }

    /// The number of the GENERATE AC that is being answered.
    fn generated(&self) -> u8 {
        match self.session.phase {
            Phase::Finished { arqc: Some(_) } => 2,
            _ => 1,
        }
    }
}
