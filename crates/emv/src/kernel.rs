//! EMV Book 3 clause 8: the transaction flow. The functions themselves are in the other modules.

use core::fmt;
use std::sync::Arc;

use tlv::{Tag, tags};

use crate::apdu::{Command, Exchange, Response, Step};
use crate::authentication::Authentication;
use crate::bits::{Bit, clear, is_set, set};
use crate::cvm::Verification;
use crate::data::{Data, MAX_FIELD_55, bcd};
use crate::findings::{Finding, Findings};
use crate::offline_pin::OfflinePin;
use crate::outcome::{Cryptogram, Decision, Online, Outcome, Reason};
use crate::read::Reading;
use crate::scripts::Scripts;
use crate::selection::Selection;
use crate::{Application, Candidate, Config, Field55Error, Label, Sensitive};

/// How far the card takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// All of Book 3: the card decides with the issuer.
    Full,
    /// The card is read for its account alone, and gives no cryptogram: the host decides.
    Identify {
        /// Whether the cardholder is asked for an online PIN.
        pin: bool,
    },
}

/// One transaction, as the terminal knows it before the card.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// How far the card takes part.
    pub flow: Flow,
    /// 9C, the first two digits of the processing code (ISO 8583:1987, DE 3): 00 goods and services, 01 cash, 03
    /// pre-authorisation, 09 goods with cashback, 20 refund or void, 31 balance inquiry.
    pub kind: u8,
    /// 9F02, minor units, including `other`; at most twelve digits.
    pub amount: u64,
    /// 9F03, minor units: the cashback.
    pub other: u64,
    /// 5F2A, ISO 4217 numeric.
    pub currency: u16,
    /// 5F36: the number of digits of the minor unit.
    pub currency_exponent: u8,
    /// 9A, BCD YYMMDD.
    pub date: [u8; 3],
    /// 9F21, BCD HHMMSS.
    pub time: [u8; 3],
    /// 9F37, unpredictable.
    pub unpredictable_number: [u8; 4],
    /// For random transaction selection: 1 to 99, evenly distributed and unpredictable.
    pub random_percent: u8,
    /// 9F41, at most eight digits; what is beyond is cut.
    pub sequence: u32,
    /// Whether nothing is approved without the issuer, also where the terminal's type would allow it.
    pub online_only: bool,
    /// Whether the merchant wants the issuer asked.
    pub force_online: bool,
}

/// What happened.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    /// The card answered: data, SW1, SW2.
    Response(&'a [u8]),
    /// The card does not answer.
    TransmitFailed,
    /// The index of the candidate that the cardholder chose.
    Chosen(usize),
    /// How PIN entry ended.
    Pin(PinResult),
    /// A PIN was entered and handed to the card: the status word of its answer to VERIFY.
    PinPresented(u16),
    /// The host answered.
    Host(HostAnswer<'a>),
    /// The host could not be reached.
    HostUnreachable,
    /// The card left the slot.
    CardRemoved,
    /// The cashier or the cardholder gave up.
    Cancelled,
}

/// How PIN entry ended. The PIN itself stays in the secure module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinResult {
    /// The module made a PIN block for the host.
    Entered,
    /// The cardholder or the merchant went on without a PIN.
    Bypassed,
    /// There is no PIN pad, or it does not work.
    PinPadBroken,
    /// The cardholder cancelled: the transaction ends.
    Cancelled,
    /// Nobody typed: the transaction ends.
    TimedOut,
}

/// The host's answer.
#[derive(Clone, Copy)]
pub struct HostAnswer<'a> {
    /// Whether the host approved.
    pub approved: bool,
    /// Its response code (DE 39), for 8A.
    pub arc: [u8; 2],
    /// Its authorisation code (DE 38), for 89.
    pub authorisation_code: Option<[u8; 6]>,
    /// Issuer data (DE 55) as the host sent them: 91, 71, 72; may be empty.
    pub field_55: &'a [u8],
}

