//! What the acquirer's host says of this terminal (`[downloads.terminal]` in its profile, `docs/host-unionpay-direct.md`): a closed
//! list. A host can make the owner's limits tighter, and fill in what the owner leaves open; it can change nothing else.

use std::ops::RangeInclusive;
use std::time::Duration;

use encoding_rs::GBK;
use iso8583::{TerminalParameter, TerminalValue};
use serde::{Deserialize, Serialize};
use service::options::Dictionary;
use zbus::Variant;

/// How long a host may have its answers waited for, in seconds.
const ANSWER_TIMEOUT_S: RangeInclusive<u16> = 20..=80;
/// The characters of a tag.
const TAG: usize = 2;

/// What the host says; what it does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TerminalParameters {
    /// How long its answers are waited for, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_timeout_s: Option<u16>,
    /// Whether tips may be added afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    tips: Option<bool>,
    /// The most that such tips may be, in percent of the sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    tip_percent: Option<u16>,
    /// The merchant's name, for receipts.
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_name: Option<String>,
}

impl TerminalParameters {
    /// Reads what the host sent: of each value its tag, and as many bytes as `known` says.
    ///
    /// # Errors
    /// A tag that is not known, since nobody can tell where its value ends; one that comes twice; a value that is cut, or can't be.
    pub(crate) fn read(known: &[TerminalParameter], bytes: &[u8]) -> Result<TerminalParameters, String> {
        let mut said = TerminalParameters::default();
        let (mut seen, mut rest) = (Vec::new(), bytes);
        while let Some((tag, after)) = rest.split_at_checked(TAG) {
            let named = known.iter().find(|one| one.tag.as_bytes() == tag);
            let named = named.ok_or_else(|| format!("nothing is known of `{}`", tag.escape_ascii()))?;
            if seen.contains(&tag) {
                return Err(format!("`{}` comes twice", named.tag));
            }
            seen.push(tag);
            let cut = || format!("`{}` has not {} bytes", named.tag, named.length);
            let (value, after) = after.split_at_checked(named.length).ok_or_else(cut)?;
            if let Some(is) = named.is {
                said.take(is, value).map_err(|problem| format!("`{}`: {problem}", named.tag))?;
            }
            rest = after;
        }
        if rest.is_empty() { Ok(said) } else { Err("it ends within a tag".to_string()) }
    }

    fn take(&mut self, is: TerminalValue, value: &[u8]) -> Result<(), String> {
        match is {
            TerminalValue::AnswerTimeout => {
                self.answer_timeout_s = number(value)?;
                if let Some(seconds) =
                    self.answer_timeout_s.filter(|seconds| !ANSWER_TIMEOUT_S.contains(seconds))
                {
                    let (least, most) = (ANSWER_TIMEOUT_S.start(), ANSWER_TIMEOUT_S.end());
                    return Err(format!("{seconds} seconds are not {least} to {most}"));
                }
            }
            TerminalValue::Tips => {
                self.tips = Some(match value {
                    b"0" => false,
                    b"1" => true,
                    _ => return Err("it is neither 0 nor 1".to_string()),
                });
            }
            TerminalValue::TipPercent => self.tip_percent = number(value)?,
            TerminalValue::MerchantName => self.merchant_name = name(value)?,
        }
        Ok(())
    }

    /// How long answers are waited for, where neither the owner nor the host says more than the profile.
    pub(crate) fn answer_timeout(&self, profile: Duration) -> Duration {
        self.answer_timeout_s.map_or(profile, |seconds| Duration::from_secs(seconds.into()))
    }

    /// The most that tips may be, in percent of the sale, where the owner allows `percent`.
    pub(crate) fn tip_percent(&self, percent: u16) -> u16 {
        match self.tips {
            Some(false) => 0,
            _ => self.tip_percent.map_or(percent, |most| most.min(percent)),
        }
    }

    /// The merchant's name, where the owner has `name`.
    pub(crate) fn merchant_name<'n>(&'n self, name: &'n str) -> &'n str {
        if name.is_empty() { self.merchant_name.as_deref().unwrap_or_default() } else { name }
    }

    /// How many values the host says.
    pub(crate) fn count(&self) -> usize {
        self.dictionary().len()
    }

    /// For the operator.
    pub(crate) fn dictionary(&self) -> Dictionary {
        let number = |number: Option<u16>| number.map(|number| Variant::from(u32::from(number)));
        let values: [(&str, Option<Variant<'_>>); 4] = [
            ("answer_timeout_s", number(self.answer_timeout_s)),
            ("tips", self.tips.map(Variant::from)),
            ("tip_percent", number(self.tip_percent)),
            ("merchant_name", self.merchant_name.as_deref().map(Variant::from)),
        ];
        let owned = values
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_string(), value?.try_into_owned().ok()?)));
        owned.collect()
    }
}

/// A number that may be filled with spaces; none where there is nothing else.
fn number(value: &[u8]) -> Result<Option<u16>, String> {
    let digits = value.trim_ascii();
    if digits.is_empty() {
        return Ok(None);
    }
    let digits = str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok().map(Some)).ok_or_else(|| "it is no number".to_string())
}

/// A name that is filled with spaces; none where there is nothing else.
fn name(value: &[u8]) -> Result<Option<String>, String> {
    let text = GBK.decode_without_bom_handling_and_without_replacement(value);
    let text = text.filter(|text| !text.chars().any(char::is_control));
    let text = text.ok_or_else(|| "it is no text in GBK".to_string())?;
    let text = text.trim();
    Ok((!text.is_empty()).then(|| text.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<TerminalParameter> {
        let shipped = include_str!("../../../config/hosts/unionpay-direct.toml");
        let host: iso8583::Host = toml::from_str(shipped).unwrap();
        host.downloads.unwrap().terminal.unwrap().parameters
    }

    fn read(text: &str) -> Result<TerminalParameters, String> {
        let (bytes, ..) = GBK.encode(text);
        TerminalParameters::read(&known(), &bytes)
    }

    #[test]
    fn a_host_makes_limits_tighter_and_never_wider_and_fills_in_what_the_owner_left_open() {
        let said = read(&format!("11601260131181191022{:<36}2705", "测试商户")).unwrap();
        assert_eq!(said.answer_timeout(Duration::from_secs(30)), Duration::from_secs(60));
        assert_eq!((said.tip_percent(20), said.tip_percent(5)), (10, 5));
        assert_eq!((said.merchant_name("Ours"), said.merchant_name("")), ("Ours", "测试商户"));
        assert_eq!(read("180").unwrap().tip_percent(20), 0, "no tips at all");
        assert_eq!(read("19 5").unwrap().tip_percent(20), 5, "filled with a space");
        let nothing = read("12  19  ").unwrap();
        assert_eq!((nothing.tip_percent(20), nothing.count()), (20, 0));
        assert_eq!(nothing.answer_timeout(Duration::from_secs(30)), Duration::from_secs(30));
    }

    #[test]
    fn what_can_not_be_read_is_refused_whole() {
        for (wrong, why) in [
            ("9912", "nothing is known"),
            ("12601260", "twice"),
            ("126", "has not 2"),
            ("12601", "within a tag"),
            ("1219", "20 to 80"),
            ("12-1", "no number"),
            ("182", "neither"),
            ("19a0", "no number"),
            ("22short", "has not 40"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
        let broken = [&b"22"[..], &[0xFF; 40]].concat();
        assert!(TerminalParameters::read(&known(), &broken).is_err());
        let control = [&b"22\x1b"[..], &[b' '; 39]].concat();
        assert!(TerminalParameters::read(&known(), &control).is_err());
    }
}
