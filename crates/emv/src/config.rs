//! EMV Book 4 clause 10 and Annex A: what a terminal is configured with. Hex strings may contain spaces.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use sha1::{Digest, Sha1};

use crate::authentication::asks_for_challenge;
use crate::bits::tvr::ActionCode;
use crate::exceptions::Exceptions;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not TOML, or a key is missing, unknown or of the wrong type.
    #[error("EMV configuration: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value is out of its range.
    #[error("EMV configuration of {of}: {problem}")]
    Value {
        /// The terminal, application or key that has the value.
        of: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
}

/// All that the kernel is configured with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The terminal.
    pub terminal: Terminal,
    /// The applications it accepts, in its order of preference.
    pub applications: Vec<Application>,
    /// The certification authority public keys.
    pub capks: Vec<Capk>,
    /// The issuer certificates that are not taken any more.
    pub revoked: Vec<Revoked>,
    /// The cards that are not to be trusted, where the terminal has such a list.
    pub exceptions: Option<Exceptions>,
}

impl Config {
    /// Reads and checks the terminal file, the applications file, and any number of CA key files.
    ///
    /// # Errors
    /// [`ConfigError`] names what is wrong and where. A CA key with a wrong check sum is refused.
    pub fn from_toml_parts(terminal: &str, applications: &str, capks: &[&str]) -> Result<Self, ConfigError> {
        let terminal: Terminal = toml::from_str(terminal)?;
        let applications = toml::from_str::<ApplicationFile>(applications)?.application;
        let (mut all_capks, mut revoked) = (Vec::new(), Vec::new());
        for text in capks {
            let file = toml::from_str::<CapkFile>(text)?;
            all_capks.extend(file.capk);
            revoked.extend(file.revoked);
        }
        terminal.check()?;
        applications.iter().try_for_each(Application::check)?;
        all_capks.iter().try_for_each(Capk::check)?;
        Ok(Self { terminal, applications, capks: all_capks, revoked, exceptions: None })
    }

    /// The CA key of a RID with an index.
    pub(crate) fn capk(&self, rid: &[u8], index: u8) -> Option<&Capk> {
        self.capks.iter().find(|capk| capk.rid == rid && capk.index == [index])
    }
}

impl Config {
    /// Whether this issuer certificate was revoked.
    pub(crate) fn is_revoked(&self, rid: &[u8], index: u8, serial: [u8; 3]) -> bool {
        self.revoked.iter().any(|one| one.rid == rid && one.index == [index] && one.serial == serial)
    }
}

/// The terminal (Book 4 Annex A).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terminal {
    /// 9F35.
    #[serde(deserialize_with = "hex_array")]
    pub terminal_type: [u8; 1],
    /// 9F33.
    #[serde(deserialize_with = "hex_array")]
    pub capabilities: [u8; 3],
    /// 9F40.
    #[serde(deserialize_with = "hex_array")]
    pub additional_capabilities: [u8; 5],
    /// 9F1A, ISO 3166 numeric.
    pub country: u16,
    /// 9F1E, 8 characters.
    pub serial_number: String,
    /// 9F1C, 8 characters.
    pub terminal_id: String,
    /// 9F16, 15 characters.
    pub merchant_id: String,
    /// 9F15.
    #[serde(deserialize_with = "hex_array")]
    pub merchant_category: [u8; 2],
    /// Whether the cardholder is asked when several applications fit.
    pub cardholder_choice: bool,
    /// The languages that the cardholder may be spoken to in, ISO 639-1, the terminal's own first; none where it has but one.
    #[serde(default)]
    pub languages: Vec<String>,
    /// With which cryptograms a signature is asked for, where terminal and card do CDA and Book 2 clause 6.6 leaves it to the
    /// terminal: 1 with an ARQC and with the TC after an approval of the issuer, 2 with the ARQC alone, 3 with that TC
    /// alone, 4 with neither.
    #[serde(default = "every_cryptogram")]
    pub cda_mode: u8,
}

fn every_cryptogram() -> u8 {
    1
}

