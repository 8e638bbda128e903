//! Claims: an app has a card slot to itself for a while, and talks to applications that pay nothing (UnifiedPOS 1.16, exclusive-use
//! devices).
//!
//! A payment outranks claims, also those of slots that it does not need: the module does one thing at a time. It has them ended,
//! waits until their cards have lost their power, and then begins as if there had been none. No claim begins while a transaction
//! goes on.

mod allowance;
mod api;
mod atr;
mod claim;
mod filter;
mod grants;
mod places;

use std::sync::Arc;
use std::time::Duration;

use secure_module::{CardSlot, Error as ModuleError, SecureModule};
use service::bus::Buses;
use service::grants::Permission;
use service::guard::{Caller, Guard, Identity};
use service::options::{Dictionary, Options};
use service::request::{self, Key};
use service::{Error, Result};
use zbus::OwnedObjectPath;
use zbus::object_server::SignalEmitter;

use crate::claims::allowance::Allowances;
use crate::claims::api::ClaimObject;
pub(crate) use crate::claims::claim::End;
use crate::claims::claim::{Claim, Signal, State, begun_anew, is_lost};
use crate::claims::filter::Filter;
pub(crate) use crate::claims::grants::warn_of_grants;
use crate::claims::places::Claimed;
pub(crate) use crate::claims::places::Places;
use crate::owner;
use crate::parameters::Parameters;
use crate::supervisor::{ModuleHandle, refusal};

/// Where claims are served: below it the app's id, and the slot.
const PREFIX: &str = "/org/smartpos/Card/claim";
/// How long a claim lasts where its app does not say, and at most, in seconds.
const SECONDS: u32 = 60;
const MOST_SECONDS: u32 = 300;

/// What claims work with.
pub(crate) struct Tools {
    pub(crate) buses: Buses,
    pub(crate) module: ModuleHandle,
    pub(crate) emv: Parameters,
    pub(crate) places: Places,
}

/// The claims of this terminal; clones are the same ones.
#[derive(Clone)]
pub(crate) struct Claims {
    tools: Arc<Tools>,
    allowances: Allowances,
}

impl Claims {
    pub(crate) fn new(tools: Tools) -> Claims {
        Claims { tools: Arc::new(tools), allowances: Allowances::default() }
    }

    /// Each slot that is claimed, and the app that has it.
    pub(crate) fn list(&self) -> Vec<(String, String)> {
        self.tools.places.list()
    }

    /// Begins a claim of `slot` for `caller`, who came through `guard`, and returns its object.
    pub(crate) async fn claim(
        &self,
        guard: &Guard,
        caller: &Caller,
        slot: Slot,
        options: Dictionary,
    ) -> Result<OwnedObjectPath> {
        if !matches!(caller.identity, Identity::App(_)) {
            return Err(Error::NotPermitted("slots are claimed by apps, on the app bus".to_string()));
        }
        let Tools { buses, module: handle, emv, places } = self.tools.as_ref();
        if let CardSlot::Sam(number) = slot.0 {
            guard.authorize_sam(caller, number)?;
        }
        let limit = limit(options)?;
        let app = caller.identity.to_string();
        let allowance = self.allowances.of(&app);
        allowance.rested()?;
        let path = request::path(PREFIX, &app, &slot.name().parse::<Key>()?)?;
        let (line, told, signals) = claim::line(slot.first_state());
        let held = places.hold(Claimed { slot, app, line: line.clone() })?;
        let (module, session) = handle.ready()?;
        if let Err(error) = slot.find(module.as_ref()).await {
            if is_lost(&error) {
                begun_anew(&mut handle.watch(), session).await;
            }
            return Err(slot.missing(error));
        }
        let claim = Claim {
            slot: slot.0,
            module,
            filter: Filter::new(guard.card_applications(caller), &emv.in_force().applications),
            view: handle.watch(),
            session,
            limit,
            allowance,
            told,
        };

        let (guard, owner) = (guard.clone(), caller.name.clone());
        let object = ClaimObject { guard, owner, permission: slot.permission(), line: line.clone() };
        let server = buses.get(caller.bus).object_server();
        // The app's last claim stays until now, so that a late call is told that it is late.
        let _ = server.remove::<ClaimObject, _>(path.clone()).await;
        server.at(path.clone(), object).await?;
        let emitter = caller.emitter(buses, &path)?;
        log::info!("{} claims the slot {}", caller.identity, slot.name());
        let left = async move { line.end(End::OwnerGone) };
        tokio::spawn(owner::attend(buses.clone(), caller.clone(), emitter, signals, left));
        tokio::spawn(claim.run(held));
        Ok(path)
    }
}

