//! EMV Book 3 clause 10.11: completion.

use tlv::tags;

use crate::kernel::{Kernel, Progress};
use crate::outcome::{Decision, Online, Reason};
use crate::scripts::Phase;

impl Kernel {
    /// The card has given its last cryptogram. From here on nothing changes the decision: scripts that fail, or a
    /// card that is pulled while they run, are only reported.
    pub(crate) fn complete(&mut self, card_approved: bool) -> Progress {
        if !card_approved && self.online == Online::Unreachable {
            self.data.set(tags::ARC, b"Z3");
        }
        self.conclude(match (card_approved, self.online) {
            (true, Online::Approved) => (Decision::Approved, Reason::ApprovedOnline),
            (true, _) => (Decision::Approved, Reason::ApprovedUnableToGoOnline),
            (false, Online::Approved) => (Decision::Declined, Reason::DeclinedByCardAfterApproval),
            (false, Online::Declined) => (Decision::Declined, Reason::DeclinedByIssuer),
            (false, Online::Unreachable) => (Decision::Declined, Reason::DeclinedUnableToGoOnline),
            // The first signature was wrong, and the host was not asked.
            (false, Online::NotTried) => (Decision::Declined, Reason::CombinedAuthenticationFailed),
        })
    }

    /// Book 4 clause 6.3.2.1: the signature over the last cryptogram is wrong.
    pub(crate) fn complete_forged(&mut self) -> Progress {
        if self.online == Online::Unreachable {
            self.data.set(tags::ARC, b"Z3");
        }
        self.conclude((Decision::Declined, Reason::CombinedAuthenticationFailed))
    }

    fn conclude(&mut self, verdict: (Decision, Reason)) -> Progress {
        self.verdict = Some(verdict);
        self.run_scripts(Phase::AfterSecondAc)
    }

    pub(crate) fn finish_completion(&mut self) -> Progress {
        let (decision, reason) = self.verdict.ok_or(Reason::UnexpectedEvent)?;
        self.end(decision, reason)
    }
}
