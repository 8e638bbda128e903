//! The data encryption algorithm of FIPS 46-3 and its triple form of NIST SP 800-67: the rounds and their keys.
//!
//! Why not the crate `des`: one DUKPT key costs 20 DES keys and 20 blocks, and a PIN block 2 and 3, which that
//! crate does in as much time as the whole operation may take. It also hides the round keys, of which DUKPT's
//! variants need only an exclusive or. It stays as this module's witness, in the tests and beside it in the benchmark.

use cipher::{
    Block, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncBackend,
    BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut, ParBlocksSizeUser,
    consts::{U1, U8},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The substitutions S1 to S8 of FIPS 46-3, appendix 1: four rows of sixteen.
const S: [[u8; 64]; 8] = [
    [
        14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5,
        3, 8, 4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14,
        10, 0, 6, 13,
    ],
    [
        15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9,
        11, 5, 0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12,
        0, 5, 14, 9,
    ],
    [
        10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11,
        15, 1, 13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3,
        11, 5, 2, 12,
    ],
    [
        7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10,
        14, 9, 10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11,
        12, 7, 2, 14,
    ],
    [
        2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9,
        8, 6, 4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9,
        10, 4, 5, 3,
    ],
    [
        12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11,
        3, 8, 9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7,
        6, 0, 8, 13,
    ],
    [
        4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15,
        8, 6, 1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15,
        14, 2, 3, 12,
    ],
    [
        13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14,
        9, 2, 7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0,
        3, 5, 6, 11,
    ],
];

/// The permutation P of FIPS 46-3: where each bit of its result comes from, counted from 1 on the left.
const P: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6,
    22, 11, 4, 25,
];

/// Permuted choice 1 of FIPS 46-3: the halves C and D.
const PC1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44,
    36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20,
    12, 4,
];

/// Permuted choice 2 of FIPS 46-3: a round key, six bits for each substitution.
const PC2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37,
    47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];

/// By how many places C and D turn before each round key.
const SHIFTS: [u32; 16] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];

/// Substitution and permutation in one step, on halves that are turned left by one bit throughout.
static SP: [[u32; 64]; 8] = substitution_tables();
/// Permuted choice 1: what each byte of the key (without its parity bit) contributes to C and D.
static FROM_KEY: [[u64; 128]; 8] = selection_tables(&PC1, 64, false);
/// Permuted choice 2: what each seven bits of C and D contribute to a round key, in the order of [`RoundKey`].
static FROM_CD: [[u64; 128]; 8] = selection_tables(&PC2, 56, true);

/// A round key in eight bytes of six bits: for S1, S3, S5, S7, then for S2, S4, S6, S8.
type RoundKey = u64;

/// The sixteen round keys of a single-length key. They are wiped on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Des([RoundKey; 16]);

impl Des {
    /// The round keys of `key`. Its parity bits play no part.
    pub(crate) fn new(key: u64) -> Self {
        let cd = key
            .to_be_bytes()
            .iter()
            .zip(&FROM_KEY)
            .fold(0, |cd, (byte, table)| cd | looked_up(table, byte >> 1));
        let (mut c, mut d) = (cd >> 28, cd & 0x0FFF_FFFF);
        Self(SHIFTS.map(|shift| {
            (c, d) = (turned(c, shift), turned(d, shift));
            round_key(c << 28 | d)
        }))
    }

    /// The round keys of this key exclusive-or the key of `variant`: the schedule is linear.
    pub(crate) fn xor(&self, variant: &Self) -> Self {
        let mut keys = self.clone();
        keys.0.iter_mut().zip(variant.0).for_each(|(key, other)| *key ^= other);
        keys
    }

    /// Enciphers one block.
    pub(crate) fn encrypt(&self, block: u64) -> u64 {
        permuted_back(self.rounds_forward(permuted(block)))
    }

    fn rounds_forward(&self, halves: Halves) -> Halves {
        self.0.iter().fold(halves, round).swapped()
    }

    fn rounds_back(&self, halves: Halves) -> Halves {
        self.0.iter().rev().fold(halves, round).swapped()
    }
}

/// The key schedule of TDEA: keying option 1 (three keys) or 2 (the third is the first).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Tdea {
    first: Des,
    second: Des,
    third: Des,
}

impl Tdea {
    /// Keying option 2.
    pub(crate) fn double(key: &[u8; 16]) -> Self {
        let number = u128::from_be_bytes(*key);
        let first = Des::new(low_half(number >> 64));
        Self { third: first.clone(), first, second: Des::new(low_half(number)) }
    }

