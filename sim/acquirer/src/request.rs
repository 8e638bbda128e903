//! What all requests are checked for, and why one is refused.

use iso8583::Message;

use crate::TERMINALS;
use crate::working_keys::WorkingKeys;

/// Answer codes (DE 39).
pub(crate) const APPROVED: &str = "00";
pub(crate) const UNKNOWN_MERCHANT: &str = "03";
pub(crate) const DO_NOT_HONOUR: &str = "05";
pub(crate) const INVALID: &str = "12";
pub(crate) const INVALID_AMOUNT: &str = "13";
pub(crate) const UNKNOWN_CARD: &str = "14";
pub(crate) const NO_ORIGINAL: &str = "25";
pub(crate) const FORMAT: &str = "30";
/// The chip of the card has to be used.
pub(crate) const NO_FALLBACK: &str = "45";
pub(crate) const INSUFFICIENT: &str = "51";
pub(crate) const EXPIRED: &str = "54";
pub(crate) const WRONG_PIN: &str = "55";
pub(crate) const WRONG_AMOUNT: &str = "64";
pub(crate) const DUPLICATE: &str = "94";
pub(crate) const UNRECONCILED: &str = "95";
pub(crate) const MALFUNCTION: &str = "96";
pub(crate) const UNKNOWN_TERMINAL: &str = "97";
pub(crate) const WRONG_MAC: &str = "A0";

/// Why a request is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// DE 39 of the answer.
    pub code: String,
    /// For a person.
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(code: &str, reason: impl Into<String>) -> Refusal {
        Refusal { code: code.to_owned(), reason: reason.into() }
    }
}

/// Checks that `mandatory` elements are all there, and no others than these and `optional`.
pub(crate) fn check_elements(
    message: &Message<'_>,
    mandatory: &[u8],
    optional: &[u8],
) -> Result<(), Refusal> {
    if let Some(number) = mandatory.iter().find(|number| message.get(**number).is_none()) {
        return Err(Refusal::new(FORMAT, format!("DE {number}: missing")));
    }
    let mut numbers = message.fields().map(|value| value.number());
    match numbers.find(|number| !mandatory.contains(number) && !optional.contains(number)) {
        Some(number) => Err(Refusal::new(FORMAT, format!("DE {number}: does not belong in this message"))),
        None => Ok(()),
    }
}

/// Checks that the terminal is registered, and belongs to the merchant.
pub(crate) fn check_terminal(message: &Message<'_>) -> Result<(), Refusal> {
    let (terminal, merchant) = (text(message, 41)?, text(message, 42)?);
    match TERMINALS.iter().find(|known| known.0 == terminal) {
        None => {
            Err(Refusal::new(UNKNOWN_TERMINAL, format!("DE 41: terminal {terminal:?} is not registered")))
        }
        Some((_, owner)) if *owner != merchant => Err(Refusal::new(
            UNKNOWN_MERCHANT,
            format!("DE 42: merchant {merchant:?} does not own the terminal"),
        )),
        Some(_) => Ok(()),
    }
}

/// Checks the MAC in DE 64; `keys` are those of the terminal, if it has signed on.
pub(crate) fn check_mac<'k>(
    message: &Message<'_>,
    keys: Option<&'k WorkingKeys>,
) -> Result<&'k WorkingKeys, Refusal> {
    let keys =
        keys.ok_or_else(|| Refusal::new(WRONG_MAC, "no working keys: the terminal has not signed on"))?;
    keys.check_mac(message)?;
    Ok(keys)
}

/// Checks that DE `number` is exactly `expected`, or refuses with `code`.
pub(crate) fn check_is(message: &Message<'_>, number: u8, expected: &str, code: &str) -> Result<(), Refusal> {
    let got = text(message, number)?;
    if got == expected {
        return Ok(());
    }
    Err(Refusal::new(code, format!("DE {number}: expected {expected}, got {got}")))
}

/// DE 60 is the type of the message, the batch and the network management code: the batch, if the others are right.
pub(crate) fn batch(
    message: &Message<'_>,
    message_type: &str,
    network_code: &str,
) -> Result<String, Refusal> {
    let content = text(message, 60)?;
    let batch = content.strip_prefix(message_type).and_then(|rest| rest.strip_suffix(network_code));
    batch.filter(|batch| batch.len() == 6).map(str::to_owned).ok_or_else(|| {
        let expected = format!("{message_type}, six digits of the batch, {network_code}");
        Refusal::new(FORMAT, format!("DE 60: expected {expected}; got {content}"))
    })
}

/// The content of DE `number`.
pub(crate) fn text(message: &Message<'_>, number: u8) -> Result<String, Refusal> {
    Ok(message.require(number).map_err(format_error)?.text())
}

/// DE 4, in minor units.
pub(crate) fn amount(message: &Message<'_>) -> Result<u64, Refusal> {
    message.require(4).and_then(|value| value.to_u64()).map_err(format_error)
}

pub(crate) fn format_error(error: iso8583::Error) -> Refusal {
    Refusal::new(FORMAT, error.to_string())
}
