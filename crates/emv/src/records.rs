//! EMV parameters as UnionPay's hosts send them: a record of BER-TLV objects for each CA key and each application. The host's
//! page, `docs/host-unionpay-direct.md`, has the table of tags.
//!
//! Objects that this kernel does not use (those of contactless and of electronic cash) are passed over; one that comes twice
//! makes a record ambiguous, and is refused.

use tlv::{Reader, Tag, tags};

use crate::{Application, Capk, Config, ConfigError};

/// The most records in one set.
const MAX_RECORDS: usize = 100;
/// The most bytes in one record.
const MAX_RECORD: usize = 512;

const SELECTION_INDICATOR: Tag = Tag::new(0xDF01);
const MODULUS: Tag = Tag::new(0xDF02);
const CHECK_SUM: Tag = Tag::new(0xDF03);
const EXPONENT: Tag = Tag::new(0xDF04);
const EXPIRY: Tag = Tag::new(0xDF05);
const HASH_ALGORITHM: Tag = Tag::new(0xDF06);
const KEY_ALGORITHM: Tag = Tag::new(0xDF07);
const TAC_DEFAULT: Tag = Tag::new(0xDF11);
const TAC_ONLINE: Tag = Tag::new(0xDF12);
const TAC_DENIAL: Tag = Tag::new(0xDF13);
const DDOL: Tag = Tag::new(0xDF14);
const RANDOM_THRESHOLD: Tag = Tag::new(0xDF15);
const RANDOM_MAX_PERCENT: Tag = Tag::new(0xDF16);
const RANDOM_TARGET_PERCENT: Tag = Tag::new(0xDF17);

impl Config {
    /// This configuration with the CA keys of `records` in place of its own.
    ///
    /// # Errors
    /// [`ConfigError`] names the first record that is no key, or the second one of a key; too many, or none.
    pub fn with_capks(&self, records: &[impl AsRef<[u8]>]) -> Result<Config, ConfigError> {
        check_count(records.len(), "the set of CA keys")?;
        let mut capks: Vec<Capk> = Vec::with_capacity(records.len());
        for record in records {
            let capk = Capk::from_record(record.as_ref())?;
            if is_among(&capks, |known| known.rid == capk.rid && known.index == capk.index) {
                return refuse(capk.described(), "the set has it twice");
            }
            capks.push(capk);
        }
        Ok(Config { capks, ..self.clone() })
    }

    /// This configuration with the applications of `records` in place of its own. What a record does not say, the name and the
    /// default TDOL, is that of our own application with the same AID.
    ///
    /// # Errors
    /// As of [`Config::with_capks`].
    pub fn with_applications(&self, records: &[impl AsRef<[u8]>]) -> Result<Config, ConfigError> {
        check_count(records.len(), "the set of applications")?;
        let mut applications: Vec<Application> = Vec::with_capacity(records.len());
        for record in records {
            let mut application = Application::from_record(record.as_ref())?;
            if is_among(&applications, |known| known.aid == application.aid) {
                return refuse(application.name, "the set has it twice");
            }
            if let Some(own) = self.applications.iter().find(|own| own.aid == application.aid) {
                application.name.clone_from(&own.name);
                application.tdol.clone_from(&own.tdol);
            }
            applications.push(application);
        }
        Ok(Config { applications, ..self.clone() })
    }
}

fn is_among<T>(all: &[T], same: impl Fn(&T) -> bool) -> bool {
    all.iter().any(same)
}

fn check_count(count: usize, of: &str) -> Result<(), ConfigError> {
    if (1..=MAX_RECORDS).contains(&count) {
        return Ok(());
    }
    refuse(of.to_owned(), "it must have 1 to 100 records")
}

fn refuse<T>(of: String, problem: &'static str) -> Result<T, ConfigError> {
    Err(ConfigError::Value { of, problem })
}

