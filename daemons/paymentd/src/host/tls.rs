//! TLS to the host: 1.3 or 1.2, mutual, and no root but the acquirer's own.
//!
//! The credentials folder holds `host-root-ca.pem`, `host-client-cert.pem` and `host-client-key.pem`.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Calls one host.
pub(super) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connector {
    /// Reads the credentials; `name` is what the host's certificate must hold.
    pub(super) fn new(name: &str, credentials: &Path) -> Result<Connector, String> {
        let name = ServerName::try_from(name.to_string())
            .map_err(|_| format!("host.server_name: `{name}` is neither a DNS name nor an address"))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&credentials.join("host-root-ca.pem"))? {
            roots.add(certificate).map_err(|error| format!("host-root-ca.pem: {error}"))?;
        }
        let chain = certificates(&credentials.join("host-client-cert.pem"))?;
        let key_file = credentials.join("host-client-key.pem");
        let key = PrivateKeyDer::from_pem_file(&key_file)
            .map_err(|error| format!("{}: {error}", key_file.display()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| format!("the terminal's certificate and key: {error}"))?;
        Ok(Connector { config: Arc::new(config), name })
    }

    /// Connects to `address` and shakes hands.
    pub(super) async fn connect(&self, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), stream).await
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| format!("{}: {error}", file.display()))?;
    if certificates.is_empty() {
        return Err(format!("{}: holds no certificate", file.display()));
    }
    Ok(certificates)
}
