//! `posctl` as the operator runs it: a process with arguments, output and an exit code.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use audit::Octets;
use audit::chain::{Chain, Record};
use audit::copy::Line;
use client::payment::PaymentProxy;
use serde_json::Value;
use sim_terminal::Part;
use smartpos_tests::{Bench, option, until, within};

/// How a call of `posctl` ended.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn of(output: Output) -> Run {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Run {
            code: output.status.code().expect("it ends by itself"),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

/// Runs `posctl` at the terminal of `bench`.
async fn posctl(bench: &Bench, arguments: &[&str]) -> Run {
    let mut command = Command::new(sim_terminal::programs().unwrap().join("posctl"));
    command.args(arguments).envs(bench.terminal.environment()).current_dir(bench.folder());
    let run = tokio::task::spawn_blocking(move || command.output().expect("posctl starts"));
    Run::of(within("posctl to end", run).await.unwrap())
}

#[tokio::test]
async fn the_exit_code_of_a_sale_says_whether_money_moves_and_its_key_finds_it_again() {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let sold = posctl(&bench, &["--json", "sale", "12.34", "--key", "a-1", "--order", "7"]).await;
    assert_eq!(sold.code, 0, "{}", sold.err);
    let result = sold.json();
    assert_eq!((&result["outcome"], &result["amount"]), (&"approved".into(), &1234.into()), "{result}");
    // Typed once more, after a crash of the shell: the same sale.
    assert_eq!(
        posctl(&bench, &["--json", "sale", "12.34", "--key", "a-1", "--order", "7"]).await.json(),
        result
    );
    assert_eq!(posctl(&bench, &["sale", "12.35", "--key", "a-1"]).await.code, 3);

    bench.sim("host once decline 51").await;
    let declined = posctl(&bench, &["sale", "0.50", "--key", "a-2", "--no-receipt"]).await;
    assert_eq!(declined.code, 1, "{}{}", declined.out, declined.err);
    assert!(declined.out.contains("declined") && declined.out.contains("51"), "{}", declined.out);

    assert_eq!(posctl(&bench, &["show", "a-1", "--json"]).await.json(), result);
    let missing = posctl(&bench, &["show", "a-3"]).await;
    assert_eq!(missing.code, 3);
    assert!(missing.err.contains("NotFound") && missing.err.contains("posctl list"), "{}", missing.err);

    let listed = posctl(&bench, &["list", "--json"]).await.json();
    let keys: Vec<&str> =
        listed.as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["a-2", "a-1"]);
    let declined = posctl(&bench, &["list", "--outcome", "declined"]).await;
    assert!(declined.out.contains("a-2") && !declined.out.contains("a-1"), "{}", declined.out);
    assert_eq!(bench.sim("ledger").await.data.as_array().unwrap().len(), 2);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn each_service_is_a_command_and_the_totals_follow() {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let commands: [&[&str]; 15] = [
        &["sale", "12.00", "--tip", "2.00", "--key", "sale"],
        &["refund", "3.00", "--original", "sale", "--operator", "01"],
        &["refund", "1.00"],
        &["sale", "5.00", "--key", "wrong"],
        &["void", "wrong"],
        &["preauth", "10.00", "--key", "hold"],
        &["increment", "hold", "5.00"],
        &["complete", "hold", "15.00"],
        &["preauth", "7.00", "--key", "second"],
        &["cancel", "second"],
        &["balance"],
        &["cash", "8.00"],
        &["sale", "10.00", "--key", "meal"],
        &["tip", "meal", "1.00"],
        &["sale", "9.00", "--instalments", "6"],
    ];
    for command in commands {
        let run = posctl(&bench, &[&["--json"], command].concat()).await;
        assert_eq!(run.code, 0, "{command:?}: {}{}", run.out, run.err);
        assert_eq!(run.json()["outcome"], "approved", "{command:?}");
    }
    let totals = posctl(&bench, &["totals"]).await;
    for line in [
        ["sale", "3", "31.00"],
        ["tip-adjustment", "1", "1.00"],
        ["completion", "1", "15.00"],
        ["debit", "5", "47.00"],
        ["credit", "2", "4.00"],
    ] {
        let found =
            totals.out.lines().any(|row| row.split_whitespace().zip(line).all(|(cell, word)| cell == word));
        assert!(found, "{line:?}: {}", totals.out);
    }
    let refused = posctl(&bench, &["void", "wrong"]).await;
    assert_eq!(refused.code, 3);
    assert!(refused.err.contains("voided already"), "{}", refused.err);
    assert_eq!(posctl(&bench, &["settle", "--json"]).await.json()["balanced"], true);
    assert_eq!(posctl(&bench, &["totals", "--json"]).await.json()["batch"], "000002");
    assert_eq!(posctl(&bench, &["reprint", "sale"]).await.code, 0);
    let voids = posctl(&bench, &["list", "--type", "void", "--json"]).await.json();
    assert_eq!(voids.as_array().unwrap().len(), 1);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_supervisor_finds_what_waits_and_approves_or_denies_it() {
    let limits = "[limits.sale]\ntransaction = 1000\nover_limit = \"supervisor\"\n";
    let bench = Bench::start_with(&[("paymentd", limits)]).await;
    bench.sim("card insert unionpay-credit").await;
    for (decision, code) in [("approve", 0), ("deny", 1)] {
        let waits = async {
            until("the wait", async || {
                let listed = posctl(&bench, &["list", "--state", "approval"]).await;
                listed.out.contains(decision)
            })
            .await;
            posctl(&bench, &[decision, decision]).await
        };
        let arguments = ["sale", "20.00", "--key", decision];
        let sale = posctl(&bench, &arguments);
        let (sale, decided) = futures_util::future::join(sale, waits).await;
        assert_eq!((sale.code, decided.code), (code, 0), "{}{}{}", sale.out, sale.err, decided.err);
    }
    assert_eq!(posctl(&bench, &["approve", "approve"]).await.code, 3, "it waits no longer");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn codes_are_charged_and_shown_and_what_they_paid_is_voided_and_refunded() {
    let bench = Bench::start_with(&[("paymentd", "[gateway]\nquery_interval_ms = 30\n")]).await;
    let code = bench.sim("qr code wechat").await.text;
    let paid = posctl(&bench, &["sale", "12.34", "--code", &code, "--key", "paid", "--json"]).await;
    assert_eq!(paid.code, 0, "{}{}", paid.out, paid.err);
    assert_eq!((&paid.json()["type"], &paid.json()["wallet"]), (&"code-payment".into(), &"wechat".into()));
    assert!(!paid.out.contains(&code) && !paid.err.contains(&code), "{}{}", paid.out, paid.err);
    let nobodys = posctl(&bench, &["sale", "1", "--code", "990000000000000000"]).await;
    assert_eq!(nobodys.code, 3);
    assert!(nobodys.err.contains("no wallet that this terminal takes"), "{}", nobodys.err);

    let shown = posctl(&bench, &["sale", "5.00", "--show-code", "--key", "shown", "--json"]).await;
    assert_eq!(shown.code, 0, "{}{}", shown.out, shown.err);
    assert_eq!(shown.json()["type"], "merchant-code");
    assert_eq!(posctl(&bench, &["void", "shown"]).await.code, 0);
    assert_eq!(posctl(&bench, &["refund", "2.34", "--original", "paid"]).await.code, 0);
    let totals = posctl(&bench, &["totals"]).await.out;
    for line in ["code debit  1 12.34 CNY", "code credit  1 2.34 CNY", "debit  0 0.00 CNY"] {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(totals.lines().any(|row| words(row) == words(line)), "{line}: {totals}");
    }
    let both = posctl(&bench, &["sale", "1", "--show-code", "--code", &code]).await;
    assert_eq!(both.code, 2, "{}", both.err);
    bench.settle_and_compare().await;

    // The customer takes time, and sees the code drawn.
    bench.sim("qr user waits 300ms").await;
    let drawn = posctl(&bench, &["sale", "1.00", "--show-code"]).await;
    assert_eq!(drawn.code, 0, "{}{}", drawn.out, drawn.err);
    assert!(drawn.err.contains("█") && drawn.err.contains("54041.00"), "{}", drawn.err);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_amount_that_is_none_is_a_usage_error_and_sells_nothing() {
    let bench = Bench::start().await;
    for amount in ["12.345", "-1", "1e3", "", "0", "0.00", "1,50", "12.", "18446744073709551616"] {
        let run = posctl(&bench, &["sale", "--", amount]).await;
        assert_eq!(run.code, 2, "`{amount}`: {}{}", run.out, run.err);
        assert!(run.err.contains(&format!("`{amount}` is no amount")), "{}", run.err);
    }
    // As somebody would type it, the minus is taken for an option.
    let run = posctl(&bench, &["sale", "-1"]).await;
    assert_eq!(run.code, 2);
    assert!(run.err.contains("-1"), "{}", run.err);
    assert_eq!(posctl(&bench, &["sale"]).await.code, 2);
    assert_eq!(posctl(&bench, &["list", "--json"]).await.json(), Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_document_is_previewed_and_printed_and_a_wrong_one_is_refused() {
    let bench = Bench::start().await;
    let document =
        r#"[{"kind": "text", "text": "收据 Receipt", "bold": true}, {"kind": "feed", "lines": 2}]"#;
    fs::write(bench.folder().join("a.json"), document).unwrap();
    fs::write(bench.folder().join("wrong.json"), r#"[{"kind": "text", "txt": "a"}]"#).unwrap();
    let preview = posctl(&bench, &["preview", "a.json", "-o", "a.png"]).await;
    assert_eq!(preview.code, 0, "{}", preview.err);
    let png = fs::read(bench.folder().join("a.png")).unwrap();
    let printed = posctl(&bench, &["print", "a.json", "--key", "p-1", "--json"]).await;
    assert_eq!(printed.code, 0, "{}", printed.err);
    assert_eq!(printed.json()["outcome"], "printed");
    assert_eq!(posctl(&bench, &["print", "a.json", "--key", "p-1", "--json"]).await.json(), printed.json());
    assert!(fs::read(bench.terminal.layout().paper().join("receipt-0001.png")).unwrap() == png);
    assert_eq!(bench.sim("printer jobs").await.data["receipts"].as_array().unwrap().len(), 1);

    let wrong = posctl(&bench, &["print", "wrong.json"]).await;
    assert_eq!(wrong.code, 3);
    assert!(wrong.err.contains("element 0") && wrong.err.contains("`txt`"), "{}", wrong.err);
    let absent = posctl(&bench, &["print", "absent.json"]).await;
    assert_eq!(absent.code, 3);
    assert!(absent.err.contains("absent.json"), "{}", absent.err);
}

#[tokio::test]
async fn a_sale_is_traced_and_replayed_without_a_terminal_to_the_same_end() {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-debit-pin").await;
    bench.sim("pin 123456").await;
    let sold = posctl(&bench, &["sale", "12.34", "--json"]).await;
    assert_eq!(sold.json()["outcome"], "approved", "{}{}", sold.out, sold.err);
    let trace = bench.sim("card trace").await.text;
    assert!(trace.contains("amount 1234\n") && trace.contains("! host approve arc=00"), "{trace}");
    fs::write(bench.folder().join("sale.trace"), &trace).unwrap();

    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let folders = [format!("{root}/config/emv"), format!("{root}/sim/cards")];
    let arguments = ["emv", "replay", "sale.trace", "--parameters", &folders[0], "--parameters", &folders[1]];
    // Without the terminal's buses.
    let run = |arguments: &[&str]| {
        let program = sim_terminal::programs().unwrap().join("posctl");
        let output = Command::new(program).args(arguments).current_dir(bench.folder()).env_clear().output();
        Run::of(output.expect("posctl starts"))
    };
    let told = run(&[&["--json"], &arguments[..]].concat()).json();
    assert_eq!((&told["decision"], &told["response_code"]), (&"approved".into(), &"00".into()), "{told}");
    assert!(told["pan"].as_str().unwrap().contains("******"), "{told}");
    let steps = told["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["difference"].is_null()), "{told}");
    let words = run(&arguments);
    assert_eq!(words.code, 0, "{}", words.err);
    assert!(words.out.contains("online CVM captured (Book 3, 10.5.2)"), "{}", words.out);

    let tree = run(&["tlv", "5A08", "6228480000001234", "9505", "0000048000"]);
    assert!(tree.code == 0 && tree.out.contains("not shown") && !tree.out.contains("6228"), "{}", tree.out);
    assert!(run(&["atr", "3B60", "0000"]).out.contains("protocols: T=0"));
    assert_eq!((run(&["atr", "3B"]).code, run(&["tlv", "xyz"]).code), (3, 2));
    fs::write(bench.folder().join("sale.trace"), trace.replace("amount 1234", "amount")).unwrap();
    let refused = run(&arguments);
    assert!(refused.code == 3 && refused.err.contains("line "), "{}", refused.err);
}

#[tokio::test]
async fn status_shows_each_service_and_fails_when_one_is_away() {
    let mut bench = Bench::start().await;
    let status = posctl(&bench, &["status", "--json"]).await;
    assert_eq!(status.code, 0, "{}", status.err);
    let all = status.json();
    assert_eq!(
        (&all["payment"]["terminal"], &all["card"]["state"]),
        (&"12345678".into(), &"ready".into()),
        "{all}"
    );
    assert_eq!(all["card"]["certified"], false);
    bench.terminal.kill(sim_terminal::Part::Printerd).await.unwrap();
    let status = posctl(&bench, &["status"]).await;
    assert_eq!(status.code, 1, "{}", status.out);
    assert!(status.out.contains("payment  ") && status.out.contains("not running"), "{}", status.out);
}

#[tokio::test]
async fn a_copy_of_the_journal_is_whole_and_shows_what_was_changed_and_what_is_of_another_journal() {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let export = async |name| posctl(&bench, &["audit", "export", name, "--json"]).await;
    let empty = export("empty.jsonl").await.json();
    assert_eq!(empty["events"], 0);
    // More than a page.
    let shop = bench.shop().await;
    for number in 0..50 {
        let (key, options) = (format!("cash-{number}"), option("print", false));
        let record = async || shop.payment.record_cash(100, "CNY", &key, options.clone()).await.is_ok();
        until("the teller to be ready", record).await;
    }
    assert_eq!(posctl(&bench, &["sale", "12.34", "--key", "sold"]).await.code, 0);
    until("the receipt", async || events(&bench).await == 50 * 2 + 5).await;
    let first = export("first.jsonl").await;
    assert_eq!(first.code, 0, "{}", first.err);
    assert_eq!(export("first.jsonl").await.code, 3, "a copy is never overwritten");
    let file = bench.folder().join("first.jsonl");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let verify = async |name, more: &[&str]| {
        posctl(&bench, &[&["--json", "audit", "verify", name], more].concat()).await
    };
    let whole = verify("first.jsonl", &[]).await;
    assert_eq!((whole.code, &whole.json()["whole"]), (0, &true.into()), "{}", whole.out);
    assert_eq!((&whole.json()["head"], &whole.json()["events"]), (&first.json()["head"], &105.into()));

    // The amount of the sale, in the copy.
    let copy = fs::read_to_string(&file).unwrap();
    let (amount, less) = (r#""amount\":1234"#, r#""amount\":1134"#);
    assert!(copy.contains(amount));
    fs::write(bench.folder().join("forged.jsonl"), copy.replacen(amount, less, 1)).unwrap();
    let forged = verify("forged.jsonl", &[]).await;
    assert_eq!((forged.code, &forged.json()["whole"]), (1, &false.into()), "{}", forged.out);
    assert!(forged.out.contains("record 101 is not as it was written"), "{}", forged.out);
    assert_eq!(verify("absent.jsonl", &[]).await.code, 3);

    // A later copy goes on from the earlier one; that of another journal does not.
    assert_eq!(posctl(&bench, &["cash", "2.00", "--no-receipt"]).await.code, 0);
    assert_eq!(export("second.jsonl").await.json()["events"], 107);
    let head = first.json()["head"].as_str().unwrap().to_owned();
    let known = ["--head", head.as_str()];
    assert_eq!(verify("second.jsonl", &known).await.code, 0);
    let before = verify("empty.jsonl", &known).await;
    assert!(before.code == 1 && before.out.contains("never had the head"), "{}", before.out);
    assert_eq!(verify("second.jsonl", &["--head", "12"]).await.code, 2);
}

#[tokio::test]
async fn the_module_seals_the_journal_at_rest_and_a_chain_that_was_made_anew_does_not_fit() {
    let mut bench = Bench::start_with(&[("paymentd", "[journal]\nseal_events = 4\n")]).await;
    let bus = bench.terminal.system_bus().await.unwrap();
    let payment = PaymentProxy::new(&bus).await.unwrap();
    let sealed = async |event| {
        until("a seal", async || {
            payment
                .read_seals(0, 100)
                .await
                .is_ok_and(|seals| seals.last().is_some_and(|seal| seal.0 == event))
        })
        .await;
    };
    let cash = async |bench: &Bench, key| {
        let done = posctl(bench, &["cash", "2.00", "--no-receipt", "--key", key]).await;
        assert_eq!(done.code, 0, "{}", done.err);
    };
    cash(&bench, "first").await;
    cash(&bench, "second").await;
    sealed(4).await;
    // Without its module the terminal goes on, and the seal is made when the module is back.
    bench.terminal.kill(Part::Module).await.unwrap();
    cash(&bench, "third").await;
    cash(&bench, "fourth").await;
    let later = "the journal is sealed later";
    until("the attempt without a module", async || bench.logs().contains(later)).await;
    bench.terminal.restart(Part::Module).await.unwrap();
    until("the module", async || posctl(&bench, &["status"]).await.code == 0).await;
    cash(&bench, "fifth").await;
    sealed(10).await;

    let exported = posctl(&bench, &["--json", "audit", "export", "copy.jsonl"]).await.json();
    let key = exported["seal"]["key"].as_str().unwrap().to_owned();
    assert_eq!((&exported["events"], &exported["seal"]["last"]), (&10.into(), &10.into()));
    let verify = async |name| posctl(&bench, &["--json", "audit", "verify", name, "--key", &key]).await;
    let whole = verify("copy.jsonl").await;
    assert_eq!((whole.code, &whole.json()["seal"]["last"]), (0, &10.into()), "{}", whole.out);
    let copy = fs::read_to_string(bench.folder().join("copy.jsonl")).unwrap();
    for (name, forged, problem) in [
        ("anew.jsonl", made_anew(&copy, true), "what was sealed as record 4"),
        ("unsealed.jsonl", made_anew(&copy, false), "has no seal by the key"),
    ] {
        fs::write(bench.folder().join(name), forged).unwrap();
        let forged = verify(name).await;
        assert!(forged.code == 1 && forged.out.contains(problem), "{}", forged.out);
    }
    // Without the key and the seals, only an earlier head would tell.
    assert_eq!(posctl(&bench, &["audit", "verify", "unsealed.jsonl"]).await.code, 0);
}

#[tokio::test]
async fn an_export_has_every_transaction_once_in_columns_that_a_spreadsheet_reads() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    // More than a page, and what a separator would break.
    for number in 0..110 {
        let (key, order) = (format!("cash-{number}"), format!("a, \"{number}\""));
        let options = HashMap::from([("print", false.into()), ("order", order.as_str().into())]);
        let record = async || shop.payment.record_cash(150, "CNY", &key, options.clone()).await.is_ok();
        until("the teller to be ready", record).await;
    }
    let export = async |words: &[&str]| posctl(&bench, &[&["export"], words].concat()).await;
    let csv = export(&["--format", "csv"]).await;
    assert_eq!(csv.code, 0, "{}", csv.err);
    let lines: Vec<&str> = csv.out.split_terminator("\r\n").collect();
    assert!(
        lines.first().unwrap().starts_with("created,finished,owner,key,type,state,outcome,amount,currency,")
    );
    assert_eq!(lines.len(), 111);
    let newest = lines.get(1).unwrap();
    assert!(newest.contains(",cash-109,cash,final,approved,1.50,CNY,,\"a, \"\"109\"\"\","), "{newest}");
    let json = export(&["--format", "json"]).await.json();
    let keys: HashSet<&str> =
        json.as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 110);
    for nothing in [["--type", "sale"], ["--until", "2020-01-01"], ["--since", "2999-01-01"]] {
        let none = export(&[&["--format", "json"], &nothing[..]].concat()).await;
        assert_eq!(none.json().as_array().map(Vec::len), Some(0), "{nothing:?}");
    }
    let since = export(&["--format", "json", "--since", "2020-01-01", "--until", "2999-01-01"]).await;
    assert_eq!(since.json().as_array().map(Vec::len), Some(110));
}

/// The copy with another amount and all links made to fit, with its seals or without.
fn made_anew(copy: &str, with_seals: bool) -> String {
    let mut chain = Chain::new(&Octets([0; 16]));
    let mut forged = String::new();
    for line in copy.lines() {
        let line = match serde_json::from_str(line).unwrap() {
            Line::Journal { version, identity } => {
                chain = Chain::new(&identity);
                Line::Journal { version, identity }
            }
            Line::Record { id, transaction, at, body, .. } => {
                let body: Cow<'_, str> = body.replace("\"amount\":200", "\"amount\":199").into();
                chain.append(&Record { id, transaction, at, body: &body });
                Line::Record { id, transaction, at, body, link: chain.head }
            }
            Line::End { .. } => Line::End { last: chain.last, head: chain.head },
            Line::Seal(_) if !with_seals => continue,
            seal => seal,
        };
        forged.push_str(&line.to_text().unwrap());
    }
    forged
}

/// Events in the journal.
async fn events(bench: &Bench) -> i64 {
    let bus = bench.terminal.system_bus().await.unwrap();
    client::proxy::<PaymentProxy>(&bus).await.unwrap().get_journal_head().await.unwrap().1
}

#[tokio::test]
async fn completions_and_manual_pages_are_made_without_a_bus() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(sim_terminal::programs().unwrap().join("posctl"));
        command.args(arguments).env("SMARTPOS_OPERATOR_BUS_ADDRESS", "unix:path=/nowhere");
        Run::of(command.output().unwrap())
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert_eq!(script.code, 0, "{}", script.err);
        assert!(script.out.contains("preview"), "{shell}: {}", script.out);
    }
    let pages = folder.path().join("man");
    assert_eq!(run(&["man", pages.to_str().unwrap()]).code, 0);
    let sale = fs::read_to_string(pages.join("posctl-sale.1")).unwrap();
    assert!(sale.contains("amount"), "{sale}");
    assert!(pages.join("posctl.1").exists());
    let nowhere = run(&["status"]);
    assert_eq!(nowhere.code, 3);
    assert!(nowhere.err.contains("/nowhere"), "{}", nowhere.err);
}
