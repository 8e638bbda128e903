//! What callers say, checked before anything is done with it, and what they are told of the totals.

use std::collections::HashMap;

use audit::seal::Seal;
use service::guard::{Caller, Identity};
use service::options::{Dictionary, Options};
use service::request::Key;
use service::{Error, Result};
use zbus::Variant;

use crate::config::Merchant;
use crate::journal::{Filter, Linked, ServiceSum, Waiting};
use crate::receipt;
use crate::services::{Service, Side};
use crate::transaction::{Outcome, Request, State, Sum};

/// Entries on one page.
const MAX_PAGE: u32 = 100;
/// The largest amount, in minor units: DE 4 has 12 digits.
const MAX_AMOUNT: u64 = 999_999_999_999;
/// Characters of the merchant's own order number.
const MAX_ORDER: usize = 32;
/// Characters of DE 63, the operator.
const MAX_OPERATOR: usize = 3;

/// The arguments of a method that starts a transaction.
pub(super) struct Call<'a> {
    pub(super) service: Service,
    /// The amount and its currency, where the service has one of its own.
    pub(super) money: Option<(u64, &'a str)>,
    /// The original's key; empty where there is none.
    pub(super) original: &'a str,
    pub(super) key: &'a str,
    pub(super) options: Dictionary,
}

/// What `caller` asks for on a terminal that takes `currency`.
pub(super) fn request(call: Call<'_>, caller: &Caller, currency: &str) -> Result<Request> {
    let Call { service, money, original, key, options } = call;
    let mut options = Options::new("options", options);
    let order: String = options.take("order")?.unwrap_or_default();
    let operator: String = options.take("operator")?.unwrap_or_default();
    let print = options.take("print")?.unwrap_or(service != Service::Balance);
    let (tip, instalments): (u64, u32) = match service {
        Service::Sale => {
            (options.take("tip")?.unwrap_or_default(), options.take("instalments")?.unwrap_or_default())
        }
        _ => (0, 0),
    };
    let moto = match service {
        Service::Sale | Service::Refund => options.take("moto")?.unwrap_or_default(),
        _ => false,
    };
    let choose_application = match service.reads_card() {
        true => options.take("choose_application")?.unwrap_or_default(),
        false => false,
    };
    options.finish()?;
    let amount = match money {
        Some((amount, given)) => {
            check_amount(amount)?;
            check_currency(given, currency)?;
            amount
        }
        None => 0,
    };
    if tip > amount {
        return Err(Error::invalid(
            "options.tip",
            format!("{tip} is more than the amount, which it is part of"),
        ));
    }
    if moto && !original.is_empty() {
        return Err(Error::invalid("options.moto", "the original tells: leave it out"));
    }
    if moto && choose_application {
        return Err(Error::invalid("options.choose_application", "a card that is keyed has none to choose"));
    }
    if moto && instalments > 0 {
        return Err(Error::invalid("options.instalments", "a mail or telephone order is paid at once"));
    }
    if order.chars().count() > MAX_ORDER || order.chars().any(char::is_control) {
        return Err(Error::invalid("options.order", "give up to 32 printable characters"));
    }
    if operator.len() > MAX_OPERATOR || !operator.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Error::invalid("options.operator", "give up to 3 letters or digits"));
    }
    Ok(Request {
        service,
        owner: caller.identity.to_string(),
        key: key.parse()?,
        amount,
        currency: currency.to_string(),
        tip,
        instalments: u8::try_from(instalments)
            .map_err(|_| Error::invalid("options.instalments", format!("{instalments} are too many")))?,
        moto,
        choose_application,
        original: original_key(service, original)?,
        order,
        code: String::new(),
        operator,
        print,
    })
}

fn check_amount(amount: u64) -> Result<()> {
    if (1..=MAX_AMOUNT).contains(&amount) {
        return Ok(());
    }
    Err(Error::invalid("amount", format!("{amount} is not from 1 to {MAX_AMOUNT} minor units")))
}

fn check_currency(given: &str, taken: &str) -> Result<()> {
    if given.len() != 3 || !given.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return Err(Error::invalid("currency", "give three capital letters of ISO 4217, such as CNY"));
    }
    if given != taken {
        return Err(Error::invalid("currency", format!("this terminal takes {taken}, not {given}")));
    }
    Ok(())
}

