//! EMV Book 3 Annex C and Book 4 Annex A in words: what the bytes of a data element say, for people.

mod bits;
mod cvm;
mod issuer;
mod lists;

use tlv::{Definer, Tag, tags};

use crate::bits::Bit;

pub use cvm::{condition as cvm_condition, method as cvm_method};

/// What the value of a data element says, a line each; empty for one that says no more than its digits. `card` is
/// whose card it is, for what the payment systems code differently.
///
/// Nothing of a sensitive element is ever put in words: none of those here is one.
pub fn words(tag: Tag, value: &[u8], card: Option<Definer>) -> Vec<String> {
    match tag {
        tags::TVR | tags::IAC_DEFAULT | tags::IAC_DENIAL | tags::IAC_ONLINE => bits::words(bits::TVR, value),
        tags::TSI => bits::words(bits::TSI, value),
        tags::AIP => bits::words(bits::AIP, value),
        tags::USAGE_CONTROL => bits::words(bits::USAGE_CONTROL, value),
        tags::TERMINAL_CAPABILITIES => bits::words(bits::TERMINAL_CAPABILITIES, value),
        tags::ADDITIONAL_CAPABILITIES => bits::words(bits::ADDITIONAL_CAPABILITIES, value),
        tags::CVM_LIST => cvm::list(value),
        tags::CVM_RESULTS => cvm::results(value),
        tags::CID => issuer::cryptogram_information(value),
        tags::IAD => issuer::application_data(value, card),
        tags::visa::SCRIPT_RESULTS if card != Some(Definer::Mastercard) => issuer::script_results(value),
        tags::unionpay::HOST_SCRIPT_RESULTS => issuer::script_results(value),
        tags::ARC => lists::response_code(value),
        tags::AFL => lists::file_locator(value),
        tags::TERMINAL_TYPE => lists::terminal_type(value),
        tags::APPLICATION_PRIORITY => lists::priority(value),
        tags::CDOL1 | tags::CDOL2 | tags::PDOL | tags::DDOL | tags::TDOL | tags::LOG_FORMAT => {
            lists::data_objects(value, card)
        }
        tags::STATIC_DATA_TAG_LIST => lists::tag_list(value, card),
        _ => Vec::new(),
    }
}

/// The words for a bit of the terminal verification results, and the clause that sets it.
pub(crate) fn tvr_bit(bit: Bit) -> (&'static str, &'static str) {
    bits::row(bits::TVR, bit)
}

/// The words for a bit of the transaction status information, and the clause that sets it.
pub(crate) fn tsi_bit(bit: Bit) -> (&'static str, &'static str) {
    bits::row(bits::TSI, bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tag: Tag, value: &str) -> Vec<String> {
        words(tag, &hex::decode(value.replace(' ', "")).unwrap(), Some(Definer::UnionPay))
    }

    #[test]
    fn results_say_each_bit_that_is_set_and_those_that_have_no_meaning() {
        assert_eq!(
            said(tags::TVR, "0800048000"),
            [
                "byte 1 bit 4: DDA failed",
                "byte 3 bit 3: online CVM captured",
                "byte 4 bit 8: transaction exceeds floor limit"
            ]
        );
        assert_eq!(said(tags::TVR, "0000000008"), ["byte 5 bit 4: reserved for future use"]);
        assert_eq!(said(tags::TSI, "F800").len(), 5);
        assert_eq!(said(tags::TSI, "0000"), [""; 0]);
    }

    #[test]
    fn every_bit_that_the_kernel_sets_has_words_and_a_clause() {
        use crate::bits::{tsi, tvr};
        let reserved = "reserved for future use";
        for bit in [tvr::NO_DATA_AUTHENTICATION, tvr::VERSIONS_DIFFER, tvr::SCRIPT_FAILED_AFTER] {
            let (words, clause) = tvr_bit(bit);
            assert!(words != reserved && clause.starts_with("Book"), "{bit:?}");
        }
        assert_eq!(tsi_bit(tsi::SCRIPT_PROCESSING), ("script processing was performed", "Book 3, 10.10"));
    }

    #[test]
    fn a_cvm_list_reads_as_its_rules() {
        assert_eq!(
            said(tags::CVM_LIST, "00001388 00000000 4206 1E03 1F00"),
            [
                "X = 5000, Y = 0",
                "PIN enciphered online, if in the application's currency and under X; else the next rule",
                "signature, if the terminal supports it; else cardholder verification fails",
                "no CVM required, always; else cardholder verification fails",
            ]
        );
        assert_eq!(
            said(tags::CVM_RESULTS, "1E0300"),
            ["signature, if the terminal supports it: result unknown"]
        );
        assert_eq!(said(tags::CVM_RESULTS, "3F0000"), ["no CVM performed"]);
    }

    #[test]
    fn lists_name_their_entries() {
        assert_eq!(
            said(tags::AFL, "08010201 18030300"),
            ["file 1, records 1 to 2, 1 signed", "file 3, record 3, 0 signed"]
        );
        assert_eq!(
            said(tags::CDOL1, "9F0206 9F7A01"),
            [
                "9F02 (6): Amount, Authorised (Numeric)",
                "9F7A (1): Electronic Cash Terminal Support Indicator"
            ]
        );
        assert_eq!(said(tags::CDOL1, "9F"), ["the bytes end within a data object"]);
        assert_eq!(said(tags::STATIC_DATA_TAG_LIST, "82"), ["82: Application Interchange Profile"]);
    }

    #[test]
    fn issuer_application_data_of_a_unionpay_card_say_what_the_card_saw() {
        let iad = said(tags::IAD, "07010103A0880001");
        assert_eq!(iad[0], "key derivation index 01, cryptogram version 01");
        assert!(iad.contains(&"first GENERATE AC: ARQC, second: not requested".to_owned()), "{iad:?}");
        assert!(iad.contains(&"last online transaction not completed".to_owned()), "{iad:?}");
        assert!(iad.contains(&"algorithm 01".to_owned()), "{iad:?}");
        assert_eq!(words(tags::IAD, &[7, 1, 1, 3, 0, 0, 0, 1], Some(Definer::Mastercard)), [""; 0]);
    }

    #[test]
    fn values_of_a_wrong_length_say_no_more_than_they_have() {
        for tag in [tags::TVR, tags::CVM_LIST, tags::AFL, tags::CID, tags::IAD, tags::ARC, tags::AIP] {
            for length in 0..12 {
                words(tag, &vec![0xFF; length], Some(Definer::Visa));
            }
        }
    }
}