impl Terminal {
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |problem| Err(ConfigError::Value { of: "the terminal".into(), problem });
        if !self
            .languages
            .iter()
            .all(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_lowercase()))
        {
            return refuse("languages must be ISO 639-1 codes, such as \"zh\"");
        }
        if !matches!(self.code_tables(), [0x00, 0x00 | 0x01]) {
            return refuse(
                "additional_capabilities announce a code table other than ISO/IEC 8859-1: clear it",
            );
        }
        if !matches!(self.terminal_type, [0x11..=0x16 | 0x21..=0x26 | 0x34..=0x36]) {
            return refuse("terminal_type must be 11 to 16, 21 to 26 or 34 to 36 (Book 4, Annex A1)");
        }
        if !(1..=4).contains(&self.cda_mode) {
            return refuse("cda_mode must be 1, 2, 3 or 4");
        }
        if self.country > 999 {
            return refuse("country is not an ISO 3166 numeric code");
        }
        if self.serial_number.len() != 8 || self.terminal_id.len() != 8 || self.merchant_id.len() != 15 {
            return refuse("serial_number and terminal_id need 8 characters, merchant_id 15");
        }
        Ok(())
    }

    /// Whether the first GENERATE AC asks for a signature with the ARQC.
    pub(crate) fn wants_arqc_signed(&self) -> bool {
        matches!(self.cda_mode, 1 | 2)
    }

    /// Whether the second GENERATE AC asks for a signature with the TC where the issuer has approved.
    pub(crate) fn wants_approval_signed(&self) -> bool {
        matches!(self.cda_mode, 1 | 3)
    }

    /// Book 4 Annex A3, bytes 4 and 5: which parts of ISO/IEC 8859 can be shown, the highest bit for part 10.
    fn code_tables(&self) -> [u8; 2] {
        let [.., fourth, fifth] = self.additional_capabilities;
        [fourth & 0x03, fifth]
    }

    pub(crate) fn shows_latin_1(&self) -> bool {
        self.code_tables() == [0x00, 0x01]
    }

    /// Book 4 Annex A1: last digit 1 or 4 is online only.
    pub(crate) fn is_online_only(&self) -> bool {
        let [kind] = self.terminal_type;
        matches!(kind & 0x0F, 1 | 4)
    }

    /// Book 4 Annex A1: last digit 3 or 6 is offline only.
    pub(crate) fn is_offline_only(&self) -> bool {
        let [kind] = self.terminal_type;
        matches!(kind & 0x0F, 3 | 6)
    }

    /// Book 4 Annex A1: last digit 4, 5 or 6 is unattended.
    pub(crate) fn is_unattended(&self) -> bool {
        let [kind] = self.terminal_type;
        matches!(kind & 0x0F, 4..=6)
    }

    /// Book 4 Annex A1: types 14, 15 and 16 that dispense cash are ATMs.
    pub(crate) fn is_atm(&self) -> bool {
        let [kind] = self.terminal_type;
        let [services, ..] = self.additional_capabilities;
        matches!(kind, 0x14..=0x16) && services & 0x80 != 0
    }
}

/// One application that the terminal accepts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// For people.
    pub name: String,
    /// 9F06, 5 to 16 bytes.
    #[serde(deserialize_with = "hex_bytes")]
    pub aid: Vec<u8>,
    /// Whether a longer AID on the card that starts with this one is accepted (Application Selection Indicator).
    pub partial: bool,
    /// 9F09.
    #[serde(deserialize_with = "hex_array")]
    pub version: [u8; 2],
    /// 9F1B, minor units.
    pub floor_limit: u32,
    /// Threshold Value for Biased Random Selection, minor units.
    pub random_threshold: u32,
    /// Target Percentage to be Used for Random Selection, 0 to 99.
    pub random_target_percent: u8,
    /// Maximum Target Percentage to be used for Biased Random Selection, 0 to 99.
    pub random_max_percent: u8,
    /// Terminal Action Code - Denial.
    #[serde(deserialize_with = "hex_array")]
    pub tac_denial: ActionCode,
    /// Terminal Action Code - Online.
    #[serde(deserialize_with = "hex_array")]
    pub tac_online: ActionCode,
    /// Terminal Action Code - Default.
    #[serde(deserialize_with = "hex_array")]
    pub tac_default: ActionCode,
    /// Default DDOL; it must ask for the unpredictable number.
    #[serde(deserialize_with = "hex_bytes")]
    pub ddol: Vec<u8>,
    /// Default TDOL, may be left out.
    #[serde(default, deserialize_with = "hex_bytes")]
    pub tdol: Vec<u8>,
}

