//! What leaves the card daemon of a card: for the host, for the receipt, for the journal. Nothing in it is
//! secret: what is, the secure module has enciphered.

use emv::{FIELD_55, Kernel};
use keys::pin_block::PinBlock;
use service::options::Dictionary;
use tlv::{Tag, tags};
use zbus::{OwnedVariant, Variant};

use crate::transaction::stripe::{Swiped, Verified};

/// POS entry mode (DE 22): chip, with a PIN for the host in the message.
const CHIP_WITH_PIN: &str = "051";
/// POS entry mode (DE 22): chip, without a PIN in the message. One that the card has verified never leaves the secure module: the
/// CVM results (9F34) tell of it.
const CHIP_WITHOUT_PIN: &str = "052";
/// POS entry mode (DE 22): stripe, with the PIN that was entered.
const STRIPE_WITH_PIN: &str = "021";
/// POS entry mode (DE 22): stripe, without a PIN.
const STRIPE_WITHOUT_PIN: &str = "022";
/// POS entry mode (DE 22): stripe of a card whose chip has failed, with the PIN that was entered.
const FALLBACK_WITH_PIN: &str = "801";
/// POS entry mode (DE 22): stripe of a card whose chip has failed, without a PIN.
const FALLBACK_WITHOUT_PIN: &str = "802";
/// POS entry mode (DE 22): keyed, at a terminal that takes no PIN for it.
const KEYED: &str = "012";

/// Book 4 Annex A5 calls the results of scripts 9F5B; UnionPay's messages have them as this.
const UNIONPAY_SCRIPT_RESULTS: Tag = Tag::new(0xDF31);
/// What goes with them.
const SCRIPT_NOTICE: &[Tag] = &[
    tags::TERMINAL_CAPABILITIES,
    tags::TVR,
    tags::UNPREDICTABLE_NUMBER,
    tags::IFD_SERIAL_NUMBER,
    tags::IAD,
    tags::CRYPTOGRAM,
    tags::ATC,
    tags::AIP,
    tags::TERMINAL_COUNTRY,
    tags::TRANSACTION_DATE,
];

/// What the host needs beyond [`card`], enciphered by the secure module.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// DE 35.
    pub(crate) track2: Vec<u8>,
    /// DE 52, where a PIN was entered.
    pub(crate) pin_block: Option<PinBlock>,
    /// Which keys of DUKPT have enciphered both, where they are such.
    pub(crate) key_serial: Option<[u8; 12]>,
    /// By which the card is known again, where the module makes it.
    pub(crate) token: Option<Vec<u8>>,
}

/// The dictionary of `OnlineRequested`.
pub(crate) fn for_host(kernel: &Kernel, sealed: &Sealed) -> Dictionary {
    put_sealed(card(kernel, sealed.pin_block.is_some()), sealed)
}

fn put_sealed(mut values: Dictionary, sealed: &Sealed) -> Dictionary {
    put(&mut values, "sealed_track2", sealed.track2.clone());
    if let Some(block) = sealed.pin_block {
        put(&mut values, "pin_block", block.as_bytes().to_vec());
    }
    if let Some(serial) = sealed.key_serial {
        put(&mut values, "key_serial", serial.to_vec());
    }
    if let Some(token) = &sealed.token {
        put(&mut values, "token", hexadecimal(token));
    }
    values
}

/// What the host needs later of a card that approved without it.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Track 2, sealed for the terminal's own storage.
    pub(crate) track2: Vec<u8>,
    /// By which the card is known again, where the module makes it.
    pub(crate) token: Option<Vec<u8>>,
}

/// The dictionary of `Completed`; `stored` where the card approved without the host.
pub(crate) fn for_end(
    kernel: &Kernel,
    pin_entered: bool,
    reason: &str,
    stored: Option<Stored>,
) -> Dictionary {
    let mut values = card(kernel, pin_entered);
    if let Some(stored) = stored {
        put(&mut values, "stored_track2", stored.track2);
        if let Some(token) = &stored.token {
            put(&mut values, "token", hexadecimal(token));
        }
    }
    if let Some(data) = script_data(kernel) {
        put(&mut values, "script_data", data);
    }
    put(&mut values, "reason", reason);
    values
}

/// What the issuer is told of the scripts that the card has run, as UnionPay has it in DE 55; `None` where it had none run.
fn script_data(kernel: &Kernel) -> Option<Vec<u8>> {
    let results = element(kernel, tags::visa::SCRIPT_RESULTS)?;
    let mut data = kernel.field_55(SCRIPT_NOTICE).ok()?;
    tlv::write(&mut data, UNIONPAY_SCRIPT_RESULTS, &results).ok()?;
    Some(data)
}

/// What is shown once the card has been read.
pub(crate) fn for_screen(kernel: &Kernel) -> Dictionary {
    let mut values = Dictionary::new();
    put(&mut values, "masked_pan", kernel.masked_pan().unwrap_or_default());
    put(&mut values, "label", kernel.label());
    if let Some(language) = kernel.language() {
        put(&mut values, "language", language);
    }
    values
}

