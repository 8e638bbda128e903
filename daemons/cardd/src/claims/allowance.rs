//! What one app may ask of cards, over all its claims: so many commands in a minute, and none for a while after one that the module could
//! only be freed from by beginning anew, with all that it does for others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service::{Error, Result};
use tokio::time::Instant;

/// Commands of one app in a minute, resets among them: what people do with cards takes a few hundred.
pub(super) const COMMANDS: u32 = 1_200;
const MINUTE: Duration = Duration::from_secs(60);
/// How long an app claims nothing after the module had to begin anew for it.
pub(super) const REST: Duration = Duration::from_secs(30);

/// The allowances of all apps; clones are the same ones. There are no more than the owner has listed apps.
#[derive(Clone, Default)]
pub(super) struct Allowances {
    apps: Arc<Mutex<HashMap<String, Allowance>>>,
}

impl Allowances {
    /// That of one app.
    pub(super) fn of(&self, app: &str) -> Allowance {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.entry(app.to_owned()).or_default().clone()
    }
}

/// The allowance of one app; clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Allowance {
    account: Arc<Mutex<Account>>,
}

#[derive(Default)]
struct Account {
    /// When the minute ends that goes on, and how many commands there were in it.
    minute: Option<Instant>,
    commands: u32,
    rests: Option<Instant>,
}

impl Allowance {
    /// Counts a command.
    ///
    /// # Errors
    /// [`Error::Throttled`] when there were too many in this minute.
    pub(super) fn spend(&self) -> Result<()> {
        let mut account = self.lock();
        let now = Instant::now();
        let minute = match account.minute {
            Some(end) if now < end => end,
            _ => {
                account.commands = 0;
                now + MINUTE
            }
        };
        account.minute = Some(minute);
        if account.commands >= COMMANDS {
            let wait = seconds(minute - now);
            let problem = format!("an app has {COMMANDS} commands a minute for cards; go on in {wait} s");
            return Err(Error::Throttled(problem));
        }
        account.commands += 1;
        Ok(())
    }

    /// A card took too long for a command of the app, and the module begins anew.
    pub(super) fn rest(&self) {
        self.lock().rests = Some(Instant::now() + REST);
    }

    /// Checks that the app may claim a slot.
    ///
    /// # Errors
    /// [`Error::Throttled`] for a while after a [rest](Self::rest) began.
    pub(super) fn rested(&self) -> Result<()> {
        match self.lock().rests.and_then(|end| end.checked_duration_since(Instant::now())) {
            Some(left) if !left.is_zero() => {
                let wait = seconds(left);
                let problem = format!(
                    "a card took too long for a command of this app, and the card module had to begin anew; claim a slot in {wait} s"
                );
                Err(Error::Throttled(problem))
            }
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole ones, and never none.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + 1
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_app_has_so_many_commands_a_minute_whatever_it_claims_and_another_app_has_its_own() {
        let all = Allowances::default();
        for _ in 0..COMMANDS {
            all.of("dev.example.shop").spend().unwrap();
        }
        let refused = all.of("dev.example.shop").spend();
        assert!(
            matches!(&refused, Err(Error::Throttled(problem)) if problem.contains("go on in 61 s")),
            "{refused:?}"
        );
        all.of("dev.example.other").spend().unwrap();
        advance(MINUTE).await;
        for _ in 0..COMMANDS {
            all.of("dev.example.shop").spend().unwrap();
        }
        assert!(all.of("dev.example.shop").spend().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_app_that_had_the_module_begin_anew_rests() {
        let all = Allowances::default();
        all.of("dev.example.shop").rest();
        assert!(matches!(all.of("dev.example.shop").rested(), Err(Error::Throttled(_))));
        assert!(all.of("dev.example.other").rested().is_ok());
        advance(REST).await;
        assert!(all.of("dev.example.shop").rested().is_ok());
    }
}
