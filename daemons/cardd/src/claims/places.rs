//! Who works with cards: a transaction, or claims. A transaction takes the place from claims, never the other way round.

use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use service::{Error, Result};
use tokio::sync::OwnedMutexGuard;

use crate::claims::Slot;
use crate::claims::claim::{End, Line};
use crate::transaction::Place;

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
    holding: Arc<Mutex<Holding>>,
}

#[derive(Default)]
struct Holding {
    claims: Vec<Claimed>,
    /// What all claims share; none while no claim has the place, or when a transaction waits for it.
    place: Weak<OwnedMutexGuard<Place>>,
}

impl Places {
    /// The place for a transaction, which has all claims ended; none while another transaction has it.
    ///
    /// It waits for the claims' cards to lose their power.
    pub(crate) async fn take(&self, end: End) -> Option<OwnedMutexGuard<Place>> {
        if let Ok(place) = Arc::clone(&self.place).try_lock_owned() {
            return Some(place);
        }
        // Taken, so that a second transaction does not wait for the first.
        let claims = take(&mut *self.lock()).claims;
        if claims.is_empty() {
            return None;
        }
        claims.iter().for_each(|claim| claim.line.end(end));
        // Who waits is served in turn: no other claim comes in between.
        Some(Arc::clone(&self.place).lock_owned().await)
    }

    /// Begins to hold a slot for a claim.
    ///
    /// # Errors
    /// [`Error::Busy`] while a transaction has the place, or another claim the slot.
    pub(super) fn hold(&self, claim: Claimed) -> Result<Held> {
        let busy = || {
            let problem = "the slot is in use, by a payment or another claim; try again when it has ended";
            Error::Busy(problem.to_string())
        };
        let mut holding = self.lock();
        if holding.claims.iter().any(|other| other.slot == claim.slot) {
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
