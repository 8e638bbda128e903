//! What the tests that cross crates share: a terminal of one's own, and a shop that sells on it.
//!
//! Everything waits for a condition, with a limit. What goes wrong ends the test with a message that says what was waited for.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends at the first surprise")]

use std::collections::HashMap;
use std::fs;
use std::future::Future;
use std::process::Command;
use std::time::Duration;

use audit::chain::{Chain, Record};
use client::card::CardProxy;
use client::payment::{PaymentProxy, TransactionProxy};
use client::{Dictionary, get};
use futures_util::StreamExt as _;
use sim_terminal::{APP, Builder, Part, Terminal};
use tempfile::TempDir;
use zbus::message::Type as MessageType;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath, Variant};

/// Nothing that a test waits for takes longer, also on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A terminal in a folder of its own, with a host that a test does not have to wait a minute for.
pub struct Bench {
    /// The terminal.
    pub terminal: Terminal,
    folder: TempDir,
}

impl Bench {
    /// Starts a terminal with all daemons.
    pub async fn start() -> Bench {
        Bench::start_with(&[]).await
    }

    /// Starts a terminal whose configuration has more drop-ins: a name such as `paymentd`, and TOML.
    pub async fn start_with(drop_ins: &[(&str, &str)]) -> Bench {
        Bench::start_as(drop_ins, |terminal| terminal).await
    }

    /// Starts a terminal with drop-ins that is built in another way.
    pub async fn start_as(drop_ins: &[(&str, &str)], build: impl FnOnce(Builder) -> Builder) -> Bench {
        let folder = tempfile::tempdir().expect("a folder for the terminal");
        let quick = [("paymentd", "[host]\nanswer_timeout_ms = 1500\n")];
        for (index, (name, text)) in quick.iter().chain(drop_ins).enumerate() {
            let drop_in = folder.path().join(format!("config/{name}.toml.d"));
            fs::create_dir_all(&drop_in).expect("a folder for drop-ins");
            fs::write(drop_in.join(format!("{index}.toml")), text).expect("a drop-in");
        }
        let terminal = build(Terminal::builder(folder.path()));
        let terminal = within("the terminal to start", terminal.start()).await;
        Bench { terminal: terminal.expect("the terminal starts"), folder }
    }

    /// The folder of everything that this terminal leaves behind.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Types a command for the virtual hardware; it has to be carried out.
    pub async fn sim(&self, command: &str) -> sim_control::Reply {
        let words: Vec<&str> = command.split(' ').collect();
        let reply = self.terminal.simctl(&words).await.expect("the virtual hardware answers");
        assert!(reply.ok, "simctl {command}: {}", reply.text);
        reply
    }

