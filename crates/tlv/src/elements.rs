//! EMV Book 3 Annex A: the data elements that a contact transaction meets, their formats and lengths.

use crate::Tag;

/// The format of a data element (Book 3 clause 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Letters `a`.
    Alphabetic,
    /// Letters and digits `an`.
    Alphanumeric,
    /// Printable characters `ans`.
    AlphanumericSpecial,
    /// Bits `b`, templates included.
    Binary,
    /// Digits `cn`, left justified, padded with `F`.
    CompressedNumeric,
    /// Digits `n`, right justified, padded with `0`.
    Numeric,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its tag.
    pub tag: Tag,
    /// Its name in Book 3.
    pub name: &'static str,
    /// Its format.
    pub format: Format,
    /// The most bytes that its value has.
    pub max_length: usize,
    /// Whether it is cardholder or sensitive authentication data that may not be shown.
    pub sensitive: bool,
}

/// A length that the annex leaves variable: what a command or response of Book 3 clause 6.3 can hold.
const VARIABLE: usize = 255;

/// The row of this tag, if Book 3 names it and the terminal uses it.
pub fn element(tag: Tag) -> Option<&'static Element> {
    let row = ELEMENTS.binary_search_by_key(&tag, |element| element.tag).ok()?;
    ELEMENTS.get(row)
}

/// Whether the data element is cardholder or sensitive authentication data.
pub fn is_sensitive(tag: Tag) -> bool {
    element(tag).is_some_and(|element| element.sensitive)
}

macro_rules! elements {
    ($($number:literal $constant:ident $format:ident $max_length:tt $shown:ident $name:literal;)*) => {
        /// The tags of the table, by name.
        pub mod tags {
            use crate::Tag;
            $(
                #[doc = $name]
                pub const $constant: Tag = Tag::new($number);
            )*
        }

        /// In the order of the tag, for the binary search.
        static ELEMENTS: &[Element] = &[
            $(Element {
                tag: tags::$constant,
                name: $name,
                format: Format::$format,
                max_length: $max_length,
                sensitive: elements!(@sensitive $shown),
            },)*
        ];
    };
    (@sensitive open) => { false };
    (@sensitive secret) => { true };
}

