//! Sign-on, 0800/0810: new working keys for a terminal, encrypted under its master key.

use iso8583::Message;

use crate::host::{Acquirer, Answer};
use crate::request::{self, APPROVED, Refusal};
use crate::rules::Rule;
use crate::working_keys::WorkingKeys;

const OPERATOR: u8 = 63;

/// Checks a sign-on and draws keys. The keys given before stop working.
pub(crate) fn sign_on(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    request::check_elements(message, &host.dialect.network(), &[OPERATOR])?;
    request::check_terminal(message)?;
    let dialect = &host.profile.sign_on;
    host.dialect.batch(message, &dialect.message_type, &dialect.network_code)?;
    if let Rule::Decline(code) = rule {
        return Err(Refusal::new(code, "declined by rule"));
    }
    let mut answer = Answer::new(APPROVED, "signed on");
    if let Some(layout) = &host.profile.sign_on.keys {
        let keys = WorkingKeys::draw(&host.profile, &host.tmk)?;
        answer.private = Some(keys.download(layout, &host.tmk)?);
        host.sessions.insert(request::text(message, 41)?, keys);
    }
    Ok(answer)
}
