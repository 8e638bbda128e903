//! The named cards: one TOML file each, compiled in.

use keys::{Pan, Pin, TdesKey};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::applet::PIN_TRIES;
use crate::certificate::RsaKey;
use crate::scheme::Scheme;
use crate::stripe::Stripe;
use crate::{Error, hexadecimal};

macro_rules! sources {
    ($($name:literal),+ $(,)?) => { [$(($name, include_str!(concat!("../profiles/", $name, ".toml")))),+] };
}

const SOURCES: &[(&str, &str)] = &sources![
    "unionpay-credit",
    "unionpay-debit-pin",
    "visa",
    "mastercard",
    "two-applications",
    "no-pse",
    "t0-exchange",
    "co-branded",
    "wants-confirmation",
    "impostor",
    "psam",
    "approves-offline",
    "offline-pin",
    "offline-pin-enciphered",
    "offline-pin-own-key",
    "offline-pin-and-signature",
    "offline-pin-last-try",
    "offline-pin-blocked",
    "declined",
    "declines-second",
    "refuses-arpc",
    "insufficient",
    "expired",
    "bad-certificate",
    "cda",
    "cda-wrong-first",
    "cda-wrong-second",
    "blocked-application",
    "blocked-card",
    "chip-mute",
    "removed-early",
    "stripe-only",
    "stripe-track-2",
    "stripe-damaged",
];

/// The card whose name takes a parameter: `removed-early:N`.
const REMOVED_EARLY: &str = "removed-early";

/// One card, as its issuer knows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name that [`crate::load`] takes.
    #[serde(skip)]
    pub name: String,
    /// What is special about it, in one line.
    pub description: String,
    #[serde(deserialize_with = "scheme")]
    pub(crate) scheme: Scheme,
    /// The primary account number.
    #[serde(deserialize_with = "pan")]
    pub pan: Pan,
    /// PAN sequence number, tag 5F34 (BCD).
    #[serde(deserialize_with = "byte")]
    pub psn: u8,
    /// Cardholder name, tag 5F20.
    pub cardholder: String,
    /// Application effective date, BCD YYMMDD.
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub effective: [u8; 3],
    /// Application expiration date, BCD YYMMDD.
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub expiry: [u8; 3],
    /// The PIN, online and offline; a card without one has none.
    #[serde(default, deserialize_with = "pin")]
    pub pin: Option<Pin>,
    /// How many tries the offline PIN has left when the card is new.
    #[serde(default = "pin_tries")]
    pub(crate) pin_tries: u8,
    /// Its key for enciphered PINs, where that is not the one that it authenticates itself with.
    pub(crate) pin_key: Option<RsaKey>,
    /// What the issuer lets the cardholder spend, in minor units.
    pub available: u64,
    /// CVM list, tag 8E.
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) cvm_list: Vec<u8>,
    pub(crate) iac: ActionCodes,
    #[serde(default)]
    pub(crate) behaviour: Behaviour,
    #[serde(rename = "application")]
    pub(crate) applications: Vec<Application>,
    #[serde(default)]
    pub(crate) stripe: Stripe,
    /// An application that pays nothing.
    pub(crate) membership: Option<Membership>,
}

/// The application of a shop whose customers are members; it knows nothing of the account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Membership {
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) aid: Vec<u8>,
    /// What is printed on the card.
    pub(crate) number: String,
    /// The name that it answers SELECT with, where that is not its own.
    #[serde(default, deserialize_with = "hexadecimal::deserialize")]
    pub(crate) answers_as: Vec<u8>,
}

/// Issuer action codes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActionCodes {
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) default: [u8; 5],
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) denial: [u8; 5],
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) online: [u8; 5],
}

/// An application on the card. All applications of a card share its account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Application {
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) aid: Vec<u8>,
    pub(crate) label: String,
    /// 1 is the highest.
    pub(crate) priority: u8,
    /// Whether the cardholder has to confirm it.
    #[serde(default)]
    pub(crate) confirmation: bool,
}

/// How this card differs from a good one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Behaviour {
    /// Approves up to this amount (minor units) without its issuer.
    pub(crate) offline_limit: u64,
    /// AAC to the first GENERATE AC.
    pub(crate) declines_first: bool,
    /// AAC to the second GENERATE AC.
    pub(crate) declines_second: bool,
    /// Takes every ARPC for wrong.
    pub(crate) refuses_arpc: bool,
    /// Its ICC public key certificate has a flipped bit.
    pub(crate) damaged_certificate: bool,
    /// Signs its cryptograms where it is asked to (CDA).
    pub(crate) combined: bool,
    /// The GENERATE AC, 1 or 2, that gets a wrong signature.
    pub(crate) wrong_signature: Option<u8>,
    /// Answers outgoing data as T=0 does: 61xx, 6Cxx.
    pub(crate) t0: bool,
    /// Has no payment system environment.
    pub(crate) no_pse: bool,
    pub(crate) application_blocked: bool,
    pub(crate) card_blocked: bool,
    /// No answer to reset.
    pub(crate) mute: bool,
    /// Pulled out when this APDU arrives, counted from 1 since it was inserted.
    pub(crate) removed_at: Option<u32>,
}

