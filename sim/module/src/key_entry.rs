//! A key that custodians enter at the pad under dual control (PCI PIN requirements 6 and 12): each one component, each by their own code,
//! nobody two of them. Until the last one is there the slot has the key that it had.

use std::time::Duration;

use keys::{Algorithm, Attributes, Key, Mode, Usage, kcv};
use link::{KeyEntryRequest, KeyEntryState, Refusal};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::key_slots::KeySlots;
use crate::{Refused, refused};

/// How long the pad waits for each component.
const PATIENCE: Duration = Duration::from_secs(180);
/// The codes of the custodians. Nothing virtual is secret.
const CODES: [&str; 3] = ["111111", "222222", "333333"];

/// The entry that is going on, or how the latest one ended.
#[derive(Default)]
pub(crate) enum KeyEntry {
    #[default]
    Idle,
    Open(Entry),
    Loaded(Vec<u8>),
    Ended(String),
}

pub(crate) struct Entry {
    slot: String,
    algorithm: Algorithm,
    length: usize,
    count: usize,
    components: Vec<Zeroizing<Vec<u8>>>,
    /// Who has been at the pad.
    custodians: Vec<usize>,
    previous: Vec<u8>,
    until: Duration,
}

impl KeyEntry {
    /// Begins an entry, in the place of any other.
    pub(crate) fn begin(
        &mut self,
        request: &KeyEntryRequest,
        keys: &KeySlots,
        now: Duration,
    ) -> Result<(), Refused> {
        let algorithm = Algorithm::from_code([request.algorithm]);
        let length = usize::from(request.length);
        let algorithm = match (algorithm, length) {
            (Some(algorithm @ Algorithm::Tdes), 16 | 24)
            | (Some(algorithm @ Algorithm::Aes), 16 | 24 | 32) => algorithm,
            _ => {
                return refused(Refusal::Invalid, "a key has 16 or 24 bytes of TDES, or 16, 24 or 32 of AES");
            }
        };
        keys.entered(&request.key, algorithm)?;
        let count = usize::from(request.components);
        if !(2..=CODES.len()).contains(&count) {
            return refused(Refusal::Invalid, "a key has 2 or 3 components");
        }
        let (components, custodians, previous) = (Vec::new(), Vec::new(), Vec::new());
        let (slot, until) = (request.key.clone(), now + PATIENCE);
        *self = Self::Open(Entry { slot, algorithm, length, count, components, custodians, previous, until });
        Ok(())
    }

    /// A custodian enters a component: what the pad shows, which is its check value, or why it took none.
    pub(crate) fn enter(
        &mut self,
        code: &str,
        text: &str,
        keys: &mut KeySlots,
        now: Duration,
    ) -> Result<Vec<u8>, String> {
        let Self::Open(entry) = self else { return Err("the pad asks for no component".to_owned()) };
        let check = entry.enter(code, text, now)?;
        if entry.components.len() == entry.count {
            let components: Vec<&[u8]> =
                entry.components.iter().map(|component| component.as_slice()).collect();
            *self = match keys.combine(&entry.slot, entry.algorithm, &components) {
                Ok(check) => Self::Loaded(check),
                Err((_, reason)) => Self::Ended(reason),
            };
        }
        Ok(check)
    }

    /// Whether the pad waits for a component.
    pub(crate) fn asks(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Ends the entry that is going on.
    pub(crate) fn end(&mut self, reason: &str) {
        if self.asks() {
            *self = Self::Ended(reason.to_owned());
        }
    }

    /// Lets the time run out.
    pub(crate) fn poll(&mut self, now: Duration) {
        if self.deadline().is_some_and(|until| until <= now) {
            self.end("nobody entered the next component in time");
        }
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Open(entry) => Some(entry.until),
            _ => None,
        }
    }

    /// How far it is.
    pub(crate) fn state(&self) -> KeyEntryState {
        match self {
            Self::Idle => KeyEntryState::Idle,
            Self::Open(entry) => KeyEntryState::Waits {
                component: u8::try_from(entry.components.len() + 1).unwrap_or(u8::MAX),
                previous: entry.previous.clone(),
            },
            Self::Loaded(check) => KeyEntryState::Loaded { check: check.clone() },
            Self::Ended(reason) => KeyEntryState::Ended { reason: reason.clone() },
        }
    }
}

impl Entry {
    fn enter(&mut self, code: &str, text: &str, now: Duration) -> Result<Vec<u8>, String> {
        let custodian = CODES.iter().position(|known| known.as_bytes().ct_eq(code.as_bytes()).into());
        let custodian = custodian.ok_or("no custodian has this code")?;
        if self.custodians.contains(&custodian) {
            return Err(
                "this custodian has entered a component already: the next one is another's".to_owned()
            );
        }
        let mut component = Zeroizing::new(vec![0; self.length]);
        hex::decode_to_slice(text, &mut component)
            .map_err(|_| format!("a component is {} hexadecimal digits", 2 * self.length))?;
        // Who entered the others would know the key.
        if component.iter().all(|byte| *byte == 0) {
            return Err("a component of zeros is none".to_owned());
        }
        let attributes = Attributes::new(Usage::Data, self.algorithm, Mode::Both);
        let check = Key::new(attributes, &component).map_err(|error| error.to_string())?;
        self.previous = kcv::shown(&check);
        self.components.push(component);
        self.custodians.push(custodian);
        self.until = now + PATIENCE;
        Ok(self.previous.clone())
    }
}
