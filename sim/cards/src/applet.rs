//! The card's operating system and its payment application (EMV Book 3 clause 6): which command is which, and
//! which is allowed when.

mod authentication;
mod combined;
mod cryptogram;
mod cvr;
mod membership;
mod script;
mod selection;

use std::collections::VecDeque;

use keys::TdesKey;
use keys::emv::CryptogramInput;
use tlv::{Dol, Tag};

use self::cvr::Cvr;
pub use self::script::seal_script;
use crate::Error;
use crate::apdu::{Answer, Command, Status};
use crate::files::{Files, Objects};
use crate::profile::Profile;
use crate::scheme::ResponseFormat;

/// PIN try limit.
pub(crate) const PIN_TRIES: u8 = 3;

/// What the card remembers without power.
#[derive(Debug)]
struct Memory {
    /// Application transaction counter.
    atc: u16,
    /// The counter at the last online transaction that the issuer answered.
    last_online_atc: u16,
    pin_tries: u8,
    application_blocked: bool,
    card_blocked: bool,
    /// The last online transaction did not come to its second GENERATE AC.
    online_unfinished: bool,
    /// Issuer authentication failed in the last online transaction.
    issuer_authentication_failed: bool,
    /// The issuer scripts that the issuer has not been told of, as byte 4 of the results counts them.
    scripts: u8,
    /// What the membership has collected.
    points: u16,
    /// The newest first.
    log: VecDeque<Vec<u8>>,
}

/// Where the session stands; each step allows its own commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is selected.
    Idle,
    /// The payment system environment is selected.
    Environment,
    /// The membership is selected.
    Membership,
    /// An application is selected.
    Selected,
    /// GET PROCESSING OPTIONS has been answered.
    Initiated,
    /// The first GENERATE AC gave this ARQC.
    Online { arqc: [u8; 8] },
    /// The transaction has its TC or AAC. The ARQC before it, if there was one, still seals scripts.
    Finished { arqc: Option<[u8; 8]> },
}

/// What the card knows of the issuer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IssuerAuthentication {
    NotPerformed,
    /// The ARPC was right, and vouches for this authorisation response code.
    Passed {
        arc: [u8; 2],
    },
    Failed,
}

/// From a reset or SELECT to the next.
#[derive(Debug)]
struct Session {
    phase: Phase,
    /// The application selected last, by its place in the profile.
    application: Option<usize>,
    cvr: Cvr,
    input: CryptogramInput,
    issuer_authentication: IssuerAuthentication,
    /// What the terminal has sent for PDOL, CDOL1 and CDOL2.
    sent: Vec<u8>,
    /// Whether the terminal asked for a signature with the cryptogram.
    signed: bool,
    /// What GET CHALLENGE gave last, until a PIN is verified with it.
    challenge: Option<[u8; 8]>,
    /// How often it was asked for.
    challenges: u64,
}

