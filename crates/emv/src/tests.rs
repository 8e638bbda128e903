//! Whole transactions with a scripted card.

mod card;
mod clauses;
mod combined;
mod heap;
mod identify;
mod mutations;
mod offline_pin;
mod requirements;
mod selection;

use std::sync::Arc;

use card::{Card, Personalisation, bytes, capk_toml, ok, tlv};
use tlv::tags;

use crate::*;

const TERMINAL: &str = include_str!("../../../config/emv/terminal.toml");
const AIDS: &str = include_str!("../../../config/emv/aids.toml");
const NO_CAPKS: &str = include_str!("../../../config/emv/capks.toml");

/// A transaction with more steps than this does not end.
const MAX_STEPS: usize = 1000;

/// A terminal that can also decide offline, since there is more to test about one.
pub(crate) fn config_with(change: impl Fn(String) -> String) -> Arc<Config> {
    let applications = change(AIDS.to_owned());
    let terminal = terminal_with("E0 68 C8");
    Arc::new(Config::from_toml_parts(&terminal, &applications, &[NO_CAPKS, &capk_toml()]).unwrap())
}

/// That terminal, with these capabilities.
fn terminal_with(capabilities: &str) -> String {
    let terminal = TERMINAL.replace(r#"terminal_type = "21""#, r#"terminal_type = "22""#);
    terminal.replace(r#"capabilities = "E0 F8 C8""#, &format!(r#"capabilities = "{capabilities}""#))
}

fn transaction() -> Transaction {
    Transaction {
        flow: Flow::Full,
        kind: 0x00,
        amount: 1234,
        other: 0,
        currency: 156,
        currency_exponent: 2,
        date: [0x26, 0x06, 0x01],
        time: [0x12, 0x00, 0x00],
        unpredictable_number: [1, 2, 3, 4],
        random_percent: 50,
        sequence: 7,
        online_only: false,
        force_online: false,
    }
}

const APPROVED: HostAnswer<'static> =
    HostAnswer { approved: true, arc: *b"00", authorisation_code: Some(*b"123456"), field_55: &[] };

/// What the world around the kernel does.
#[derive(Clone, Copy)]
struct World<'a> {
    pin: PinResult,
    host: Option<HostAnswer<'a>>,
    /// The card is pulled before this step.
    pulled_at: usize,
}

const ALL_WELL: World<'static> =
    World { pin: PinResult::Entered, host: Some(APPROVED), pulled_at: usize::MAX };

/// Runs to the end; `None` if it does not end.
fn run_until_end(kernel: &mut Kernel, card: &mut Card, world: World<'_>) -> Option<(Outcome, usize)> {
    run_against(kernel, |command| card.answer(command), world)
}

/// The same with any card.
fn run_against(
    kernel: &mut Kernel,
    mut card: impl FnMut(&[u8]) -> Vec<u8>,
    world: World<'_>,
) -> Option<(Outcome, usize)> {
    let mut response;
    let mut action = kernel.start();
    for step in 0..MAX_STEPS {
        let event = match action {
            Action::Complete(outcome) => return Some((outcome.clone(), step)),
            _ if step == world.pulled_at => Event::CardRemoved,
            Action::Transmit(command) => {
                response = card(command);
                Event::Response(&response)
            }
            Action::ChooseApplication(_) => Event::Chosen(0),
            Action::EnterOnlinePin => Event::Pin(world.pin),
            Action::VerifyOfflinePin(_) => Event::PinPresented(0x9000),
            Action::GoOnline => world.host.map_or(Event::HostUnreachable, Event::Host),
        };
        action = kernel.step(event);
    }
    None
}

fn run(card: &mut Card, world: World<'_>) -> (Kernel, Outcome) {
    let mut kernel = Kernel::new(config_with(|toml| toml), transaction());
    let (outcome, _) = run_until_end(&mut kernel, card, world).unwrap();
    (kernel, outcome)
}

fn with(change: impl Fn(&mut Personalisation)) -> Card {
    let mut personalisation = Personalisation::default();
    change(&mut personalisation);
    personalisation.card()
}

#[test]
fn a_sale_is_approved_online_command_by_command() {
    let mut card = Personalisation::default().card();
    let field_55 = tlv("91", &bytes("A1A2A3A4A5A6A7A83030"));
    let host = HostAnswer { field_55: &field_55, ..APPROVED };
    let (kernel, outcome) = run(&mut card, World { host: Some(host), ..ALL_WELL });
    assert_eq!((outcome.decision, outcome.reason), (Decision::Approved, Reason::ApprovedOnline));
    assert_eq!(outcome.cvm, Cvm::OnlinePin);
    // Online PIN entered, floor limit reached; all functions performed.
    assert_eq!((outcome.tvr, outcome.tsi), ([0, 0, 0x04, 0x80, 0], [0xF8, 0]));
    assert_eq!(kernel.masked_pan().unwrap(), "622848******1232");
    assert_eq!(
        (kernel.psn(), kernel.expiry(), kernel.label()),
        (Some(1), Some([0x30, 0x12, 0x31]), "UnionPay Debit")
    );
    let expected = [
        "00A404000E315041592E5359532E444446303100",
        "00B2010C00",
        "00B2020C00",
        "00A4040008A00000033301010100",
        "80A80000048302015600",
        "00B2011C00",
        "00B2011400",
        "00B2021400",
        "00B2031400",
        "00B2041400",
        "00880000040102030400",
        "80AE80001D 000000001234 000000000000 0156 0000048000 0156 260601 00 01020304 00",
        "008200000A A1A2A3A4A5A6A7A83030",
        "80AE400007 3030 0000048000 00",
    ];
    assert_eq!(card.log, expected.map(bytes));
}

#[test]
fn a_card_that_hands_out_its_responses_by_get_response_is_the_same_card() {
    let mut card = Personalisation::default().card();
    card.by_get_response = true;
    let (kernel, outcome) = run(&mut card, ALL_WELL);
    let (other, expected) = run(&mut Personalisation::default().card(), ALL_WELL);
    assert_eq!(outcome, expected);
    assert_eq!(kernel.field_55(FIELD_55), other.field_55(FIELD_55));
}

#[test]
fn field_55_holds_what_the_acquirer_wants_and_nothing_sensitive() {
    let mut card = Personalisation::default().card();
    let (kernel, _) = run(&mut card, ALL_WELL);
    let field_55 = kernel.field_55(FIELD_55).unwrap();
    assert_eq!(tlv::find(&field_55, tags::CVM_RESULTS), Ok(Some(&[0x02, 0x03, 0x00][..])));
    assert_eq!(tlv::find(&field_55, tags::SEQUENCE_COUNTER), Ok(Some(&[0, 0, 0, 7][..])));
    assert!(!field_55.windows(8).any(|window| window == bytes("6228480000001232")));
    assert_eq!(kernel.field_55(&[tags::TRACK_2]), Err(Field55Error::Sensitive(tags::TRACK_2)));
    assert!(!format!("{kernel:?} {:?} {:?}", kernel.pan(), kernel.track2()).contains("622848"));
}

#[test]
fn without_a_directory_the_terminal_asks_for_each_of_its_applications() {
    let mut card = Personalisation::default().card();
    card.set("00A404000E", &bytes("6A82"));
    let (_, outcome) = run(&mut card, ALL_WELL);
    assert_eq!(outcome.decision, Decision::Approved);
    let selects = card.log.iter().filter(|command| command[1] == 0xA4).count();
    assert_eq!(selects, 1 + 5 + 1, "directory, five applications, the chosen one");
}

#[test]
fn a_blocked_card_is_not_asked_further() {
    let mut card = Personalisation::default().card();
    card.set("00A404000E", &bytes("6A81"));
    let (_, outcome) = run(&mut card, ALL_WELL);
    assert_eq!((outcome.reason, outcome.fallback, card.log.len()), (Reason::CardBlocked, false, 1));
}

#[test]
fn a_card_without_our_applications_may_fall_back_to_the_stripe() {
    let mut card = Card::default();
    let (_, outcome) = run(&mut card, ALL_WELL);
    assert_eq!((outcome.reason, outcome.fallback), (Reason::NoCommonApplication, true));
}

#[test]
fn an_application_that_refuses_its_options_is_dropped_from_the_list() {
    let mut card = Personalisation::default().card();
    card.set("80A8", &bytes("6985"));
    let (_, outcome) = run(&mut card, ALL_WELL);
    assert_eq!(outcome.reason, Reason::NoCommonApplication);
}

#[test]
fn several_applications_are_offered_in_the_order_of_their_priority() {
    let mut card = Personalisation::default().card();
    let entry = |aid: &str, label: &[u8], priority| {
        tlv("61", &[tlv("4F", &bytes(aid)), tlv("50", label), tlv("87", &[priority])].concat())
    };
    let entries =
        [entry("A000000333010102", b"Credit", 2), entry("A000000333010101", b"Debit", 0x81)].concat();
    card.set("00B2010C00", &ok(&tlv("70", &entries)));
    let mut kernel = Kernel::new(config_with(|toml| toml), transaction());
    let mut response = Vec::new();
    let mut action = kernel.start();
    while let Action::Transmit(command) = action {
        response.clone_from(&card.answer(command));
        action = kernel.step(Event::Response(&response));
    }
    let Action::ChooseApplication(candidates) = action else { panic!("{action:?}") };
    let shown: Vec<_> = candidates.iter().map(|one| (one.label.as_str(), one.confirmation)).collect();
    assert_eq!(shown, [("Debit", true), ("Credit", false)]);
    assert!(
        matches!(kernel.step(Event::Chosen(2)), Action::Complete(o) if o.reason == Reason::UnexpectedEvent)
    );
}

#[test]
fn sda_is_chosen_if_the_card_has_no_dda() {
    let mut card = with(|card| card.aip = "5C00");
    let (kernel, outcome) = run(&mut card, ALL_WELL);
    assert_eq!(outcome.tvr, [0x02, 0, 0x04, 0x80, 0]);
    assert_eq!(kernel.field_55(&[tags::DATA_AUTHENTICATION_CODE]).unwrap(), bytes("9F4502DAC1"));
}

#[test]
fn a_terminal_that_does_no_cda_authenticates_a_card_that_does_by_dda() {
    let terminal = terminal_with("E0 68 C0");
    let config = Config::from_toml_parts(&terminal, AIDS, &[&capk_toml()]).unwrap();
    let mut card = with(|card| card.aip = "3D00");
    let (outcome, _) =
        run_until_end(&mut Kernel::new(Arc::new(config), transaction()), &mut card, ALL_WELL).unwrap();
    assert_eq!((outcome.tvr[0], outcome.decision), (0, Decision::Approved));
    assert!(card.log.contains(&bytes("00880000040102030400")));
}

#[test]
fn an_issuer_certificate_that_was_revoked_counts_no_more() {
    let revoked = |rid: &str, index: &str, serial: &str| {
        let list = format!("[[revoked]]\nrid = \"{rid}\"\nindex = \"{index}\"\nserial = \"{serial}\"\n");
        let config = Config::from_toml_parts(TERMINAL, AIDS, &[&capk_toml(), &list]).unwrap();
        let mut kernel = Kernel::new(Arc::new(config), transaction());
        run_until_end(&mut kernel, &mut Personalisation::default().card(), ALL_WELL).unwrap().0.tvr[0]
    };
    assert_eq!(revoked("A000000333", "F0", "000001"), 0x08);
    for (rid, index, serial) in
        [("A000000003", "F0", "000001"), ("A000000333", "F1", "000001"), ("A000000333", "F0", "000003")]
    {
        assert_eq!(revoked(rid, index, serial), 0, "{rid} {index} {serial}");
    }
}

#[test]
fn a_changed_record_fails_data_authentication() {
    for (aip, expected) in [("3C00", 0x08), ("5C00", 0x42)] {
        let mut card = with(|card| card.aip = aip);
        let mut changed = card.answer(&bytes("00B2011C00"));
        let position = changed.windows(3).position(|window| window == [0x30, 0x12, 0x31]).unwrap();
        changed[position] = 0x31;
        card.set("00B2011C00", &changed);
        let (_, outcome) = run(&mut card, ALL_WELL);
        assert_eq!(outcome.tvr[0], expected, "{aip}");
    }
}

#[test]
fn a_missing_certificate_and_an_unknown_ca_key_fail_differently() {
    let mut card = Personalisation::default().card();
    card.set("00B2021400", &ok(&tlv("70", &[])));
    assert_eq!(run(&mut card, ALL_WELL).1.tvr[0], 0x28);

    let mut kernel =
        Kernel::new(Arc::new(Config::from_toml_parts(TERMINAL, AIDS, &[]).unwrap()), transaction());
    let mut card = Personalisation::default().card();
    let (outcome, _) = run_until_end(&mut kernel, &mut card, ALL_WELL).unwrap();
    assert_eq!(outcome.tvr[0], 0x08);
    assert!(!card.log.iter().any(|command| command[1] == 0x88), "no key, so no signature is asked for");
}

#[test]
fn processing_restrictions_show_in_the_results() {
    let mut card = with(|card| {
        card.expiry = "260531";
        card.more = [tlv("5F25", &bytes("260602"))].concat();
    });
    card.set("00B2041400", &ok(&tlv("70", &tlv("9F63", &[1]))));
    let (_, outcome) = run(&mut card, ALL_WELL);
    assert_eq!(outcome.tvr[1], 0x60, "expired and not yet effective");
}

#[test]
fn the_cvm_list_is_worked_through_as_annex_c3_says() {
    let entered = PinResult::Entered;
    let bypassed = PinResult::Bypassed;
    let cases = [
        // List, PIN, outcome, CVM results, TVR byte 3.
        ("00000000 00000000 0203", entered, Cvm::OnlinePin, "020300", 0x04),
        ("00000000 00000000 4203 1E03", bypassed, Cvm::Signature, "1E0300", 0x08),
        ("00000000 00000000 0203 1E03", bypassed, Cvm::Failed, "020301", 0x88),
        ("00000000 00000000 4203 4203 1F00", bypassed, Cvm::NotRequired, "1F0002", 0x08),
        ("00000000 00000000 4203 1F00", PinResult::PinPadBroken, Cvm::NotRequired, "1F0002", 0x10),
        ("00000000 00000000 4100 1F00", entered, Cvm::NotRequired, "1F0002", 0x10),
        ("00000000 00000000 4103 1F00", entered, Cvm::NotRequired, "1F0002", 0x00),
        ("00000000 00000000 0000", entered, Cvm::Failed, "000001", 0x80),
        ("00000000 00000000 2A00 1F00", entered, Cvm::Failed, "3F0001", 0xC0),
        ("00000000 00000000 6A00 1F00", entered, Cvm::NotRequired, "1F0002", 0x40),
        ("00000000 00000000 0204", entered, Cvm::Failed, "3F0001", 0x80),
        // 1235 and 1233 minor units; the application currency is absent, so neither amount condition holds.
        ("000004D3 000004D1 1F06 1F09 1E03", entered, Cvm::Signature, "1E0300", 0x00),
        ("00000000 00000000", entered, Cvm::None, "3F0000", 0x00),
    ];
    for (cvm_list, pin, cvm, results, tvr) in cases {
        let (kernel, outcome) = run(&mut with(|card| card.cvm_list = cvm_list), World { pin, ..ALL_WELL });
        assert_eq!((outcome.cvm, outcome.tvr[2]), (cvm, tvr), "{cvm_list} {pin:?}");
        assert_eq!(kernel.field_55(&[tags::CVM_RESULTS]).unwrap()[3..], bytes(results), "{cvm_list} {pin:?}");
    }
}

#[test]
fn amount_conditions_hold_in_the_currency_of_the_application() {
    let cases =
        [("000004D3 00000000 1F06 1E03", Cvm::NotRequired), ("000004D2 00000000 1F06 1E03", Cvm::Signature)];
    for (cvm_list, cvm) in cases {
        let mut card = with(|card| (card.cvm_list, card.more) = (cvm_list, tlv("9F42", &bytes("0156"))));
        assert_eq!(run(&mut card, ALL_WELL).1.cvm, cvm, "{cvm_list}");
    }
}

#[test]
fn a_card_that_has_not_been_online_exceeds_its_limits() {
    let limits = [tlv("9F14", &[2]), tlv("9F23", &[4])].concat();
    for (last, tvr) in
        [("001E", [0x00, 0xC0]), ("0020", [0x00, 0x80]), ("001C", [0x00, 0xE0]), ("0000", [0x08, 0xE0])]
    {
        let mut card = with(|card| card.more.clone_from(&limits));
        card.set("80CA9F36", &ok(&tlv("9F36", &bytes("0021"))));
        card.set("80CA9F13", &ok(&tlv("9F13", &bytes(last))));
        let (_, outcome) = run(&mut card, ALL_WELL);
        assert_eq!([outcome.tvr[1], outcome.tvr[3]], tvr, "{last}");
    }
}

#[test]
fn action_codes_deny_approve_offline_or_go_online() {
    let below_floor = |toml: String| toml.replace("floor_limit = 0", "floor_limit = 5000");
    let offline = |tc: &'static str, cvm_list: &'static str, config: Arc<Config>| {
        let mut card = with(|card| (card.first_ac, card.cvm_list) = (tc, cvm_list));
        card.set("80AE", &ok(&tlv("80", &bytes(tc))));
        run_until_end(&mut Kernel::new(config, transaction()), &mut card, ALL_WELL).unwrap().0
    };
    let tc = "40 0021 1122334455667788";
    let no_cvm = "00000000 00000000 1F00";
    let approved = offline(tc, no_cvm, config_with(below_floor));
    assert_eq!((approved.reason, approved.arc), (Reason::ApprovedOffline, Some(*b"Y1")));
    // The issuer's denial code has "PIN entry required and PIN pad not present".
    let denied = offline("00 0021 1122334455667788", "00000000 00000000 0100", config_with(below_floor));
    assert_eq!((denied.reason, denied.arc), (Reason::DeclinedByTerminal, Some(*b"Z1")));
    let refused = offline(tc, "00000000 00000000 0100", config_with(below_floor));
    assert_eq!(refused.reason, Reason::CryptogramUnexpected, "an AAC was asked for");
}

#[test]
fn a_host_that_declines_gets_an_aac() {
    let host = HostAnswer { approved: false, arc: *b"51", authorisation_code: None, field_55: &[] };
    let mut card = with(|card| card.second_ac = "00 0021 8877665544332211");
    let (_, outcome) = run(&mut card, World { host: Some(host), ..ALL_WELL });
    assert_eq!((outcome.reason, outcome.must_reverse()), (Reason::DeclinedByIssuer, false));
    assert!(card.log.last().unwrap().starts_with(&bytes("80AE000007 3531")));
}

#[test]
fn a_card_that_declines_what_the_host_approved_is_reversed() {
    let (_, outcome) = run(&mut with(|card| card.second_ac = "00 0021 8877665544332211"), ALL_WELL);
    assert_eq!((outcome.decision, outcome.must_reverse()), (Decision::Declined, true));
}

#[test]
fn an_online_only_terminal_asks_for_the_host_and_declines_without_it() {
    // The card and its action codes would have both approved offline.
    let below_floor = AIDS.replace("floor_limit = 0", "floor_limit = 100000");
    let config = Arc::new(Config::from_toml_parts(TERMINAL, &below_floor, &[&capk_toml()]).unwrap());
    let mut card = with(|card| {
        card.cvm_list = "00000000 00000000 1F00";
        card.second_ac = "00 0021 8877665544332211";
    });
    let mut kernel = Kernel::new(config, transaction());
    let (outcome, _) = run_until_end(&mut kernel, &mut card, World { host: None, ..ALL_WELL }).unwrap();
    assert_eq!((outcome.reason, outcome.arc), (Reason::DeclinedUnableToGoOnline, Some(*b"Z3")));
    let requests: Vec<u8> =
        card.log.iter().filter(|command| command[1] == 0xAE).map(|command| command[2]).collect();
    assert_eq!(requests, [cryptogram::reference_control::ARQC, cryptogram::reference_control::AAC]);
}

#[test]
fn without_a_host_the_default_action_codes_decide() {
    let offline = World { host: None, ..ALL_WELL };
    let (_, declined) = run(&mut with(|card| card.second_ac = "00 0021 8877665544332211"), offline);
    assert_eq!((declined.reason, declined.arc), (Reason::DeclinedUnableToGoOnline, Some(*b"Z3")));
    // Forced online below the floor limit without a PIN: no default bit is set.
    let config = config_with(|toml| {
        toml.replace("floor_limit = 0", "floor_limit = 5000").replace("DC4000F800", "DC40000000")
    });
    let mut kernel = Kernel::new(config, Transaction { force_online: true, ..transaction() });
    let mut card = with(|card| card.cvm_list = "00000000 00000000 1F00");
    let (approved, _) = run_until_end(&mut kernel, &mut card, offline).unwrap();
    assert_eq!((approved.reason, approved.arc), (Reason::ApprovedUnableToGoOnline, Some(*b"Y3")));
}

#[test]
fn a_transaction_that_is_online_only_is_never_approved_offline() {
    let below_floor = |toml: String| {
        toml.replace("floor_limit = 0", "floor_limit = 5000").replace("DC4000F800", "DC40000000")
    };
    let online_only = Transaction { online_only: true, ..transaction() };
    let no_cvm = || with(|card| card.cvm_list = "00000000 00000000 1F00");
    let mut kernel = Kernel::new(config_with(below_floor), online_only);
    let mut card = no_cvm();
    let (declined, _) = run_until_end(&mut kernel, &mut card, World { host: None, ..ALL_WELL }).unwrap();
    assert_eq!(declined.online, Online::Unreachable);
    let requests: Vec<u8> =
        card.log.iter().filter(|command| command[1] == 0xAE).map(|command| command[2]).collect();
    assert_eq!(requests, [cryptogram::reference_control::ARQC, cryptogram::reference_control::AAC]);
}

#[test]
fn a_wrong_issuer_authentication_shows_before_the_second_cryptogram() {
    let mut card = Personalisation::default().card();
    card.set("00820000", &bytes("6300"));
    let field_55 = tlv("91", &bytes("A1A2A3A4A5A6A7A83030"));
    let host = HostAnswer { field_55: &field_55, ..APPROVED };
    run(&mut card, World { host: Some(host), ..ALL_WELL });
    assert_eq!(card.log.last().unwrap(), &bytes("80AE400007 3030 0000048040 00"));
}

#[test]
fn scripts_run_before_and_after_the_second_cryptogram_and_report() {
    let script = |tag, identifier: &str, commands: &[&str]| {
        let mut inner = tlv("9F18", &bytes(identifier));
        commands.iter().for_each(|command| inner.extend(tlv("86", &bytes(command))));
        tlv(tag, &inner)
    };
    let field_55 = [
        script("71", "00000001", &["84DA000001", "841E000002"]),
        script("72", "00000002", &["8424000003", "8424000004", "8424000005"]),
    ]
    .concat();
    let mut card = Personalisation::default().card();
    for (command, status) in
        [("84DA", "9000"), ("841E", "6283"), ("8424000003", "9000"), ("8424000004", "6985")]
    {
        card.set(command, &bytes(status));
    }
    let (_, outcome) =
        run(&mut card, World { host: Some(HostAnswer { field_55: &field_55, ..APPROVED }), ..ALL_WELL });
    assert_eq!(outcome.decision, Decision::Approved);
    assert_eq!(outcome.script_results, [[0x20, 0, 0, 0, 1], [0x12, 0, 0, 0, 2]]);
    assert_eq!((outcome.tvr[4], outcome.tsi[0] & 0x04), (0x10, 0x04));
    assert!(!card.log.contains(&bytes("8424000005")), "a failed command ends its script");
    let second_ac = card.log.iter().position(|command| command.starts_with(&bytes("80AE40"))).unwrap();
    let script_72 = card.log.iter().position(|command| command.starts_with(&bytes("8424"))).unwrap();
    assert!(second_ac < script_72);
}

#[test]
fn an_object_that_is_longer_than_its_element_ends_the_transaction() {
    let mut card = with(|card| card.more = tlv("9F63", &[0; 100]));
    let reason = Reason::DataMalformed(tags::unionpay::PRODUCT_IDENTIFICATION);
    assert_eq!(run(&mut card, ALL_WELL).1.reason, reason);

    let mut card = Personalisation::default().card();
    let parts = [tlv("9F27", &[0x80]), tlv("9F36", &[0, 1]), tlv("9F26", &[0; 8]), tlv("9F10", &[0; 33])];
    card.set("80AE8000", &ok(&tlv("77", &parts.concat())));
    assert_eq!(run(&mut card, ALL_WELL).1.reason, Reason::ResponseMalformed { ins: 0xAE });
}

#[test]
fn missing_malformed_and_repeated_objects_end_the_transaction() {
    let mut card = with(|card| card.more = tlv("5A", &bytes("6228480000001232")));
    assert_eq!(run(&mut card, ALL_WELL).1.reason, Reason::DataTwice(tags::PAN));
    assert_eq!(
        run(&mut with(|card| card.expiry = "30A231"), ALL_WELL).1.reason,
        Reason::DataMalformed(tags::EXPIRATION_DATE)
    );
    let mut card = Personalisation::default().card();
    card.set("00B2011400", &ok(&tlv("70", &tlv("9F08", &[0, 0x30]))));
    assert_eq!(run(&mut card, ALL_WELL).1.reason, Reason::DataMissing(tags::CDOL1));
}

#[test]
fn a_card_pulled_at_any_step_ends_with_that_reason_and_never_with_an_approval() {
    let mut kernel = Kernel::new(config_with(|toml| toml), transaction());
    let mut card = Personalisation::default().card();
    let (_, steps) = run_until_end(&mut kernel, &mut card, ALL_WELL).unwrap();
    for pulled_at in 0..steps {
        let mut card = Personalisation::default().card();
        let (mut kernel, outcome) = run(&mut card, World { pulled_at, ..ALL_WELL });
        assert_eq!(
            (outcome.decision, outcome.reason),
            (Decision::Terminated, Reason::CardRemoved),
            "step {pulled_at}"
        );
        assert_eq!(outcome.must_reverse(), outcome.online == Online::Approved);
        assert!(matches!(kernel.step(Event::Cancelled), Action::Complete(again) if *again == outcome));
    }
}

#[test]
fn a_card_pulled_during_the_last_script_stays_approved() {
    let field_55 = tlv("72", &tlv("86", &bytes("8424000003")));
    let world = World { host: Some(HostAnswer { field_55: &field_55, ..APPROVED }), ..ALL_WELL };
    let mut kernel = Kernel::new(config_with(|toml| toml), transaction());
    let (_, steps) = run_until_end(&mut kernel, &mut Personalisation::default().card(), world).unwrap();
    let (_, outcome) = run(&mut Personalisation::default().card(), World { pulled_at: steps - 1, ..world });
    assert_eq!(outcome.reason, Reason::ApprovedOnline);
}

#[test]
fn a_transaction_out_of_range_is_refused_before_the_card_is_asked() {
    for bad in [
        Transaction { amount: 1_000_000_000_000, ..transaction() },
        Transaction { other: 1235, ..transaction() },
        Transaction { currency: 1000, ..transaction() },
        Transaction { random_percent: 0, ..transaction() },
    ] {
        let mut kernel = Kernel::new(config_with(|toml| toml), bad);
        assert!(matches!(kernel.start(), Action::Complete(o) if o.reason == Reason::TransactionInvalid));
    }
}

#[test]
fn a_configuration_that_promises_too_much_is_refused() {
    let refused = |terminal: &str, capks: &str| {
        Config::from_toml_parts(terminal, AIDS, &[capks]).unwrap_err().to_string()
    };
    assert!(refused(&TERMINAL.replace("cda_mode = 1", "cda_mode = 5"), "").contains("cda_mode"));
    assert!(refused(TERMINAL, &capk_toml().replace("2030-12-31", "2030-12")).contains("expiry"));
    assert!(refused(TERMINAL, &capk_toml().replace("A000000333", "A000000003")).contains("check sum"));
    assert!(refused(&format!("surprise = 1\n{TERMINAL}"), "").contains("surprise"));
}