impl Application {
    /// Application priority indicator, tag 87.
    pub(crate) fn priority_indicator(&self) -> u8 {
        self.priority | if self.confirmation { 0x80 } else { 0 }
    }
}

impl Profile {
    /// What is printed beside the signature: of a virtual card, which is no secret, the last three digits of its number.
    #[must_use]
    pub fn security_code(&self) -> String {
        let digits = self.pan.digits();
        digits.get(digits.len().saturating_sub(3)..).unwrap_or_default().to_owned()
    }

    /// The profile of that name; `removed-early:N` chooses the APDU.
    pub(crate) fn load(name: &str) -> Result<Self, Error> {
        let (base, parameter) = match name.split_once(':') {
            Some((base, parameter)) => (base, Some(parameter)),
            None => (name, None),
        };
        let (_, source) = SOURCES.iter().find(|(known, _)| *known == base).ok_or_else(|| {
            Error::UnknownCard { name: name.into(), known: names().collect::<Vec<_>>().join(", ") }
        })?;
        let mut profile: Self = toml::from_str(source)
            .map_err(|error| Error::Profile { name: base.into(), reason: error.to_string() })?;
        if let Some(parameter) = parameter {
            let index = parameter.parse().ok().filter(|index| *index > 0 && base == REMOVED_EARLY);
            profile.behaviour.removed_at = Some(index.ok_or_else(|| Error::Parameter { name: name.into() })?);
        }
        profile.name = name.into();
        Ok(profile)
    }

    /// The issuer master key for application cryptograms (Book 2 A1.4).
    pub fn imk(&self) -> &TdesKey {
        &self.scheme.imk
    }

    /// The key from which the card's secure messaging keys derive; issuer scripts are sealed with it.
    pub fn imk_smi(&self) -> &TdesKey {
        &self.scheme.imk_smi
    }

    /// The key that PINs for this card are enciphered with (Book 2 clause 7.1).
    pub(crate) fn pin_encipherment_key(&self) -> &RsaKey {
        self.pin_key.as_ref().unwrap_or(&self.scheme.icc)
    }

    /// The modulus and the public exponent of the key that PINs for this card are enciphered with, big endian.
    pub fn pin_key(&self) -> (&[u8], &[u8]) {
        let key = self.pin_encipherment_key();
        (key.modulus_bytes(), &key.exponent)
    }

    /// Application interchange profile, tag 82.
    pub fn aip(&self) -> [u8; 2] {
        let [first, second] = self.scheme.aip;
        [first | u8::from(self.behaviour.combined), second]
    }
}

/// The names of the cards, the good ones first.
pub fn names() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|(name, _)| *name)
}

/// All cards: the issuer's database.
pub fn profiles() -> impl Iterator<Item = Profile> {
    names().filter_map(|name| Profile::load(name).ok())
}

fn pin_tries() -> u8 {
    PIN_TRIES
}

fn scheme<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scheme, D::Error> {
    Scheme::load(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn pan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pan, D::Error> {
    Pan::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn pin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Pin>, D::Error> {
    Pin::new(&String::deserialize(deserializer)?).map(Some).map_err(D::Error::custom)
}

fn byte<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    hexadecimal::deserialize(deserializer).map(|[byte]: [u8; 1]| byte)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_named_card_loads_and_its_file_is_compiled_in() {
        let files: BTreeSet<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles"))
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(files, names().map(str::to_owned).collect());
        for name in names() {
            Profile::load(name).unwrap();
        }
    }

    #[test]
    fn each_account_number_is_luhn_valid_and_no_other_cards() {
        let pans: BTreeSet<String> = profiles().map(|profile| profile.pan.digits().to_owned()).collect();
        assert_eq!(pans.len(), names().count());
        assert!(profiles().all(|profile| profile.pan.luhn_valid()));
    }

    #[test]
    fn only_removed_early_takes_a_parameter_and_it_counts_from_one() {
        assert_eq!(Profile::load("removed-early:3").unwrap().behaviour.removed_at, Some(3));
        for name in ["removed-early:0", "removed-early:x", "removed-early:", "visa:3"] {
            assert!(matches!(Profile::load(name), Err(Error::Parameter { .. })), "{name}");
        }
        assert!(Profile::load("amex").unwrap_err().to_string().contains("unionpay-credit"));
    }

    #[test]
    fn a_profile_does_not_print_its_secrets() {
        let printed = format!("{:?}", Profile::load("unionpay-debit-pin").unwrap());
        assert!(!printed.contains("123456,") && !printed.contains("\"123456\""));
        assert!(!printed.contains("6217990000000000"));
    }
}
