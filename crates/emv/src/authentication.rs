//! EMV Book 3 clause 10.3 and Book 2 clauses 5 and 6: offline data authentication.
//!
//! Which method, SDA, DDA, and the keys for all. What CDA does with the cryptograms is in [`crate::combined`].

use tlv::tags;

use crate::apdu::{Command, OK, Response};
use crate::bits::{aip, terminal_capabilities, tsi, tvr};
use crate::bytes::Bytes;
use crate::certificates::{Certificate, ICC_HEAD, ISSUER_HEAD};
use crate::combined::Combined;
use crate::data::MAX_COMMAND_DATA;
use crate::kernel::{Kernel, Pending, Progress};
use crate::outcome::Reason;
use crate::rsa::PublicKey;
use crate::selection::{child, template};

/// What the methods remember between a command and the response.
#[derive(Default)]
pub(crate) struct Authentication {
    icc_key: Option<PublicKey>,
    challenge: Bytes<MAX_COMMAND_DATA>,
    pub(crate) combined: Combined,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Sda,
    Dda,
    Cda,
}

/// Why data could not be authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The card lacks an object that the method needs.
    DataMissing,
    /// A key, certificate or signature is not right.
    Invalid,
}

impl Failure {
    /// Why no key could be recovered from a certificate.
    fn of(certificate: &Certificate<'_>, head: usize, signer: &PublicKey) -> Self {
        if certificate.lacks_remainder(head, signer) { Self::DataMissing } else { Self::Invalid }
    }
}

impl Kernel {
    /// Clause 10.3: the best method that both support.
    pub(crate) fn authenticate_data(&mut self) -> Progress {
        let [_, _, ours] = self.config.terminal.capabilities;
        let method = if self.aip_has(aip::CDA) && ours & terminal_capabilities::CDA != 0 {
            Method::Cda
        } else if self.aip_has(aip::DDA) && ours & terminal_capabilities::DDA != 0 {
            Method::Dda
        } else if self.aip_has(aip::SDA) && ours & terminal_capabilities::SDA != 0 {
            self.mark_tvr(tvr::SDA_SELECTED);
            Method::Sda
        } else {
            self.mark_tvr(tvr::NO_DATA_AUTHENTICATION);
            return self.check_restrictions();
        };
        let started = match method {
            Method::Sda => self.verify_static_data().map(|()| None),
            Method::Dda => self.prepare_dda().map(Some),
            Method::Cda => self.icc_key().map(|key| self.authentication.combined.begin(key)).map(|()| None),
        };
        // CDA is performed with the cryptogram, unless it has failed already.
        if method != Method::Cda || started.is_err() {
            self.mark_tsi(tsi::DATA_AUTHENTICATION);
        }
        match started {
            Ok(Some(challenge)) => {
                let command = Command::internal_authenticate(&challenge);
                self.authentication.challenge = challenge;
                self.send(command, Pending::InternalAuthenticate)
            }
            Ok(None) => self.check_restrictions(),
            Err(failure) => self.authentication_failed(method, failure),
        }
    }

    fn authentication_failed(&mut self, method: Method, failure: Failure) -> Progress {
        self.mark_tvr(match method {
            Method::Sda => tvr::SDA_FAILED,
            Method::Dda => tvr::DDA_FAILED,
            Method::Cda => tvr::CDA_FAILED,
        });
        if failure == Failure::DataMissing {
            self.mark_tvr(tvr::ICC_DATA_MISSING);
        }
        self.check_restrictions()
    }

    fn required(&self, tag: tlv::Tag) -> Result<&[u8], Failure> {
        self.data.get(tag).ok_or(Failure::DataMissing)
    }

    /// Book 2 clauses 5.2 and 5.3: the CA key, and with it the issuer's.
    pub(crate) fn issuer_key(&self) -> Result<PublicKey, Failure> {
        let index = self.required(tags::CAPK_INDEX_ICC)?;
        let certificate = Certificate {
            signature: self.required(tags::ISSUER_PK_CERTIFICATE)?,
            exponent: self.required(tags::ISSUER_PK_EXPONENT)?,
            remainder: self.data.get(tags::ISSUER_PK_REMAINDER).unwrap_or_default(),
        };
        let rid = self.aid().and_then(|aid| aid.get(..5)).ok_or(Failure::Invalid)?;
        let &[index] = index else { return Err(Failure::Invalid) };
        let capk = self.config.capk(rid, index).ok_or(Failure::Invalid)?;
        let today = self.transaction.date;
        if capk.expiry_bcd().is_none_or(|expiry| expiry < today) {
            return Err(Failure::Invalid);
        }
        let pan = self.required(tags::PAN)?;
        let ca = PublicKey::of(capk).ok_or(Failure::Invalid)?;
        let Some((key, serial)) = ca.recover_issuer_key(&certificate, pan, today) else {
            return Err(Failure::of(&certificate, ISSUER_HEAD, &ca));
        };
        if self.config.is_revoked(rid, index, serial) { Err(Failure::Invalid) } else { Ok(key) }
    }

