//! Track 2 (ISO/IEC 7813, in the form of EMV tag 57), and how it leaves the secure module: sealed.
//!
//! The sealed form is TDES-CBC under the data key with a zero IV, of 8 random bytes, the number of track
//! bytes, the track bytes, and zeros up to a whole block. The random first block makes two seals of one card
//! differ, in every block that follows it. Under an SM4 key blocks have 16 bytes, and so many of them are random.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::cipher::Cipher;
use crate::des::{Block, TdesKey};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::pan::Pan;
use crate::permission::Operation;

/// The longest initialisation vector.
const ZEROS: [u8; 16] = [0; 16];
/// The most bytes of track 2 (37 characters).
const LONGEST: usize = 19;

/// Track 2 data. They are wiped on drop, and print as the masked PAN.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Track2 {
    bytes: Vec<u8>,
    pan: Pan,
    expiry: String,
    service_code: String,
    discretionary: String,
}

impl Track2 {
    /// Track 2 from the value of tag 57: BCD nibbles with separator D, padded with F.
    ///
    /// # Errors
    /// [`Error::BadTrack2`] for another form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > LONGEST {
            return Err(Error::BadTrack2);
        }
        let text = Zeroizing::new(hex::encode(bytes));
        let track = text.strip_suffix('f').unwrap_or(&text);
        let (pan, rest) = track.split_once('d').ok_or(Error::BadTrack2)?;
        let (expiry, rest) = rest.split_at_checked(4).ok_or(Error::BadTrack2)?;
        let (service_code, discretionary) = rest.split_at_checked(3).ok_or(Error::BadTrack2)?;
        if [expiry, service_code, discretionary].iter().any(|part| part.bytes().any(|c| !c.is_ascii_digit()))
        {
            return Err(Error::BadTrack2);
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            pan: Pan::new(pan).map_err(|_| Error::BadTrack2)?,
            expiry: expiry.to_owned(),
            service_code: service_code.to_owned(),
            discretionary: discretionary.to_owned(),
        })
    }

    /// The PAN.
    #[must_use]
    pub fn pan(&self) -> &Pan {
        &self.pan
    }

    /// The expiry date, YYMM.
    #[must_use]
    pub fn expiry(&self) -> &str {
        &self.expiry
    }

    /// The service code, three digits.
    #[must_use]
    pub fn service_code(&self) -> &str {
        &self.service_code
    }

    /// The discretionary data: what the issuer has put after the service code.
    #[must_use]
    pub fn discretionary(&self) -> &str {
        &self.discretionary
    }

    /// The clear bytes, as handed over.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Track2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Track2({})", self.pan.masked())
    }
}

/// Seals `track2` under the data key. `confounder` is 8 fresh random bytes. The result has at most 32 bytes.
///
/// # Errors
/// [`Error::BadTrack2`] if the data aren't track 2: nothing else is sealed under this key.
pub fn seal(tdk: &TdesKey, confounder: Block, track2: &[u8]) -> Result<Vec<u8>> {
    seal_with(&Cipher::Tdes(tdk.cipher()), &confounder, track2)
}

/// Seals `track2` under a data key of any block cipher. `random` is fresh randomness, of which a block is taken. The result
/// has at most 48 bytes.
///
/// # Errors
/// [`Error::NotPermitted`] unless the key enciphers data, and as [`seal`].
pub fn encrypt(key: &Key, random: &[u8; 16], track2: &[u8]) -> Result<Vec<u8>> {
    let cipher = key.cipher(Operation::EncryptData)?;
    let (confounder, _) = random.split_at(cipher.block_length().min(random.len()));
    seal_with(&cipher, confounder, track2)
}

/// `confounder` is one block.
fn seal_with(cipher: &Cipher, confounder: &[u8], track2: &[u8]) -> Result<Vec<u8>> {
    let track = Track2::from_bytes(track2)?;
    let length = u8::try_from(track.bytes.len()).map_err(|_| Error::BadTrack2)?;
    // Room for the padding from the start: growing would leave a clear copy behind.
    let mut data = Zeroizing::new(Vec::with_capacity(48));
    data.extend(confounder);
    data.push(length);
    data.extend(&track.bytes);
    let padded = data.len().next_multiple_of(confounder.len());
    data.resize(padded, 0);
    let (iv, _) = ZEROS.split_at(confounder.len());
    cipher.encrypt_cbc(iv, &mut data)?;
    Ok(std::mem::take(&mut data))
}

/// Opens what [`seal`] made, as a host does.
///
/// # Errors
/// [`Error::BadSeal`] if it doesn't open under this key.
pub fn open(tdk: &TdesKey, sealed: &[u8]) -> Result<Track2> {
    open_with(&Cipher::Tdes(tdk.cipher()), sealed)
}

