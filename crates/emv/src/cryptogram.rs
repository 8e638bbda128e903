//! EMV Book 3 clauses 6.5.5, 9.3, 10.8: GENERATE AC, first and second, and card action analysis.

use sha1::{Digest, Sha1};
use tlv::{Output, Reader, Tag, tags};

use crate::apdu::{Command, OK, Response};
use crate::bits::{tsi, tvr};
use crate::findings::Finding;
use crate::kernel::{Kernel, Pending, Progress, Wait};
use crate::outcome::{Cryptogram, CryptogramKind, Decision, Reason};
use crate::selection::{child, template};

/// P1 of GENERATE AC, and bits 8 and 7 of the cryptogram information data.
pub(crate) mod reference_control {
    pub(crate) const AAC: u8 = 0x00;
    pub(crate) const TC: u8 = 0x40;
    pub(crate) const ARQC: u8 = 0x80;
    /// P1 alone: the cryptogram comes signed.
    pub(crate) const CDA_SIGNATURE: u8 = 0x10;
}

/// The longest issuer application data (Annex A).
const MAX_IAD: usize = 32;
/// What a response has once at most.
const ONCE: [Tag; 5] = [tags::CID, tags::ATC, tags::CRYPTOGRAM, tags::IAD, tags::SIGNED_DYNAMIC_DATA];
/// Reason code "service not allowed" of the cryptogram information data.
const SERVICE_NOT_ALLOWED: u8 = 0x01;

impl Kernel {
    pub(crate) fn generate_first_ac(&mut self, request: u8) -> Progress {
        let control = self.control_of_first_ac(request);
        self.generate_ac(request, control, tags::CDOL1, Pending::FirstAc)
    }

    pub(crate) fn generate_second_ac(&mut self, request: u8) -> Progress {
        self.expect_second_signature();
        let control = self.control_of_second_ac(request);
        self.generate_ac(request, control, tags::CDOL2, Pending::SecondAc)
    }

    fn generate_ac(&mut self, request: u8, control: u8, list: Tag, pending: Pending) -> Progress {
        if tlv::Dol::new(self.data.get(list).unwrap_or_default()).asks_for(tags::TC_HASH) {
            self.hash_transaction_data()?;
        }
        let cdol = self.data.get(list).ok_or(Reason::DataMissing(list))?;
        let values = self.data.build(cdol).map_err(|unbuilt| unbuilt.reason(list))?;
        self.requested = Some(request);
        self.note(Finding::Requested(match request {
            reference_control::TC => CryptogramKind::Tc,
            reference_control::ARQC => CryptogramKind::Arqc,
            _ => CryptogramKind::Aac,
        }));
        self.authentication.combined.add_sent(&values);
        self.send(Command::generate_ac(control, &values), pending)
    }

    /// Clause 9.2.2: the hash over the data that the TDOL lists; the terminal's own list if the card has none.
    fn hash_transaction_data(&mut self) -> Result<(), Reason> {
        if self.data.get(tags::TDOL).is_none() {
            self.mark_tvr(tvr::DEFAULT_TDOL);
        }
        let own = self.application().map(|ours| ours.tdol.as_slice());
        let tdol = self.data.get(tags::TDOL).or(own).unwrap_or_default();
        let mut hash = Hash(Sha1::new());
        self.data.build_into(tdol, &mut hash).map_err(|_| Reason::DataMalformed(tags::TDOL))?;
        self.data.set(tags::TC_HASH, &hash.0.finalize());
        Ok(())
    }

    /// Clause 10.8: what the card made of the request.
    pub(crate) fn on_first_ac(&mut self, response: &Response) -> Progress {
        let (kind, verdict) = self.take_cryptogram(response)?;
        self.mark_tsi(tsi::CARD_RISK_MANAGEMENT);
        match (kind, verdict) {
            (CryptogramKind::Arqc, Verdict::Forged) => {
                self.data.set(tags::ARC, b"Z1");
                self.generate_second_ac(reference_control::AAC)
            }
            (_, Verdict::Forged) => {
                self.data.set(tags::ARC, b"Z1");
                self.end(Decision::Declined, Reason::CombinedAuthenticationFailed)
            }
            // The card wants the issuer asked, of a terminal that asks nobody.
            (CryptogramKind::Arqc, _) if self.config.terminal.is_offline_only() => self.decide_without_host(),
            (CryptogramKind::Arqc, _) => Ok(Wait::Host),
            (CryptogramKind::Tc, _) => {
                self.data.set(tags::ARC, b"Y1");
                self.end(Decision::Approved, Reason::ApprovedOffline)
            }
            (CryptogramKind::Aac, _) => {
                self.data.set(tags::ARC, b"Z1");
                match (verdict, self.requested) {
                    // Book 4 clause 6.3.7.
                    (Verdict::ServiceNotAllowed, _) => Err(Reason::ServiceNotAllowed),
                    (_, Some(reference_control::AAC)) => {
                        self.end(Decision::Declined, Reason::DeclinedByTerminal)
                    }
                    (_, _) => self.end(Decision::Declined, Reason::DeclinedByCard),
                }
            }
        }
    }

