//! TLS to the host: 1.3 or 1.2, mutual, and no root but the acquirer's own.
//!
//! The credentials folder holds `host-root-ca.pem`, `host-client-cert.pem`, and, unless that key is in the secure module,
//! `host-client-key.pem`.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use client::card::CardPaymentProxy;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::module_key::ModuleKey;
use crate::config::ClientKey;

/// Calls one host.
pub(super) struct Connector {
    name: ServerName<'static>,
    trust: Trust,
    key: Key,
}

/// Whom we trust, and who we say that we are.
pub(super) struct Trust {
    roots: Vec<CertificateDer<'static>>,
    pub(super) chain: Vec<CertificateDer<'static>>,
}

/// The key of our certificate.
enum Key {
    File {
        key: PrivateKeyDer<'static>,
        /// Made when the host is first called: a daemon that only waits keeps no cryptography in memory.
        config: OnceLock<Arc<ClientConfig>>,
    },
    Module(ModuleKey),
}

impl Connector {
    /// Reads the credentials; `name` is what the host's certificate must hold.
    pub(super) fn new(
        name: &str,
        folder: &Path,
        key: ClientKey,
        card: CardPaymentProxy<'static>,
    ) -> Result<Connector, String> {
        let name = ServerName::try_from(name.to_string())
            .map_err(|_| format!("host.server_name: `{name}` is neither a DNS name nor an address"))?;
        let roots = certificates(&folder.join("host-root-ca.pem"))?;
        let chain = certificates(&folder.join("host-client-cert.pem"))?;
        let key = match key {
            ClientKey::File => {
                let file = folder.join("host-client-key.pem");
                let key = PrivateKeyDer::from_pem_file(&file);
                let key = key.map_err(|error| format!("{}: {error}", file.display()))?;
                Key::File { key, config: OnceLock::new() }
            }
            ClientKey::SecureModule => Key::Module(ModuleKey::new(card)),
        };
        Ok(Connector { name, trust: Trust { roots, chain }, key })
    }

    /// Connects to `address` and shakes hands.
    pub(super) async fn connect(&self, address: &str) -> io::Result<TlsStream<TcpStream>> {
        let (key, made) = match &self.key {
            Key::File { key, config } => (key, config),
            Key::Module(key) => return key.connect(&self.trust, self.name.clone(), address).await,
        };
        let config = match made.get() {
            Some(config) => config,
            None => {
                let config = self.trust.config(rustls::DEFAULT_VERSIONS).map_err(io::Error::other)?;
                let config = config.with_client_auth_cert(self.trust.chain.clone(), key.clone_key());
                let config = config.map_err(io::Error::other)?;
                made.get_or_init(|| Arc::new(config))
            }
        };
        let stream = call(address).await?;
        TlsConnector::from(Arc::clone(config)).connect(self.name.clone(), stream).await
    }
}

impl Trust {
    /// A configuration that lacks our certificate and its key.
    pub(super) fn config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for root in &self.roots {
            roots.add(root.clone())?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
        Ok(builder.with_root_certificates(roots))
    }
}

/// A connection without TLS yet.
pub(super) async fn call(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| format!("{}: {error}", file.display()))?;
    if certificates.is_empty() {
        return Err(format!("{}: holds no certificate", file.display()));
    }
    Ok(certificates)
}
