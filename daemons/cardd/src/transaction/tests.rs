//! Whole transactions between virtual cards and a module in the test's own hands.

mod fake;
mod identified;
mod offline;
mod offline_pin;
mod stripe;
mod used_card;

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use emv::Config as EmvConfig;
use fake::{FakeModule, PIN_BLOCK, PinPad, tdk};
use secure_module::Event as ModuleEvent;
use service::Error;
use service::options::Dictionary;
use tokio::sync::{Mutex, mpsc};

use super::*;
use crate::interruption::{Command, HostAnswer, Line, watch};
use crate::supervisor::{self, ModuleHandle};
use crate::terms::Terms;

fn text<'a>(values: &'a Dictionary, key: &str) -> &'a str {
    values.get(key).map(|value| <&str>::try_from(value).unwrap()).unwrap_or_default()
}

fn bytes(values: &Dictionary, key: &str) -> Option<Vec<u8>> {
    let value = values.get(key)?.try_clone().unwrap();
    Some(Vec::<u8>::try_from(value).unwrap())
}

struct Bench {
    module: Arc<FakeModule>,
    handle: ModuleHandle,
    line: Line,
    signals: mpsc::Receiver<Signal>,
    place: Arc<Mutex<Place>>,
}

/// A terminal that can also decide offline; whether it may, the terms say.
fn emv_config() -> Arc<EmvConfig> {
    let terminal = include_str!("../../../../config/emv/terminal.toml");
    let applications = include_str!("../../../../config/emv/aids.toml");
    let config = EmvConfig::from_toml_parts(
        &terminal.replace("terminal_type = \"21\"", "terminal_type = \"22\""),
        &applications.replace("floor_limit = 0", "floor_limit = 20000"),
        &[&sim_cards::capks_toml()],
    );
    Arc::new(config.unwrap())
}

fn terms(options: Dictionary) -> Terms {
    Terms::new(1234, "CNY", "261122120000", 7, options).unwrap()
}

/// A sale of 12.34 CNY that has begun.
async fn begin(module: FakeModule) -> Bench {
    begin_for(terms(Dictionary::new()), module).await
}

/// A transaction that has begun.
async fn begin_for(terms: Terms, module: FakeModule) -> Bench {
    let module = Arc::new(module);
    let (handle, supervisor) = supervisor::new();
    let attached: Arc<dyn SecureModule> = module.clone();
    tokio::spawn(async move { supervisor.attend(attached).await });
    handle.watch().wait_for(|view| view.state() == "ready").await.unwrap();
    begin_at(terms, Arc::default(), module, handle, Config::default())
}

/// The same with a place, a module and a configuration that are there.
fn begin_at(
    terms: Terms,
    place: Arc<Mutex<Place>>,
    module: Arc<FakeModule>,
    handle: ModuleHandle,
    config: Config,
) -> Bench {
    let (attached, session) = handle.ready().unwrap();
    let (watch, line, signals) = watch(handle.watch(), session);
    let kernel = Kernel::new(emv_config(), terms.transaction([1, 2, 3, 4, 5, 6, 7, 8]));
    let transaction = Transaction {
        config,
        module: attached,
        kernel,
        choose_application: terms.choose_application(),
        amount: terms.amount(),
        protection: terms.protection(),
        swipe: terms.swipe(),
        key_serial: None,
        watch,
    };
    tokio::spawn(transaction.run(Arc::clone(&place).try_lock_owned().unwrap()));
    Bench { module, handle, line, signals, place }
}

async fn begin_with(card: &str, pin_pad: PinPad) -> Bench {
    begin(FakeModule::new(Some(card), pin_pad)).await
}

/// How a transaction ended, as its owner saw it.
#[derive(Debug)]
struct End {
    outcome: &'static str,
    reason: String,
    result: Dictionary,
    /// The steps up to and after the end.
    steps: Vec<&'static str>,
}

impl Bench {
    /// Waits for a step; panics if the transaction ends instead.
    async fn reach(&mut self, wanted: &str) {
        loop {
            match self.signals.recv().await {
                Some(Signal::Progress(step, _)) if step == wanted => return,
                Some(Signal::Progress(..)) => {}
                other => panic!("{other:?} came before {wanted}"),
            }
        }
    }

