//! EMV application cryptograms, card and issuer side: EMV Book 2, A1.2 to A1.4 and 8.1 to 8.2.

use zeroize::Zeroizing;

use crate::des::{Block, TdesKey, xor};
use crate::mac;
use crate::pan::Pan;

/// The card's own key, derived from the issuer master key: option A (Book 2, A1.4.1), with odd parity.
/// `psn` is the PAN sequence number (tag 5F34) in BCD, 0 if the card has none.
#[must_use]
pub fn card_key(imk: &TdesKey, pan: &Pan, psn: u8) -> TdesKey {
    let digits = pan.digits().bytes().map(|digit| digit & 0xF).chain([psn >> 4, psn & 0xF]);
    // The rightmost 16 digits, zero-padded on the left, as a number of 16 nibbles.
    let diversifier = Zeroizing::new(digits.fold(0_u64, |number, digit| number << 4 | u64::from(digit)));
    let left = imk.encrypt_block(diversifier.to_be_bytes());
    let right = imk.encrypt_block((!*diversifier).to_be_bytes());
    TdesKey::from_halves(left, right).with_odd_parity()
}

/// The common session key of one application transaction counter (tag 9F36): Book 2, A1.3.1.
#[must_use]
pub fn session_key(card_key: &TdesKey, atc: [u8; 2]) -> TdesKey {
    let [high, low] = atc;
    diversified(card_key, [high, low, 0, 0, 0, 0, 0, 0])
}

/// The key of diversification value `r`, whose third byte tells the halves apart.
fn diversified(card_key: &TdesKey, r: Block) -> TdesKey {
    let [a, b, _, d, e, f, g, h] = r;
    let half = |constant| card_key.encrypt_block([a, b, constant, d, e, f, g, h]);
    TdesKey::from_halves(half(0xF0), half(0x0F))
}

/// What a card signs: the data that Book 2, 8.1.1 recommends (table 26), with the card verification results
/// as the card's internal data. Each field has the format of its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CryptogramInput {
    /// Amount, authorised (9F02), BCD.
    pub amount_authorised: [u8; 6],
    /// Amount, other (9F03), BCD.
    pub amount_other: [u8; 6],
    /// Terminal country code (9F1A), BCD.
    pub terminal_country: [u8; 2],
    /// Terminal verification results (95).
    pub tvr: [u8; 5],
    /// Transaction currency code (5F2A), BCD.
    pub currency: [u8; 2],
    /// Transaction date (9A), YYMMDD in BCD.
    pub date: [u8; 3],
    /// Transaction type (9C).
    pub transaction_type: u8,
    /// Unpredictable number (9F37).
    pub unpredictable_number: [u8; 4],
    /// Application interchange profile (82).
    pub aip: [u8; 2],
    /// Application transaction counter (9F36).
    pub atc: [u8; 2],
    /// Card verification results, from issuer application data (9F10).
    pub cvr: [u8; 4],
}

impl CryptogramInput {
    fn to_bytes(&self) -> Vec<u8> {
        [
            &self.amount_authorised[..],
            &self.amount_other,
            &self.terminal_country,
            &self.tvr,
            &self.currency,
            &self.date,
            &[self.transaction_type],
            &self.unpredictable_number,
            &self.aip,
            &self.atc,
            &self.cvr,
        ]
        .concat()
    }
}

/// The application cryptogram (ARQC, TC or AAC; tag 9F26) of `input`: Book 2, 8.1.2.
#[must_use]
pub fn cryptogram(session_key: &TdesKey, input: &CryptogramInput) -> Block {
    mac::retail(session_key, &input.to_bytes())
}

/// The authorisation response cryptogram, method 1 (Book 2, 8.2.1). `arc` is the response code (tag 8A).
#[must_use]
pub fn arpc(session_key: &TdesKey, arqc: Block, arc: [u8; 2]) -> Block {
    let [first, second] = arc;
    session_key.encrypt_block(xor(arqc, [first, second, 0, 0, 0, 0, 0, 0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kcv;

    fn block(hex: &str) -> Block {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    fn kcv_starts(key: &TdesKey, hex: &str) -> bool {
        hex::encode_upper(kcv::check_value(key)).starts_with(hex)
    }

    /// The two chains that an HSM computed, published among the tests of knovichikhin/pyemv
    /// (option A, common session key, ARPC method 1): PAN, card key, session key, ARQC, ARPC.
    #[test]
    fn the_published_chains_of_an_hsm_hold() {
        let imk = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        for (pan, card, session, arqc) in [
            ("12345678901234567", "FF08", "DF82", "19C1FBC83EBDC0D5"),
            ("9901234567890123", "1DA5", "0995", "4B46013359B7A58B"),
        ] {
            let card_key = card_key(&imk, &Pan::new(pan).unwrap(), 0x45);
            assert!(kcv_starts(&card_key, card), "{pan}");
            let session_key = diversified(&card_key, block("1234567890123456"));
            assert!(kcv_starts(&session_key, session), "{pan}");
            let data = hex::decode("0123456789ABCDEF0123456789ABCDEF").unwrap();
            assert_eq!(mac::retail(&session_key, &data), block(arqc));
        }
        let card_key = card_key(&imk, &Pan::new("12345678901234567").unwrap(), 0x45);
        let session_key = diversified(&card_key, block("1234567890123456"));
        assert_eq!(arpc(&session_key, block("19C1FBC83EBDC0D5"), [0, 0]), block("C3620580668E5B65"));
    }

    #[test]
    fn a_session_key_belongs_to_one_transaction_counter() {
        let card_key = TdesKey::new([0x2A; 16]);
        assert_eq!(session_key(&card_key, [0x12, 0x34]), diversified(&card_key, block("1234000000000000")));
        assert_ne!(session_key(&card_key, [0x12, 0x34]), session_key(&card_key, [0x12, 0x35]));
    }

    #[test]
    fn the_data_are_signed_in_the_order_of_book_2_table_26() {
        let input = CryptogramInput {
            amount_authorised: [1; 6],
            amount_other: [2; 6],
            terminal_country: [3; 2],
            tvr: [4; 5],
            currency: [5; 2],
            date: [6; 3],
            transaction_type: 7,
            unpredictable_number: [8; 4],
            aip: [9; 2],
            atc: [10; 2],
            cvr: [11; 4],
        };
        let order: Vec<u8> =
            input.to_bytes().chunk_by(|a, b| a == b).filter_map(|run| run.first().copied()).collect();
        assert_eq!(order, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(input.to_bytes().len(), 37);
    }
}