/// Opens what [`encrypt`] made, as a host does.
///
/// # Errors
/// [`Error::NotPermitted`] unless the key deciphers data, and as [`open`].
pub fn decrypt(key: &Key, sealed: &[u8]) -> Result<Track2> {
    open_with(&key.cipher(Operation::DecryptData)?, sealed)
}

fn open_with(cipher: &Cipher, sealed: &[u8]) -> Result<Track2> {
    let block = cipher.block_length();
    let mut data = Zeroizing::new(sealed.to_vec());
    let (iv, _) = ZEROS.split_at(block);
    cipher.decrypt_cbc(iv, &mut data).map_err(|_| Error::BadSeal)?;
    let (_, body) = data.split_at_checked(block).ok_or(Error::BadSeal)?;
    let (length, rest) = body.split_first().ok_or(Error::BadSeal)?;
    let (track, padding) = rest.split_at_checked(usize::from(*length)).ok_or(Error::BadSeal)?;
    if padding.len() >= block || padding.iter().any(|byte| *byte != 0) {
        return Err(Error::BadSeal);
    }
    Track2::from_bytes(track).map_err(|_| Error::BadSeal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Algorithm, Attributes, Mode, Usage};

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex).unwrap()
    }

    #[test]
    fn a_track_has_a_pan_an_expiry_and_a_service_code() {
        let track = Track2::from_bytes(&bytes("6217001234567890123D30122200000012300F")).unwrap();
        assert_eq!(track.pan().digits(), "6217001234567890123");
        assert_eq!((track.expiry(), track.service_code()), ("3012", "220"));
        assert_eq!(format!("{track:?}"), "Track2(621700*********0123)");
    }

    #[test]
    fn a_track_that_breaks_iso_7813_is_refused() {
        for track in [
            "",
            "6217001234567890",
            "6217001234567890D301",
            "6217001234567890D3012D20",
            "621700D30122200000",
            "6217001234567890D30122200000FF12",
            "6217001234567890D301222000000000000000000",
        ] {
            let track = hex::decode(track).unwrap_or_else(|_| vec![0x62; 20]);
            assert_eq!(Track2::from_bytes(&track), Err(Error::BadTrack2));
        }
    }

    #[test]
    fn two_seals_of_one_card_have_no_block_in_common() {
        let (key, track) = (TdesKey::new([9; 16]), bytes("6217001234567890D30122200000012300"));
        let (a, b) = (seal(&key, [1; 8], &track).unwrap(), seal(&key, [2; 8], &track).unwrap());
        assert!(a.chunks(8).zip(b.chunks(8)).all(|(a, b)| a != b));
    }

    #[test]
    fn a_seal_does_not_open_under_another_key() {
        let track = bytes("6217001234567890D30122200000012300");
        let sealed = seal(&TdesKey::new([9; 16]), [1; 8], &track).unwrap();
        assert_eq!(open(&TdesKey::new([0x19; 16]), &sealed), Err(Error::BadSeal));
    }

    #[test]
    fn a_key_with_attributes_seals_the_same_and_sm4_in_blocks_of_its_own() {
        let (random, track) = (*b"0123456789ABCDEF", bytes("6217001234567890D30122200000012300"));
        let key =
            |algorithm| Key::new(Attributes::new(Usage::Data, algorithm, Mode::Both), &[9; 16]).unwrap();
        let tdes = encrypt(&key(Algorithm::Tdes), &random, &track).unwrap();
        assert_eq!(tdes, seal(&TdesKey::new([9; 16]), *b"01234567", &track).unwrap());
        let sm4 = encrypt(&key(Algorithm::Sm4), &random, &track).unwrap();
        assert_eq!(sm4.len(), 48);
        assert_eq!(decrypt(&key(Algorithm::Sm4), &sm4).unwrap().as_bytes(), track);
        assert_eq!(decrypt(&key(Algorithm::Tdes), &sm4), Err(Error::BadSeal));
        assert!(!sm4.windows(4).any(|part| track.windows(4).any(|clear| clear == part)));
    }

    proptest! {
        #[test]
        fn the_host_opens_what_the_module_seals(key: [u8; 16], confounder: [u8; 8], track in "[0-9]{8,19}D[0-9]{7,17}") {
            let padded = if track.len() % 2 == 0 { track } else { track + "F" };
            let (key, track) = (TdesKey::new(key), bytes(&padded));
            let sealed = seal(&key, confounder, &track).unwrap();
            prop_assert!(sealed.len() <= 32);
            let opened = open(&key, &sealed).unwrap();
            prop_assert_eq!(opened.as_bytes(), track);
        }

        #[test]
        fn anything_opens_or_is_refused(key: [u8; 16], sealed: Vec<u8>) {
            let _ = open(&TdesKey::new(key), &sealed);
        }
    }
}
