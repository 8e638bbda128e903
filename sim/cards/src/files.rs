//! The card's files: environment directory, records, file control information (EMV Book 1 clauses 11.3 and
//! 12.2, Book 3 clauses 5.3 and 7).

use std::collections::BTreeMap;

use tlv::Tag;

use crate::certificate::{self, RsaKey};
use crate::profile::{Application, Membership, Profile};

/// Name of the payment system environment for contact cards.
pub(crate) const ENVIRONMENT: &[u8] = b"1PAY.SYS.DDF01";
/// The directory's short file identifier.
pub(crate) const DIRECTORY: u8 = 1;
/// The transaction log's short file identifier.
pub(crate) const LOG: u8 = 11;
/// The number of transactions in the log.
pub(crate) const LOG_SIZE: u8 = 10;
/// What a log record holds (tag 9F4F): date, amount, currency, type, ATC.
pub(crate) const LOG_FORMAT: [u8; 13] =
    [0x9A, 0x03, 0x9F, 0x02, 0x06, 0x5F, 0x2A, 0x02, 0x9C, 0x01, 0x9F, 0x36, 0x02];

const COUNTRY: [u8; 2] = [0x01, 0x56];
const CURRENCY: [u8; 2] = [0x01, 0x56];
/// Application usage control: all uses, in all countries.
const USAGE: [u8; 2] = [0xFF, 0xC0];
/// International, chip, no restriction.
const SERVICE_CODE: &str = "201";
const DISCRETIONARY_DATA: &str = "0000000000";
/// Track 2, tag 57, is in the first file, which is not signed.
const AFL: [u8; 12] = [0x08, 1, 1, 0, 0x10, 1, 1, 1, 0x18, 1, 2, 0];
/// Of a card with a key for PINs.
const AFL_WITH_PIN_KEY: [u8; 12] = [0x08, 1, 1, 0, 0x10, 1, 1, 1, 0x18, 1, 3, 0];

/// BER-TLV objects in a row.
#[derive(Default)]
pub(crate) struct Objects(Vec<u8>);

