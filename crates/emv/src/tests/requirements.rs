//! Requirements of Book 3 clause 10 that a plain sale does not meet (coverage.toml).

use super::*;

/// The card with `to` in place of `from` in its answer to `command`, both of one length.
fn changed(mut card: Card, command: &str, from: &str, to: &str) -> Card {
    let (from, to) = (bytes(from), bytes(to));
    let mut answer = card.answer(&bytes(command));
    let at = answer.windows(from.len()).position(|window| window == from).unwrap();
    answer[at..at + to.len()].copy_from_slice(&to);
    card.set(command, &answer);
    card.log.clear();
    card
}

/// The signed record and the one with the lists.
const SIGNED: &str = "00B2011C00";
const LISTS: &str = "00B2011400";
/// Terminal verification results, byte 2.
const VERSIONS_DIFFER: u8 = 0x80;
const SERVICE_NOT_ALLOWED: u8 = 0x10;

#[test]
fn a_card_without_a_common_method_is_not_authenticated_and_the_results_say_so() {
    let (_, outcome) = run(&mut with(|card| card.aip = "1C00"), ALL_WELL);
    assert_eq!((outcome.tvr[0], outcome.tsi[0] & 0x80), (0x80, 0));
}

#[test]
fn a_ddol_without_the_unpredictable_number_fails_dda() {
    let mut card = with(|card| card.more = tlv("9F49", &bytes("9F0206")));
    assert_eq!(run(&mut card, ALL_WELL).1.tvr[0], 0x08);
    assert!(!card.log.iter().any(|command| command[1] == 0x88));
}

#[test]
fn a_tag_list_that_names_more_than_the_aip_fails_the_authentication() {
    let mut card = changed(Personalisation::default().card(), SIGNED, "9F4A0182", "9F4A0184");
    assert_eq!(run(&mut card, ALL_WELL).1.tvr[0], 0x08);
}

#[test]
fn versions_that_differ_are_told_and_a_card_without_one_is_compatible() {
    let card = || Personalisation::default().card();
    let cases = [("9F08020030", 0), ("9F08020031", VERSIONS_DIFFER), ("9F05020031", 0)];
    for (version, expected) in cases {
        let (_, outcome) = run(&mut changed(card(), LISTS, "9F08020030", version), ALL_WELL);
        assert_eq!(outcome.tvr[1] & VERSIONS_DIFFER, expected, "{version}");
    }
}

#[test]
fn usage_control_allows_what_its_bits_say_at_home_and_abroad() {
    let (home, abroad) = ("5F28020156", "5F28020840");
    let cases = [
        // Type, usage control, issuer country, allowed.
        (0x00, "FF00", home, true),
        (0x00, "FE00", home, false),
        (0x00, "2100", home, true),
        (0x00, "0900", home, true),
        (0x00, "1500", home, false),
        (0x00, "1500", abroad, true),
        (0x00, "2900", abroad, false),
        (0x01, "8100", home, true),
        (0x01, "4100", home, false),
        (0x01, "4100", abroad, true),
        (0x09, "2180", home, true),
        (0x09, "2100", home, false),
        (0x09, "1140", abroad, true),
        (0x09, "0180", home, false),
    ];
    for (kind, usage, country, allowed) in cases {
        let card =
            changed(Personalisation::default().card(), SIGNED, "9F0702FF00", &format!("9F0702{usage}"));
        let mut card = changed(card, SIGNED, home, country);
        let mut kernel = Kernel::new(config_with(|toml| toml), Transaction { kind, ..transaction() });
        let (outcome, _) = run_until_end(&mut kernel, &mut card, ALL_WELL).unwrap();
        assert_eq!(outcome.tvr[1] & SERVICE_NOT_ALLOWED == 0, allowed, "{kind:02X} {usage} {country}");
    }
    // Without a country of the issuer, the place alone decides.
    let mut card = changed(Personalisation::default().card(), SIGNED, home, "5F29020156");
    assert_eq!(run(&mut card, ALL_WELL).1.tvr[1] & SERVICE_NOT_ALLOWED, 0);
}

