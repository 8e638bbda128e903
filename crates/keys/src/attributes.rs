//! What a key is: the attributes of ANSI X9.143-2021, 6.3 (TR-31:2018, A.5), and their codes.
//!
//! SM4, SM2 and UnionPay's MAC have no code in that standard. They are in the model, so that a terminal has one,
//! but such keys can't be put into key blocks.

use std::fmt;

/// An enum of which most values have a code in the key block.
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident: $code:ty { $($(#[$variant_doc:meta])* $variant:ident $(= $value:literal)?,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code in a key block; none where the standard has none.
            #[must_use]
            pub const fn code(self) -> Option<$code> {
                match self { $(Self::$variant => coded!(@code $($value)?),)* }
            }

            /// The value of a code.
            #[must_use]
            pub fn from_code(code: $code) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.code() == Some(code))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    };
    (@code $value:literal) => { Some(*$value) };
    (@code) => { None };
}

coded! {
    /// The algorithm that a key is for (X9.143, 6.3.2).
    Algorithm: [u8; 1] {
        /// AES: 128, 192 or 256 bits.
        Aes = b"A",
        /// Single-length DES: 64 bits with parity. It is read from key blocks, and nothing works with it.
        Des = b"D",
        /// An elliptic curve key pair, or a part of one.
        Ecc = b"E",
        /// HMAC.
        Hmac = b"H",
        /// An RSA key pair, or a part of one.
        Rsa = b"R",
        /// DSA.
        Dsa = b"S",
        /// TDES: 128 or 192 bits with parity.
        Tdes = b"T",
        /// SM4 (GM/T 0002): 128 bits.
        Sm4,
        /// SM2 (GM/T 0003).
        Sm2,
    }
}

coded! {
    /// What a key is for (X9.143, 6.3.1, table 2).
    Usage: [u8; 2] {
        /// DUKPT base derivation key.
        BaseDerivation = b"B0",
        /// DUKPT initial key.
        InitialDukpt = b"B1",
        /// Base key variant key (deprecated).
        BaseVariant = b"B2",
        /// Key derivation outside X9.24.
        Derivation = b"B3",
        /// Card verification.
        CardVerification = b"C0",
        /// Data encryption, symmetric.
        Data = b"D0",
        /// Data encryption, asymmetric.
        AsymmetricData = b"D1",
        /// Data encryption of decimalisation tables.
        DecimalisationTable = b"D2",
        /// Data encryption of sensitive data.
        SensitiveData = b"D3",
        /// EMV issuer master key: application cryptograms.
        EmvCryptogram = b"E0",
        /// EMV issuer master key: secure messaging, confidentiality.
        EmvConfidentiality = b"E1",
        /// EMV issuer master key: secure messaging, integrity.
        EmvIntegrity = b"E2",
        /// EMV issuer master key: data authentication code.
        EmvDataAuthentication = b"E3",
        /// EMV issuer master key: dynamic numbers.
        EmvDynamicNumbers = b"E4",
        /// EMV: card personalisation.
        EmvPersonalisation = b"E5",
        /// EMV issuer master key: other.
        EmvOther = b"E6",
        /// EMV: key pair of the card for PIN encipherment.
        EmvPinEncipherment = b"E7",
        /// Initialisation vector.
        InitialisationVector = b"I0",
        /// Key encryption.
        KeyEncryption = b"K0",
        /// Key block protection (X9.143).
        KeyBlockProtection = b"K1",
        /// TR-34 key pair of the receiving device.
        Tr34Receiver = b"K2",
        /// Key pair for key wrapping or agreement.
        KeyAgreement = b"K3",
        /// Key block protection (ISO 20038).
        Iso20038Protection = b"K4",
        /// ISO 16609 MAC algorithm 1 with TDES.
        Iso16609Mac = b"M0",
        /// ISO 9797-1 MAC algorithm 1.
        MacAlgorithm1 = b"M1",
        /// ISO 9797-1 MAC algorithm 2.
        MacAlgorithm2 = b"M2",
        /// ISO 9797-1 MAC algorithm 3.
        MacAlgorithm3 = b"M3",
        /// ISO 9797-1 MAC algorithm 4.
        MacAlgorithm4 = b"M4",
        /// ISO 9797-1:1999 MAC algorithm 5.
        MacAlgorithm5 = b"M5",
        /// CMAC (ISO 9797-1:2011 MAC algorithm 5).
        Cmac = b"M6",
        /// HMAC.
        Hmac = b"M7",
        /// ISO 9797-1:2011 MAC algorithm 6.
        MacAlgorithm6 = b"M8",
        /// UnionPay's MAC (Q/CUP 009).
        UnionPayMac,
        /// PIN encryption.
        PinEncryption = b"P0",
        /// PIN generation.
        PinGeneration = b"P1",
        /// Key pair for signatures.
        Signature = b"S0",
        /// Key pair of a certificate authority.
        CertificateAuthority = b"S1",
        /// Key pair outside X9.24.
        OtherKeyPair = b"S2",
        /// PIN verification, other.
        PinVerification = b"V0",
        /// PIN verification, IBM 3624.
        PinVerification3624 = b"V1",
        /// PIN verification, Visa PVV.
        PinVerificationPvv = b"V2",
        /// PIN verification, X9.132 algorithm 1.
        PinVerification132Algorithm1 = b"V3",
        /// PIN verification, X9.132 algorithm 2.
        PinVerification132Algorithm2 = b"V4",
        /// PIN verification, X9.132 algorithm 3.
        PinVerification132Algorithm3 = b"V5",
    }
}

