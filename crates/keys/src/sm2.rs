//! SM2 signatures and encipherment with SM3: GM/T 0003-2012 parts 2 and 4, on the curve of part 5; and SM3 itself (GM/T 0004-2012).

use sm2::dsa::signature::{Signer, Verifier};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::elliptic_curve::sec1::ToSec1Point as _;
use sm2::pke::{DecryptingKey, Mode};
use sm2::{NonZeroScalar, SecretKey};
use sm3::{Digest, Sm3};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The identity that GM/T 0009 has signers use who have none of their own.
pub const DEFAULT_ID: &str = "1234567812345678";

/// The SM3 hash of `data`.
#[must_use]
pub fn sm3(data: &[u8]) -> [u8; 32] {
    Sm3::digest(data).into()
}

/// Checks the signature `r ‖ s` of `message` by the signer `id`, whose public key is the point `x ‖ y`.
///
/// # Errors
/// [`Error::Sm2`] if the point isn't on the curve, [`Error::Signature`] if the signature isn't that.
pub fn verify(public_key: &[u8; 64], id: &str, message: &[u8], signature: &[u8; 64]) -> Result<()> {
    let mut point = [4; 65];
    point.iter_mut().skip(1).zip(public_key).for_each(|(to, from)| *to = *from);
    let key = VerifyingKey::from_sec1_bytes(id, &point).map_err(|_| Error::Sm2)?;
    let signature = Signature::from_slice(signature).map_err(|_| Error::Signature)?;
    key.verify(message, &signature).map_err(|_| Error::Signature)
}

/// A private key. It is wiped on drop, and never prints.
pub struct PrivateKey(SecretKey);

impl PrivateKey {
    /// A private key from its 32 bytes.
    ///
    /// # Errors
    /// [`Error::Sm2`] unless the number is from 1 to the order of the curve.
    pub fn new(bytes: &[u8; 32]) -> Result<Self> {
        SecretKey::from_slice(bytes).map(Self).map_err(|_| Error::Sm2)
    }

    /// The public key: the point `x ‖ y`.
    #[must_use]
    pub fn public_key(&self) -> [u8; 64] {
        let mut key = [0; 64];
        let point = self.0.public_key().to_sec1_point(false);
        key.iter_mut().zip(point.as_bytes().iter().skip(1)).for_each(|(to, from)| *to = *from);
        key
    }

    /// The signature `r ‖ s` of `message` by the signer `id`. Its random number comes from key and message (RFC 6979).
    ///
    /// # Errors
    /// [`Error::Sm2`] if `id` has more than 8191 bytes.
    pub fn sign(&self, id: &str, message: &[u8]) -> Result<[u8; 64]> {
        let key = SigningKey::new(id, &self.0).map_err(|_| Error::Sm2)?;
        let signature: Signature = key.try_sign(message).map_err(|_| Error::Sm2)?;
        Ok(signature.to_bytes().into())
    }

    /// The clear text of `ciphertext`: the point `04 ‖ x ‖ y`, the hash, the enciphered text (the order of GM/T 0003.4-2012,
    /// C1 C3 C2).
    ///
    /// # Errors
    /// [`Error::Sm2`] if it wasn't enciphered for this key.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let scalar: NonZeroScalar = self.0.to_nonzero_scalar();
        let key = DecryptingKey::new_with_mode(scalar, Mode::C1C3C2);
        key.decrypt(ciphertext).map(Zeroizing::new).map_err(|_| Error::Sm2)
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    /// GM/T 0003.5-2012, annexes A and C: the private key of both examples, and its public key.
    const PRIVATE: &str = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8";
    const PUBLIC: &str = "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020\
                          CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13";

    #[test]
    fn the_vectors_of_gm_t_0004_annex_a_hold() {
        let right = "66C7F0F462EEEDD9D1F2D46BDC10E4E24167C4875CF2F7A2297DA02B8F4BA8E0";
        assert_eq!(hex::encode_upper(sm3(b"abc")), right);
        let right = "DEBE9FF92275B8A138604889C18E5A4D6FDB70E5387E5765293DCBA39C0C5732";
        assert_eq!(hex::encode_upper(sm3("abcd".repeat(16).as_bytes())), right);
    }

    #[test]
    fn the_signature_of_gm_t_0003_5_annex_a_holds() {
        let signature = bytes(
            "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3\
             B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA",
        );
        assert_eq!(verify(&bytes(PUBLIC), DEFAULT_ID, b"message digest", &signature), Ok(()));
        assert_eq!(verify(&bytes(PUBLIC), DEFAULT_ID, b"message digesT", &signature), Err(Error::Signature));
        assert_eq!(
            verify(&bytes(PUBLIC), "someone else", b"message digest", &signature),
            Err(Error::Signature)
        );
        assert_eq!(verify(&[7; 64], DEFAULT_ID, b"message digest", &signature), Err(Error::Sm2));
    }

    #[test]
    fn the_ciphertext_of_gm_t_0003_5_annex_c_deciphers() {
        let mut ciphertext = hex::decode(
            "0404EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73\
             E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0\
             59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD8766\
             21886CA989CA9C7D58087307CA93092D651EFA",
        )
        .unwrap();
        let key = PrivateKey::new(&bytes(PRIVATE)).unwrap();
        assert_eq!(**key.decrypt(&ciphertext).unwrap(), *b"encryption standard");
        let last = ciphertext.len() - 1;
        ciphertext[last] ^= 1;
        assert_eq!(key.decrypt(&ciphertext), Err(Error::Sm2));
        for length in 0..last {
            assert_eq!(key.decrypt(&ciphertext[..length]), Err(Error::Sm2), "{length}");
        }
    }

    #[test]
    fn what_is_signed_verifies() {
        let key = PrivateKey::new(&bytes(PRIVATE)).unwrap();
        let signature = key.sign(DEFAULT_ID, b"a sale").unwrap();
        assert_eq!(key.public_key(), bytes(PUBLIC));
        assert_eq!(verify(&bytes(PUBLIC), DEFAULT_ID, b"a sale", &signature), Ok(()));
        assert_eq!(PrivateKey::new(&[0; 32]).err(), Some(Error::Sm2));
        assert_eq!(format!("{key:?}"), "PrivateKey(…)");
    }
}