/// What to do next.
#[derive(Debug)]
pub enum Action<'k> {
    /// Send this command to the card, then report [`Event::Response`].
    Transmit(&'k [u8]),
    /// Let the cardholder choose, or confirm the only one, then report [`Event::Chosen`].
    ChooseApplication(&'k [Candidate]),
    /// Ask for a PIN for the host, then report [`Event::Pin`]. [`Kernel::pan`] is for its PIN block.
    EnterOnlinePin,
    /// Have a PIN typed and verified by the card, all inside of the secure module, then report [`Event::PinPresented`], or
    /// [`Event::Pin`] where none was entered. Each VERIFY costs the card a try: it is sent once.
    VerifyOfflinePin(OfflinePin<'k>),
    /// Ask the issuer, then report [`Event::Host`] or [`Event::HostUnreachable`]. [`Kernel::field_55`],
    /// [`Kernel::track2`] and [`Kernel::psn`] are for the message. If the card leaves meanwhile, the outcome knows
    /// nothing of the host: whoever sent the message must undo it.
    GoOnline,
    /// The transaction is over.
    Complete(&'k Outcome),
}

/// The command that the kernel waits for the response to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pending {
    SelectPse,
    ReadDirectory { sfi: u8, record: u8 },
    SelectListed { index: usize, occurrence: u8 },
    SelectFinally,
    GetProcessingOptions,
    ReadRecord,
    InternalAuthenticate,
    GetPinTryCounter,
    GetChallenge,
    GetAtc,
    GetLastOnlineAtc,
    FirstAc,
    ExternalAuthenticate,
    ScriptCommand,
    SecondAc,
}

/// What the kernel waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    Start,
    Card(Pending),
    Choice,
    Pin,
    OfflinePin,
    Host,
    End,
}

/// What a function leads to: waiting for something, or the end without a decision of the card.
pub(crate) type Progress = Result<Wait, Reason>;

/// One contact transaction.
pub struct Kernel {
    pub(crate) config: Arc<Config>,
    pub(crate) transaction: Transaction,
    pub(crate) data: Data,
    pub(crate) selection: Selection,
    pub(crate) reading: Reading,
    pub(crate) authentication: Authentication,
    pub(crate) verification: Verification,
    pub(crate) scripts: Scripts,
    pub(crate) online: Online,
    pub(crate) cryptogram: Option<Cryptogram>,
    /// The cryptogram that the terminal asked for last; none before the first GENERATE AC.
    pub(crate) requested: Option<u8>,
    /// Whether the card has accepted GET PROCESSING OPTIONS: from there on no fallback.
    pub(crate) initiated: bool,
    pub(crate) findings: Findings,
    /// Set once the card has decided: nothing that happens later changes it.
    pub(crate) verdict: Option<(Decision, Reason)>,
    tvr: [u8; 5],
    tsi: [u8; 2],
    exchange: Exchange,
    wait: Wait,
    outcome: Outcome,
}

impl Kernel {
    /// A transaction that has not started.
    pub fn new(config: Arc<Config>, transaction: Transaction) -> Self {
        Self {
            config,
            transaction,
            data: Data::default(),
            selection: Selection::default(),
            reading: Reading::default(),
            authentication: Authentication::default(),
            verification: Verification::default(),
            scripts: Scripts::default(),
            online: Online::NotTried,
            cryptogram: None,
            requested: None,
            initiated: false,
            findings: Findings::default(),
            verdict: None,
            tvr: [0; 5],
            tsi: [0; 2],
            exchange: Exchange::default(),
            wait: Wait::Start,
            outcome: Outcome::unfinished(),
        }
    }

    /// Starts with the selection of an application. The card has been powered and has answered to reset.
    pub fn start(&mut self) -> Action<'_> {
        let progress = match self.wait {
            Wait::Start => self.set_transaction_data().and_then(|()| self.select_pse()),
            Wait::Card(_) | Wait::Choice | Wait::Pin | Wait::OfflinePin | Wait::Host => {
                Err(Reason::UnexpectedEvent)
            }
            Wait::End => Ok(Wait::End),
        };
        self.settle(progress)
    }

    /// Goes on after what happened. Once complete, it stays complete.
    pub fn step(&mut self, event: Event<'_>) -> Action<'_> {
        let progress = match (self.wait, event) {
            (Wait::End, _) => Ok(Wait::End),
            (_, Event::CardRemoved) => Err(Reason::CardRemoved),
            (_, Event::Cancelled) => Err(Reason::Cancelled),
            (Wait::Card(_) | Wait::OfflinePin, Event::TransmitFailed) => Err(Reason::CardMute),
            (Wait::Card(pending), Event::Response(bytes)) => self.take_response(pending, bytes),
            (Wait::Choice, Event::Chosen(index)) => self.select_chosen(index),
            (Wait::Pin, Event::Pin(result)) => match self.transaction.flow {
                Flow::Full => self.take_pin_result(result),
                Flow::Identify { .. } => self.take_pin_of_identified(result),
            },
            (Wait::OfflinePin, Event::PinPresented(status)) => self.take_verify_status(status),
            (Wait::OfflinePin, Event::Pin(result)) if result != PinResult::Entered => {
                self.without_pin(result)
            }
            (Wait::Host, Event::Host(answer)) => match self.transaction.flow {
                Flow::Full => self.take_host_answer(answer),
                Flow::Identify { .. } => self.end_identified(Some(answer.approved)),
            },
            (Wait::Host, Event::HostUnreachable) => match self.transaction.flow {
                Flow::Full => self.decide_without_host(),
                Flow::Identify { .. } => self.end_identified(None),
            },
            _ => Err(Reason::UnexpectedEvent),
        };
        self.settle(progress)
    }

    fn take_response(&mut self, pending: Pending, bytes: &[u8]) -> Progress {
        let response = match self.exchange.take(bytes) {
            Step::Again => return Ok(Wait::Card(pending)),
            Step::Malformed => return Err(self.malformed()),
            Step::Done(response) => response,
        };
        let progress = self.dispatch(pending, &response);
        self.exchange.reuse(response);
        progress
    }

    fn dispatch(&mut self, pending: Pending, response: &Response) -> Progress {
        match pending {
            Pending::SelectPse => self.on_pse(response),
            Pending::ReadDirectory { sfi, record } => self.on_directory_record(sfi, record, response),
            Pending::SelectListed { index, occurrence } => self.on_listed(index, occurrence, response),
            Pending::SelectFinally => self.on_final_select(response),
            Pending::GetProcessingOptions => self.on_processing_options(response),
            Pending::ReadRecord => self.on_record(response),
            Pending::InternalAuthenticate => self.on_internal_authenticate(response),
            Pending::GetPinTryCounter => self.on_pin_try_counter(response),
            Pending::GetChallenge => self.on_challenge(response),
            Pending::GetAtc => self.on_atc(response),
            Pending::GetLastOnlineAtc => self.on_last_online_atc(response),
            Pending::FirstAc => self.on_first_ac(response),
            Pending::ExternalAuthenticate => self.on_external_authenticate(response),
            Pending::ScriptCommand => self.on_script_response(response),
            Pending::SecondAc => self.on_second_ac(response),
        }
    }

    fn settle(&mut self, progress: Progress) -> Action<'_> {
        match progress {
            Ok(wait) => self.wait = wait,
            Err(reason) => {
                self.abandon_scripts();
                self.finish(self.verdict.unwrap_or((Decision::Terminated, reason)));
            }
        }
        match self.wait {
            Wait::Card(_) => Action::Transmit(self.exchange.outgoing()),
            Wait::Choice => Action::ChooseApplication(self.selection.candidates()),
            Wait::Pin => Action::EnterOnlinePin,
            Wait::OfflinePin => Action::VerifyOfflinePin(self.verification.asking.request()),
            Wait::Host => Action::GoOnline,
            Wait::Start | Wait::End => Action::Complete(&self.outcome),
        }
    }

    /// Ends the transaction.
    pub(crate) fn end(&mut self, decision: Decision, reason: Reason) -> Progress {
        self.finish((decision, reason));
        Ok(Wait::End)
    }

    fn finish(&mut self, (decision, reason): (Decision, Reason)) {
        self.note(Finding::Ended(decision, reason));
        let chip_failed = matches!(
            reason,
            Reason::NoCommonApplication
                | Reason::CardMute
                | Reason::ResponseMalformed { .. }
                | Reason::CommandRefused { .. }
        );
        self.outcome = Outcome {
            decision,
            reason,
            fallback: chip_failed && !self.initiated,
            online: self.online,
            cvm: self.verification.cvm(),
            tvr: self.tvr,
            tsi: self.tsi,
            arc: self.data.array(tags::ARC),
            aid: self.selection.selected().map(|candidate| candidate.aid.clone()),
            label: self.selection.selected().map(|candidate| candidate.label.clone()).unwrap_or_default(),
            cryptogram: self.cryptogram,
            script_results: self.scripts.results().to_vec(),
        };
        self.wait = Wait::End;
    }

    /// The terminal's own data objects (Book 3 Annex A).
    fn set_transaction_data(&mut self) -> Result<(), Reason> {
        let t = &self.transaction;
        let in_range = t.amount <= 999_999_999_999 && t.other <= t.amount && t.currency <= 999;
        if !in_range || !(1..=99).contains(&t.random_percent) {
            return Err(Reason::TransactionInvalid);
        }
        let (data, terminal) = (&mut self.data, &self.config.terminal);
        data.set(tags::AMOUNT_AUTHORISED, &bcd::<6>(t.amount));
        data.set(tags::AMOUNT_OTHER, &bcd::<6>(t.other));
        // The binary forms hold four bytes; a larger amount is left out, and a DOL then gets zeros.
        for (tag, amount) in
            [(tags::AMOUNT_AUTHORISED_BINARY, t.amount), (tags::AMOUNT_OTHER_BINARY, t.other)]
        {
            if let Ok(amount) = u32::try_from(amount) {
                data.set(tag, &amount.to_be_bytes());
            }
        }
        data.set(tags::TRANSACTION_TYPE, &[t.kind]);
        data.set(tags::TRANSACTION_CURRENCY, &bcd::<2>(t.currency.into()));
        data.set(tags::CURRENCY_EXPONENT, &[t.currency_exponent]);
        data.set(tags::TRANSACTION_DATE, &t.date);
        data.set(tags::TRANSACTION_TIME, &t.time);
        data.set(tags::UNPREDICTABLE_NUMBER, &t.unpredictable_number);
        data.set(tags::SEQUENCE_COUNTER, &bcd::<4>(t.sequence.into()));
        data.set(tags::TERMINAL_TYPE, &terminal.terminal_type);
        data.set(tags::TERMINAL_CAPABILITIES, &terminal.capabilities);
        data.set(tags::ADDITIONAL_CAPABILITIES, &terminal.additional_capabilities);
        data.set(tags::TERMINAL_COUNTRY, &bcd::<2>(terminal.country.into()));
        data.set(tags::IFD_SERIAL_NUMBER, terminal.serial_number.as_bytes());
        data.set(tags::TERMINAL_IDENTIFICATION, terminal.terminal_id.as_bytes());
        data.set(tags::MERCHANT_IDENTIFIER, terminal.merchant_id.as_bytes());
        data.set(tags::MERCHANT_CATEGORY, &terminal.merchant_category);
        self.clear_results();
        Ok(())
    }

    /// Book 3 clause 10.1: an initiated application starts with clean results.
    pub(crate) fn clear_results(&mut self) {
        (self.tvr, self.tsi) = ([0; 5], [0; 2]);
        self.data.set(tags::TVR, &self.tvr);
        self.data.set(tags::TSI, &self.tsi);
        self.data.set(tags::CVM_RESULTS, &[0x3F, 0x00, 0x00]);
    }

    pub(crate) fn send(&mut self, command: Option<Command>, pending: Pending) -> Progress {
        self.exchange.begin(&command.ok_or(Reason::CommandTooLong)?);
        Ok(Wait::Card(pending))
    }

    pub(crate) fn mark_tvr(&mut self, bit: Bit) {
        if !is_set(&self.tvr, bit) {
            self.note(Finding::Tvr { byte: bit.byte, mask: bit.mask });
        }
        set(&mut self.tvr, bit);
        self.data.set(tags::TVR, &self.tvr);
    }

    pub(crate) fn clear_tvr(&mut self, bit: Bit) {
        clear(&mut self.tvr, bit);
        self.data.set(tags::TVR, &self.tvr);
    }

    pub(crate) fn mark_tsi(&mut self, bit: Bit) {
        if !is_set(&self.tsi, bit) {
            self.note(Finding::Tsi { byte: bit.byte, mask: bit.mask });
        }
        set(&mut self.tsi, bit);
        self.data.set(tags::TSI, &self.tsi);
    }

    pub(crate) fn tvr(&self) -> [u8; 5] {
        self.tvr
    }

    fn ins(&self) -> u8 {
        self.exchange.ins()
    }

    pub(crate) fn malformed(&self) -> Reason {
        Reason::ResponseMalformed { ins: self.ins() }
    }

    pub(crate) fn refused(&self, status: u16) -> Reason {
        Reason::CommandRefused { ins: self.ins(), status }
    }

    /// The configuration of the selected application.
    pub(crate) fn application(&self) -> Option<&Application> {
        self.config.applications.get(self.selection.selected()?.application)
    }

    /// Whether nothing is approved without the issuer.
    pub(crate) fn is_online_only(&self) -> bool {
        self.transaction.online_only || self.config.terminal.is_online_only()
    }

    pub(crate) fn aip_has(&self, bit: Bit) -> bool {
        self.data.get(tags::AIP).is_some_and(|aip| crate::bits::is_set(aip, bit))
    }

    /// The PAN, compressed numeric. For the secure module alone.
    pub fn pan(&self) -> Option<Sensitive<'_>> {
        self.data.get(tags::PAN).map(Sensitive)
    }

    /// Track 2 equivalent data (57). For the secure module alone.
    pub fn track2(&self) -> Option<Sensitive<'_>> {
        self.data.get(tags::TRACK_2).map(Sensitive)
    }

    /// The PAN with all but the first six and the last four digits as asterisks.
    pub fn masked_pan(&self) -> Option<String> {
        self.data.masked_pan()
    }

    /// Application Expiration Date, BCD YYMMDD.
    pub fn expiry(&self) -> Option<[u8; 3]> {
        self.data.array(tags::EXPIRATION_DATE)
    }

    /// PAN sequence number, one BCD byte.
    pub fn psn(&self) -> Option<u8> {
        self.data.array(tags::PAN_SEQUENCE).map(|[psn]| psn)
    }

    /// The DF name of the selected application.
    pub fn aid(&self) -> Option<&[u8]> {
        self.selection.selected().map(|candidate| &*candidate.aid)
    }

    /// The name of the selected application; empty if none is.
    pub fn label(&self) -> &str {
        self.selection.selected().map_or("", |candidate| candidate.label.as_str())
    }

    /// Book 4 clause 11.1: the language that the cardholder is spoken to in: the first that the card prefers and the terminal has, else
    /// the terminal's own. `None` where the terminal has but one.
    pub fn language(&self) -> Option<&str> {
        let ours = &self.config.terminal.languages;
        let preferred = self.data.get(tags::LANGUAGE_PREFERENCE).unwrap_or(self.selection.languages());
        let (codes, _) = preferred.as_chunks::<2>();
        let common = |code: &[u8; 2]| ours.iter().find(|one| one.as_bytes().eq_ignore_ascii_case(code));
        codes.iter().find_map(common).or(ours.first()).map(String::as_str)
    }

    /// Whether the card has been asked for a cryptogram: from there on it counts the transaction, however it ends.
    pub fn asked_for_cryptogram(&self) -> bool {
        self.requested.is_some()
    }

    /// Whether the card is read for its account alone.
    pub fn identifies(&self) -> bool {
        matches!(self.transaction.flow, Flow::Identify { .. })
    }

    /// Data objects for the host as TLV, in the order of `wanted`; those that are not known are left out.
    ///
    /// # Errors
    /// [`Field55Error`] if a tag may not leave the kernel in the clear, or the data are longer than 255 bytes;
    /// those of [`FIELD_55`](crate::FIELD_55) never are.
    pub fn field_55(&self, wanted: &[Tag]) -> Result<Vec<u8>, Field55Error> {
        self.write_field_55(wanted, &mut [0; MAX_FIELD_55]).map(<[u8]>::to_vec)
    }

    /// The same in the caller's memory.
    ///
    /// # Errors
    /// As of [`Kernel::field_55`].
    pub fn write_field_55<'r>(
        &self,
        wanted: &[Tag],
        room: &'r mut [u8; MAX_FIELD_55],
    ) -> Result<&'r [u8], Field55Error> {
        self.data.field_55(wanted, room)
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("wait", &self.wait).field("aid", &self.aid()).finish_non_exhaustive()
    }
}

impl Outcome {
    fn unfinished() -> Self {
        Self {
            decision: Decision::Terminated,
            reason: Reason::UnexpectedEvent,
            fallback: false,
            online: Online::NotTried,
            cvm: crate::Cvm::None,
            tvr: [0; 5],
            tsi: [0; 2],
            arc: None,
            aid: None,
            label: Label::default(),
            cryptogram: None,
            script_results: Vec::new(),
        }
    }
}
