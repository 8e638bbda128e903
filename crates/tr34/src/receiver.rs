//! The key receiving device (TR-34, 5 and 6): its credential, the binding to a host, and keys in two passes.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, PrivateDecryptingKey, PublicEncryptingKey};
use keys::Key;
use x509_cert::der::Tag;

use crate::certificate::{Authority, Certificate, List};
use crate::cms::{self, DATA, ENVELOPED_DATA, RANDOM_NONCE, SIGNED_DATA, SignedData, SignerInfo};
use crate::envelope::{self, Envelope};
use crate::error::{Error, Result};

/// A random number that one token may answer.
#[derive(PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// From fresh random bytes: 16, or for hosts that know no better, 8 to 15.
    ///
    /// # Errors
    /// [`Error::Nonce`] for another length.
    pub fn new(random: &[u8]) -> Result<Self> {
        if (8..=16).contains(&random.len()) { Ok(Self(random.to_vec())) } else { Err(Error::Nonce) }
    }

    /// The random number token (RT-KRD) for the host.
    ///
    /// # Errors
    /// None that a nonce leads to.
    pub fn token(&self) -> Result<Vec<u8>> {
        cms::attribute(RANDOM_NONCE, &cms::wrap(Tag::OctetString, &[&self.0])?)
    }

    /// The nonce in a random number token: the host's side.
    ///
    /// # Errors
    /// [`Error::Form`] if it is none.
    pub fn from_token(token: &[u8]) -> Result<Self> {
        let mut outer = cms::Der::new(token)?;
        let mut attribute = outer.enter(Tag::Sequence)?;
        outer.end()?;
        if attribute.oid()? != RANDOM_NONCE {
            return Err(Error::Form("it is no random number token"));
        }
        let mut values = attribute.enter(Tag::Set)?;
        attribute.end()?;
        let nonce = values.value(Tag::OctetString)?;
        values.end()?;
        Self::new(nonce)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The host that a device is bound to.
#[derive(Clone)]
pub struct Binding {
    host: Certificate,
    /// When the latest list of revoked certificates was made, since 1970: an older one is not taken.
    list_made: Duration,
}

impl Binding {
    /// A binding that was kept: the host's certificate, and the time of the latest list.
    ///
    /// # Errors
    /// [`Error::Certificate`] if the certificate can't be read.
    pub fn restore(host: &[u8], list_made: Duration) -> Result<Self> {
        Ok(Self { host: Certificate::from_der(host)?, list_made })
    }

    /// The host's certificate, in DER.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        self.host.der()
    }

    /// When the latest list of revoked certificates was made, since 1970.
    #[must_use]
    pub fn list_made(&self) -> Duration {
        self.list_made
    }

    fn sees(&mut self, list: &List) -> Result<()> {
        if list.made() < self.list_made {
            return Err(Error::OldList);
        }
        self.list_made = list.made();
        Ok(())
    }
}

/// A device that takes keys: its credential, and the authority that it trusts.
pub struct Receiver {
    key: OaepPrivateDecryptingKey,
    certificate: Certificate,
    authority: Authority,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver(…)")
    }
}