/// The dictionary of `OnlineRequested` for a card that was keyed.
pub(crate) fn keyed_for_host(masked_pan: &str, sealed: Vec<u8>, token: &[u8]) -> Dictionary {
    let mut values = keyed(masked_pan);
    put(&mut values, "sealed_track2", sealed);
    put(&mut values, "token", hexadecimal(token));
    values
}

/// The dictionary of `Completed` for a card that was to be keyed.
pub(crate) fn keyed_for_end(masked_pan: Option<&str>, reason: &str) -> Dictionary {
    let mut values = masked_pan.map(keyed).unwrap_or_default();
    put(&mut values, "reason", reason);
    values
}

/// What is shown once a card has been keyed or swiped.
pub(crate) fn masked_for_screen(masked_pan: &str) -> Dictionary {
    let mut values = Dictionary::new();
    put(&mut values, "masked_pan", masked_pan);
    values
}

/// Nobody is verified whose card is not there.
fn keyed(masked_pan: &str) -> Dictionary {
    let mut values = masked_for_screen(masked_pan);
    put(&mut values, "entry_mode", KEYED);
    put(&mut values, "cvm", "none");
    values
}

/// The dictionary of `OnlineRequested` for a card that was swiped.
pub(crate) fn swiped_for_host(card: &Swiped, verified: Verified, sealed: &Sealed) -> Dictionary {
    put_sealed(swiped(card, verified), sealed)
}

/// The dictionary of `Completed` for a card that was swiped.
pub(crate) fn swiped_for_end(card: &Swiped, verified: Verified, reason: &str) -> Dictionary {
    let mut values = swiped(card, verified);
    put(&mut values, "reason", reason);
    values
}

fn swiped(card: &Swiped, verified: Verified) -> Dictionary {
    let with_pin = verified == Verified::OnlinePin;
    let entry_mode = match (card.fallback, with_pin) {
        (false, true) => STRIPE_WITH_PIN,
        (false, false) => STRIPE_WITHOUT_PIN,
        (true, true) => FALLBACK_WITH_PIN,
        (true, false) => FALLBACK_WITHOUT_PIN,
    };
    let cvm = match verified {
        Verified::OnlinePin => "online-pin",
        Verified::Signature => "signature",
        Verified::None => "none",
    };
    let mut values = masked_for_screen(&card.masked_pan);
    put(&mut values, "entry_mode", entry_mode);
    put(&mut values, "cvm", cvm);
    values
}

/// What is known of the card and of what it said. A card that was not read gives little of it, and one that is only
/// identified has decided nothing.
fn card(kernel: &Kernel, pin_entered: bool) -> Dictionary {
    let mut values = Dictionary::new();
    if let Some(masked) = kernel.masked_pan() {
        put(&mut values, "masked_pan", masked);
    }
    if let Some(sequence) = kernel.psn().and_then(from_bcd) {
        put(&mut values, "pan_sequence", sequence);
    }
    let Some(aid) = kernel.aid() else { return values };
    put(&mut values, "aid", hexadecimal(aid));
    put(&mut values, "label", kernel.label());
    let entry_mode = if pin_entered { CHIP_WITH_PIN } else { CHIP_WITHOUT_PIN };
    put(&mut values, "entry_mode", entry_mode);
    put(&mut values, "cvm", cvm(kernel));
    if kernel.identifies() {
        return values;
    }
    for (key, tag) in [("tvr", tags::TVR), ("tsi", tags::TSI), ("cryptogram", tags::CRYPTOGRAM)] {
        if let Some(value) = element(kernel, tag) {
            put(&mut values, key, hexadecimal(&value));
        }
    }
    // The list holds no sensitive tag, and what it lists fits at its longest: it can't be refused.
    put(&mut values, "chip_data", kernel.field_55(FIELD_55).unwrap_or_default());
    values
}

/// How the cardholder was verified, by the CVM results (9F34, Book 4 Annex A4).
fn cvm(kernel: &Kernel) -> &'static str {
    const FAILED: u8 = 0x01;
    let results = element(kernel, tags::CVM_RESULTS);
    let Some(&[method, _, result]) = results.as_deref() else { return "none" };
    match method & 0x3F {
        _ if result == FAILED => "none",
        0x01 | 0x04 => "offline-pin",
        0x02 => "online-pin",
        0x03 | 0x05 => "offline-pin-and-signature",
        0x1E => "signature",
        _ => "none",
    }
}

/// The value of one data element that is not sensitive.
fn element(kernel: &Kernel, tag: Tag) -> Option<Vec<u8>> {
    let bytes = kernel.field_55(&[tag]).ok()?;
    tlv::find(&bytes, tag).ok().flatten().map(<[u8]>::to_vec)
}

fn from_bcd(byte: u8) -> Option<u8> {
    let (tens, ones) = (byte >> 4, byte & 0x0F);
    (tens < 10 && ones < 10).then(|| tens * 10 + ones)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn put<'v>(values: &mut Dictionary, key: &str, value: impl Into<Variant<'v>>) {
    // Only a value that holds a file descriptor can fail to be owned.
    if let Ok(value) = OwnedVariant::try_from(value.into()) {
        values.insert(key.to_string(), value);
    }
}
