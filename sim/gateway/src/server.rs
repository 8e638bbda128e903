//! The sockets: HTTPS for terminals, a control socket for testers.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway::MAX_BODY;
use gateway::door::{self, Door};
use gateway::head::{Head, HeadError};
use gateway::key::{RsaSigner, Verify};
use gateway::message::{Answer, Refusal, RefusalKind};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use sim_control::Reply;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time;
use tokio_rustls::TlsAcceptor;

use crate::host::Gateway;
use crate::repeating::{Repeating, Twice};
use crate::rules::{OPERATIONS, Rule};
use crate::{commands, pki};

/// The longest TLS handshake, and the longest wait for a request's head.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The longest head of a request.
const MAX_HEAD: usize = 16 * 1024;

/// Where the gateway notes what it does, a line each.
pub type Log = fn(&str);

/// What all connections share.
pub struct Server {
    gateway: Mutex<Gateway>,
    door: Mutex<Door>,
    key: RsaSigner,
    pki: PathBuf,
    log: Log,
    /// The answer before, for a replay.
    answered: Mutex<Option<Sealed>>,
}

/// An answer, signed.
#[derive(Clone)]
struct Sealed {
    status: u16,
    head: Option<Head>,
    body: Vec<u8>,
}

/// Why a connection is closed without an answer: by rule.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed by rule")
    }
}

impl std::error::Error for Dropped {}

impl Server {
    /// A server with the keys in `pki`.
    ///
    /// # Errors
    /// A file that is missing or wrong.
    pub fn new(gateway: Gateway, pki: &Path, log: Log) -> io::Result<Server> {
        let (gateway, door, answered) = (Mutex::new(gateway), Mutex::new(door(pki)?), Mutex::new(None));
        let (key, pki) = (pki::signer(pki, "gateway")?, pki.to_owned());
        Ok(Server { gateway, door, key, pki, log, answered })
    }

    /// Forgets what a restart forgets: which requests it has seen, and what it answered. The ledger stays.
    async fn restart(&self) {
        match door(&self.pki) {
            Ok(door) => *self.door.lock().await = door,
            Err(error) => (self.log)(&format!("no restart: {error}")),
        }
        *self.answered.lock().await = None;
    }

    /// Answers terminals on `listener` for ever.
    ///
    /// # Errors
    /// When no more connections can be accepted. What goes wrong on one connection ends that one alone.
    pub async fn serve(
        self: Arc<Server>,
        listener: TcpListener,
        tls: Arc<rustls::ServerConfig>,
    ) -> io::Result<()> {
        let acceptor = TlsAcceptor::from(tls);
        loop {
            let (stream, peer) = listener.accept().await?;
            let (acceptor, server) = (acceptor.clone(), Arc::clone(&self));
            tokio::spawn(async move {
                let log = server.log;
                if let Err(problem) = server.connection(stream, acceptor).await {
                    log(&format!("connection from {peer} closed: {problem}"));
                }
            });
        }
    }