    /// Waits until the card asks for the host.
    async fn reach_host(&mut self) -> Dictionary {
        loop {
            match self.signals.recv().await {
                Some(Signal::OnlineRequested(card)) => return card,
                Some(Signal::Progress(..)) => {}
                other => panic!("{other:?} came before the card asked for the host"),
            }
        }
    }

    /// The next step.
    async fn step(&mut self) -> &'static str {
        match self.signals.recv().await {
            Some(Signal::Progress(step, _)) => step,
            other => panic!("{other:?} is no step"),
        }
    }

    /// Calls this transaction off, and begins another one with the card where it is.
    async fn cancel_and_begin_anew(self, config: Config) -> Bench {
        let (place, module, handle) =
            (Arc::clone(&self.place), Arc::clone(&self.module), self.handle.clone());
        self.line.tell(Command::Cancel).await.unwrap();
        assert_eq!(self.end().await.outcome, "cancelled");
        begin_at(terms(Dictionary::new()), place, module, handle, config)
    }

    /// Waits for the end, and for all that is said after it.
    async fn end(mut self) -> End {
        let (mut steps, mut end) = (Vec::new(), None);
        while let Some(signal) = self.signals.recv().await {
            match signal {
                Signal::Progress(step, _) => steps.push(step),
                Signal::OnlineRequested(_) => panic!("the host was asked for"),
                Signal::Completed(outcome, result) => {
                    assert!(end.is_none(), "there is one end");
                    assert!(self.place.try_lock().is_ok(), "who hears of the end can begin anew");
                    end = Some((outcome, result));
                }
            }
        }
        assert!(!self.module.powered.load(Ordering::Relaxed), "the card is without power");
        let (outcome, result) = end.expect("there is an end");
        End { outcome, reason: text(&result, "reason").to_owned(), result, steps }
    }
}

/// What the issuer of `card` answers to what it asked: an approval that the card can verify (tag 91).
fn approval(name: &str, card: &Dictionary) -> HostAnswer {
    let profile = sim_cards::profiles().find(|profile| profile.name == name).unwrap();
    let chip = bytes(card, "chip_data").unwrap();
    let find = |tag| tlv::find(&chip, tag).unwrap().unwrap();
    let (atc, arqc) = (find(tlv::tags::ATC), find(tlv::tags::CRYPTOGRAM));
    let udk = keys::emv::card_key(profile.imk(), &profile.pan, profile.psn);
    let session = keys::emv::session_key(&udk, atc.try_into().unwrap());
    let arpc = keys::emv::arpc(&session, arqc.try_into().unwrap(), *b"00");
    let issuer_data = [&[0x91, 0x0A][..], &arpc, b"00"].concat();
    HostAnswer { code: *b"00", issuer_data }
}

fn is_wrong_state(answer: &service::Result<()>) -> bool {
    matches!(answer, Err(Error::WrongState(_)))
}

#[tokio::test]
async fn a_card_that_host_and_card_approve_is_approved() {
    let mut bench = begin_with("unionpay-credit", PinPad::Fails).await;
    let card = bench.reach_host().await;
    assert_eq!((text(&card, "entry_mode"), text(&card, "cvm")), ("052", "signature"));
    assert!(bytes(&card, "pin_block").is_none());
    assert_eq!(u8::try_from(&card["pan_sequence"]), Ok(1));
    bench.line.tell(Command::Authorise(approval("unionpay-credit", &card))).await.unwrap();
    let end = bench.end().await;
    assert_eq!(end.outcome, "approved", "{}", end.reason);
    assert_eq!(end.steps, ["remove-card"]);
    assert_eq!(text(&end.result, "masked_pan"), text(&card, "masked_pan"));
    assert_ne!(
        text(&end.result, "cryptogram"),
        text(&card, "cryptogram"),
        "the end has the card's last word"
    );
    assert!(end.result.contains_key("chip_data"));
}

