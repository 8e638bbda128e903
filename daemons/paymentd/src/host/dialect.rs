//! The messages of `docs/host-unionpay-direct.md` and of the other hosts' pages, made and read. What differs from service to
//! service and from host to host is data: the profile's `[services]` and `[elements]`.

use iso8583::{Builder, CardFlow, Fill, Host, KeyDownload, Message, Moto, Mti};

use super::HostError;
use super::filling::{self, Filling};
use crate::config::Merchant;
use crate::services::{Class, Service};
use crate::transaction::{Answer, Card, Transaction};

/// The longest message that is sent, in bytes.
const MAX_MESSAGE: usize = 2048;

/// What the card gave for the host; its secrets are enciphered by the secure module.
#[derive(Debug, Clone, Default)]
pub(crate) struct OnlineCard {
    pub(crate) card: Card,
    /// Of the DUKPT keys that have enciphered it; empty where they are no such keys.
    pub(crate) key_serial: Vec<u8>,
    /// DE 35, or of a keyed card the element that the profile names; empty where there is no card.
    pub(crate) sealed_track2: Vec<u8>,
    /// DE 52, where the cardholder entered a PIN.
    pub(crate) pin_block: Option<Vec<u8>>,
    /// DE 55; empty where the card was only identified.
    pub(crate) chip_data: Vec<u8>,
}

/// The host's answer to a request.
#[derive(Debug, Clone)]
pub(crate) struct HostAnswer {
    pub(crate) answer: Answer,
    /// DE 55: what the issuer has for the card.
    pub(crate) issuer_data: Vec<u8>,
}

impl HostAnswer {
    /// Whether the host approved (DE 39 is 00).
    pub(crate) fn approved(&self) -> bool {
        self.answer.code == "00"
    }
}

/// 0800: sign-on.
pub(super) fn sign_on(host: &Host, merchant: &Merchant, stan: u32, batch: u32) -> Result<Vec<u8>, HostError> {
    let (mti, sign_on) = (Mti(0x0800), &host.sign_on);
    let filling = Filling { batch, ..Filling::network(mti, &sign_on.message_type, &sign_on.network_code) };
    let own = filling.fill(&host.elements.network);
    let mut message = Builder::new(&host.codec, mti);
    message.number(11, stan.into());
    message.text(41, &merchant.terminal).text(42, &merchant.merchant);
    filling::put(&mut message, &own);
    pack(&message)
}

/// The request of a transaction by card. Its MAC is still empty.
pub(super) fn request(
    host: &Host,
    transaction: &Transaction,
    card: &OnlineCard,
) -> Result<Vec<u8>, HostError> {
    let service = described(host, transaction)?;
    let plan = plan(host, transaction)?;
    let filling = filling(host, service, transaction)?;
    let mut own = filling.fill(&host.elements.request);
    if filling.original.is_some() {
        own.extend(filling.fill(&host.elements.original));
    }
    let mut message = Builder::new(&host.codec, service.mti);
    common(&mut message, service, transaction, condition(host, transaction, plan.as_ref())?, plan.as_ref());
    filling::put(&mut message, &own);
    if !card.chip_data.is_empty() {
        message.bytes(55, &card.chip_data);
    }
    match moto(host, transaction)? {
        Some(moto) => drop(message.bytes(moto.field, &card.sealed_track2)),
        None if service.card == CardFlow::None => {}
        None => drop(message.bytes(35, &card.sealed_track2)),
    }
    match &card.pin_block {
        None if service.card == CardFlow::None => {}
        Some(pin_block) => {
            message.text(26, "12").bytes(52, pin_block);
            put_control(&mut message, host.security.with_pin.as_deref());
        }
        None => put_control(&mut message, host.security.without_pin.as_deref()),
    }
    put_serial(&mut message, host, &card.key_serial);
    pack(message.empty_mac())
}

/// 0400: the reversal of a transaction, with its own trace number. Its MAC is still empty.
pub(super) fn reversal(
    host: &Host,
    transaction: &Transaction,
    key_serial: &[u8],
) -> Result<Vec<u8>, HostError> {
    let service = described(host, transaction)?;
    let plan = plan(host, transaction)?;
    let filling = filling(host, service, transaction)?;
    let own = [filling.fill(&host.elements.request), filling.fill(&host.elements.reversal)].concat();
    let chip_data = hex::decode(&transaction.chip_data).unwrap_or_default();
    let mut message = Builder::new(&host.codec, Mti(0x0400));
    common(&mut message, service, transaction, condition(host, transaction, plan.as_ref())?, plan.as_ref());
    message.text(39, &transaction.reversal_reason);
    filling::put(&mut message, &own);
    if !transaction.answer.approval.is_empty() {
        message.text(38, &transaction.answer.approval);
    }
    if !chip_data.is_empty() {
        message.bytes(55, &chip_data);
    }
    put_serial(&mut message, host, key_serial);
    pack(message.empty_mac())
}

/// DE 53, where the host wants one.
pub(super) fn put_control<'m>(message: &mut Builder<'m>, control: Option<&'m str>) {
    if let Some(control) = control {
        message.text(53, control);
    }
}