impl Session {
    fn new(phase: Phase, application: Option<usize>, aip: [u8; 2]) -> Self {
        Self {
            phase,
            application,
            cvr: Cvr::default(),
            input: CryptogramInput {
                amount_authorised: [0; 6],
                amount_other: [0; 6],
                terminal_country: [0; 2],
                tvr: [0; 5],
                currency: [0; 2],
                date: [0; 3],
                transaction_type: 0,
                unpredictable_number: [0; 4],
                aip,
                atc: [0; 2],
                cvr: [0; 4],
            },
            issuer_authentication: IssuerAuthentication::NotPerformed,
            sent: Vec::new(),
            signed: false,
            challenge: None,
            challenges: 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Applet {
    profile: Profile,
    files: Files,
    /// The card's own keys, derived from the issuer's (Book 2 A1.4).
    cryptogram_key: TdesKey,
    script_key: TdesKey,
    memory: Memory,
    session: Session,
}

impl Applet {
    pub(crate) fn new(profile: Profile, atc: u16) -> Result<Self, Error> {
        let files = Files::build(&profile)
            .map_err(|error| Error::Profile { name: profile.name.clone(), reason: error.to_string() })?;
        Ok(Self {
            files,
            cryptogram_key: keys::emv::card_key(profile.imk(), &profile.pan, profile.psn),
            script_key: keys::emv::card_key(profile.imk_smi(), &profile.pan, profile.psn),
            memory: Memory {
                atc,
                last_online_atc: atc,
                pin_tries: profile.pin_tries,
                application_blocked: profile.behaviour.application_blocked,
                card_blocked: profile.behaviour.card_blocked,
                online_unfinished: false,
                issuer_authentication_failed: false,
                scripts: 0,
                points: 0,
                log: VecDeque::new(),
            },
            session: Session::new(Phase::Idle, None, profile.aip()),
            profile,
        })
    }

    /// The application transaction counter (tag 9F36).
    pub(crate) fn atc(&self) -> u16 {
        self.memory.atc
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(crate) fn reset(&mut self) {
        self.session = Session::new(Phase::Idle, None, self.profile.aip());
    }

    /// Executes a command: response data and status.
    pub(crate) fn execute(&mut self, command: &Command<'_>) -> (Vec<u8>, Status) {
        match self.dispatch(command) {
            // A blocked application still tells what it is (Book 1 clause 11.3.5).
            Ok(data)
                if command.ins == 0xA4
                    && self.memory.application_blocked
                    && self.session.phase == Phase::Selected =>
            {
                (data, Status::SELECTED_FILE_INVALIDATED)
            }
            Ok(data) => (data, Status::OK),
            Err(status) => (Vec::new(), status),
        }
    }

    fn dispatch(&mut self, command: &Command<'_>) -> Answer {
        match (command.cla, command.ins) {
            (0x00, 0xA4) => self.select(command),
            _ if self.session.phase == Phase::Membership => self.membership(command),
            (0x00, 0xB2) => self.read_record(command),
            (0x00, 0x88) => self.internal_authenticate(command),
            (0x00, 0x20) => self.verify(command),
            (0x00, 0x84) => self.get_challenge(command),
            (0x00, 0x82) => self.external_authenticate(command),
            (0x80, 0xA8) => self.get_processing_options(command),
            (0x80, 0xAE) => self.generate_ac(command),
            (0x80, 0xCA) => self.get_data(command),
            (0x84, 0x16 | 0x18 | 0x1E | 0x24) => self.script(command),
            (_, 0xA4 | 0xB2 | 0x88 | 0x20 | 0x82 | 0x84 | 0xA8 | 0xAE | 0xCA | 0x16 | 0x18 | 0x1E | 0x24) => {
                Err(Status::CLASS_NOT_SUPPORTED)
            }
            (0x00 | 0x80 | 0x84, _) => Err(Status::INSTRUCTION_NOT_SUPPORTED),
            _ => Err(Status::CLASS_NOT_SUPPORTED),
        }
    }

    /// The session key of this transaction's cryptograms.
    fn session_key(&self) -> TdesKey {
        keys::emv::session_key(&self.cryptogram_key, self.memory.atc.to_be_bytes())
    }

    /// A response in the scheme's format: bare values under tag 80, or objects under tag 77.
    fn formatted(&self, values: &[(u32, &[u8])]) -> Answer {
        let response = match self.profile.scheme.response_format {
            ResponseFormat::Bare => {
                let bare: Vec<u8> = values.iter().flat_map(|(_, value)| value.iter().copied()).collect();
                Objects::default().with(0x80, bare).map(Objects::into_bytes)
            }
            ResponseFormat::Tlv => values
                .iter()
                .try_fold(Objects::default(), |objects, (tag, value)| objects.with(*tag, value))
                .and_then(|objects| objects.inside(0x77)),
        };
        response.map_err(|_| Status::NO_PRECISE_DIAGNOSIS)
    }
}

/// The values that the terminal sent for a data object list; their total length must be the list's.
fn values<'d>(dol: &[u8], mut data: &'d [u8]) -> Result<Vec<(Tag, &'d [u8])>, Status> {
    let mut values = Vec::new();
    for entry in Dol::new(dol).entries() {
        let entry = entry.map_err(|_| Status::NO_PRECISE_DIAGNOSIS)?;
        let (value, rest) = data.split_at_checked(usize::from(entry.length)).ok_or(Status::WRONG_LENGTH)?;
        values.push((entry.tag, value));
        data = rest;
    }
    if data.is_empty() { Ok(values) } else { Err(Status::WRONG_LENGTH) }
}
