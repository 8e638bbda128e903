//! A host profile file: all that a terminal has to know to talk to one acquirer, save its address and secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use crate::frame::Framing;
use crate::{Layout, Mti, Profile};

/// One acquirer's dialect.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its short name, that of the file.
    pub name: String,
    /// Network international identifier (DE 24), 0 to 999; `None` where the host does not want it.
    pub nii: Option<u16>,
    /// How messages are put on the connection.
    pub framing: Framing,
    /// How connections are kept.
    pub link: Link,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How a transaction of unknown outcome is undone.
    pub reversal: Reversal,
    /// How working keys are fetched.
    pub sign_on: SignOn,
    /// What DE 53 says of the protection of card data.
    pub security: Security,
    /// What the host offers: each service by its name in the API, such as `sale`.
    pub services: BTreeMap<String, Service>,
    /// How the host is told of sales that were approved offline; `None` where it takes none.
    pub offline: Option<Offline>,
    /// Which cards the host takes by their magnetic stripe; `None` where it takes none.
    pub stripe: Option<Stripe>,
    /// How mail and telephone orders are said; `None` where the host takes none.
    pub moto: Option<Moto>,
    /// How the issuer is told what became of its scripts; `None` where the host does not want to know.
    pub scripts: Option<Scripts>,
    /// How the host is asked for parameters of the EMV kernel; `None` where it has none.
    pub downloads: Option<Downloads>,
    /// How a batch is closed; `None` where the host closes it by itself.
    pub settlement: Option<Settlement>,
    /// The elements whose content is the host's own.
    pub elements: Elements,
    /// How messages are coded.
    pub codec: Profile,
}

/// What each kind of message has in the elements that hosts fill in their own way.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Elements {
    /// Sign-on and echo test.
    pub network: Layout,
    /// Requests of transactions, and their reversals.
    pub request: Layout,
    /// What names the original, in a request that has one.
    pub original: Layout,
    /// What names the request, in its reversal.
    pub reversal: Layout,
    /// Reconciliation.
    pub settlement: Layout,
    /// Batch upload.
    pub upload: Layout,
    /// A transaction certificate in a batch upload.
    pub certificate: Layout,
}

/// Cards that are swiped: their requests have no DE 23 and no DE 55, and say in DE 22 that it is so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stripe {
    /// The services that they have, by their names in the API.
    pub services: Vec<String>,
}

/// What tells the messages of one service from those of another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The message type of the request; the answer's follows from it.
    #[serde(deserialize_with = "mti")]
    pub mti: Mti,
    /// DE 3.
    pub processing_code: String,
    /// DE 25.
    pub condition_code: String,
    /// The type of the message, for hosts that want one (UnionPay's DE 60.1).
    #[serde(default)]
    pub message_type: String,
    /// How the card is read.
    pub card: CardFlow,
    /// Whether the cardholder enters a PIN where the card is only identified.
    #[serde(default)]
    pub pin: bool,
    /// The most that may be asked for, in percent of what the original holds; 100 where nothing is said.
    #[serde(default = "whole")]
    pub percent: u16,
    /// How it is paid in instalments; `None` where it can't be.
    pub instalments: Option<Instalments>,
}

/// How a sale says that it is paid in instalments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instalments {
    /// DE 25 of the sale, and of what voids or refunds it.
    pub condition_code: String,
    /// The binary data element that has their number, in two ASCII digits.
    pub field: u8,
    /// The numbers that the host takes, each 2 to 99.
    pub plans: Vec<u8>,
}

/// Store-and-forward: sales that card and terminal approve without the host, which it is told of afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offline {
    /// The message that tells of one.
    pub advice: Service,
    /// Whether a card may also approve when it asked for the host and that could not be reached.
    pub unreachable: bool,
    /// The codes (DE 39) after which an advice is sent again. `00` acknowledges one, and any other refuses it for good.
    pub again: Vec<String>,
}

/// Mail and telephone orders: the card is not there, and its number was keyed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moto {
    /// The services that a keyed card can have, as in [`Host::services`].
    pub services: Vec<String>,
    /// DE 25 of their requests and reversals, in place of the service's own.
    pub condition_code: String,
    /// The binary element that has the card in place of DE 35: the equivalent of track 2, enciphered as that is.
    pub field: u8,
    /// Whether its security code is asked for, and goes along in there.
    pub security_code: bool,
}

/// The message that tells what became of the issuer's scripts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scripts {
    /// The message type.
    #[serde(deserialize_with = "mti")]
    pub mti: Mti,
    /// The type of the message, for hosts that want one (UnionPay's DE 60.1).
    #[serde(default)]
    pub message_type: String,
    /// Its network management code.
    pub network_code: String,
    /// The codes (DE 39) after which it is sent again. `00` acknowledges it, and any other refuses it for good.
    pub again: Vec<String>,
}

