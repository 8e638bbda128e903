//! GENERATE AC and EXTERNAL AUTHENTICATE (EMV Book 3 clauses 6.5.5 and 6.5.4; Book 2 clause 8). The signature over a cryptogram is
//! in [`super::combined`].

use tlv::Tag;

use super::cvr::Cryptogram;
use super::{Applet, IssuerAuthentication, Phase, values};
use crate::apdu::{Answer, Command, Status};
use crate::files;

const AMOUNT_AUTHORISED: Tag = Tag::new(0x9F02);
const AMOUNT_OTHER: Tag = Tag::new(0x9F03);
const TERMINAL_COUNTRY: Tag = Tag::new(0x9F1A);
const TVR: Tag = Tag::new(0x95);
const CURRENCY: Tag = Tag::new(0x5F2A);
const DATE: Tag = Tag::new(0x9A);
const TRANSACTION_TYPE: Tag = Tag::new(0x9C);
const UNPREDICTABLE_NUMBER: Tag = Tag::new(0x9F37);
const AUTHORISATION_RESPONSE_CODE: Tag = Tag::new(0x8A);
const ISSUER_AUTHENTICATION_DATA: Tag = Tag::new(0x91);

/// The issuer's approvals: approved, approved with identification, approved for a part, approved (VIP).
const APPROVALS: [[u8; 2]; 4] = [*b"00", *b"08", *b"10", *b"11"];
/// The terminal could not go online: approved offline, declined offline.
const UNABLE_TO_GO_ONLINE: [[u8; 2]; 2] = [*b"Y3", *b"Z3"];

/// Issuer application data: its length, derivation key index, cryptogram version number; then come the card
/// verification results and the algorithm, TDES.
const ISSUER_DATA_HEAD: [u8; 3] = [0x07, 0x01, 0x01];
const ALGORITHM_TDES: u8 = 0x01;

type Values<'d> = Vec<(Tag, &'d [u8])>;

impl Applet {
    pub(super) fn generate_ac(&mut self, command: &Command<'_>) -> Answer {
        let (control, signed) = self.split_control(command.p1);
        let requested = match (control, command.p2) {
            (0x00, 0) => Cryptogram::Aac,
            (0x40, 0) => Cryptogram::Tc,
            (0x80, 0) => Cryptogram::Arqc,
            _ => return Err(Status::INCORRECT_PARAMETERS),
        };
        self.session.signed = signed;
        match self.session.phase {
            Phase::Initiated => self.first_generate_ac(requested, command.data),
            Phase::Online { arqc } => self.second_generate_ac(requested, arqc, command.data),
            _ => Err(Status::CONDITIONS_NOT_SATISFIED),
        }
    }

    fn first_generate_ac(&mut self, requested: Cryptogram, data: &[u8]) -> Answer {
        let values = values(&self.profile.scheme.cdol1, data)?;
        self.session.sent.extend(data);
        self.take(&values);
        if self.profile.pin.is_some() && self.memory.pin_tries == 0 {
            self.session.cvr.pin_try_limit_exceeded();
        }
        let given = match requested {
            _ if self.profile.behaviour.declines_first => Cryptogram::Aac,
            Cryptogram::Tc if !self.within_offline_limit() => Cryptogram::Arqc,
            other => other,
        };
        self.session.cvr.first_cryptogram(given);
        let value = self.cryptogram();
        self.session.phase = match given {
            Cryptogram::Arqc => Phase::Online { arqc: value },
            Cryptogram::Aac | Cryptogram::Tc => Phase::Finished { arqc: None },
        };
        // Stays until an issuer has answered, through offline transactions too.
        self.memory.online_unfinished |= given == Cryptogram::Arqc;
        self.answer(given, value)
    }

    /// Follows the terminal's request, unless the issuer's answer is not to be trusted or says otherwise.
    fn second_generate_ac(&mut self, requested: Cryptogram, arqc: [u8; 8], data: &[u8]) -> Answer {
        if requested == Cryptogram::Arqc {
            return Err(Status::INCORRECT_PARAMETERS);
        }
        let values = values(&self.profile.scheme.cdol2, data)?;
        self.session.sent.extend(data);
        self.take(&values);
        self.authenticate_by_cdol2(&values, arqc);
        let arc: [u8; 2] = value(&values, AUTHORISATION_RESPONSE_CODE).unwrap_or_default();
        let approvable = self.judge_issuer(arc) && !self.profile.behaviour.declines_second;
        let given = if requested == Cryptogram::Tc && approvable { Cryptogram::Tc } else { Cryptogram::Aac };
        self.session.cvr.second_cryptogram(given);
        let value = self.cryptogram();
        self.session.phase = Phase::Finished { arqc: Some(arqc) };
        if !self.memory.online_unfinished {
            // The issuer has been told of the scripts so far.
            self.session.cvr.set_scripts(0);
            self.memory.scripts = 0;
        }
        self.answer(given, value)
    }

    /// Does the issuer's answer, or the lack of one, allow a TC? Notes what it saw.
    fn judge_issuer(&mut self, arc: [u8; 2]) -> bool {
        if UNABLE_TO_GO_ONLINE.contains(&arc) {
            self.session.cvr.unable_to_go_online();
            return self.within_offline_limit();
        }
        self.memory.online_unfinished = false;
        let failed = self.session.issuer_authentication == IssuerAuthentication::Failed;
        self.memory.issuer_authentication_failed = failed;
        match self.session.issuer_authentication {
            IssuerAuthentication::Failed => false,
            IssuerAuthentication::Passed { arc: vouched } => {
                self.memory.last_online_atc = self.memory.atc;
                vouched == arc && APPROVALS.contains(&arc)
            }
            IssuerAuthentication::NotPerformed => {
                self.session.cvr.issuer_authentication_not_performed();
                APPROVALS.contains(&arc)
            }
        }
    }

