//! No PAN, track or PIN leaves the card module's side: not to disk, not to a log, not over a bus, not into paymentd's memory.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use sim_terminal::Part;
use smartpos_tests::{Bench, Sale, Shop};
use zbus::fdo::MonitoringProxy;
use zbus::{Connection, MessageStream};

const CARD: &str = "unionpay-debit-pin";
/// A PIN so long that finding it is no accident. It is wrong, but entered, enciphered and sent like a right one.
const PIN: &str = "908172635401";

/// The forms in which the secrets would show: as text, and as the digits of a track or a PIN block.
fn secrets(card: &str) -> Vec<(&'static str, Vec<u8>)> {
    let profile = sim_cards::profiles().find(|profile| profile.name == card).expect("the card exists");
    let pan = profile.pan.digits().to_string();
    vec![
        ("the PAN as text", pan.clone().into_bytes()),
        ("the PAN as BCD", bcd(&pan)),
        ("the PIN as text", PIN.as_bytes().to_vec()),
        ("the PIN as BCD", bcd(PIN)),
    ]
}

/// Whole bytes of two digits each; a last odd digit is left out.
fn bcd(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().map(|digit| digit - b'0').collect();
    digits.as_chunks().0.iter().map(|[high, low]| high << 4 | low).collect()
}

fn found_in<'a>(content: &[u8], secrets: &'a [(&'static str, Vec<u8>)]) -> Option<&'a str> {
    secrets.iter().find(|(_, secret)| contains(content, secret)).map(|(name, _)| *name)
}

fn contains(content: &[u8], part: &[u8]) -> bool {
    content.windows(part.len()).any(|window| window == part)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// Everything that passes over a bus, as bytes.
async fn monitor(bus: &Connection) -> Arc<Mutex<Vec<u8>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut stream = MessageStream::from(bus);
    MonitoringProxy::new(bus).await.unwrap().become_monitor(&[], 0).await.expect("the bus may be monitored");
    let copy = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            copy.lock().unwrap().extend_from_slice(message.data().bytes());
        }
    });
    seen
}

fn core_dump(bench: &Bench, part: Part) -> Vec<u8> {
    let pid = bench.terminal.pid(part).expect("it runs").to_string();
    let prefix = bench.folder().join(format!("core-{part}"));
    let output =
        Command::new("gcore").arg("-o").arg(&prefix).arg(&pid).output().expect("gcore, of Debian's gdb");
    let file = PathBuf::from(format!("{}.{pid}", prefix.display()));
    let core = fs::read(&file).unwrap_or_else(|error| panic!("no core dump: {error}: {output:?}"));
    fs::remove_file(file).expect("the core dump is ours");
    core
}

#[tokio::test]
async fn no_secret_of_the_card_is_in_the_journal_the_logs_the_buses_or_paymentds_memory() {
    let bench = Bench::start().await;
    let secrets = secrets(CARD);
    let buses = [bench.terminal.system_bus().await.unwrap(), bench.terminal.app_bus().await.unwrap()];
    let seen = [monitor(&buses[0]).await, monitor(&buses[1]).await];
    bench.sim(&format!("card insert {CARD}")).await;
    bench.sim(&format!("pin {PIN}")).await;
    bench.sim("host once late 3s").await;
    bench.sim("host once late 1s").await;
    let shop = bench.shop().await;
    let mut sale = shop.start(1234, "order-1").await.unwrap();
    sale.reached("host").await;
    let during = core_dump(&bench, Part::Paymentd);
    let (_, result) = sale.completed().await;
    let masked = smartpos_tests::text(&result, "masked_pan").as_bytes().to_vec();
    let after = core_dump(&bench, Part::Paymentd);

    for (when, core) in [("during the sale", &during), ("after the sale", &after)] {
        assert_eq!(found_in(core, &secrets), None, "in paymentd's memory {when}");
        assert!(contains(core, &masked), "the dump {when} is not of the process that sold");
    }
    // The host's issuer knows the PAN: the search would find one.
    assert!(
        found_in(&core_dump(&bench, Part::Acquirer), &secrets).is_some(),
        "the search finds nothing anywhere"
    );

    for (bus, seen) in ["system", "app"].iter().zip(seen) {
        let seen = seen.lock().unwrap().clone();
        assert_eq!(found_in(&seen, &secrets), None, "on the {bus} bus");
        assert!(contains(&seen, &masked), "the monitor of the {bus} bus saw nothing of the sale");
    }
    let layout = bench.terminal.layout();
    let mut kept = files_below(&layout.root().join("log"));
    kept.extend(files_below(&layout.root().join("state")));
    assert!(
        kept.iter().any(|file| fs::read(file).is_ok_and(|content| contains(&content, &masked))),
        "no journal read"
    );
    for file in kept {
        let content = fs::read(&file).unwrap_or_default();
        assert_eq!(found_in(&content, &secrets), None, "in {}", file.display());
    }
}

#[tokio::test]
async fn a_card_that_has_left_leaves_nothing_in_cardds_memory() {
    let bench = Bench::start().await;
    let secrets = secrets(CARD);
    bench.sim(&format!("card insert {CARD}")).await;
    bench.sim("pin 123456").await;
    bench.sim("host once late 1s").await;
    let shop = bench.shop().await;
    let mut sale = shop.start(1234, "order-1").await.unwrap();
    sale.reached("host").await;
    let during = core_dump(&bench, Part::Cardd);
    assert!(
        found_in(&during, &secrets).is_some_and(|name| name.contains("PAN")),
        "it is there while it pays"
    );
    assert_eq!(sale.completed().await.0, "approved");
    bench.sim("card remove").await;
    smartpos_tests::until("cardd's memory is wiped", async || {
        found_in(&core_dump(&bench, Part::Cardd), &secrets).is_none()
    })
    .await;
}

