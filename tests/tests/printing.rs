//! The printer as an app meets it: each document once, whatever happens to paper and daemon, and dot by dot as previewed.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;
use std::fs;

use client::printer::{Document, PrintJobProxy, PrinterProxy};
use client::{Dictionary, get};
use futures_util::{FutureExt as _, StreamExt as _};
use sim_terminal::Part;
use smartpos_tests::{Bench, error_name, option, text, until, within};
use zbus::message::Type as MessageType;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath, Variant};

const MARK: &str = "重复打印 DUPLICATE";

/// An app that prints.
struct Writer {
    bus: Connection,
    printer: PrinterProxy<'static>,
}

impl Writer {
    async fn new(bench: &Bench) -> Writer {
        let bus = bench.terminal.app_bus().await.unwrap();
        let printer = client::proxy::<PrinterProxy>(&bus).await.unwrap();
        Writer { bus, printer }
    }

    async fn print(&self, document: &Document<'_>, key: &str) -> zbus::Result<OwnedObjectPath> {
        self.printer.print(document, key, HashMap::new()).await
    }

    async fn job(&self, path: &OwnedObjectPath) -> PrintJobProxy<'static> {
        client::proxy_at::<PrintJobProxy>(&self.bus, path.clone()).await.unwrap()
    }

    /// Waits for the end of a job, and returns all that is known of it.
    async fn end(&self, path: &OwnedObjectPath) -> Dictionary {
        let job = self.job(path).await;
        until("the job to end", async || job.state().await.is_ok_and(|state| state == "final")).await;
        job.get_result().await.unwrap()
    }

    async fn printer_is(&self, state: &str) {
        until(&format!("the printer to be {state}"), async || {
            self.printer.state().await.is_ok_and(|now| now == state)
        })
        .await;
    }
}

fn line(text: &str) -> (&str, HashMap<&str, Variant<'_>>) {
    ("text", option("text", text))
}

/// A receipt of 20 numbered lines, each of them 30 dots high.
fn long_receipt(lines: &[String]) -> Document<'_> {
    lines.iter().map(|text| line(text)).collect()
}

fn numbered() -> Vec<String> {
    (1..=20).map(|number| format!("Line {number:02} of a receipt")).collect()
}

fn text_of(receipt: &serde_json::Value) -> String {
    receipt.get("text").and_then(serde_json::Value::as_str).expect("a text").to_string()
}

/// What is on the paper, a text for each piece of it.
async fn receipts(bench: &Bench) -> Vec<String> {
    let jobs = bench.sim("printer jobs").await.data;
    let list = |name: &str| jobs.get(name).and_then(serde_json::Value::as_array).expect("a list");
    assert!(list("faults").is_empty(), "{jobs}");
    list("receipts").iter().map(text_of).collect()
}

#[tokio::test]
async fn a_key_prints_one_document_once_also_after_the_daemon_was_killed() {
    let mut bench = Bench::start().await;
    let app = Writer::new(&bench).await;
    let document = vec![line("Once")];
    let path = app.print(&document, "once").await.unwrap();
    assert_eq!(path.as_str(), "/org/smartpos/Printer/job/dev_2eexample_2eshop/once");
    assert_eq!(text(&app.end(&path).await, "outcome"), "printed");
    assert_eq!(app.print(&document, "once").await.unwrap(), path);
    bench.kill_and_restart(Part::Printerd).await;
    assert_eq!(app.print(&document, "once").await.unwrap(), path);
    assert_eq!(app.printer.get_job("once").await.unwrap(), path);
    assert_eq!(text(&app.end(&path).await, "outcome"), "printed");
    assert_eq!(error_name(app.print(&vec![line("Twice")], "once").await), "InvalidArgument");
    assert_eq!(error_name(app.printer.get_job("never").await), "NotFound");
    // A job after it has been printed: nothing of the first can still be on its way.
    let last = app.print(&vec![line("Last")], "last").await.unwrap();
    app.end(&last).await;
    let paper = receipts(&bench).await;
    assert_eq!(paper.iter().map(|receipt| receipt.trim()).collect::<Vec<_>>(), ["Once", "Last"]);
}

