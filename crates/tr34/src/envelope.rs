//! The key, enciphered for one device: EnvelopedData (RFC 5652, 6.1) with RSAES-OAEP (RFC 8017, 7.1), and the key block in it
//! (TR-34, 5.4 and annex D).

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey};
use keys::{Algorithm, Attributes, Key, Mode, Usage, key_block};
use x509_cert::der::Tag;
use x509_cert::der::asn1::ObjectIdentifier;
use zeroize::Zeroizing;

use crate::cms::{DATA, Der, SHA_256, constructed, primitive};
use crate::error::{Error, Result};

pub(crate) const OAEP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.7");
pub(crate) const MGF_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const P_SPECIFIED: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.9");
pub(crate) const TDES_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.3.7");
pub(crate) const AES_128_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.2");
pub(crate) const AES_256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");

/// The most bytes of RSA that aws-lc takes.
const LONGEST_RSA: usize = 1_024;

/// What is enciphered for a device.
pub(crate) struct Envelope<'a> {
    /// IssuerAndSerialNumber of the device, whole.
    pub(crate) recipient: &'a [u8],
    encrypted_key: &'a [u8],
    pub(crate) content: Content<'a>,
}

/// What is enciphered under the content key.
pub(crate) struct Content<'a> {
    algorithm: Algorithm,
    key_length: usize,
    iv: &'a [u8],
    ciphertext: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self> {
        let (mut data, recipient, parameters, encrypted_key) = Self::recipient(bytes)?;
        oaep(parameters)?;
        let content = Content::read(&mut data)?;
        Ok(Self { recipient, encrypted_key, content })
    }

    /// What is behind the recipients, and of the one recipient: who it is, how OAEP is done, the enciphered key.
    fn recipient(bytes: &'a [u8]) -> Result<(Der<'a>, &'a [u8], Der<'a>, &'a [u8])> {
        let mut outer = Der::new(bytes)?;
        let mut data = outer.enter(Tag::Sequence)?;
        outer.end()?;
        data.value(Tag::Integer)?;
        let mut recipients = data.enter(Tag::Set)?;
        let mut info = recipients.enter(Tag::Sequence)?;
        recipients.end().map_err(|_| Error::Form("it has more than one recipient"))?;
        info.value(Tag::Integer)?;
        let recipient = info.whole()?;
        let (algorithm, parameters) = info.algorithm()?;
        if algorithm != OAEP {
            return Err(Error::Algorithm("the enciphered content key"));
        }
        let encrypted_key = info.value(Tag::OctetString)?;
        info.end()?;
        Ok((data, recipient, parameters, encrypted_key))
    }

    /// The content alone, however its key is enciphered.
    #[cfg(test)]
    pub(crate) fn content_of(bytes: &'a [u8]) -> Result<Content<'a>> {
        Content::read(&mut Self::recipient(bytes)?.0)
    }

    /// The clear content.
    pub(crate) fn open(&self, key: &OaepPrivateDecryptingKey) -> Result<Zeroizing<Vec<u8>>> {
        let mut room = Zeroizing::new([0; LONGEST_RSA]);
        let content_key = key.decrypt(&OAEP_SHA256_MGF1SHA256, self.encrypted_key, &mut *room, None);
        self.content.open(content_key.map_err(|_| Error::Cipher)?)
    }
}

/// RSAES-OAEP-params (RFC 8017, A.2.1): SHA-256 twice, and no label.
fn oaep(mut parameters: Der<'_>) -> Result<()> {
    let wrong = || Error::Algorithm("the enciphered content key");
    let mut params = parameters.enter(Tag::Sequence)?;
    let (hash, _) = params.enter(constructed(0)).map_err(|_| wrong())?.algorithm()?;
    let (function, mut of_function) = params.enter(constructed(1)).map_err(|_| wrong())?.algorithm()?;
    if hash != SHA_256 || function != MGF_1 || of_function.algorithm()?.0 != SHA_256 {
        return Err(wrong());
    }
    if let Some(label) = params.optional(constructed(2))? {
        let (source, mut label) = Der::new(label)?.algorithm()?;
        if source != P_SPECIFIED || !label.value(Tag::OctetString)?.is_empty() {
            return Err(wrong());
        }
    }
    params.end()?;
    parameters.end()
}