coded! {
    /// In which direction a key works (X9.143, 6.3.3, table 4).
    Mode: [u8; 1] {
        /// Encrypt and decrypt, or wrap and unwrap.
        Both = b"B",
        /// Generate and verify MACs.
        GenerateVerify = b"C",
        /// Decrypt or unwrap only.
        Decrypt = b"D",
        /// Encrypt or wrap only.
        Encrypt = b"E",
        /// Generate MACs only.
        Generate = b"G",
        /// What the usage allows.
        Any = b"N",
        /// Sign only.
        Sign = b"S",
        /// Sign and decrypt.
        SignDecrypt = b"T",
        /// Verify only.
        Verify = b"V",
        /// Derive keys.
        Derive = b"X",
        /// Make variants of the key.
        Variants = b"Y",
    }
}

coded! {
    /// Whether a key may leave where it is (X9.143, 6.3.5, table 6).
    Exportability: [u8; 1] {
        /// Only under a key that X9.24 trusts with it: a key block under a key of at least its strength.
        Trusted = b"E",
        /// Never.
        Never = b"N",
        /// Also in forms that X9.24 doesn't trust: here, a key block under a weaker key.
        Sensitive = b"S",
    }
}

impl Exportability {
    /// Whether the holder of a key with this exportability may hand it on with `other`.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        match self {
            Self::Never => false,
            Self::Trusted => matches!(other, Self::Trusted | Self::Never),
            Self::Sensitive => true,
        }
    }
}

/// The version of a key (X9.143, 6.3.4, table 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyVersion {
    /// Versions aren't used.
    Unused,
    /// A component of a key, by its number: not a key that works.
    Component(u8),
    /// Two characters. An older key is not to replace a newer one: that is the key store's to see to.
    Number([u8; 2]),
}

impl KeyVersion {
    /// The version of a code; none unless it is two digits or letters.
    #[must_use]
    pub fn from_code(code: [u8; 2]) -> Option<Self> {
        match code {
            [b'0', b'0'] => Some(Self::Unused),
            [b'c', number] if number.is_ascii_alphanumeric() => Some(Self::Component(number)),
            [a, b] if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric() => Some(Self::Number(code)),
            _ => None,
        }
    }

