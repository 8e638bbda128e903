//! Cards for apps: an app claims the slot and talks to a membership; no payment application ever hears it.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use client::card::{CardClaimProxy, CardModuleProxy, CardProxy};
use futures_util::StreamExt as _;
use sim_terminal::{MEMBERSHIP, Part};
use smartpos_tests::{Bench, error_name, option, until, within};
use zbus::message::Type as MessageType;
use zbus::{Connection, MatchRule, MessageStream};

/// READ BINARY of the member's number.
const NUMBER: &str = "00B0810000";

/// An app that has claimed the slot.
struct Claim {
    proxy: CardClaimProxy<'static>,
    signals: MessageStream,
}

impl Claim {
    async fn begin(bus: &Connection, seconds: u32) -> zbus::Result<Claim> {
        Claim::of("contact", bus, seconds).await
    }

    async fn of(slot: &str, bus: &Connection, seconds: u32) -> zbus::Result<Claim> {
        let rule = MatchRule::builder()
            .msg_type(MessageType::Signal)
            .interface("org.smartpos.CardClaim1")
            .build()?;
        let signals = MessageStream::for_match_rule(rule, bus, None).await?;
        let card = client::proxy::<CardProxy>(bus).await?;
        let path = card.claim(slot, option("timeout_s", seconds)).await?;
        assert_eq!(path.as_str(), format!("/org/smartpos/Card/claim/dev_2eexample_2eshop/{slot}"));
        Ok(Claim { proxy: client::proxy_at::<CardClaimProxy>(bus, path).await?, signals })
    }

    /// Waits for the signal `member`, and returns what it says.
    async fn told(&mut self, member: &str) -> String {
        within(member, async {
            loop {
                let Some(Ok(message)) = self.signals.next().await else { panic!("the bus went away") };
                if message.header().member().is_some_and(|name| name.as_str() == member) {
                    return message.body().deserialize().expect("a text");
                }
            }
        })
        .await
    }

    async fn send(&self, command: &str) -> zbus::Result<String> {
        let answer = self.proxy.exchange(&hex::decode(command).unwrap()).await?;
        Ok(hex::encode_upper(answer))
    }

    /// Powers the card up and selects the membership.
    async fn select(&self) -> zbus::Result<()> {
        self.proxy.power_on().await?;
        let answer = self.send(&select(MEMBERSHIP)).await?;
        assert!(answer.ends_with("9000"), "{answer}");
        Ok(())
    }
}

/// Takes the card out, and waits until the terminal has seen it.
async fn remove_card(bench: &Bench) {
    bench.sim("card remove").await;
    let bus = bench.terminal.system_bus().await.unwrap();
    let card = client::proxy::<CardProxy>(&bus).await.unwrap();
    until("the slot to be empty", async || !card.card_present().await.unwrap()).await;
}

/// How many commands the card in the slot has heard since it was put in.
async fn heard(bench: &Bench) -> u64 {
    let status = bench.sim("card status").await;
    status.data.get("heard").and_then(|count| count.as_u64()).expect("a count")
}

fn select(name: &str) -> String {
    format!("00A40400{:02X}{name}00", name.len() / 2)
}

fn number(text: &str) -> String {
    hex::encode_upper(text) + "9000"
}

#[tokio::test]
async fn an_app_talks_to_a_membership_beside_a_payment_application() {
    let bench = Bench::start().await;
    let app = bench.terminal.app_bus().await.unwrap();
    for (card, member) in [("co-branded", "M-0000042"), ("t0-exchange", "M-0000044")] {
        let mut claim = Claim::begin(&app, 60).await.unwrap();
        assert_eq!(claim.proxy.state().await.unwrap(), "waiting");
        assert_eq!(error_name(claim.proxy.power_on().await), "DeviceGone");
        assert_eq!(error_name(claim.send(NUMBER).await), "DeviceGone");
        bench.sim(&format!("card insert {card}")).await;
        assert_eq!(claim.told("StateChanged").await, "present");
        assert_eq!(error_name(claim.send(NUMBER).await), "WrongState", "without power");
        assert_eq!(claim.proxy.power_on().await.unwrap().first(), Some(&0x3B), "an answer to reset");
        assert_eq!(claim.told("StateChanged").await, "powered");
        assert_eq!(error_name(claim.send(NUMBER).await), "WrongState", "before SELECT");
        assert!(claim.send(&select(MEMBERSHIP)).await.unwrap().starts_with("6F"), "{card}");
        assert_eq!(claim.send(NUMBER).await.unwrap(), number(member));
        assert_eq!(claim.send("80500000010500").await.unwrap(), "00059000");
        assert_eq!(claim.send("80500000010700").await.unwrap(), "000C9000");
        claim.proxy.power_on().await.unwrap();
        assert_eq!(error_name(claim.send(NUMBER).await), "WrongState", "after a reset");
        claim.proxy.release().await.unwrap();
        assert_eq!(claim.proxy.state().await.unwrap(), "ended");
        assert_eq!(error_name(claim.send(NUMBER).await), "NotClaimed");
        remove_card(&bench).await;
    }
}

