//! Who works with cards: a transaction, or claims. A transaction takes the place from claims, never the other way round.

use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use service::{Error, Result};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout};

use crate::claims::Slot;
use crate::claims::claim::{End, Line};
use crate::transaction::Place;

/// How long claims may take to give the place back, less than whoever starts a payment waits for an answer: a transaction that began
/// later would be nobody's.
const YIELDING: Duration = Duration::from_secs(15);

/// How long no claim begins after one has given way: the host, or the operator, asks for more than one thing.
const GIVING_WAY: Duration = Duration::from_secs(2);

/// A slot that is claimed, by whom, and the way to the claim.
pub(super) struct Claimed {
    pub(super) slot: Slot,
    pub(super) app: String,
    pub(super) line: Line,
}

/// The one place, and the claims that share it; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Places {
    place: Arc<tokio::sync::Mutex<Place>>,
    /// One claim's card is talked to at a time, so that none waits on the module's line for the others.
    turn: Arc<tokio::sync::Mutex<()>>,
    holding: Arc<Mutex<Holding>>,
}

#[derive(Default)]
struct Holding {
    claims: Vec<Claimed>,
    /// What all claims share; none while no claim has the place, or when a transaction waits for it.
    place: Weak<OwnedMutexGuard<Place>>,
    /// Until when no claim begins.
    gives_way: Option<Instant>,
}

impl Holding {
    fn give_way(&mut self, end: End) {
        self.gives_way = Some(Instant::now() + GIVING_WAY);
        self.claims.iter().for_each(|claim| claim.line.end(end));
    }
}

impl Places {
    /// The place for a transaction, which has all claims ended. It waits for the claims' cards to lose their power.
    ///
    /// # Errors
    /// [`Error::Busy`] while another transaction, or an update, has it, [`Error::Timeout`] when a claim does not give it back in 15 s.
    pub(crate) async fn take(&self, end: End) -> Result<OwnedMutexGuard<Place>> {
        // From here on it is the place itself that keeps claims away.
        self.lock().gives_way = None;
        if let Ok(place) = Arc::clone(&self.place).try_lock_owned() {
            return Ok(place);
        }
        // Taken, so that a second transaction does not wait for the first.
        let claims = take(&mut *self.lock()).claims;
        if claims.is_empty() {
            let problem =
                "a card transaction or an update of the card module is running; begin when it has ended";
            return Err(Error::Busy(problem.to_string()));
        }
        claims.iter().for_each(|claim| claim.line.end(end));
        // Who waits is served in turn: no other claim comes in between.
        timeout(YIELDING, Arc::clone(&self.place).lock_owned()).await.map_err(|_| {
            let problem = "an app's card does not let go of the card module; try again in a moment";
            Error::Timeout(problem.to_string())
        })
    }

    /// Has all claims ended for what is to be done without a card, and none begin for a while where there were any: the module does one
    /// thing at a time.
    pub(crate) fn give_way(&self, end: End) {
        let mut holding = self.lock();
        if !holding.claims.is_empty() || holding.gives_way.is_some_and(|until| Instant::now() < until) {
            holding.give_way(end);
        }
    }

    /// Has all claims ended, and none begin for a while even where there were none.
    pub(crate) fn reserve(&self, end: End) {
        self.lock().give_way(end);
    }

    /// Begins to hold a slot for a claim.
    ///
    /// # Errors
    /// [`Error::Busy`] while a transaction has the place, or another claim the slot, and after claims [gave way](Self::give_way).
    pub(super) fn hold(&self, claim: Claimed) -> Result<Held> {
        let busy = || {
            let problem = "the slot is in use, by a payment or another claim; try again when it has ended";
            Error::Busy(problem.to_string())
        };
        let mut holding = self.lock();
        let gives_way = holding.gives_way.is_some_and(|until| Instant::now() < until);
        if gives_way || holding.claims.iter().any(|other| other.slot == claim.slot) {
            return Err(busy());
        }
        let place = match holding.place.upgrade() {
            Some(place) => place,
            None => Arc::new(Arc::clone(&self.place).try_lock_owned().map_err(|_| busy())?),
        };
        holding.place = Arc::downgrade(&place);
        let slot = claim.slot;
        holding.claims.push(claim);
        drop(holding);
        Ok(Held { places: self.clone(), slot, _place: place })
    }

    /// Each slot that is claimed, and the app that has it.
    pub(super) fn list(&self) -> Vec<(String, String)> {
        self.lock().claims.iter().map(|claim| (claim.slot.name(), claim.app.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Holding> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The turn to talk to a card.
    pub(super) fn turn(&self) -> impl Future<Output = OwnedMutexGuard<()>> + use<> {
        Arc::clone(&self.places.turn).lock_owned()
    }
}

/// A slot in the hands of a claim, until it is dropped.
pub(super) struct Held {
    places: Places,
    slot: Slot,
    _place: Arc<OwnedMutexGuard<Place>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.places.lock().claims.retain(|claim| claim.slot != self.slot);
    }
}
