//! `org.smartpos.Transaction1`: one transaction, on one bus.

use service::bus::Buses;
use service::grants::Permission;
use service::guard::{Admitted, Caller, Guard, Identity};
use service::options::Dictionary;
use service::{Error, Result};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{fdo, interface};

use crate::approval::Decision;
use crate::desk::Ticket;

/// Characters of the reason for a denial.
const MAX_REASON: usize = 64;

/// One transaction, on one bus.
pub(crate) struct TransactionObject {
    pub(crate) guard: Guard,
    pub(crate) ticket: Ticket,
}

/// One transaction. Only its owner and the operator see it.
#[interface(name = "org.smartpos.Transaction1")]
impl TransactionObject {
    /// Asks to call the transaction off; `Completed` tells whether that came in time.
    ///
    /// Errors: NotPermitted, WrongState when it has ended already.
    async fn cancel(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let permission = self.ticket.transaction().service().permission();
        let admitted = self.guard.admit(&header, permission).await?;
        self.check_owner(&admitted.caller)?;
        if self.ticket.is_final() {
            return Err(Error::WrongState("the transaction has ended; GetResult tells how".to_string()));
        }
        self.ticket.cancel("called off by the app");
        Ok(())
    }

    /// Goes on with the application `index`, from 0, of those that the progress `choose-application` had (`applications` as), as the
    /// customer chose.
    ///
    /// Errors: NotPermitted, InvalidArgument, WrongState where none is to be chosen, or one was chosen already.
    async fn choose_application(&self, index: u32, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let permission = self.ticket.transaction().service().permission();
        let admitted = self.guard.admit(&header, permission).await?;
        self.check_owner(&admitted.caller)?;
        self.ticket.choose(index)
    }

    /// Approves, as a supervisor, a transaction that is over a limit and waits for it (`approval`): it goes on. The journal and
    /// the receipt say who did. For operators alone: no app can be granted it.
    ///
    /// Errors: NotPermitted (`payment.approve`), WrongState where it does not wait, or no longer.
    async fn approve(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let admitted = self.admit_supervisor(&header).await?;
        self.decide(Decision::Approved { by: self.guard.operator_name(&admitted.caller) })
    }

