//! A card that is read and not asked to decide: Book 1 clause 12 (selection), Book 3 clauses 10.1 and 10.2, and then the
//! host. UnionPay calls it the simplified flow; what follows up an earlier transaction (a void, a refund, a completion)
//! needs the account and no cryptogram.
//!
//! No risk is managed, nothing is authenticated offline, and the card's own CVM list is not asked: whether the cardholder
//! enters a PIN is the caller's to say. An expired card is read like any other, since its account may still get money back.

use crate::cvm::{method, result};
use crate::findings::Finding;
use crate::kernel::{Kernel, PinResult, Progress, Wait};
use crate::outcome::{Cvm, Decision, Online, Reason};

/// Annex C3, CVM condition code: always.
const ALWAYS: u8 = 0x00;

impl Kernel {
    /// The card's data have been read; `pin` is whether a PIN is asked for.
    pub(crate) fn identify(&mut self, pin: bool) -> Progress {
        Ok(if pin { Wait::Pin } else { Wait::Host })
    }

    pub(crate) fn take_pin_of_identified(&mut self, pin: PinResult) -> Progress {
        match pin {
            PinResult::Entered => {
                self.verification.set(Cvm::OnlinePin);
                self.set_cvm_results(method::ONLINE_PIN, ALWAYS, result::UNKNOWN);
                Ok(Wait::Host)
            }
            PinResult::Bypassed => Ok(Wait::Host),
            // There are no terminal verification results that could tell the host.
            PinResult::PinPadBroken => Err(Reason::PinPadBroken),
            PinResult::Cancelled => Err(Reason::Cancelled),
            PinResult::TimedOut => Err(Reason::PinTimedOut),
        }
    }

    /// The host has the only word; `None` if it could not be reached.
    pub(crate) fn end_identified(&mut self, approved: Option<bool>) -> Progress {
        let (online, decision, reason) = match approved {
            Some(true) => (Online::Approved, Decision::Approved, Reason::ApprovedOnline),
            Some(false) => (Online::Declined, Decision::Declined, Reason::DeclinedByIssuer),
            None => (Online::Unreachable, Decision::Declined, Reason::DeclinedUnableToGoOnline),
        };
        self.online = online;
        self.note(Finding::Online(online));
        self.end(decision, reason)
    }
}
