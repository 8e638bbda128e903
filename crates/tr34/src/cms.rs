//! The parts of the Cryptographic Message Syntax (RFC 5652) that TR-34 is made of: SignedData with at most one signer, and the
//! attributes that he signs.
//!
//! What is signed is kept as it came: the samples of TR-34 have attributes that DER would sort, and their signatures are over
//! them as they stand.

use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{AnyRef, Decode, Encode, Reader, SliceReader, Tag, TagNumber};

use crate::error::{Error, Result};
use crate::{LONGEST, certificate};

/// An object identifier of the standards.
const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

pub(crate) const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
pub(crate) const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
pub(crate) const ENVELOPED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.3");
pub(crate) const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
pub(crate) const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
pub(crate) const RANDOM_NONCE: ObjectIdentifier = oid("1.2.840.113549.1.9.25.3");
pub(crate) const SHA_256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
pub(crate) const RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
pub(crate) const RSA_SHA_256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");

/// The tag `[number]` of a constructed value.
pub(crate) const fn constructed(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number) }
}

/// The tag `[number]` of a primitive value.
pub(crate) const fn primitive(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: false, number: TagNumber(number) }
}

/// Reads DER, one value after the other.
pub(crate) struct Der<'a>(SliceReader<'a>);

impl<'a> Der<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() > LONGEST {
            return Err(Error::Form("it is too long"));
        }
        SliceReader::new(bytes).map(Self).map_err(|_| Error::Form("it is too long"))
    }

    /// The content of the next value, which has this tag.
    pub(crate) fn value(&mut self, tag: Tag) -> Result<&'a [u8]> {
        let next = AnyRef::decode(&mut self.0).map_err(|_| Error::Form("it is not DER"))?;
        if next.header().tag() == tag {
            Ok(next.value())
        } else {
            Err(Error::Form("a field has another type"))
        }
    }

    /// The next value, if it has this tag.
    pub(crate) fn optional(&mut self, tag: Tag) -> Result<Option<&'a [u8]>> {
        if self.next_is(tag) { self.value(tag).map(Some) } else { Ok(None) }
    }

    pub(crate) fn next_is(&self, tag: Tag) -> bool {
        !self.is_end() && Tag::peek(&self.0).is_ok_and(|next| next == tag)
    }

    /// What is in the next value, which has this tag.
    pub(crate) fn enter(&mut self, tag: Tag) -> Result<Self> {
        Self::new(self.value(tag)?)
    }

    /// The next value whole, tag and length included.
    pub(crate) fn whole(&mut self) -> Result<&'a [u8]> {
        self.0.tlv_bytes().map_err(|_| Error::Form("it is not DER"))
    }

    pub(crate) fn oid(&mut self) -> Result<ObjectIdentifier> {
        ObjectIdentifier::decode(&mut self.0).map_err(|_| Error::Form("an object identifier is missing"))
    }

    /// The object identifier of an AlgorithmIdentifier, and what is left of it: its parameters.
    pub(crate) fn algorithm(&mut self) -> Result<(ObjectIdentifier, Self)> {
        let mut inside = self.enter(Tag::Sequence)?;
        Ok((inside.oid()?, inside))
    }

    pub(crate) fn is_end(&self) -> bool {
        self.0.is_finished()
    }

    /// That nothing follows.
    pub(crate) fn end(self) -> Result<()> {
        if self.is_end() { Ok(()) } else { Err(Error::Form("something follows its end")) }
    }
}

/// SignedData (RFC 5652, 5.1).
pub(crate) struct SignedData<'a> {
    pub(crate) content_type: ObjectIdentifier,
    pub(crate) content: &'a [u8],
    /// A certificate whole, if there is exactly one or none.
    pub(crate) certificate: Option<&'a [u8]>,
    /// A CRL whole, if there is exactly one or none.
    pub(crate) crl: Option<&'a [u8]>,
    pub(crate) signer: Option<SignerInfo<'a>>,
}

impl<'a> SignedData<'a> {
    /// A token: a ContentInfo with SignedData.
    pub(crate) fn token(bytes: &'a [u8]) -> Result<Self> {
        let mut outer = Der::new(bytes)?;
        let mut token = outer.enter(Tag::Sequence)?;
        outer.end()?;
        if token.oid()? != SIGNED_DATA {
            return Err(Error::Form("it is no SignedData"));
        }
        let mut explicit = token.enter(constructed(0))?;
        token.end()?;
        let data = explicit.enter(Tag::Sequence)?;
        explicit.end()?;
        Self::fields(data)
    }

    /// SignedData that another one has as its content. The samples of TR-34 leave out the SEQUENCE around it.
    pub(crate) fn inner(bytes: &'a [u8]) -> Result<Self> {
        let mut outer = Der::new(bytes)?;
        if !outer.next_is(Tag::Sequence) {
            return Self::fields(outer);
        }
        let data = outer.enter(Tag::Sequence)?;
        outer.end()?;
        Self::fields(data)
    }

    fn fields(mut data: Der<'a>) -> Result<Self> {
        data.value(Tag::Integer)?;
        data.value(Tag::Set)?;
        let mut info = data.enter(Tag::Sequence)?;
        let content_type = info.oid()?;
        let content = match info.optional(constructed(0))? {
            Some(explicit) => {
                let mut explicit = Der::new(explicit)?;
                let content = explicit.value(Tag::OctetString)?;
                explicit.end()?;
                content
            }
            None => &[],
        };
        info.end()?;
        let certificate = data.optional(constructed(0))?.map(only).transpose()?.flatten();
        let before = data.optional(constructed(1))?;
        let mut signers = data.enter(Tag::Set)?;
        // Where the samples of TR-34 that nobody signs have it.
        let crls = if before.is_some() { before } else { data.optional(constructed(1))? };
        data.end()?;
        let crl = crls.map(only).transpose()?.flatten();
        let signer = if signers.is_end() { None } else { Some(SignerInfo::read(&mut signers)?) };
        signers.end()?;
        Ok(Self { content_type, content, certificate, crl, signer })
    }
}

