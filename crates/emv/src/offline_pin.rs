//! EMV Book 3 clause 10.5.1, Book 4 clause 6.3.4.1 and Book 2 clause 7: an offline PIN, which the card verifies.
//!
//! The kernel asks the card how many tries are left, and recovers what a PIN is enciphered with. The PIN itself goes from the
//! secure module's pad to the card inside of the module, which builds VERIFY; the kernel hears the card's status word.

use tlv::tags;

use crate::apdu::{Command, OK, Response};
use crate::bits::tvr;
use crate::certificates::Certificate;
use crate::cvm::{method, result};
use crate::kernel::{Kernel, Pending, Progress, Wait};
use crate::outcome::{Cvm, Reason};
use crate::rsa::{MAX_MODULUS, PublicKey};
use crate::selection::template;

/// INS of VERIFY (Book 3 clause 6.5.12).
const VERIFY: u8 = 0x20;
/// The PIN was blocked before, or the card could not decipher it.
const BLOCKED: u16 = 0x6983;
const NOT_DECIPHERED: u16 = 0x6984;
/// A wrong PIN; the last digit says how many tries are left.
const WRONG: u16 = 0x63C0;
const WRONG_AT_MOST: u16 = 0x63CF;

/// As many tries as VERIFY can tell of.
const MAX_WRONG: u8 = 15;

/// The lengths of a modulus that a PIN is enciphered under, in bytes (Book 2 Annex B2.1).
const MODULUS: core::ops::RangeInclusive<usize> = 64..=MAX_MODULUS;

/// What the secure module needs to know to have a PIN typed and verified by the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfflinePin<'k> {
    /// How many tries are left, where the card told: 1 is the last one, 0 never comes.
    pub tries_left: Option<u8>,
    /// What the PIN is enciphered with; without it the card takes the PIN in the clear.
    pub encipherment: Option<PinEncipherment<'k>>,
}

/// What a PIN is enciphered with (Book 2 clause 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinEncipherment<'k> {
    /// The card's RSA modulus, 64 to 248 bytes, big endian, its highest bit set.
    pub modulus: &'k [u8],
    /// Its public exponent, 3 or 65537, big endian.
    pub exponent: &'k [u8],
    /// The card's unpredictable number, good for one VERIFY.
    pub challenge: [u8; 8],
}

/// What is known while a PIN is asked for.
#[derive(Default)]
pub(crate) struct Asking {
    tries_left: Option<u8>,
    /// How many PINs were wrong.
    wrong: u8,
    key: Option<PublicKey>,
    challenge: [u8; 8],
}

impl Asking {
    pub(crate) fn request(&self) -> OfflinePin<'_> {
        let encipherment = self.key.as_ref().map(|key| PinEncipherment {
            modulus: &key.modulus,
            exponent: &key.exponent,
            challenge: self.challenge,
        });
        OfflinePin { tries_left: self.tries_left, encipherment }
    }
}

impl Kernel {
    /// Book 4 clause 6.3.4.1: before anything else, how many tries are left.
    pub(crate) fn begin_offline_pin(&mut self) -> Progress {
        self.verification.asking = Asking::default();
        self.send(Command::get_data(tags::PIN_TRY_COUNTER), Pending::GetPinTryCounter)
    }

    /// A card that does not tell its counter has tries left until VERIFY says otherwise.
    pub(crate) fn on_pin_try_counter(&mut self, response: &Response) -> Progress {
        let counter = template(&response.data, tags::PIN_TRY_COUNTER).filter(|_| response.status == OK);
        let tries_left = match counter {
            Some(&[0]) => return self.pin_tries_exceeded(),
            Some(&[tries]) => Some(tries),
            _ => None,
        };
        let enciphered = matches!(
            self.asked_rule()?.method(),
            method::ENCIPHERED_PIN | method::ENCIPHERED_PIN_AND_SIGNATURE
        );
        let key = if enciphered {
            match self.pin_encipherment_key() {
                Some(key) => Some(key),
                None => return self.fail_asked_rule(),
            }
        } else {
            None
        };
        self.verification.asking = Asking { tries_left, key, ..Asking::default() };
        self.ask_for_offline_pin()
    }

