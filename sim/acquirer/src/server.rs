//! The sockets: mutual TLS for terminals, a control socket for testers.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use iso8583::frame::{Decoder, End, Frame};
use jiff::Zoned;
use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::commands;
use crate::host::{Acquirer, Reaction};
use crate::mangling::Mangling;

/// The longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

type Sink = Arc<Mutex<WriteHalf<TlsStream<TcpStream>>>>;

/// Where the acquirer notes what it does, a line each.
pub type Log = fn(&str);

/// Answers terminals on `listener` for ever.
///
/// # Errors
/// When no more connections can be accepted. What goes wrong on one connection ends that one alone.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    acquirer: Arc<Mutex<Acquirer>>,
    log: Log,
) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let (stream, peer) = listener.accept().await?;
        let (acceptor, acquirer) = (acceptor.clone(), Arc::clone(&acquirer));
        tokio::spawn(async move {
            if let Err(error) = connection(stream, acceptor, acquirer, log).await {
                log(&format!("connection from {peer} closed: {error}"));
            }
        });
    }
}

/// Answers testers on the control socket below `dir` for ever.
///
/// # Errors
/// When the socket cannot be made.
pub async fn control(dir: &Path, acquirer: Arc<Mutex<Acquirer>>) -> io::Result<()> {
    let handler = async |words: Vec<String>| commands::run(&mut *acquirer.lock().await, &words);
    sim_control::serve(dir, "acquirer", handler).await
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    acquirer: Arc<Mutex<Acquirer>>,
    log: Log,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let tls = time::timeout(HANDSHAKE, acceptor.accept(stream)).await??;
    let (mut source, sink) = tokio::io::split(tls);
    let sink: Sink = Arc::new(Mutex::new(sink));
    let (mut restarts, framing) = {
        let mut acquirer = acquirer.lock().await;
        acquirer.connections += 1;
        (acquirer.restarts(), acquirer.profile().framing.clone())
    };
    let mut decoder = Decoder::new(framing, End::Host);
    let mut buffer = [0; 1024];
    loop {
        let count = tokio::select! {
            read = source.read(&mut buffer) => read?,
            _ = restarts.changed() => return sink.lock().await.shutdown().await,
        };
        if count == 0 {
            let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended within a frame");
            return if decoder.is_between_frames() { Ok(()) } else { Err(cut) };
        }
        let mut rest = buffer.get(..count).unwrap_or_default();
        while !rest.is_empty() {
            let (frame, left) = decoder.push(rest).map_err(refused)?;
            rest = left;
            let Some(frame) = frame else { continue };
            let reaction = react(&acquirer, &frame, log).await?;
            if reaction.close {
                return sink.lock().await.shutdown().await;
            }
            let hang_up = reaction.mangling.is_some_and(Mangling::closes);
            send(&acquirer, &sink, reaction).await?;
            if hang_up {
                return sink.lock().await.shutdown().await;
            }
        }
    }
}

async fn react(acquirer: &Mutex<Acquirer>, frame: &Frame, log: Log) -> io::Result<Reaction> {
    let mut acquirer = acquirer.lock().await;
    let expected = &acquirer.profile().framing.header;
    if frame.header != *expected {
        let (expected, got) = (hex::encode(expected), hex::encode(&frame.header));
        return Err(refused(format!("frame: expected the header {expected}, got {got}")));
    }
    let reaction = acquirer.handle(&frame.message, &Zoned::now()).map_err(refused)?;
    log(&reaction.note);
    Ok(reaction)
}

/// Sends the answers, late ones beside whatever else happens on the connection.
async fn send(acquirer: &Mutex<Acquirer>, sink: &Sink, reaction: Reaction) -> io::Result<()> {
    let mut framing = acquirer.lock().await.profile().framing.clone();
    // The sixth digit says what the terminal is to do.
    if let Some(byte) = framing.header.get_mut(2) {
        *byte |= reaction.due;
    }
    let mut bytes = Vec::new();
    for answer in &reaction.answers {
        let frame = framing.encode(End::Host, answer).map_err(refused)?;
        bytes.extend(reaction.mangling.map_or(frame.clone(), |mangling| mangling.apply(&frame, &framing)));
    }
    if reaction.delay.is_zero() {
        return put(sink, &bytes).await;
    }
    let sink = Arc::clone(sink);
    tokio::spawn(async move {
        time::sleep(reaction.delay).await;
        // A terminal that has hung up by then misses it: that is what lateness is for.
        let _ = put(&sink, &bytes).await;
    });
    Ok(())
}

async fn put(sink: &Sink, bytes: &[u8]) -> io::Result<()> {
    let mut sink = sink.lock().await;
    sink.write_all(bytes).await?;
    sink.flush().await
}

fn refused(reason: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}