/// Parameters that the host has: for the terminal's EMV kernel, a set of records for each kind, and for the terminal itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Downloads {
    /// The binary element with what is asked for, and with what is answered.
    pub field: u8,
    /// The type of the messages, for hosts that want one (UnionPay's DE 60.1).
    #[serde(default)]
    pub message_type: String,
    /// The message type that asks which records there are.
    #[serde(deserialize_with = "mti")]
    pub list_mti: Mti,
    /// The message type that asks for one record, and that says that all were taken.
    #[serde(deserialize_with = "mti")]
    pub record_mti: Mti,
    /// The hexadecimal digit of the frame's header, counted from 0, in which an answer to the sign-on says what is due.
    pub due_digit: Option<usize>,
    /// Certification authority public keys.
    pub capks: DownloadSet,
    /// The applications that the terminal accepts.
    pub applications: DownloadSet,
    /// What the host says of the terminal itself; `None` where it says nothing.
    pub terminal: Option<TerminalDownload>,
}

/// How the host is asked what it says of the terminal: values one after the other, each behind a tag of two characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalDownload {
    /// The network management code.
    pub code: String,
    /// The digit in an answer's header that says that it is due.
    pub due: Option<char>,
    /// All tags that there are.
    pub parameters: Vec<TerminalParameter>,
}

/// A value that a host says of the terminal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalParameter {
    /// Its tag.
    pub tag: String,
    /// How many bytes its value has.
    pub length: usize,
    /// What it is; `None` passes over it.
    pub is: Option<TerminalValue>,
}

/// What a host may say of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TerminalValue {
    /// How long its answers are to be waited for: decimal digits, in seconds.
    AnswerTimeout,
    /// Whether tips may be added afterwards: `0` or `1`.
    Tips,
    /// The most that such tips may be, in percent of the sale: decimal digits.
    TipPercent,
    /// The merchant's name, for receipts: GBK, filled with spaces.
    MerchantName,
}

/// How one set is asked for: network management codes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownloadSet {
    /// Which records there are.
    pub list: String,
    /// One of them.
    pub record: String,
    /// All were taken.
    pub end: String,
    /// The digit in an answer's header that says that this set is due.
    pub due: Option<char>,
}

impl Downloads {
    /// Whether an answer with this frame `header` says that what has the digit `due` is due.
    #[must_use]
    pub fn is_due(&self, due: Option<char>, header: &[u8]) -> bool {
        let Some((digit, due)) = self.due_digit.zip(due) else { return false };
        let Some(byte) = header.get(digit / 2) else { return false };
        let nibble = if digit.is_multiple_of(2) { byte >> 4 } else { byte & 0x0F };
        due.to_digit(16) == Some(nibble.into())
    }
}

/// How far a service goes with the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardFlow {
    /// A whole EMV transaction: the card gives a cryptogram, and has the last word.
    Full,
    /// The card only says who it is.
    Identify,
    /// The card is not there: the original stands for it.
    None,
}

/// How a batch is closed: reconciliation of the sums, and where they differ, the upload of the batch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// The message type of the reconciliation request.
    #[serde(deserialize_with = "mti")]
    pub mti: Mti,
    /// The message type of the upload.
    #[serde(deserialize_with = "mti")]
    pub upload_mti: Mti,
    /// The type of the message, for hosts that want one (UnionPay's DE 60.1).
    #[serde(default)]
    pub message_type: String,
    /// The network management code of the reconciliation, and of the upload's groups of transactions.
    pub network_code: String,
    /// The network management code of the message that ends the upload of a batch whose sums differ.
    pub end_network_code: String,
    /// Where the sums are.
    pub sums: Sums,
    /// The most transactions in one message of the upload, 1 to 99.
    pub group: u8,
    /// Who settles, where nobody says it.
    #[serde(default)]
    pub operator: String,
    /// The codes (DE 39) after which a message of the upload is sent again.
    #[serde(default)]
    pub again: Vec<String>,
    /// How the host gets the transaction certificates of the batch; `None` where it does not want them.
    pub certificates: Option<TransactionCertificates>,
}

/// What the cards said last of what was approved online with a chip: their transaction certificates (EMV Book 3, 6.5.5), which
/// the host gets before the batch is closed, also where the sums are equal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionCertificates {
    /// The network management code of one in a batch whose sums are equal.
    pub balanced: String,
    /// The network management code of one in a batch whose sums differ.
    pub unbalanced: String,
    /// The network management code of the message that ends the upload of a batch whose sums are equal.
    pub end_network_code: String,
}

/// Where the sums of a batch are in its reconciliation, and the host's verdict on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sums {
    /// All in DE 48, as UnionPay packs them.
    Packed,
    /// Each in its element, as ISO 8583:1987 has them: 74, 76, 86 and 88; the verdict in 66.
    Elements,
}

