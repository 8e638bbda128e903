//! EMV Book 2 clause 6.6 and Book 4 clause 6.3.2.1: combined DDA/application cryptogram generation (CDA).
//!
//! The card signs its TC or ARQC, and with it all that terminal and card have told each other since GET PROCESSING OPTIONS. Only
//! a cryptogram out of a signature that is right counts.

use sha1::{Digest, Sha1};
use tlv::{Tlv, tags};

use crate::bits::{tsi, tvr};
use crate::bytes::Bytes;
use crate::cryptogram::reference_control;
use crate::kernel::Kernel;
use crate::outcome::Online;
use crate::rsa::PublicKey;

/// Hash algorithm indicator of SHA-1 (Annex B3.1).
const SHA_1: u8 = 0x01;

/// What CDA remembers from one command to the next.
#[derive(Default)]
pub(crate) struct Combined {
    /// The card's key; none where CDA is not the method, or has failed.
    key: Option<PublicKey>,
    /// Over the values that the terminal sent for PDOL, CDOL1 and CDOL2.
    sent: Sha1,
    /// Whether the last GENERATE AC asked for a signature.
    asked: bool,
}

impl Combined {
    pub(crate) fn begin(&mut self, key: PublicKey) {
        self.key = Some(key);
    }

    pub(crate) fn add_sent(&mut self, values: &[u8]) {
        self.sent.update(values);
    }

    pub(crate) fn is_signature_asked(&self) -> bool {
        self.asked
    }
}

/// What the card's signature vouches for.
pub(crate) struct Signed {
    pub(crate) cryptogram: [u8; 8],
    pub(crate) dynamic_number: Bytes<8>,
}

/// The signature is missing or wrong. The cryptogram information data to go by.
pub(crate) struct Forged {
    pub(crate) information: u8,
}

impl Kernel {
    /// Clause 6.6: P1 of the first GENERATE AC. A TC comes signed, an AAC never, an ARQC as the terminal is configured; without a
    /// signature no data have been authenticated yet.
    pub(crate) fn control_of_first_ac(&mut self, request: u8) -> u8 {
        let wanted = match request {
            reference_control::TC => true,
            reference_control::ARQC => self.config.terminal.wants_arqc_signed(),
            _ => false,
        };
        let possible = self.authentication.combined.key.is_some();
        if possible && !wanted {
            self.mark_tvr(tvr::NO_DATA_AUTHENTICATION);
        }
        self.control(request, possible && wanted)
    }

    /// Clause 6.6: P1 of the second GENERATE AC.
    pub(crate) fn control_of_second_ac(&mut self, request: u8) -> u8 {
        let wanted = request == reference_control::TC
            && (self.online != Online::Approved || self.config.terminal.wants_approval_signed());
        self.control(request, wanted && self.authentication.combined.key.is_some())
    }

    fn control(&mut self, request: u8, signed: bool) -> u8 {
        self.authentication.combined.asked = signed;
        if signed { request | reference_control::CDA_SIGNATURE } else { request }
    }

    /// Clause 6.6: before the second GENERATE AC, and before the action analysis of a terminal that can't go online, what the first
    /// one left open is so no more.
    pub(crate) fn expect_second_signature(&mut self) {
        if self.authentication.combined.key.is_some() {
            self.clear_tvr(tvr::NO_DATA_AUTHENTICATION);
        }
    }

    /// Clause 6.6.2. `objects` is the template of the response, `information` the cryptogram information data that is in it in
    /// the clear.
    pub(crate) fn verify_signed_cryptogram(
        &mut self,
        objects: Option<&[u8]>,
        information: u8,
    ) -> Result<Signed, Forged> {
        self.mark_tsi(tsi::DATA_AUTHENTICATION);
        let verified = self.check_signature(objects, information);
        if verified.is_err() {
            self.mark_tvr(tvr::CDA_FAILED);
            self.authentication.combined.key = None;
        }
        verified
    }

    fn check_signature(&self, objects: Option<&[u8]>, information: u8) -> Result<Signed, Forged> {
        let number = self.data.get(tags::UNPREDICTABLE_NUMBER).unwrap_or_default();
        let Combined { key, sent, .. } = &self.authentication.combined;
        let forged = Forged { information };
        let Some((objects, key)) = objects.zip(key.as_ref()) else { return Err(forged) };
        let mut transaction_data = sent.clone();
        let Some(signature) = split_response(objects, &mut transaction_data) else { return Err(forged) };
        let Some(recovered) = key.open(signature) else { return Err(forged) };
        let Some(dynamic) = DynamicData::parse(recovered.body()) else { return Err(forged) };
        if dynamic.information == information
            && recovered.covers([number])
            && transaction_data.finalize().as_slice() == dynamic.transaction_data_hash
            && let Some(dynamic_number) = Bytes::copy(dynamic.number)
        {
            return Ok(Signed { cryptogram: *dynamic.cryptogram, dynamic_number });
        }
        // Book 4 clause 6.3.2.1: what the signature says goes before what the response says.
        Err(Forged { information: dynamic.information })
    }
}

/// The signature in a response, if it has one; `hash` takes in all other objects as they came.
fn split_response<'r>(objects: &'r [u8], hash: &mut Sha1) -> Option<&'r [u8]> {
    let (mut rest, mut signature) = (objects, None);
    while let Some((first, after)) = rest.split_first() {
        if *first == 0x00 {
            rest = after;
            continue;
        }
        let (object, after) = Tlv::parse(rest).ok()?;
        if object.tag == tags::SIGNED_DYNAMIC_DATA {
            signature = Some(object.value);
        } else {
            hash.update(rest.get(..rest.len() - after.len())?);
        }
        rest = after;
    }
    signature
}

/// Table 19: the leftmost bytes of the ICC dynamic data.
struct DynamicData<'d> {
    number: &'d [u8],
    information: u8,
    cryptogram: &'d [u8; 8],
    transaction_data_hash: &'d [u8; 20],
}

impl<'d> DynamicData<'d> {
    /// Table 22: format 05, SHA-1, length of the dynamic data, which start with the length of the number.
    fn parse(body: &'d [u8]) -> Option<Self> {
        let (&[0x05, SHA_1, length], rest) = body.split_first_chunk()? else { return None };
        let (&count, rest) = rest.get(..usize::from(length))?.split_first()?;
        if !(2..=8).contains(&count) {
            return None;
        }
        let (number, rest) = rest.split_at_checked(usize::from(count))?;
        let (&[information], rest) = rest.split_first_chunk()?;
        let (cryptogram, rest) = rest.split_first_chunk()?;
        let (transaction_data_hash, _) = rest.split_first_chunk()?;
        Some(Self { number, information, cryptogram, transaction_data_hash })
    }
}