    /// Answers testers on the control socket below `dir` for ever.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub async fn control(&self, dir: &Path) -> io::Result<()> {
        sim_control::serve(dir, "gateway", async |words| self.command(&words).await).await
    }

    /// Carries out one command of a tester.
    pub async fn command(&self, words: &[String]) -> Reply {
        commands::run(&mut *self.gateway.lock().await, words)
    }

    async fn connection(self: Arc<Server>, stream: TcpStream, acceptor: TlsAcceptor) -> Result<(), String> {
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let tls = time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
        let tls = tls.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let twice = Twice::default();
        let tls = Repeating::new(tls, Arc::clone(&twice));
        let service = service_fn(|request| self.respond(request, &twice));
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HANDSHAKE)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(tls), service)
            .await
            .map_err(|error| error.to_string())
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        twice: &Twice,
    ) -> Result<Response<Full<Bytes>>, Dropped> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
        let head = match read_head(&parts.headers) {
            Ok(head) => head,
            // There is no nonce to answer to.
            Err(refusal) => {
                let answer = Answer::Refused(refusal);
                return Ok(response(self.seal(&"0".repeat(32), &path, &answer, &Rule::Truthful)));
            }
        };
        let (answer, rule) = match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => self.react(parts.method.as_str(), &path, &head, &body.to_bytes()).await?,
            Err(_) => {
                let refusal =
                    RefusalKind::BadRequest.because("the body was cut off or is longer than 8192 bytes");
                (Answer::Refused(refusal), Rule::Truthful)
            }
        };
        match rule {
            Rule::Silent => std::future::pending().await,
            Rule::Late(delay) => time::sleep(delay).await,
            Rule::Repeat => twice.store(true, Ordering::Relaxed),
            _ => {}
        }
        let sealed = self.seal(&head.nonce, &path, &answer, &rule);
        let before = self.answered.lock().await.replace(sealed.clone());
        Ok(response(before.filter(|_| rule == Rule::Replay).unwrap_or(sealed)))
    }

    /// Admits and answers a request; the rule says what is still to happen to the answer.
    async fn react(
        &self,
        method: &str,
        path: &str,
        head: &Head,
        body: &[u8],
    ) -> Result<(Answer, Rule), Dropped> {
        let now = now();
        let admitted = match self.door.lock().await.admit(method, path, head, body, now.as_secs()) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                (self.log)(&format!("{path}: {refusal}"));
                return Ok((Answer::Refused(refusal), Rule::Truthful));
            }
        };
        let mut gateway = self.gateway.lock().await;
        let operation = OPERATIONS.into_iter().find(|name| path.strip_prefix("/v1/") == Some(name));
        let rule = operation.map_or(Rule::Truthful, |operation| gateway.rules.take(&[operation]));
        if rule == Rule::RestartBefore {
            self.restart().await;
        }
        if matches!(rule, Rule::DropBefore | Rule::RestartBefore) {
            return Err(Dropped);
        }
        let mut answer = gateway.answer(&admitted, now);
        if rule == Rule::Twice {
            answer = gateway.answer(&admitted, now);
        }
        let order = admitted.request.order();
        (self.log)(&format!("{path} order {order}: {}", String::from_utf8_lossy(&body_of(&answer))));
        if rule == Rule::RestartAfter {
            self.restart().await;
        }
        if matches!(rule, Rule::DropAfter | Rule::RestartAfter) { Err(Dropped) } else { Ok((answer, rule)) }
    }

    fn seal(&self, nonce: &str, path: &str, answer: &Answer, rule: &Rule) -> Sealed {
        let status = answer.status();
        let body = if *rule == Rule::Garbage { b"<html>".to_vec() } else { body_of(answer) };
        let signed: &[u8] = if *rule == Rule::WrongSignature { b"{}" } else { &body };
        let head = door::seal(pki::GATEWAY, &self.key, now().as_secs(), nonce, status, path, signed);
        Sealed { status, head: head.ok(), body }
    }
}

/// A door that opens now for the terminal's key in `pki`.
fn door(pki: &Path) -> io::Result<Door> {
    let terminal: Box<dyn Verify> = Box::new(pki::verifier(pki, "terminal")?);
    Ok(Door::new(BTreeMap::from([(pki::TERMINAL.to_owned(), terminal)]), now().as_secs()))
}

fn response(sealed: Sealed) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(sealed.status).header(CONTENT_TYPE, "application/json");
    for (name, value) in sealed.head.iter().flat_map(Head::fields) {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(sealed.body.into())).unwrap_or_default()
}

fn body_of(answer: &Answer) -> Vec<u8> {
    // Plain data are always JSON; no body would be no answer.
    answer.body().unwrap_or_default()
}

fn read_head(headers: &HeaderMap) -> Result<Head, Refusal> {
    let bad = |error: HeadError| RefusalKind::BadRequest.because(error.to_string());
    if one(headers, CONTENT_TYPE.as_str()) != Some("application/json") {
        return Err(bad(HeadError::Field("Content-Type")));
    }
    Head::read(|name| one(headers, name)).map_err(bad)
}

/// The value of a field that is there once.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
