//! Message authentication codes: the one of UnionPay's direct terminals (Q/CUP 009, "ECB" MAC), and
//! ISO/IEC 9797-1 algorithm 3 with padding method 2, which EMV uses (Book 2, A1.2).

use subtle::ConstantTimeEq;

use crate::des::{Block, TdesKey, encrypt_one, xor};

/// UnionPay's MAC of `message`, zero-padded to whole blocks: 8 upper-case hexadecimal characters, the
/// content of DE 64.
///
/// All blocks are XORed into one, its hexadecimal form is enciphered in two chained steps, and the
/// hexadecimal form of the first half of the result is the MAC.
#[must_use]
pub fn unionpay(mak: &TdesKey, message: &[u8]) -> [u8; 8] {
    let folded = message.chunks(8).fold([0; 8], |sum, chunk| {
        let mut block = [0; 8];
        block.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        xor(sum, block)
    });
    let (first, second) = hex_halves(folded);
    hex_halves(mak.encrypt_block(xor(mak.encrypt_block(first), second))).0
}

/// The MAC of `data` by ISO/IEC 9797-1 algorithm 3 ("retail MAC") with padding method 2, untruncated.
#[must_use]
pub fn retail(key: &TdesKey, data: &[u8]) -> [u8; 8] {
    let left = key.left_cipher();
    let (blocks, rest) = data.as_chunks::<8>();
    let chained = blocks.iter().fold([0; 8], |previous, block| encrypt_one(&left, xor(previous, *block)));
    // Output transformation 3 on the last block: left encipher, right decipher, left encipher, which is TDES.
    key.encrypt_block(xor(chained, padded(rest)))
}

/// Whether two codes are equal, in a time that depends only on their lengths.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Padding method 2: one bit 1, then zeros.
fn padded(rest: &[u8]) -> Block {
    let mut block = [0; 8];
    block.iter_mut().zip(rest.iter().chain(&[0x80])).for_each(|(to, from)| *to = *from);
    block
}

/// The 16 upper-case hexadecimal characters of `block`, as two blocks.
fn hex_halves(block: Block) -> (Block, Block) {
    let number = u64::from_be_bytes(block);
    let digit = |place: usize| {
        let nibble = u8::try_from(number >> (60 - 4 * place) & 0xF).unwrap_or_default();
        if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 }
    };
    (std::array::from_fn(digit), std::array::from_fn(|place| digit(place + 8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_public_unionpay_terminal_code_holds() {
        // Single DES, so both halves are equal.
        let key = TdesKey::from_hex("5CBE7E38A146FD5C5CBE7E38A146FD5C").unwrap();
        assert_eq!(&unionpay(&key, &[1, 2, 3]), b"F11F2C27");
    }

    #[test]
    fn the_vectors_of_iso_9797_1_annex_b_hold() {
        // MAC algorithm 3, padding method 2, data strings 1 and 2.
        let key = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        assert_eq!(hex::encode_upper(retail(&key, b"Now is the time for all ")), "E9086230CA3BE796");
        assert_eq!(hex::encode_upper(retail(&key, b"Now is the time for it")), "5A692CE64F404145");
    }

    #[test]
    fn the_vector_of_icao_9303_11_appendix_d_holds() {
        // D.3, basic access control: the MAC over E_IFD.
        let key = TdesKey::from_hex("7962D9ECE03D1ACD4C76089DCE131543").unwrap();
        let data = hex::decode("72C29C2371CC9BDB65B779B8E8D37B29ECC154AA56A8799FAE2F498F76ED92F2").unwrap();
        assert_eq!(hex::encode_upper(retail(&key, &data)), "5F1448EEA8AD90A7");
    }

    #[test]
    fn codes_of_different_lengths_are_not_equal() {
        assert!(equal(b"F11F2C27", b"F11F2C27"));
        assert!(!equal(b"F11F2C27", b"F11F2C2"));
        assert!(!equal(b"F11F2C27", b"F11F2C28"));
    }
}
