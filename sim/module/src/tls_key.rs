//! The TLS client key: ECDSA on P-256 with SHA-256 (FIPS 186-5). It signs handshakes of TLS 1.3 as the client (RFC 8446, 4.4.3)
//! and requests for its own certificate (PKCS #10, RFC 2986). It makes both itself, so that it can be had to sign nothing else.

use link::Refusal;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use x509_cert::builder::{Builder, RequestBuilder};
use x509_cert::der::{Decode, Encode};
use x509_cert::name::Name;
use zeroize::Zeroizing;

use crate::{Refused, refused};

/// The transcript hashes of the cipher suites of TLS 1.3: SHA-256 and SHA-384.
const TRANSCRIPT_BYTES: [usize; 2] = [32, 48];
/// The longest subject of a certificate.
const MAX_SUBJECT: usize = 512;

pub(crate) struct TlsKey(SigningKey);

impl TlsKey {
    pub(crate) fn new(secret: &[u8; 32]) -> Result<Self, Refused> {
        SigningKey::from_slice(secret).map(Self).map_err(unable)
    }

    /// SubjectPublicKeyInfo (RFC 5480), in DER.
    pub(crate) fn public_key(&self) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let key = self.0.verifying_key().to_public_key_der().map_err(unable)?;
        Ok(Zeroizing::new(key.into_vec()))
    }

    /// The signature of a CertificateVerify of the client.
    pub(crate) fn sign(&self, transcript: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        if !TRANSCRIPT_BYTES.contains(&transcript.len()) {
            return refused(Refusal::Invalid, "a transcript hash has 32 or 48 bytes");
        }
        let content = [&[0x20; 64], &b"TLS 1.3, client CertificateVerify\0"[..], transcript].concat();
        let signature: DerSignature = self.0.sign(&content);
        Ok(Zeroizing::new(signature.as_bytes().to_vec()))
    }

    /// A request for a certificate.
    pub(crate) fn request(&self, subject: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        if subject.len() > MAX_SUBJECT {
            return refused(Refusal::Invalid, format!("a subject has at most {MAX_SUBJECT} bytes"));
        }
        let subject = Name::from_der(subject).map_err(|error| (Refusal::Invalid, error.to_string()))?;
        let request = RequestBuilder::new(subject).map_err(unable)?;
        let request = request.build::<_, DerSignature>(&self.0).map_err(unable)?;
        request.to_der().map(Zeroizing::new).map_err(unable)
    }
}

fn unable(error: impl std::fmt::Display) -> Refused {
    (Refusal::NotSupported, error.to_string())
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier;
    use p256::pkcs8::DecodePublicKey;
    use x509_cert::request::CertReq;

    use super::*;

    fn key() -> TlsKey {
        TlsKey::new(&[7; 32]).unwrap()
    }

    #[test]
    fn a_handshake_is_signed_with_its_context_and_nothing_else_is() {
        let verifying = VerifyingKey::from_public_key_der(&key().public_key().unwrap()).unwrap();
        for length in TRANSCRIPT_BYTES {
            let transcript = vec![9; length];
            let signature = DerSignature::from_bytes(&key().sign(&transcript).unwrap()).unwrap();
            // RFC 8446, 4.4.3.
            let mut content = vec![b' '; 64];
            content.extend(b"TLS 1.3, client CertificateVerify");
            content.push(0);
            content.extend(&transcript);
            verifying.verify(&content, &signature).unwrap();
            assert!(verifying.verify(&transcript, &signature).is_err());
        }
        for length in [0, 20, 31, 33, 64, 130] {
            assert_eq!(key().sign(&vec![9; length]).unwrap_err().0, Refusal::Invalid, "{length}");
        }
    }

    #[test]
    fn a_request_names_the_subject_and_the_key_and_is_signed_by_it() {
        let subject = "CN=12345678,O=TEST".parse::<Name>().unwrap().to_der().unwrap();
        let request = CertReq::from_der(&key().request(&subject).unwrap()).unwrap();
        assert_eq!(request.info.subject.to_der().unwrap(), subject);
        assert_eq!(request.info.public_key.to_der().unwrap(), *key().public_key().unwrap());
        let verifying = VerifyingKey::from_public_key_der(&key().public_key().unwrap()).unwrap();
        let signature = DerSignature::from_bytes(request.signature.raw_bytes()).unwrap();
        verifying.verify(&request.info.to_der().unwrap(), &signature).unwrap();
        for garbage in [&b""[..], b"\x30", b"\x30\x03\x02\x01\x00", &[0x30; 600]] {
            assert_eq!(key().request(garbage).unwrap_err().0, Refusal::Invalid);
        }
    }
}
