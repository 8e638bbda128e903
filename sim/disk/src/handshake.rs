//! "Fixed newstyle negotiation": which export the client wants, and what it may do with it. There is one export, the
//! default one, whose name is empty.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::protocol::{
    FIXED_NEWSTYLE, LONGEST, MAGIC, NO_ZEROES, OPTION_MAGIC, OPTION_REPLY_MAGIC, Reader, TRANSMISSION_FLAGS,
    info, option, option_reply,
};

/// The longest data of an option: a name has at most 4096 bytes, and there are few kinds of information.
const LONGEST_OPTION: u32 = 8192;

/// What is before the transmission.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Agreed {
    /// The transmission follows.
    Transmission,
    /// The client is content, and goes.
    Nothing,
}

/// Negotiates for an export of `size` bytes.
///
/// # Errors
/// What the stream said; `InvalidData` for a client that does not keep to the protocol, which is to be hung up on.
pub(crate) async fn negotiate<S>(stream: &mut S, size: u64) -> io::Result<Agreed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let greeting =
        [&MAGIC.to_be_bytes()[..], &OPTION_MAGIC.to_be_bytes(), &(FIXED_NEWSTYLE | NO_ZEROES).to_be_bytes()];
    stream.write_all(&greeting.concat()).await?;
    let flags = stream.read_u32().await?;
    if flags & !u32::from(FIXED_NEWSTYLE | NO_ZEROES) != 0 {
        return Err(violation(format!("client flags {flags:#x}")));
    }
    loop {
        let magic = stream.read_u64().await?;
        if magic != OPTION_MAGIC {
            return Err(violation(format!("the magic {magic:#x} before an option")));
        }
        let option = stream.read_u32().await?;
        let length = stream.read_u32().await?;
        if length > LONGEST_OPTION {
            tokio::io::copy(&mut (&mut *stream).take(length.into()), &mut tokio::io::sink()).await?;
            reply(stream, option, option_reply::TOO_BIG, &[]).await?;
            continue;
        }
        let mut data = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        stream.read_exact(&mut data).await?;
        match option {
            option::EXPORT_NAME if data.is_empty() => {
                let mut export = [&size.to_be_bytes()[..], &TRANSMISSION_FLAGS.to_be_bytes()].concat();
                if flags & u32::from(NO_ZEROES) == 0 {
                    export.extend([0; 124]);
                }
                stream.write_all(&export).await?;
                return Ok(Agreed::Transmission);
            }
            // This option has no reply that says no.
            option::EXPORT_NAME => return Err(violation("an export that is not there".to_owned())),
            option::ABORT => {
                reply(stream, option, option_reply::ACK, &[]).await?;
                return Ok(Agreed::Nothing);
            }
            option::LIST if data.is_empty() => {
                let no_name = 0_u32.to_be_bytes();
                reply(stream, option, option_reply::SERVER, &no_name).await?;
                reply(stream, option, option_reply::ACK, &[]).await?;
            }
            option::LIST => reply(stream, option, option_reply::INVALID, &[]).await?,
            option::INFO | option::GO => match asked_export(&data) {
                None => reply(stream, option, option_reply::INVALID, &[]).await?,
                Some([]) => {
                    describe(stream, option, size).await?;
                    reply(stream, option, option_reply::ACK, &[]).await?;
                    if option == option::GO {
                        return Ok(Agreed::Transmission);
                    }
                }
                Some(_) => reply(stream, option, option_reply::UNKNOWN, &[]).await?,
            },
            _ => reply(stream, option, option_reply::UNSUPPORTED, &[]).await?,
        }
    }
}

/// The export's name in the data of `NBD_OPT_INFO` and `NBD_OPT_GO`, which end with a list of 16-bit numbers.
fn asked_export(data: &[u8]) -> Option<&[u8]> {
    let mut data = Reader(data);
    let name = data.text()?;
    let count = data.u16()?;
    (data.0.len() == usize::from(count) * 2).then_some(name)
}

/// `NBD_INFO_EXPORT`, and `NBD_INFO_BLOCK_SIZE`: at least, best and at most.
async fn describe<S: AsyncWrite + Unpin>(stream: &mut S, option: u32, size: u64) -> io::Result<()> {
    let export = [&info::EXPORT.to_be_bytes()[..], &size.to_be_bytes(), &TRANSMISSION_FLAGS.to_be_bytes()];
    reply(stream, option, option_reply::INFO, &export.concat()).await?;
    let sizes = [512, 4096, LONGEST].map(u32::to_be_bytes);
    let sizes = [&info::BLOCK_SIZE.to_be_bytes()[..], sizes.as_flattened()];
    reply(stream, option, option_reply::INFO, &sizes.concat()).await
}

