//! One connection to the QR gateway: HTTP/1.1 over TLS 1.3 or 1.2, with no root but the gateway's own.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use gateway::MAX_BODY;
use gateway::head::Head;
use gateway::terminal::Outgoing;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// The longest head of an answer.
const MAX_HEAD: usize = 16 * 1024;

/// Calls the gateway.
pub(super) struct Connector {
    name: ServerName<'static>,
    roots: Vec<CertificateDer<'static>>,
    /// Made when the gateway is first called: a daemon that only waits keeps no cryptography in memory.
    config: OnceLock<Arc<ClientConfig>>,
}

/// One connection, for one exchange after another.
pub(super) struct Link {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    connection: JoinHandle<()>,
}

/// What came back, not looked at yet.
pub(super) struct Came {
    pub(super) status: u16,
    pub(super) head: Head,
    pub(super) body: Bytes,
}

impl Connector {
    /// `name` is what the gateway's certificate must hold, `roots` the file of what is trusted.
    pub(super) fn new(name: &str, roots: &Path) -> Result<Connector, String> {
        let name = ServerName::try_from(name.to_string())
            .map_err(|_| format!("gateway.server_name: `{name}` is neither a DNS name nor an address"))?;
        let read = CertificateDer::pem_file_iter(roots).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates = read.map_err(|error| format!("{}: {error}", roots.display()))?;
        if certificates.is_empty() {
            return Err(format!("{}: holds no certificate", roots.display()));
        }
        Ok(Connector { name, roots: certificates, config: OnceLock::new() })
    }

    /// Connects to `address` and shakes hands; `host` is what requests are addressed to.
    pub(super) async fn connect(&self, address: &str, host: &str) -> io::Result<Link> {
        let config = match self.config.get() {
            Some(config) => config,
            None => {
                let config = self.client_config().map_err(io::Error::other)?;
                self.config.get_or_init(|| Arc::new(config))
            }
        };
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(self.name.clone(), stream).await?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // What ends the connection is seen by the request that is on it.
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Link { sender, host: host.to_string(), connection })
    }

    fn client_config(&self) -> Result<ClientConfig, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for root in &self.roots {
            roots.add(root.clone())?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}

impl Link {
    /// Whether the gateway has not closed it.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and returns what comes back.
    ///
    /// # Errors
    /// Why nothing came that could be an answer; what became of the request is unknown.
    pub(super) async fn exchange(&mut self, outgoing: &Outgoing) -> Result<Came, String> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(outgoing.path)
            .header(HOST, self.host.as_str())
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in outgoing.head.fields() {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::copy_from_slice(&outgoing.body));
        let request = request.body(body).map_err(|error| error.to_string())?;
        // Right after an answer the connection may have to be polled once more.
        self.sender.ready().await.map_err(|error| error.to_string())?;
        let response = self.sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        let head = Head::read(|name| one(&parts.headers, name)).map_err(|error| error.to_string())?;
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| error.to_string())?;
        Ok(Came { status: parts.status.as_u16(), head, body: body.to_bytes() })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The value of a field that is there once.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}
