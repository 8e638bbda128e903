//! TLS to the host: 1.3 or 1.2, mutual, and no root but the acquirer's own.
//!
//! The credentials folder holds `host-root-ca.pem`, `host-client-cert.pem` and `host-client-key.pem`.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Calls one host.
pub(super) struct Connector {
    name: ServerName<'static>,
    credentials: Credentials,
    /// Made when the host is first called: a daemon that only waits keeps no cryptography in memory.
    config: OnceLock<Arc<ClientConfig>>,
}

struct Credentials {
    roots: Vec<CertificateDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Connector {
    /// Reads the credentials; `name` is what the host's certificate must hold.
    pub(super) fn new(name: &str, folder: &Path) -> Result<Connector, String> {
        let name = ServerName::try_from(name.to_string())
            .map_err(|_| format!("host.server_name: `{name}` is neither a DNS name nor an address"))?;
        let roots = certificates(&folder.join("host-root-ca.pem"))?;
        let chain = certificates(&folder.join("host-client-cert.pem"))?;
        let key_file = folder.join("host-client-key.pem");
        let key = PrivateKeyDer::from_pem_file(&key_file)
            .map_err(|error| format!("{}: {error}", key_file.display()))?;
        Ok(Connector { name, credentials: Credentials { roots, chain, key }, config: OnceLock::new() })
    }

    /// Connects to `address` and shakes hands.
    pub(super) async fn connect(&self, address: &str) -> io::Result<TlsStream<TcpStream>> {
        let config = match self.config.get() {
            Some(config) => config,
            None => {
                let config = self.credentials.client_config().map_err(io::Error::other)?;
                self.config.get_or_init(|| Arc::new(config))
            }
        };
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::clone(config)).connect(self.name.clone(), stream).await
    }
}

impl Credentials {
    fn client_config(&self) -> Result<ClientConfig, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for root in &self.roots {
            roots.add(root.clone())?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
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