#[tokio::test]
async fn a_refusal_of_a_document_names_the_element_and_the_key() {
    let bench = Bench::start().await;
    let app = Writer::new(&bench).await;
    let nothing = HashMap::new;
    let cases: Vec<(&str, HashMap<&str, Variant<'_>>, &str)> = vec![
        ("video", nothing(), "`video`"),
        ("text", option("txt", "a"), "`txt`"),
        ("text", option("text", 7_u32), "`text`"),
        ("text", option("bold", "yes"), "`bold`"),
        ("text", option("align", "middle"), "`middle`"),
        ("feed", option("lines", 0_u32), "lines"),
        ("qr", nothing(), "`data`"),
        ("image", option("png", vec![1_u8, 2, 3]), "png"),
        ("barcode", HashMap::from([("data", "12".into()), ("symbology", "ean13".into())]), "data"),
    ];
    for (kind, properties, wanted) in cases {
        let document = vec![line("fine"), line("fine too"), (kind, properties)];
        let printed = app.print(&document, "k").await;
        let Err(zbus::Error::MethodError(name, Some(message), _)) = &printed else {
            panic!("{kind}: {printed:?}")
        };
        assert_eq!(name.as_str(), "org.smartpos.Error.InvalidArgument", "{message}");
        assert!(message.contains("element 2") && message.contains(wanted), "{kind}: {message}");
        let previewed = app.printer.preview(&document, HashMap::new()).await;
        assert_eq!(error_name(previewed), "InvalidArgument", "{kind}");
    }
    let options = app.printer.print(&vec![line("a")], "k", option("copies", 2_u32)).await;
    assert_eq!(error_name(options), "InvalidArgument");
    let urgent = app.printer.print(&vec![line("a")], "k", option("priority", "payment")).await;
    assert_eq!(error_name(urgent), "NotPermitted");
    assert!(receipts(&bench).await.is_empty());
}

#[tokio::test]
async fn paper_that_ends_in_the_middle_leaves_one_unmarked_receipt_once_it_is_loaded() {
    let bench = Bench::start().await;
    let app = Writer::new(&bench).await;
    let lines = numbered();
    bench.sim("paper out 200").await;
    let path = app.print(&long_receipt(&lines), "long").await.unwrap();
    app.printer_is("paper-out").await;
    let job = app.job(&path).await;
    assert_eq!(app.printer.paper().await.unwrap(), "out");
    assert_eq!(
        (job.state().await.unwrap(), job.progress().await.unwrap()),
        ("waiting".into(), "paper-out".into())
    );
    bench.sim("paper load").await;
    let result = app.end(&path).await;
    assert_eq!((text(&result, "outcome"), get::<bool>(&result, "duplicate")), ("printed", Some(false)));
    let paper = receipts(&bench).await;
    assert_eq!(paper.len(), 1, "{paper:?}");
    assert_eq!(paper[0].lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(), lines);
}

#[tokio::test]
async fn a_daemon_killed_without_paper_prints_one_marked_duplicate() {
    let mut bench = Bench::start().await;
    let app = Writer::new(&bench).await;
    let lines = numbered();
    bench.sim("paper out 200").await;
    let path = app.print(&long_receipt(&lines), "long").await.unwrap();
    app.printer_is("paper-out").await;
    bench.kill_and_restart(Part::Printerd).await;
    bench.sim("paper load").await;
    let result = app.end(&path).await;
    assert_eq!(
        (text(&result, "outcome"), get::<bool>(&result, "duplicate")),
        ("printed-duplicate", Some(true)),
        "{result:?}"
    );
    let paper = receipts(&bench).await;
    let marked: Vec<bool> = paper.iter().map(|receipt| receipt.contains(MARK)).collect();
    assert_eq!(marked, [false, true], "{paper:?}");
    assert!(lines.iter().all(|line| paper[1].contains(line)), "{paper:?}");
}

