//! Which application, what it is called, which language; and cards that are not to be trusted.

use super::*;

/// Up to the first thing that is not a command.
fn run_to_choice(card: &mut Card, config: Arc<Config>) -> Kernel {
    let mut kernel = Kernel::new(config, transaction());
    let mut response;
    let mut action = kernel.start();
    while let Action::Transmit(command) = action {
        response = card.answer(command);
        action = kernel.step(Event::Response(&response));
    }
    kernel
}

fn config_of(terminal: &str) -> Arc<Config> {
    Arc::new(Config::from_toml_parts(terminal, AIDS, &[&capk_toml()]).unwrap())
}

const AID: &str = "A000000333010101";

/// The card's application says this of itself.
fn with_information(objects: &[u8]) -> Card {
    let mut card = Personalisation::default().card();
    let information = [tlv("84", &bytes(AID)), tlv("A5", objects)].concat();
    card.set("00A4040008 A000000333010101 00", &ok(&tlv("6F", &information)));
    card
}

#[test]
fn book_1_clause_12_4_the_preferred_name_is_shown_if_its_code_table_is_there() {
    let objects = |table: u8| {
        [tlv("50", b"DEBIT"), tlv("9F38", &bytes("9F1A02")), tlv("9F11", &[table]), tlv("9F12", b"D\xE9bit")]
            .concat()
    };
    let label = |table, terminal: &str| {
        let kernel = run_to_choice(&mut with_information(&objects(table)), config_of(terminal));
        kernel.label().to_owned()
    };
    assert_eq!(label(1, TERMINAL), "Débit");
    assert_eq!(label(5, TERMINAL), "DEBIT");
    let without_tables = TERMINAL.replace("60 00 B0 F0 01", "60 00 B0 F0 00");
    assert_eq!(label(1, &without_tables), "DEBIT");
    let another = TERMINAL.replace("60 00 B0 F0 01", "60 00 B0 F0 11");
    let refused = Config::from_toml_parts(&another, AIDS, &[]).unwrap_err().to_string();
    assert!(refused.contains("8859-1"), "{refused}");
}

