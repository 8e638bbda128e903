//! What a card was told and answered since it was reset, as a trace (docs/emv-traces.md) for `posctl emv replay`.
//!
//! A module knows nothing of the transaction. But the card asks to be told, and what its lists of data objects were
//! filled with is the amount, the date and the rest; what the host said shows in what the card is given of it.

use emv::trace::{Answer, Exchange, HostSaid, Remark, Trace};
use emv::{Flow, PinResult, Transaction};
use link::Event;
use tlv::{Dol, Tag, find, tags};

/// The files that the virtual terminal configures its kernel with.
const PARAMETERS: [&str; 4] = ["terminal.toml", "aids.toml", "capks.toml", "capks-test.toml"];
/// A session with more commands than this is no transaction; the rest is left out.
const MAX_EXCHANGES: usize = 1000;

const SELECT: u8 = 0xA4;
const READ_RECORD: u8 = 0xB2;
const GET_RESPONSE: u8 = 0xC0;
const GET_PROCESSING_OPTIONS: u8 = 0xA8;
const GENERATE_AC: u8 = 0xAE;
const EXTERNAL_AUTHENTICATE: u8 = 0x82;
/// Commands with secure messaging are an issuer's, in a script.
const SCRIPT_CLASSES: [u8; 2] = [0x84, 0x8C];

/// What happened since the card was reset.
#[derive(Default)]
pub(crate) struct Recorder {
    exchanges: Vec<Exchange>,
    remarks: Vec<Remark>,
}

impl Recorder {
    pub(crate) fn begin(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn exchange(&mut self, command: &[u8], answer: Answer) {
        if self.exchanges.len() < MAX_EXCHANGES {
            self.exchanges.push(Exchange::new(command, answer));
        }
    }

    /// Notes how a PIN entry ended.
    pub(crate) fn event(&mut self, event: &Event) {
        if let Event::PinEnded { result, .. } = event {
            self.remarks.push(match result {
                link::PinResult::Entered(_) | link::PinResult::EnteredLong(_) => {
                    Remark::Pin(PinResult::Entered)
                }
                link::PinResult::Presented(status) => Remark::PinPresented(*status),
                link::PinResult::CardMute => Remark::Removed,
                link::PinResult::Bypassed => Remark::Pin(PinResult::Bypassed),
                link::PinResult::Cancelled => Remark::Pin(PinResult::Cancelled),
                link::PinResult::TimedOut => Remark::Pin(PinResult::TimedOut),
            });
        }
    }

    /// The card was pulled out, and not by a command.
    pub(crate) fn removed(&mut self) {
        if !self.exchanges.is_empty() {
            self.remarks.push(Remark::Removed);
        }
    }

    /// The trace so far; `None` if the card was told nothing.
    pub(crate) fn trace(&self) -> Option<Trace> {
        if self.exchanges.is_empty() {
            return None;
        }
        let told = Told::new(&self.exchanges);
        let mut remarks = self.remarks.clone();
        if let Some(host) = told.host() {
            let at = remarks.iter().position(|remark| *remark == Remark::Removed).unwrap_or(remarks.len());
            remarks.insert(at, host);
        }
        Some(Trace {
            transaction: told.transaction(remarks.iter().any(|remark| matches!(remark, Remark::Pin(_)))),
            parameters: PARAMETERS.map(str::to_owned).to_vec(),
            exchanges: self.exchanges.clone(),
            remarks,
        })
    }
}

/// A command with its data, and the data of the response, whole.
struct Whole<'e> {
    command: &'e [u8],
    data: &'e [u8],
    response: Vec<u8>,
}

/// All that the card was told and answered.
struct Told<'e>(Vec<Whole<'e>>);

impl<'e> Told<'e> {
    fn new(exchanges: &'e [Exchange]) -> Self {
        let mut all: Vec<Whole<'e>> = Vec::new();
        for exchange in exchanges {
            let Answer::Response(response) = &exchange.answer else { continue };
            let response = response.split_last_chunk::<2>().map_or(&[][..], |(data, _)| data);
            let command = exchange.command.as_slice();
            match (command.get(1), all.last_mut()) {
                (Some(&GET_RESPONSE), Some(last)) => last.response.extend_from_slice(response),
                _ => {
                    let length = command.get(4).copied().map_or(0, usize::from);
                    let data = command.get(5..5 + length).unwrap_or_default();
                    all.push(Whole { command, data, response: response.to_vec() });
                }
            }
        }
        Self(all)
    }

