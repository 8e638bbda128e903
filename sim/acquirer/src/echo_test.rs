//! Echo test, 0820/0830: says that the host is there.

use iso8583::Message;

use crate::host::{Acquirer, Answer};
use crate::request::{self, APPROVED, MALFUNCTION, Refusal};
use crate::rules::Rule;

/// Whether `message` is one: some dialects have sign-on and echo under one message type.
pub(crate) fn is_one(host: &Acquirer, message: &Message<'_>) -> bool {
    let dialect = &host.profile.link.echo;
    dialect
        .as_ref()
        .is_some_and(|echo| echo.mti == message.mti() && host.dialect.has_code(message, &echo.network_code))
}

/// Checks an echo test and answers it. Nothing is booked.
pub(crate) fn echo_test(host: &Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    request::check_elements(message, &host.dialect.network(), &[])?;
    request::check_terminal(message)?;
    let dialect = &host.profile.link.echo;
    let dialect = dialect.as_ref().ok_or_else(|| Refusal::new(MALFUNCTION, "this host has no echo test"))?;
    host.dialect.batch(message, &dialect.message_type, &dialect.network_code)?;
    match rule {
        Rule::Decline(code) => Err(Refusal::new(code, "declined by rule")),
        _ => Ok(Answer::new(APPROVED, "echo")),
    }
}