elements! {
    0x42 ISSUER_IDENTIFICATION_NUMBER Numeric 3 open "Issuer Identification Number (IIN)";
    0x4F ADF_NAME Binary 16 open "Application Dedicated File (ADF) Name";
    0x50 APPLICATION_LABEL AlphanumericSpecial 16 open "Application Label";
    0x56 TRACK_1 AlphanumericSpecial 76 secret "Track 1 Data";
    0x57 TRACK_2 Binary 19 secret "Track 2 Equivalent Data";
    0x5A PAN CompressedNumeric 10 secret "Application Primary Account Number (PAN)";
    0x61 APPLICATION_TEMPLATE Binary 252 open "Application Template";
    0x6F FCI_TEMPLATE Binary 252 open "File Control Information (FCI) Template";
    0x70 RECORD_TEMPLATE Binary 252 open "READ RECORD Response Message Template";
    0x71 ISSUER_SCRIPT_1 Binary VARIABLE open "Issuer Script Template 1";
    0x72 ISSUER_SCRIPT_2 Binary VARIABLE open "Issuer Script Template 2";
    0x73 DIRECTORY_DISCRETIONARY Binary 252 open "Directory Discretionary Template";
    0x77 RESPONSE_FORMAT_2 Binary VARIABLE open "Response Message Template Format 2";
    0x80 RESPONSE_FORMAT_1 Binary VARIABLE open "Response Message Template Format 1";
    0x81 AMOUNT_AUTHORISED_BINARY Binary 4 open "Amount, Authorised (Binary)";
    0x82 AIP Binary 2 open "Application Interchange Profile";
    0x83 COMMAND_TEMPLATE Binary VARIABLE open "Command Template";
    0x84 DF_NAME Binary 16 open "Dedicated File (DF) Name";
    0x86 ISSUER_SCRIPT_COMMAND Binary 261 open "Issuer Script Command";
    0x87 APPLICATION_PRIORITY Binary 1 open "Application Priority Indicator";
    0x88 SFI Binary 1 open "Short File Identifier (SFI)";
    0x89 AUTHORISATION_CODE Alphanumeric 6 open "Authorisation Code";
    0x8A ARC Alphanumeric 2 open "Authorisation Response Code";
    0x8C CDOL1 Binary 252 open "Card Risk Management Data Object List 1 (CDOL1)";
    0x8D CDOL2 Binary 252 open "Card Risk Management Data Object List 2 (CDOL2)";
    0x8E CVM_LIST Binary 252 open "Cardholder Verification Method (CVM) List";
    0x8F CAPK_INDEX_ICC Binary 1 open "Certification Authority Public Key Index (card)";
    0x90 ISSUER_PK_CERTIFICATE Binary 248 open "Issuer Public Key Certificate";
    0x91 ISSUER_AUTHENTICATION Binary 16 open "Issuer Authentication Data";
    0x92 ISSUER_PK_REMAINDER Binary VARIABLE open "Issuer Public Key Remainder";
    0x93 SIGNED_STATIC_DATA Binary 248 open "Signed Static Application Data";
    0x94 AFL Binary 252 open "Application File Locator (AFL)";
    0x95 TVR Binary 5 open "Terminal Verification Results";
    0x97 TDOL Binary 252 open "Transaction Certificate Data Object List (TDOL)";
    0x98 TC_HASH Binary 20 open "Transaction Certificate (TC) Hash Value";
    0x99 PIN_DATA Binary VARIABLE secret "Transaction Personal Identification Number (PIN) Data";
    0x9A TRANSACTION_DATE Numeric 3 open "Transaction Date";
    0x9B TSI Binary 2 open "Transaction Status Information";
    0x9C TRANSACTION_TYPE Numeric 1 open "Transaction Type";
    0x9D DDF_NAME Binary 16 open "Directory Definition File (DDF) Name";
    0xA5 FCI_PROPRIETARY Binary VARIABLE open "File Control Information (FCI) Proprietary Template";
    0x5F20 CARDHOLDER_NAME AlphanumericSpecial 26 secret "Cardholder Name";
    0x5F24 EXPIRATION_DATE Numeric 3 open "Application Expiration Date";
    0x5F25 EFFECTIVE_DATE Numeric 3 open "Application Effective Date";
    0x5F28 ISSUER_COUNTRY Numeric 2 open "Issuer Country Code";
    0x5F2A TRANSACTION_CURRENCY Numeric 2 open "Transaction Currency Code";
    0x5F2D LANGUAGE_PREFERENCE Alphanumeric 8 open "Language Preference";
    0x5F30 SERVICE_CODE Numeric 2 open "Service Code";
    0x5F34 PAN_SEQUENCE Numeric 1 open "Application PAN Sequence Number";
    0x5F36 CURRENCY_EXPONENT Numeric 1 open "Transaction Currency Exponent";
    0x5F57 ACCOUNT_TYPE Numeric 1 open "Account Type";
    0x9F01 ACQUIRER_IDENTIFIER Numeric 6 open "Acquirer Identifier";
    0x9F02 AMOUNT_AUTHORISED Numeric 6 open "Amount, Authorised (Numeric)";
    0x9F03 AMOUNT_OTHER Numeric 6 open "Amount, Other (Numeric)";
    0x9F04 AMOUNT_OTHER_BINARY Binary 4 open "Amount, Other (Binary)";
    0x9F06 AID Binary 16 open "Application Identifier (AID), terminal";
    0x9F07 USAGE_CONTROL Binary 2 open "Application Usage Control";
    0x9F08 VERSION_ICC Binary 2 open "Application Version Number (card)";
    0x9F09 VERSION_TERMINAL Binary 2 open "Application Version Number (terminal)";
    0x9F0B CARDHOLDER_NAME_EXTENDED AlphanumericSpecial 45 secret "Cardholder Name Extended";
    0x9F0D IAC_DEFAULT Binary 5 open "Issuer Action Code - Default";
    0x9F0E IAC_DENIAL Binary 5 open "Issuer Action Code - Denial";
    0x9F0F IAC_ONLINE Binary 5 open "Issuer Action Code - Online";
    0x9F10 IAD Binary 32 open "Issuer Application Data";
    0x9F11 CODE_TABLE_INDEX Numeric 1 open "Issuer Code Table Index";
    0x9F12 PREFERRED_NAME AlphanumericSpecial 16 open "Application Preferred Name";
    0x9F13 LAST_ONLINE_ATC Binary 2 open "Last Online Application Transaction Counter (ATC) Register";
    0x9F14 LOWER_CONSECUTIVE_LIMIT Binary 1 open "Lower Consecutive Offline Limit";
    0x9F15 MERCHANT_CATEGORY Numeric 2 open "Merchant Category Code";
    0x9F16 MERCHANT_IDENTIFIER AlphanumericSpecial 15 open "Merchant Identifier";
    0x9F17 PIN_TRY_COUNTER Binary 1 open "Personal Identification Number (PIN) Try Counter";
    0x9F18 ISSUER_SCRIPT_IDENTIFIER Binary 4 open "Issuer Script Identifier";
    0x9F1A TERMINAL_COUNTRY Numeric 2 open "Terminal Country Code";
    0x9F1B FLOOR_LIMIT Binary 4 open "Terminal Floor Limit";
    0x9F1C TERMINAL_IDENTIFICATION Alphanumeric 8 open "Terminal Identification";
    0x9F1E IFD_SERIAL_NUMBER Alphanumeric 8 open "Interface Device (IFD) Serial Number";
    0x9F1F TRACK_1_DISCRETIONARY AlphanumericSpecial VARIABLE secret "Track 1 Discretionary Data";
    0x9F20 TRACK_2_DISCRETIONARY CompressedNumeric VARIABLE secret "Track 2 Discretionary Data";
    0x9F21 TRANSACTION_TIME Numeric 3 open "Transaction Time";
    0x9F22 CAPK_INDEX_TERMINAL Binary 1 open "Certification Authority Public Key Index (terminal)";
    0x9F23 UPPER_CONSECUTIVE_LIMIT Binary 1 open "Upper Consecutive Offline Limit";
    0x9F26 CRYPTOGRAM Binary 8 open "Application Cryptogram";
    0x9F27 CID Binary 1 open "Cryptogram Information Data";
    0x9F2D PIN_ENCIPHERMENT_CERTIFICATE Binary 248 open "ICC PIN Encipherment Public Key Certificate";
    0x9F2E PIN_ENCIPHERMENT_EXPONENT Binary 3 open "ICC PIN Encipherment Public Key Exponent";
    0x9F2F PIN_ENCIPHERMENT_REMAINDER Binary VARIABLE open "ICC PIN Encipherment Public Key Remainder";
    0x9F32 ISSUER_PK_EXPONENT Binary 3 open "Issuer Public Key Exponent";
    0x9F33 TERMINAL_CAPABILITIES Binary 3 open "Terminal Capabilities";
    0x9F34 CVM_RESULTS Binary 3 open "Cardholder Verification Method (CVM) Results";
    0x9F35 TERMINAL_TYPE Numeric 1 open "Terminal Type";
    0x9F36 ATC Binary 2 open "Application Transaction Counter (ATC)";
    0x9F37 UNPREDICTABLE_NUMBER Binary 4 open "Unpredictable Number";
    0x9F38 PDOL Binary 252 open "Processing Options Data Object List (PDOL)";
    0x9F39 POS_ENTRY_MODE Numeric 1 open "Point-of-Service (POS) Entry Mode";
    0x9F3A AMOUNT_REFERENCE Binary 4 open "Amount, Reference Currency";
    0x9F3C REFERENCE_CURRENCY Numeric 2 open "Transaction Reference Currency Code";
    0x9F40 ADDITIONAL_CAPABILITIES Binary 5 open "Additional Terminal Capabilities";
    0x9F41 SEQUENCE_COUNTER Numeric 4 open "Transaction Sequence Counter";
    0x9F42 APPLICATION_CURRENCY Numeric 2 open "Application Currency Code";
    0x9F44 APPLICATION_CURRENCY_EXPONENT Numeric 1 open "Application Currency Exponent";
    0x9F45 DATA_AUTHENTICATION_CODE Binary 2 open "Data Authentication Code";
    0x9F46 ICC_PK_CERTIFICATE Binary 248 open "ICC Public Key Certificate";
    0x9F47 ICC_PK_EXPONENT Binary 3 open "ICC Public Key Exponent";
    0x9F48 ICC_PK_REMAINDER Binary VARIABLE open "ICC Public Key Remainder";
    0x9F49 DDOL Binary 252 open "Dynamic Data Authentication Data Object List (DDOL)";
    0x9F4A STATIC_DATA_TAG_LIST Binary VARIABLE open "Static Data Authentication Tag List";
    0x9F4B SIGNED_DYNAMIC_DATA Binary 248 open "Signed Dynamic Application Data";
    0x9F4C ICC_DYNAMIC_NUMBER Binary 8 open "ICC Dynamic Number";
    0x9F4D LOG_ENTRY Binary 2 open "Log Entry";
    0x9F4E MERCHANT_NAME AlphanumericSpecial VARIABLE open "Merchant Name and Location";
    0x9F4F LOG_FORMAT Binary VARIABLE open "Log Format";
    0x9F5B SCRIPT_RESULTS Binary VARIABLE open "Issuer Script Results";
    0x9F63 PRODUCT_IDENTIFICATION Binary 16 open "Card Product Identification Information (UnionPay)";
    0x9F6B TRACK_2_CONTACTLESS Binary 19 secret "Track 2 Data (contactless)";
    0xBF0C FCI_ISSUER_DISCRETIONARY Binary 222 open "File Control Information (FCI) Issuer Discretionary Data";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_each_tag_is_one_tag() {
        assert!(ELEMENTS.is_sorted_by(|a, b| a.tag < b.tag));
        for element in ELEMENTS {
            assert_eq!(element.tag.to_string().parse(), Ok(element.tag), "{}", element.name);
        }
    }

    #[test]
    fn lengths_are_those_of_annex_a() {
        let max_length = |tag| element(tag).unwrap().max_length;
        assert_eq!([tags::PAN, tags::TRACK_2, tags::IAD, tags::CVM_LIST].map(max_length), [10, 19, 32, 252]);
        assert_eq!([tags::DF_NAME, tags::CID, tags::SEQUENCE_COUNTER].map(max_length), [16, 1, 4]);
    }

    #[test]
    fn what_pci_dss_calls_account_data_is_sensitive() {
        for tag in [0x5A, 0x57, 0x56, 0x5F20, 0x99, 0x9F1F, 0x9F20, 0x9F6B, 0x9F0B] {
            assert!(is_sensitive(Tag::new(tag)), "{tag:X}");
        }
        assert!(!is_sensitive(tags::CRYPTOGRAM));
    }
}
