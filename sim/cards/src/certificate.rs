//! Offline dynamic data authentication, the card's side (EMV Book 2 clauses 5.1, 6.1 to 6.6).
//!
//! SHA-1 (hash algorithm 01), RSA (public key algorithm 01), recovered data `6A … BC`.

use num_bigint::BigUint;
use serde::Deserialize;
use sha1::{Digest, Sha1};

use crate::hexadecimal;

/// Certificates expire in December 2049 (MMYY).
const EXPIRY: [u8; 2] = [0x12, 0x49];
const ISSUER_SERIAL: [u8; 3] = [0x00, 0x00, 0x01];
const ICC_SERIAL: [u8; 3] = [0x00, 0x00, 0x02];
const SHA_1: u8 = 0x01;
const RSA: u8 = 0x01;

/// A test RSA key pair.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RsaKey {
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    modulus: Vec<u8>,
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) exponent: Vec<u8>,
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    private_exponent: Vec<u8>,
}

impl std::fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RsaKey").field("bits", &(self.modulus.len() * 8)).finish_non_exhaustive()
    }
}

impl RsaKey {
    pub(crate) fn modulus_bytes(&self) -> &[u8] {
        &self.modulus
    }

    /// What was enciphered under the public key.
    pub(crate) fn decipher(&self, block: &[u8]) -> Vec<u8> {
        self.sign(block)
    }

    /// The RSA private operation on a block as long as the modulus.
    fn sign(&self, block: &[u8]) -> Vec<u8> {
        let signature = BigUint::from_bytes_be(block)
            .modpow(&BigUint::from_bytes_be(&self.private_exponent), &BigUint::from_bytes_be(&self.modulus))
            .to_bytes_be();
        let mut padded = vec![0; self.modulus.len().saturating_sub(signature.len())];
        padded.extend(signature);
        padded
    }

    /// `MSG1 || H(MSG)` between the header `6A` and the trailer `BC`, signed (Book 2 A2.1.2).
    ///
    /// `head` is padded with BB to fill the block; `tail` is hashed but does not fit into it.
    fn sign_with_recovery(&self, head: &[u8], tail: &[&[u8]]) -> Vec<u8> {
        let room = self.modulus.len().saturating_sub(22);
        let mut message = head.to_vec();
        message.resize(room, 0xBB);
        let mut hash = Sha1::new().chain_update(&message);
        for part in tail {
            hash.update(part);
        }
        let mut block = vec![0x6A];
        block.extend(message);
        block.extend(hash.finalize());
        block.push(0xBC);
        self.sign(&block)
    }

    /// Splits this key's modulus into what a certificate with so much room carries, and the remainder.
    fn split_modulus(&self, room: usize) -> (&[u8], &[u8]) {
        self.modulus.split_at_checked(room).unwrap_or((&self.modulus, &[]))
    }
}

/// A public key certificate and what did not fit into it.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) certificate: Vec<u8>,
    pub(crate) remainder: Vec<u8>,
    pub(crate) exponent: Vec<u8>,
}

/// Signs the head of a certificate: `head`, algorithms, lengths, key; the rest of the key is the remainder.
fn certify(signer: &RsaKey, mut head: Vec<u8>, subject: &RsaKey, static_data: &[u8]) -> Certificate {
    head.extend([SHA_1, RSA, short(subject.modulus.len()), short(subject.exponent.len())]);
    let room = signer.modulus.len().saturating_sub(22 + head.len());
    let (leftmost, remainder) = subject.split_modulus(room);
    head.extend(leftmost);
    Certificate {
        certificate: signer.sign_with_recovery(&head, &[remainder, &subject.exponent, static_data]),
        remainder: remainder.to_vec(),
        exponent: subject.exponent.clone(),
    }
}