    /// Keying option 1.
    pub(crate) fn triple(key: &[u8; 24]) -> Self {
        let (keys, _) = key.as_chunks::<8>();
        let mut keys = keys.iter().map(|key| Des::new(u64::from_be_bytes(*key)));
        let mut next = || keys.next().unwrap_or(Des([0; 16]));
        Self { first: next(), second: next(), third: next() }
    }

    /// Enciphers one block.
    pub(crate) fn encrypt(&self, block: u64) -> u64 {
        let halves = self.first.rounds_forward(permuted(block));
        permuted_back(self.third.rounds_forward(self.second.rounds_back(halves)))
    }

    /// Enciphers one block with the first of the keys alone.
    pub(crate) fn encrypt_with_first(&self, block: u64) -> u64 {
        self.first.encrypt(block)
    }

    /// Deciphers one block.
    pub(crate) fn decrypt(&self, block: u64) -> u64 {
        let halves = self.third.rounds_back(permuted(block));
        permuted_back(self.first.rounds_back(self.second.rounds_forward(halves)))
    }
}

/// The halves of a block, each turned left by one bit, so that the eight overlapping groups of the expansion E
/// are the low six bits of the bytes of the half and of the half turned by four.
#[derive(Clone, Copy)]
struct Halves {
    left: u32,
    right: u32,
}

impl Halves {
    fn swapped(self) -> Self {
        Self { left: self.right, right: self.left }
    }
}

fn round(Halves { left, right }: Halves, key: &RoundKey) -> Halves {
    let groups = u64::from(right.rotate_right(4)) << 32 | u64::from(right);
    let [a, b, c, d, e, f, g, h] = (groups ^ key).to_be_bytes();
    let [s1, s2, s3, s4, s5, s6, s7, s8] = &SP;
    let function = looked_up(s1, a & 0x3F)
        ^ looked_up(s3, b & 0x3F)
        ^ looked_up(s5, c & 0x3F)
        ^ looked_up(s7, d & 0x3F)
        ^ looked_up(s2, e & 0x3F)
        ^ looked_up(s4, f & 0x3F)
        ^ looked_up(s6, g & 0x3F)
        ^ looked_up(s8, h & 0x3F);
    Halves { left: right, right: left ^ function }
}

/// The initial permutation IP.
fn permuted(block: u64) -> Halves {
    let (left, right) = (low_word(block >> 32), low_word(block));
    let (left, right) = exchanged(left, right, 4, 0x0F0F_0F0F);
    let (left, right) = exchanged(left, right, 16, 0x0000_FFFF);
    let (right, left) = exchanged(right, left, 2, 0x3333_3333);
    let (right, left) = exchanged(right, left, 8, 0x00FF_00FF);
    let (left, right) = exchanged(left, right, 1, 0x5555_5555);
    Halves { left: left.rotate_left(1), right: right.rotate_left(1) }
}

/// The final permutation, which is IP's inverse.
fn permuted_back(halves: Halves) -> u64 {
    let (left, right) = (halves.left.rotate_right(1), halves.right.rotate_right(1));
    let (left, right) = exchanged(left, right, 1, 0x5555_5555);
    let (right, left) = exchanged(right, left, 8, 0x00FF_00FF);
    let (right, left) = exchanged(right, left, 2, 0x3333_3333);
    let (left, right) = exchanged(left, right, 16, 0x0000_FFFF);
    let (left, right) = exchanged(left, right, 4, 0x0F0F_0F0F);
    u64::from(left) << 32 | u64::from(right)
}

/// Exchanges the bits of `a` under `mask << shift` with the bits of `b` under `mask`.
fn exchanged(a: u32, b: u32, shift: u32, mask: u32) -> (u32, u32) {
    let difference = (a >> shift ^ b) & mask;
    (a ^ difference << shift, b ^ difference)
}

/// 28 bits, turned left.
fn turned(half: u64, by: u32) -> u64 {
    (half << by | half >> (28 - by)) & 0x0FFF_FFFF
}

fn round_key(cd: u64) -> RoundKey {
    let groups = [49, 42, 35, 28, 21, 14, 7, 0].map(|shift| (cd >> shift).to_le_bytes());
    groups.iter().zip(&FROM_CD).fold(0, |key, ([group, ..], table)| key | looked_up(table, group & 0x7F))
}

/// An entry of a table that has one for each index handed over.
fn looked_up<T: Copy + Default, const N: usize>(table: &[T; N], index: u8) -> T {
    table.get(usize::from(index)).copied().unwrap_or_default()
}

