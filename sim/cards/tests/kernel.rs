//! Whole transactions between the terminal's kernel and each card, with the issuer's side computed here.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::sync::Arc;

use emv::{
    Action, Config, Cvm, Decision, Event, Flow, HostAnswer, Kernel, OfflinePin, Online, Outcome,
    PinEncipherment, PinResult, Reason, Transaction,
};
use keys::Pin;
use keys::emv::CryptogramInput;
use keys::offline_pin::{self, CardKey};
use sim_cards::{Card, Profile, load_with_atc, seal_script};
use tlv::{Tag, find};

const ATC: u16 = 0x0041;
/// Terminal verification results, byte 1: DDA failed.
const DDA_FAILED: u8 = 0x08;
/// Byte 1: CDA failed.
const CDA_FAILED: u8 = 0x04;
/// Byte 2: expired application.
const EXPIRED: u8 = 0x40;
/// Byte 5: issuer authentication failed.
const ISSUER_AUTHENTICATION_FAILED: u8 = 0x40;

fn config() -> Arc<Config> {
    let config = Config::from_toml_parts(
        include_str!("../../../config/emv/terminal.toml"),
        include_str!("../../../config/emv/aids.toml"),
        &[include_str!("../capks-test.toml")],
    );
    Arc::new(config.unwrap())
}

fn transaction(amount: u64) -> Transaction {
    Transaction {
        flow: Flow::Full,
        kind: 0x00,
        amount,
        other: 0,
        currency: 156,
        currency_exponent: 2,
        date: [0x26, 0x11, 0x22],
        time: [0x12, 0x13, 0x14],
        unpredictable_number: [0xA1, 0xB2, 0xC3, 0xD4],
        random_percent: 50,
        sequence: 7,
        online_only: false,
        force_online: false,
    }
}

/// What the host does with an ARQC that is right.
#[derive(Clone, Copy)]
enum Host {
    Approves,
    /// Approves, with a script that blocks the application.
    ApprovesAndBlocks,
    Declines,
    IsUnreachable,
}

/// What a whole transaction left behind.
struct Run {
    outcome: Outcome,
    card: Card,
    transmitted: u32,
    chose: Option<usize>,
    /// The tries that were left, each time that a PIN was asked for.
    asked: Vec<Option<u8>>,
}

fn run(name: &str, amount: u64, host: Host) -> Run {
    run_with_pins(name, amount, host, &["1234"])
}

/// The same; these are typed, one after the other, where the card is to verify them.
fn run_with_pins(name: &str, amount: u64, host: Host, pins: &[&str]) -> Run {
    let mut pins = pins.iter();
    let mut asked = Vec::new();
    let mut card = load_with_atc(name, ATC).unwrap();
    let mut kernel = Kernel::new(config(), transaction(amount));
    let (mut transmitted, mut chose) = (0, None);
    let mut action = kernel.start();
    loop {
        assert!(transmitted < 60, "a transaction ends");
        action = match action {
            Action::Transmit(apdu) => {
                transmitted += 1;
                match card.transmit(apdu) {
                    Some(response) => kernel.step(Event::Response(&response)),
                    None => kernel.step(Event::CardRemoved),
                }
            }
            Action::ChooseApplication(candidates) => {
                chose = Some(candidates.len());
                kernel.step(Event::Chosen(1))
            }
            Action::EnterOnlinePin => kernel.step(Event::Pin(PinResult::Entered)),
            Action::VerifyOfflinePin(with) => {
                asked.push(with.tries_left);
                let verify = verify(pins.next().unwrap(), &with);
                let status = card.transmit(&verify).unwrap();
                kernel.step(Event::PinPresented(u16::from_be_bytes(status.try_into().unwrap())))
            }
            Action::GoOnline => answer(&mut kernel, card.profile(), host),
            Action::Complete(outcome) => {
                let outcome = outcome.clone();
                return Run { outcome, card, transmitted, chose, asked };
            }
        };
    }
}