#[test]
fn an_offline_only_terminal_approves_or_declines_by_the_default_codes_alone() {
    let terminal = TERMINAL.replace(r#"terminal_type = "21""#, r#"terminal_type = "23""#);
    for (floor_limit, request, reason) in
        [(5000, "80AE4000", Reason::ApprovedOffline), (0, "80AE0000", Reason::DeclinedByTerminal)]
    {
        let applications = AIDS.replace("floor_limit = 0", &format!("floor_limit = {floor_limit}"));
        let config = Arc::new(Config::from_toml_parts(&terminal, &applications, &[&capk_toml()]).unwrap());
        let mut card = with(|card| card.cvm_list = "00000000 00000000 1F00");
        let answer = if floor_limit == 0 { "00" } else { "40" };
        card.set("80AE", &ok(&tlv("80", &bytes(&format!("{answer} 0021 1122334455667788")))));
        let (outcome, _) =
            run_until_end(&mut Kernel::new(config, transaction()), &mut card, ALL_WELL).unwrap();
        assert_eq!((outcome.reason, outcome.online), (reason, Online::NotTried));
        assert!(card.log.last().unwrap().starts_with(&bytes(request)), "{request}");
    }
}

#[test]
fn a_card_that_allows_no_such_service_has_its_own_reason() {
    let (_, outcome) = run(&mut with(|card| card.first_ac = "01 0021 1122334455667788"), ALL_WELL);
    assert_eq!((outcome.decision, outcome.reason), (Decision::Terminated, Reason::ServiceNotAllowed));
}

#[test]
fn an_amount_beyond_four_bytes_has_no_binary_form() {
    for (amount, expected) in [(0xFFFF_FFFF, "8104FFFFFFFF"), (0x1_0000_0000, "")] {
        let mut kernel = Kernel::new(config_with(|toml| toml), Transaction { amount, ..transaction() });
        kernel.start();
        assert_eq!(kernel.field_55(&[tags::AMOUNT_AUTHORISED_BINARY]).unwrap(), bytes(expected));
    }
}

#[test]
fn findings_say_what_was_decided_and_by_which_clause_and_only_if_asked() {
    let mut kernel = Kernel::new(config_with(|toml| toml), transaction());
    kernel.record_findings();
    let mut card = Personalisation::default().card();
    let (outcome, _) = run_until_end(&mut kernel, &mut card, ALL_WELL).unwrap();
    let said: Vec<String> = kernel
        .findings()
        .iter()
        .map(|finding| format!("{finding} [{}]", finding.clause().unwrap_or_default()))
        .collect();
    let expected = [
        "one application in common [Book 1, 12.3]",
        "the application is selected [Book 1, 12.4]",
        "5 records to read [Book 3, 10.2]",
        "TSI byte 1 bit 8: offline data authentication was performed [Book 3, 10.3]",
        "TVR byte 3 bit 3: online CVM captured [Book 3, 10.5.2]",
        "CVM results 020300: PIN enciphered online, if the terminal supports it: result unknown [Book 4, 6.3.4.5]",
        "TVR byte 4 bit 8: transaction exceeds floor limit [Book 3, 10.6.1]",
        "no bit of the TVR is in the action codes for denial [Book 3, 10.7]",
        "the card is asked for an ARQC [Book 3, 10.7]",
        "the card gives an ARQC [Book 3, 10.8]",
        "the issuer approves [Book 3, 10.9]",
        "approved: approved online (Book 3, 10.11) []",
    ];
    for line in expected {
        assert!(said.iter().any(|one| one == line), "{line} is missing in {said:#?}");
    }
    // Each bit of the results was noted, each one time.
    let bits = |finding: &&Finding| matches!(finding, Finding::Tvr { .. } | Finding::Tsi { .. });
    let set = outcome.tvr.iter().chain(&outcome.tsi).map(|byte| byte.count_ones()).sum::<u32>();
    assert_eq!(kernel.findings().iter().filter(bits).count(), usize::try_from(set).unwrap());
    assert!(run(&mut Personalisation::default().card(), ALL_WELL).0.findings().is_empty());
}
