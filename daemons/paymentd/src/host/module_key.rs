//! A TLS client key that stays in the secure module: it signs the handshake (RFC 8446, 4.4.3), and gives nothing else away.
//!
//! rustls wants a signature before it returns, and the module answers over D-Bus, on this thread. So a handshake has a thread of
//! its own, which waits for the signature, while this one asks for it (`docs/decisions/0008-client-key.md`).

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, mpsc as replies};

use client::card::CardPaymentProxy;
use rustls::client::Resumption;
use rustls::pki_types::{ServerName, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, SignatureAlgorithm, SignatureScheme};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::Trust;

/// What stands in front of the transcript hash in what a client signs (RFC 8446, 4.4.3); the module puts it there by itself.
const CONTEXT: &[u8; 98] = b"\
    \x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\
    \x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\
    \x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\
    \x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\
    TLS 1.3, client CertificateVerify\0";

/// The client key of the secure module.
pub(super) struct ModuleKey {
    card: CardPaymentProxy<'static>,
}

/// One handshake's end of the key.
#[derive(Debug, Clone)]
struct HandshakeKey {
    public_key: SubjectPublicKeyInfoDer<'static>,
    questions: mpsc::UnboundedSender<Question>,
}

/// A signature that a handshake waits for.
#[derive(Debug)]
struct Question {
    transcript: Vec<u8>,
    reply: replies::SyncSender<zbus::Result<Vec<u8>>>,
}

impl ModuleKey {
    pub(super) fn new(card: CardPaymentProxy<'static>) -> ModuleKey {
        ModuleKey { card }
    }

    /// Connects to `address` and shakes hands. Given up, it leaves nothing behind.
    pub(super) async fn connect(
        &self,
        trust: &Trust,
        name: ServerName<'static>,
        address: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let public_key = self.card.tls_public_key().await.map_err(unable)?;
        let (questions, mut asked) = mpsc::unbounded_channel();
        let key = HandshakeKey { public_key: public_key.into(), questions };
        let config = client_config(trust, key).map_err(io::Error::other)?;
        let stream = super::tls::call(address).await?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
        // Dropped with this future, it ends the other thread's.
        let (_here, gone) = oneshot::channel::<Infallible>();
        let runtime = Handle::current();
        let mut handshake = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                tokio::select! {
                    done = handshake => done,
                    _ = gone => Err(io::ErrorKind::ConnectionAborted.into()),
                }
            })
        });
        loop {
            tokio::select! {
                done = &mut handshake => return done.map_err(io::Error::other)?,
                Some(question) = asked.recv() => {
                    let answer = self.card.sign_tls(&question.transcript).await;
                    // The handshake may have ended meanwhile.
                    let _ = question.reply.send(answer);
                }
            }
        }
    }
}

/// Of TLS 1.3 alone: in 1.2 a client signs the handshake itself, of which the module would see a hash, and sign anything. No
/// session is resumed: each connection is one that the module has agreed to.
fn client_config(trust: &Trust, key: HandshakeKey) -> Result<ClientConfig, rustls::Error> {
    let key = CertifiedKey::new(trust.chain.clone(), Arc::new(key));
    key.keys_match().map_err(|error| {
        rustls::Error::General(format!(
            "host-client-cert.pem is not for the secure card module's key ({error}); \
             have the acquirer sign what `posctl keys csr` prints"
        ))
    })?;
    let config = trust.config(&[&rustls::version::TLS13])?;
    let mut config = config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.resumption = Resumption::disabled();
    Ok(config)
}

impl SigningKey for HandshakeKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let known = offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256);
        known.then(|| -> Box<dyn Signer> { Box::new(self.clone()) })
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.public_key.clone())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for HandshakeKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let transcript = message.strip_prefix(CONTEXT).ok_or_else(|| {
            rustls::Error::General("the secure card module signs handshakes of TLS 1.3 alone".to_string())
        })?;
        let (reply, answer) = replies::sync_channel(1);
        let given_up = || rustls::Error::General("the connection was given up".to_string());
        let question = Question { transcript: transcript.to_vec(), reply };
        self.questions.send(question).map_err(|_| given_up())?;
        let signature = answer.recv().map_err(|_| given_up())?;
        signature.map_err(|error| rustls::Error::General(unable(error).to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

fn unable(error: zbus::Error) -> io::Error {
    io::Error::other(format!("the secure card module's TLS key: {error}"))
}