async fn reply<S: AsyncWrite + Unpin>(stream: &mut S, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(io::Error::other)?;
    let numbers = [option, kind, length].map(u32::to_be_bytes);
    let message = [&OPTION_REPLY_MAGIC.to_be_bytes()[..], numbers.as_flattened(), data];
    stream.write_all(&message.concat()).await
}

pub(crate) fn violation(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the client does not keep to NBD: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 20;

    /// Sends the flags and then `options`; returns all that the server said after its greeting, and what it made of it.
    async fn haggle(flags: u32, options: &[Vec<u8>]) -> (Vec<u8>, io::Result<Agreed>) {
        let (mut client, mut server) = tokio::io::duplex(1 << 16);
        client.write_u32(flags).await.unwrap();
        client.write_all(&options.concat()).await.unwrap();
        let agreed = negotiate(&mut server, SIZE).await;
        drop(server);
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        (said.split_off(18), agreed)
    }

    fn option(number: u32, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap();
        [&OPTION_MAGIC.to_be_bytes()[..], &number.to_be_bytes(), &length.to_be_bytes(), data].concat()
    }

    /// The kinds of the replies in `said`, with their data.
    fn replies(said: &[u8]) -> Vec<(u32, &[u8])> {
        let mut said = Reader(said);
        let mut found = Vec::new();
        while !said.0.is_empty() {
            assert_eq!(said.u64(), Some(OPTION_REPLY_MAGIC));
            let _option = said.u32().unwrap();
            found.push((said.u32().unwrap(), said.text().unwrap()));
        }
        found
    }

    #[tokio::test]
    async fn a_client_that_goes_is_told_the_size_and_that_it_can_flush() {
        let (said, agreed) = haggle(3, &[option(option::GO, &[0, 0, 0, 0, 0, 1, 0, 3])]).await;
        assert_eq!(agreed.unwrap(), Agreed::Transmission);
        let replies = replies(&said);
        assert_eq!(replies[0], (3, &[0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 13][..]));
        assert_eq!(replies[1], (3, &[0, 3, 0, 0, 2, 0, 0, 0, 16, 0, 2, 0, 0, 0][..]));
        assert_eq!(replies[2], (1, &[][..]));
    }

    #[tokio::test]
    async fn the_option_without_a_reply_ends_the_haggling_with_zeroes_unless_they_were_declined() {
        for (flags, zeroes) in [(1, 124), (3, 0)] {
            let (said, agreed) = haggle(flags, &[option(option::EXPORT_NAME, b"")]).await;
            assert_eq!(agreed.unwrap(), Agreed::Transmission);
            assert_eq!(said.len(), 10 + zeroes);
        }
    }

    #[tokio::test]
    async fn what_is_not_offered_is_refused_with_the_errors_of_the_protocol_and_haggling_goes_on() {
        let options = [
            option(5, b""),
            option(option::GO, b"\0\0\0\x01x\0\0"),
            option(option::GO, b"\0\0\0\xFFx\0\0"),
            option(option::INFO, b"\0\0\0\0\0\x02\0\0"),
            option(option::LIST, b"x"),
            option(99, &vec![0; 9000]),
            option(option::LIST, b""),
            option(option::ABORT, b""),
        ];
        let (said, agreed) = haggle(1, &options).await;
        assert_eq!(agreed.unwrap(), Agreed::Nothing);
        let kinds: Vec<u32> = replies(&said).iter().map(|(kind, _)| *kind & !0x8000_0000).collect();
        assert_eq!(kinds, [1, 6, 3, 3, 3, 9, 2, 1, 1]);
    }

    #[tokio::test]
    async fn a_client_that_speaks_something_else_is_hung_up_on() {
        for (flags, data) in
            [(4, vec![]), (1, b"GET / HTTP/1.1\r\n".to_vec()), (1, option(option::EXPORT_NAME, b"other"))]
        {
            let (said, agreed) = haggle(flags, &[data]).await;
            assert_eq!(agreed.unwrap_err().kind(), io::ErrorKind::InvalidData);
            assert!(said.is_empty());
        }
    }
}