fn low_half(number: u128) -> u64 {
    u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default()
}

fn low_word(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default()
}

/// [`SP`], from S and P.
#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "computed by the compiler, which checks it"
)]
const fn substitution_tables() -> [[u32; 64]; 8] {
    let mut tables = [[0; 64]; 8];
    let mut number = 0;
    while number < 8 {
        let mut input = 0;
        while input < 64 {
            let row = input >> 4 & 2 | input & 1;
            let substituted = (S[number][row * 16 + (input >> 1 & 15)] as u32) << (28 - 4 * number);
            let mut place = 0;
            while place < 32 {
                let bit = substituted >> (32 - P[place]) & 1;
                tables[number][input] |= (bit << (31 - place)).rotate_left(1);
                place += 1;
            }
            input += 1;
        }
        number += 1;
    }
    tables
}

/// A selection of bits as tables: what each seven bits of the input contribute to the result. The input has 8
/// groups of `width / 8` bits, of which the first seven count. The result is left as it is chosen, or spread into
/// the bytes of a [`RoundKey`].
#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "computed by the compiler, which checks it"
)]
const fn selection_tables<const N: usize>(choice: &[u8; N], width: usize, spread: bool) -> [[u64; 128]; 8] {
    let mut tables = [[0; 128]; 8];
    let mut place = 0;
    while place < N {
        let source = choice[place] as usize - 1;
        let (group, bit) = (source / (width / 8), 6 - source % (width / 8));
        let target = if spread {
            // Groups 0, 2, 4, 6 go to the high four bytes, 1, 3, 5, 7 to the low four.
            let (number, within) = (place / 6, place % 6);
            (if number.is_multiple_of(2) { 56 - 4 * number } else { 28 - 4 * number }) + 5 - within
        } else {
            N - 1 - place
        };
        let mut input = 0;
        while input < 128 {
            if input >> bit & 1 == 1 {
                tables[group][input] |= 1 << target;
            }
            input += 1;
        }
        place += 1;
    }
    tables
}

impl BlockSizeUser for Tdea {
    type BlockSize = U8;
}

impl ParBlocksSizeUser for Tdea {
    type ParBlocksSize = U1;
}

impl BlockCipherEncrypt for Tdea {
    fn encrypt_with_backend(&self, closure: impl BlockCipherEncClosure<BlockSize = U8>) {
        closure.call(self);
    }
}

impl BlockCipherEncBackend for Tdea {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let clear = u64::from_be_bytes(block.get_in().0);
        block.get_out().0 = self.encrypt(clear).to_be_bytes();
    }
}

impl BlockCipherDecrypt for Tdea {
    fn decrypt_with_backend(&self, closure: impl BlockCipherDecClosure<BlockSize = U8>) {
        closure.call(self);
    }
}

impl BlockCipherDecBackend for Tdea {
    fn decrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let enciphered = u64::from_be_bytes(block.get_in().0);
        block.get_out().0 = self.decrypt(enciphered).to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use cipher::{Array, KeyInit};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors_of_nist_sp_500_20_hold() {
        // Variable plaintext, variable key and substitution table known answer tests, one line each.
        for (key, clear, enciphered) in [
            (0x0101_0101_0101_0101, 0x8000_0000_0000_0000, 0x95F8_A5E5_DD31_D900),
            (0x8001_0101_0101_0101, 0, 0x95A8_D728_13DA_A94D),
            (0x7CA1_1045_4A1A_6E57, 0x01A1_D6D0_3977_6742, 0x690F_5B0D_9A26_939B),
        ] {
            assert_eq!(Des::new(key).encrypt(clear), enciphered, "{key:016X}");
        }
    }

    proptest! {
        #[test]
        fn the_crate_des_agrees(key: [u8; 24], clear: u64) {
            let mut block = Array(clear.to_be_bytes());
            BlockCipherEncrypt::encrypt_block(&des::TdesEde3::new(&Array(key)), &mut block);
            let tdea = Tdea::triple(&key);
            prop_assert_eq!(tdea.encrypt(clear).to_be_bytes(), block.0);
            prop_assert_eq!(tdea.decrypt(u64::from_be_bytes(block.0)), clear);
        }

        #[test]
        fn the_schedule_is_linear(key: u64, variant: u64, clear: u64) {
            let together = Des::new(key).xor(&Des::new(variant));
            prop_assert_eq!(together.encrypt(clear), Des::new(key ^ variant).encrypt(clear));
        }
    }
}
