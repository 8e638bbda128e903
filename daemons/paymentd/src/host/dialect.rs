//! The messages of `docs/host-unionpay-direct.md`, made and read.

use iso8583::{Builder, Host, Message, Mti};

use super::HostError;
use crate::config::Merchant;
use crate::transaction::{Answer, Card, Transaction};

/// The longest message that is sent, in bytes.
const MAX_MESSAGE: usize = 2048;

/// DE 3: purchase of goods and services.
const SALE: &str = "000000";

/// What the card gave for the host; its secrets are enciphered by the secure module.
#[derive(Debug, Clone)]
pub(crate) struct OnlineCard {
    pub(crate) card: Card,
    /// DE 35.
    pub(crate) sealed_track2: Vec<u8>,
    /// DE 52, where the cardholder entered a PIN.
    pub(crate) pin_block: Option<Vec<u8>>,
    /// DE 55.
    pub(crate) chip_data: Vec<u8>,
}

/// The host's answer to a sale.
#[derive(Debug, Clone)]
pub(crate) struct SaleAnswer {
    pub(crate) answer: Answer,
    /// DE 55: what the issuer has for the card.
    pub(crate) issuer_data: Vec<u8>,
}

impl SaleAnswer {
    /// Whether the host approved (DE 39 is 00).
    pub(crate) fn approved(&self) -> bool {
        self.answer.code == "00"
    }
}

/// 0800: sign-on.
pub(super) fn sign_on(host: &Host, merchant: &Merchant, stan: u32, batch: u32) -> Result<Vec<u8>, HostError> {
    let network = format!("{}{batch:06}{}", host.sign_on.message_type, host.sign_on.network_code);
    let mut message = Builder::new(&host.codec, Mti(0x0800));
    message.number(11, stan.into());
    message.text(41, &merchant.terminal).text(42, &merchant.merchant);
    message.text(60, &network);
    pack(&message)
}

/// 0200: a sale by chip. DE 64 is still empty.
pub(super) fn sale(host: &Host, sale: &Transaction, card: &OnlineCard) -> Result<Vec<u8>, HostError> {
    let batch = batch(sale);
    let mut message = Builder::new(&host.codec, Mti(0x0200));
    common(&mut message, sale);
    message.bytes(35, &card.sealed_track2).bytes(55, &card.chip_data).text(60, &batch);
    match &card.pin_block {
        Some(pin_block) => {
            // DE 53: PIN by ISO 9564 format 0 with the PAN, double-length key, track enciphered.
            message.text(26, "12").bytes(52, pin_block).text(53, "2610000000000000");
        }
        None => {
            message.text(53, "0610000000000000");
        }
    }
    message.bytes(64, &[0; 8]);
    pack(&message)
}

/// 0400: the reversal of a sale, with the sale's own trace number. DE 64 is still empty.
pub(super) fn reversal(host: &Host, sale: &Transaction) -> Result<Vec<u8>, HostError> {
    let batch = batch(sale);
    let original = format!("{:06}{:06}", sale.batch, sale.stan);
    let chip_data = hex::decode(&sale.chip_data).unwrap_or_default();
    let mut message = Builder::new(&host.codec, Mti(0x0400));
    common(&mut message, sale);
    message.text(39, &sale.reversal_reason).text(60, &batch).text(61, &original);
    if !sale.answer.approval.is_empty() {
        message.text(38, &sale.answer.approval);
    }
    if !chip_data.is_empty() {
        message.bytes(55, &chip_data);
    }
    message.bytes(64, &[0; 8]);
    pack(&message)
}

/// What a sale and its reversal share.
fn common<'m>(message: &mut Builder<'m>, sale: &'m Transaction) {
    message.text(3, SALE).number(4, sale.request.amount).number(11, sale.stan.into());
    message.text(22, &sale.card.entry_mode).text(25, "00");
    if let Some(sequence) = sale.card.pan_sequence {
        message.number(23, sequence.into());
    }
    let acceptor = &sale.acceptor;
    message.text(41, &acceptor.terminal).text(42, &acceptor.merchant).text(49, &acceptor.currency);
}

/// DE 60 of a financial message: type, batch, no network management.
fn batch(sale: &Transaction) -> String {
    format!("22{:06}000", sale.batch)
}

fn pack(message: &Builder<'_>) -> Result<Vec<u8>, HostError> {
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

/// Whether `answer` is one to `sale` (0210), or to its reversal (0410).
pub(super) fn check_sale_echo(answer: &Message<'_>, mti: Mti, sale: &Transaction) -> Result<(), HostError> {
    let acceptor = &sale.acceptor;
    check_echo(answer, mti, sale.stan, &acceptor.terminal, &acceptor.merchant)?;
    if text(answer, 3)? != SALE {
        return Err(HostError::BadAnswer("DE 3 is not that of the request".to_string()));
    }
    if number(answer, 4)? != sale.request.amount {
        return Err(HostError::BadAnswer("DE 4 is not that of the request".to_string()));
    }
    if text(answer, 49)? != acceptor.currency {
        return Err(HostError::BadAnswer("DE 49 is not that of the request".to_string()));
    }
    Ok(())
}

/// Reads a 0210.
pub(super) fn sale_answer(message: &Message<'_>) -> Result<SaleAnswer, HostError> {
    let optional = |field| message.get(field).map(|value| value.text()).unwrap_or_default();
    let code = text(message, 39)?;
    let answer = Answer { code, approval: optional(38), reference: optional(37) };
    let issuer_data = message.get(55).map(|value| value.bytes().to_vec()).unwrap_or_default();
    Ok(SaleAnswer { answer, issuer_data })
}

/// A working key as it came: its slot, the enciphered key, its check value.
pub(super) type WorkingKey = (String, Vec<u8>, Vec<u8>);

/// The working keys of a 0810.
pub(super) fn working_keys(host: &Host, message: &Message<'_>) -> Result<Vec<WorkingKey>, HostError> {
    let field = host.sign_on.keys.field;
    let value = message.require(field).map_err(|error| HostError::BadAnswer(error.to_string()))?;
    let keys = host.sign_on.keys.split(value.bytes()).ok_or_else(|| {
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