impl Objects {
    /// Adds an object. No value of a card comes near the limit of three length bytes.
    pub(crate) fn with(mut self, tag: u32, value: impl AsRef<[u8]>) -> Result<Self, tlv::Error> {
        tlv::write(&mut self.0, Tag::new(tag), value.as_ref())?;
        Ok(self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The objects inside a template.
    pub(crate) fn inside(self, template: u32) -> Result<Vec<u8>, tlv::Error> {
        Ok(Self::default().with(template, self.0)?.0)
    }
}

/// What READ RECORD finds.
#[derive(Debug)]
pub(crate) struct Files {
    /// Of the environment's directory.
    pub(crate) directory: Vec<Vec<u8>>,
    /// Of the applications, by SFI and record number.
    pub(crate) records: BTreeMap<(u8, u8), Vec<u8>>,
}

impl Files {
    /// Writes the files of a card and signs them.
    pub(crate) fn build(profile: &Profile) -> Result<Self, tlv::Error> {
        let signed = account(profile)?;
        let static_data = [&signed[..], &profile.aip()].concat();
        let pin_key = profile.pin_key.as_ref().map(|key| Ok(((3, 3), pin_key(profile, key)?)));
        let records = [
            ((1, 1), magnetic_stripe(profile)?),
            ((2, 1), Objects(signed)),
            ((3, 1), issuer_key(profile)?),
            ((3, 2), icc_key(profile, &static_data)?),
        ];
        let records = records.into_iter().chain(pin_key.transpose()?);
        Ok(Self {
            directory: profile.applications.iter().map(directory_record).collect::<Result<_, _>>()?,
            records: records
                .map(|(place, objects)| Ok((place, objects.inside(0x70)?)))
                .collect::<Result<_, tlv::Error>>()?,
        })
    }
}

/// Application file locator, tag 94: which records a terminal shall read, and which of them are signed.
pub(crate) fn locator(profile: &Profile) -> &'static [u8] {
    if profile.pin_key.is_some() { &AFL_WITH_PIN_KEY } else { &AFL }
}

fn magnetic_stripe(profile: &Profile) -> Result<Objects, tlv::Error> {
    let [year, month, _] = profile.expiry;
    let track_2 = format!("{}D{year:02X}{month:02X}{SERVICE_CODE}{DISCRETIONARY_DATA}", profile.pan.digits());
    Objects::default().with(0x57, nibbles(&track_2))?.with(0x5F20, &profile.cardholder)
}

/// The record that the ICC public key certificate signs, without its template.
fn account(profile: &Profile) -> Result<Vec<u8>, tlv::Error> {
    let objects = Objects::default()
        .with(0x5A, nibbles(profile.pan.digits()))?
        .with(0x5F34, [profile.psn])?
        .with(0x5F25, profile.effective)?
        .with(0x5F24, profile.expiry)?
        .with(0x5F28, COUNTRY)?
        .with(0x9F42, CURRENCY)?
        .with(0x9F07, USAGE)?
        .with(0x9F08, profile.scheme.application_version)?
        .with(0x8C, &profile.scheme.cdol1)?
        .with(0x8D, &profile.scheme.cdol2)?
        .with(0x8E, &profile.cvm_list)?
        .with(0x9F0D, profile.iac.default)?
        .with(0x9F0E, profile.iac.denial)?
        .with(0x9F0F, profile.iac.online)?
        // Static data authentication tag list: the AIP, the only tag allowed in it.
        .with(0x9F4A, [0x82])?;
    Ok(objects.0)
}

fn issuer_key(profile: &Profile) -> Result<Objects, tlv::Error> {
    let scheme = &profile.scheme;
    let mut identifier = [0xFF; 4];
    fill(&mut identifier, &nibbles(profile.pan.digits().get(..6).unwrap_or_default()));
    let key = certificate::issuer(&scheme.ca, &scheme.issuer, identifier);
    Objects::default()
        .with(0x8F, scheme.ca_index)?
        .with(0x90, key.certificate)?
        .with(0x92, key.remainder)?
        .with(0x9F32, key.exponent)
}

fn icc_key(profile: &Profile, static_data: &[u8]) -> Result<Objects, tlv::Error> {
    let scheme = &profile.scheme;
    let mut key = certificate::icc(&scheme.issuer, &scheme.icc, padded_pan(profile), static_data);
    if profile.behaviour.damaged_certificate
        && let Some(byte) = key.certificate.last_mut()
    {
        *byte ^= 0x01;
    }
    Objects::default()
        .with(0x9F46, key.certificate)?
        .with(0x9F47, key.exponent)?
        .with(0x9F48, key.remainder)?
        .with(0x9F49, &scheme.ddol)
}

/// The card's key for PINs.
fn pin_key(profile: &Profile, key: &RsaKey) -> Result<Objects, tlv::Error> {
    let key = certificate::pin_encipherment(&profile.scheme.issuer, key, padded_pan(profile));
    Objects::default().with(0x9F2D, key.certificate)?.with(0x9F2E, key.exponent)?.with(0x9F2F, key.remainder)
}

/// The PAN in ten bytes, as certificates of the card have it.
fn padded_pan(profile: &Profile) -> [u8; 10] {
    let mut pan = [0xFF; 10];
    fill(&mut pan, &nibbles(profile.pan.digits()));
    pan
}

/// One application as the directory shows it (Book 1 clause 12.2.3).
fn directory_record(application: &Application) -> Result<Vec<u8>, tlv::Error> {
    let entry = Objects::default()
        .with(0x4F, &application.aid)?
        .with(0x50, &application.label)?
        .with(0x87, [application.priority_indicator()])?
        .inside(0x61)?;
    Objects(entry).inside(0x70)
}

/// The answer to SELECT of the environment (Book 1 clause 11.3.4).
pub(crate) fn environment_information() -> Result<Vec<u8>, tlv::Error> {
    let proprietary = Objects::default().with(0x88, [DIRECTORY])?.with(0x5F2D, b"zhen")?;
    Objects::default().with(0x84, ENVIRONMENT)?.with(0xA5, proprietary.0)?.inside(0x6F)
}

/// The answer to SELECT of an application.
pub(crate) fn application_information(application: &Application, pdol: &[u8]) -> Result<Vec<u8>, tlv::Error> {
    let log_entry = Objects::default().with(0x9F4D, [LOG, LOG_SIZE])?;
    let mut proprietary =
        Objects::default().with(0x50, &application.label)?.with(0x87, [application.priority_indicator()])?;
    if !pdol.is_empty() {
        proprietary = proprietary.with(0x9F38, pdol)?;
    }
    proprietary = proprietary
        .with(0x5F2D, b"zhen")?
        .with(0x9F11, [0x01])?
        .with(0x9F12, &application.label)?
        .with(0xBF0C, log_entry.0)?;
    Objects::default().with(0x84, &application.aid)?.with(0xA5, proprietary.0)?.inside(0x6F)
}

/// The answer to SELECT of the membership.
pub(crate) fn membership_information(membership: &Membership) -> Result<Vec<u8>, tlv::Error> {
    let proprietary = Objects::default().with(0x50, b"MEMBER")?;
    let name = if membership.answers_as.is_empty() { &membership.aid } else { &membership.answers_as };
    Objects::default().with(0x84, name)?.with(0xA5, proprietary.0)?.inside(0x6F)
}

/// Copies as much as fits; the rest keeps its padding.
fn fill(target: &mut [u8], source: &[u8]) {
    for (to, from) in target.iter_mut().zip(source) {
        *to = *from;
    }
}

/// Digits and the separator D as nibbles, padded with F to whole bytes.
fn nibbles(digits: &str) -> Vec<u8> {
    let values: Vec<u8> = digits
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .filter_map(|value| u8::try_from(value).ok())
        .collect();
    values
        .chunks(2)
        .map(|pair| pair.iter().chain([&0x0F]).take(2).fold(0, |byte, nibble| byte << 4 | nibble))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_number_of_digits_is_padded_with_f() {
        assert_eq!(nibbles("12345D6"), [0x12, 0x34, 0x5D, 0x6F]);
        assert_eq!(nibbles("1234"), [0x12, 0x34]);
    }

    #[test]
    fn the_track_and_the_account_say_the_same() {
        let profile = Profile::load("unionpay-debit-pin").unwrap();
        let files = Files::build(&profile).unwrap();
        let track_2 = tlv::find(&files.records[&(1, 1)], Tag::new(0x57)).unwrap().unwrap();
        let track_2 = keys::Track2::from_bytes(track_2).unwrap();
        let account = tlv::find(&files.records[&(2, 1)], Tag::new(0x5A)).unwrap().unwrap();
        assert_eq!(track_2.pan().digits(), profile.pan.digits());
        assert_eq!(keys::Pan::from_bcd(account).unwrap().digits(), profile.pan.digits());
        assert_eq!(track_2.expiry(), "4912");
    }

    #[test]
    fn every_record_of_every_card_fits_a_short_response() {
        for profile in crate::profiles() {
            for (place, record) in Files::build(&profile).unwrap().records {
                assert!(record.len() <= 256, "{} {place:?}", profile.name);
            }
        }
    }
}