impl Receiver {
    /// A device with this private key (PKCS #8), its certificate, and the certificate of the authority of hosts (CA-KDH), all in DER.
    ///
    /// # Errors
    /// [`Error::PrivateKey`] if the key is none, or not the certificate's; [`Error::Certificate`] and [`Error::Algorithm`] for a
    /// certificate that doesn't serve.
    pub fn new(private_key: &[u8], certificate: &[u8], authority: &[u8]) -> Result<Self> {
        let key = PrivateDecryptingKey::from_pkcs8(private_key).map_err(|_| Error::PrivateKey)?;
        let certificate = Certificate::from_der(certificate)?;
        if !is_public_key(&key.public_key(), &certificate) {
            return Err(Error::PrivateKey);
        }
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| Error::PrivateKey)?;
        Ok(Self { key, certificate, authority: Authority::from_der(authority)? })
    }

    /// The device's credential (CT-KRD), for the host.
    ///
    /// # Errors
    /// [`Error::Form`] if the certificate is longer than a token.
    pub fn credential(&self) -> Result<Vec<u8>> {
        cms::token(&cms::signed_data(1, &[], DATA, &[], self.certificate.der(), &[], &[])?)
    }

    /// Binds the host whose credential (CT-KDH) this is, at the time `now` since 1970. The device must not be bound. `latest` is
    /// when the latest list of revoked certificates was made that the device has seen ([`Binding::list_made`], also of a binding
    /// that has ended), zero if it has seen none: an older one could admit a host that was revoked since.
    ///
    /// # Errors
    /// What is wrong with the credential; [`Error::OldList`].
    pub fn bind(&self, credential: &[u8], latest: Duration, now: Duration) -> Result<Binding> {
        let credential = SignedData::token(credential)?;
        let list = self.list(&credential, now)?;
        if list.made() < latest {
            return Err(Error::OldList);
        }
        let host = credential.certificate.ok_or(Error::Form("it has no certificate"))?;
        Ok(Binding { host: self.authority.host(host, &list, now)?, list_made: list.made() })
    }

    /// The key in a key token (KT-KDH) of the bound host, that answers `nonce`. The key does what its header says, and nothing else.
    ///
    /// # Errors
    /// What is wrong with the token. The nonce is used up in any case.
    pub fn receive(&self, binding: &mut Binding, nonce: Nonce, token: &[u8], now: Duration) -> Result<Key> {
        let token = SignedData::token(token)?;
        let signer = self.signed_by_host(binding, &nonce, &token, ENVELOPED_DATA, now)?;
        let envelope = Envelope::read(token.content)?;
        self.is_for_us(envelope.recipient)?;
        let block = envelope.open(&self.key)?;
        let key = envelope::key(&block, &binding.host.name()?, signer.octets(DATA)?)?;
        envelope.content.carries(&key)?;
        Ok(key)
    }

    /// Hands the device over to another host: a rebind token (RBT-KDH) of the bound one, that answers `nonce`.
    ///
    /// # Errors
    /// What is wrong with the token. The nonce is used up in any case.
    pub fn rebind(&self, binding: &mut Binding, nonce: Nonce, token: &[u8], now: Duration) -> Result<()> {
        let token = SignedData::token(token)?;
        self.signed_by_host(binding, &nonce, &token, SIGNED_DATA, now)?;
        let list = self.list(&token, now)?;
        let inner = SignedData::inner(token.content)?;
        self.is_for_us(inner.content)?;
        let host = inner.certificate.ok_or(Error::Form("it has no certificate"))?;
        *binding = Binding { host: self.authority.host(host, &list, now)?, list_made: list.made() };
        Ok(())
    }

    /// Lets go of the host: an unbind token (UBT-KDH) of the bound one, that answers `nonce`. What is left of the binding is its
    /// [`list_made`](Binding::list_made).
    ///
    /// # Errors
    /// What is wrong with the token; then the host stays bound. The nonce is used up in any case.
    pub fn unbind(&self, binding: &mut Binding, nonce: Nonce, token: &[u8], now: Duration) -> Result<()> {
        let token = SignedData::token(token)?;
        self.signed_by_host(binding, &nonce, &token, DATA, now)?;
        self.is_for_us(token.content)
    }

    /// That the bound host signed the token, now, for this nonce.
    fn signed_by_host<'a, 't>(
        &self,
        binding: &mut Binding,
        nonce: &Nonce,
        token: &'a SignedData<'t>,
        content: x509_cert::der::asn1::ObjectIdentifier,
        now: Duration,
    ) -> Result<&'a SignerInfo<'t>> {
        let signer = token.signer.as_ref().ok_or(Error::Form("nobody signed it"))?;
        if token.content_type != content {
            return Err(Error::Form("it is another token"));
        }
        if signer.signer != binding.host.name()? {
            return Err(Error::OtherHost);
        }
        signer.verify(&binding.host, token)?;
        let list = self.list(token, now)?;
        self.authority.admits(&binding.host, &list, now)?;
        if signer.octets(RANDOM_NONCE)? != nonce.bytes() {
            return Err(Error::Nonce);
        }
        binding.sees(&list)?;
        Ok(signer)
    }

    fn list(&self, token: &SignedData<'_>, now: Duration) -> Result<List> {
        self.authority.list(token.crl.ok_or(Error::Form("it has no list of revoked certificates"))?, now)
    }

    /// That this IssuerAndSerialNumber is the device's.
    fn is_for_us(&self, name: &[u8]) -> Result<()> {
        if name == self.certificate.name()? { Ok(()) } else { Err(Error::OtherDevice) }
    }
}

/// Whether the certificate has this public key.
fn is_public_key(key: &PublicEncryptingKey, certificate: &Certificate) -> bool {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    let of_key: std::result::Result<PublicKeyX509Der<'_>, _> = key.as_der();
    of_key.is_ok_and(|der| der.as_ref().ends_with(certificate.public_key()))
}