#[tokio::test]
async fn a_payment_application_hears_nothing_of_an_app_in_any_disguise() {
    let bench = Bench::start().await;
    let app = bench.terminal.app_bus().await.unwrap();
    bench.sim("card insert co-branded").await;
    let claim = Claim::begin(&app, 60).await.unwrap();
    claim.proxy.power_on().await.unwrap();
    let disguises = [
        select("A000000333010102"),
        select("A000000333"),
        select("315041592E5359532E4444463031"),
        select("F0534D4152"),
        "00A4040208A00000033301010200".to_string(),
        "01A4040008A00000033301010200".to_string(),
        "00A4000C023F00".to_string(),
        "0070000001".to_string(),
        "00C200000CA4040008A000000333010102".to_string(),
        "00C0000000".to_string(),
        "80A8000002830000".to_string(),
        "002000800812345678FFFFFFFF".to_string(),
    ];
    for command in &disguises {
        assert_eq!(error_name(claim.send(command).await), "NotPermitted", "{command}");
        assert_eq!(error_name(claim.send("00B2010C00").await), "WrongState", "after {command}");
    }
    assert_eq!(error_name(claim.send("00A40400").await), "InvalidArgument");
    assert_eq!(heard(&bench).await, 0, "what was refused has reached the card");
    // Nor through the membership.
    claim.select().await.unwrap();
    let selected = heard(&bench).await;
    assert!(selected > 0);
    for command in &disguises {
        assert_eq!(error_name(claim.send(command).await), "NotPermitted", "{command}");
    }
    assert_eq!(heard(&bench).await, selected, "what was refused has reached the card");
    assert_eq!(claim.send(NUMBER).await.unwrap(), number("M-0000042"));
    claim.proxy.release().await.unwrap();
    remove_card(&bench).await;
    // A card that answers with another name than it was called by.
    bench.sim("card insert impostor").await;
    let claim = Claim::begin(&app, 60).await.unwrap();
    assert_eq!(error_name(claim.select().await), "NotPermitted");
    assert_eq!(claim.proxy.state().await.unwrap(), "present", "without power");
    assert_eq!(error_name(claim.send(NUMBER).await), "WrongState");
}

#[tokio::test]
async fn a_payment_takes_the_slot_from_a_claim_and_gets_its_card() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    let mut claim = Claim::begin(&shop.bus, 60).await.unwrap();
    let mut sale = shop.start(1234, "order-1").await.unwrap();
    sale.reached("insert-card").await;
    assert_eq!(claim.told("Revoked").await, "payment");
    assert_eq!(error_name(claim.proxy.power_on().await), "NotClaimed");
    assert_eq!(error_name(Claim::begin(&shop.bus, 60).await.map(|_| ())), "Busy");
    bench.sim("card insert co-branded").await;
    assert_eq!(sale.completed().await.0, "approved");
    // A card that an app is talking to begins anew with the payment.
    let mut claim = Claim::begin(&shop.bus, 60).await.unwrap();
    claim.select().await.unwrap();
    assert_eq!(shop.sell(200, "order-3").await.0, "approved");
    assert_eq!(claim.told("Revoked").await, "payment");
    assert_eq!(error_name(claim.send(NUMBER).await), "NotClaimed");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_claim_ends_with_its_app_its_time_its_card_and_its_module() {
    let mut bench = Bench::start().await;
    let app = bench.terminal.app_bus().await.unwrap();
    let other = bench.terminal.app_bus().await.unwrap();
    let claim = Claim::begin(&other, 60).await.unwrap();
    assert_eq!(error_name(Claim::begin(&app, 60).await.map(|_| ())), "Busy");
    // The object is its connection's alone.
    let path = claim.proxy.inner().path().to_owned();
    let stolen = client::proxy_at::<CardClaimProxy>(&app, path.into()).await.unwrap();
    assert_eq!(error_name(stolen.power_on().await), "NotPermitted");
    assert_eq!(error_name(stolen.release().await), "NotPermitted");
    drop(claim);
    other.close().await.unwrap();
    let mut claim = None;
    within("the slot to be free", async {
        while claim.is_none() {
            claim = Claim::begin(&app, 1).await.ok();
        }
    })
    .await;
    assert_eq!(claim.expect("one of a second").told("Revoked").await, "timeout");

    bench.sim("card insert co-branded").await;
    let mut claim = Claim::begin(&app, 60).await.unwrap();
    claim.select().await.unwrap();
    bench.sim("card remove").await;
    assert_eq!(claim.told("Revoked").await, "card-removed");
    let mut claim = Claim::begin(&app, 60).await.unwrap();
    bench.terminal.kill(Part::Module).await.unwrap();
    assert_eq!(claim.told("Revoked").await, "module-gone");
    bench.module_is("absent").await;
    assert_eq!(error_name(Claim::begin(&app, 60).await.map(|_| ())), "DeviceGone");
}