#[tokio::test]
async fn the_preview_is_the_paper_dot_by_dot() {
    for profile in ["generic-58mm-gb18030", "generic-58mm-raster"] {
        let bench = Bench::start_with(&[("printerd", &format!("profile = \"{profile}\"\n"))]).await;
        let app = Writer::new(&bench).await;
        let cell = |text: &'static str| HashMap::from([("text", Variant::from(text))]);
        let document: Document<'_> = vec![
            (
                "text",
                HashMap::from([
                    ("text", "示例便利店".into()),
                    ("align", "center".into()),
                    ("double_height", true.into()),
                ]),
            ),
            (
                "text",
                HashMap::from([
                    ("text", "Inverted, bold".into()),
                    ("inverted", true.into()),
                    ("bold", true.into()),
                ]),
            ),
            ("text", HashMap::from([("text", "Underlined 下划线".into()), ("underline", true.into())])),
            ("columns", option("cells", vec![cell("Coffee 咖啡"), cell("12.34")])),
            ("rule", HashMap::new()),
            ("qr", option("data", "https://example.com/receipt/1")),
            ("barcode", HashMap::from([("data", "SP-0001".into()), ("text", true.into())])),
            ("feed", option("lines", 2_u32)),
        ];
        let preview = app.printer.preview(&document, HashMap::new()).await.unwrap();
        let path = app.print(&document, "dots").await.unwrap();
        assert_eq!(text(&app.end(&path).await, "outcome"), "printed");
        let file = bench.terminal.layout().paper().join("receipt-0001.png");
        until("the receipt", async || file.exists()).await;
        // The same encoder made both files: the same bytes are the same dots.
        assert!(fs::read(&file).unwrap() == preview, "{profile}: the paper is not what was previewed");
        receipts(&bench).await;
    }
}

#[tokio::test]
async fn a_character_that_the_printer_lacks_is_told_and_shows_on_the_paper() {
    let bench = Bench::start().await;
    let app = Writer::new(&bench).await;
    let path = app.print(&vec![line("Thanks 😀 again")], "smile").await.unwrap();
    let result = app.end(&path).await;
    assert_eq!((text(&result, "outcome"), text(&result, "missing")), ("printed", "😀"));
    let paper = receipts(&bench).await;
    assert!(paper[0].contains("Thanks 〓 again"), "{paper:?}");
}

#[tokio::test]
async fn a_job_that_waits_for_its_turn_can_be_cancelled_and_one_that_was_sent_can_not() {
    let bench = Bench::start().await;
    let app = Writer::new(&bench).await;
    // Once this one is on paper, the next is sent at once.
    let first = app.print(&vec![line("First")], "first").await.unwrap();
    app.end(&first).await;
    bench.sim("paper out").await;
    app.printer_is("paper-out").await;
    let sent = app.print(&vec![line("Sent")], "sent").await.unwrap();
    let queued = app.print(&vec![line("Queued")], "queued").await.unwrap();
    let (first, second) = (app.job(&sent).await, app.job(&queued).await);
    assert_eq!((first.cancellable().await, second.cancellable().await), (Ok(false), Ok(true)));
    first.cancel().await.unwrap();
    second.cancel().await.unwrap();
    assert_eq!(text(&second.get_result().await.unwrap(), "outcome"), "cancelled");
    assert_eq!(error_name(second.cancel().await), "WrongState");
    bench.sim("paper load").await;
    assert_eq!(text(&app.end(&sent).await, "outcome"), "printed");
    let paper = receipts(&bench).await;
    assert_eq!(paper.iter().map(|receipt| receipt.trim()).collect::<Vec<_>>(), ["First", "Sent"]);
}

#[tokio::test]
async fn the_end_of_a_job_is_told_to_its_owners_connection_alone() {
    let bench = Bench::start().await;
    let (app, other) = (Writer::new(&bench).await, Writer::new(&bench).await);
    let listen = async |writer: &Writer| {
        let rule = MatchRule::builder()
            .msg_type(MessageType::Signal)
            .sender("org.smartpos.Printer")
            .build()
            .unwrap();
        MessageStream::for_match_rule(rule, &writer.bus, None).await.unwrap()
    };
    let (mut own, mut foreign) = (listen(&app).await, listen(&other).await);
    app.print(&vec![line("Mine")], "mine").await.unwrap();
    let is = |message: &zbus::Message, member: &str| {
        message.header().member().is_some_and(|name| name.as_str() == member)
    };
    within("the end of the job", async { while !is(&own.next().await.unwrap().unwrap(), "Completed") {} })
        .await;
    // What the bus sent to the other connection before this answer has arrived there.
    other.printer.columns().await.unwrap();
    let seen: Vec<_> =
        std::iter::from_fn(|| foreign.next().now_or_never().flatten()).map(Result::unwrap).collect();
    assert!(seen.iter().any(|message| is(message, "StateChanged")), "it does hear the printer: {seen:?}");
    assert!(!seen.iter().any(|message| is(message, "Completed")), "{seen:?}");
}