#[tokio::test]
async fn a_pin_that_the_card_verifies_is_in_no_daemons_memory_either() {
    let bench = Bench::start().await;
    let secrets: Vec<_> = secrets(CARD).into_iter().filter(|(name, _)| name.contains("PIN")).collect();
    assert_eq!(secrets.len(), 2);
    let buses = [bench.terminal.system_bus().await.unwrap(), bench.terminal.app_bus().await.unwrap()];
    let seen = [monitor(&buses[0]).await, monitor(&buses[1]).await];
    // Handed to the card in the clear, where it is wrong; then the right one.
    bench.sim("card insert offline-pin").await;
    bench.sim(&format!("pin {PIN}")).await;
    bench.sim("pin 1234").await;
    for _ in 0..2 {
        bench.sim("host once late 1s").await;
    }
    let shop = bench.shop().await;
    let mut sale = shop.start(1234, "order-1").await.unwrap();
    sale.reached("host").await;
    let dumps = [Part::Paymentd, Part::Cardd].map(|part| (part, core_dump(&bench, part)));
    let (_, result) = sale.completed().await;
    assert_eq!(smartpos_tests::text(&result, "cvm"), "offline-pin", "{result:?}");
    let masked = smartpos_tests::text(&result, "masked_pan").as_bytes().to_vec();
    for (part, core) in dumps {
        assert_eq!(found_in(&core, &secrets), None, "in the memory of {part}");
        assert!(contains(&core, &masked), "the dump of {part} is not of the process that sold");
    }
    for seen in seen {
        assert_eq!(found_in(&seen.lock().unwrap().clone(), &secrets), None, "on a bus");
    }
    for file in files_below(&bench.terminal.layout().root().join("log")) {
        assert_eq!(found_in(&fs::read(&file).unwrap_or_default(), &secrets), None, "in {}", file.display());
    }
}

#[tokio::test]
async fn no_daemon_leaves_a_core_dump_and_cardds_memory_is_not_its_users_to_read() {
    let bench = Bench::start().await;
    let process = |part| PathBuf::from(format!("/proc/{}", bench.terminal.pid(part).expect("it runs")));
    for part in [Part::Cardd, Part::Paymentd, Part::Printerd] {
        let limits = fs::read_to_string(process(part).join("limits")).expect("its limits");
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("a limit");
        assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"], "{part}");
    }
    // Run by root, this holds anyway: `smartpos-service` tests what makes it so.
    let owner = fs::metadata(process(Part::Cardd).join("mem")).expect("its memory").uid();
    assert_eq!(owner, 0, "who runs cardd may read its memory");
}

#[tokio::test]
async fn a_number_that_is_keyed_stays_in_the_module() {
    let bench = Bench::start_with(&[("paymentd", "[moto]\nenabled = true\n")]).await;
    bench.sim(&format!("key {CARD}")).await;
    stays_in_the_module(&bench, secrets(CARD), async |shop| {
        let asked = shop.payment.start_sale(1234, "CNY", "order-1", smartpos_tests::option("moto", true));
        shop.follow("order-1", asked).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_card_that_is_swiped_stays_in_the_module_and_so_does_its_pin() {
    let bench = Bench::start().await;
    bench.sim(&format!("pin {PIN}")).await;
    stays_in_the_module(&bench, secrets("stripe-track-2"), async |shop| {
        let mut sale = shop.start(1234, "order-1").await.unwrap();
        sale.reached("insert-card").await;
        bench.sim("card swipe stripe-track-2").await;
        sale
    })
    .await;
}

/// Looks for `secrets` everywhere but in the module while a sale asks the host, and after it.
async fn stays_in_the_module(
    bench: &Bench,
    secrets: Vec<(&'static str, Vec<u8>)>,
    begin: impl AsyncFnOnce(&Shop) -> Sale,
) {
    let buses = [bench.terminal.system_bus().await.unwrap(), bench.terminal.app_bus().await.unwrap()];
    let seen = [monitor(&buses[0]).await, monitor(&buses[1]).await];
    for _ in 0..2 {
        bench.sim("host once late 1s").await;
    }
    let shop = bench.shop().await;
    let mut sale = begin(&shop).await;
    sale.reached("host").await;
    let dumps = [Part::Paymentd, Part::Cardd].map(|part| (part, core_dump(bench, part)));
    let (_, result) = sale.completed().await;
    let masked = smartpos_tests::text(&result, "masked_pan").as_bytes().to_vec();
    for (part, core) in dumps {
        assert_eq!(found_in(&core, &secrets), None, "in the memory of {part}");
        assert!(contains(&core, &masked), "the dump of {part} is not of the process that sold");
    }
    assert!(
        found_in(&core_dump(bench, Part::Module), &secrets).is_some(),
        "the search finds nothing anywhere"
    );
    for seen in seen {
        let seen = seen.lock().unwrap().clone();
        assert_eq!(found_in(&seen, &secrets), None, "on a bus");
        assert!(contains(&seen, &masked), "the monitor saw nothing of the sale");
    }
    for file in files_below(bench.terminal.layout().root()).iter().filter(|file| file.is_file()) {
        let content = fs::read(file).unwrap_or_default();
        let simulated = file.components().any(|part| part.as_os_str() == "sim");
        assert!(simulated || found_in(&content, &secrets).is_none(), "in {}", file.display());
    }
}
