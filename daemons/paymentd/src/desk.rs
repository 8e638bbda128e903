//! The transactions in front of callers: what each object shows, who is told, and which are served.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qr::wallet::PaymentCode;
use service::bus::Buses;
use service::guard::Caller;
use service::options::Dictionary;
use service::{Error, Result, request};
use tokio::sync::watch;
use zbus::{OwnedObjectPath, Variant};

use crate::api::TransactionObject;
use crate::approval::Decision;
use crate::services::Class;
use crate::transaction::{Request, State, Transaction};

/// Followers of one transaction who are told of its steps.
const MAX_FOLLOWERS: usize = 4;
/// The step at which the customer chooses one of the card's applications.
pub(crate) const CHOOSE_APPLICATION: &str = "choose-application";
/// Ended transactions that stay on the buses; older ones come back when they are asked for.
const SERVED: usize = 32;

/// The transactions that are on the buses; clones are the same desk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<VecDeque<Ticket>>>);

impl Desk {
    fn tickets(&self) -> MutexGuard<'_, VecDeque<Ticket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The transaction with this number in the journal.
    pub(crate) fn find(&self, id: i64) -> Option<Ticket> {
        self.tickets().iter().find(|ticket| ticket.transaction().id == id).cloned()
    }

    /// Whether a transaction runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.tickets().iter().any(|ticket| !ticket.is_final() && !ticket.view().resting)
    }

    /// Puts `ticket` on the desk, and returns the ended one that has to leave for it.
    pub(crate) fn put(&self, ticket: Ticket) -> Option<Ticket> {
        let mut tickets = self.tickets();
        tickets.push_back(ticket);
        let leaves = tickets.iter().position(Ticket::is_final).filter(|_| tickets.len() > SERVED)?;
        tickets.remove(leaves)
    }
}

/// One transaction in front of its callers; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    buses: Buses,
    path: OwnedObjectPath,
    view: Mutex<View>,
    cancel: watch::Sender<Option<&'static str>>,
    decision: watch::Sender<Option<Decision>>,
    choice: watch::Sender<Choice>,
    ended: watch::Sender<bool>,
}

/// Which of the card's applications the customer wants.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    /// None is to be chosen.
    None,
    /// One of these is.
    Among(Vec<String>),
    /// This one was.
    Chosen(u32),
}

#[derive(Debug)]
struct View {
    transaction: Transaction,
    progress: String,
    followers: Vec<Caller>,
    /// Whether it waits for an answer while others go on.
    resting: bool,
    /// What the customer showed to pay, until it is used.
    code: Option<PaymentCode>,
    /// What the customer is to scan; empty where there is nothing.
    shown: String,
}

