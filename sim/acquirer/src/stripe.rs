//! Cards that were swiped: their stripe, or that of a card whose chip has failed.

use iso8583::Message;
use keys::Track2;
use sim_cards::Profile;
use stripe::{PinRule, Range, ServiceCode};

use crate::card_request::CardRequest;
use crate::request::{DO_NOT_HONOUR, FORMAT, NO_FALLBACK, Refusal, WRONG_PIN};
use crate::service::Form;

/// Why a card was swiped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swipe {
    /// It has no chip.
    Stripe,
    /// Its chip has failed.
    Fallback,
}

impl Swipe {
    /// By DE 22 of `message`, which has this form.
    pub(crate) fn of_request(message: &Message<'_>, form: &Form) -> Option<Swipe> {
        let entry = message.get(22).filter(|_| form.service.has_card() && !form.offline)?.text();
        match entry.get(..2)? {
            "02" => Some(Swipe::Stripe),
            "80" => Some(Swipe::Fallback),
            _ => None,
        }
    }

    /// DE 22 of it.
    pub(crate) fn entry_mode(self, with_pin: bool) -> &'static str {
        match (self, with_pin) {
            (Swipe::Stripe, true) => "021",
            (Swipe::Stripe, false) => "022",
            (Swipe::Fallback, true) => "801",
            (Swipe::Fallback, false) => "802",
        }
    }

    /// Checks that a card that has a chip is swiped for no other reason than that it has failed, and one that has none not for that.
    pub(crate) fn check_track(self, track: &Track2) -> Result<(), Refusal> {
        match (self, service_code(track)?.has_chip()) {
            (Swipe::Stripe, true) => {
                Err(Refusal::new(NO_FALLBACK, "DE 22: the card has a chip, which was not tried"))
            }
            (Swipe::Fallback, false) => {
                Err(Refusal::new(FORMAT, "DE 22: the card has no chip that could fail"))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that it was the card's own stripe, and what its service code asks for.
pub(crate) fn check(
    request: &CardRequest<'_>,
    card: &Profile,
    track: &Track2,
    pin: bool,
) -> Result<(), Refusal> {
    let refuse = |code, reason: &str| Err(Refusal::new(code, format!("DE 35: {reason}")));
    if track.discretionary() != card.stripe_data() {
        return refuse(DO_NOT_HONOUR, "the card verification value is not that of the stripe");
    }
    let services = service_code(track)?.services();
    if matches!(services.range, Range::Cash | Range::Atm) {
        return refuse(DO_NOT_HONOUR, "the card gives cash alone");
    }
    if request.service.has_chip_data() && services.pin == PinRule::Required && !pin {
        return refuse(WRONG_PIN, "the card needs a PIN");
    }
    Ok(())
}

fn service_code(track: &Track2) -> Result<ServiceCode, Refusal> {
    track.service_code().parse().map_err(|error| Refusal::new(FORMAT, format!("DE 35: {error}")))
}