/// A refund may be without an original; the other services that have one may not.
fn original_key(service: Service, original: &str) -> Result<Option<Key>> {
    let may_lack = !matches!(
        service,
        Service::Void
            | Service::TipAdjustment
            | Service::Increment
            | Service::Completion
            | Service::PreauthorisationCancel
    );
    if original.is_empty() && may_lack {
        return Ok(None);
    }
    let key = original.parse().map_err(|_| {
        Error::invalid("original", "give the key that the original transaction was started with")
    })?;
    Ok(Some(key))
}

/// Whether a page may have `limit` entries.
pub(super) fn check_page(limit: u32) -> Result<()> {
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(());
    }
    Err(Error::invalid("limit", format!("{limit} is not from 1 to {MAX_PAGE}")))
}

/// An event of the journal, for the bus.
pub(super) fn event(event: Linked) -> (i64, i64, i64, String, String) {
    let Linked { id, transaction, at, body, link } = event;
    (id, transaction, at, body, hex::encode(link))
}

/// A seal of the journal, for the bus.
pub(super) fn seal(seal: Seal) -> (i64, i64, String, String, String) {
    let Seal { last, head, at, key, signature } = seal;
    (last, at, head.to_string(), key.to_string(), signature.to_string())
}

/// Which transactions `caller` wants to see.
pub(super) fn filter(caller: &Caller, values: Dictionary) -> Result<Filter> {
    let mut values = Options::new("filter", values);
    let filter = Filter {
        owner: (caller.identity != Identity::Operator).then(|| caller.identity.to_string()),
        service: values.take("type")?,
        state: values.take("state")?,
        outcome: values.take("outcome")?,
        since: values.take("since")?,
        until: values.take("until")?,
    };
    values.finish()?;
    let words = [
        ("type", &filter.service, Service::ALL.map(Service::as_str).to_vec()),
        ("state", &filter.state, State::ALL.iter().map(|state| state.as_str()).collect()),
        ("outcome", &filter.outcome, Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect()),
    ];
    for (name, given, known) in words {
        if let Some(word) = given.as_deref().filter(|word| !known.contains(word)) {
            let known = known.join(", ");
            return Err(Error::invalid(
                &format!("filter.{name}"),
                format!("there is no `{word}`; known are {known}"),
            ));
        }
    }
    Ok(filter)
}

/// The totals of the open batch, for the bus.
pub(super) fn totals(batch: u32, currency: &str, sums: &[ServiceSum]) -> Result<Dictionary> {
    let sum = |side: Side, of: fn(Service) -> Option<Side>| {
        let of_side = sums.iter().filter(|one| Service::of(&one.service).and_then(of) == Some(side));
        of_side.fold(Sum::default(), |all, one| all.plus(one.sum))
    };
    let (debit, credit) = (sum(Side::Debit, Service::side), sum(Side::Credit, Service::side));
    let (code_debit, code_credit) =
        (sum(Side::Debit, Service::code_side), sum(Side::Credit, Service::code_side));
    let services: HashMap<&str, (u32, u64)> =
        sums.iter().map(|one| (one.service.as_str(), (one.sum.count, one.sum.amount))).collect();
    let values: [(&str, Variant<'_>); 11] = [
        ("batch", format!("{batch:06}").into()),
        ("currency", currency.into()),
        ("debit_count", debit.count.into()),
        ("debit_amount", debit.amount.into()),
        ("credit_count", credit.count.into()),
        ("credit_amount", credit.amount.into()),
        ("code_debit_count", code_debit.count.into()),
        ("code_debit_amount", code_debit.amount.into()),
        ("code_credit_count", code_credit.count.into()),
        ("code_credit_amount", code_credit.amount.into()),
        ("services", services.into()),
    ];
    values.into_iter().map(|(key, value)| Ok((key.to_string(), value.try_into_owned()?))).collect()
}

/// What the operator should know of money that is not where it should be.
pub(super) fn stored_warnings(stored: &Waiting, merchant: &Merchant) -> Vec<String> {
    let mut warnings = Vec::new();
    if stored.count > 0 {
        let sum = receipt::money(stored.sum, merchant);
        let since = receipt::local_time(stored.oldest);
        let count = stored.count;
        warnings.push(format!("{count} offline sales of {sum} wait for the host, the oldest since {since}"));
    }
    if stored.refused > 0 {
        let count = stored.refused;
        warnings.push(format!(
            "the host refused {count} offline sales of this batch, and does not pay: their results tell why"
        ));
    }
    if stored.kept > 0 {
        let count = stored.kept;
        warnings.push(format!(
            "a part of {count} payments by code that do not stand stays with the merchant: give it back at the QR gateway; their results, with \
             reversal rest-kept, tell the orders"
        ));
    }
    warnings
}