    /// Clause 10.11: the card's last word.
    pub(crate) fn on_second_ac(&mut self, response: &Response) -> Progress {
        let (kind, verdict) = self.take_cryptogram(response)?;
        match (kind, verdict) {
            (_, Verdict::Forged) => self.complete_forged(),
            (CryptogramKind::Tc, _) => self.complete(true),
            (CryptogramKind::Aac, _) => self.complete(false),
            (CryptogramKind::Arqc, _) => Err(Reason::CryptogramUnexpected),
        }
    }

    /// Reads either format of the response; the card may lower the request, never raise it (clause 9.3).
    fn take_cryptogram(&mut self, response: &Response) -> Result<(CryptogramKind, Verdict), Reason> {
        if response.status != OK {
            return Err(self.refused(response.status));
        }
        let parts = parse_response(&response.data).ok_or_else(|| self.malformed())?;
        let kind = kind(parts.cid).ok_or_else(|| self.malformed())?;
        let asked = self.requested.and_then(self::kind).unwrap_or(CryptogramKind::Aac);
        self.note(Finding::Given(kind));
        if rank(kind) > rank(asked) {
            return Err(Reason::CryptogramUnexpected);
        }
        let value = if self.authentication.combined.is_signature_asked() && kind != CryptogramKind::Aac {
            match self.verify_signed_cryptogram(parts.objects, parts.cid) {
                Ok(signed) => {
                    self.data.set(tags::ICC_DYNAMIC_NUMBER, &signed.dynamic_number);
                    signed.cryptogram
                }
                Err(forged) => {
                    return Ok((self::kind(forged.information).unwrap_or(kind), Verdict::Forged));
                }
            }
        } else {
            parts.cryptogram.ok_or_else(|| self.malformed())?
        };
        self.data.replace_from_card(tags::CID, &[parts.cid]);
        self.data.replace_from_card(tags::ATC, &parts.atc);
        self.data.replace_from_card(tags::CRYPTOGRAM, &value);
        match parts.iad {
            Some(iad) => self.data.replace_from_card(tags::IAD, iad),
            None => self.data.remove_from_card(tags::IAD),
        }
        self.cryptogram = Some(Cryptogram { kind, value });
        let refused = kind == CryptogramKind::Aac && parts.cid & 0x07 == SERVICE_NOT_ALLOWED;
        Ok((kind, if refused { Verdict::ServiceNotAllowed } else { Verdict::Valid }))
    }
}

/// Values that are hashed as they are built.
struct Hash(Sha1);

impl Output for Hash {
    fn put(&mut self, bytes: &[u8]) -> Result<(), tlv::Error> {
        self.0.update(bytes);
        Ok(())
    }
}

/// What else is to be known of a cryptogram besides its kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Valid,
    /// An AAC for this reason.
    ServiceNotAllowed,
    /// Its signature was asked for, and is wrong or missing.
    Forged,
}

/// Bits 8 and 7 of the cryptogram information data; `None` for what is reserved.
fn kind(cid: u8) -> Option<CryptogramKind> {
    match cid & 0xC0 {
        reference_control::AAC => Some(CryptogramKind::Aac),
        reference_control::ARQC => Some(CryptogramKind::Arqc),
        reference_control::TC => Some(CryptogramKind::Tc),
        _ => None,
    }
}

fn rank(kind: CryptogramKind) -> u8 {
    match kind {
        CryptogramKind::Aac => 0,
        CryptogramKind::Arqc => 1,
        CryptogramKind::Tc => 2,
    }
}

struct Parts<'a> {
    cid: u8,
    atc: [u8; 2],
    /// Mandatory, unless the response has a signature in its place.
    cryptogram: Option<[u8; 8]>,
    iad: Option<&'a [u8]>,
    /// The template, in format 2.
    objects: Option<&'a [u8]>,
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
            cryptogram: Some(cryptogram),
            iad: (!iad.is_empty()).then_some(iad),
            objects: None,
        });
    }
    let objects = template(response, tags::RESPONSE_FORMAT_2)?;
    // Clause 7.2.
    let twice = |tag| Reader::new(objects).flatten().filter(|object| object.tag == tag).count() > 1;
    if ONCE.into_iter().any(twice) {
        return None;
    }
    let &[cid] = child(objects, tags::CID)?? else { return None };
    let iad = child(objects, tags::IAD)?.filter(|iad| !iad.is_empty());
    if iad.is_some_and(|iad| iad.len() > MAX_IAD) {
        return None;
    }
    let cryptogram = match child(objects, tags::CRYPTOGRAM)? {
        Some(value) => Some(value.try_into().ok()?),
        None => None,
    };
    let atc = child(objects, tags::ATC)??.try_into().ok()?;
    Some(Parts { cid, atc, cryptogram, iad, objects: Some(objects) })
}