#[tokio::test]
async fn card_data_leave_sealed_and_in_no_other_way() {
    let mut bench = begin_with("unionpay-debit-pin", PinPad::Types(6)).await;
    let card = bench.reach_host().await;
    bench.line.tell(Command::Authorise(approval("unionpay-debit-pin", &card))).await.unwrap();
    let end = bench.end().await;
    let pan = sim_cards::load("unionpay-debit-pin").unwrap().profile().pan.clone();
    let opened = keys::track2::open(&tdk(), &bytes(&card, "sealed_track2").unwrap()).unwrap();
    assert_eq!(opened.pan(), &pan);
    for values in [&card, &end.result] {
        for (key, value) in values {
            let shown = match Vec::<u8>::try_from(value.try_clone().unwrap()) {
                Ok(bytes) => bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
                Err(_) => format!("{value:?}"),
            };
            assert!(!shown.contains(pan.digits()), "{key} holds the PAN");
        }
    }
    assert!(!end.result.contains_key("sealed_track2") && !end.result.contains_key("pin_block"));
}

#[tokio::test]
async fn a_pin_is_shown_as_a_number_of_digits_and_goes_out_enciphered() {
    let mut bench = begin_with("unionpay-debit-pin", PinPad::Types(6)).await;
    bench.reach("pin").await;
    let mut counts = Vec::new();
    let card = loop {
        match bench.signals.recv().await.unwrap() {
            Signal::Progress("pin-digits", details) => counts.push(u32::try_from(&details["count"]).unwrap()),
            Signal::OnlineRequested(card) => break card,
            _ => {}
        }
    };
    assert!(!counts.is_empty() && counts.is_sorted() && counts.iter().all(|count| *count <= 6), "{counts:?}");
    assert_eq!((text(&card, "entry_mode"), text(&card, "cvm")), ("051", "online-pin"));
    assert_eq!(bytes(&card, "pin_block").unwrap(), PIN_BLOCK);
}

#[tokio::test]
async fn each_step_is_told_in_its_order() {
    let mut bench = begin(FakeModule::new(None, PinPad::Types(6))).await;
    let mut steps = Vec::new();
    loop {
        match bench.signals.recv().await.unwrap() {
            Signal::Progress("pin-digits", _) => {}
            Signal::Progress(step, details) => {
                steps.push(step);
                match step {
                    "insert-card" => bench.module.insert("unionpay-debit-pin"),
                    "card-read" => assert!(text(&details, "masked_pan").contains("******")),
                    _ => {}
                }
            }
            Signal::OnlineRequested(_) => break,
            Signal::Completed(..) => panic!("it ended"),
        }
    }
    assert_eq!(steps, ["insert-card", "reading", "card-read", "pin", "authorizing"]);
}

#[tokio::test]
async fn cancelling_overtakes_the_wait_for_a_card() {
    let mut bench = begin(FakeModule::new(None, PinPad::Waits)).await;
    bench.reach("insert-card").await;
    bench.line.tell(Command::Cancel).await.unwrap();
    let end = bench.end().await;
    assert_eq!((end.outcome, end.steps.as_slice()), ("cancelled", &[][..]));
}

