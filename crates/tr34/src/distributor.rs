//! The key distribution host (TR-34, 5 and 6): the other end, for a host and for tests.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use keys::{Algorithm, Mode};
use x509_cert::der::Tag;
use x509_cert::der::asn1::ObjectIdentifier;
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::cms::{
    self, CONTENT_TYPE, DATA, ENVELOPED_DATA, MESSAGE_DIGEST, RANDOM_NONCE, RSA_SHA_256, SHA_256,
    SIGNED_DATA, SignedData, attribute, constructed, name, primitive, wrap,
};
use crate::envelope::{AES_128_CBC, AES_256_CBC, MGF_1, OAEP, TDES_CBC, content_key};
use crate::error::{Error, Result};
use crate::receiver::Nonce;

/// A host that hands out keys: its credential.
pub struct Distributor {
    key: KeyPair,
    certificate: Certificate,
    list: Vec<u8>,
}

/// A key that is handed out.
pub struct Handed<'a> {
    /// The key in the clear.
    pub key: &'a [u8],
    /// The 16 characters of its header (X9.143, 6.2), which say what it is and may do.
    pub header: &'a [u8; 16],
    /// A fresh key for the content: 16 or 32 bytes for AES, 24 for TDES.
    pub content_key: &'a [u8],
    /// Fresh random bytes: the first 8 or 16 are the initialisation vector.
    pub iv: [u8; 16],
}

impl Distributor {
    /// A host with this private key (PKCS #8), its certificate, and its authority's list of revoked certificates, all in DER.
    ///
    /// # Errors
    /// [`Error::PrivateKey`] and [`Error::Certificate`] if they can't be read.
    pub fn new(private_key: &[u8], certificate: &[u8], list: &[u8]) -> Result<Self> {
        let key = KeyPair::from_pkcs8(private_key).map_err(|_| Error::PrivateKey)?;
        Ok(Self { key, certificate: Certificate::from_der(certificate)?, list: list.to_vec() })
    }

    /// The host's credential (CT-KDH), which binds it to a device.
    ///
    /// # Errors
    /// [`Error::Form`] if it would be too long.
    pub fn credential(&self) -> Result<Vec<u8>> {
        cms::token(&cms::signed_data(1, &[], DATA, &[], self.certificate.der(), &self.list, &[])?)
    }

    /// A key token (KT-KDH) for the device with this credential, which asked with `nonce`.
    ///
    /// # Errors
    /// [`Error::Form`] for a credential that is none; [`Error::Key`] for a content key of another length.
    pub fn key(&self, device: &[u8], nonce: &Nonce, handed: &Handed<'_>) -> Result<Vec<u8>> {
        let device = Self::device(device)?;
        let header = attribute(DATA, &wrap(Tag::OctetString, &[handed.header])?)?;
        let key = Zeroizing::new(wrap(Tag::OctetString, &[handed.key])?);
        let block =
            wrap(Tag::Sequence, &[&wrap(Tag::Integer, &[&[1]])?, &self.certificate.name()?, &key, &header])?;
        let envelope = envelope(&device, &Zeroizing::new(block), handed)?;
        self.signed(ENVELOPED_DATA, &envelope, &[nonce_attribute(nonce)?, header])
    }

    /// An unbind token (UBT-KDH).
    ///
    /// # Errors
    /// [`Error::Form`] for a credential that is none.
    pub fn unbind(&self, device: &[u8], nonce: &Nonce) -> Result<Vec<u8>> {
        self.signed(DATA, &Self::device(device)?.name()?, &[nonce_attribute(nonce)?])
    }

    /// A rebind token (RBT-KDH), which hands the device over to the host with the certificate `to`.
    ///
    /// # Errors
    /// [`Error::Form`] for a credential that is none.
    pub fn rebind(&self, device: &[u8], nonce: &Nonce, to: &[u8]) -> Result<Vec<u8>> {
        let device = Self::device(device)?.name()?;
        let inner = cms::signed_data(1, &[], DATA, &device, to, &[], &[])?;
        self.signed(SIGNED_DATA, &inner, &[nonce_attribute(nonce)?])
    }

    /// The certificate in a device's credential (CT-KRD).
    fn device(credential: &[u8]) -> Result<Certificate> {
        let certificate = SignedData::token(credential)?.certificate;
        Certificate::from_der(certificate.ok_or(Error::Form("it has no certificate"))?)
    }

