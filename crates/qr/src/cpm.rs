//! QRCPS Consumer-Presented Mode 1.1: a code that the customer shows, read and made.
//!
//! A code is base64 of BER-TLV: the Payload Format Indicator (85), one or two Application Templates (61), a Common Data
//! Template (62), others. It holds a clear PAN or track 2, so [`ConsumerCode`] wipes what it holds and prints
//! nothing of it.

mod build;

pub use build::Builder;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keys::{Pan, Track2};
use tlv::{Reader, Tag, Tlv, tags};
use zeroize::Zeroizing;

use crate::MAX_LENGTH;
use crate::error::{Problem, Result};

/// Payload Format Indicator.
const FORMAT: Tag = Tag::new(0x85);
/// Common Data Template.
const COMMON: Tag = Tag::new(0x62);
/// Application Specific Transparent Template.
const APPLICATION_TRANSPARENT: Tag = Tag::new(0x63);
/// Common Data Transparent Template.
const COMMON_TRANSPARENT: Tag = Tag::new(0x64);

/// The one version of the payload that there is.
const VERSION: &[u8] = b"CPV01";
/// What every code in this form starts with: `85 05 "CPV"` in base64.
const START: &str = "hQVDUFY";

/// The POI data whose length is laid down: tag, fewest and most bytes (Table A.1).
const LENGTHS: [(u32, usize, usize); 10] = [
    (0x4F, 5, 16),
    (0x50, 1, 16),
    (0x57, 1, 19),
    (0x5A, 1, 10),
    (0x5F20, 2, 26),
    (0x5F2D, 2, 8),
    (0x9F08, 2, 2),
    (0x9F19, 6, 6),
    (0x9F24, 29, 29),
    (0x9F25, 2, 2),
];

/// A customer's code whose structure has been checked.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsumerCode {
    payload: Zeroizing<Vec<u8>>,
}

impl ConsumerCode {
    /// Whether `text` is in this form (5.1.1): anything else is another kind of code.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.starts_with(START)
    }

    /// Reads what was scanned (5.1.1 to 5.1.3). A Common Data Template beside one Application Template is taken, as
    /// JPQR has it; making such a code follows the same rule.
    ///
    /// # Errors
    /// What breaks the specification first, and where.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_LENGTH {
            return Err(Problem::Length { min: 1, max: MAX_LENGTH, got: text.len() }.at("code"));
        }
        if !Self::is_one(text) {
            return Err(Problem::Expected("base64 that starts with hQVDUFY").at("code"));
        }
        // Room for all from the start: growing would leave a clear copy behind.
        let mut payload = Zeroizing::new(Vec::with_capacity(text.len()));
        STANDARD.decode_vec(text, &mut payload).map_err(|_| Problem::Expected("base64").at("code"))?;
        Self::from_payload(payload)
    }

    fn from_payload(payload: Zeroizing<Vec<u8>>) -> Result<Self> {
        let code = Self { payload };
        code.check()?;
        Ok(code)
    }

    /// The text of the code, for a symbol.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.payload.len().div_ceil(3) * 4));
        STANDARD.encode_string(self.payload.as_slice(), &mut text);
        text
    }

    /// Table 3.1: 85, then one or two 61, then at most one 62, then the rest.
    fn check(&self) -> Result<()> {
        let (mut applications, mut commons, mut others) = (0, 0, 0);
        for (position, tlv) in Reader::new(&self.payload).enumerate() {
            let tlv = tlv.map_err(|error| Problem::Tlv(error).at("code"))?;
            match (position, tlv.tag) {
                (0, FORMAT) if tlv.value == VERSION => {}
                (0, FORMAT) => return Err(Problem::Expected("CPV01").at("85")),
                (0, _) => return Err(Problem::Misplaced("first").at("85")),
                (_, FORMAT) => return Err(Problem::Repeated.at("85")),
                (_, tags::APPLICATION_TEMPLATE) if commons + others > 0 => {
                    return Err(Problem::Misplaced("second or third").at("61"));
                }
                (_, tags::APPLICATION_TEMPLATE) => applications += 1,
                (_, COMMON) if others > 0 => return Err(Problem::Misplaced("third or fourth").at("62")),
                (_, COMMON) => commons += 1,
                _ => others += 1,
            }
            check_template(&tlv)?;
        }
        match (applications, commons) {
            (0, _) => Err(Problem::Missing.at("61")),
            (1..=2, 0..=1) => Ok(()),
            (_, 2..) => Err(Problem::Repeated.at("62")),
            _ => Err(Problem::Unexpected.at("61 (3)")),
        }
    }

    /// The Application Templates with a usable ADF Name, in their order. Others are to be passed over (5.1.4).
    pub fn applications(&self) -> impl Iterator<Item = Application<'_>> {
        let templates =
            Reader::new(&self.payload).flatten().filter(|tlv| tlv.tag == tags::APPLICATION_TEMPLATE);
        templates.enumerate().filter_map(|(position, template)| {
            let name = template.children().flatten().find(|tlv| tlv.tag == tags::ADF_NAME)?.value;
            (5..=16).contains(&name.len()).then_some(Application { position, template, name })
        })
    }

    /// The Application Templates that the terminal supports: an AID of `aids` begins their ADF Name (5.1.4). Of two,
    /// the merchant chooses one (5.1.6).
    pub fn eligible<A: AsRef<[u8]>>(&self, aids: &[A]) -> impl Iterator<Item = Application<'_>> {
        self.applications().filter(|application| {
            aids.iter().any(|aid| !aid.as_ref().is_empty() && application.name.starts_with(aid.as_ref()))
        })
    }

    /// What the chosen application and the Common Data Template give together (5.1.7 to 5.1.10).
    ///
    /// # Errors
    /// A data object that is there twice, or too short or too long; neither PAN nor track 2.
    pub fn data<'c>(&'c self, chosen: &Application<'c>) -> Result<PoiData<'c>> {
        let common = Reader::new(&self.payload).flatten().find(|tlv| tlv.tag == COMMON);
        let above = match chosen.position {
            0 => "61".to_owned(),
            position => format!("61 ({})", position + 1),
        };
        let mut data = PoiData { objects: Vec::new(), transparent: [None; 2] };
        data.take(&chosen.template, &above)?;
        if let Some(common) = common {
            data.take(&common, "62")?;
        }
        match (data.get(tags::TRACK_2), data.get(tags::PAN)) {
            (None, None) => Err(Problem::Missing.at(format!("{above}.57"))),
            _ => Ok(data),
        }
    }
}

