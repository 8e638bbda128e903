//! What single clauses ask of the terminal where a card or a configuration is not as it should be.

use super::*;

const NO_CVM: &str = "00000000 00000000 1F00";

/// A terminal of this type that has no floor limit to exceed.
fn of_type(kind: &str) -> Arc<Config> {
    let terminal = terminal_with("E0 68 C8").replace(r#"type = "22""#, &format!(r#"type = "{kind}""#));
    let applications =
        AIDS.replace("floor_limit = 0", "floor_limit = 5000").replace("DC4000F800", "DC40000000");
    Arc::new(Config::from_toml_parts(&terminal, &applications, &[&capk_toml()]).unwrap())
}

fn run_with(
    config: Arc<Config>,
    transaction: Transaction,
    card: &mut Card,
    world: World<'_>,
) -> (Kernel, Outcome) {
    let mut kernel = Kernel::new(config, transaction);
    let (outcome, _) = run_until_end(&mut kernel, card, world).unwrap();
    (kernel, outcome)
}

/// P1 of each GENERATE AC.
fn requests(card: &Card) -> Vec<u8> {
    card.log.iter().filter(|command| command[1] == 0xAE).map(|command| command[2]).collect()
}

fn without_cvm(first_ac: &'static str) -> Card {
    let mut card = with(|card| card.cvm_list = NO_CVM);
    card.set("80AE", &ok(&tlv("80", &bytes(first_ac))));
    card
}

#[test]
fn book_3_clause_10_7_an_offline_only_terminal_declines_what_the_issuer_alone_may_approve() {
    let online_only = Transaction { online_only: true, ..transaction() };
    let mut card = without_cvm("00 0021 1122334455667788");
    let (_, outcome) = run_with(of_type("23"), online_only, &mut card, ALL_WELL);
    assert_eq!((requests(&card), outcome.reason), (vec![0x00], Reason::DeclinedByTerminal));
}

#[test]
fn book_3_clause_10_8_an_arqc_to_an_offline_only_terminal_is_as_unable_to_go_online() {
    let mut card = without_cvm("40 0021 1122334455667788");
    card.answers.insert(0, (bytes("80AE40001D"), ok(&tlv("80", &bytes("80 0021 1122334455667788")))));
    let (_, outcome) = run_with(of_type("23"), transaction(), &mut card, ALL_WELL);
    assert_eq!(requests(&card), [0x40, 0x40]);
    assert_eq!((outcome.reason, outcome.arc), (Reason::ApprovedUnableToGoOnline, Some(*b"Y3")));
    assert_eq!(outcome.online, Online::Unreachable, "the host was not asked");
}

#[test]
fn book_3_clause_10_11_a_card_that_declines_what_was_approved_without_the_host_is_z3() {
    let mut card = without_cvm("00 0021 1122334455667788");
    card.answers.insert(0, (bytes("80AE8000"), ok(&tlv("80", &bytes("80 0021 1122334455667788")))));
    let forced = Transaction { force_online: true, ..transaction() };
    let (_, outcome) = run_with(of_type("22"), forced, &mut card, World { host: None, ..ALL_WELL });
    assert_eq!(requests(&card), [0x80, 0x40]);
    assert_eq!((outcome.reason, outcome.arc), (Reason::DeclinedUnableToGoOnline, Some(*b"Z3")));
}

#[test]
fn book_3_clause_7_5_an_object_of_the_card_in_the_wrong_format_ends_the_transaction() {
    for (tag, value) in [
        ("9F42", "01"),
        ("9F14", "0203"),
        ("9F23", "0203"),
        ("5F25", "2606"),
        ("5F25", "261301"),
        ("5F25", "260600"),
        ("5F25", "A60601"),
    ] {
        let mut card = with(|card| card.more = tlv(tag, &bytes(value)));
        let reason = run(&mut card, ALL_WELL).1.reason;
        assert_eq!(reason, Reason::DataMalformed(tag.parse().unwrap()), "{tag} {value}");
    }
    for (tag, value) in
        [("9F0D", "D86004A0"), ("9F0E", "00109800"), ("9F0F", "D86804F8"), ("9F07", "FF"), ("5F28", "56")]
    {
        let mut card = Personalisation::default().card();
        let record = card.answer(&bytes("00B2011C00"));
        card.set("00B2011C00", &with_value(&record, tag, &bytes(value)));
        let reason = run(&mut card, ALL_WELL).1.reason;
        assert_eq!(reason, Reason::DataMalformed(tag.parse().unwrap()), "{tag} {value}");
    }
}

/// A record in whose place another value of this object is.
fn with_value(record: &[u8], tag: &str, value: &[u8]) -> Vec<u8> {
    let (template, _) = tlv::Tlv::parse(record).unwrap();
    let objects = template.children().flatten().map(|object| {
        let known = format!("{}", object.tag);
        tlv(&known, if known == tag { value } else { object.value })
    });
    ok(&tlv("70", &objects.collect::<Vec<_>>().concat()))
}

#[test]
fn book_2_clause_6_5_1_a_ddol_that_asks_for_less_than_the_whole_unpredictable_number_fails_dda() {
    for ddol in ["9F3700", "9F3703", "9F3708", "9A03"] {
        let mut card = with(|card| card.more = tlv("9F49", &bytes(ddol)));
        let (_, outcome) = run(&mut card, ALL_WELL);
        assert_eq!(outcome.tvr[0], 0x08, "{ddol}");
        assert!(!card.log.iter().any(|command| command[1] == 0x88), "{ddol}");
        let ours = AIDS.replace("9F3704", ddol);
        let refused = Config::from_toml_parts(TERMINAL, &ours, &[]).unwrap_err().to_string();
        assert!(refused.contains("9F37"), "{ddol}: {refused}");
    }
}

#[test]
fn book_4_clause_6_3_4_5_fail_ends_the_list_and_what_was_not_performed_leaves_no_results() {
    for (list, results, tvr) in
        [("4000 1F00", "400001", 0x80), ("4203 4100 2A00", "420301", 0xD8), ("4203 6A00", "420301", 0xC8)]
    {
        let cvm_list: &'static str = format!("00000000 00000000 {list}").leak();
        let world = World { pin: PinResult::Bypassed, ..ALL_WELL };
        let (kernel, outcome) = run(&mut with(|card| card.cvm_list = cvm_list), world);
        assert_eq!((outcome.cvm, outcome.tvr[2]), (Cvm::Failed, tvr), "{list}");
        assert_eq!(kernel.field_55(&[tags::CVM_RESULTS]).unwrap()[3..], bytes(results), "{list}");
    }
}

#[test]
fn book_3_clause_10_5_a_cvm_list_without_rules_is_missing() {
    let (_, outcome) = run(&mut with(|card| card.cvm_list = "00000000 00000000"), ALL_WELL);
    // The record is signed: but for this bit all is well.
    assert_eq!((outcome.tvr[0], outcome.cvm), (0x20, Cvm::None));
}

#[test]
fn book_3_clause_10_6_3_the_counter_of_a_record_does_not_stand_in_for_that_of_get_data() {
    let mut card =
        with(|card| card.more = [tlv("9F14", &[2]), tlv("9F23", &[4]), tlv("9F36", &[0, 0x21])].concat());
    card.set("80CA9F36", &bytes("6A88"));
    card.set("80CA9F13", &ok(&tlv("9F13", &bytes("0020"))));
    let (_, outcome) = run(&mut card, ALL_WELL);
    assert_eq!(outcome.tvr[3] & 0x60, 0x60);
}

#[test]
fn book_1_clause_12_3_a_blocked_application_that_does_not_say_its_name_is_blocked() {
    let mut card = Card::default();
    card.set("00A404000E", &bytes("6A82"));
    card.set("00A4040008 A000000333010101", &bytes("6283"));
    let (_, outcome) = run(&mut card, ALL_WELL);
    assert_eq!((outcome.reason, outcome.fallback), (Reason::ApplicationBlocked, false));
}

#[test]
fn book_1_clause_11_3_4_nothing_that_records_have_to_give_is_taken_from_the_answer_to_select() {
    let mut card = Personalisation::default().card();
    let lists =
        [tlv("8C", &bytes("9505")), tlv("8D", &bytes("8A02")), tlv("5F25", &bytes("250101"))].concat();
    let inner = [tlv("50", b"Debit"), tlv("9F38", &bytes("9F1A02")), lists].concat();
    let information = [tlv("84", &bytes("A000000333010101")), tlv("A5", &inner)].concat();
    card.set("00A4040008 A000000333010101 00", &ok(&tlv("6F", &information)));
    card.set("00B2011400", &ok(&tlv("70", &tlv("9F08", &[0, 0x30]))));
    assert_eq!(run(&mut card, ALL_WELL).1.reason, Reason::DataMissing(tags::CDOL1));
}

#[test]
fn book_3_clause_7_2_a_key_whose_remainder_did_not_come_is_missing_data() {
    for (record, tag) in [("00B2021400", "92"), ("00B2031400", "9F48")] {
        let mut card = Personalisation::default().card();
        let whole = card.answer(&bytes(record));
        card.set(record, &with_value(&whole, tag, &[]));
        assert_eq!(run(&mut card, ALL_WELL).1.tvr[0], 0x28, "{tag} is missing");
        card.set(record, &with_value(&whole, tag, &[1; 4]));
        assert_eq!(run(&mut card, ALL_WELL).1.tvr[0], 0x08, "{tag} is wrong");
    }
}

/// Runs with a card whose first cryptogram comes with these objects in template 77.
fn with_first_ac(objects: &[Vec<u8>], more: Vec<u8>) -> (Kernel, Outcome) {
    let mut card = with(|card| card.more.clone_from(&more));
    card.set("80AE8000", &ok(&tlv("77", &objects.concat())));
    card.set("80AE4000", &ok(&tlv("80", &bytes("40 0022 8877665544332211"))));
    run(&mut card, ALL_WELL)
}

#[test]
fn book_3_clause_7_2_a_response_to_generate_ac_has_each_object_once() {
    let plain =
        [tlv("9F27", &[0x80]), tlv("9F36", &[0, 1]), tlv("9F26", &[0xA1; 8]), tlv("9F10", &[0xD1; 7])];
    assert_eq!(with_first_ac(&plain, Vec::new()).1.decision, Decision::Approved);
    for repeated in &plain {
        let objects = [&plain[..], core::slice::from_ref(repeated)].concat();
        let (_, outcome) = with_first_ac(&objects, Vec::new());
        assert_eq!(outcome.reason, Reason::ResponseMalformed { ins: 0xAE }, "{repeated:02X?}");
    }
}

#[test]
fn book_3_clause_6_5_5_4_field_55_has_the_data_that_came_with_the_last_cryptogram() {
    let plain =
        [tlv("9F27", &[0x80]), tlv("9F36", &[0, 1]), tlv("9F26", &[0xA1; 8]), tlv("9F10", &[0xD1; 7])];
    let (kernel, _) = with_first_ac(&plain, Vec::new());
    assert_eq!(kernel.field_55(&[tags::ATC, tags::IAD]).unwrap(), bytes("9F36020022"));
    let empty = [plain[0].clone(), plain[1].clone(), plain[2].clone(), tlv("9F10", &[])];
    let mut card = with(|card| card.more = tlv("9F10", &[0xEE; 7]));
    card.set("80AE8000", &ok(&tlv("77", &empty.concat())));
    let mut kernel = Kernel::new(config_with(|toml| toml), transaction());
    let mut action = kernel.start();
    let mut response;
    while let Action::Transmit(command) = action {
        response = card.answer(command);
        action = kernel.step(Event::Response(&response));
        if let Action::EnterOnlinePin = action {
            action = kernel.step(Event::Pin(PinResult::Entered));
        }
    }
    assert!(matches!(action, Action::GoOnline));
    assert_eq!(kernel.field_55(&[tags::IAD]).unwrap(), []);
}

#[test]
fn book_3_annex_a_what_the_terminal_alone_says_no_record_says_for_it() {
    let objects = [
        ("9F39", "05"),
        ("9F01", "010203040506"),
        ("9F4E", "4142"),
        ("9F3A", "00000001"),
        ("9F3C", "0840"),
        ("5F57", "10"),
        ("9F26", "0102030405060708"),
        ("9F27", "40"),
        ("81", "00000001"),
        ("9F04", "00000001"),
    ];
    let more: Vec<u8> = objects.iter().flat_map(|(tag, value)| tlv(tag, &bytes(value))).collect();
    let mut card = with(|card| (card.more, card.cvm_list) = (more.clone(), NO_CVM));
    let transaction = Transaction { amount: 10_000_000_000, other: 5_000_000_000, ..transaction() };
    let mut kernel = Kernel::new(config_with(|toml| toml), transaction);
    let mut response = Vec::new();
    let mut action = kernel.start();
    while let Action::Transmit(command) = action {
        if command[1] == 0xAE {
            break;
        }
        response.clone_from(&card.answer(command));
        action = kernel.step(Event::Response(&response));
    }
    let wanted = objects.map(|(tag, _)| tag.parse().unwrap());
    assert_eq!(kernel.field_55(&wanted).unwrap(), [], "but it took {}", kernel.masked_pan().unwrap());
}

#[test]
fn book_4_annex_a1_a_terminal_type_that_there_is_not_is_refused() {
    let load = |kind: &str| {
        let terminal = TERMINAL.replace(r#"terminal_type = "21""#, &format!(r#"terminal_type = "{kind}""#));
        Config::from_toml_parts(&terminal, AIDS, &[])
    };
    for kind in ["11", "16", "21", "26", "34", "36"] {
        assert!(load(kind).is_ok(), "{kind}");
    }
    for kind in ["00", "10", "17", "20", "27", "31", "33", "37", "41"] {
        assert!(load(kind).unwrap_err().to_string().contains("terminal_type"), "{kind}");
    }
}

#[test]
fn book_4_annex_a5_a_card_that_is_pulled_during_a_script_leaves_results() {
    let script = |tag, identifier: &str, command: &str| {
        tlv(tag, &[tlv("9F18", &bytes(identifier)), tlv("86", &bytes(command))].concat())
    };
    let field_55 = [
        script("71", "00000001", "84DA000001"),
        script("71", "00000002", "84DA000002"),
        script("72", "00000003", "8424000003"),
    ]
    .concat();
    let world = World { host: Some(HostAnswer { field_55: &field_55, ..APPROVED }), ..ALL_WELL };
    let (mut kernel, mut card) =
        (Kernel::new(config_with(|toml| toml), transaction()), Personalisation::default().card());
    for command in ["84DA", "8424"] {
        card.set(command, &bytes("9000"));
    }
    let (whole, steps) = run_until_end(&mut kernel, &mut card, world).unwrap();
    assert_eq!(whole.script_results, [[0x20, 0, 0, 0, 1], [0x20, 0, 0, 0, 2], [0x20, 0, 0, 0, 3]]);
    let pulled = |at| {
        let mut card = Card { answers: card.answers.clone(), ..Card::default() };
        run(&mut card, World { pulled_at: at, ..world }).1
    };
    // The last steps are the two scripts, the second cryptogram and the third script.
    let last = pulled(steps - 1);
    assert_eq!(last.script_results, [[0x20, 0, 0, 0, 1], [0x20, 0, 0, 0, 2], [0x11, 0, 0, 0, 3]]);
    assert_eq!((last.tvr[4] & 0x30, last.reason), (0x10, Reason::ApprovedOnline));
    let first = pulled(steps - 4);
    assert_eq!(first.script_results, [[0x11, 0, 0, 0, 1], [0, 0, 0, 0, 2], [0, 0, 0, 0, 3]]);
    assert_eq!((first.tvr[4] & 0x30, first.reason), (0x30, Reason::CardRemoved));
}

#[test]
fn book_3_clause_6_3_5_a_refusal_or_an_answer_that_lacks_what_it_must_have_ends_the_transaction() {
    let refused = |ins| Reason::CommandRefused { ins, status: 0x6A80 };
    let without_afl = ok(&tlv("77", &tlv("82", &bytes("3C00"))));
    let without_aip = ok(&tlv("77", &tlv("94", &bytes("18010101"))));
    let second_arqc = ok(&tlv("80", &bytes("80 0022 8877665544332211")));
    for (command, response, reason) in [
        ("80A8", bytes("6A80"), refused(0xA8)),
        ("80A8", without_afl, Reason::DataMissing(tags::AFL)),
        ("80A8", without_aip, Reason::DataMissing(tags::AIP)),
        ("00B2011400", bytes("6A80"), refused(0xB2)),
        ("80AE4000", second_arqc, Reason::CryptogramUnexpected),
    ] {
        let mut card = Personalisation::default().card();
        card.answers.insert(0, (bytes(command), response));
        let (_, outcome) = run(&mut card, ALL_WELL);
        assert_eq!((outcome.decision, outcome.reason), (Decision::Terminated, reason), "{command}");
    }
}

#[test]
fn book_3_clause_10_5_a_cvm_list_of_an_odd_length_or_without_its_amounts_ends_the_transaction() {
    for list in ["00000000 00000000 1F", "00000000 00000000 1F00 1E", "00000000", "1F00"] {
        let (_, outcome) = run(&mut with(|card| card.cvm_list = list), ALL_WELL);
        assert_eq!(outcome.reason, Reason::DataMalformed(tags::CVM_LIST), "{list}");
    }
}