    /// The code in a key block.
    #[must_use]
    pub const fn code(self) -> [u8; 2] {
        match self {
            Self::Unused => [b'0', b'0'],
            Self::Component(number) => [b'c', number],
            Self::Number(code) => code,
        }
    }
}

/// What a key is and what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// What it is for.
    pub usage: Usage,
    /// The algorithm it is for.
    pub algorithm: Algorithm,
    /// In which direction it works.
    pub mode: Mode,
    /// Its version.
    pub version: KeyVersion,
    /// Whether it may leave.
    pub exportability: Exportability,
}

impl Attributes {
    /// A key that isn't exportable and has no version.
    #[must_use]
    pub const fn new(usage: Usage, algorithm: Algorithm, mode: Mode) -> Self {
        let (version, exportability) = (KeyVersion::Unused, Exportability::Never);
        Self { usage, algorithm, mode, version, exportability }
    }

    /// The same with another exportability.
    #[must_use]
    pub const fn exportable(mut self, exportability: Exportability) -> Self {
        self.exportability = exportability;
        self
    }

    /// How many bytes [`state`](Self::state) has.
    pub(crate) const STATE: usize = 6;

    /// The attributes as a holder of the key keeps them: also those that a key block has no code for.
    pub(crate) fn state(&self) -> [u8; Self::STATE] {
        let [a, b] = self.version.code();
        let place =
            |place: Option<usize>| place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX);
        [
            place(Usage::ALL.iter().position(|usage| *usage == self.usage)),
            place(Algorithm::ALL.iter().position(|algorithm| *algorithm == self.algorithm)),
            place(Mode::ALL.iter().position(|mode| *mode == self.mode)),
            place(Exportability::ALL.iter().position(|known| *known == self.exportability)),
            a,
            b,
        ]
    }

    /// The attributes of a [state](Self::state).
    pub(crate) fn restore(
        &[usage, algorithm, mode, exportability, a, b]: &[u8; Self::STATE],
    ) -> Option<Self> {
        Some(Self {
            usage: *Usage::ALL.get(usize::from(usage))?,
            algorithm: *Algorithm::ALL.get(usize::from(algorithm))?,
            mode: *Mode::ALL.get(usize::from(mode))?,
            version: KeyVersion::from_code([a, b])?,
            exportability: *Exportability::ALL.get(usize::from(exportability))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_names_one_value() {
        for usage in Usage::ALL {
            assert_eq!(usage.code().and_then(Usage::from_code), usage.code().map(|_| *usage));
        }
        assert_eq!(Usage::ALL.iter().filter(|usage| usage.code().is_none()).count(), 1);
        assert_eq!(Algorithm::from_code(*b"T"), Some(Algorithm::Tdes));
        assert_eq!(Mode::from_code(*b"Z"), None);
        assert_eq!(Exportability::from_code(*b"S"), Some(Exportability::Sensitive));
    }

    #[test]
    fn a_version_is_unused_a_component_or_a_number() {
        for (code, version) in [
            (b"00", Some(KeyVersion::Unused)),
            (b"c1", Some(KeyVersion::Component(b'1'))),
            (b"12", Some(KeyVersion::Number(*b"12"))),
            (b"1 ", None),
            (b"c_", None),
        ] {
            assert_eq!(KeyVersion::from_code(*code), version);
            assert!(version.is_none_or(|version| version.code() == *code));
        }
    }

    #[test]
    fn nobody_hands_on_more_than_they_hold() {
        use Exportability::{Never, Sensitive, Trusted};
        assert!([Never, Trusted, Sensitive].iter().all(|other| !Never.covers(*other)));
        assert!(Trusted.covers(Never) && Trusted.covers(Trusted) && !Trusted.covers(Sensitive));
        assert!([Never, Trusted, Sensitive].iter().all(|other| Sensitive.covers(*other)));
    }
}
