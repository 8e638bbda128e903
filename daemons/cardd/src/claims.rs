//! Claims: an app has a card slot to itself for a while, and talks to applications that pay nothing (UnifiedPOS 1.16, "Exclusive
//! use"; PC/SC part 5).
//!
//! A payment outranks a claim: it has the claim ended, waits until the card has lost its power, and then begins as if there had been
//! none. No claim begins while a transaction has the slot.

mod api;
mod claim;
mod filter;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secure_module::CardSlot;
use service::bus::{Buses, vanished};
use service::guard::{Caller, Guard, Identity};
use service::options::{Dictionary, Options};
use service::request::{self, Key};
use service::{Error, Result};
use tokio::sync::OwnedMutexGuard;
use zbus::OwnedObjectPath;

use crate::claims::api::ClaimObject;
pub(crate) use crate::claims::claim::End;
use crate::claims::claim::{Claim, Line};
use crate::claims::filter::Filter;
use crate::parameters::Parameters;
use crate::supervisor::ModuleHandle;
use crate::transaction::Place;

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
    /// The slot with contacts, which transactions have, too.
    pub(crate) place: Arc<tokio::sync::Mutex<Place>>,
}

/// All claims of this terminal; clones are the same ones.
#[derive(Clone)]
pub(crate) struct Claims {
    shared: Arc<Shared>,
}

struct Shared {
    tools: Tools,
    current: Mutex<Option<Current>>,
}

/// The claim that has the slot.
struct Current {
    app: String,
    line: Line,
}

impl Claims {
    pub(crate) fn new(tools: Tools) -> Claims {
        Claims { shared: Arc::new(Shared { tools, current: Mutex::default() }) }
    }

    /// Begins a claim of the slot `name` for `caller`, who came through `guard`, and returns its object.
    pub(crate) async fn claim(
        &self,
        guard: &Guard,
        caller: &Caller,
        name: &str,
        options: Dictionary,
    ) -> Result<OwnedObjectPath> {
        if !matches!(caller.identity, Identity::App(_)) {
            return Err(Error::NotPermitted("slots are claimed by apps, on the app bus".to_string()));
        }
        let Tools { buses, module, emv, .. } = &self.shared.tools;
        let (slot, limit) = (slot(name)?, limit(options)?);
        let path = request::path(PREFIX, &caller.identity.to_string(), &name.parse::<Key>()?)?;
        let (line, told) = claim::line();
        let held = self.hold(Current { app: caller.identity.to_string(), line: line.clone() })?;
        let (module_now, session) = module.ready()?;
        let claim = Claim {
            slot,
            module: module_now,
            filter: Filter::new(guard.card_applications(caller), &emv.in_force().applications),
            view: module.watch(),
            session,
            limit,
            told,
        };

        let object = ClaimObject { guard: guard.clone(), owner: caller.name.clone(), line: line.clone() };
        let server = buses.get(caller.bus).object_server();
        // The app's last claim stays until now, so that a late call is told that it is late.
        let _ = server.remove::<ClaimObject, _>(path.clone()).await;
        server.at(path.clone(), object).await?;
        let emitter = caller.emitter(buses, &path)?;
        log::info!("{} claims the slot {name}", caller.identity);
        tokio::spawn(end_with_owner(buses.clone(), caller.clone(), line));
        tokio::spawn(claim.run(held, emitter));
        Ok(path)
    }

    /// Who has claimed which slot.
    pub(crate) fn list(&self) -> Vec<(String, String)> {
        self.lock().iter().map(|current| (CONTACT.to_string(), current.app.clone())).collect()
    }

    /// Ends the claim that has the slot with contacts, because of `end`, and returns the slot when it is free; none where no claim has it.
    pub(crate) async fn make_way(&self, end: End) -> Option<OwnedMutexGuard<Place>> {
        // Taken, so that a second payment does not wait for the first.
        let current = self.lock().take()?;
        current.line.end(end);
        // Who waits is served in turn: no other claim comes in between.
        Some(Arc::clone(&self.shared.tools.place).lock_owned().await)
    }

    fn hold(&self, claim: Current) -> Result<Held> {
        let place = Arc::clone(&self.shared.tools.place).try_lock_owned();
        let place = place.map_err(|_| {
            Error::Busy(
                "the slot is in use, by a payment or another claim; try again when it has ended".to_string(),
            )
        })?;
        *self.lock() = Some(claim);
        Ok(Held { claims: self.clone(), _place: place })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.shared.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot in the hands of a claim, until it is dropped.
struct Held {
    claims: Claims,
    _place: OwnedMutexGuard<Place>,
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.claims.lock() = None;
    }
}

const CONTACT: &str = "contact";

fn slot(name: &str) -> Result<CardSlot> {
    match name {
        CONTACT => Ok(CardSlot::Contact),
        "contactless" => Err(Error::NotSupported(
            "no driver of this terminal's card module reaches contactless cards; claim `contact`".to_string(),
        )),
        other => Err(Error::invalid("slot", format!("`{other}` is no slot; there is contact"))),
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

/// Ends a claim when its app leaves the bus.
async fn end_with_owner(buses: Buses, owner: Caller, line: Line) {
    tokio::select! {
        gone = vanished(buses.get(owner.bus), owner.name.clone()) => match gone {
            Ok(()) => line.end(End::OwnerGone),
            Err(error) => log::warn!("{} can't be watched: {error}", owner.name),
        },
        () = line.ended() => {}
    }
}
