//! Sign-on, 0800/0810: new working keys for a terminal, encrypted under its master key.

use iso8583::Message;
use keys::TdesKey;

use crate::host::{Acquirer, Answer};
use crate::request::{self, APPROVED, FORMAT, MALFUNCTION, Refusal, WorkingKeys};
use crate::rules::Rule;

const MANDATORY: [u8; 4] = [11, 41, 42, 60];
const OPERATOR: u8 = 63;

/// Checks a sign-on and draws keys. The keys given before stop working.
pub(crate) fn sign_on(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    request::check_elements(message, &MANDATORY, &[OPERATOR])?;
    request::check_terminal(message)?;
    let dialect = &host.profile.sign_on;
    request::batch(message, &dialect.message_type, &dialect.network_code)?;
    if let Rule::Decline(code) = rule {
        return Err(Refusal::new(code, "declined by rule"));
    }
    let keys = WorkingKeys { pik: draw()?, mak: draw()?, tdk: draw()? };
    let mut answer = Answer::new(APPROVED, "signed on");
    answer.keys = Some(download(&host.profile.sign_on.keys, &host.tmk, &keys)?);
    host.sessions.insert(request::text(message, 41)?, keys);
    Ok(answer)
}

fn draw() -> Result<TdesKey, Refusal> {
    let mut key = [0; 16];
    getrandom::fill(&mut key)
        .map_err(|error| Refusal::new(MALFUNCTION, format!("no random numbers: {error}")))?;
    Ok(TdesKey::new(key))
}

/// The keys in the layout of the profile.
fn download(layout: &iso8583::KeyDownload, tmk: &TdesKey, keys: &WorkingKeys) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    for part in &layout.parts {
        let key = match part.slot.as_str() {
            "pik" => &keys.pik,
            "mak" => &keys.mak,
            "tdk" => &keys.tdk,
            other => return Err(Refusal::new(MALFUNCTION, format!("the profile asks for a key {other:?}"))),
        };
        let (wrapped, check) = (tmk.wrap(key), keys::kcv::check_value(key));
        if part.key_bytes != wrapped.len() || part.check_bytes != check.len() {
            return Err(Refusal::new(FORMAT, "the profile asks for keys or check values of another length"));
        }
        content.extend(wrapped);
        content.extend(check);
    }
    Ok(content)
}
