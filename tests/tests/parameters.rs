//! Parameters of the EMV kernel from the host: what it has replaces what is shipped, a set at a time, and the next sale shows it.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use client::card::CardParametersProxy;
use client::parameters::ParametersProxy;
use client::{Dictionary, get};
use futures_util::StreamExt as _;
use sim_terminal::{Part, programs};
use smartpos_tests::{Bench, Shop, error_name, option, text, until, within};
use zbus::Connection;

const UNIONPAY_KEY: &str = "A000000333 F0";
/// Data authentication failed: bits 7 and 4 of the first byte of the TVR (Book 3 Annex C5).
const SDA_OR_DDA_FAILED: u8 = 0x48;

struct Office {
    bus: Connection,
    parameters: ParametersProxy<'static>,
    card: CardParametersProxy<'static>,
    shop: Shop,
}

impl Office {
    async fn of(bench: &Bench) -> Office {
        let bus = bench.terminal.system_bus().await.unwrap();
        Office {
            parameters: client::proxy(&bus).await.unwrap(),
            card: client::proxy(&bus).await.unwrap(),
            shop: Shop::new(bus.clone(), "operator").await,
            bus,
        }
    }

    /// Fetches everything; its outcome, and how the result tells it.
    async fn download(&self) -> (String, Dictionary) {
        let mut ends = self.parameters.receive_completed().await.unwrap();
        self.parameters.download(HashMap::new()).await.expect("it is begun");
        let end = within("the end of the download", ends.next()).await.expect("it ends");
        let outcome = end.args().unwrap().outcome().to_string();
        (outcome, self.parameters.get_result().await.unwrap())
    }

    /// Where the two sets are from, and how many records they have.
    async fn in_force(&self) -> [(String, usize); 2] {
        let (capks, keys) = self.card.list("capks").await.unwrap();
        let (applications, all) = self.card.list("applications").await.unwrap();
        [(capks, keys.len()), (applications, all.len())]
    }

    /// The first byte of the TVR of a sale.
    async fn authentication(&self, key: &str) -> u8 {
        let (outcome, result) = self.shop.sell(1234, key).await;
        assert_eq!(outcome, "approved", "{result:?}");
        u8::from_str_radix(text(&result, "tvr").get(..2).unwrap(), 16).unwrap()
    }
}

fn sets(capks: (&str, usize), applications: (&str, usize)) -> [(String, usize); 2] {
    [(capks.0.to_string(), capks.1), (applications.0.to_string(), applications.1)]
}