impl Capk {
    /// Reads and checks a key: 9F06 (the RID alone), 9F22, DF05 (the expiry, eight ASCII digits), DF06 and DF07 (`01`: SHA-1,
    /// RSA), DF02, DF04, DF03.
    fn from_record(bytes: &[u8]) -> Result<Capk, ConfigError> {
        let mut record = Record::read(bytes, "a CA key")?;
        let rid = record.array(tags::AID, "9F06 must be a RID of 5 bytes")?;
        let index = record.array(tags::CAPK_INDEX_TERMINAL, "9F22, the index, must have 1 byte")?;
        let mut capk = Capk {
            rid,
            index,
            exponent: record.required(EXPONENT, "DF04, the exponent, is missing")?.to_vec(),
            modulus: record.required(MODULUS, "DF02, the modulus, is missing")?.to_vec(),
            expiry: String::new(),
            sha1: [0; 20],
        };
        record.of = capk.described();
        if record.array(HASH_ALGORITHM, "DF06 must have 1 byte")? != [1]
            || record.array(KEY_ALGORITHM, "DF07 must have 1 byte")? != [1]
        {
            return refuse(record.of, "DF06 and DF07 must be 01: this kernel knows SHA-1 and RSA");
        }
        capk.sha1 = record.array(CHECK_SUM, "DF03, the SHA-1 check sum, must have 20 bytes")?;
        let expiry = record.array(EXPIRY, "DF05, the expiry, must be YYYYMMDD in ASCII")?;
        capk.expiry = date(&expiry).unwrap_or_default();
        capk.check()?;
        Ok(capk)
    }

    /// For messages.
    fn described(&self) -> String {
        format!("CA key {} of {}", hex::encode_upper(self.index), hex::encode_upper(self.rid))
    }
}

impl Application {
    /// Reads and checks an application: 9F06, DF01 (`00`: a longer AID on the card fits, too), 9F08, DF11 to DF13, 9F1B and DF15
    /// (binary, minor units), DF16 and DF17 (BCD), DF14.
    fn from_record(bytes: &[u8]) -> Result<Application, ConfigError> {
        let mut record = Record::read(bytes, "an application")?;
        let aid = record.required(tags::AID, "9F06, the AID, is missing")?.to_vec();
        record.of = format!("application {}", hex::encode_upper(&aid));
        let [indicator] = record.array(SELECTION_INDICATOR, "DF01 must have 1 byte")?;
        let percent = |record: &Record<'_>, tag| {
            const WRONG: &str = "DF16 and DF17 must be percentages, two digits in BCD";
            let [bcd] = record.array(tag, WRONG)?;
            if bcd >> 4 > 9 || bcd & 0x0F > 9 {
                return refuse(record.of.clone(), WRONG);
            }
            Ok((bcd >> 4) * 10 + (bcd & 0x0F))
        };
        let amount = |tag, problem| record.array(tag, problem).map(u32::from_be_bytes);
        let application = Application {
            name: record.of.clone(),
            partial: match indicator {
                0 => true,
                1 => false,
                _ => return refuse(record.of, "DF01 must be 00 or 01"),
            },
            version: record.array(tags::VERSION_ICC, "9F08, the version, must have 2 bytes")?,
            floor_limit: amount(tags::FLOOR_LIMIT, "9F1B, the floor limit, must have 4 bytes")?,
            random_threshold: amount(RANDOM_THRESHOLD, "DF15, the threshold, must have 4 bytes")?,
            random_target_percent: percent(&record, RANDOM_TARGET_PERCENT)?,
            random_max_percent: percent(&record, RANDOM_MAX_PERCENT)?,
            tac_denial: record.array(TAC_DENIAL, "DF13, an action code, must have 5 bytes")?,
            tac_online: record.array(TAC_ONLINE, "DF12, an action code, must have 5 bytes")?,
            tac_default: record.array(TAC_DEFAULT, "DF11, an action code, must have 5 bytes")?,
            ddol: record.required(DDOL, "DF14, the default DDOL, is missing")?.to_vec(),
            tdol: Vec::new(),
            aid,
        };
        application.check()?;
        Ok(application)
    }
}

