//! Signing and verifying. RSA with SHA-256 is what Alipay calls RSA2 and WeChat Pay SHA256-RSA2048; a gateway that
//! asks for SM2 with SM3 is another implementation of the two traits.

use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

/// A private key.
pub trait Sign: Send + Sync {
    /// The name of the algorithm in `Smartpos-Signature`.
    fn algorithm(&self) -> &'static str;

    /// The signature of `message`.
    ///
    /// # Errors
    /// [`KeyError`] if the key cannot be used.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// A public key.
pub trait Verify: Send + Sync {
    /// The name of the algorithm in `Smartpos-Signature`.
    fn algorithm(&self) -> &'static str;

    /// Whether `signature` is that of `message`.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;
}

/// Why a key cannot be used. It carries nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is no such key.
    #[error("expected {0} in PEM")]
    NotPem(&'static str),
    /// The key is of another kind or size.
    #[error("expected an RSA key of 2048 bits or more")]
    NotRsa,
    /// The signature could not be made.
    #[error("the key cannot sign")]
    CannotSign,
}

/// The name of RSA with SHA-256, PKCS #1 v1.5 padding (RFC 8017, 8.2).
const RSA_SHA256: &str = "rsa-sha256";

/// A private RSA key of 2048 bits or more.
pub struct RsaSigner(KeyPair);

impl RsaSigner {
    /// Reads a key in PKCS #8 (`BEGIN PRIVATE KEY`).
    ///
    /// # Errors
    /// [`KeyError`] for another form, kind or size.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| KeyError::NotPem("a private key in PKCS #8"))?;
        let pair = KeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| KeyError::NotRsa)?;
        if pair.public_modulus_len() < KeySize::Rsa2048.len() {
            return Err(KeyError::NotRsa);
        }
        Ok(Self(pair))
    }
}

impl Sign for RsaSigner {
    fn algorithm(&self) -> &'static str {
        RSA_SHA256
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        // The library wants a source of randomness for all paddings; this one draws none.
        let unused = aws_lc_rs::rand::SystemRandom::new();
        self.0.sign(&RSA_PKCS1_SHA256, &unused, message, &mut signature).map_err(|_| KeyError::CannotSign)?;
        Ok(signature)
    }
}

/// A public RSA key of 2048 bits or more.
pub struct RsaVerifier(ParsedPublicKey);

impl RsaVerifier {
    /// Reads a key in X.509 (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// [`KeyError`] for another form or kind. A key that is too small verifies nothing.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| KeyError::NotPem("a public key"))?;
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &der).map_err(|_| KeyError::NotRsa)?;
        Ok(Self(key))
    }
}

impl Verify for RsaVerifier {
    fn algorithm(&self) -> &'static str {
        RSA_SHA256
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}