/// The one value of a set, whole; none if it is empty.
fn only(set: &[u8]) -> Result<Option<&[u8]>> {
    let mut set = Der::new(set)?;
    if set.is_end() {
        return Ok(None);
    }
    let one = set.whole()?;
    set.end().map_err(|_| Error::Form("it has more than one certificate or list"))?;
    Ok(Some(one))
}

/// SignerInfo (RFC 5652, 5.3).
pub(crate) struct SignerInfo<'a> {
    /// IssuerAndSerialNumber whole.
    pub(crate) signer: &'a [u8],
    /// The signed attributes, as a SET.
    signed: Vec<u8>,
    attributes: &'a [u8],
    signature: &'a [u8],
}

impl<'a> SignerInfo<'a> {
    fn read(from: &mut Der<'a>) -> Result<Self> {
        let mut info = from.enter(Tag::Sequence)?;
        info.value(Tag::Integer)?;
        let signer = info.whole()?;
        let (digest, _) = info.algorithm()?;
        let attributes =
            info.optional(constructed(0))?.ok_or(Error::Form("nothing is signed beside the content"))?;
        let (algorithm, _) = info.algorithm()?;
        if digest != SHA_256 || !matches!(algorithm, RSA | RSA_SHA_256) {
            return Err(Error::Algorithm("the signature"));
        }
        let signature = info.value(Tag::OctetString)?;
        info.end()?;
        Ok(Self { signer, signed: wrap(Tag::Set, &[attributes])?, attributes, signature })
    }

    /// That `certificate` signed `data` and these attributes (RFC 5652, 5.4).
    pub(crate) fn verify(&self, certificate: &certificate::Certificate, data: &SignedData<'_>) -> Result<()> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data.content);
        let content_type = data.content_type.to_der().map_err(|_| Error::Form("its content has no type"))?;
        if self.attribute(MESSAGE_DIGEST)? != wrap(Tag::OctetString, &[digest.as_ref()])?
            || self.attribute(CONTENT_TYPE)? != content_type
        {
            return Err(Error::Signature("the token's content"));
        }
        if certificate.verifies(&self.signed, self.signature) {
            Ok(())
        } else {
            Err(Error::Signature("the token"))
        }
    }

    /// The one value of a signed attribute, whole.
    pub(crate) fn attribute(&self, wanted: ObjectIdentifier) -> Result<&'a [u8]> {
        let missing = Error::Form("a signed attribute is missing, or there twice");
        let mut attributes = Der::new(self.attributes)?;
        let mut found = None;
        while !attributes.is_end() {
            let mut attribute = attributes.enter(Tag::Sequence)?;
            if attribute.oid()? == wanted {
                let mut values = attribute.enter(Tag::Set)?;
                let value = values.whole()?;
                if !values.is_end() || found.replace(value).is_some() {
                    return Err(missing);
                }
            }
        }
        found.ok_or(missing)
    }

    /// The same as octets.
    pub(crate) fn octets(&self, wanted: ObjectIdentifier) -> Result<&'a [u8]> {
        Der::new(self.attribute(wanted)?)?.value(Tag::OctetString)
    }
}

/// A value of these parts, one after the other.
pub(crate) fn wrap(tag: Tag, parts: &[&[u8]]) -> Result<Vec<u8>> {
    let content = parts.concat();
    AnyRef::new(tag, &content)
        .and_then(|value| value.to_der())
        .map_err(|_| Error::Form("it would be too long"))
}

/// An object identifier in DER.
pub(crate) fn name(of: ObjectIdentifier) -> Result<Vec<u8>> {
    of.to_der().map_err(|_| Error::Form("an object identifier is wrong"))
}

/// An attribute with one value (RFC 5652, 5.3).
pub(crate) fn attribute(of: ObjectIdentifier, value: &[u8]) -> Result<Vec<u8>> {
    wrap(Tag::Sequence, &[&name(of)?, &wrap(Tag::Set, &[value])?])
}

/// A token: SignedData of these parts in a ContentInfo.
pub(crate) fn token(data: &[u8]) -> Result<Vec<u8>> {
    wrap(Tag::Sequence, &[&name(SIGNED_DATA)?, &wrap(constructed(0), &[data])?])
}

/// SignedData of what stands in these fields whole.
pub(crate) fn signed_data(
    version: u8,
    digests: &[u8],
    content_type: ObjectIdentifier,
    content: &[u8],
    certificate: &[u8],
    crl: &[u8],
    signer: &[u8],
) -> Result<Vec<u8>> {
    let explicit = wrap(constructed(0), &[&wrap(Tag::OctetString, &[content])?])?;
    let set = |number, value: &[u8]| {
        if value.is_empty() { Ok(Vec::new()) } else { wrap(constructed(number), &[value]) }
    };
    wrap(
        Tag::Sequence,
        &[
            &wrap(Tag::Integer, &[&[version]])?,
            &wrap(Tag::Set, &[digests])?,
            &wrap(Tag::Sequence, &[&name(content_type)?, &explicit])?,
            &set(0, certificate)?,
            &set(1, crl)?,
            &wrap(Tag::Set, &[signer])?,
        ],
    )
}
