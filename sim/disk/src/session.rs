//! "Transmission": requests and simple replies, one after the other.

use std::cell::RefCell;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::disk::{Disk, Refusal};
use crate::handshake::{Agreed, negotiate, violation};
use crate::protocol::{LONGEST, REPLY_MAGIC, Request, command, error};

/// Serves one client until it leaves. When the power goes, it gets no more answers.
///
/// # Errors
/// What the stream said; `InvalidData` for a client that does not keep to the protocol, which is to be hung up on.
pub(crate) async fn serve<S>(mut stream: S, disk: &RefCell<Disk>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let size = disk.borrow().size();
    if negotiate(&mut stream, size).await? == Agreed::Nothing {
        return Ok(());
    }
    let mut bytes = [0; Request::LENGTH];
    loop {
        stream.read_exact(&mut bytes).await?;
        let request = Request::parse(&bytes).ok_or_else(|| violation("the magic of a request".to_owned()))?;
        let data = match request.command {
            command::DISCONNECT => return Ok(()),
            command::WRITE => read_data(&mut stream, request.length).await?,
            _ => Vec::new(),
        };
        let (error, data) = match carry_out(&mut disk.borrow_mut(), &request, data) {
            Ok(data) => (error::NONE, data),
            Err(Fault::Protocol(number)) => (number, Vec::new()),
            Err(Fault::Disk(Refusal::NoPower)) => break,
            Err(Fault::Disk(Refusal::OutOfRange)) if request.command == command::WRITE => {
                (error::NO_SPACE, Vec::new())
            }
            Err(Fault::Disk(Refusal::OutOfRange)) => (error::INVALID, Vec::new()),
            Err(Fault::Disk(Refusal::Medium(_))) => (error::IO, Vec::new()),
        };
        let reply = [&REPLY_MAGIC.to_be_bytes()[..], &error.to_be_bytes(), &request.cookie.to_be_bytes()];
        stream.write_all(&reply.concat()).await?;
        stream.write_all(&data).await?;
    }
    // A disk without power reports no error: it is silent until the machine has gone, too.
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}

enum Fault {
    /// One of the protocol's error values.
    Protocol(u32),
    Disk(Refusal),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Disk(refusal)
    }
}

/// What comes back with the reply to a request: the data of a read.
fn carry_out(disk: &mut Disk, request: &Request, data: Vec<u8>) -> Result<Vec<u8>, Fault> {
    let Request { flags, command, offset, length, .. } = *request;
    match command {
        _ if flags & !command::FUA != 0 => Err(Fault::Protocol(error::INVALID)),
        command::READ if length > LONGEST => Err(Fault::Protocol(error::INVALID)),
        command::READ => Ok(disk.read(offset, length)?),
        command::WRITE => Ok(disk.write(offset, data, flags & command::FUA != 0).map(|()| Vec::new())?),
        command::FLUSH if offset != 0 || length != 0 => Err(Fault::Protocol(error::INVALID)),
        command::FLUSH => Ok(disk.flush().map(|()| Vec::new())?),
        _ => Err(Fault::Protocol(error::INVALID)),
    }
}

