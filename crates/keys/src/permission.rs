//! What a key may do: ANSI X9.143-2021, 6.3.1 to 6.3.3 (TR-31:2018, A.5.1 to A.5.3).

use std::fmt;

use crate::attributes::{Algorithm, Attributes, KeyVersion, Mode, Usage};
use crate::error::{Error, Result};

impl Attributes {
    /// Whether algorithm and mode make sense for the usage.
    ///
    /// # Errors
    /// [`Error::Attributes`] if they don't.
    pub fn consistent(&self) -> Result<()> {
        let (algorithms, modes) = self.usage.scope();
        if algorithms.contains(&self.algorithm) && modes.contains(&self.mode) {
            Ok(())
        } else {
            Err(Error::Attributes { usage: self.usage, algorithm: self.algorithm, mode: self.mode })
        }
    }

    /// Whether a key with these attributes may do `operation`.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] if it may not, [`Error::Component`] if it is only a part of a key.
    pub fn permit(&self, operation: Operation) -> Result<()> {
        if matches!(self.version, KeyVersion::Component(_)) {
            return Err(Error::Component);
        }
        let (usages, modes) = operation.needs();
        if usages.contains(&self.usage) && (self.mode == Mode::Any || modes.contains(&self.mode)) {
            Ok(())
        } else {
            Err(Error::NotPermitted { usage: self.usage, mode: self.mode, operation })
        }
    }
}

const BLOCK_CIPHERS: &[Algorithm] = &[Algorithm::Aes, Algorithm::Tdes, Algorithm::Sm4, Algorithm::Des];
const KEY_PAIRS: &[Algorithm] = &[Algorithm::Rsa, Algorithm::Ecc, Algorithm::Sm2, Algorithm::Dsa];
const CIPHERING: &[Mode] = &[Mode::Both, Mode::Decrypt, Mode::Encrypt, Mode::Any];
const AUTHENTICATING: &[Mode] = &[Mode::GenerateVerify, Mode::Generate, Mode::Verify, Mode::Any];
const DERIVING: &[Mode] = &[Mode::Derive, Mode::Any];

impl Usage {
    /// The algorithms and modes of the usage (X9.143, 6.3.1, table 2, and 6.3.3).
    fn scope(self) -> (&'static [Algorithm], &'static [Mode]) {
        match self {
            Self::BaseDerivation | Self::InitialDukpt | Self::Derivation => (BLOCK_CIPHERS, DERIVING),
            Self::BaseVariant => (BLOCK_CIPHERS, &[Mode::Variants, Mode::Derive, Mode::Any]),
            Self::EmvCryptogram
            | Self::EmvConfidentiality
            | Self::EmvIntegrity
            | Self::EmvDataAuthentication
            | Self::EmvDynamicNumbers
            | Self::EmvPersonalisation
            | Self::EmvOther => (BLOCK_CIPHERS, DERIVING),
            Self::Data
            | Self::DecimalisationTable
            | Self::SensitiveData
            | Self::KeyEncryption
            | Self::KeyBlockProtection
            | Self::Iso20038Protection
            | Self::PinEncryption => (BLOCK_CIPHERS, CIPHERING),
            Self::AsymmetricData | Self::EmvPinEncipherment | Self::Tr34Receiver => (KEY_PAIRS, CIPHERING),
            Self::KeyAgreement => {
                (KEY_PAIRS, &[Mode::Both, Mode::Decrypt, Mode::Encrypt, Mode::Derive, Mode::Any])
            }
            Self::InitialisationVector => (BLOCK_CIPHERS, &[Mode::Any]),
            Self::CardVerification
            | Self::Iso16609Mac
            | Self::MacAlgorithm1
            | Self::MacAlgorithm2
            | Self::MacAlgorithm3
            | Self::MacAlgorithm4
            | Self::MacAlgorithm5
            | Self::MacAlgorithm6
            | Self::Cmac
            | Self::UnionPayMac
            | Self::PinGeneration
            | Self::PinVerification
            | Self::PinVerification3624
            | Self::PinVerificationPvv
            | Self::PinVerification132Algorithm1
            | Self::PinVerification132Algorithm2
            | Self::PinVerification132Algorithm3 => (BLOCK_CIPHERS, AUTHENTICATING),
            Self::Hmac => (&[Algorithm::Hmac], AUTHENTICATING),
            Self::Signature | Self::CertificateAuthority => {
                (KEY_PAIRS, &[Mode::Sign, Mode::Verify, Mode::Any])
            }
            Self::OtherKeyPair => {
                (KEY_PAIRS, &[Mode::Sign, Mode::Verify, Mode::SignDecrypt, Mode::Decrypt, Mode::Any])
            }
        }
    }
}

