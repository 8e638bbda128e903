//! Mail and telephone orders: a card that is not there, whose number was keyed at the terminal.

use iso8583::Message;
use keys::Track2;
use sim_cards::Profile;

use crate::request::{self, DO_NOT_HONOUR, FORMAT, Refusal};
use crate::service::{Form, Service};

/// DE 25 of such a sale, and of what takes it back.
pub(crate) const CONDITION: &str = "08";
/// The element that has the card in place of DE 35.
pub(crate) const CARD: u8 = 59;
/// DE 22: keyed, without a PIN.
const ENTRY_MODE: &str = "012";
/// The service code of a track that no card has.
const NO_SERVICE: &str = "000";

/// Whether `message` is about such an order, by its DE 25.
pub(crate) fn says(message: &Message<'_>) -> bool {
    message.get(25).is_some_and(|value| value.is(CONDITION))
}

/// Whether `message`, which has this form, is about such an order.
pub(crate) fn is_meant(message: &Message<'_>, form: &Form) -> bool {
    matches!(form.service, Service::Sale | Service::Void | Service::Refund) && !form.offline && says(message)
}

/// Checks DE 22.
pub(crate) fn check_entry(message: &Message<'_>) -> Result<(), Refusal> {
    request::check_is(message, 22, ENTRY_MODE, FORMAT)
}

/// Checks that what was keyed passes for no card's own track.
pub(crate) fn check_track(track: &Track2) -> Result<(), Refusal> {
    if track.service_code() == NO_SERVICE {
        return Ok(());
    }
    Err(Refusal::new(FORMAT, format!("DE {CARD}: a keyed card has the service code {NO_SERVICE}")))
}

/// Checks the security code that was keyed, where one was.
pub(crate) fn check_code(card: &Profile, track: &Track2) -> Result<(), Refusal> {
    let code = track.discretionary();
    if code.is_empty() || code == card.security_code() {
        return Ok(());
    }
    Err(Refusal::new(DO_NOT_HONOUR, format!("DE {CARD}: the security code is wrong")))
}
