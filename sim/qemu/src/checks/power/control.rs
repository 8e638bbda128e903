//! The control: would the cuts show it, if the journal were not synced? paymentd stays as it is, and what its fsyncs do is taken
//! away: its folder is laid over itself with overlayfs, whose option `volatile` leaves out all syncs to the folder below.
//! The rest of the system keeps its own, so that it boots again, and what is found is the journal's loss alone.

use super::super::Checks;
use super::Moment;
use crate::error::Result;

/// One cut may by chance come after the kernel wrote all by itself.
const TRIES: u64 = 3;

/// Until the next boot. What overlayfs needs for itself is new each time, because it refuses to use it after a crash.
const WITHOUT_FSYNC: &str = "set -e; systemctl stop smartpos-paymentd; state=/var/lib/smartpos/paymentd; \
    own=$(mktemp -d /var/lib/smartpos/control.XXXXXX); mkdir $own/lower $own/work; \
    mount -t overlay overlay -o volatile,lowerdir=$own/lower,upperdir=$state,workdir=$own/work $state; \
    systemctl start smartpos-paymentd";

impl Checks {
    /// Cuts the power as soon as an app was told of its sale, with a journal that is not synced: a loss must be found.
    pub(super) async fn cuts_would_catch_a_missing_fsync(&mut self) -> Result {
        let mut found = Vec::new();
        for seed in 1..=TRIES {
            self.machine.agent.output(WITHOUT_FSYNC).await?;
            let cut = self.cut(seed, Moment::Told).await?;
            self.machine.power_on().await?;
            let (_, problems) = self.aftermath(&cut).await?;
            if !problems.is_empty() {
                found = problems;
                break;
            }
        }
        let what = match found.first() {
            Some(problem) => format!("without fsync a cut is caught: {problem}"),
            None => "without fsync a cut is caught".to_owned(),
        };
        self.check(&what, !found.is_empty(), &format!("nothing, in {TRIES} cuts"));
        Ok(())
    }
}