/// What is asked of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Encipher a PIN block.
    EncryptPin,
    /// Decipher a PIN block.
    DecryptPin,
    /// Encipher data.
    EncryptData,
    /// Decipher data.
    DecryptData,
    /// Make a MAC with keys of this usage.
    GenerateMac(Usage),
    /// Verify a MAC with keys of this usage.
    VerifyMac(Usage),
    /// Make key blocks.
    WrapBlock,
    /// Open key blocks.
    UnwrapBlock,
    /// Encipher keys, outside key blocks.
    EncryptKey,
    /// Decipher keys, outside key blocks.
    DecryptKey,
    /// Derive DUKPT initial keys.
    DeriveInitialKey,
    /// Derive DUKPT transaction keys.
    DeriveTransactionKey,
}

impl Operation {
    /// Which usages, and which modes beside [`Mode::Any`], permit it.
    fn needs(self) -> (&'static [Usage], &'static [Mode]) {
        const BLOCKS: &[Usage] = &[Usage::KeyBlockProtection, Usage::Iso20038Protection];
        const ENCRYPT: &[Mode] = &[Mode::Both, Mode::Encrypt];
        const DECRYPT: &[Mode] = &[Mode::Both, Mode::Decrypt];
        match self {
            Self::EncryptPin => (&[Usage::PinEncryption], ENCRYPT),
            Self::DecryptPin => (&[Usage::PinEncryption], DECRYPT),
            Self::EncryptData => (&[Usage::Data, Usage::SensitiveData], ENCRYPT),
            Self::DecryptData => (&[Usage::Data, Usage::SensitiveData], DECRYPT),
            Self::GenerateMac(usage) => (usage.alone(), &[Mode::GenerateVerify, Mode::Generate]),
            Self::VerifyMac(usage) => (usage.alone(), &[Mode::GenerateVerify, Mode::Verify]),
            Self::WrapBlock => (BLOCKS, ENCRYPT),
            Self::UnwrapBlock => (BLOCKS, DECRYPT),
            Self::EncryptKey => (&[Usage::KeyEncryption], ENCRYPT),
            Self::DecryptKey => (&[Usage::KeyEncryption], DECRYPT),
            Self::DeriveInitialKey => (&[Usage::BaseDerivation], &[Mode::Derive]),
            Self::DeriveTransactionKey => (&[Usage::InitialDukpt], &[Mode::Derive]),
        }
    }
}

impl Usage {
    /// The usage as a list of one.
    fn alone(self) -> &'static [Self] {
        Self::ALL.iter().position(|usage| *usage == self).and_then(|at| Self::ALL.get(at..=at)).unwrap_or(&[])
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EncryptPin => "encipher PIN blocks",
            Self::DecryptPin => "decipher PIN blocks",
            Self::EncryptData => "encipher data",
            Self::DecryptData => "decipher data",
            Self::GenerateMac(usage) => return write!(f, "generate MACs of usage {usage}"),
            Self::VerifyMac(usage) => return write!(f, "verify MACs of usage {usage}"),
            Self::WrapBlock => "make key blocks",
            Self::UnwrapBlock => "open key blocks",
            Self::EncryptKey => "encipher keys",
            Self::DecryptKey => "decipher keys",
            Self::DeriveInitialKey => "derive initial keys",
            Self::DeriveTransactionKey => "derive transaction keys",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_what_its_usage_and_mode_allow_and_no_more() {
        let pin_key = Attributes::new(Usage::PinEncryption, Algorithm::Tdes, Mode::Encrypt);
        assert_eq!(pin_key.permit(Operation::EncryptPin), Ok(()));
        for operation in [Operation::DecryptPin, Operation::EncryptData, Operation::WrapBlock] {
            let refused = Error::NotPermitted { usage: pin_key.usage, mode: pin_key.mode, operation };
            assert_eq!(pin_key.permit(operation), Err(refused));
        }
        let verifying = Attributes::new(Usage::MacAlgorithm3, Algorithm::Tdes, Mode::Verify);
        assert!(verifying.permit(Operation::VerifyMac(Usage::MacAlgorithm3)).is_ok());
        assert!(verifying.permit(Operation::VerifyMac(Usage::Cmac)).is_err());
        assert!(verifying.permit(Operation::GenerateMac(Usage::MacAlgorithm3)).is_err());
    }

    #[test]
    fn a_component_does_nothing() {
        let mut part = Attributes::new(Usage::PinEncryption, Algorithm::Tdes, Mode::Any);
        part.version = KeyVersion::Component(b'1');
        assert_eq!(part.permit(Operation::EncryptPin), Err(Error::Component));
    }

    #[test]
    fn attributes_that_contradict_each_other_are_refused() {
        for (usage, algorithm, mode) in [
            (Usage::PinEncryption, Algorithm::Tdes, Mode::Generate),
            (Usage::PinEncryption, Algorithm::Rsa, Mode::Encrypt),
            (Usage::BaseDerivation, Algorithm::Aes, Mode::Both),
            (Usage::Hmac, Algorithm::Aes, Mode::Generate),
            (Usage::Signature, Algorithm::Ecc, Mode::Derive),
        ] {
            let refused = Err(Error::Attributes { usage, algorithm, mode });
            assert_eq!(Attributes::new(usage, algorithm, mode).consistent(), refused);
        }
        assert!(Attributes::new(Usage::Signature, Algorithm::Ecc, Mode::Sign).consistent().is_ok());
    }
}