impl fmt::Debug for ConsumerCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsumerCode({} bytes)", self.payload.len())
    }
}

/// The data objects of 61 and 62 must be readable; what is in a transparent template is not looked at.
fn check_template(template: &Tlv<'_>) -> Result<()> {
    if !matches!(template.tag, tags::APPLICATION_TEMPLATE | COMMON) {
        return Ok(());
    }
    let broken = template.children().find_map(std::result::Result::err);
    broken.map_or(Ok(()), |error| Err(Problem::Tlv(error).at(template.tag.to_string())))
}

/// One Application Template (61).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Application<'c> {
    position: usize,
    template: Tlv<'c>,
    name: &'c [u8],
}

impl<'c> Application<'c> {
    /// The ADF Name (4F), 5 to 16 bytes.
    #[must_use]
    pub fn adf_name(&self) -> &'c [u8] {
        self.name
    }

    /// The Application Label (50), if the template has one.
    #[must_use]
    pub fn label(&self) -> Option<&'c str> {
        let label = self.template.children().flatten().find(|tlv| tlv.tag == tags::APPLICATION_LABEL)?;
        std::str::from_utf8(label.value).ok()
    }
}

/// The data of one payment: what the terminal uses, and what it only passes on (5.1.9).
#[derive(Clone, Debug)]
pub struct PoiData<'c> {
    objects: Vec<Tlv<'c>>,
    transparent: [Option<&'c [u8]>; 2],
}

impl<'c> PoiData<'c> {
    fn take(&mut self, template: &Tlv<'c>, above: &str) -> Result<()> {
        for tlv in template.children().flatten() {
            let path = || format!("{above}.{}", tlv.tag);
            let place = match (template.tag, tlv.tag) {
                (tags::APPLICATION_TEMPLATE, APPLICATION_TRANSPARENT) => self.transparent.first_mut(),
                (COMMON, COMMON_TRANSPARENT) => self.transparent.last_mut(),
                _ => None,
            };
            if let Some(place) = place {
                if place.replace(tlv.value).is_some() {
                    return Err(Problem::Repeated.at(path()));
                }
                continue;
            }
            if !tlv.tag.is_constructed() && self.get(tlv.tag).is_some() {
                return Err(Problem::Repeated.at(path()));
            }
            let row = LENGTHS.iter().find(|(tag, _, _)| *tag == tlv.tag.number());
            if let Some((_, min, max)) = row.filter(|(_, min, max)| !(*min..=*max).contains(&tlv.value.len()))
            {
                return Err(Problem::Length { min: *min, max: *max, got: tlv.value.len() }.at(path()));
            }
            self.objects.push(tlv);
        }
        Ok(())
    }

    /// All that is no transparent data, also what the specification does not know (5.1.11).
    #[must_use]
    pub fn objects(&self) -> &[Tlv<'c>] {
        &self.objects
    }

    /// The value of `tag`.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<&'c [u8]> {
        self.objects.iter().find(|tlv| tlv.tag == tag).map(|tlv| tlv.value)
    }

    /// The content of the Application Specific Transparent Template (63) and of the Common Data Transparent
    /// Template (64): BER-TLV for the acquirer, such as the cryptogram.
    #[must_use]
    pub fn transparent(&self) -> [Option<&'c [u8]>; 2] {
        self.transparent
    }

    /// Track 2 (57), if it is there.
    ///
    /// # Errors
    /// If it is not in the form of ISO/IEC 7813.
    pub fn track2(&self) -> Result<Option<Track2>> {
        let track = self.get(tags::TRACK_2).map(Track2::from_bytes).transpose();
        track.map_err(|_| Problem::Expected("track 2 after ISO/IEC 7813").at("57"))
    }

    /// The PAN (5A), or that of track 2 (6.2).
    ///
    /// # Errors
    /// If neither is in its form.
    pub fn pan(&self) -> Result<Pan> {
        match (self.get(tags::PAN), self.track2()?) {
            (Some(bytes), _) => {
                Pan::from_bcd(bytes).map_err(|_| Problem::Expected("8 to 19 digits").at("5A"))
            }
            (None, Some(track)) => Ok(track.pan().clone()),
            (None, None) => Err(Problem::Missing.at("57")),
        }
    }

    /// The last four digits for a receipt: those of the card behind a token (9F25), else of the PAN (6.4).
    ///
    /// # Errors
    /// If there is no PAN.
    pub fn last_four(&self) -> Result<String> {
        if let Some([high, low]) = self.get(Tag::new(0x9F25)) {
            return Ok(format!("{high:02X}{low:02X}"));
        }
        let digits = self.pan()?;
        Ok(digits.masked().chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect())
    }
}
