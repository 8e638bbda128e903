//! `org.smartpos.CardKeys1`, as seen on the system bus.

use std::str::FromStr as _;

use service::guard::Guard;
use service::{Error, Result};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode as _, Encode as _, EncodePem as _};
use x509_cert::name::Name;
use x509_cert::request::CertReq;
use zbus::interface;
use zbus::message::Header;

use crate::api::no_tls_key;
use crate::supervisor::ModuleHandle;

/// The longest subject that is taken, as text.
const MAX_SUBJECT: usize = 256;

/// The keys of the secure card module, on the system bus.
pub(crate) struct CardKeysService {
    pub(crate) guard: Guard,
    pub(crate) module: ModuleHandle,
}

/// What the operator does with the keys of the secure card module.
#[interface(name = "org.smartpos.CardKeys1")]
impl CardKeysService {
    /// A request for a certificate of the module's TLS client key (PKCS #10), in PEM, for the acquirer to sign. `subject` is a
    /// distinguished name (RFC 4514), such as `CN=12345678,O=Example`.
    ///
    /// Errors: InvalidArgument, NotPermitted, DeviceGone, Timeout, NotSupported by a module that has no such key.
    async fn tls_certificate_request(
        &self,
        subject: &str,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String> {
        self.guard.admit_operator(&header).await?;
        let subject = name(subject)?;
        let (module, _) = self.module.ready()?;
        let request = module.tls_certificate_request(&subject).await.map_err(no_tls_key)?;
        let wrong =
            |error| Error::Internal(format!("the secure card module's request can't be read: {error}"));
        CertReq::from_der(&request).and_then(|request| request.to_pem(LineEnding::LF)).map_err(wrong)
    }
}

/// A distinguished name in DER.
fn name(text: &str) -> Result<Vec<u8>> {
    let wrong = |problem: String| Error::invalid("subject", problem);
    if text.is_empty() || text.len() > MAX_SUBJECT {
        return Err(wrong(format!("give 1 to {MAX_SUBJECT} bytes, such as CN=12345678,O=Example")));
    }
    let name = Name::from_str(text).and_then(|name| name.to_der());
    name.map_err(|error| wrong(format!("`{text}` is no name such as CN=12345678,O=Example: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_as_people_write_it_and_anything_else_is_refused() {
        // SEQUENCE, SET, SEQUENCE, id-at-commonName (2.5.4.3), UTF8String.
        assert_eq!(hex(&name("CN=7").unwrap()), "300c310a300806035504030c0137");
        assert!(name("CN=12345678,O=Example").is_ok());
        for wrong in ["", "12345678", "CN", "NOSUCH=1", &format!("CN={}", "x".repeat(300))] {
            assert!(matches!(name(wrong), Err(Error::InvalidArgument(_))), "{wrong}");
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