#[tokio::test]
async fn cancelling_overtakes_a_pin_entry_and_ends_it_in_the_module() {
    let mut bench = begin_with("unionpay-debit-pin", PinPad::Waits).await;
    bench.reach("pin").await;
    bench.line.tell(Command::Cancel).await.unwrap();
    let module = Arc::clone(&bench.module);
    let end = bench.end().await;
    assert_eq!((end.outcome, end.steps.as_slice()), ("cancelled", &["remove-card"][..]));
    assert!(module.pin_cancelled.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_card_that_nobody_inserts_is_not_waited_for_for_ever() {
    let mut bench = begin(FakeModule::new(None, PinPad::Waits)).await;
    bench.reach("insert-card").await;
    let end = bench.end().await;
    assert_eq!((end.outcome, end.reason.as_str()), ("cancelled", "no card was inserted in time"));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_waited_for_in_vain_could_not_be_reached() {
    let mut bench = begin_with("unionpay-credit", PinPad::Waits).await;
    bench.reach_host().await;
    let end = bench.end().await;
    assert_eq!(end.outcome, "declined");
    assert!(end.reason.starts_with("unable to go online"), "{}", end.reason);
}

#[tokio::test]
async fn a_card_declines_what_the_host_declines() {
    let mut bench = begin_with("unionpay-credit", PinPad::Waits).await;
    bench.reach_host().await;
    let refusal = HostAnswer { code: *b"51", issuer_data: Vec::new() };
    bench.line.tell(Command::Authorise(refusal)).await.unwrap();
    assert_eq!(bench.end().await.outcome, "declined");
}

#[tokio::test]
async fn a_card_that_asks_for_the_host_below_its_offline_limit_gets_no_offline_approval() {
    let mut bench = begin_with("approves-offline", PinPad::Waits).await;
    bench.reach_host().await;
    bench.line.tell(Command::UnableToGoOnline).await.unwrap();
    assert_eq!(bench.end().await.outcome, "declined");
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for_is_refused_and_changes_nothing() {
    let mut bench = begin_with("unionpay-debit-pin", PinPad::Waits).await;
    bench.reach("pin").await;
    let answer = || Command::Authorise(HostAnswer { code: *b"00", issuer_data: Vec::new() });
    assert!(is_wrong_state(&bench.line.tell(answer()).await));
    assert!(is_wrong_state(&bench.line.tell(Command::UnableToGoOnline).await));
    let line = bench.line.clone();
    bench.line.tell(Command::Cancel).await.unwrap();
    assert_eq!(bench.end().await.outcome, "cancelled");
    for late in [answer(), Command::UnableToGoOnline, Command::Cancel] {
        assert!(is_wrong_state(&line.tell(late).await));
    }
}

#[tokio::test]
async fn cancelling_while_the_host_is_asked_ends_it_without_a_last_word() {
    let mut bench = begin_with("unionpay-credit", PinPad::Waits).await;
    let card = bench.reach_host().await;
    bench.line.tell(Command::Cancel).await.unwrap();
    let end = bench.end().await;
    assert_eq!(end.outcome, "cancelled");
    assert_eq!(text(&end.result, "cryptogram"), text(&card, "cryptogram"));
}

#[tokio::test]
async fn an_owner_that_goes_away_cancels_before_the_host_is_asked_for_only() {
    let mut bench = begin(FakeModule::new(None, PinPad::Waits)).await;
    bench.reach("insert-card").await;
    bench.line.tell(Command::OwnerGone).await.unwrap();
    assert_eq!(bench.end().await.outcome, "cancelled");

    let mut bench = begin_with("unionpay-credit", PinPad::Waits).await;
    bench.reach_host().await;
    bench.line.tell(Command::OwnerGone).await.unwrap();
    let end = bench.end().await;
    assert_eq!(end.outcome, "declined", "{}", end.reason);
}

/// Runs with a card that is pulled when APDU `number` arrives.
async fn run_pulled_at(number: u32) -> End {
    let mut bench = begin_with(&format!("removed-early:{number}"), PinPad::Waits).await;
    loop {
        match bench.signals.recv().await.unwrap() {
            Signal::OnlineRequested(card) => {
                let answer = approval("removed-early", &card);
                bench.line.tell(Command::Authorise(answer)).await.unwrap();
            }
            Signal::Completed(outcome, result) => {
                let reason = text(&result, "reason").to_owned();
                return End { outcome, reason, result, steps: Vec::new() };
            }
            Signal::Progress(..) => {}
        }
    }
}

#[tokio::test]
async fn a_card_that_is_pulled_at_any_command_is_never_approved() {
    let mut pulled = 0;
    loop {
        let end = run_pulled_at(pulled + 1).await;
        if end.outcome == "approved" {
            break;
        }
        assert_eq!((end.outcome, end.reason.as_str()), ("failed", "the card was removed"));
        pulled += 1;
    }
    assert!(pulled > 10, "a transaction takes more than {pulled} commands");
}

#[tokio::test]
async fn a_card_that_is_pulled_while_the_terminal_waits_ends_it() {
    let mut bench = begin_with("unionpay-debit-pin", PinPad::Waits).await;
    bench.reach("pin").await;
    let module = Arc::clone(&bench.module);
    module.remove();
    // Another card in the same slot does not go on with it.
    module.insert("unionpay-debit-pin");
    assert_eq!(bench.end().await.reason, "the card was removed");
    assert!(module.pin_cancelled.load(Ordering::Relaxed));

    let mut bench = begin_with("unionpay-credit", PinPad::Waits).await;
    bench.reach_host().await;
    bench.module.remove();
    let end = bench.end().await;
    assert_eq!((end.outcome, end.steps.as_slice()), ("failed", &[][..]));
}

#[tokio::test]
async fn a_module_that_goes_away_fails_it_at_any_command() {
    let mut commands = 0;
    loop {
        let module = FakeModule::new(Some("unionpay-credit"), PinPad::Waits);
        module.gone_at.store(commands + 1, Ordering::Relaxed);
        let mut bench = begin(module).await;
        let end = loop {
            match bench.signals.recv().await.unwrap() {
                Signal::OnlineRequested(card) => {
                    let answer = approval("unionpay-credit", &card);
                    bench.line.tell(Command::Authorise(answer)).await.unwrap();
                }
                Signal::Completed(outcome, _) => break outcome,
                Signal::Progress(..) => {}
            }
        };
        if end == "approved" {
            break;
        }
        assert_eq!(end, "failed");
        commands += 1;
    }
    assert!(commands > 10, "a transaction takes more than {commands} commands");
}

#[tokio::test]
async fn a_module_that_goes_away_or_is_opened_ends_every_wait() {
    type Happening = (&'static str, fn(&FakeModule));
    let happenings: [Happening; 3] = [
        ("went away", FakeModule::go),
        ("restarted", |module| module.report(ModuleEvent::Reset)),
        ("tampered", |module| module.report(ModuleEvent::Tampered)),
    ];
    for (reason, happen) in happenings {
        let mut waits = HashMap::new();
        let mut bench = begin(FakeModule::new(None, PinPad::Waits)).await;
        bench.reach("insert-card").await;
        waits.insert("card", bench);
        let mut bench = begin_with("unionpay-debit-pin", PinPad::Waits).await;
        bench.reach("pin").await;
        waits.insert("pin", bench);
        let mut bench = begin_with("unionpay-credit", PinPad::Waits).await;
        bench.reach_host().await;
        waits.insert("host", bench);
        for (wait, bench) in waits {
            happen(&bench.module);
            let handle = bench.handle.clone();
            let end = bench.end().await;
            assert_eq!(end.outcome, "failed", "{wait}");
            assert!(end.reason.contains(reason), "{wait}: {}", end.reason);
            let expected = match reason {
                "went away" => "absent",
                "restarted" => "ready",
                _ => "tampered",
            };
            assert_eq!(handle.now().state(), expected);
        }
    }
}

#[tokio::test]
async fn a_pin_pad_without_a_key_fails_it_and_says_so() {
    let end = begin_with("unionpay-debit-pin", PinPad::Fails).await.end().await;
    assert_eq!(end.outcome, "failed");
    assert!(end.reason.contains("key slot is empty"), "{}", end.reason);
}

#[tokio::test]
async fn without_a_pin_pad_that_works_the_issuer_is_told_so_and_decides() {
    let mut bench = begin_with("unionpay-debit-pin", PinPad::Broken).await;
    let card = bench.reach_host().await;
    assert!(bytes(&card, "pin_block").is_none());
    // EMV Book 3, annex C5: byte 3 of the TVR, PIN entry required and PIN pad not present or not working.
    let tvr = hex::decode(text(&card, "tvr")).unwrap();
    assert_eq!(tvr[2] & 0x10, 0x10, "{tvr:02X?}");
}

#[tokio::test]
async fn a_card_whose_track_names_another_account_is_not_sent_to_the_host() {
    let mut module = FakeModule::new(Some("visa"), PinPad::Waits);
    module.swaps_track = true;
    let end = begin(module).await.end().await;
    assert_eq!(end.outcome, "failed");
    assert!(end.reason.contains("is not the card's PAN"), "{}", end.reason);
}

#[tokio::test]
async fn a_mute_chip_fails_it() {
    let end = begin_with("chip-mute", PinPad::Waits).await.end().await;
    assert_eq!(end.outcome, "failed");
    assert!(end.reason.contains("does not answer"), "{}", end.reason);
}
