//! What a transaction is made of: what was asked for, of which original, with which card, and what the host answered.

use serde::{Deserialize, Serialize};
use service::request::Key;

use crate::services::Service;

/// What was asked for, as the caller said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    #[serde(default)]
    pub(crate) service: Service,
    /// Who asked, as the guard names them.
    pub(crate) owner: String,
    /// The caller's idempotency key.
    pub(crate) key: Key,
    /// In minor units of the currency; 0 where the service takes it from its original, or has none.
    pub(crate) amount: u64,
    /// ISO 4217, three letters.
    pub(crate) currency: String,
    /// The part of `amount` that is a tip.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) tip: u64,
    /// In how many instalments the cardholder pays; 0 for at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) instalments: u8,
    /// Whether it is a mail or telephone order: the card is not there, and its number is keyed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) moto: bool,
    /// Whether who asked has the customer choose among the card's applications.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) choose_application: bool,
    /// The key of the transaction that this one builds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) original: Option<Key>,
    /// The merchant's own number, for the receipt.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) order: String,
    /// What the customer showed to pay, masked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) code: String,
    /// Who stands at the till.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) operator: String,
    /// Whether a receipt is printed.
    pub(crate) print: bool,
}

impl Request {
    /// Whether `again`, under the same key, asks for the same thing. Who shows the customer a choice may be another one by now.
    pub(crate) fn is_repeated_by(&self, again: &Request) -> bool {
        let Request { choose_application, .. } = *self;
        *self == Request { choose_application, ..again.clone() }
    }
}

/// For serde, which passes a reference.
fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// What a transaction has to know of the one that it builds on, as it stood when this one was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Original {
    /// Its number in the journal.
    pub(crate) id: i64,
    /// When it was asked for, in milliseconds since 1970.
    #[serde(default)]
    pub(crate) created: i64,
    pub(crate) service: Service,
    /// What it holds: its own amount, and of a pre-authorisation that of its increments, too.
    pub(crate) amount: u64,
    /// In how many instalments it is paid; 0 for at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) instalments: u8,
    /// Whether it is a mail or telephone order.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) moto: bool,
    pub(crate) batch: u32,
    pub(crate) stan: u32,
    /// Whether the host had not been told of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) stored: bool,
    /// What the host answered.
    pub(crate) answer: Answer,
    /// Its card.
    pub(crate) masked_pan: String,
    pub(crate) token: String,
    /// What the QR gateway calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) order: Option<Order>,
}

impl Original {
    /// What `service` is, asked of this original.
    pub(crate) fn turn(&self, service: Service) -> Service {
        match service {
            Service::Void if self.stored => Service::OfflineVoid,
            service => service.upon(self.service),
        }
    }
}

/// What a payment by code, or what undoes one, is called at the QR gateway (`docs/host-qr-gateway.md`). It is asked under
/// the same numbers, whatever the configuration says by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Which gateway: its name in the configuration.
    pub(crate) gateway: String,
    /// The order's number.
    pub(crate) number: String,
    /// Of a refund, its own number within the order.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) refund: String,
}

/// Under whose name the host was asked. A reversal goes out under the same one, whatever the configuration says by then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Acceptor {
    /// DE 41.
    pub(crate) terminal: String,
    /// DE 42.
    pub(crate) merchant: String,
    /// DE 49: ISO 4217, three digits.
    pub(crate) currency: String,
}

/// What is known of the card; nothing of it is secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Card {
    pub(crate) masked_pan: String,
    /// The PAN under a key of the secure module: the same card has the same token. Not for callers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) token: String,
    pub(crate) pan_sequence: Option<u8>,
    /// DE 22.
    pub(crate) entry_mode: String,
    pub(crate) aid: String,
    pub(crate) label: String,
    /// `online-pin`, `offline-pin`, `offline-pin-and-signature`, `signature`, `none`
    pub(crate) cvm: String,
    pub(crate) tvr: String,
    pub(crate) tsi: String,
    /// The application cryptogram that the card gave last.
    pub(crate) cryptogram: String,
    /// What the issuer is told of the scripts that it had the card run, in hex (DE 55); empty where it had none run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) script_data: String,
    /// The transaction certificate and what it is of, in hex (DE 55), for the host that wants it; empty elsewhere.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) certificate: String,
}

/// What the host answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    /// DE 39.
    pub(crate) code: String,
    /// DE 38.
    pub(crate) approval: String,
    /// DE 37.
    pub(crate) reference: String,
    /// DE 13, MMDD: what comes after it names it by this, too.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) date: String,
    /// What the card has, in minor units (DE 54).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) balance: Option<i64>,
    /// Whether the host's sums of the batch are ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) balanced: Option<bool>,
    /// The wallet that paid, as the QR gateway names it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) wallet: String,
}

/// How far the host has got the cards' certificates of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CertificatesSent {
    /// How many it took.
    pub(crate) taken: u32,
    /// The transactions whose certificates it refused, or did not answer, by their numbers in the journal.
    pub(crate) refused: Vec<i64>,
    /// The transaction whose certificate was sent last.
    pub(crate) last: i64,
}

/// One side of a batch's sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    pub(crate) count: u32,
    /// In minor units.
    pub(crate) amount: u64,
}

impl Sum {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Sum::default()
    }

    /// With `other` in it.
    pub(crate) fn plus(self, other: Sum) -> Sum {
        Sum {
            count: self.count.saturating_add(other.count),
            amount: self.amount.saturating_add(other.amount),
        }
    }
}

/// What a batch comes to: transactions that stand and are not voided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub(crate) debit: Sum,
    pub(crate) credit: Sum,
    /// What went through the QR gateway, which the acquirer is not told of.
    #[serde(default, skip_serializing_if = "Sum::is_empty")]
    pub(crate) code_debit: Sum,
    #[serde(default, skip_serializing_if = "Sum::is_empty")]
    pub(crate) code_credit: Sum,
}