#[tokio::test]
async fn a_card_that_is_pulled_at_any_command_ends_the_claim_and_no_more() {
    let bench = Bench::start().await;
    let app = bench.terminal.app_bus().await.unwrap();
    for at in 1..=3 {
        bench.sim(&format!("card insert removed-early:{at}")).await;
        let mut claim = Claim::begin(&app, 60).await.unwrap();
        claim.proxy.power_on().await.unwrap();
        let mut pulled = None;
        for command in [select(MEMBERSHIP), NUMBER.to_string(), "80500000010500".to_string()] {
            if let Err(error) = claim.send(&command).await {
                pulled = Some(error);
                break;
            }
        }
        let pulled = pulled.unwrap_or_else(|| panic!("nothing was pulled at {at}"));
        assert_eq!(error_name::<()>(Err(pulled)), "DeviceGone");
        assert_eq!(claim.told("Revoked").await, "card-removed");
        assert_eq!(error_name(claim.proxy.power_on().await), "NotClaimed");
    }
}

#[tokio::test]
async fn an_app_talks_to_a_psam_and_a_card_at_once_until_a_payment_begins() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    bench.sim("card insert co-branded").await;
    let mut sam = Claim::of("sam1", &shop.bus, 60).await.unwrap();
    assert_eq!(sam.proxy.state().await.unwrap(), "present");
    assert_eq!(error_name(Claim::of("sam1", &shop.bus, 60).await.map(|_| ())), "Busy");
    let card = Claim::begin(&shop.bus, 60).await.unwrap();
    sam.select().await.unwrap();
    card.select().await.unwrap();
    assert_eq!(sam.send(NUMBER).await.unwrap(), number("S-0000001"));
    assert_eq!(card.send(NUMBER).await.unwrap(), number("M-0000042"));
    assert_eq!(error_name(sam.send(&select("A000000333010102")).await), "NotPermitted");
    // Whose card comes and goes is nothing to the PSAM.
    card.proxy.release().await.unwrap();
    remove_card(&bench).await;
    sam.select().await.unwrap();
    bench.sim("card insert co-branded").await;
    let _card = Claim::begin(&shop.bus, 60).await.unwrap();
    assert_eq!(shop.sell(1234, "order-1").await.0, "approved");
    assert_eq!(sam.told("Revoked").await, "payment");
    assert_eq!(error_name(sam.send(NUMBER).await), "NotClaimed");
    for (slot, expected) in [
        ("sam2", "DeviceGone"),
        ("sam3", "NotSupported"),
        // The app was granted no more than three.
        ("sam4", "NotPermitted"),
        ("sam5", "InvalidArgument"),
    ] {
        assert_eq!(error_name(Claim::of(slot, &shop.bus, 60).await.map(|_| ())), expected, "{slot}");
    }
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_settlement_is_not_held_up_by_an_app_that_talks_to_its_card_all_the_while() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    bench.sim("card insert co-branded").await;
    assert_eq!(shop.sell(1234, "order-1").await.0, "approved", "{}", bench.logs());
    let mut claim = Claim::begin(&shop.bus, 60).await.unwrap();
    claim.select().await.unwrap();
    let talk = async {
        // Until the settlement takes the module.
        loop {
            match claim.send(NUMBER).await {
                Ok(answer) => assert_eq!(answer, number("M-0000042")),
                Err(error) => break error_name::<()>(Err(error)),
            }
        }
    };
    let settle = shop.run("close", shop.payment.start_settlement("close", HashMap::new()));
    let (last, (outcome, result)) = within("both", async { tokio::join!(talk, settle) }).await;
    assert_eq!((last.as_str(), outcome.as_str()), ("NotClaimed", "approved"), "{result:?}\n{}", bench.logs());
    assert_eq!(claim.told("Revoked").await, "payment");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_claim_dies_with_cardd_and_the_card_has_no_power_for_who_comes_next() {
    let mut bench = Bench::start().await;
    let shop = bench.shop().await;
    bench.sim("card insert co-branded").await;
    let claim = Claim::begin(&shop.bus, 60).await.unwrap();
    claim.select().await.unwrap();
    bench.kill_and_restart(Part::Cardd).await;
    bench.module_is("ready").await;
    // The object was the dead one's.
    assert!(claim.send(NUMBER).await.is_err());
    let claim = Claim::begin(&shop.bus, 60).await.unwrap();
    assert_eq!(error_name(claim.send(NUMBER).await), "WrongState", "the card lost its power");
    claim.select().await.unwrap();
    assert_eq!(claim.send(NUMBER).await.unwrap(), number("M-0000042"));
    bench.kill_and_restart(Part::Cardd).await;
    bench.module_is("ready").await;
    assert_eq!(shop.sell(1234, "order-1").await.0, "approved", "{}", bench.logs());
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_update_of_the_module_takes_the_slot_from_a_claim() {
    let bench = Bench::start().await;
    let app = bench.terminal.app_bus().await.unwrap();
    let operator = bench.terminal.system_bus().await.unwrap();
    let module = client::proxy::<CardModuleProxy>(&operator).await.unwrap();
    let mut claim = Claim::begin(&app, 60).await.unwrap();
    assert_eq!(error_name(module.begin_update(b"none").await), "InvalidArgument");
    assert_eq!(claim.told("Revoked").await, "module-upkeep");
}

#[tokio::test]
async fn a_claim_takes_a_grant_a_slot_and_a_time() {
    let bench = Bench::start().await;
    let app = bench.terminal.app_bus().await.unwrap();
    let operator = bench.terminal.system_bus().await.unwrap();
    let card = client::proxy::<CardProxy>(&app).await.unwrap();
    for (slot, options, expected) in [
        ("contactless", HashMap::new(), "NotSupported"),
        ("", HashMap::new(), "InvalidArgument"),
        ("Contact", HashMap::new(), "InvalidArgument"),
        ("contact", option("timeout_s", 0u32), "InvalidArgument"),
        ("contact", option("timeout_s", 301u32), "InvalidArgument"),
        ("contact", option("timeout_s", "60"), "InvalidArgument"),
        ("contact", option("timeout", 60u32), "InvalidArgument"),
    ] {
        assert_eq!(error_name(card.claim(slot, options).await), expected, "{slot}");
    }
    let operators = client::proxy::<CardProxy>(&operator).await.unwrap();
    assert_eq!(error_name(operators.claim("contact", HashMap::new()).await), "NotPermitted");
    assert_eq!(error_name(card.list_claims().await), "NotPermitted");
    assert_eq!(operators.list_claims().await.unwrap(), []);
    let claim = Claim::begin(&app, 60).await.unwrap();
    let expected = [("contact".to_string(), sim_terminal::APP.to_string())];
    assert_eq!(operators.list_claims().await.unwrap(), expected);
    claim.proxy.release().await.unwrap();
    assert_eq!(operators.list_claims().await.unwrap(), []);

    let grants = "[apps.\"dev.example.shop\"]\npermissions = [\"payment.start\", \"device.status\"]\n";
    let bench = Bench::start_with(&[("smartpos", grants)]).await;
    let app = bench.terminal.app_bus().await.unwrap();
    assert_eq!(error_name(Claim::begin(&app, 60).await.map(|_| ())), "NotPermitted");
    let grants = "[apps.\"dev.example.shop\"]\npermissions = [\"card.nonpayment\"]\n";
    let bench = Bench::start_with(&[("smartpos", grants)]).await;
    let app = bench.terminal.app_bus().await.unwrap();
    assert_eq!(error_name(Claim::of("sam1", &app, 60).await.map(|_| ())), "NotPermitted");
    Claim::begin(&app, 60).await.unwrap();
    // With the grant and no application: nothing can be selected.
    let grants = "[apps.\"dev.example.shop\"]\ncard_applications = []\n";
    let bench = Bench::start_with(&[("smartpos", grants)]).await;
    let app = bench.terminal.app_bus().await.unwrap();
    bench.sim("card insert co-branded").await;
    let claim = Claim::begin(&app, 60).await.unwrap();
    assert_eq!(error_name(claim.select().await), "NotPermitted");
}