    /// EXTERNAL AUTHENTICATE: once, between the two GENERATE AC, and only if the AIP asks for it.
    pub(super) fn external_authenticate(&mut self, command: &Command<'_>) -> Answer {
        if command.parameters() != (0, 0) {
            return Err(Status::INCORRECT_PARAMETERS);
        }
        let Phase::Online { arqc } = self.session.phase else {
            return Err(Status::CONDITIONS_NOT_SATISFIED);
        };
        let performed = self.session.issuer_authentication != IssuerAuthentication::NotPerformed;
        if performed || !self.profile.scheme.external_authenticate() {
            return Err(Status::CONDITIONS_NOT_SATISFIED);
        }
        let data = <[u8; 10]>::try_from(command.data).map_err(|_| Status::WRONG_LENGTH)?;
        self.check_arpc(arqc, data);
        match self.session.issuer_authentication {
            IssuerAuthentication::Passed { .. } => Ok(Vec::new()),
            _ => Err(Status::AUTHENTICATION_FAILED),
        }
    }

    /// A card without EXTERNAL AUTHENTICATE gets the ARPC within CDOL2 data; zeros mean that there is none.
    fn authenticate_by_cdol2(&mut self, values: &Values<'_>, arqc: [u8; 8]) {
        match value::<10>(values, ISSUER_AUTHENTICATION_DATA) {
            Some(data) if data != [0; 10] => self.check_arpc(arqc, data),
            _ => {}
        }
    }

    /// ARPC method 1 (Book 2 clause 8.2.1): eight bytes of ARPC, two of authorisation response code.
    fn check_arpc(&mut self, arqc: [u8; 8], data: [u8; 10]) {
        let [arpc @ .., high, low] = data;
        let arc = [high, low];
        let expected = keys::emv::arpc(&self.session_key(), arqc, arc);
        self.session.issuer_authentication =
            if keys::mac::equal(&arpc, &expected) && !self.profile.behaviour.refuses_arpc {
                IssuerAuthentication::Passed { arc }
            } else {
                self.session.cvr.issuer_authentication_failed();
                IssuerAuthentication::Failed
            };
    }

    /// Takes over what the terminal said of the transaction; what CDOL2 leaves out stays as CDOL1 had it.
    fn take(&mut self, values: &Values<'_>) {
        let input = &mut self.session.input;
        update(values, AMOUNT_AUTHORISED, &mut input.amount_authorised);
        update(values, AMOUNT_OTHER, &mut input.amount_other);
        update(values, TERMINAL_COUNTRY, &mut input.terminal_country);
        update(values, TVR, &mut input.tvr);
        update(values, CURRENCY, &mut input.currency);
        update(values, DATE, &mut input.date);
        update(values, UNPREDICTABLE_NUMBER, &mut input.unpredictable_number);
        if let Some([kind]) = value(values, TRANSACTION_TYPE) {
            input.transaction_type = kind;
        }
    }

    /// The application cryptogram over the session's data as they stand.
    fn cryptogram(&mut self) -> [u8; 8] {
        self.session.input.cvr = self.session.cvr.bytes();
        keys::emv::cryptogram(&self.session_key(), &self.session.input)
    }

    fn answer(&mut self, kind: Cryptogram, value: [u8; 8]) -> Answer {
        if kind == Cryptogram::Tc {
            self.log();
        }
        let mut issuer_data = ISSUER_DATA_HEAD.to_vec();
        issuer_data.extend(self.session.input.cvr);
        issuer_data.push(ALGORITHM_TDES);
        if self.session.signed && kind != Cryptogram::Aac {
            return self.signed_answer(kind, value, &issuer_data);
        }
        self.formatted(&[
            (0x9F27, &[kind.information()]),
            (0x9F36, &self.session.input.atc),
            (0x9F26, &value),
            (0x9F10, &issuer_data),
        ])
    }

    /// Approved transactions go into the log, as tag 9F4F lays them out.
    fn log(&mut self) {
        let input = &self.session.input;
        let mut record = input.date.to_vec();
        record.extend(input.amount_authorised);
        record.extend(input.currency);
        record.push(input.transaction_type);
        record.extend(input.atc);
        self.memory.log.push_front(record);
        self.memory.log.truncate(usize::from(files::LOG_SIZE));
    }

    fn within_offline_limit(&self) -> bool {
        let amount =
            self.session.input.amount_authorised.iter().fold(0_u64, |amount, byte| {
                amount * 100 + u64::from(byte >> 4) * 10 + u64::from(byte & 0x0F)
            });
        amount <= self.profile.behaviour.offline_limit
    }
}

/// A value of just that length.
fn value<const N: usize>(values: &Values<'_>, tag: Tag) -> Option<[u8; N]> {
    values.iter().find(|(known, _)| *known == tag).and_then(|(_, value)| <[u8; N]>::try_from(*value).ok())
}

fn update<const N: usize>(values: &Values<'_>, tag: Tag, target: &mut [u8; N]) {
    if let Some(value) = value(values, tag) {
        *target = value;
    }
}
