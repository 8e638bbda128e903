//! Echo test, 0820/0830: says that the host is there.

use iso8583::Message;

use crate::host::{Acquirer, Answer};
use crate::request::{self, APPROVED, MALFUNCTION, Refusal};
use crate::rules::Rule;

const MANDATORY: [u8; 4] = [11, 41, 42, 60];

/// Checks an echo test and answers it. Nothing is booked.
pub(crate) fn echo_test(host: &Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    request::check_elements(message, &MANDATORY, &[])?;
    request::check_terminal(message)?;
    let dialect = &host.profile.link.echo;
    let dialect = dialect.as_ref().ok_or_else(|| Refusal::new(MALFUNCTION, "this host has no echo test"))?;
    request::batch(message, &dialect.message_type, &dialect.network_code)?;
    match rule {
        Rule::Decline(code) => Err(Refusal::new(code, "declined by rule")),
        _ => Ok(Answer::new(APPROVED, "echo")),
    }
}
