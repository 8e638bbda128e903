//! The class descriptor: what a reader is able to do, and what it does by itself (CCID 5.1).

use crate::error::{Error, Result};

/// bLength and bDescriptorType.
const HEAD: [u8; 2] = [54, 0x21];

/// The bits of dwFeatures that matter to a driver.
mod feature {
    pub(super) const VOLTAGE: u32 = 0x08;
    pub(super) const NEGOTIATION: u32 = 0x40;
    pub(super) const PPS: u32 = 0x80;
    pub(super) const IFSD: u32 = 0x400;
    pub(super) const TPDU: u32 = 0x1_0000;
    pub(super) const SHORT_APDU: u32 = 0x2_0000;
    pub(super) const EXTENDED_APDU: u32 = 0x4_0000;
}

/// The longest message that any reader may have: an extended APDU and its header.
const LONGEST_MESSAGE: usize = 65_544 + 10;
/// A message below this has no room for a block of 32 bytes, the least that a card takes.
const SHORTEST_MESSAGE: usize = 10 + 36;

/// What a reader exchanges with the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The protocol's data units: the host runs T=0 or T=1.
    Tpdu,
    /// APDUs of the short form: the reader runs the protocol.
    ShortApdu,
    /// APDUs of both forms, in several messages where one is too short.
    ExtendedApdu,
}

/// A supply voltage: bPowerSelect (CCID 6.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voltage {
    /// The reader chooses.
    Automatic,
    /// 5 V, class A.
    V5,
    /// 3 V, class B.
    V3,
    /// 1.8 V, class C.
    V1_8,
}

/// A reader as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The number of the last slot; the first is 0.
    pub last_slot: u8,
    /// What is exchanged.
    pub level: Level,
    /// The longest message in both directions, with its header, in bytes.
    pub max_message: usize,
    /// The longest information field that the reader takes from a card at T=1: 1 to 254.
    pub max_ifsd: u8,
    /// The card's clock at the beginning, in kHz.
    pub clock_khz: u32,
    /// The fastest line to a card, in bit/s.
    pub max_data_rate: u32,
    features: u32,
    voltages: u8,
    /// bPINSupport.
    pins: u8,
}

impl Descriptor {
    /// Finds the descriptor among those that follow an interface's own, and reads it.
    ///
    /// # Errors
    /// When there is none, when it ends early, and [`Error::Reader`] for a reader that exchanges characters.
    pub fn parse(mut descriptors: &[u8]) -> Result<Self> {
        while let &[length, _, ..] = descriptors {
            if let Some(descriptor) = descriptors.first_chunk::<54>().filter(|found| found.starts_with(&HEAD))
            {
                return Self::read(descriptor);
            }
            descriptors = descriptors.get(usize::from(length.max(2))..).ok_or(Error::Short)?;
        }
        Err(Error::Reader("it has no CCID descriptor"))
    }

    fn read(bytes: &[u8; 54]) -> Result<Self> {
        let word = |at: usize| {
            let word = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
            word.map(u32::from_le_bytes).ok_or(Error::Short)
        };
        let &[_, _, _, _, last_slot, voltages, ..] = bytes;
        let &[.., pins, _busy_slots] = bytes;
        let features = word(40)?;
        let level = match features & (feature::TPDU | feature::SHORT_APDU | feature::EXTENDED_APDU) {
            feature::TPDU => Level::Tpdu,
            feature::SHORT_APDU => Level::ShortApdu,
            feature::EXTENDED_APDU => Level::ExtendedApdu,
            0 => return Err(Error::Reader("it exchanges characters, and not blocks or APDUs")),
            _ => return Err(Error::Value("dwFeatures")),
        };
        let max_message = usize::try_from(word(44)?).unwrap_or(usize::MAX).min(LONGEST_MESSAGE);
        if max_message < SHORTEST_MESSAGE {
            return Err(Error::Value("dwMaxCCIDMessageLength"));
        }
        Ok(Self {
            last_slot,
            level,
            max_message,
            max_ifsd: u8::try_from(word(28)?).unwrap_or(u8::MAX).clamp(1, 254),
            clock_khz: word(10)?,
            max_data_rate: word(23)?,
            features,
            voltages,
            pins,
        })
    }