async fn read_data<S: AsyncRead + Unpin>(stream: &mut S, length: u32) -> io::Result<Vec<u8>> {
    if length > LONGEST {
        return Err(violation(format!("a write of {length} bytes")));
    }
    let mut data = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    stream.read_exact(&mut data).await?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;
    use crate::protocol::{OPTION_MAGIC, REQUEST_MAGIC, option};

    const SIZE: u64 = 64 << 10;

    fn blank() -> RefCell<Disk> {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(SIZE).unwrap();
        RefCell::new(Disk::open(image.path()).unwrap())
    }

    /// Lets `client` talk to a server of `disk` until it drops its stream; returns how the session ended.
    async fn session(disk: &RefCell<Disk>, client: impl AsyncFnOnce(DuplexStream)) -> io::Result<()> {
        let (mut ours, theirs) = tokio::io::duplex(1 << 20);
        let client = async {
            let hello = [&3_u32.to_be_bytes()[..], &OPTION_MAGIC.to_be_bytes()];
            let export = [&option::EXPORT_NAME.to_be_bytes()[..], &0_u32.to_be_bytes()];
            ours.write_all(&[hello.concat(), export.concat()].concat()).await.unwrap();
            ours.read_exact(&mut [0; 18 + 10]).await.unwrap();
            client(ours).await;
        };
        tokio::join!(serve(theirs, disk), client).0
    }

    async fn send(stream: &mut DuplexStream, magic: u32, request: Request, data: &[u8]) {
        let Request { flags, command, cookie, offset, length } = request;
        let words = [&magic.to_be_bytes()[..], &flags.to_be_bytes(), &command.to_be_bytes()].concat();
        let numbers = [&cookie.to_be_bytes()[..], &offset.to_be_bytes(), &length.to_be_bytes()].concat();
        stream.write_all(&[&words, &numbers, data].concat()).await.unwrap();
    }

    /// The error of the reply; its cookie has to be that of the request.
    async fn ask(stream: &mut DuplexStream, request: Request, data: &[u8]) -> u32 {
        send(stream, REQUEST_MAGIC, request, data).await;
        assert_eq!(stream.read_u32().await.unwrap(), REPLY_MAGIC);
        let error = stream.read_u32().await.unwrap();
        assert_eq!(stream.read_u64().await.unwrap(), request.cookie);
        error
    }

    fn request(command: u16, offset: u64, length: u32) -> Request {
        Request { flags: 0, command, cookie: offset ^ 0xC00C_1E00, offset, length }
    }

    #[tokio::test]
    async fn a_client_writes_flushes_and_reads_back() {
        let disk = blank();
        let outcome = session(&disk, async |mut stream| {
            assert_eq!(ask(&mut stream, request(command::WRITE, 512, 3), b"abc").await, 0);
            assert_eq!(disk.borrow().unflushed(), 1);
            assert_eq!(ask(&mut stream, request(command::FLUSH, 0, 0), b"").await, 0);
            assert_eq!(disk.borrow().unflushed(), 0);
            let durable = Request { flags: command::FUA, ..request(command::WRITE, 515, 3) };
            assert_eq!(ask(&mut stream, durable, b"def").await, 0);
            assert_eq!(disk.borrow().unflushed(), 0);
            assert_eq!(ask(&mut stream, request(command::READ, 511, 8), b"").await, 0);
            let mut data = [0xFF; 8];
            stream.read_exact(&mut data).await.unwrap();
            assert_eq!(&data, b"\0abcdef\0");
            send(&mut stream, REQUEST_MAGIC, request(command::DISCONNECT, 0, 0), b"").await;
        });
        outcome.await.unwrap();
    }

    #[tokio::test]
    async fn a_bad_request_gets_its_error_and_the_session_goes_on() {
        let disk = blank();
        let outcome = session(&disk, async |mut stream| {
            let unknown_flag = Request { flags: 1 << 4, ..request(command::FLUSH, 0, 0) };
            for (request, data, expected) in [
                (request(command::READ, SIZE, 1), &b""[..], error::INVALID),
                (request(command::READ, 0, LONGEST + 1), b"", error::INVALID),
                (request(command::WRITE, SIZE - 1, 2), b"ab", error::NO_SPACE),
                (request(command::WRITE, u64::MAX, 2), b"ab", error::NO_SPACE),
                (request(command::FLUSH, 0, 1), b"", error::INVALID),
                (request(4, 0, 512), b"", error::INVALID),
                (unknown_flag, b"", error::INVALID),
                (request(command::FLUSH, 0, 0), b"", error::NONE),
            ] {
                assert_eq!(ask(&mut stream, request, data).await, expected, "{request:?}");
            }
            send(&mut stream, REQUEST_MAGIC, request(command::DISCONNECT, 0, 0), b"").await;
        });
        outcome.await.unwrap();
    }

    #[tokio::test]
    async fn a_wrong_magic_or_a_write_without_measure_ends_the_connection() {
        let disk = blank();
        let unbounded = request(command::WRITE, 0, LONGEST + 1);
        for (magic, request) in
            [(REQUEST_MAGIC + 1, request(command::READ, 0, 1)), (REQUEST_MAGIC, unbounded)]
        {
            let outcome = session(&disk, async |mut stream| {
                send(&mut stream, magic, request, b"").await;
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            });
            assert_eq!(outcome.await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[tokio::test]
    async fn a_disk_without_power_answers_nothing_and_takes_nothing() {
        let disk = blank();
        disk.borrow_mut().cut_after(2, 1).unwrap();
        let outcome = session(&disk, async |mut stream| {
            assert_eq!(ask(&mut stream, request(command::WRITE, 0, 1), b"a").await, 0);
            for _ in 0..2 {
                send(&mut stream, REQUEST_MAGIC, request(command::FLUSH, 0, 0), b"").await;
                send(&mut stream, REQUEST_MAGIC, request(command::WRITE, 0, 1), b"b").await;
            }
            stream.shutdown().await.unwrap();
            let mut answers = Vec::new();
            stream.read_to_end(&mut answers).await.unwrap();
            assert_eq!(answers, b"");
        });
        outcome.await.unwrap();
        disk.borrow_mut().power_on();
        assert_eq!(disk.borrow().read(0, 1).unwrap(), b"a");
    }
}
