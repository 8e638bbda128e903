use emv::apdu::Exchange;
use proptest::prelude::*;

use super::*;

/// SELECT of the membership that is granted, and its answer.
const SELECT_MEMBER: &str = "00A404000AF0534D4152544D454D0100";

fn filter(granted: &[&str]) -> Filter {
    let granted = granted.iter().map(|name| CardApplication::try_from(name.to_string()).unwrap()).collect();
    let config = emv::Config::from_toml_parts(
        include_str!("../../../../../config/emv/terminal.toml"),
        include_str!("../../../../../config/emv/aids.toml"),
        &[],
    );
    Filter::new(granted, &config.unwrap().applications)
}

fn admit(filter: &mut Filter, command: &str) -> Result<String> {
    let command = filter.admit(&hex::decode(command).unwrap())?;
    Ok(hex::encode_upper(Exchange::new(command).outgoing()))
}

fn answered(data: &[u8], status: u16) -> Response {
    Response { data: data.to_vec().into(), status }
}

/// One that has the membership selected.
fn open() -> Filter {
    let mut filter = filter(&["F0534D4152544D454D"]);
    admit(&mut filter, SELECT_MEMBER).unwrap();
    let fci = hex::decode("6F0C840AF0534D4152544D454D01").unwrap();
    assert_eq!(filter.judge(&answered(&fci, OK)), Ok(()));
    filter
}

#[test]
fn nothing_passes_but_a_granted_select_until_one_has_succeeded() {
    let read = "00B0810000";
    let mut filter = filter(&["F0534D4152544D454D"]);
    assert!(matches!(admit(&mut filter, read), Err(Error::WrongState(_))));
    assert_eq!(admit(&mut filter, SELECT_MEMBER).unwrap(), SELECT_MEMBER);
    assert!(matches!(admit(&mut filter, read), Err(Error::WrongState(_))), "the answer is not there yet");
    // Not found, selected but invalidated, and no more than a warning: none of it opens.
    for status in [0x6A82, 0x6283, 0x6300, 0x6999] {
        admit(&mut filter, SELECT_MEMBER).unwrap();
        assert_eq!(filter.judge(&answered(&[], status)), Ok(()));
        assert!(matches!(admit(&mut filter, read), Err(Error::WrongState(_))), "{status:04X}");
    }
    let mut filter = open();
    assert_eq!(admit(&mut filter, read).unwrap(), read);
    filter.close();
    assert!(matches!(admit(&mut filter, read), Err(Error::WrongState(_))), "after a reset");
    // An application that does not know the other one keeps hearing it (ISO/IEC 7816-4, SELECT): the door closes all the same.
    let mut filter = open();
    admit(&mut filter, SELECT_MEMBER).unwrap();
    assert_eq!(filter.judge(&answered(&[], 0x6A82)), Ok(()));
    assert!(matches!(admit(&mut filter, read), Err(Error::WrongState(_))));
}

#[test]
fn select_goes_out_whole_so_that_its_answer_names_the_application() {
    let without_le = SELECT_MEMBER.strip_suffix("00").unwrap();
    assert_eq!(admit(&mut open(), without_le).unwrap(), SELECT_MEMBER);
    let with_other_le = format!("{without_le}01");
    assert_eq!(admit(&mut open(), &with_other_le).unwrap(), SELECT_MEMBER);
}

#[test]
fn a_payment_application_is_refused_whatever_was_granted() {
    let mut generous =
        filter(&["A000000333010102", "A000000003", "325041592E5359532E4444463031", "F000000001"]);
    let names = [
        "A000000333",                       // UnionPay: all of its applications
        "A000000333010102",                 // one of them
        "A0000000031010",                   // Visa
        "A00000000310100000",               // more than its name
        "A0000000041010",                   // Mastercard
        "A0000000043060",                   // Maestro
        "A000000025010801",                 // American Express
        "A0000000651010",                   // JCB
        "A0000001523010",                   // Discover
        "315041592E5359532E4444463031",     // 1PAY.SYS.DDF01
        "325041592E5359532E4444463031",     // 2PAY.SYS.DDF01
        "325041592E",                       // the beginning of it
        "325041592E5359532E44444630310000", // more than it
    ];
    for name in names {
        let command = format!("00A40400{:02X}{name}00", name.len() / 2);
        let refused = admit(&mut generous, &command);
        assert!(
            matches!(&refused, Err(Error::NotPermitted(why)) if why.contains("payment application")),
            "{name}: {refused:?}"
        );
    }
    // The terminal's own parameters are payment, too, whoever registered them.
    let application = emv::Application { aid: vec![0xF0, 0, 0, 0, 1, 7], ..filter_application() };
    let granted = vec![CardApplication::try_from("F000000001".to_string()).unwrap()];
    let mut filter = Filter::new(granted, &[application]);
    assert!(matches!(admit(&mut filter, "00A4040006F0000000010900"), Err(Error::NotPermitted(_))));
}

