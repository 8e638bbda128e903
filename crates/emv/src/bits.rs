//! EMV Book 3 Annex C and Book 4 Annex A: the bits of profiles, capabilities and results.

/// A byte of a bit map and a bit in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bit {
    pub(crate) byte: usize,
    pub(crate) mask: u8,
}

const fn bit(byte: usize, mask: u8) -> Bit {
    Bit { byte, mask }
}

/// Sets a bit; one beyond the end is ignored.
pub(crate) fn set(map: &mut [u8], bit: Bit) {
    if let Some(byte) = map.get_mut(bit.byte) {
        *byte |= bit.mask;
    }
}

/// Clears a bit; one beyond the end is ignored.
pub(crate) fn clear(map: &mut [u8], bit: Bit) {
    if let Some(byte) = map.get_mut(bit.byte) {
        *byte &= !bit.mask;
    }
}

/// Whether a bit is set; one beyond the end is not.
pub(crate) fn is_set(map: &[u8], bit: Bit) -> bool {
    map.get(bit.byte).is_some_and(|byte| byte & bit.mask != 0)
}

/// Annex C1: Application Interchange Profile.
pub(crate) mod aip {
    use super::{Bit, bit};
    pub(crate) const SDA: Bit = bit(0, 0x40);
    pub(crate) const DDA: Bit = bit(0, 0x20);
    pub(crate) const CARDHOLDER_VERIFICATION: Bit = bit(0, 0x10);
    pub(crate) const RISK_MANAGEMENT: Bit = bit(0, 0x08);
    pub(crate) const ISSUER_AUTHENTICATION: Bit = bit(0, 0x04);
    pub(crate) const CDA: Bit = bit(0, 0x01);
}

/// Annex C2: Application Usage Control.
pub(crate) mod auc {
    use super::{Bit, bit};
    pub(crate) const DOMESTIC_CASH: Bit = bit(0, 0x80);
    pub(crate) const INTERNATIONAL_CASH: Bit = bit(0, 0x40);
    pub(crate) const DOMESTIC_GOODS_SERVICES: Bit = bit(0, 0x20 | 0x08);
    pub(crate) const INTERNATIONAL_GOODS_SERVICES: Bit = bit(0, 0x10 | 0x04);
    pub(crate) const AT_ATMS: Bit = bit(0, 0x02);
    pub(crate) const ELSEWHERE: Bit = bit(0, 0x01);
    pub(crate) const DOMESTIC_CASHBACK: Bit = bit(1, 0x80);
    pub(crate) const INTERNATIONAL_CASHBACK: Bit = bit(1, 0x40);
}

/// Annex C5: Terminal Verification Results.
pub(crate) mod tvr {
    use super::{Bit, bit};

    /// A mask over the Terminal Verification Results.
    pub type ActionCode = [u8; 5];

    pub(crate) const NO_DATA_AUTHENTICATION: Bit = bit(0, 0x80);
    pub(crate) const SDA_FAILED: Bit = bit(0, 0x40);
    pub(crate) const ICC_DATA_MISSING: Bit = bit(0, 0x20);
    pub(crate) const EXCEPTION_FILE: Bit = bit(0, 0x10);
    pub(crate) const DDA_FAILED: Bit = bit(0, 0x08);
    pub(crate) const CDA_FAILED: Bit = bit(0, 0x04);
    pub(crate) const SDA_SELECTED: Bit = bit(0, 0x02);
    pub(crate) const VERSIONS_DIFFER: Bit = bit(1, 0x80);
    pub(crate) const EXPIRED: Bit = bit(1, 0x40);
    pub(crate) const NOT_YET_EFFECTIVE: Bit = bit(1, 0x20);
    pub(crate) const SERVICE_NOT_ALLOWED: Bit = bit(1, 0x10);
    pub(crate) const NEW_CARD: Bit = bit(1, 0x08);
    pub(crate) const VERIFICATION_FAILED: Bit = bit(2, 0x80);
    pub(crate) const UNRECOGNISED_CVM: Bit = bit(2, 0x40);
    pub(crate) const PIN_TRY_LIMIT_EXCEEDED: Bit = bit(2, 0x20);
    pub(crate) const PIN_PAD_MISSING: Bit = bit(2, 0x10);
    pub(crate) const PIN_NOT_ENTERED: Bit = bit(2, 0x08);
    pub(crate) const ONLINE_PIN_ENTERED: Bit = bit(2, 0x04);
    pub(crate) const FLOOR_LIMIT_EXCEEDED: Bit = bit(3, 0x80);
    pub(crate) const LOWER_LIMIT_EXCEEDED: Bit = bit(3, 0x40);
    pub(crate) const UPPER_LIMIT_EXCEEDED: Bit = bit(3, 0x20);
    pub(crate) const RANDOMLY_SELECTED: Bit = bit(3, 0x10);
    pub(crate) const MERCHANT_FORCED_ONLINE: Bit = bit(3, 0x08);
    pub(crate) const DEFAULT_TDOL: Bit = bit(4, 0x80);
    pub(crate) const ISSUER_AUTHENTICATION_FAILED: Bit = bit(4, 0x40);
    pub(crate) const SCRIPT_FAILED_BEFORE: Bit = bit(4, 0x20);
    pub(crate) const SCRIPT_FAILED_AFTER: Bit = bit(4, 0x10);
}

/// Annex C6: Transaction Status Information.
pub(crate) mod tsi {
    use super::{Bit, bit};
    pub(crate) const DATA_AUTHENTICATION: Bit = bit(0, 0x80);
    pub(crate) const CARDHOLDER_VERIFICATION: Bit = bit(0, 0x40);
    pub(crate) const CARD_RISK_MANAGEMENT: Bit = bit(0, 0x20);
    pub(crate) const ISSUER_AUTHENTICATION: Bit = bit(0, 0x10);
    pub(crate) const RISK_MANAGEMENT: Bit = bit(0, 0x08);
    pub(crate) const SCRIPT_PROCESSING: Bit = bit(0, 0x04);
}

/// Book 4 Annex A2: Terminal Capabilities, byte 2 and byte 3.
pub(crate) mod terminal_capabilities {
    pub(crate) const PLAINTEXT_PIN: u8 = 0x80;
    pub(crate) const ONLINE_PIN: u8 = 0x40;
    pub(crate) const SIGNATURE: u8 = 0x20;
    pub(crate) const ENCIPHERED_PIN: u8 = 0x10;
    pub(crate) const NO_CVM: u8 = 0x08;
    pub(crate) const SDA: u8 = 0x80;
    pub(crate) const DDA: u8 = 0x40;
    pub(crate) const CDA: u8 = 0x08;
}