    fn with(&self, ins: u8) -> impl Iterator<Item = &Whole<'e>> {
        self.0.iter().filter(move |whole| whole.command.get(1) == Some(&ins))
    }

    /// What the card gave, when it was selected or read.
    fn given(&self, tag: Tag) -> Option<&[u8]> {
        let read = self.with(READ_RECORD).chain(self.with(SELECT));
        read.filter_map(|whole| find(&whole.response, tag).ok().flatten()).next()
    }

    /// What the card was told of an element, in the list that it asked for it with.
    fn listed(&self, list: Tag, data: &'e [u8], tag: Tag) -> Option<&'e [u8]> {
        let mut rest = data;
        for entry in Dol::new(self.given(list)?).entries() {
            let entry = entry.ok()?;
            let (value, after) = rest.split_at_checked(entry.length.into())?;
            if entry.tag == tag {
                return Some(value);
            }
            rest = after;
        }
        None
    }

    /// What the card was told of an element before the host was asked.
    fn told(&self, tag: Tag) -> Option<&[u8]> {
        let first_ac = self.with(GENERATE_AC).next().and_then(|ac| self.listed(tags::CDOL1, ac.data, tag));
        first_ac.or_else(|| {
            let options = self.with(GET_PROCESSING_OPTIONS).last()?.data;
            self.listed(tags::PDOL, find(options, tags::COMMAND_TEMPLATE).ok()??, tag)
        })
    }

    fn array<const N: usize>(&self, tag: Tag) -> Option<[u8; N]> {
        self.told(tag)?.try_into().ok()
    }

    fn number(&self, tag: Tag) -> Option<u64> {
        hex::encode(self.told(tag)?).parse().ok()
    }

    fn transaction(&self, pin: bool) -> Transaction {
        let asked_to_decide = self.with(GENERATE_AC).next().is_some();
        let tvr: [u8; 5] = self.array(tags::TVR).unwrap_or_default();
        let [_, _, _, risk, _] = tvr;
        Transaction {
            flow: if asked_to_decide { Flow::Full } else { Flow::Identify { pin } },
            kind: self.array(tags::TRANSACTION_TYPE).map_or(0, |[kind]| kind),
            amount: self.number(tags::AMOUNT_AUTHORISED).unwrap_or_default(),
            other: self.number(tags::AMOUNT_OTHER).unwrap_or_default(),
            currency: self
                .number(tags::TRANSACTION_CURRENCY)
                .and_then(|code| code.try_into().ok())
                .unwrap_or(156),
            currency_exponent: 2,
            date: self.array(tags::TRANSACTION_DATE).unwrap_or([0x26, 0x01, 0x01]),
            time: self.array(tags::TRANSACTION_TIME).unwrap_or_default(),
            unpredictable_number: self.array(tags::UNPREDICTABLE_NUMBER).unwrap_or_default(),
            // Whether it was selected at random shows in the results.
            random_percent: if risk & 0x10 == 0 { 99 } else { 1 },
            sequence: self.number(tags::SEQUENCE_COUNTER).and_then(|n| n.try_into().ok()).unwrap_or(1),
            online_only: false,
            force_online: risk & 0x08 != 0,
        }
    }

    /// What the host said, as far as the card was given it with the second GENERATE AC.
    fn host(&self) -> Option<Remark> {
        let second = self.with(GENERATE_AC).nth(1)?;
        let listed = |tag| self.listed(tags::CDOL2, second.data, tag);
        let approved = second.command.get(2).is_some_and(|control| control & 0xC0 == 0x40);
        let authentication = self.with(EXTERNAL_AUTHENTICATE).next().map(|whole| whole.data);
        let authentication = authentication.or_else(|| {
            listed(tags::ISSUER_AUTHENTICATION).filter(|data| data.iter().any(|&byte| byte != 0))
        });
        let told = listed(tags::ARC).and_then(|arc| <[u8; 2]>::try_from(arc).ok());
        let arc = told.unwrap_or(if approved { *b"00" } else { *b"05" });
        if matches!(&arc, b"Y3" | b"Z3") {
            return Some(Remark::HostUnreachable);
        }
        let mut field_55 = Vec::new();
        let mut put = |tag, value: &[u8]| {
            // A `Vec` always has room.
            let _ = tlv::write(&mut field_55, tag, value);
        };
        if let Some(data) = authentication {
            put(tags::ISSUER_AUTHENTICATION, data);
        }
        for (tag, script) in
            [(tags::ISSUER_SCRIPT_1, self.script(0)), (tags::ISSUER_SCRIPT_2, self.script(1))]
        {
            if !script.is_empty() {
                put(tag, &script);
            }
        }
        Some(Remark::Host(HostSaid { approved, arc, authorisation_code: None, field_55 }))
    }

    /// The issuer's commands between the `after`th GENERATE AC, from 0, and the next, as one script has them.
    fn script(&self, after: usize) -> Vec<u8> {
        let mut script = Vec::new();
        let mut counted = 0;
        for whole in &self.0 {
            if whole.command.get(1) == Some(&GENERATE_AC) {
                counted += 1;
            } else if counted == after + 1
                && whole.command.first().is_some_and(|class| SCRIPT_CLASSES.contains(class))
            {
                let _ = tlv::write(&mut script, tags::ISSUER_SCRIPT_COMMAND, whole.command);
            }
        }
        script
    }
}