    /// Denies it, which ends it as declined. `reason` is for a person: up to 64 printable characters, or none.
    ///
    /// Errors: as of Approve; InvalidArgument.
    async fn deny(&self, reason: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let admitted = self.admit_supervisor(&header).await?;
        if reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
            return Err(Error::invalid("reason", format!("give up to {MAX_REASON} printable characters")));
        }
        let (by, reason) = (self.guard.operator_name(&admitted.caller), reason.to_string());
        self.decide(Decision::Denied { by, reason })
    }

    /// All that is known of the transaction.
    ///
    /// `type` s (the service: `sale`, `void`, `offline-void`, `completion-void`, `refund`, `tip-adjustment`, `preauthorisation`,
    /// `increment`, `preauthorisation-cancel`, `completion`, `balance`, `cash`, `settlement`, `code-payment`, `merchant-code`,
    /// `code-void`, `code-refund`), `key` s, `owner` s, `amount` t, `currency` s, `state` s, `host` s, `created` x; and as they
    /// become known `outcome` s (`approved`, `declined`, `cancelled`, `failed`, `reversed`), `finished` x, `over_limit` s and
    /// `approver` s (the limit that it is over, and the supervisor who approved it nevertheless), `reason` s, `reversal` s
    /// (`pending`, `acknowledged`, and `rest-kept` where the QR gateway can't give all of it back), of a sale that was approved
    /// offline `advice` s (`stored`, `sent`, `acknowledged`, `refused`, `withdrawn` by a void), where the issuer had the card run
    /// scripts `script` s (whether the host was told the results: `pending`, `acknowledged`, `refused`) and `script_data` s (DE 55,
    /// in hex), `stan` s, `batch` s, `original` s (its key), `original_stan` s, `original_batch` s, `masked_pan` s, `response_code`
    /// s, `approval` s, `reference` s, `tip` t, `instalments` u, `order` s, `operator` s, `balance` x, what the card said
    /// (`entry_mode`, `aid`, `label`, `cvm`, `tvr`, `tsi`, `cryptogram`), `receipt_job` s; of a settlement `debit_count` u,
    /// `debit_amount` t, `credit_count` u, `credit_amount` t, the same four with `code_` before them, `balanced` b, `uploaded` u
    /// (how many transactions the host took, where its sums were others), `certificates` u and `certificates_refused` u (how many
    /// cards' certificates it took, and how many not); of a payment by code, and what undoes one, `wallet` s, `code` s (masked),
    /// `gateway_order` s and `gateway_refund` s (the QR gateway's numbers).
    ///
    /// `host` is what the host holds: `none` (it was never asked), `unknown`, `approved`, `declined`, `reversed`. It is
    /// `unknown` from the moment the request may have left until the answer came or the reversal was acknowledged; a
    /// timeout is never a decline. A sale that was approved offline is `approved` at once; the host holds `none` of it until its
    /// advice is sent.
    ///
    /// Errors: NotPermitted.
    async fn get_result(&self, #[zbus(header)] header: Header<'_>) -> Result<Dictionary> {
        let admitted = self.guard.admit(&header, Permission::PaymentRead).await?;
        self.check_owner(&admitted.caller)?;
        Ok(self.ticket.transaction().to_dictionary())
    }

    /// `created`, `approval` (it is over a limit and waits for a supervisor), `authorizing` (the host may know of it), `answered`
    /// (the host approved) or `final`.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn state(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        self.check_reader(header).await?;
        Ok(self.ticket.transaction().state.as_str().to_string())
    }

    /// What the transaction waits for: `approval`, `insert-card`, `use-chip`, `swipe-card`, `swipe-again`, `choose-application`, `pin`, `host`,
    /// `gateway`, `customer`, `show-code` …
    #[zbus(property(emits_changed_signal = "false"))]
    async fn progress(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        self.check_reader(header).await?;
        Ok(self.ticket.current_progress())
    }

    /// The names of the card's applications that the customer is to choose from (`choose-application`); empty while nothing is to be chosen.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn applications(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<Vec<String>> {
        self.check_reader(header).await?;
        Ok(self.ticket.applications())
    }

    /// The text of the QR code that the customer is to scan; empty while there is none.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn shown_code(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        self.check_reader(header).await?;
        Ok(self.ticket.shown_code())
    }

    /// Whether `Cancel` can still stop it.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn cancellable(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<bool> {
        self.check_reader(header).await?;
        Ok(self.ticket.cancellable())
    }

    /// Sent to those who started or fetched it, at each step.
    ///
    /// At `pin`, `details` has `tries_left` u where the card verifies the PIN itself and told: 1 is the last try. `pin` comes again
    /// after a wrong one.
    #[zbus(signal)]
    pub(crate) async fn state_changed(
        emitter: &SignalEmitter<'_>,
        state: &str,
        progress: &str,
        details: Dictionary,
    ) -> zbus::Result<()>;

    /// Sent to those who started or fetched it, once, when it is final.
    #[zbus(signal)]
    pub(crate) async fn completed(
        emitter: &SignalEmitter<'_>,
        outcome: &str,
        result: Dictionary,
    ) -> zbus::Result<()>;
}

impl TransactionObject {
    async fn admit_supervisor(&self, header: &Header<'_>) -> Result<Admitted> {
        let admitted = self.guard.admit_operator(header).await?;
        self.guard.authorize(&admitted.caller, Permission::PaymentApprove)?;
        Ok(admitted)
    }

    fn decide(&self, decision: Decision) -> Result<()> {
        if self.ticket.decide(decision) {
            return Ok(());
        }
        let problem = "the transaction waits for no supervisor; GetResult tells how it stands";
        Err(Error::WrongState(problem.to_string()))
    }

    fn check_owner(&self, caller: &Caller) -> Result<()> {
        let owner = self.ticket.transaction().request.owner;
        if caller.identity == Identity::Operator || caller.identity.to_string() == owner {
            return Ok(());
        }
        Err(Error::NotPermitted("this transaction belongs to somebody else".to_string()))
    }

    async fn check_reader(&self, header: Option<Header<'_>>) -> fdo::Result<()> {
        let Some(header) = header else { return Ok(()) };
        let admitted = self.guard.admit(&header, Permission::PaymentRead).await?;
        Ok(self.check_owner(&admitted.caller)?)
    }
}

/// Serves `ticket` on the bus that `caller` is on.
pub(crate) async fn serve(ticket: &Ticket, buses: &Buses, guard: &Guard, caller: &Caller) -> Result<()> {
    let object = TransactionObject { guard: guard.clone(), ticket: ticket.clone() };
    buses.get(caller.bus).object_server().at(ticket.path().clone(), object).await?;
    Ok(())
}

/// Takes `ticket` off both buses; it is served again when it is asked for.
pub(crate) async fn withdraw(ticket: &Ticket, buses: &Buses) {
    for connection in [&buses.system, &buses.app] {
        // Not being served there is what is wanted.
        let _ = connection.object_server().remove::<TransactionObject, _>(ticket.path().clone()).await;
    }
}