#[test]
fn book_4_clause_11_1_the_card_s_first_language_that_the_terminal_has_is_spoken() {
    let terminal = |languages: &str| TERMINAL.replace("languages = []", &format!("languages = {languages}"));
    let spoken = |preference: &[u8], languages: &str| {
        let objects = [tlv("9F38", &bytes("9F1A02")), tlv("5F2D", preference)].concat();
        let kernel = run_to_choice(&mut with_information(&objects), config_of(&terminal(languages)));
        kernel.language().map(str::to_owned)
    };
    assert_eq!(spoken(b"frEnzh", r#"["zh", "en"]"#).unwrap(), "en");
    assert_eq!(spoken(b"frde", r#"["zh", "en"]"#).unwrap(), "zh", "the terminal's own");
    assert_eq!(spoken(b"enz", "[]"), None);

    let mut card = Personalisation::default().card();
    let directory = [tlv("88", &[1]), tlv("5F2D", b"en")].concat();
    let directory = [tlv("84", b"1PAY.SYS.DDF01"), tlv("A5", &directory)].concat();
    card.set("00A404000E", &ok(&tlv("6F", &directory)));
    let kernel = run_to_choice(&mut card, config_of(&terminal(r#"["zh", "en"]"#)));
    assert_eq!(kernel.language(), Some("en"), "the directory's, where the application has none");
    let refused = Config::from_toml_parts(&terminal(r#"["eng"]"#), AIDS, &[]).unwrap_err().to_string();
    assert!(refused.contains("639"), "{refused}");
}

#[test]
fn book_1_clause_12_3_a_blocked_application_is_not_used_and_no_way_leads_round_it() {
    let information = tlv("6F", &[tlv("84", &bytes(AID)), tlv("A5", &tlv("50", b"Debit"))].concat());
    let blocked = [information, vec![0x62, 0x83]].concat();
    for with_directory in [true, false] {
        let mut card = Personalisation::default().card();
        card.set("00A4040008 A000000333010101", &blocked);
        if !with_directory {
            card.set("00A404000E", &bytes("6A82"));
        }
        let (_, outcome) = run(&mut card, ALL_WELL);
        assert_eq!(
            (outcome.reason, outcome.fallback),
            (Reason::ApplicationBlocked, false),
            "{with_directory}"
        );
    }
}

#[test]
fn book_4_clause_6_3_7_a_service_that_is_not_allowed_ends_the_transaction() {
    let mut card = Personalisation::default().card();
    card.set("80AE8000", &ok(&tlv("80", &bytes("01 0021 1122334455667788"))));
    let (_, outcome) = run(&mut card, ALL_WELL);
    assert_eq!((outcome.decision, outcome.reason), (Decision::Terminated, Reason::ServiceNotAllowed));
}

/// HMAC-SHA-256 under 32 bytes of 00: `printf 6228480000001232 | openssl dgst -sha256 -mac HMAC -macopt hexkey:00…`, and of
/// `6228480000001232-01`.
const CODES: [&str; 2] = [
    "3f56978646918181478fb2b8922e046afdc65b367957035c5af2163fc8bc1230",
    "7ae20008ef723f790c98e64db41bda44f1c608488a421a81590d78de8c9ead0a",
];

#[test]
fn book_4_clause_6_3_5_a_card_in_the_exception_file_shows_in_the_results() {
    let listed = |code: &str, aip: &'static str| {
        let file = format!("key = \"{}\"\ncards = [\"{code}\", \"{}\"]", "00".repeat(32), "7F".repeat(32));
        let config = Config::clone(&config_with(|toml| toml)).with_exceptions(&file).unwrap();
        let mut kernel = Kernel::new(Arc::new(config), transaction());
        let (outcome, _) = run_until_end(&mut kernel, &mut with(|card| card.aip = aip), ALL_WELL).unwrap();
        outcome.tvr[0] & 0x10 != 0
    };
    for code in CODES {
        assert!(listed(code, "3C00"), "{code}");
        assert!(listed(code, "3400"), "{code}: also where the card asks for no risk management");
    }
    assert!(!listed(&"11".repeat(32), "3C00"));
    let wrong = Config::clone(&config_with(|toml| toml)).with_exceptions("cards = []").unwrap_err();
    assert!(wrong.to_string().contains("key"), "{wrong}");
}

fn entry(aid: &str, label: &[u8], priority: u8) -> Vec<u8> {
    tlv("61", &[tlv("4F", &bytes(aid)), tlv("50", label), tlv("87", &[priority])].concat())
}

/// What is offered to the cardholder of a card whose directory has these applications.
fn offered(entries: &[Vec<u8>], config: Arc<Config>) -> (Kernel, Vec<String>) {
    let mut card = Personalisation::default().card();
    card.set("00B2010C00", &ok(&tlv("70", &entries.concat())));
    let mut kernel = Kernel::new(config, transaction());
    let mut response;
    let mut action = kernel.start();
    let labels = loop {
        action = match action {
            Action::Transmit(command) => {
                response = card.answer(command);
                kernel.step(Event::Response(&response))
            }
            Action::ChooseApplication(candidates) => {
                break candidates.iter().map(|one| one.label.as_str().to_owned()).collect();
            }
            _ => break Vec::new(),
        };
    };
    (kernel, labels)
}

#[test]
fn book_1_clause_12_4_a_single_application_may_want_to_be_confirmed() {
    let confirmed = [entry(AID, b"Debit", 0x81)];
    let (mut kernel, labels) = offered(&confirmed, config_of(TERMINAL));
    assert_eq!(labels, ["Debit"]);
    assert!(matches!(kernel.step(Event::Cancelled), Action::Complete(o) if o.reason == Reason::Cancelled));
    let (kernel, labels) = offered(&[entry(AID, b"Debit", 0x01)], config_of(TERMINAL));
    assert!(labels.is_empty() && kernel.masked_pan().is_some(), "nobody is asked");
}

#[test]
fn book_1_clause_12_4_a_terminal_without_a_choice_takes_the_first_that_needs_no_confirmation() {
    let terminal = TERMINAL.replace("cardholder_choice = true", "cardholder_choice = false");
    let entries = [
        entry("A000000333010103", b"Without priority", 0),
        entry(AID, b"Debit", 0x02),
        entry("A000000333010102", b"To be confirmed", 0x81),
    ];
    let (kernel, labels) = offered(&entries, config_of(&terminal));
    assert!(labels.is_empty());
    assert_eq!(kernel.label(), "UnionPay Debit", "as the application calls itself");
    let (_, labels) = offered(&entries, config_of(TERMINAL));
    assert_eq!(labels, ["To be confirmed", "Debit", "Without priority"]);
}

#[test]
fn book_1_clause_12_4_what_fails_to_be_selected_is_not_offered_again() {
    // The card has no such application, whatever its directory says.
    let entries = [entry("A000000333010102", b"Credit", 1), entry(AID, b"Debit", 2)];
    let (mut kernel, labels) = offered(&entries, config_of(TERMINAL));
    assert_eq!(labels, ["Credit", "Debit"]);
    assert!(matches!(kernel.step(Event::Chosen(0)), Action::Transmit(_)));
    let Action::Transmit(command) = kernel.step(Event::Response(&[0x6A, 0x82])) else {
        panic!("the other one")
    };
    assert_eq!(command, bytes("00A4040008 A000000333010101 00"));
}

#[test]
fn book_1_clause_12_3_3_a_partial_name_finds_each_application_that_begins_so() {
    let information =
        |aid: &str| ok(&tlv("6F", &[tlv("84", &bytes(aid)), tlv("A5", &tlv("50", b"Visa"))].concat()));
    let names = ["A000000003101001", "A000000003101002"];
    let mut card = Card::default();
    card.set("00A4040007 A0000000031010", &information(names[0]));
    card.set("00A4040207 A0000000031010", &information(names[1]));
    // The card answers the second time with the same as ever: what is known is not taken twice, and there is an end of it.
    let listed = |config: Arc<Config>, card: &mut Card| {
        let mut kernel = Kernel::new(config, transaction());
        let mut response;
        let mut action = kernel.start();
        loop {
            action = match action {
                Action::Transmit(command) => {
                    response = card.answer(command);
                    kernel.step(Event::Response(&response))
                }
                Action::ChooseApplication(candidates) => {
                    return candidates.iter().map(|one| hex::encode_upper(&*one.aid)).collect::<Vec<_>>();
                }
                _ => return Vec::new(),
            };
        }
    };
    assert_eq!(listed(config_of(TERMINAL), &mut card), names);
    let exactly = AIDS.replace("partial = true", "partial = false");
    let config = Config::from_toml_parts(TERMINAL, &exactly, &[]).unwrap();
    assert!(listed(Arc::new(config), &mut card).is_empty(), "only whole names fit");
}

#[test]
fn a_card_that_asks_whether_the_terminal_takes_electronic_cash_is_told_that_it_does_not() {
    // PBOC 3.0 part 13: 9F7A, the EC terminal support indicator, is 1 where it does.
    let objects = [tlv("50", b"Debit"), tlv("9F38", &bytes("9F7A01 9F0206"))].concat();
    let mut card = with_information(&objects);
    run_to_choice(&mut card, config_of(TERMINAL));
    let asked = card.log.iter().find(|command| command[1] == 0xA8).unwrap();
    assert_eq!(*asked, bytes("80A80000 09 8307 00 000000001234 00"));
}