    /// A token that the host signs, with these attributes beside those that each has.
    fn signed(&self, content_type: ObjectIdentifier, content: &[u8], more: &[Vec<u8>]) -> Result<Vec<u8>> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
        let mut attributes = more.to_vec();
        attributes.push(attribute(CONTENT_TYPE, &name(content_type)?)?);
        attributes.push(attribute(MESSAGE_DIGEST, &wrap(Tag::OctetString, &[digest.as_ref()])?)?);
        // A SET OF in DER.
        attributes.sort();
        let attributes = attributes.concat();
        let mut signature = vec![0; self.key.public_modulus_len()];
        let message = wrap(Tag::Set, &[&attributes])?;
        let signed = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature);
        signed.map_err(|_| Error::PrivateKey)?;
        let sha_256 = algorithm(SHA_256, &[])?;
        let signer = wrap(
            Tag::Sequence,
            &[
                &wrap(Tag::Integer, &[&[1]])?,
                &self.certificate.name()?,
                &sha_256,
                &wrap(constructed(0), &[&attributes])?,
                &algorithm(RSA_SHA_256, &wrap(Tag::Null, &[])?)?,
                &wrap(Tag::OctetString, &[&signature])?,
            ],
        )?;
        cms::token(&cms::signed_data(3, &sha_256, content_type, content, &[], &self.list, &signer)?)
    }
}

fn nonce_attribute(nonce: &Nonce) -> Result<Vec<u8>> {
    attribute(RANDOM_NONCE, &wrap(Tag::OctetString, &[nonce.bytes()])?)
}

fn algorithm(of: ObjectIdentifier, parameters: &[u8]) -> Result<Vec<u8>> {
    wrap(Tag::Sequence, &[&name(of)?, parameters])
}

/// EnvelopedData with `block` for a device.
fn envelope(device: &Certificate, block: &[u8], handed: &Handed<'_>) -> Result<Vec<u8>> {
    let (cipher, cipher_name, length) = match handed.content_key.len() {
        24 => (Algorithm::Tdes, TDES_CBC, 8),
        32 => (Algorithm::Aes, AES_256_CBC, 16),
        _ => (Algorithm::Aes, AES_128_CBC, 16),
    };
    let iv = handed.iv.get(..length).unwrap_or_default();
    let padding = length - block.len() % length;
    let mut content = Zeroizing::new(block.to_vec());
    content.resize(block.len() + padding, u8::try_from(padding).unwrap_or_default());
    content_key(cipher, Mode::Encrypt, handed.content_key)?.encrypt_cbc(iv, &mut content)?;
    let recipient = wrap(
        Tag::Sequence,
        &[
            &wrap(Tag::Integer, &[&[0]])?,
            &device.name()?,
            &algorithm(OAEP, &oaep()?)?,
            &wrap(Tag::OctetString, &[&encrypted(device, handed.content_key)?])?,
        ],
    )?;
    let info = wrap(
        Tag::Sequence,
        &[
            &name(DATA)?,
            &algorithm(cipher_name, &wrap(Tag::OctetString, &[iv])?)?,
            &wrap(primitive(0), &[&content])?,
        ],
    )?;
    wrap(Tag::Sequence, &[&wrap(Tag::Integer, &[&[0]])?, &wrap(Tag::Set, &[&recipient])?, &info])
}

/// RSAES-OAEP-params (RFC 8017, A.2.1): SHA-256 twice, and no label.
fn oaep() -> Result<Vec<u8>> {
    let sha_256 = algorithm(SHA_256, &wrap(Tag::Null, &[])?)?;
    let function = algorithm(MGF_1, &sha_256)?;
    wrap(Tag::Sequence, &[&wrap(constructed(0), &[&sha_256])?, &wrap(constructed(1), &[&function])?])
}

/// The content key, enciphered for the device.
fn encrypted(device: &Certificate, content_key: &[u8]) -> Result<Vec<u8>> {
    let refused = || Error::Algorithm("the device's key");
    let key = PublicEncryptingKey::from_der(&device.public_key_info()?).map_err(|_| refused())?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| refused())?;
    let mut room = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA256_MGF1SHA256, content_key, &mut room, None).map_err(|_| refused())?;
    Ok(room)
}