/// The secure module's part: VERIFY with this PIN.
fn verify(pin: &str, with: &OfflinePin<'_>) -> Vec<u8> {
    let pin = Pin::new(pin).unwrap();
    let Some(PinEncipherment { modulus, exponent, challenge }) = with.encipherment else {
        return offline_pin::plaintext(&pin).to_vec();
    };
    let key = CardKey::new(modulus, exponent).unwrap();
    let padding = vec![0x5C; key.padding_length()];
    offline_pin::enciphered(&pin, &key, &challenge, &padding).unwrap().to_vec()
}

/// The issuer: checks the ARQC against field 55, as the acquirer does, and answers.
fn answer<'k>(kernel: &'k mut Kernel, profile: &Profile, host: Host) -> Action<'k> {
    let field = kernel.field_55(emv::FIELD_55).unwrap();
    fn get<const N: usize>(field: &[u8], tag: u32) -> [u8; N] {
        find(field, Tag::new(tag)).unwrap().unwrap().try_into().unwrap()
    }
    let atc: [u8; 2] = get(&field, 0x9F36);
    let [_, _, _, c1, c2, c3, c4, _] = get::<8>(&field, 0x9F10);
    let [kind] = get(&field, 0x9C);
    let input = CryptogramInput {
        amount_authorised: get(&field, 0x9F02),
        amount_other: get(&field, 0x9F03),
        terminal_country: get(&field, 0x9F1A),
        tvr: get(&field, 0x95),
        currency: get(&field, 0x5F2A),
        date: get(&field, 0x9A),
        transaction_type: kind,
        unpredictable_number: get(&field, 0x9F37),
        aip: get(&field, 0x82),
        atc,
        cvr: [c1, c2, c3, c4],
    };
    let card_key = keys::emv::card_key(profile.imk(), &profile.pan, profile.psn);
    let session = keys::emv::session_key(&card_key, atc);
    let arqc: [u8; 8] = get(&field, 0x9F26);
    assert_eq!(arqc, keys::emv::cryptogram(&session, &input), "the host verifies the ARQC");
    assert_eq!((kernel.psn(), kernel.masked_pan()), (Some(profile.psn), Some(profile.pan.masked())));

    let (approved, arc) = match host {
        Host::Approves | Host::ApprovesAndBlocks => (true, *b"00"),
        Host::Declines => (false, *b"05"),
        Host::IsUnreachable => return kernel.step(Event::HostUnreachable),
    };
    let mut reply = vec![];
    tlv::write(&mut reply, Tag::new(0x91), &[&keys::emv::arpc(&session, arqc, arc)[..], &arc].concat())
        .unwrap();
    if let Host::ApprovesAndBlocks = host {
        let mut script = vec![];
        let command = seal_script(profile, u16::from_be_bytes(atc), arqc, [0x84, 0x1E, 0, 0]);
        tlv::write(&mut script, Tag::new(0x86), &command).unwrap();
        tlv::write(&mut reply, Tag::new(0x72), &script).unwrap();
    }
    kernel.step(Event::Host(HostAnswer {
        approved,
        arc,
        authorisation_code: Some(*b"123456"),
        field_55: &reply,
    }))
}

#[test]
fn good_cards_are_authenticated_and_approved_online() {
    let expected = [
        ("unionpay-credit", Cvm::Signature),
        ("unionpay-debit-pin", Cvm::OnlinePin),
        ("visa", Cvm::Signature),
        ("offline-pin", Cvm::OfflinePin),
        ("offline-pin-enciphered", Cvm::OfflinePin),
        ("offline-pin-own-key", Cvm::OfflinePin),
        ("offline-pin-last-try", Cvm::OfflinePin),
        ("offline-pin-and-signature", Cvm::OfflinePinAndSignature),
        ("mastercard", Cvm::NotRequired),
        ("two-applications", Cvm::OnlinePin),
        ("no-pse", Cvm::Signature),
        ("t0-exchange", Cvm::Signature),
        ("approves-offline", Cvm::Signature),
        ("cda", Cvm::Signature),
        ("insufficient", Cvm::Signature),
    ];
    for (name, cvm) in expected {
        let outcome = run(name, 1234, Host::Approves).outcome;
        assert_eq!(
            (outcome.decision, outcome.reason),
            (Decision::Approved, Reason::ApprovedOnline),
            "{name}"
        );
        assert_eq!(outcome.cvm, cvm, "{name}");
        assert_eq!(
            (outcome.tvr[0], outcome.tvr[1], outcome.tvr[4]),
            (0, 0, 0),
            "{name}: {:02X?}",
            outcome.tvr
        );
    }
}