impl<'a> Content<'a> {
    fn read(data: &mut Der<'a>) -> Result<Self> {
        let mut info = data.enter(Tag::Sequence)?;
        if info.oid()? != DATA {
            return Err(Error::Form("its content has another type"));
        }
        let (cipher, mut parameters) = info.algorithm()?;
        let (algorithm, key_length, block) = match cipher {
            TDES_CBC => (Algorithm::Tdes, 24, 8),
            AES_128_CBC => (Algorithm::Aes, 16, 16),
            AES_256_CBC => (Algorithm::Aes, 32, 16),
            _ => return Err(Error::Algorithm("the enciphered content")),
        };
        let iv = parameters.value(Tag::OctetString)?;
        parameters.end()?;
        let ciphertext = info.optional(primitive(0))?.ok_or(Error::Form("its content is missing"))?;
        info.end()?;
        if iv.len() != block || ciphertext.is_empty() || !ciphertext.len().is_multiple_of(block) {
            return Err(Error::Form("its content is not made of whole blocks"));
        }
        Ok(Self { algorithm, key_length, iv, ciphertext })
    }

    /// The clear content under this key, without its padding (RFC 5652, 6.3). Whoever signed it is known already, so the padding
    /// tells nobody anything.
    pub(crate) fn open(&self, key: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        if key.len() != self.key_length {
            return Err(Error::Cipher);
        }
        let mut clear = Zeroizing::new(self.ciphertext.to_vec());
        content_key(self.algorithm, Mode::Decrypt, key)?.decrypt_cbc(self.iv, &mut clear)?;
        let padding = clear.last().copied().map_or(0, usize::from);
        let length = clear.len().checked_sub(padding).filter(|_| (1..=self.iv.len()).contains(&padding));
        let length = length.ok_or(Error::Cipher)?;
        if clear.iter().skip(length).any(|byte| usize::from(*byte) != padding) {
            return Err(Error::Cipher);
        }
        clear.truncate(length);
        Ok(clear)
    }

    /// That this content may carry a key: what protects a key is not weaker than the key is (PCI PIN requirement 10).
    pub(crate) fn carries(&self, key: &Key) -> Result<()> {
        let own = content_key(self.algorithm, Mode::Decrypt, &vec![0; self.key_length])?.strength();
        if key.strength() > own { Err(keys::Error::Weaker.into()) } else { Ok(()) }
    }
}

/// A key that the content is enciphered under.
pub(crate) fn content_key(algorithm: Algorithm, mode: Mode, key: &[u8]) -> Result<Key> {
    Ok(Key::new(Attributes::new(Usage::Data, algorithm, mode), key)?)
}

/// The key in a key block, which `host` (its IssuerAndSerialNumber) made and whose header is the signed one.
pub(crate) fn key(block: &[u8], host: &[u8], signed_header: &[u8]) -> Result<Key> {
    let mut outer = Der::new(block)?;
    let mut fields = outer.enter(Tag::Sequence)?;
    outer.end()?;
    fields.value(Tag::Integer)?;
    if fields.whole()? != host {
        return Err(Error::OtherHost);
    }
    let clear = fields.value(Tag::OctetString)?;
    // An attribute in the samples, and octets in annex D.
    let header = if fields.next_is(Tag::OctetString) {
        fields.value(Tag::OctetString)?
    } else {
        let mut attribute = fields.enter(Tag::Sequence)?;
        if attribute.oid()? != DATA {
            return Err(Error::Form("the key has no header"));
        }
        let mut values = attribute.enter(Tag::Set)?;
        let header = values.value(Tag::OctetString)?;
        values.end()?;
        header
    };
    fields.end()?;
    if header != signed_header {
        return Err(Error::Header);
    }
    let header = header.as_array().ok_or(Error::Form("a header has 16 characters"))?;
    Ok(Key::new(key_block::attributes(header)?, clear)?)
}