    /// Book 2 clause 6.4: the card's key, whose certificate covers the static data.
    pub(crate) fn icc_key(&self) -> Result<PublicKey, Failure> {
        let certificate = Certificate {
            signature: self.required(tags::ICC_PK_CERTIFICATE)?,
            exponent: self.required(tags::ICC_PK_EXPONENT)?,
            remainder: self.data.get(tags::ICC_PK_REMAINDER).unwrap_or_default(),
        };
        let (pan, today) = (self.required(tags::PAN)?, self.transaction.date);
        let issuer = self.issuer_key()?;
        let key = issuer.recover_icc_key(&certificate, &self.static_data()?, pan, today);
        key.ok_or_else(|| Failure::of(&certificate, ICC_HEAD, &issuer))
    }

    /// Clause 10.3: the signed records, then the AIP if the tag list asks for it. The list may ask for nothing else.
    fn static_data(&self) -> Result<[&[u8]; 2], Failure> {
        if self.reading.signed_data_malformed {
            return Err(Failure::Invalid);
        }
        let aip = match self.data.get(tags::STATIC_DATA_TAG_LIST) {
            None => &[],
            Some(&[0x82]) => self.required(tags::AIP)?,
            Some(_) => return Err(Failure::Invalid),
        };
        Ok([&self.reading.signed_data, aip])
    }

    /// Book 2 clause 5.4.
    fn verify_static_data(&mut self) -> Result<(), Failure> {
        let signature = self.required(tags::SIGNED_STATIC_DATA)?;
        let recovered = self.issuer_key()?.recover(signature, self.static_data()?).ok_or(Failure::Invalid)?;
        let &[0x03, 0x01, code_high, code_low, ..] = recovered.body() else { return Err(Failure::Invalid) };
        self.data.set(tags::DATA_AUTHENTICATION_CODE, &[code_high, code_low]);
        Ok(())
    }

    /// Book 2 clause 6.5.1: the card's key, and the data that it is to sign.
    fn prepare_dda(&mut self) -> Result<Bytes<MAX_COMMAND_DATA>, Failure> {
        let key = self.icc_key()?;
        let default = self.application().map(|application| application.ddol.as_slice());
        let ddol = self.data.get(tags::DDOL).or(default).ok_or(Failure::DataMissing)?;
        // Clause 6.5.1: a DDOL without the unpredictable number makes DDA fail.
        if !asks_for_challenge(ddol) {
            return Err(Failure::Invalid);
        }
        let challenge = self.data.build(ddol).map_err(|_| Failure::Invalid)?;
        self.authentication.icc_key = Some(key);
        Ok(challenge)
    }

    /// Book 2 clause 6.5.2.
    pub(crate) fn on_internal_authenticate(&mut self, response: &Response) -> Progress {
        // Book 3 clauses 6.3.5 and 6.5.9: a refusal, or a response without the signature, ends the transaction.
        if response.status != OK {
            return Err(self.refused(response.status));
        }
        let signature = template(&response.data, tags::RESPONSE_FORMAT_1).or_else(|| {
            let objects = template(&response.data, tags::RESPONSE_FORMAT_2)?;
            child(objects, tags::SIGNED_DYNAMIC_DATA)?
        });
        let signature = signature.ok_or_else(|| self.malformed())?;
        let challenge = core::mem::take(&mut self.authentication.challenge);
        let key = self.authentication.icc_key.take().ok_or(Reason::UnexpectedEvent)?;
        let recovered = key.recover(signature, [&*challenge]);
        let number = recovered.as_ref().and_then(|recovered| icc_dynamic_number(recovered.body()));
        match number {
            Some(number) => {
                self.data.set(tags::ICC_DYNAMIC_NUMBER, number);
                self.check_restrictions()
            }
            None => self.authentication_failed(Method::Dda, Failure::Invalid),
        }
    }
}

/// Book 2 clause 6.5.1: whether a DDOL asks for the unpredictable number, all of it: a signature over less could be
/// another terminal's.
pub(crate) fn asks_for_challenge(ddol: &[u8]) -> bool {
    let mut entries = tlv::Dol::new(ddol).entries().flatten();
    entries.any(|entry| entry.tag == tags::UNPREDICTABLE_NUMBER && entry.length == 4)
}

/// Book 2 table 17: format 05, SHA-1, length of the dynamic data, which start with the length of the number.
fn icc_dynamic_number(body: &[u8]) -> Option<&[u8]> {
    let (&[0x05, 0x01, length], rest) = body.split_first_chunk()? else { return None };
    let (&count, digits) = rest.get(..usize::from(length))?.split_first()?;
    let number = digits.get(..usize::from(count))?;
    (2..=8).contains(&count).then_some(number)
}
