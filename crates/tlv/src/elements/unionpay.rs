//! UnionPay's own data elements: PBOC 3.0 parts 5 (debit and credit), 12 (contactless) and 13 (electronic cash), and the
//! host's field 55 of the UnionPay acquirer interface.

use super::{VARIABLE, elements};

elements! { UnionPay:
    0x9F51 CURRENCY Numeric Icc 2 2 open "Application Currency Code";
    0x9F52 DEFAULT_ACTION Binary Icc 2 4 open "Application Default Action (ADA)";
    0x9F53 CONSECUTIVE_LIMIT_INTERNATIONAL Binary Icc 1 1 open "Consecutive Transaction Limit (International - Currency)";
    0x9F54 CUMULATIVE_LIMIT Numeric Icc 6 6 open "Cumulative Total Transaction Amount Limit";
    0x9F55 GEOGRAPHIC_INDICATOR Binary Icc 1 1 open "Geographic Indicator";
    0x9F56 ISSUER_AUTHENTICATION_INDICATOR Binary Icc 1 1 open "Issuer Authentication Indicator";
    0x9F57 COUNTRY Numeric Icc 2 2 open "Issuer Country Code";
    0x9F58 LOWER_LIMIT Binary Icc 1 1 open "Lower Consecutive Offline Limit (card)";
    0x9F59 UPPER_LIMIT Binary Icc 1 1 open "Upper Consecutive Offline Limit (card)";
    0x9F5C CUMULATIVE_UPPER_LIMIT Numeric Icc 6 6 open "Cumulative Total Transaction Amount Upper Limit";
    0x9F5D AVAILABLE_OFFLINE_AMOUNT Numeric Icc 6 6 open "Available Offline Spending Amount";
    0x9F61 CARDHOLDER_ID_NUMBER AlphanumericSpecial Icc 1 40 secret "Cardholder ID Number";
    0x9F62 CARDHOLDER_ID_TYPE CompressedNumeric Icc 1 1 open "Cardholder ID Type";
    0x9F63 PRODUCT_IDENTIFICATION Binary Icc 16 16 open "Card Product Identification Information";
    0x9F66 TERMINAL_QUALIFIERS Binary Terminal 4 4 open "Terminal Transaction Qualifiers (TTQ)";
    0x9F68 CARD_ADDITIONAL_PROCESSES Binary Icc 4 4 open "Card Additional Processes";
    0x9F69 CARD_AUTHENTICATION_DATA Binary Icc 5 16 open "Card Authentication Related Data";
    0x9F6B CARD_CVM_LIMIT Numeric Icc 6 6 open "Card CVM Limit";
    0x9F6C CARD_QUALIFIERS Binary Icc 2 2 open "Card Transaction Qualifiers (CTQ)";
    0x9F6D EC_RESET_THRESHOLD Numeric Icc 6 6 open "Electronic Cash Reset Threshold";
    0x9F72 CONSECUTIVE_LIMIT_COUNTRY Binary Icc 1 1 open "Consecutive Transaction Limit (International - Country)";
    0x9F73 CONVERSION_FACTOR Numeric Icc 4 4 open "Currency Conversion Factor";
    0x9F74 EC_AUTHORISATION_CODE Alphanumeric Icc 6 6 open "Electronic Cash Issuer Authorisation Code";
    0x9F75 CUMULATIVE_LIMIT_DUAL Numeric Icc 6 6 open "Cumulative Total Transaction Amount Limit (Dual Currency)";
    0x9F76 SECONDARY_CURRENCY Numeric Icc 2 2 open "Secondary Application Currency Code";
    0x9F77 EC_BALANCE_LIMIT Numeric Icc 6 6 open "Electronic Cash Balance Limit";
    0x9F78 EC_SINGLE_LIMIT Numeric Icc 6 6 open "Electronic Cash Single Transaction Limit";
    0x9F79 EC_BALANCE Numeric Icc 6 6 open "Electronic Cash Balance";
    0x9F7A EC_TERMINAL_SUPPORT Binary Terminal 1 1 open "Electronic Cash Terminal Support Indicator";
    0x9F7B EC_TERMINAL_LIMIT Numeric Terminal 6 6 open "Electronic Cash Terminal Transaction Limit";
    0xDF31 HOST_SCRIPT_RESULTS Binary Terminal 5 VARIABLE open "Issuer Script Results (host message)";
    0xDF60 CAPP_INDICATOR Binary Terminal 1 1 open "CAPP Transaction Indicator";
    0xDF61 SEGMENTED_PAYMENT_INDICATOR Binary Icc 1 1 open "Segmented Payment Indicator";
    0xDF69 SM_SUPPORT Binary Terminal 1 1 open "SM Algorithm Support Indicator";
}