    /// Each VERIFY of an enciphered PIN needs another number of the card.
    fn ask_for_offline_pin(&mut self) -> Progress {
        match self.verification.asking.key {
            Some(_) => self.send(Command::get_challenge(), Pending::GetChallenge),
            None => Ok(Wait::OfflinePin),
        }
    }

    /// Book 3 clause 6.5.6. Without just eight bytes there is nothing to encipher a PIN with.
    pub(crate) fn on_challenge(&mut self, response: &Response) -> Progress {
        let challenge = <[u8; 8]>::try_from(response.data.as_slice()).ok();
        match challenge.filter(|_| response.status == OK) {
            Some(challenge) => {
                self.verification.asking.challenge = challenge;
                Ok(Wait::OfflinePin)
            }
            None => self.fail_asked_rule(),
        }
    }

    /// Book 3 clauses 6.5.12.5 and 10.5.1: what the card answered to VERIFY.
    pub(crate) fn take_verify_status(&mut self, status: u16) -> Progress {
        match status {
            OK => self.offline_pin_verified(),
            BLOCKED | NOT_DECIPHERED | WRONG => self.pin_tries_exceeded(),
            WRONG..=WRONG_AT_MOST => {
                let [_, low] = status.to_be_bytes();
                let asking = &mut self.verification.asking;
                asking.tries_left = Some(low & 0x0F);
                asking.wrong += 1;
                // A counter that does not go down would have the cardholder asked for ever; the limit of tries it is not.
                if asking.wrong < MAX_WRONG { self.ask_for_offline_pin() } else { self.fail_asked_rule() }
            }
            // Clause 6.3.5: none that the command has.
            other => Err(Reason::CommandRefused { ins: VERIFY, status: other }),
        }
    }

    fn offline_pin_verified(&mut self) -> Progress {
        let rule = self.asked_rule()?;
        match rule.method() {
            // Whether the signature is good is for the cashier to see.
            method::PLAINTEXT_PIN_AND_SIGNATURE | method::ENCIPHERED_PIN_AND_SIGNATURE => {
                self.verified(rule, Cvm::OfflinePinAndSignature, result::UNKNOWN)
            }
            _ => self.verified(rule, Cvm::OfflinePin, result::SUCCESSFUL),
        }
    }

    fn pin_tries_exceeded(&mut self) -> Progress {
        self.mark_tvr(tvr::PIN_TRY_LIMIT_EXCEEDED);
        self.fail_asked_rule()
    }

    /// Book 2 clause 7.1: the card's key for PINs or, where it has none, the one that it authenticates itself with. A key for
    /// PINs that can't be recovered is no reason to take the other one.
    fn pin_encipherment_key(&self) -> Option<PublicKey> {
        let key = match self.pin_key_certificate() {
            Some(certificate) => {
                let pan = self.data.get(tags::PAN)?;
                self.issuer_key().ok()?.recover_icc_key(&certificate, &[], pan, self.transaction.date)
            }
            None => self.icc_key().ok(),
        }?;
        // A PIN's block begins with 7F: it is to be below the modulus.
        let fits =
            MODULUS.contains(&key.modulus.len()) && key.modulus.first().is_some_and(|top| *top >= 0x80);
        fits.then_some(key)
    }

    /// What the card gave of its key for PINs; none unless it gave certificate and exponent.
    fn pin_key_certificate(&self) -> Option<Certificate<'_>> {
        Some(Certificate {
            signature: self.data.get(tags::PIN_ENCIPHERMENT_CERTIFICATE)?,
            exponent: self.data.get(tags::PIN_ENCIPHERMENT_EXPONENT)?,
            remainder: self.data.get(tags::PIN_ENCIPHERMENT_REMAINDER).unwrap_or_default(),
        })
    }
}