/// A slot that can be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(CardSlot);

impl Slot {
    /// The slot that callers call `name`.
    pub(crate) fn named(name: &str) -> Result<Slot> {
        match name {
            "contact" => Ok(Slot(CardSlot::Contact)),
            "sam1" => Ok(Slot(CardSlot::Sam(1))),
            "sam2" => Ok(Slot(CardSlot::Sam(2))),
            "sam3" => Ok(Slot(CardSlot::Sam(3))),
            "sam4" => Ok(Slot(CardSlot::Sam(4))),
            "contactless" => Err(Error::NotSupported(
                "no driver of this terminal's card module reaches contactless cards; claim `contact`"
                    .to_string(),
            )),
            other => Err(Error::invalid(
                "slot",
                format!("`{other}` is no slot; they are contact and sam1 to sam4"),
            )),
        }
    }

    fn name(self) -> String {
        match self.0 {
            CardSlot::Sam(number) => format!("sam{number}"),
            _ => "contact".to_string(),
        }
    }

    /// What an app needs to claim it.
    pub(crate) fn permission(self) -> Permission {
        match self.0 {
            CardSlot::Sam(_) => Permission::CardSam,
            _ => Permission::CardNonpayment,
        }
    }

    /// Customers' cards come and go, PSAMs stay.
    fn first_state(self) -> State {
        match self.0 {
            CardSlot::Sam(_) => State::Present,
            _ => State::Waiting,
        }
    }

    /// Whether `module` has it, and, of a PSAM, a card in it.
    async fn find(self, module: &dyn SecureModule) -> secure_module::Result<()> {
        let CardSlot::Sam(number) = self.0 else { return Ok(()) };
        match module.sam_slots().await?.iter().find(|sam| sam.number == number) {
            Some(sam) if sam.present => Ok(()),
            Some(_) => Err(ModuleError::NoCard),
            None => Err(ModuleError::NotSupported),
        }
    }

    /// What is said to who claims it, when it is not found.
    fn missing(self, error: ModuleError) -> Error {
        match error {
            ModuleError::NoCard => Error::DeviceGone(format!("no PSAM is in the slot {}", self.name())),
            ModuleError::NotSupported => {
                Error::NotSupported(format!("the card module has no slot {}", self.name()))
            }
            error => refusal(error),
        }
    }
}

fn limit(options: Dictionary) -> Result<Duration> {
    let mut options = Options::new("options", options);
    let seconds = options.take::<u32>("timeout_s")?.unwrap_or(SECONDS);
    options.finish()?;
    if !(1..=MOST_SECONDS).contains(&seconds) {
        return Err(Error::invalid("options.timeout_s", format!("give 1 to {MOST_SECONDS} seconds")));
    }
    Ok(Duration::from_secs(seconds.into()))
}

impl owner::Signal for Signal {
    async fn emit(self, emitter: &SignalEmitter<'static>) -> zbus::Result<()> {
        match self {
            Signal::State(state) => ClaimObject::state_changed(emitter, &state.to_string()).await,
            Signal::Revoked(end) => ClaimObject::revoked(emitter, end.reason()).await,
        }
    }
}

#[cfg(test)]
mod tests;
