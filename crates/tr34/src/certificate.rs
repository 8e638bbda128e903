//! Certificates and lists of revoked ones (RFC 5280), as far as TR-34 has them: one authority, and what it issued itself.

use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Tag};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use crate::cms::{Der, RSA, RSA_SHA_256, wrap};
use crate::error::{Error, Result};

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");

/// A certificate of RSA.
#[derive(Clone)]
pub(crate) struct Certificate {
    der: Vec<u8>,
    fields: x509_cert::Certificate,
    /// RSAPublicKey (RFC 8017, A.1.1).
    public_key: Vec<u8>,
}

impl Certificate {
    pub(crate) fn from_der(der: &[u8]) -> Result<Self> {
        let mut whole = Der::new(der)?;
        whole.whole()?;
        whole.end()?;
        let fields =
            x509_cert::Certificate::from_der(der).map_err(|_| Error::Certificate("it is none of X.509"))?;
        let key = fields.tbs_certificate().subject_public_key_info();
        if key.algorithm.oid != RSA {
            return Err(Error::Algorithm("the certificate's key"));
        }
        let public_key = key.subject_public_key.raw_bytes().to_vec();
        Ok(Self { der: der.to_vec(), fields, public_key })
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// SubjectPublicKeyInfo.
    pub(crate) fn public_key_info(&self) -> Result<Vec<u8>> {
        let key = self.fields.tbs_certificate().subject_public_key_info();
        key.to_der().map_err(|_| Error::Certificate("its key"))
    }

    /// IssuerAndSerialNumber (RFC 5652, 10.2.4).
    pub(crate) fn name(&self) -> Result<Vec<u8>> {
        let certificate = self.fields.tbs_certificate();
        let issuer = certificate.issuer().to_der();
        let serial = certificate.serial_number().to_der();
        match (issuer, serial) {
            (Ok(issuer), Ok(serial)) => wrap(Tag::Sequence, &[&issuer, &serial]),
            _ => Err(Error::Certificate("its issuer or serial number")),
        }
    }

    /// Whether the key of this certificate made `signature` over `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key);
        key.verify(message, signature).is_ok()
    }

    fn valid_at(&self, now: Duration) -> bool {
        let validity = self.fields.tbs_certificate().validity();
        (validity.not_before.to_unix_duration()..=validity.not_after.to_unix_duration()).contains(&now)
    }

    /// That each extension is one of a host, or of an authority. A sample of TR-34 has the same one twice.
    fn fits(&self, authority: bool) -> Result<()> {
        let extensions = self.fields.tbs_certificate().extensions();
        let mut is_authority = false;
        for extension in extensions.into_iter().flatten() {
            match extension.extn_id {
                BASIC_CONSTRAINTS => {
                    let constraints: BasicConstraints = content(extension)?;
                    is_authority |= constraints.ca;
                }
                KEY_USAGE => {
                    let usage: KeyUsage = content(extension)?;
                    let may = if authority {
                        usage.key_cert_sign() && usage.crl_sign()
                    } else {
                        usage.digital_signature()
                    };
                    if !may {
                        return Err(Error::Certificate("its key usage"));
                    }
                }
                _ if extension.critical => {
                    return Err(Error::Certificate("a critical extension is not known"));
                }
                _ => {}
            }
        }
        if is_authority == authority { Ok(()) } else { Err(Error::Certificate("its basic constraints")) }
    }
}

fn content<'a, T: Decode<'a>>(extension: &'a Extension) -> Result<T> {
    T::from_der(extension.extn_value.as_bytes()).map_err(|_| Error::Certificate("an extension is damaged"))
}

/// The authority that certifies hosts: what a device trusts.
#[derive(Clone)]
pub(crate) struct Authority(Certificate);

impl Authority {
    pub(crate) fn from_der(der: &[u8]) -> Result<Self> {
        let certificate = Certificate::from_der(der)?;
        certificate.fits(true)?;
        Ok(Self(certificate))
    }

    /// The host's certificate, valid at `now` and not in `list`.
    pub(crate) fn host(&self, der: &[u8], list: &List, now: Duration) -> Result<Certificate> {
        let host = Certificate::from_der(der)?;
        self.issued(der, "the host's certificate")?;
        if host.fields.tbs_certificate().issuer() != self.0.fields.tbs_certificate().subject() {
            return Err(Error::Certificate("its issuer"));
        }
        host.fits(false)?;
        self.admits(&host, list, now)?;
        Ok(host)
    }

    /// That the host's certificate is still good at `now`.
    pub(crate) fn admits(&self, host: &Certificate, list: &List, now: Duration) -> Result<()> {
        if !self.0.valid_at(now) {
            return Err(Error::Expired("the authority's certificate"));
        }
        if !host.valid_at(now) {
            return Err(Error::Expired("the host's certificate"));
        }
        let serial = host.fields.tbs_certificate().serial_number();
        let revoked = list.0.tbs_cert_list.revoked_certificates.iter().flatten();
        if revoked.into_iter().any(|revoked| revoked.serial_number == *serial) {
            return Err(Error::Revoked);
        }
        Ok(())
    }

    /// A list of revoked certificates, valid at `now`.
    pub(crate) fn list(&self, der: &[u8], now: Duration) -> Result<List> {
        self.issued(der, "the list of revoked certificates")?;
        let list = CertificateList::from_der(der)
            .map_err(|_| Error::Form("its list of revoked certificates is none"))?;
        let fields = &list.tbs_cert_list;
        if fields.issuer != *self.0.fields.tbs_certificate().subject() {
            return Err(Error::Certificate("the issuer of the list"));
        }
        // A delta, or a list of some certificates alone, says so in a critical extension (RFC 5280, 5.2).
        let critical = |extension: &Extension| extension.critical;
        let entries = fields.revoked_certificates.iter().flatten();
        let of_entries = entries.flat_map(|entry| entry.crl_entry_extensions.iter().flatten());
        if fields.crl_extensions.iter().flatten().chain(of_entries).any(critical) {
            return Err(Error::Certificate("a critical extension of the list is not known"));
        }
        let begin = fields.this_update.to_unix_duration();
        let end = fields
            .next_update
            .ok_or(Error::Form("its list of revoked certificates has no end"))?
            .to_unix_duration();
        if (begin..=end).contains(&now) {
            Ok(List(list))
        } else {
            Err(Error::Expired("the list of revoked certificates"))
        }
    }

    /// That the authority signed this certificate or list.
    fn issued(&self, der: &[u8], what: &'static str) -> Result<()> {
        let mut outer = Der::new(der)?;
        let mut signed = outer.enter(Tag::Sequence)?;
        outer.end()?;
        let content = signed.whole()?;
        if signed.algorithm()?.0 != RSA_SHA_256 {
            return Err(Error::Algorithm(what));
        }
        let signature = signed.value(Tag::BitString)?;
        signed.end()?;
        // Whole octets: no bits are unused.
        match signature.split_first() {
            Some((0, signature)) if self.0.verifies(content, signature) => Ok(()),
            _ => Err(Error::Signature(what)),
        }
    }
}

/// A list of revoked certificates that its authority signed.
pub(crate) struct List(CertificateList);

impl List {
    /// When it was made, since 1970.
    pub(crate) fn made(&self) -> Duration {
        self.0.tbs_cert_list.this_update.to_unix_duration()
    }
}