impl Ticket {
    /// Shows `transaction` at its path; nobody follows it yet.
    pub(crate) fn new(buses: &Buses, transaction: Transaction) -> Result<Ticket> {
        let Request { owner, key, .. } = &transaction.request;
        let path = request::path("/org/smartpos/Payment/transaction", owner, key)?;
        let (cancel, _) = watch::channel(None);
        let (decision, _) = watch::channel(None);
        let (choice, _) = watch::channel(Choice::None);
        let (ended, _) = watch::channel(transaction.state == State::Final);
        let view = View {
            transaction,
            progress: String::new(),
            followers: Vec::new(),
            resting: false,
            code: None,
            shown: String::new(),
        };
        let view = Mutex::new(view);
        let shared = Shared { buses: buses.clone(), path, view, cancel, decision, choice, ended };
        Ok(Ticket { shared: Arc::new(shared) })
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.shared.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn path(&self) -> &OwnedObjectPath {
        &self.shared.path
    }

    /// The transaction as it stands.
    pub(crate) fn transaction(&self) -> Transaction {
        self.view().transaction.clone()
    }

    /// What it waits for.
    pub(crate) fn current_progress(&self) -> String {
        self.view().progress.clone()
    }

    /// A payment by code can also be cancelled at the gateway, as long as it is not known to be paid.
    pub(crate) fn cancellable(&self) -> bool {
        let view = self.view();
        let by_code = view.transaction.service().class() == Class::Code;
        match view.transaction.state {
            State::Created | State::Approval => true,
            State::Authorizing => by_code,
            State::Answered | State::Final => false,
        }
    }

    /// Keeps what the customer showed to pay, in memory alone.
    pub(crate) fn keep_code(&self, code: PaymentCode) {
        self.view().code = Some(code);
    }

    /// What the customer showed to pay, once.
    pub(crate) fn take_code(&self) -> Option<PaymentCode> {
        self.view().code.take()
    }

    /// The text of the QR code that the customer is to scan; empty where there is none.
    pub(crate) fn shown_code(&self) -> String {
        self.view().shown.clone()
    }

    /// Shows a QR code's text for the customer to scan; `valid_until` is in milliseconds since 1970.
    pub(crate) async fn show_code(&self, code: String, valid_until: i64) {
        self.view().shown.clone_from(&code);
        let details = [("code", Variant::from(code)), ("valid_until", valid_until.into())];
        let owned = details
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_string(), value.try_into_owned().ok()?)));
        self.progress("show-code", owned.collect()).await;
    }

    /// From now on it waits for its answer while others go on.
    pub(crate) fn rest(&self) {
        self.view().resting = true;
    }

    pub(crate) fn is_final(&self) -> bool {
        self.view().transaction.state == State::Final
    }

    /// Waits until it is final.
    pub(crate) async fn ended(&self) {
        let mut ended = self.shared.ended.subscribe();
        // The sender lives as long as this ticket.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// From now on `caller` is told of each step; whether that is new. The first to follow is the one who asked, and stays.
    pub(crate) fn follow(&self, caller: Caller) -> bool {
        let mut view = self.view();
        if view.followers.contains(&caller) {
            return false;
        }
        if view.followers.len() >= MAX_FOLLOWERS {
            view.followers.remove(1);
        }
        view.followers.push(caller);
        true
    }

    /// Forgets a caller that left. A ticket that nobody follows any more, and that nobody was asked for yet, is called off.
    pub(crate) fn left(&self, caller: &Caller) {
        let alone = {
            let mut view = self.view();
            view.followers.retain(|follower| follower != caller);
            view.followers.is_empty() && view.transaction.state == State::Created
        };
        if alone {
            self.cancel("the app that asked for it went away");
        }
    }

    /// Asks to call the ticket off; it stops if it is not past its point of no return.
    pub(crate) fn cancel(&self, why: &'static str) {
        self.shared.cancel.send_if_modified(|reason| {
            let first = reason.is_none();
            if first {
                *reason = Some(why);
            }
            first
        });
    }

    /// Waits until somebody calls the ticket off.
    pub(crate) async fn cancelled(&self) {
        let mut asked = self.shared.cancel.subscribe();
        // The sender lives as long as this ticket.
        let _ = asked.wait_for(Option::is_some).await;
    }

    /// Whether somebody has called the ticket off.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.shared.cancel.borrow().is_some()
    }

    pub(crate) fn why_cancelled(&self) -> &'static str {
        self.shared.cancel.borrow().unwrap_or("called off")
    }

    /// Shows the card's applications, called `names`: the customer chooses one.
    pub(crate) async fn offer(&self, names: Vec<String>, details: Dictionary) {
        self.shared.choice.send_replace(Choice::Among(names));
        self.progress(CHOOSE_APPLICATION, details).await;
    }

    /// The names that the customer chooses from; none where nothing is to be chosen.
    pub(crate) fn applications(&self) -> Vec<String> {
        match &*self.shared.choice.borrow() {
            Choice::Among(names) if self.current_progress() == CHOOSE_APPLICATION => names.clone(),
            _ => Vec::new(),
        }
    }

    /// Takes the customer's choice, if it waits for one.
    pub(crate) fn choose(&self, index: u32) -> Result<()> {
        let not_now = || {
            let problem = "no application of the card is to be chosen; wait for `choose-application`";
            Error::WrongState(problem.to_string())
        };
        // The card's side may have gone on, or ended, without a choice.
        if self.current_progress() != CHOOSE_APPLICATION {
            return Err(not_now());
        }
        let mut refused = Ok(());
        let chosen = usize::try_from(index).unwrap_or(usize::MAX);
        self.shared.choice.send_if_modified(|choice| match choice {
            Choice::Among(names) if chosen < names.len() => {
                *choice = Choice::Chosen(index);
                true
            }
            Choice::Among(names) => {
                let problem = format!("{index} is none of the {} applications; the first is 0", names.len());
                refused = Err(Error::invalid("index", problem));
                false
            }
            Choice::None | Choice::Chosen(_) => {
                refused = Err(not_now());
                false
            }
        });
        refused
    }

    /// Waits for the customer's choice, and forgets it. Nothing is lost if it is not waited for to the end.
    pub(crate) async fn chosen(&self) -> u32 {
        let mut choice = self.shared.choice.subscribe();
        loop {
            let chosen = match *choice.borrow_and_update() {
                Choice::Chosen(index) => Some(index),
                Choice::None | Choice::Among(_) => None,
            };
            if let Some(index) = chosen {
                self.shared.choice.send_replace(Choice::None);
                return index;
            }
            // The sender lives as long as this ticket.
            let _ = choice.changed().await;
        }
    }

    /// Forgets what a supervisor decided of another limit.
    pub(crate) fn ask_again(&self) {
        self.shared.decision.send_replace(None);
    }

    /// Takes a supervisor's decision, if it waits for one and none was taken: whether it was.
    pub(crate) fn decide(&self, decision: Decision) -> bool {
        self.view().transaction.state == State::Approval
            && self.shared.decision.send_if_modified(|taken| {
                let first = taken.is_none();
                if first {
                    *taken = Some(decision);
                }
                first
            })
    }

    /// Waits for a supervisor's decision.
    pub(crate) async fn decided(&self) -> Option<Decision> {
        let mut decided = self.shared.decision.subscribe();
        decided.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Shows a step to all followers.
    pub(crate) async fn progress(&self, step: &str, details: Dictionary) {
        let (state, followers) = {
            let mut view = self.view();
            view.progress = step.to_string();
            (view.transaction.state, view.followers.clone())
        };
        for follower in followers {
            let Ok(emitter) = follower.emitter(&self.shared.buses, self.path()) else { continue };
            let copy = details.iter().filter_map(|(key, value)| Some((key.clone(), value.try_clone().ok()?)));
            let told = TransactionObject::state_changed(&emitter, state.as_str(), step, copy.collect()).await;
            if let Err(error) = told {
                log::warn!("{} can't be told: {error}", follower.identity);
            }
        }
    }

    /// Shows what the journal now holds; tells the end, once.
    pub(crate) async fn update(&self, transaction: Transaction) {
        let ended = {
            let mut view = self.view();
            let ended = view.transaction.state != State::Final && transaction.state == State::Final;
            view.transaction = transaction;
            if ended {
                view.progress = String::new();
                view.shown = String::new();
            }
            ended
        };
        if ended {
            self.shared.ended.send_replace(true);
            self.tell_end().await;
        }
    }

    /// Tells all followers how it ended.
    pub(crate) async fn tell_end(&self) {
        let (transaction, followers) = {
            let view = self.view();
            (view.transaction.clone(), view.followers.clone())
        };
        let outcome = transaction.outcome.map(|outcome| outcome.as_str()).unwrap_or_default();
        for follower in followers {
            let Ok(emitter) = follower.emitter(&self.shared.buses, self.path()) else { continue };
            if let Err(error) =
                TransactionObject::completed(&emitter, outcome, transaction.to_dictionary()).await
            {
                log::warn!("{} can't be told: {error}", follower.identity);
            }
        }
    }
}