#[test]
fn a_mastercard_asks_for_the_pin_from_its_limit_on() {
    assert_eq!(run("mastercard", 100_000, Host::Approves).outcome.cvm, Cvm::OnlinePin);
}

#[test]
fn a_wrong_offline_pin_is_asked_for_again_until_no_try_is_left() {
    for name in ["offline-pin", "offline-pin-enciphered", "offline-pin-own-key"] {
        let again = run_with_pins(name, 1234, Host::Approves, &["4321", "1234"]);
        assert_eq!((again.outcome.cvm, again.outcome.tvr[2]), (Cvm::OfflinePin, 0), "{name}");
        assert_eq!(again.asked, [Some(3), Some(2)], "{name}");
        let blocked = run_with_pins(name, 1234, Host::Approves, &["4321", "12345", "1235"]);
        assert_eq!(blocked.asked, [Some(3), Some(2), Some(1)], "{name}");
        assert_eq!((blocked.outcome.cvm, blocked.outcome.tvr[2]), (Cvm::Signature, 0x20), "{name}");
    }
    let last = run_with_pins("offline-pin-last-try", 1234, Host::Approves, &["4321"]);
    assert_eq!((last.asked.as_slice(), last.outcome.cvm), (&[Some(1)][..], Cvm::Signature));
    let blocked = run_with_pins("offline-pin-blocked", 1234, Host::Approves, &[]);
    assert_eq!((blocked.outcome.cvm, blocked.outcome.tvr[2]), (Cvm::Signature, 0x20));
}

#[test]
fn a_card_with_several_applications_lets_the_cardholder_choose() {
    for (name, aid) in [
        ("two-applications", &[0xA0, 0, 0, 3, 0x33, 1, 1, 2][..]),
        ("no-pse", &[0xA0, 0, 0, 0, 4, 0x10, 0x10, 0xC2]),
    ] {
        let run = run(name, 1234, Host::Approves);
        assert_eq!(run.chose, Some(2), "{name}");
        assert_eq!(run.outcome.aid.as_deref(), Some(aid), "{name}");
    }
}

#[test]
fn each_way_to_decline_has_its_reason() {
    let expected = [
        ("declined", Host::Approves, Reason::DeclinedByCard, Online::NotTried),
        ("declines-second", Host::Approves, Reason::DeclinedByCardAfterApproval, Online::Approved),
        ("refuses-arpc", Host::Approves, Reason::DeclinedByCardAfterApproval, Online::Approved),
        ("unionpay-credit", Host::Declines, Reason::DeclinedByIssuer, Online::Declined),
        ("mastercard", Host::Declines, Reason::DeclinedByIssuer, Online::Declined),
        ("unionpay-credit", Host::IsUnreachable, Reason::DeclinedUnableToGoOnline, Online::Unreachable),
    ];
    for (name, host, reason, online) in expected {
        let outcome = run(name, 1234, host).outcome;
        assert_eq!(
            (outcome.decision, outcome.reason, outcome.online),
            (Decision::Declined, reason, online),
            "{name}"
        );
        assert_eq!(outcome.must_reverse(), online == Online::Approved, "{name}");
    }
    let outcome = run("refuses-arpc", 1234, Host::Approves).outcome;
    assert_eq!(outcome.tvr[4] & ISSUER_AUTHENTICATION_FAILED, ISSUER_AUTHENTICATION_FAILED);
}

