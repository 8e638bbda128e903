//! EMV Book 3 clause 10.11: completion.

use crate::kernel::{Kernel, Progress};
use crate::outcome::{Decision, Online, Reason};
use crate::scripts::Phase;

impl Kernel {
    /// The card has given its last cryptogram. From here on nothing changes the decision: scripts that fail, or a
    /// card that is pulled while they run, are only reported.
    pub(crate) fn complete(&mut self, card_approved: bool) -> Progress {
        self.verdict = Some(match (card_approved, self.online) {
            (true, Online::Approved) => (Decision::Approved, Reason::ApprovedOnline),
            (true, _) => (Decision::Approved, Reason::ApprovedUnableToGoOnline),
            (false, Online::Approved) => (Decision::Declined, Reason::DeclinedByCardAfterApproval),
            (false, Online::Declined) => (Decision::Declined, Reason::DeclinedByIssuer),
            (false, _) => (Decision::Declined, Reason::DeclinedUnableToGoOnline),
        });
        self.run_scripts(Phase::AfterSecondAc)
    }

    pub(crate) fn finish_completion(&mut self) -> Progress {
        let (decision, reason) = self.verdict.ok_or(Reason::UnexpectedEvent)?;
        self.end(decision, reason)
    }
}