fn filter_application() -> emv::Application {
    let config = emv::Config::from_toml_parts(
        include_str!("../../../../../config/emv/terminal.toml"),
        include_str!("../../../../../config/emv/aids.toml"),
        &[],
    );
    config.unwrap().applications.into_iter().next().unwrap()
}

#[test]
fn no_other_way_leads_to_another_application() {
    let ways = [
        ("00A4000C023F00", "SELECT of the MF by identifier"),
        ("00A4000002DF01", "of a DF by identifier"),
        ("00A4010002DF01", "of a child DF"),
        ("00A4020C020001", "of a file, that a card may take for a DF"),
        ("00A40300", "of the parent"),
        ("00A4080C043F00DF01", "by path from the MF"),
        ("00A4090C02DF01", "by path from here"),
        ("00A4040207A000000333010100", "the next occurrence"),
        ("00A404020AF0534D4152544D454D0100", "the next occurrence of what is granted"),
        ("00A4040C0AF0534D4152544D454D01", "without an answer that would tell"),
        ("00A4040007F0534D4152544D00", "the beginning of what is granted"),
        ("00A4040005F00000000100", "what was not granted"),
        ("01A404000AF0534D4152544D454D0100", "on channel 1"),
        ("41A404000AF0534D4152544D454D0100", "on a further channel"),
        ("10A404000AF0534D4152544D454D0100", "as part of a chain"),
        ("0CA404000AF0534D4152544D454D0100", "under secure messaging"),
        ("80A404000AF0534D4152544D454D0100", "in a proprietary class"),
        ("90A404000AF0534D4152544D454D0100", "in another one"),
        ("905A000003AABBCC00", "SelectApplication of DESFire"),
        ("90200080", "VERIFY in the class of DESFire"),
        ("90AE8000010000", "GENERATE AC in it"),
        ("00820001081122334455667788", "EXTERNAL AUTHENTICATE with a global key"),
        ("00860001047C02810000", "GENERAL AUTHENTICATE with one"),
        ("00870001047C02810000", "in its other form"),
        ("0088007F081122334455667788", "INTERNAL AUTHENTICATE with one"),
        ("0C880001081122334455667788", "under secure messaging"),
        ("002281B603840101", "MANAGE SECURITY ENVIRONMENT with a global key"),
        ("002281A406800102830101", "with a global secret key"),
        ("002281B60481023F00", "with another file"),
        ("002281B60782051122334455", "with another application"),
        ("002281B602840F", "with what can't be read"),
        ("0C2281B603840181", "enciphered"),
        ("00468000", "GENERATE ASYMMETRIC KEY PAIR"),
        ("A0A40000023F00", "as a SIM"),
        ("00A5040007A000000333010100", "SELECT DATA"),
        ("0070000001", "MANAGE CHANNEL open"),
        ("80700000", "in a proprietary class"),
        ("00C2000005A404000000", "ENVELOPE"),
        ("00C3000005A404000000", "ENVELOPE of data objects"),
        ("80C2000005A404000000", "in a proprietary class"),
        ("00C0000000", "GET RESPONSE"),
        ("01B0810000", "a command on channel 1"),
        ("02B2010C00", "on channel 2"),
        ("40B0810000", "on a further channel"),
        ("10DA000001AA", "a chain"),
        ("81CA9F3600", "a proprietary class on channel 1"),
        ("C0CA9F3600", "on a further channel"),
        ("FF000000", "a command for the reader"),
        ("00B1000004540200FF00", "READ BINARY by file"),
        ("00CB3F00025C0000", "GET DATA of the MF"),
        ("00E40000023F00", "DELETE FILE"),
        ("0020008002123400", "VERIFY"),
        ("0024000000", "CHANGE REFERENCE DATA"),
        ("002C008000", "RESET RETRY COUNTER"),
        ("8420000000", "VERIFY in a proprietary class"),
        ("8424000000", "PIN CHANGE"),
        ("80A8000002830000", "GET PROCESSING OPTIONS"),
        ("80AE8000010000", "GENERATE AC"),
        ("802A8E8001AA00", "COMPUTE CRYPTOGRAPHIC CHECKSUM"),
        ("84160000", "CARD BLOCK"),
        ("841E0000", "APPLICATION BLOCK"),
    ];
    for (command, what) in ways {
        let refused = admit(&mut open(), command);
        assert!(matches!(refused, Err(Error::NotPermitted(_))), "{what}: {refused:?}");
    }
}