#[test]
fn the_host_is_told_what_is_wrong_with_a_card() {
    let expired = run("expired", 1234, Host::Declines).outcome;
    assert_eq!((expired.tvr[1], expired.reason), (EXPIRED, Reason::DeclinedByIssuer));
    let damaged = run("bad-certificate", 1234, Host::Declines).outcome;
    assert_eq!((damaged.tvr[0], damaged.reason), (DDA_FAILED, Reason::DeclinedByIssuer));
}

#[test]
fn a_card_that_signs_its_cryptograms_wrongly_is_declined() {
    let first = run("cda-wrong-first", 1234, Host::Approves).outcome;
    assert_eq!((first.reason, first.online), (Reason::CombinedAuthenticationFailed, Online::NotTried));
    let second = run("cda-wrong-second", 1234, Host::Approves).outcome;
    assert_eq!((second.reason, second.must_reverse()), (Reason::CombinedAuthenticationFailed, true));
    assert_eq!([first.tvr[0], second.tvr[0]], [CDA_FAILED; 2]);
}

#[test]
fn below_the_floor_limit_a_signed_tc_is_an_approval_and_a_wrongly_signed_one_is_not() {
    let terminal =
        include_str!("../../../config/emv/terminal.toml").replace("type = \"21\"", "type = \"22\"");
    let applications =
        include_str!("../../../config/emv/aids.toml").replace("floor_limit = 0", "floor_limit = 5000");
    let keys = [include_str!("../capks-test.toml")];
    let config = Arc::new(Config::from_toml_parts(&terminal, &applications, &keys).unwrap());
    for (name, reason) in
        [("cda", Reason::ApprovedOffline), ("cda-wrong-first", Reason::CombinedAuthenticationFailed)]
    {
        let mut card = load_with_atc(name, ATC).unwrap();
        let mut kernel = Kernel::new(config.clone(), transaction(1234));
        let mut action = kernel.start();
        let outcome = loop {
            action = match action {
                Action::Transmit(apdu) => {
                    let response = card.transmit(apdu).unwrap();
                    kernel.step(Event::Response(&response))
                }
                Action::Complete(outcome) => break outcome,
                other => panic!("{name}: {other:?}"),
            };
        };
        assert_eq!((outcome.reason, outcome.online), (reason, Online::NotTried), "{name}");
    }
}

#[test]
fn blocked_cards_end_without_an_answer_from_the_host() {
    let card = run("blocked-card", 1234, Host::Approves).outcome;
    assert_eq!((card.decision, card.reason), (Decision::Terminated, Reason::CardBlocked));
    let application = run("blocked-application", 1234, Host::Approves).outcome;
    assert_eq!((application.decision, application.online), (Decision::Terminated, Online::NotTried));
}

#[test]
fn an_issuer_script_blocks_the_application() {
    let mut run = run("unionpay-credit", 1234, Host::ApprovesAndBlocks);
    assert_eq!(run.outcome.decision, Decision::Approved);
    assert_eq!(run.outcome.script_results.len(), 1);
    run.card.reset();
    let answer = run.card.transmit(&hex::decode("00A4040008A00000033301010200").unwrap()).unwrap();
    assert_eq!(answer[answer.len() - 2..], [0x62, 0x83]);
}

#[test]
fn a_card_pulled_out_at_any_apdu_ends_the_transaction() {
    let whole = run("removed-early:99", 1234, Host::Approves);
    assert_eq!(whole.outcome.decision, Decision::Approved);
    assert!(whole.transmitted > 10);
    for at in 1..=whole.transmitted {
        let pulled = run(&format!("removed-early:{at}"), 1234, Host::Approves);
        assert_eq!(pulled.transmitted, at);
        assert_eq!(
            (pulled.outcome.decision, pulled.outcome.reason),
            (Decision::Terminated, Reason::CardRemoved),
            "{at}"
        );
    }
    let default = run("removed-early", 1234, Host::Approves);
    assert_eq!(
        (default.transmitted, default.outcome.online),
        (7, Online::NotTried),
        "pulled before its cryptogram"
    );
}