/// Lengths of EMV keys end at 248 bytes.
fn short(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// The issuer public key certificate, tag 90 (Book 2 clause 6.3). `identifier`: the leftmost PAN digits, F padded.
pub(crate) fn issuer(ca: &RsaKey, issuer: &RsaKey, identifier: [u8; 4]) -> Certificate {
    let mut head = vec![0x02];
    head.extend(identifier);
    head.extend(EXPIRY);
    head.extend(ISSUER_SERIAL);
    certify(ca, head, issuer, &[])
}

/// The ICC public key certificate, tag 9F46 (Book 2 clause 6.4). `pan`: ten bytes, F padded;
/// `static_data`: the signed records, then the value of the AIP.
pub(crate) fn icc(issuer: &RsaKey, icc: &RsaKey, pan: [u8; 10], static_data: &[u8]) -> Certificate {
    let mut head = vec![0x04];
    head.extend(pan);
    head.extend(EXPIRY);
    head.extend(ICC_SERIAL);
    certify(issuer, head, icc, static_data)
}

/// The certificate of the card's key for PINs, tag 9F2D (Book 2 clause 7.1): as that of the ICC key, without static data.
pub(crate) fn pin_encipherment(issuer: &RsaKey, key: &RsaKey, pan: [u8; 10]) -> Certificate {
    icc(issuer, key, pan, &[])
}

/// Signed dynamic application data, tag 9F4B (Book 2 clause 6.5), over the terminal's DDOL data.
pub(crate) fn signed_dynamic_data(icc: &RsaKey, dynamic_number: [u8; 8], ddol_data: &[u8]) -> Vec<u8> {
    let mut head = vec![0x05, SHA_1, 0x09, 0x08];
    head.extend(dynamic_number);
    icc.sign_with_recovery(&head, &[ddol_data])
}

/// Signed dynamic application data, tag 9F4B, that hold a cryptogram (Book 2 clause 6.6). `cryptogram`: its information data, then
/// itself; `transaction_data`: what terminal and card have told each other.
pub(crate) fn signed_cryptogram(
    icc: &RsaKey,
    dynamic_number: [u8; 8],
    cryptogram: [u8; 9],
    transaction_data: &[u8],
    unpredictable_number: [u8; 4],
) -> Vec<u8> {
    let mut head = vec![0x05, SHA_1, 0x26, 0x08];
    head.extend(dynamic_number);
    head.extend(cryptogram);
    head.extend(Sha1::digest(transaction_data));
    icc.sign_with_recovery(&head, &[&unpredictable_number])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::Scheme;

    fn recover(key: &RsaKey, signature: &[u8]) -> Vec<u8> {
        let block = BigUint::from_bytes_be(signature)
            .modpow(&BigUint::from_bytes_be(&key.exponent), &BigUint::from_bytes_be(&key.modulus))
            .to_bytes_be();
        assert_eq!(block.len(), key.modulus.len());
        block
    }

    #[test]
    fn each_test_key_pair_belongs_together() {
        for name in ["unionpay", "visa", "mastercard"] {
            let scheme = Scheme::load(name).unwrap();
            for key in [&scheme.ca, &scheme.issuer, &scheme.icc] {
                let mut block = vec![0x6A; key.modulus.len()];
                block[1] = 0x05;
                assert_eq!(recover(key, &key.sign(&block)), block);
            }
        }
    }

    /// Book 2 clause 6.3: what the terminal checks, step by step.
    #[test]
    fn an_issuer_certificate_recovers_to_the_issuer_key() {
        let scheme = Scheme::load("unionpay").unwrap();
        let made = issuer(&scheme.ca, &scheme.issuer, [0x62, 0x17, 0x99, 0xFF]);
        let block = recover(&scheme.ca, &made.certificate);
        assert_eq!((block[0], block[1], block[127]), (0x6A, 0x02, 0xBC));
        assert_eq!(block[2..6], [0x62, 0x17, 0x99, 0xFF]);
        assert_eq!(block[11..15], [SHA_1, RSA, 128, 1]);
        assert_eq!([&block[15..107], &made.remainder].concat(), scheme.issuer.modulus);
        assert_eq!(made.remainder.len(), 36);
        let hash = Sha1::new()
            .chain_update(&block[1..107])
            .chain_update(&made.remainder)
            .chain_update(&made.exponent)
            .finalize();
        assert_eq!(block[107..127], hash[..]);
    }

    #[test]
    fn a_short_key_is_padded_inside_the_certificate_and_leaves_no_remainder() {
        let scheme = Scheme::load("visa").unwrap();
        let made = icc(&scheme.ca, &scheme.icc, [0x41; 10], b"");
        // 1024 - 42 bytes = 86 < 96: the ICC key of 768 bits does not fit.
        assert_eq!(made.remainder.len(), 10);
        let small = RsaKey { modulus: vec![0xC5; 64], ..scheme.icc.clone() };
        let made = icc(&scheme.ca, &small, [0x41; 10], b"");
        assert!(made.remainder.is_empty());
        assert_eq!(recover(&scheme.ca, &made.certificate)[21 + 64..107], [0xBB; 22]);
    }
}