/// Says which keys of DUKPT a message is protected with, where they are such.
pub(super) fn put_serial<'m>(message: &mut Builder<'m>, host: &Host, serial: &'m [u8]) {
    if let Some(field) = host.security.serial_field {
        message.bytes(field, serial);
    }
}

/// What the profile says of the transaction's service.
pub(super) fn described<'h>(
    host: &'h Host,
    transaction: &Transaction,
) -> Result<&'h iso8583::Service, HostError> {
    let word = transaction.service().as_str();
    host.services.get(word).ok_or(HostError::NotOffered(word))
}

/// How a message says that its transaction, or what that undoes, is paid in instalments.
pub(super) struct Plan<'h> {
    instalments: &'h iso8583::Instalments,
    /// Their number in two digits, of the sale itself.
    number: Option<String>,
}

/// The plan of `transaction`, where it has one.
pub(super) fn plan<'h>(host: &'h Host, transaction: &Transaction) -> Result<Option<Plan<'h>>, HostError> {
    if transaction.instalments() == 0 {
        return Ok(None);
    }
    let sale = host.services.get(Service::Sale.as_str());
    let instalments = sale.and_then(|sale| sale.instalments.as_ref());
    let instalments = instalments.ok_or(HostError::NotOffered("instalments"))?;
    let own = transaction.request.instalments;
    Ok(Some(Plan { instalments, number: (own > 0).then(|| format!("{own:02}")) }))
}

/// What the profile says of mail and telephone orders, where `transaction` is one.
fn moto<'h>(host: &'h Host, transaction: &Transaction) -> Result<Option<&'h Moto>, HostError> {
    if !transaction.is_moto() {
        return Ok(None);
    }
    host.moto.as_ref().map(Some).ok_or(HostError::NotOffered("moto"))
}

/// DE 25.
pub(super) fn condition<'h>(
    host: &'h Host,
    transaction: &Transaction,
    plan: Option<&Plan<'h>>,
) -> Result<&'h str, HostError> {
    Ok(match (moto(host, transaction)?, plan) {
        (Some(moto), _) => &moto.condition_code,
        (None, Some(plan)) => &plan.instalments.condition_code,
        (None, None) => &described(host, transaction)?.condition_code,
    })
}

/// What a request and its reversal share; DE 25 is `condition`.
pub(super) fn common<'m>(
    message: &mut Builder<'m>,
    service: &'m iso8583::Service,
    transaction: &'m Transaction,
    condition: &'m str,
    plan: Option<&'m Plan<'_>>,
) {
    message.text(3, &service.processing_code).number(11, transaction.stan.into());
    if has_amount(transaction) {
        message.number(4, transaction.amount());
    }
    message.text(25, condition);
    if let Some((plan, number)) = plan.and_then(|plan| Some((plan, plan.number.as_ref()?))) {
        message.bytes(plan.instalments.field, number.as_bytes());
    }
    if service.card != CardFlow::None {
        message.text(22, &transaction.card.entry_mode);
    }
    if let Some(sequence) = transaction.card.pan_sequence {
        message.number(23, sequence.into());
    }
    let acceptor = &transaction.acceptor;
    message.text(41, &acceptor.terminal).text(42, &acceptor.merchant).text(49, &acceptor.currency);
}

/// Whether DE 4 is there.
fn has_amount(transaction: &Transaction) -> bool {
    transaction.service().class() == Class::Money
}

/// What the request of `transaction` and its reversal are about.
pub(super) fn filling<'a>(
    host: &'a Host,
    service: &'a iso8583::Service,
    transaction: &'a Transaction,
) -> Result<Filling<'a>, HostError> {
    let mti = |service: Service| {
        let described = host.services.get(service.as_str());
        described.map(|described| described.mti).ok_or(HostError::NotOffered(service.as_str()))
    };
    let original = match &transaction.original {
        Some(original) => Some((original, mti(original.service)?)),
        None => None,
    };
    Ok(Filling {
        mti: service.mti,
        kind: &service.message_type,
        code: "",
        batch: transaction.batch,
        stan: transaction.stan,
        at: transaction.created,
        operator: "",
        amount: transaction.amount(),
        currency: &transaction.acceptor.currency,
        original,
    })
}

pub(super) fn pack(message: &Builder<'_>) -> Result<Vec<u8>, HostError> {
    let mut buffer = [0; MAX_MESSAGE];
    let length = message.pack(&mut buffer).map_err(|error| HostError::Unreachable(error.to_string()))?;
    Ok(buffer.get(..length).unwrap_or_default().to_vec())
}

/// Whether `answer` is one to the request with `stan` from this terminal.
pub(super) fn check_echo(
    answer: &Message<'_>,
    mti: Mti,
    stan: u32,
    terminal: &str,
    merchant: &str,
) -> Result<(), HostError> {
    let wrong = |what: &str| Err(HostError::BadAnswer(format!("{what} is not that of the request")));
    if answer.mti() != mti {
        return wrong("the message type");
    }
    if number(answer, 11)? != u64::from(stan) {
        return wrong("DE 11");
    }
    if text(answer, 41)? != terminal {
        return wrong("DE 41");
    }
    if text(answer, 42)? != merchant {
        return wrong("DE 42");
    }
    Ok(())
}

