//! Calls that block in threads of their own, and their end: whoever is done with the device ends those that wait, and those that were just
//! about to.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a cancelled call may take to return before it is cancelled again: it may have begun to wait only afterwards.
const AGAIN: Duration = Duration::from_millis(5);
/// How often a call is cancelled. One that outlives this is not ended by cancelling.
const ATTEMPTS: u32 = 200;

/// The calls of one device.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ended: bool,
    /// How many have begun and not returned.
    running: usize,
}

impl Calls {
    /// Makes a call; none once they were [ended](Self::end).
    pub(crate) fn make<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        {
            let mut state = self.lock();
            if state.ended {
                return None;
            }
            state.running += 1;
        }
        // From here until it really waits nothing can cancel the call.
        let outcome = call();
        self.lock().running -= 1;
        self.returned.notify_all();
        Some(outcome)
    }

    /// Lets no further call begin, and has `cancel` end those that wait, until all have returned. `cancel` is called at least once. Whether all have.
    pub(crate) fn end(&self, cancel: impl Fn()) -> bool {
        self.lock().ended = true;
        for _ in 0..ATTEMPTS {
            cancel();
            let wait = self.returned.wait_timeout_while(self.lock(), AGAIN, |state| state.running > 0);
            if wait.unwrap_or_else(PoisonError::into_inner).0.running == 0 {
                return true;
            }
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// A transfer that waits until it is cancelled. Cancelling ends those alone that wait already.
    #[derive(Default)]
    struct Line {
        waiting: Mutex<usize>,
        cancelled: Condvar,
    }

    impl Line {
        fn wait(&self) {
            let mut waiting = self.waiting.lock().unwrap();
            *waiting += 1;
            while *waiting > 0 {
                waiting = self.cancelled.wait(waiting).unwrap();
            }
        }

        fn cancel(&self) -> bool {
            let mut waiting = self.waiting.lock().unwrap();
            self.cancelled.notify_all();
            std::mem::take(&mut *waiting) > 0
        }
    }

    fn in_thread(act: impl FnOnce() + Send + 'static) -> Receiver<()> {
        let (done, told) = channel();
        thread::spawn(move || {
            act();
            done.send(()).unwrap();
        });
        told
    }

    #[test]
    fn a_call_that_begins_to_wait_only_after_the_first_cancellation_ends_too() {
        let (calls, line) = (Arc::new(Calls::default()), Arc::new(Line::default()));
        let (about, on_its_way) = channel();
        let (go_on, gate) = channel();
        let call = in_thread({
            let (calls, line) = (Arc::clone(&calls), Arc::clone(&line));
            move || {
                let made = calls.make(|| {
                    about.send(()).unwrap();
                    gate.recv().unwrap();
                    line.wait();
                });
                assert_eq!(made, Some(()));
            }
        });
        on_its_way.recv_timeout(LIMIT).unwrap();
        let cancellations = Mutex::new(0);
        let ended = calls.end(|| {
            let ended_any = line.cancel();
            let mut count = cancellations.lock().unwrap();
            *count += 1;
            if *count == 1 {
                assert!(!ended_any, "it did not wait yet");
                go_on.send(()).unwrap();
            }
        });
        assert!(ended && *cancellations.lock().unwrap() > 1);
        call.recv_timeout(LIMIT).unwrap();
        assert_eq!(calls.make(|| ()), None, "no call begins afterwards");
    }

    #[test]
    fn calls_that_return_by_themselves_are_not_waited_for() {
        let calls = Calls::default();
        assert_eq!(calls.make(|| 7), Some(7));
        assert!(calls.end(|| ()));
    }

    #[test]
    fn a_call_that_nothing_ends_holds_up_the_end_for_a_while_only() {
        let calls = Arc::new(Calls::default());
        let (go_on, gate) = channel::<()>();
        let (about, on_its_way) = channel();
        let call = in_thread({
            let calls = Arc::clone(&calls);
            move || {
                calls.make(|| {
                    about.send(()).unwrap();
                    gate.recv().unwrap();
                });
            }
        });
        on_its_way.recv_timeout(LIMIT).unwrap();
        assert!(!calls.end(|| ()));
        go_on.send(()).unwrap();
        call.recv_timeout(LIMIT).unwrap();
    }
}
