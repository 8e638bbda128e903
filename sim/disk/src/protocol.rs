//! The words of NBD: <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>, "Values" and the formats of
//! messages in "Newstyle negotiation" and "Transmission". All numbers are big-endian.

/// `NBDMAGIC`, the first word of a server.
pub(crate) const MAGIC: u64 = 0x4E42_444D_4147_4943;
/// `IHAVEOPT`, before each option.
pub(crate) const OPTION_MAGIC: u64 = 0x4948_4156_454F_5054;
/// Before each reply to an option.
pub(crate) const OPTION_REPLY_MAGIC: u64 = 0x0003_E889_0455_65A9;
/// Before each request of the transmission.
pub(crate) const REQUEST_MAGIC: u32 = 0x2560_9513;
/// Before each simple reply.
pub(crate) const REPLY_MAGIC: u32 = 0x6744_6698;

/// Handshake and client flag: fixed newstyle.
pub(crate) const FIXED_NEWSTYLE: u16 = 1;
/// Handshake and client flag: no 124 zeroes after `NBD_OPT_EXPORT_NAME`.
pub(crate) const NO_ZEROES: u16 = 2;

/// `NBD_FLAG_HAS_FLAGS`, `NBD_FLAG_SEND_FLUSH`, `NBD_FLAG_SEND_FUA`.
pub(crate) const TRANSMISSION_FLAGS: u16 = 1 | 1 << 2 | 1 << 3;

/// The longest read or write, in bytes; a client assumes this where nothing is said.
pub(crate) const LONGEST: u32 = 32 << 20;

/// What a client may ask during option haggling ("Option types").
pub(crate) mod option {
    pub(crate) const EXPORT_NAME: u32 = 1;
    pub(crate) const ABORT: u32 = 2;
    pub(crate) const LIST: u32 = 3;
    pub(crate) const INFO: u32 = 6;
    pub(crate) const GO: u32 = 7;
}

/// What is answered ("Option reply types").
pub(crate) mod option_reply {
    pub(crate) const ACK: u32 = 1;
    pub(crate) const SERVER: u32 = 2;
    pub(crate) const INFO: u32 = 3;
    pub(crate) const UNSUPPORTED: u32 = 0x8000_0001;
    pub(crate) const INVALID: u32 = 0x8000_0003;
    pub(crate) const UNKNOWN: u32 = 0x8000_0006;
    pub(crate) const TOO_BIG: u32 = 0x8000_0009;
}

/// The kinds of `NBD_REP_INFO`.
pub(crate) mod info {
    pub(crate) const EXPORT: u16 = 0;
    pub(crate) const BLOCK_SIZE: u16 = 3;
}

/// "Request types".
pub(crate) mod command {
    pub(crate) const READ: u16 = 0;
    pub(crate) const WRITE: u16 = 1;
    pub(crate) const DISCONNECT: u16 = 2;
    pub(crate) const FLUSH: u16 = 3;
    /// The command flag `NBD_CMD_FLAG_FUA`.
    pub(crate) const FUA: u16 = 1;
}

/// "Error values".
pub(crate) mod error {
    pub(crate) const NONE: u32 = 0;
    pub(crate) const IO: u32 = 5;
    pub(crate) const INVALID: u32 = 22;
    pub(crate) const NO_SPACE: u32 = 28;
}

/// A request of the transmission; the data of a write follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) flags: u16,
    pub(crate) command: u16,
    /// Comes back with the reply.
    pub(crate) cookie: u64,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

impl Request {
    /// The bytes of a request without its data.
    pub(crate) const LENGTH: usize = 28;

    /// Reads a request; `None` where its magic is wrong.
    pub(crate) fn parse(bytes: &[u8; Request::LENGTH]) -> Option<Request> {
        let mut bytes = Reader(bytes);
        (bytes.u32()? == REQUEST_MAGIC).then_some(())?;
        Some(Request {
            flags: bytes.u16()?,
            command: bytes.u16()?,
            cookie: bytes.u64()?,
            offset: bytes.u64()?,
            length: bytes.u32()?,
        })
    }
}

/// Takes numbers off the front of bytes.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// As many bytes as a 32-bit length before them says.
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}