impl Application {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |problem| Err(ConfigError::Value { of: self.name.clone(), problem });
        if !(5..=16).contains(&self.aid.len()) {
            return refuse("an AID has 5 to 16 bytes");
        }
        if self.random_target_percent > self.random_max_percent || self.random_max_percent > 99 {
            return refuse("random_target_percent must not exceed random_max_percent, nor that 99");
        }
        if tlv::Dol::new(&self.ddol).total_length().is_err()
            || tlv::Dol::new(&self.tdol).total_length().is_err()
        {
            return refuse("ddol or tdol is not a list of tags and lengths");
        }
        if !asks_for_challenge(&self.ddol) {
            return refuse("ddol must ask for the unpredictable number with all its bytes, 9F37 04");
        }
        Ok(())
    }
}

/// A certification authority public key (Book 2 clause 11.2).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capk {
    /// The scheme.
    #[serde(deserialize_with = "hex_array")]
    pub rid: [u8; 5],
    /// Which of the scheme's keys.
    #[serde(deserialize_with = "hex_array")]
    pub index: [u8; 1],
    /// 3 or 65537, big endian.
    #[serde(deserialize_with = "hex_bytes")]
    pub exponent: Vec<u8>,
    /// 64 to 248 bytes, big endian.
    #[serde(deserialize_with = "hex_bytes")]
    pub modulus: Vec<u8>,
    /// Not used after this day, `YYYY-MM-DD`.
    pub expiry: String,
    /// Of RID, index, modulus and exponent.
    #[serde(deserialize_with = "hex_array")]
    pub sha1: [u8; 20],
}

impl Capk {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let of = || format!("CA key {} of {}", hex::encode_upper(self.index), hex::encode_upper(self.rid));
        let refuse = |problem| Err(ConfigError::Value { of: of(), problem });
        if !(64..=248).contains(&self.modulus.len()) || self.modulus.last().is_none_or(|last| last & 1 == 0) {
            return refuse("the modulus must be odd and have 64 to 248 bytes");
        }
        if !matches!(self.exponent.as_slice(), [3] | [1, 0, 1]) {
            return refuse("the exponent must be 03 or 010001");
        }
        if self.expiry_bcd().is_none() {
            return refuse("expiry must be a date, YYYY-MM-DD, from 2000 to 2099");
        }
        let sum = Sha1::new()
            .chain_update(self.rid)
            .chain_update(self.index)
            .chain_update(&self.modulus)
            .chain_update(&self.exponent)
            .finalize();
        if sum.as_slice() != self.sha1 {
            return refuse("the SHA-1 check sum does not match: compare the key with its source");
        }
        Ok(())
    }

    /// The expiry as BCD YYMMDD.
    pub(crate) fn expiry_bcd(&self) -> Option<[u8; 3]> {
        let text = self.expiry.strip_prefix("20")?;
        let mut parts =
            text.split('-').map(|part| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok()));
        let mut part = || parts.next().flatten().flatten();
        let date = [part()?, part()?, part()?];
        let all_digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        (all_digits && text.len() == 8).then_some(date)
    }
}

/// An issuer certificate that its payment system has revoked (Book 2 clauses 5.1.2 and 6.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// The scheme.
    #[serde(deserialize_with = "hex_array")]
    pub rid: [u8; 5],
    /// Which of the scheme's keys signed it.
    #[serde(deserialize_with = "hex_array")]
    pub index: [u8; 1],
    /// Its serial number.
    #[serde(deserialize_with = "hex_array")]
    pub serial: [u8; 3],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplicationFile {
    application: Vec<Application>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CapkFile {
    #[serde(default)]
    capk: Vec<Capk>,
    #[serde(default)]
    revoked: Vec<Revoked>,
}

fn hex_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits: String = text.split_whitespace().collect();
    hex::decode(digits).map_err(|_| D::Error::custom("expected pairs of hex digits"))
}

pub(crate) fn hex_array<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    let bytes = hex_bytes(deserializer)?;
    <[u8; N]>::try_from(bytes).map_err(|_| D::Error::custom(format_args!("expected {N} bytes in hex")))
}