    /// Runs a program at the terminal: whether it succeeded, what it printed, and what it complained of.
    pub async fn run(&self, program: &str, arguments: &[&str]) -> (bool, String, String) {
        let mut command = Command::new(sim_terminal::programs().expect("the programs").join(program));
        command.args(arguments).envs(self.terminal.environment()).current_dir(self.folder());
        let output = tokio::task::spawn_blocking(move || command.output().expect("it starts"));
        let output = within("a program to end", output).await.expect("it is not cancelled");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    /// Puts a card in, and has its PIN typed when the PIN pad asks.
    pub async fn insert(&self, card: &str) {
        self.sim(&format!("card insert {card}")).await;
        if card == "unionpay-debit-pin" {
            self.sim("pin 123456").await;
        }
    }

    /// An app on the app bus.
    pub async fn shop(&self) -> Shop {
        Shop::new(self.terminal.app_bus().await.expect("the app bus"), APP).await
    }

    /// Waits until the host has acknowledged all reversals, then holds journal and ledger against each other.
    pub async fn settle_and_compare(&self) {
        let bus = self.terminal.system_bus().await.expect("the system bus");
        let payment = client::proxy::<PaymentProxy>(&bus).await.expect("a proxy");
        until("the reversals to be acknowledged", async || payment.pending_reversals().await == Ok(0)).await;
        until("the results of scripts to be told", async || payment.untold_scripts().await == Ok(0)).await;
        let disagreements = self.terminal.disagreements().await.expect("journal and ledger");
        assert!(disagreements.is_empty(), "terminal and host disagree: {disagreements:?}\n{}", self.logs());
        assert_eq!(check_chain(&payment).await, Ok(()));
    }

    /// The daemons' logs, for a test that failed.
    pub fn logs(&self) -> String {
        let log = |part: Part| fs::read_to_string(self.terminal.layout().log(part)).unwrap_or_default();
        Part::DAEMONS.map(|part| format!("--- {part}\n{}", log(part))).join("\n")
    }

    /// Waits until cardd says that the module is `ready`, `absent` or `tampered`.
    pub async fn module_is(&self, state: &str) {
        let bus = self.terminal.system_bus().await.expect("the system bus");
        let card = client::proxy::<CardProxy>(&bus).await.expect("a proxy");
        until(&format!("the module to be {state}"), async || {
            card.module_state().await.is_ok_and(|now| now == state)
        })
        .await;
    }

    /// Kills a daemon and starts it again.
    pub async fn kill_and_restart(&mut self, part: Part) {
        self.terminal.kill(part).await.expect("it runs");
        within("a daemon to start again", self.terminal.restart(part)).await.expect("it starts again");
    }
}

/// Whether the journal's events are the chain that its head says; `payment` is the operator's.
///
/// # Errors
/// The first event that does not fit, or what the service said.
pub async fn check_chain(payment: &PaymentProxy<'_>) -> Result<(), String> {
    const PAGE: u32 = 100;
    let refused = |error: zbus::Error| error.to_string();
    let none = |error: audit::NotOctets| error.to_string();
    let (journal, last, head) = payment.get_journal_head().await.map_err(refused)?;
    let mut chain = Chain::new(&journal.parse().map_err(none)?);
    while chain.last < last {
        let page = payment.read_journal(chain.last, PAGE).await.map_err(refused)?;
        let before = chain.last;
        // A receipt may just have been handed over, after the head was read.
        for (id, transaction, at, body, link) in page.iter().filter(|event| event.0 <= last) {
            let record = Record { id: *id, transaction: *transaction, at: *at, body };
            chain.check(&record, &link.parse().map_err(none)?).map_err(|broken| broken.to_string())?;
        }
        if chain.last == before {
            return Err(format!("the journal ends with event {before} in place of {last}"));
        }
    }
    let end = Chain { last, head: head.parse().map_err(none)? };
    if chain == end { Ok(()) } else { Err(format!("the chain ends as {chain:?}, its head says {end:?}")) }
}

/// An app that sells.
pub struct Shop {
    /// Its connection to the app bus.
    pub bus: Connection,
    /// The payment service.
    pub payment: PaymentProxy<'static>,
    owner: String,
}

impl Shop {
    /// An app (or the operator) on `bus`; `owner` is who it is there.
    pub async fn new(bus: Connection, owner: &str) -> Shop {
        let payment = client::proxy::<PaymentProxy>(&bus).await.expect("a proxy");
        Shop { bus, payment, owner: owner.to_string() }
    }

    /// Starts a sale and follows it.
    pub async fn start(&self, amount: u64, key: &str) -> zbus::Result<Sale> {
        self.follow(key, self.payment.start_sale(amount, "CNY", key, HashMap::new())).await
    }

    /// Starts what `call` asks for with `key`, and follows it. It listens on the foretold path before it asks, so that
    /// nothing is missed.
    pub async fn follow(
        &self,
        key: &str,
        call: impl Future<Output = zbus::Result<OwnedObjectPath>>,
    ) -> zbus::Result<Sale> {
        let path = self.path(key);
        let rule = MatchRule::builder()
            .msg_type(MessageType::Signal)
            .interface("org.smartpos.Transaction1")
            .path(path.clone())
            .build()?;
        let signals = MessageStream::for_match_rule(rule, &self.bus, None).await?;
        let answered = call.await?;
        assert_eq!(answered, path, "the path can be foretold");
        let proxy = client::proxy_at::<TransactionProxy>(&self.bus, path).await?;
        Ok(Sale { proxy, signals })
    }

    /// Starts what `call` asks for with `key`, and returns its outcome and all that is known.
    pub async fn run(
        &self,
        key: &str,
        call: impl Future<Output = zbus::Result<OwnedObjectPath>>,
    ) -> (String, Dictionary) {
        let mut followed = self.follow(key, call).await.expect("it starts");
        followed.completed().await
    }

    /// Sells, and returns the outcome and all that is known.
    pub async fn sell(&self, amount: u64, key: &str) -> (String, Dictionary) {
        let mut sale = self.start(amount, key).await.expect("the sale starts");
        sale.completed().await
    }