/// One record, each object of it once.
struct Record<'a> {
    objects: Vec<(Tag, &'a [u8])>,
    /// For messages.
    of: String,
}

impl<'a> Record<'a> {
    fn read(bytes: &'a [u8], of: &str) -> Result<Record<'a>, ConfigError> {
        let mut record = Record { objects: Vec::new(), of: format!("a record of {of}") };
        if bytes.len() > MAX_RECORD {
            return refuse(record.of, "it is longer than 512 bytes");
        }
        for object in Reader::new(bytes) {
            let Ok(object) = object else { return refuse(record.of, "it is not BER-TLV") };
            if is_among(&record.objects, |(tag, _)| *tag == object.tag) {
                return refuse(record.of, "it has an object twice");
            }
            record.objects.push((object.tag, object.value));
        }
        Ok(record)
    }

    fn required(&self, tag: Tag, problem: &'static str) -> Result<&'a [u8], ConfigError> {
        let found = self.objects.iter().find(|(known, _)| *known == tag).map(|(_, value)| *value);
        found.map_or_else(|| refuse(self.of.clone(), problem), Ok)
    }

    fn array<const N: usize>(&self, tag: Tag, problem: &'static str) -> Result<[u8; N], ConfigError> {
        let value = self.required(tag, problem)?;
        value.try_into().or_else(|_| refuse(self.of.clone(), problem))
    }
}

/// `YYYYMMDD` as `YYYY-MM-DD`, if it may be a day.
fn date(ascii: &[u8; 8]) -> Option<String> {
    let text = ascii.iter().all(u8::is_ascii_digit).then(|| str::from_utf8(ascii).ok()).flatten()?;
    let (year, month, day) = (text.get(..4)?, text.get(4..6)?, text.get(6..)?);
    let range = ("01"..="12").contains(&month) && ("01"..="31").contains(&day);
    range.then(|| format!("{year}-{month}-{day}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// UnionPay's CA key 08 as a host sends it: its modulus and its check sum are published by UnionPay (1152 bits).
    const CAPK: &str = "9F0605A0000003339F220108DF05083230323031323331DF060101DF070101DF028190\
        B61645EDFD5498FB246444037A0FA18C0F101EBD8EFA54573CE6E6A7FBF63ED21D66340852B0211CF5EEF6A1CD989F66\
        AF21A8EB19DBD8DBC3706D135363A0D683D046304F5A836BC1BC632821AFE7A2F75DA3C50AC74C545A754562204137169\
        663CFCC0B06E67E2109EBA41BC67FF20CC8AC80D7B6EE1A95465B3B2657533EA56D92D539E5064360EA4850FED2D1BFDF\
        040103DF0314EE23B616C95C02652AD18860E48787C079E8E85A";
    /// An application with each object that public terminal code names.
    const APPLICATION: &str = "9F0607A0000000031010DF0101009F08020140DF1105D84000A800DF1205D84004F800\
        DF130500100000009F1B0400001770DF150400000064DF160199DF170150DF14039F3704DF1801019F7B06000000010000\
        DF1906000000000001DF2006000000010000DF2106000000010000";

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text.split_whitespace().collect::<String>()).unwrap()
    }

    fn shipped() -> Config {
        let terminal = include_str!("../../../config/emv/terminal.toml");
        Config::from_toml_parts(terminal, include_str!("../../../config/emv/aids.toml"), &[]).unwrap()
    }

    fn problem<T: std::fmt::Debug>(result: Result<T, ConfigError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_published_ca_key_is_read_and_its_check_sum_is_right() {
        let config = shipped().with_capks(&[bytes(CAPK)]).unwrap();
        let [capk] = config.capks.as_slice() else { panic!("one key") };
        assert_eq!((hex::encode_upper(capk.rid).as_str(), capk.index), ("A000000333", [8]));
        assert_eq!((capk.modulus.len(), capk.expiry.as_str()), (144, "2020-12-31"));
        assert_eq!(config.applications, shipped().applications);
    }

    #[test]
    fn an_application_is_read_with_its_limits_and_keeps_our_name_and_tdol() {
        let config = shipped().with_applications(&[bytes(APPLICATION)]).unwrap();
        let [visa] = config.applications.as_slice() else { panic!("one application") };
        assert_eq!((visa.name.as_str(), visa.partial, visa.version), ("Visa", true, [0x01, 0x40]));
        assert_eq!((visa.floor_limit, visa.random_threshold), (6000, 100));
        assert_eq!((visa.random_target_percent, visa.random_max_percent), (50, 99));
        assert_eq!(hex::encode_upper([visa.tac_denial, visa.tac_online].concat()), "0010000000D84004F800");
        assert!(!visa.tdol.is_empty());
    }

    #[test]
    fn what_is_wrong_with_a_key_is_named_with_the_key() {
        for (from, to, expected) in [
            ("B61645", "B61644", "SHA-1"),
            ("DF0314EE", "DF0314EF", "SHA-1"),
            ("9F0605A000000333", "9F0604A0000003", "9F06"),
            ("DF060101", "DF060102", "DF06"),
            ("DF070101", "DF070104", "DF07"),
            ("3230323031323331", "3230323031333331", "expiry"),
            ("3230323031323331", "3230323041323331", "expiry"),
            ("DF040103", "DF040105", "exponent"),
            ("DF060101DF070101", "DF060101DF060101", "twice"),
        ] {
            let record = CAPK.replacen(from, to, 1);
            assert_ne!(record, CAPK);
            let told = problem(shipped().with_capks(&[bytes(&record)]));
            assert!(told.contains(expected), "{from} to {to}: {told}");
        }
        let told = problem(shipped().with_capks(&[bytes(&CAPK.replace("DF040103", "DF040105"))]));
        assert!(told.contains("CA key 08 of A000000333"), "{told}");
    }

    #[test]
    fn what_is_wrong_with_an_application_is_named_with_its_aid() {
        for (from, to, expected) in [
            ("DF010100", "DF010102", "DF01"),
            ("DF160199", "DF16019A", "BCD"),
            ("9F1B0400001770", "9F1B84", "BER-TLV"),
            ("9F1B0400001770", "9F1B03001770", "floor limit"),
            ("DF14039F3704", "DF14039F3604", "unpredictable number"),
            ("9F0607A0000000031010", "9F0604A0000000", "5 to 16"),
        ] {
            let told = problem(shipped().with_applications(&[bytes(&APPLICATION.replacen(from, to, 1))]));
            assert!(told.contains(expected), "{from} to {to}: {told}");
        }
    }

    #[test]
    fn a_set_is_bounded_and_has_each_record_once() {
        let (capk, application) = (bytes(CAPK), bytes(APPLICATION));
        assert!(problem(shipped().with_capks(&[[0; 0]; 0])).contains("1 to 100"));
        assert!(problem(shipped().with_capks(&vec![capk.clone(); 101])).contains("1 to 100"));
        assert!(problem(shipped().with_capks(&[capk.clone(), capk.clone()])).contains("twice"));
        assert!(problem(shipped().with_applications(&[application.clone(), application])).contains("twice"));
        let long = [capk, vec![0; MAX_RECORD]].concat();
        assert!(problem(shipped().with_capks(&[long])).contains("512"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_refused(mut record in proptest::collection::vec(any::<u8>(), 0..64), at in 0_usize..200, byte: u8) {
            let _ = shipped().with_capks(&[&record]);
            record = bytes(APPLICATION);
            if let Some(place) = record.get_mut(at) {
                *place = byte;
            }
            let _ = shipped().with_applications(&[&record]);
        }
    }
}
