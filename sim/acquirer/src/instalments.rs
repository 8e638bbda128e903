//! What is paid in instalments: a sale that says so, and what voids or refunds it.

use iso8583::Message;

use crate::request::{FORMAT, INVALID, Refusal};
use crate::service::{Form, Service};

/// DE 25 of a sale that is paid in instalments, and of what takes it back.
pub(crate) const CONDITION: &str = "64";
/// The element that has their number, in two digits.
pub(crate) const NUMBER: u8 = 62;
/// The numbers that there are.
const PLANS: [u8; 4] = [3, 6, 12, 24];

/// Whether `message`, which has this form, is about instalments.
pub(crate) fn is_meant(message: &Message<'_>, form: &Form) -> bool {
    let may = matches!(form.service, Service::Sale | Service::Void | Service::Refund);
    may && message.get(25).is_some_and(|value| value.is(CONDITION))
}

/// Whether the message has their number: the sale itself does.
pub(crate) fn has_number(message: &Message<'_>, form: &Form) -> bool {
    form.service == Service::Sale && is_meant(message, form)
}

/// Their number in `message`; 0 where it has none.
///
/// # Errors
/// Code 30 for what is no number, 12 for one that is not offered.
pub(crate) fn number(message: &Message<'_>) -> Result<u8, Refusal> {
    let Some(value) = message.get(NUMBER) else { return Ok(0) };
    let digits = String::from_utf8(value.content().into_owned()).ok().filter(|text| text.len() == 2);
    let number = digits.and_then(|digits| digits.parse().ok());
    let number: u8 = number.ok_or_else(|| Refusal::new(FORMAT, "DE 62: expected two digits"))?;
    if PLANS.contains(&number) {
        return Ok(number);
    }
    Err(Refusal::new(INVALID, format!("DE 62: {number} instalments are not offered")))
}