fn whole() -> u16 {
    100
}

fn mti<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mti, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = (text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(&text);
    // Four decimal digits, each of them a BCD nibble.
    digits.and_then(|text| u16::from_str_radix(text, 16).ok()).map(Mti).ok_or_else(|| {
        de::Error::custom(format!("`{text}` is no message type: write four digits, such as \"0200\""))
    })
}

/// How long to wait for the host, in seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// For the TLS session to be up.
    pub connect_s: u16,
    /// For an answer, from the last byte of the request.
    pub answer_s: u16,
    /// Between two attempts at a reversal: the first pauses, then the last one again and again.
    pub reversal_retry_s: Vec<u16>,
}

/// How a terminal keeps its connection to the host, and finds another way where there is none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Whether one connection stays open between transactions; else each exchange has its own.
    pub persistent: bool,
    /// The longest pauses before a kept connection that broke is made again: the first ones, then the last one again and
    /// again, in seconds.
    pub retry_s: Vec<u16>,
    /// How long a further address of the host is called before the first one is tried again, in seconds.
    pub first_again_s: u32,
    /// The echo test on a kept connection; `None` where the host has none.
    pub echo: Option<Echo>,
}

/// The echo test: a message that asks nothing but to be answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Echo {
    /// A kept connection that was quiet for this long is tested, in seconds.
    pub after_s: u16,
    /// The message type of the request.
    #[serde(deserialize_with = "mti")]
    pub mti: Mti,
    /// The type of the message, for hosts that want one (UnionPay's DE 60.1).
    #[serde(default)]
    pub message_type: String,
    /// Its network management code.
    pub network_code: String,
}

/// The answer codes (DE 39) of reversals.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reversal {
    /// Why: no answer arrived in time.
    pub no_answer: String,
    /// Why: the answer's MAC was wrong.
    pub bad_mac: String,
    /// Why: the terminal failed, or the card refused what the host had approved.
    pub error: String,
    /// The host's codes that end a reversal: it is undone, or was never booked.
    pub acknowledged: Vec<String>,
}

/// The sign-on (0800), which brings the working keys where the host sends any.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignOn {
    /// The type of the message, for hosts that want one (UnionPay's DE 60.1).
    #[serde(default)]
    pub message_type: String,
    /// Network management information code: what the terminal wants, such as which keys.
    pub network_code: String,
    /// The codes (DE 39) after which the terminal signs on again before anything else.
    pub again_on: Vec<String>,
    /// How far the host's clock (DE 12 and 13) and the terminal's may be apart before the operator is told, in seconds.
    pub clock_limit_s: u32,
    /// Where the keys are in the answer; `None` where it brings none.
    pub keys: Option<KeyDownload>,
}

/// How messages are protected, and what they say of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// The slot of the key that makes MACs; its name tells how they are made.
    pub mac_key: String,
    /// Security related control information (DE 53) of a request with a PIN block: its format, the keys, whether the track is
    /// enciphered; `None` where the host wants none.
    pub with_pin: Option<String>,
    /// The same of a request without a PIN block.
    pub without_pin: Option<String>,
    /// The binary element for the key serial number of DUKPT, in each request with a MAC; `None` where the keys come with the
    /// sign-on.
    pub serial_field: Option<u8>,
}

/// Where the working keys are in the answer to the sign-on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyDownload {
    /// The slot of the master key that they are enciphered under; they have its algorithm.
    pub under: String,
    /// The data element.
    pub field: u8,
    /// Its parts, in order and without gaps.
    pub parts: Vec<KeyPart>,
}

/// One working key, encrypted under the terminal master key, and its check value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPart {
    /// The key slot that it goes to: `pik`, `mak`, `mak-x919` or `tdk`.
    pub slot: String,
    /// Length of the encrypted key, in bytes.
    pub key_bytes: usize,
    /// Length of the check value, in bytes.
    pub check_bytes: usize,
}

/// A working key as the host sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrappedKey<'a> {
    /// The key slot that it goes to.
    pub slot: &'a str,
    /// The key, encrypted under the terminal master key.
    pub key: &'a [u8],
    /// Its check value.
    pub check: &'a [u8],
}

impl KeyDownload {
    /// Cuts `content` into its keys. `None` if its length is not that of all parts.
    #[must_use]
    pub fn split<'a>(&'a self, content: &'a [u8]) -> Option<Vec<WrappedKey<'a>>> {
        let mut rest = content;
        let mut keys = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let (key, after) = rest.split_at_checked(part.key_bytes)?;
            let (check, after) = after.split_at_checked(part.check_bytes)?;
            keys.push(WrappedKey { slot: &part.slot, key, check });
            rest = after;
        }
        rest.is_empty().then_some(keys)
    }
}