    /// Where the transaction with `key` is.
    pub fn path(&self, key: &str) -> OwnedObjectPath {
        let escape = |text: &str| {
            let escaped = text.bytes().map(|byte| match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
                other => format!("_{other:02x}"),
            });
            escaped.collect::<String>()
        };
        let path = format!("/org/smartpos/Payment/transaction/{}/{}", escape(&self.owner), escape(key));
        OwnedObjectPath::try_from(path).expect("an object path")
    }
}

/// One transaction that is followed.
pub struct Sale {
    /// Its object.
    pub proxy: TransactionProxy<'static>,
    signals: MessageStream,
}

impl Sale {
    /// Waits for the step `progress`.
    pub async fn reached(&mut self, progress: &str) {
        self.reached_with(progress).await;
    }

    /// Waits for the step `progress`, and returns its details.
    pub async fn reached_with(&mut self, progress: &str) -> Dictionary {
        within(progress, async {
            loop {
                let Some(Ok(message)) = self.signals.next().await else { panic!("the bus went away") };
                match message.header().member().map(|member| member.as_str()) {
                    Some("StateChanged") => {
                        let (_, step, details): (String, String, Dictionary) =
                            message.body().deserialize().expect("a step");
                        if step == progress {
                            return details;
                        }
                    }
                    Some("Completed") => panic!("it ended before `{progress}`: {:?}", message.body()),
                    _ => {}
                }
            }
        })
        .await
    }

    /// Waits for the end.
    pub async fn completed(&mut self) -> (String, Dictionary) {
        within("the end of the sale", async {
            loop {
                let Some(Ok(message)) = self.signals.next().await else { panic!("the bus went away") };
                if message.header().member().is_some_and(|member| member.as_str() == "Completed") {
                    return message.body().deserialize().expect("an outcome and a result");
                }
            }
        })
        .await
    }
}

/// A text of a result; empty where it is not there.
pub fn text<'a>(result: &'a Dictionary, key: &str) -> &'a str {
    get::<&str>(result, key).unwrap_or_default()
}

/// One option for a call.
pub fn option<'a>(key: &'a str, value: impl Into<Variant<'a>>) -> HashMap<&'a str, Variant<'a>> {
    HashMap::from([(key, value.into())])
}

/// The name of the error that a call ended with, without its prefix.
pub fn error_name<T: std::fmt::Debug>(result: zbus::Result<T>) -> String {
    match result {
        Err(zbus::Error::MethodError(name, _, _)) => name.as_str().replace("org.smartpos.Error.", ""),
        Err(zbus::Error::FDO(error)) => zbus::DBusError::name(&*error).to_string(),
        other => panic!("an error was expected: {other:?}"),
    }
}

/// Waits for `work`, with the limit.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("waited for {what} for {LIMIT:?}"))
}

/// Asks `condition` again and again until it holds, with the limit.
pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    within(what, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while !condition().await {
            ticks.tick().await;
        }
    })
    .await;
}

/// Lets cards approve without the host: a terminal of type 22, with `changes` of the shipped applications. `[offline]` of
/// `paymentd.toml` says how much of that may wait.
pub async fn allow_offline(bench: &mut Bench, changes: &[(&str, &str)]) {
    let mut terminal = include_str!("../../config/emv/terminal.toml").to_string();
    let mut applications = include_str!("../../config/emv/aids.toml").to_string();
    let online_only = ("terminal_type = \"21\"", "terminal_type = \"22\"");
    for (text, changes) in [(&mut terminal, &[online_only][..]), (&mut applications, changes)] {
        for (from, to) in changes {
            assert!(text.contains(from), "the shipped EMV parameters say `{from}` no longer");
            *text = text.replace(from, to);
        }
    }
    let emv = bench.folder().join("config/emv");
    fs::create_dir_all(&emv).expect("a folder for EMV parameters");
    fs::write(emv.join("terminal.toml"), terminal).expect("the terminal's parameters");
    fs::write(emv.join("aids.toml"), applications).expect("the applications");
    within("cardd to take them", bench.terminal.restart(Part::Cardd)).await.expect("cardd starts again");
    // A sale before that goes to the host: whether the module keeps cards for advices can't be asked.
    bench.module_is("ready").await;
}
