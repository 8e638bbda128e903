//! A gateway on loopback, and a tiny terminal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gateway::head::Head;
use gateway::key::{RsaSigner, RsaVerifier};
use gateway::message::{Answer, OrderAnswer, OrderNumber, OrderOutcome, Pay, Prepare, Refund, Request};
use gateway::terminal::{AnswerError, Call, Outgoing};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use qr::wallet::PaymentCode;
use sim_control::Reply;
use sim_gateway::host::Gateway;
use sim_gateway::ledger::Ledger;
use sim_gateway::server::Server;
use sim_gateway::{WALLETS, pki};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

pub(crate) const ALIPAY: &str = "287654321098765432";

/// A gateway that runs, its folder, and a terminal's keys.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    server: Arc<Server>,
    address: std::net::SocketAddr,
    tls: TlsConnector,
    key: RsaSigner,
    gateway_key: RsaVerifier,
}

/// What came back over HTTP.
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn pay(order: &str, amount: u64, code: &str) -> Request {
    let code = PaymentCode::new(code).unwrap();
    Request::Pay(Pay { order: order.to_owned(), amount, currency: "CNY".to_owned(), code })
}

pub(crate) fn prepare(order: &str, amount: u64) -> Request {
    Request::Prepare(Prepare { order: order.to_owned(), amount, currency: "CNY".to_owned() })
}

pub(crate) fn query(order: &str) -> Request {
    Request::Query(OrderNumber { order: order.to_owned() })
}

pub(crate) fn cancel(order: &str) -> Request {
    Request::Cancel(OrderNumber { order: order.to_owned() })
}

pub(crate) fn refund(order: &str, refund: &str, amount: u64) -> Request {
    let (order, refund) = (order.to_owned(), refund.to_owned());
    Request::Refund(Refund { order, refund, amount, currency: "CNY".to_owned() })
}

impl Bench {
    pub(crate) async fn open() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        pki::ensure(dir.path()).unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger")).unwrap();
        let gateway = Gateway::new(toml::from_str(WALLETS).unwrap(), ledger);
        let server = Arc::new(Server::new(gateway, dir.path(), |_| {}).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = Arc::new(pki::server_config(dir.path()).unwrap());
        tokio::spawn(Arc::clone(&server).serve(listener, tls));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(pki::roots(dir.path()).unwrap())
            .with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(client));
        let key = pki::signer(dir.path(), "terminal").unwrap();
        let gateway_key = pki::verifier(dir.path(), "gateway").unwrap();
        Bench { dir, server, address, tls, key, gateway_key }
    }

    /// What `simctl` with these words does.
    pub(crate) async fn simctl(&self, line: &str) -> Reply {
        self.command(&line.split_whitespace().collect::<Vec<_>>()).await
    }

    /// The same with words that may hold spaces.
    pub(crate) async fn command(&self, words: &[&str]) -> Reply {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.server.command(&words).await
    }

    pub(crate) fn sign(&self, request: Request, at: u64) -> (Call, Outgoing) {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        Call::new(request, pki::TERMINAL, &self.key, at, nonce).unwrap()
    }

    /// Sends whatever is given; `None` if no answer came.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, String)],
        body: &[u8],
    ) -> Option<Raw> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = pki::SERVER_NAME.try_into().unwrap();
        let tls = self.tls.connect(name, stream).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        let mut builder = hyper::Request::builder().method(method).uri(path).header("Host", pki::SERVER_NAME);
        for (name, value) in fields {
            builder = builder.header(*name, value);
        }
        let request = builder.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let response = sender.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let fields = response.headers().iter();
        let fields =
            fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let body = response.into_body().collect().await.ok()?.to_bytes().to_vec();
        Some(Raw { status, fields, body })
    }

    pub(crate) async fn send_signed(&self, sent: &Outgoing) -> Option<Raw> {
        let mut fields = vec![("Content-Type", "application/json".to_owned())];
        fields.extend(sent.head.fields());
        self.send("POST", sent.path, &fields, &sent.body).await
    }

    pub(crate) fn verify(&self, call: &Call, raw: &Raw) -> Result<Answer, AnswerError> {
        let head = Head::read(|name| raw.fields.get(&name.to_lowercase()).map(String::as_str))?;
        call.answer(raw.status, &head, &raw.body, &self.gateway_key, now())
    }

    /// Asks, and verifies the answer.
    pub(crate) async fn ask(&self, request: Request) -> Answer {
        let (call, sent) = self.sign(request, now());
        let raw = self.send_signed(&sent).await.unwrap();
        self.verify(&call, &raw).unwrap()
    }

    /// Asks for the state of an order.
    pub(crate) async fn outcome(&self, request: Request) -> OrderOutcome {
        match self.ask(request).await {
            Answer::Order(OrderAnswer { outcome, .. }) => outcome,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::open(&self.dir.path().join("ledger")).unwrap()
    }
}