    /// The voltages to try, one after the other: the reader's choice, or the lowest first (ISO/IEC 7816-3, 6.2.4).
    pub fn voltages(&self) -> impl Iterator<Item = Voltage> {
        let automatic = self.features & feature::VOLTAGE != 0;
        let can = |bit| !automatic && self.voltages & bit != 0;
        let all = [
            (Voltage::Automatic, automatic),
            (Voltage::V1_8, can(4)),
            (Voltage::V3, can(2)),
            (Voltage::V5, can(1)),
        ];
        all.into_iter().filter_map(|(voltage, able)| able.then_some(voltage))
    }

    /// Whether the reader chooses protocol and speed by itself, so that the host is not to.
    #[must_use]
    pub fn negotiates(&self) -> bool {
        self.features & feature::NEGOTIATION != 0
    }

    /// Whether the reader tells the card of the protocol and speed that the host chooses.
    #[must_use]
    pub fn makes_pps(&self) -> bool {
        self.features & feature::PPS != 0 || self.level != Level::Tpdu
    }

    /// Whether the reader tells a card of T=1 how long a field it takes.
    #[must_use]
    pub fn tells_ifsd(&self) -> bool {
        self.features & feature::IFSD != 0
    }

    /// Whether the reader has a pad at which a PIN can be typed that the card is to verify.
    #[must_use]
    pub fn verifies_pins(&self) -> bool {
        self.pins & 1 != 0
    }

    /// What a message has room for beside its header, in bytes.
    #[must_use]
    pub fn max_data(&self) -> usize {
        self.max_message.saturating_sub(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The descriptor of the reader in QEMU, as the reader sends it, behind a descriptor of another kind.
    const QEMU: &str = "0401aabb 3621100100 07 00000100 a00f0000 00000100 00 80250000 00c20100 00 fe000000 00000000 \
        00000000 fe040100 12000100 ff ff 0000 01 01";

    fn bytes(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().filter(|digit| !digit.is_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    #[test]
    fn a_reader_says_what_it_does() {
        let found = Descriptor::parse(&bytes(QEMU)).unwrap();
        assert_eq!((found.last_slot, found.level), (0, Level::Tpdu));
        assert_eq!((found.max_message, found.max_ifsd), (LONGEST_MESSAGE.min(0x1_0012), 254));
        assert_eq!((found.clock_khz, found.max_data_rate), (4000, 115_200));
        assert!(found.negotiates() && found.makes_pps() && found.tells_ifsd());
        assert!(found.verifies_pins(), "QEMU's says so, and has no pad");
        assert_eq!(found.voltages().collect::<Vec<_>>(), [Voltage::Automatic]);
    }

    #[test]
    fn a_reader_that_does_not_choose_the_voltage_is_asked_for_the_lowest_first() {
        let mut other = bytes(QEMU);
        other[4 + 40] &= !0x08;
        let found = Descriptor::parse(&other).unwrap();
        assert_eq!(found.voltages().collect::<Vec<_>>(), [Voltage::V1_8, Voltage::V3, Voltage::V5]);
    }

    #[test]
    fn a_reader_that_can_not_be_used_is_refused_with_the_reason() {
        let mut characters = bytes(QEMU);
        characters[4 + 42] = 0;
        assert!(matches!(Descriptor::parse(&characters), Err(Error::Reader(_))));
        let mut both = bytes(QEMU);
        both[4 + 42] = 3;
        assert_eq!(Descriptor::parse(&both), Err(Error::Value("dwFeatures")));
        assert!(matches!(Descriptor::parse(&[4, 1, 2, 3]), Err(Error::Reader(_))));
        for length in 1..bytes(QEMU).len() {
            assert!(Descriptor::parse(&bytes(QEMU)[..length]).is_err(), "{length}");
        }
    }
}