#[tokio::test]
async fn what_the_host_has_is_in_force_for_the_next_sale_and_after_a_restart() {
    let mut bench = Bench::start().await;
    let office = Office::of(&bench).await;
    assert_eq!(office.in_force().await, sets(("shipped", 3), ("shipped", 5)));
    bench.sim("card insert unionpay-credit").await;
    assert_eq!(office.authentication("before").await & SDA_OR_DDA_FAILED, 0);
    bench.sim(&format!("host capk revoke {UNIONPAY_KEY}")).await;
    let (outcome, result) = office.download().await;
    assert_eq!(outcome, "completed", "{result:?}\n{}", bench.logs());
    assert_eq!((get(&result, "capks"), get(&result, "applications")), (Some(2_u32), Some(5_u32)));
    assert_eq!(office.in_force().await, sets(("host", 2), ("host", 5)));
    assert_ne!(office.authentication("revoked").await & SDA_OR_DDA_FAILED, 0, "the key is gone");
    bench.kill_and_restart(Part::Cardd).await;
    until("cardd to have its module", async || office.shop.payment.state().await == Ok("ready".to_string()))
        .await;
    assert_eq!(office.in_force().await, sets(("host", 2), ("host", 5)));
    bench.sim(&format!("host capk add {UNIONPAY_KEY}")).await;
    assert_eq!(office.download().await.0, "completed");
    assert_eq!(office.authentication("again").await & SDA_OR_DDA_FAILED, 0);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn what_the_host_says_is_due_at_sign_on_is_fetched_when_there_is_time() {
    let mut bench = Bench::start().await;
    bench.sim("host application floor A000000333010102 6000").await;
    bench.sim("card insert unionpay-credit").await;
    // The first attempt fails; it is tried again without being asked for.
    bench.sim("host once 0820 decline 96").await;
    let office = Office::of(&bench).await;
    assert_eq!(office.shop.sell(100, "first").await.0, "approved", "{}", bench.logs());
    let limit = async |office: &Office| {
        let (source, all) = office.card.list("applications").await.unwrap();
        let credit = all.iter().find(|one| text(one, "aid") == "A000000333010102").unwrap();
        (source, get::<u64>(credit, "floor_limit"))
    };
    until("the floor limit", async || limit(&office).await == ("host".to_string(), Some(6000))).await;
    until("the host to know", async || office.parameters.state().await == Ok("idle".to_string())).await;
    assert_eq!(office.in_force().await[0].0, "shipped", "CA keys were not due");
    bench.kill_and_restart(Part::Paymentd).await;
    let office = Office::of(&bench).await;
    assert_eq!(office.shop.sell(100, "second").await.0, "approved");
    assert_eq!(office.parameters.state().await.unwrap(), "idle", "nothing is due any more");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn what_the_host_says_of_the_terminal_makes_limits_tighter_and_outlives_a_restart() {
    let mut bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    bench.sim("host terminal 19 05").await;
    let office = Office::of(&bench).await;
    assert!(office.parameters.get_terminal().await.unwrap().is_empty(), "it has said nothing yet");
    // The sign-on before it tells that something is due.
    assert_eq!(office.shop.sell(1000, "first").await.0, "approved", "{}", bench.logs());
    let percent =
        async |office: &Office| get::<u32>(&office.parameters.get_terminal().await.unwrap(), "tip_percent");
    until("the limit", async || percent(&office).await == Some(5)).await;
    bench.kill_and_restart(Part::Paymentd).await;
    let office = Office::of(&bench).await;
    assert_eq!(percent(&office).await, Some(5));
    let tip =
        async |amount| office.shop.payment.start_tip_adjustment("first", amount, "tip", HashMap::new()).await;
    assert_eq!(error_name(tip(51).await), "InvalidArgument");
    let (outcome, result) = office.shop.run("tip", tip(50)).await;
    assert_eq!(outcome, "approved", "{result:?}");
    // What can't be read leaves what was there.
    bench.sim("host terminal 19 04").await;
    bench.sim("host parameters cut").await;
    let (outcome, result) = office.download().await;
    assert_eq!((outcome.as_str(), percent(&office).await), ("failed", Some(5)), "{result:?}");
    bench.sim("host parameters truthful").await;
    assert_eq!((office.download().await.0.as_str(), percent(&office).await), ("completed", Some(4)));
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_download_that_breaks_at_any_message_leaves_each_set_old_or_new() {
    let bench = Bench::start().await;
    let office = Office::of(&bench).await;
    let keys = "A000000003 F0";
    // Two CA keys, their end, five applications, their end.
    for cut in 0..9 {
        assert_eq!(office.download().await.0, "completed", "{}", bench.logs());
        bench.sim(&format!("host capk revoke {keys}")).await;
        let how = if cut % 2 == 0 { "drop before" } else { "drop after" };
        bench.sim(&format!("host script {}0800 {how}", "0800 approve; ".repeat(cut))).await;
        let (outcome, result) = office.download().await;
        assert_eq!(outcome, "failed", "cut at {cut}: {result:?}");
        let left = if cut < 2 { 3 } else { 2 };
        assert_eq!(office.in_force().await, sets(("host", left), ("host", 5)), "cut at {cut}");
        bench.sim(&format!("host capk add {keys}")).await;
    }
}

#[tokio::test]
async fn a_daemon_that_dies_in_the_middle_leaves_the_old_set() {
    let mut bench = Bench::start().await;
    let office = Office::of(&bench).await;
    assert_eq!(office.download().await.0, "completed");
    bench.sim("host capk revoke A000000003 F0").await;
    for part in [Part::Paymentd, Part::Cardd] {
        bench.sim("host script 0800 approve; 0800 late 600s").await;
        let office = Office::of(&bench).await;
        office.parameters.download(HashMap::new()).await.unwrap();
        until("a record", async || office.parameters.progress().await == Ok("capks".to_string())).await;
        bench.kill_and_restart(part).await;
        let office = Office::of(&bench).await;
        until("cardd", async || office.card.list("capks").await.is_ok()).await;
        assert_eq!(office.in_force().await, sets(("host", 3), ("host", 5)), "{part} died");
        until("its end", async || office.parameters.state().await != Ok("running".to_string())).await;
    }
    bench.sim("host restart").await;
    let office = Office::of(&bench).await;
    until("a download", async || office.download().await.0 == "completed").await;
    assert_eq!(office.in_force().await[0], ("host".to_string(), 2));
}

#[tokio::test]
async fn a_set_of_nonsense_changes_nothing_is_told_and_keeps_no_other_set_away() {
    let bench = Bench::start().await;
    let office = Office::of(&bench).await;
    for (wrong, told) in [
        ("wrong check", "SHA-1"),
        ("cut", "capks"),
        ("other", "not the one that was asked for"),
        ("twice", "one of them twice"),
        ("endless", "no end"),
    ] {
        bench.sim(&format!("host parameters {wrong}")).await;
        let (outcome, result) = office.download().await;
        assert_eq!(outcome, "failed", "{wrong}");
        assert!(text(&result, "reason").contains(told), "{wrong}: {result:?}");
        assert_eq!(office.in_force().await, sets(("shipped", 3), ("host", 5)), "{wrong}");
    }
    bench.sim("host parameters truthful").await;
    bench.sim("host once 0820 wrong mac").await;
    let (outcome, result) = office.download().await;
    assert_eq!(outcome, "failed");
    assert!(text(&result, "reason").contains("authentic"), "{result:?}");
    assert_eq!(office.download().await.0, "completed", "{}", bench.logs());
}

#[tokio::test]
async fn a_sale_goes_before_a_download_and_the_download_is_done_afterwards() {
    let bench = Bench::start().await;
    let office = Office::of(&bench).await;
    bench.sim("card insert unionpay-credit").await;
    assert_eq!(office.download().await.0, "completed");
    bench.sim("host once 0800 late 600s").await;
    let mut ends = office.parameters.receive_completed().await.unwrap();
    office.parameters.download(HashMap::new()).await.unwrap();
    until("a record", async || office.parameters.progress().await == Ok("capks".to_string())).await;
    assert_eq!(office.shop.sell(1234, "sale").await.0, "approved", "{}", bench.logs());
    let end = within("the download", ends.next()).await.unwrap();
    assert_eq!(*end.args().unwrap().outcome(), "completed", "{}", bench.logs());
    assert_eq!(error_name(office.parameters.cancel().await), "WrongState");
    bench.sim("host once 0820 late 600s").await;
    office.parameters.download(HashMap::new()).await.unwrap();
    office.parameters.cancel().await.unwrap();
    let end = within("the download", ends.next()).await.unwrap();
    assert_eq!(*end.args().unwrap().outcome(), "cancelled");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn parameters_are_for_operators_who_may_and_for_nobody_else() {
    let uid = rustix::process::getuid().as_raw();
    let crew = format!("[roles]\ntill = ['payment.start']\n[operators.ann]\nuid = {uid}\nroles = ['till']\n");
    let bench = Bench::start_with(&[("smartpos", &crew)]).await;
    let office = Office::of(&bench).await;
    assert_eq!(error_name(office.parameters.download(HashMap::new()).await), "NotPermitted");
    assert_eq!(error_name(office.card.replace("capks", &[]).await), "NotPermitted");
    assert_eq!(error_name(office.card.list("keys").await), "InvalidArgument");
    let apps = bench.terminal.app_bus().await.unwrap();
    let parameters = client::proxy::<ParametersProxy>(&apps).await.unwrap();
    let refused = error_name(parameters.download(HashMap::new()).await);
    assert_eq!(refused, "org.freedesktop.DBus.Error.UnknownObject", "it is not on the bus of the apps");

    let bench = Bench::start().await;
    let office = Office::of(&bench).await;
    let unknown = office.parameters.download(option("sets", "capks")).await;
    assert_eq!(error_name(unknown), "InvalidArgument");
    let bench = Bench::start_as(&[], |terminal| terminal.host_profile("iso8583-1987-ascii")).await;
    let office = Office::of(&bench).await;
    assert_eq!(error_name(office.parameters.download(HashMap::new()).await), "NotSupported");
    drop(office.bus);
}

#[tokio::test]
async fn the_operator_fetches_and_shows_parameters_from_a_shell() {
    let bench = Bench::start().await;
    let posctl = async |words: &[&str]| {
        let mut command = tokio::process::Command::new(programs().unwrap().join("posctl"));
        let output = command.args(words).envs(bench.terminal.environment()).output().await.unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(posctl(&["capks"]).await.starts_with("3 capks, from: shipped\n"));
    let result = posctl(&["parameters", "download"]).await;
    assert!(result.contains("completed"), "{result}");
    let capks = posctl(&["capks"]).await;
    assert!(capks.starts_with("3 capks, from: host\n") && capks.contains("2049-12-31"), "{capks}");
    let applications = posctl(&["parameters", "show"]).await;
    assert!(
        applications.contains("A000000333010101") && applications.contains("UnionPay debit"),
        "{applications}"
    );
    let json: serde_json::Value = serde_json::from_str(&posctl(&["--json", "capks"]).await).unwrap();
    assert_eq!(json["source"], "host");
}
