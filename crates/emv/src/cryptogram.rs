//! EMV Book 3 clauses 6.5.5, 9.3, 10.8: GENERATE AC, first and second, and card action analysis.

use sha1::{Digest, Sha1};
use tlv::{Tag, tags};

use crate::apdu::{Command, OK, Response};
use crate::bits::{tsi, tvr};
use crate::kernel::{Kernel, Pending, Progress, Wait};
use crate::outcome::{Cryptogram, CryptogramKind, Decision, Reason};
use crate::selection::{child, template};

/// P1 of GENERATE AC, and bits 8 and 7 of the cryptogram information data.
pub(crate) mod reference_control {
    pub(crate) const AAC: u8 = 0x00;
    pub(crate) const TC: u8 = 0x40;
    pub(crate) const ARQC: u8 = 0x80;
}

/// The longest issuer application data (Annex A).
const MAX_IAD: usize = 32;
/// Reason code "service not allowed" of the cryptogram information data.
const SERVICE_NOT_ALLOWED: u8 = 0x01;

impl Kernel {
    pub(crate) fn generate_first_ac(&mut self, request: u8) -> Progress {
        self.generate_ac(request, tags::CDOL1, Pending::FirstAc)
    }

    pub(crate) fn generate_second_ac(&mut self, request: u8) -> Progress {
        self.generate_ac(request, tags::CDOL2, Pending::SecondAc)
    }

    fn generate_ac(&mut self, request: u8, list: Tag, pending: Pending) -> Progress {
        let cdol = self.data.get(list).ok_or(Reason::DataMissing(list))?.to_vec();
        if tlv::Dol::new(&cdol).asks_for(tags::TC_HASH) {
            self.hash_transaction_data()?;
        }
        let values = self.data.build(&cdol).ok_or(Reason::DataMalformed(list))?;
        self.requested = Some(request);
        self.send(Command::generate_ac(request, &values), pending)
    }

    /// Clause 9.2.2: the hash over the data that the TDOL lists; the terminal's own list if the card has none.
    fn hash_transaction_data(&mut self) -> Result<(), Reason> {
        let tdol = match self.data.get(tags::TDOL) {
            Some(tdol) => tdol.to_vec(),
            None => {
                self.mark_tvr(tvr::DEFAULT_TDOL);
                self.application().map(|ours| ours.tdol.clone()).unwrap_or_default()
            }
        };
        let values = self.data.build(&tdol).ok_or(Reason::DataMalformed(tags::TDOL))?;
        let hash = Sha1::digest(&*values);
        self.data.set(tags::TC_HASH, &hash);
        Ok(())
    }

    /// Clause 10.8: what the card made of the request.
    pub(crate) fn on_first_ac(&mut self, response: &Response) -> Progress {
        let (kind, service_not_allowed) = self.take_cryptogram(response)?;
        self.mark_tsi(tsi::CARD_RISK_MANAGEMENT);
        match kind {
            CryptogramKind::Arqc => Ok(Wait::Host),
            CryptogramKind::Tc => {
                self.data.set(tags::ARC, b"Y1");
                self.end(Decision::Approved, Reason::ApprovedOffline)
            }
            CryptogramKind::Aac => {
                self.data.set(tags::ARC, b"Z1");
                let reason = match (service_not_allowed, self.requested) {
                    (true, _) => Reason::ServiceNotAllowed,
                    (false, Some(reference_control::AAC)) => Reason::DeclinedByTerminal,
                    (false, _) => Reason::DeclinedByCard,
                };
                self.end(Decision::Declined, reason)
            }
        }
    }

    /// Clause 10.11: the card's last word.
    pub(crate) fn on_second_ac(&mut self, response: &Response) -> Progress {
        let (kind, _) = self.take_cryptogram(response)?;
        match kind {
            CryptogramKind::Tc => self.complete(true),
            CryptogramKind::Aac => self.complete(false),
            CryptogramKind::Arqc => Err(Reason::CryptogramUnexpected),
        }
    }

    /// Reads either format of the response; the card may lower the request, never raise it (clause 9.3).
    fn take_cryptogram(&mut self, response: &Response) -> Result<(CryptogramKind, bool), Reason> {
        if response.status != OK {
            return Err(self.refused(response.status));
        }
        let parts = parse_response(&response.data).ok_or_else(|| self.malformed())?;
        let (kind, rank) = match parts.cid & 0xC0 {
            reference_control::AAC => (CryptogramKind::Aac, 0),
            reference_control::ARQC => (CryptogramKind::Arqc, 1),
            reference_control::TC => (CryptogramKind::Tc, 2),
            _ => return Err(self.malformed()),
        };
        let asked = match self.requested {
            Some(reference_control::TC) => 2,
            Some(reference_control::ARQC) => 1,
            _ => 0,
        };
        if rank > asked {
            return Err(Reason::CryptogramUnexpected);
        }
        self.data.replace_from_card(tags::CID, &[parts.cid]);
        self.data.replace_from_card(tags::ATC, &parts.atc);
        self.data.replace_from_card(tags::CRYPTOGRAM, &parts.cryptogram);
        if let Some(iad) = parts.iad {
            self.data.replace_from_card(tags::IAD, iad);
        }
        self.cryptogram = Some(Cryptogram { kind, value: parts.cryptogram });
        Ok((kind, kind == CryptogramKind::Aac && parts.cid & 0x07 == SERVICE_NOT_ALLOWED))
    }
}

struct Parts<'a> {
    cid: u8,
    atc: [u8; 2],
    cryptogram: [u8; 8],
    iad: Option<&'a [u8]>,
}

/// Clause 6.5.5.4: format 1 is a sequence of values, format 2 a template.
fn parse_response(response: &[u8]) -> Option<Parts<'_>> {
    if let Some(values) = template(response, tags::RESPONSE_FORMAT_1) {
        let (&[cid], rest) = values.split_first_chunk()?;
        let (&atc, rest) = rest.split_first_chunk()?;
        let (&cryptogram, iad) = rest.split_first_chunk()?;
        return (iad.len() <= MAX_IAD).then_some(Parts {
            cid,
            atc,
            cryptogram,
            iad: (!iad.is_empty()).then_some(iad),
        });
    }
    let objects = template(response, tags::RESPONSE_FORMAT_2)?;
    let &[cid] = child(objects, tags::CID)?? else { return None };
    let iad = child(objects, tags::IAD)?;
    if iad.is_some_and(|iad| iad.len() > MAX_IAD) {
        return None;
    }
    Some(Parts {
        cid,
        atc: child(objects, tags::ATC)??.try_into().ok()?,
        cryptogram: child(objects, tags::CRYPTOGRAM)??.try_into().ok()?,
        iad,
    })
}
