//! Visa's own data elements: Visa Integrated Circuit Card Specification, and EMV Contactless Book C-3.

use super::{VARIABLE, elements};

elements! { Visa:
    0x9F51 CURRENCY Numeric Icc 2 2 open "Application Currency Code";
    0x9F52 DEFAULT_ACTION Binary Icc 2 6 open "Application Default Action (ADA)";
    0x9F53 CONSECUTIVE_LIMIT_INTERNATIONAL Binary Icc 1 1 open "Consecutive Transaction Counter International Limit (CTCIL)";
    0x9F54 CUMULATIVE_LIMIT Numeric Icc 6 6 open "Cumulative Total Transaction Amount Limit (CTTAL)";
    0x9F55 GEOGRAPHIC_INDICATOR Binary Icc 1 1 open "Geographic Indicator";
    0x9F56 ISSUER_AUTHENTICATION_INDICATOR Binary Icc 1 1 open "Issuer Authentication Indicator";
    0x9F57 COUNTRY Numeric Icc 2 2 open "Issuer Country Code";
    0x9F58 CONSECUTIVE_LIMIT Binary Icc 1 1 open "Consecutive Transaction Counter Limit (CTCL)";
    0x9F59 CONSECUTIVE_UPPER_LIMIT Binary Icc 1 1 open "Consecutive Transaction Counter Upper Limit (CTCUL)";
    0x9F5A PROGRAM_IDENTIFIER Binary Icc 1 16 open "Application Program Identifier (Program ID)";
    0x9F5B SCRIPT_RESULTS Binary Terminal 0 VARIABLE open "Issuer Script Results";
    0x9F5C CUMULATIVE_UPPER_LIMIT Numeric Icc 6 6 open "Cumulative Total Transaction Amount Upper Limit (CTTAUL)";
    0x9F5D AVAILABLE_OFFLINE_AMOUNT Numeric Icc 6 6 open "Available Offline Spending Amount (AOSA)";
    0x9F5E CONSECUTIVE_UPPER_LIMIT_INTERNATIONAL Binary Icc 1 1 open "Consecutive Transaction International Upper Limit (CTIUL)";
    0x9F63 OFFLINE_COUNTER_INITIAL_VALUE Binary Icc 1 1 open "Offline Counter Initial Value";
    0x9F66 TERMINAL_QUALIFIERS Binary Terminal 4 4 open "Terminal Transaction Qualifiers (TTQ)";
    0x9F67 MSD_OFFSET Binary Icc 1 1 open "MSD Offset";
    0x9F68 CARD_ADDITIONAL_PROCESSES Binary Icc 4 4 open "Card Additional Processes";
    0x9F69 CARD_AUTHENTICATION_DATA Binary Icc 5 16 open "Card Authentication Related Data";
    0x9F6B CARD_CVM_LIMIT Numeric Icc 6 6 open "Card CVM Limit";
    0x9F6C CARD_QUALIFIERS Binary Icc 2 2 open "Card Transaction Qualifiers (CTQ)";
    0x9F6D VLP_RESET_THRESHOLD Numeric Icc 6 6 open "VLP Reset Threshold";
    0x9F6E FORM_FACTOR_INDICATOR Binary Icc 4 4 open "Form Factor Indicator (FFI)";
    0x9F73 CONVERSION_PARAMETERS Binary Icc 4 20 open "Currency Conversion Parameters";
    0x9F77 VLP_FUNDS_LIMIT Numeric Icc 6 6 open "VLP Funds Limit";
    0x9F78 VLP_SINGLE_LIMIT Numeric Icc 6 6 open "VLP Single Transaction Limit";
    0x9F79 VLP_AVAILABLE_FUNDS Numeric Icc 6 6 open "VLP Available Funds";
    0x9F7A VLP_TERMINAL_SUPPORT Numeric Terminal 1 1 open "VLP Terminal Support Indicator";
    0x9F7B VLP_TERMINAL_LIMIT Numeric Terminal 6 6 open "VLP Terminal Transaction Limit";
    0x9F7C CUSTOMER_EXCLUSIVE_DATA Binary Icc 0 32 open "Customer Exclusive Data (CED)";
}
