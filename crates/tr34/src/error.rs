//! Why a token is refused.

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a token was refused, or could not be made. No message repeats what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It isn't in the form of the standard.
    #[error("this is no token of TR-34: {0}")]
    Form(&'static str),
    /// It uses what this end can't do, or what the standard forbids.
    #[error(
        "{0} uses an algorithm that is not taken; TR-34 has RSA of 2048 bits or more, SHA-256, TDES and AES"
    )]
    Algorithm(&'static str),
    /// A signature doesn't verify.
    #[error("the signature of {0} does not verify")]
    Signature(&'static str),
    /// A certificate that isn't one of a host, or of the authority.
    #[error("the certificate is not for this purpose, or not of the authority of hosts: {0}")]
    Certificate(&'static str),
    /// A certificate outside of its time.
    #[error("{0} is not valid at this time; check the clock, or get a new one")]
    Expired(&'static str),
    /// A host's certificate that its authority has revoked.
    #[error("the host's certificate is revoked; bind a host that is not")]
    Revoked,
    /// A list of revoked certificates that is older than one seen before.
    #[error("the list of revoked certificates is older than the latest one that was seen")]
    OldList,
    /// The token is for another device.
    #[error("the token is for another device")]
    OtherDevice,
    /// The token is from a host that isn't bound.
    #[error("the token is from another host than the one that is bound")]
    OtherHost,
    /// The token answers another random number.
    #[error("the token does not answer this random number; ask for a new one")]
    Nonce,
    /// The content doesn't open.
    #[error("the key does not decipher with this device's private key")]
    Cipher,
    /// The authenticated header and the one that is enciphered with the key differ.
    #[error("the header beside the key is not the one that was signed")]
    Header,
    /// A private key that can't be used, or isn't the certificate's.
    #[error("the private key is not that of the certificate, or is none of RSA in PKCS #8")]
    PrivateKey,
    /// The key itself was refused.
    #[error(transparent)]
    Key(#[from] keys::Error),
}