#[test]
fn what_is_no_short_command_is_an_invalid_argument() {
    let long = format!("00D68100{}", "AA".repeat(300));
    for wrong in [
        "",
        "00",
        "00A404",
        "00A4040000",
        "00A4040003F05300",
        "00B0810000000100",
        "00B081000201AA0000",
        &long,
    ] {
        let refused = admit(&mut open(), wrong);
        assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{wrong}: {refused:?}");
    }
    let name = format!("00A4040011F0534D4152544D454D{}00", "01".repeat(8));
    assert!(matches!(admit(&mut open(), &name), Err(Error::InvalidArgument(_))), "17 bytes of name");
}

#[test]
fn what_the_selected_application_alone_can_hear_passes_as_it_is() {
    for command in [
        "00B0810000",
        "00B2010C00",
        "00CA010000",
        "00CB3FFF035C015A00",
        "00DB3FFF035C015A",
        "00D6810001AA",
        "00DC010C01AA",
        "0084000008",
        "00880000081122334455667788",
        "00880081081122334455667788",
        "008200000811223344556677AA",
        "0CB0810008",
        "002281B603840181",
        "00868000047C02810000",
        "805000000105",
        "80CA9F3600",
        "846000000411223344",
        "9060000000",
    ] {
        assert_eq!(admit(&mut open(), command).unwrap(), command);
    }
}

#[test]
fn a_card_that_names_a_payment_application_is_exposed() {
    let cases = [
        ("6F0A8408A000000333010102", Exposed::Payment),
        // Beside the name that was asked for, in a template of its own, and in what is no TLV at all.
        ("6F16840AF0534D4152544D454D01A5084F06A00000000310", Exposed::Payment),
        ("FFFFA000000004", Exposed::Payment),
        ("6F10840E325041592E5359532E4444463031", Exposed::Payment),
        ("6F078405F053000000", Exposed::Another),
        ("6F09840700000000000000", Exposed::Another),
        // Cut off before its name.
        ("6F0C840A", Exposed::Unreadable),
    ];
    for (data, exposed) in cases {
        for status in [OK, 0x6283] {
            let mut filter = open();
            admit(&mut filter, SELECT_MEMBER).unwrap();
            assert_eq!(filter.judge(&answered(&hex::decode(data).unwrap(), status)), Err(exposed), "{data}");
            assert!(matches!(admit(&mut filter, "00B0810000"), Err(Error::WrongState(_))), "{data}");
        }
    }
    // One that says nothing of its name has the one that was asked for: nobody else's begins with it.
    let mut filter = open();
    admit(&mut filter, SELECT_MEMBER).unwrap();
    assert_eq!(filter.judge(&answered(&[], OK)), Ok(()));
    assert!(admit(&mut filter, "00B0810000").is_ok());
}

proptest! {
    /// The invariant that all of it is for, looked at from the card's side.
    #[test]
    fn whatever_an_app_sends_no_card_hears_a_select_but_a_granted_one_on_the_basic_channel(
        commands in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..24),
                (any::<u8>(), prop_oneof![Just(0xA4_u8), Just(0x70), Just(0xC2), any::<u8>()], any::<u8>(), any::<u8>(),
                 proptest::sample::select(vec!["A000000333010102", "F0534D4152544D454D01", "325041592E5359532E4444463031", "F053"]))
                    .prop_map(|(cla, ins, p1, p2, name)| {
                        let name = hex::decode(name).unwrap();
                        [&[cla, ins, p1, p2, u8::try_from(name.len()).unwrap()][..], &name].concat()
                    }),
                Just(hex::decode(SELECT_MEMBER).unwrap()),
            ],
            1..12,
        ),
        statuses in proptest::collection::vec(prop_oneof![Just(OK), Just(0x6A82_u16)], 12),
    ) {
        let mut filter = filter(&["F0534D4152544D454D"]);
        let mut selected = false;
        for (command, status) in commands.iter().zip(statuses) {
            let Ok(out) = filter.admit(command) else { continue };
            let out = Exchange::new(out).outgoing().to_vec();
            if out[1] == SELECT {
                prop_assert_eq!(&out[..4], &[0x00, 0xA4, 0x04, 0x00]);
                prop_assert!(out[5..].starts_with(&hex::decode("F0534D4152544D454D").unwrap()));
                selected = status == OK;
            } else {
                prop_assert!(selected, "{:02X?} before SELECT", out);
                prop_assert_eq!(&out, command);
                prop_assert!(!ELSEWHERE.contains(&out[1]) && (out[0] == 0x90 || out[0] & 0x73 == 0), "{:02X?}", out);
            }
            prop_assert_eq!(filter.judge(&answered(&[], status)), Ok(()));
        }
    }
}