/// Whether `answer` is one to the request of `transaction`, or to its reversal.
pub(super) fn check_card_echo(
    service: &iso8583::Service,
    answer: &Message<'_>,
    mti: Mti,
    transaction: &Transaction,
) -> Result<(), HostError> {
    let acceptor = &transaction.acceptor;
    check_echo(answer, mti, transaction.stan, &acceptor.terminal, &acceptor.merchant)?;
    if text(answer, 3)? != service.processing_code {
        return Err(HostError::BadAnswer("DE 3 is not that of the request".to_string()));
    }
    if has_amount(transaction) && number(answer, 4)? != transaction.amount() {
        return Err(HostError::BadAnswer("DE 4 is not that of the request".to_string()));
    }
    if text(answer, 49)? != acceptor.currency {
        return Err(HostError::BadAnswer("DE 49 is not that of the request".to_string()));
    }
    Ok(())
}

/// Reads the answer to a request.
pub(super) fn answer(message: &Message<'_>) -> Result<HostAnswer, HostError> {
    let optional = |field| message.get(field).map(|value| value.text()).unwrap_or_default();
    let balance = match message.get(54) {
        Some(value) => Some(available(&value.text())?),
        None => None,
    };
    let answer = Answer {
        code: text(message, 39)?,
        approval: optional(38),
        reference: optional(37),
        date: optional(13),
        balance,
        ..Answer::default()
    };
    let issuer_data = message.get(55).map(|value| value.content().into_owned()).unwrap_or_default();
    Ok(HostAnswer { answer, issuer_data })
}

/// Whether an approval has what names it to the host later: without that it could neither be voided nor refunded.
pub(super) fn check_names(
    host: &Host,
    transaction: &Transaction,
    answer: &HostAnswer,
) -> Result<(), HostError> {
    let service = transaction.service();
    let is_built_on = matches!(service, Service::Sale | Service::Preauthorisation | Service::Completion);
    let names = [
        (Fill::OriginalReference, 37, &answer.answer.reference),
        (Fill::OriginalApproval, 38, &answer.answer.approval),
        (Fill::OriginalDate, 13, &answer.answer.date),
    ];
    let missing =
        names.into_iter().find(|(place, _, name)| host.elements.original.has(*place) && name.is_empty());
    match missing.filter(|_| is_built_on && answer.approved()) {
        Some((_, number, _)) => Err(HostError::BadAnswer(format!("an approval has no DE {number}"))),
        None => Ok(()),
    }
}

/// DE 54, ISO 8583: account type, amount type, currency, sign (`C` or `D`), twelve digits. The amount of type 02: available.
fn available(content: &str) -> Result<i64, HostError> {
    let wrong = || HostError::BadAnswer(format!("DE 54: `{content}` is no available balance"));
    let (kind, rest) = content.split_at_checked(4).ok_or_else(wrong)?;
    let (sign, digits) = rest.get(3..).and_then(|rest| rest.split_at_checked(1)).ok_or_else(wrong)?;
    if !kind.ends_with("02") || digits.len() != 12 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let amount: i64 = digits.parse().map_err(|_| wrong())?;
    match sign {
        "C" => Ok(amount),
        "D" => Ok(amount.saturating_neg()),
        _ => Err(wrong()),
    }
}

/// A working key as it came: its slot, the enciphered key, its check value.
pub(super) type WorkingKey = (String, Vec<u8>, Vec<u8>);

/// The working keys of a 0810.
pub(super) fn working_keys(
    download: &KeyDownload,
    message: &Message<'_>,
) -> Result<Vec<WorkingKey>, HostError> {
    let field = download.field;
    let value = message.require(field).map_err(|error| HostError::BadAnswer(error.to_string()))?;
    let content = value.content();
    let keys = download.split(&content).ok_or_else(|| {
        HostError::BadAnswer(format!(
            "DE {field}: {} bytes are not the keys that the profile lists",
            value.len()
        ))
    })?;
    Ok(keys.iter().map(|key| (key.slot.to_string(), key.key.to_vec(), key.check.to_vec())).collect())
}

/// A field that must be there, as text.
pub(super) fn text(message: &Message<'_>, field: u8) -> Result<String, HostError> {
    message.require(field).map(|value| value.text()).map_err(|error| HostError::BadAnswer(error.to_string()))
}

fn number(message: &Message<'_>, field: u8) -> Result<u64, HostError> {
    message
        .require(field)
        .and_then(|value| value.to_u64())
        .map_err(|error| HostError::BadAnswer(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_has_a_sign_and_nothing_else_is_one() {
        assert_eq!(available("1002156C000000012345").unwrap(), 12345);
        assert_eq!(available("1002156D000000012345").unwrap(), -12345);
        for wrong in [
            "",
            "1002156C00000001234",
            "1001156C000000012345",
            "1002156X000000012345",
            "10021é6C000000012345",
        ] {
            assert!(available(wrong).is_err(), "{wrong}");
        }
    }
}
