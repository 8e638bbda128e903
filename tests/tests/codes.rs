//! Payments by code through the production daemons: the customer's code scanned, the merchant's code shown, money back, and
//! what becomes of them when the gateway, the customer, the app or the daemon misbehaves.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use client::payment::TransactionProxy;
use client::{Dictionary, get};
use sim_terminal::Part;
use smartpos_tests::{Bench, Sale, Shop, error_name, option, text, until};

const CNY: &str = "CNY";
/// A code of Alipay's: 18 digits that begin with 28.
const ALIPAY: &str = "287654321098765432";

/// A gateway that answers soon or not at all, and customers who are not waited for long.
const IMPATIENT: &str =
    "[gateway]\nanswer_timeout_ms = 700\nquery_interval_ms = 30\ncustomer_limit_ms = 1500\nretry_s = [0]\n";

async fn impatient() -> (Bench, Shop) {
    let bench = Bench::start_with(&[("paymentd", IMPATIENT)]).await;
    let shop = bench.shop().await;
    (bench, shop)
}

/// A code of `wallet` that no customer has shown before.
async fn fresh(bench: &Bench, wallet: &str) -> String {
    bench.sim(&format!("qr code {wallet}")).await.data.as_str().unwrap().to_owned()
}

async fn pay(shop: &Shop, code: &str, key: &str) -> (String, Dictionary) {
    shop.run(key, shop.payment.start_code_payment(1234, CNY, code, key, HashMap::new())).await
}

async fn void(shop: &Shop, original: &str, key: &str) -> (String, Dictionary) {
    shop.run(key, shop.payment.start_void(original, key, HashMap::new())).await
}

async fn refund(shop: &Shop, amount: u64, original: &str, key: &str) -> (String, Dictionary) {
    shop.run(key, shop.payment.start_refund(amount, CNY, original, key, HashMap::new())).await
}

async fn show_code(shop: &Shop, key: &str) -> Sale {
    let started = shop.payment.start_merchant_code(1999, CNY, key, HashMap::new());
    shop.follow(key, started).await.unwrap()
}

async fn result(shop: &Shop, key: &str) -> Dictionary {
    let proxy = TransactionProxy::builder(&shop.bus).path(shop.path(key)).build().await.unwrap();
    proxy.get_result().await.unwrap()
}

fn is_approved(bench: &Bench, (outcome, result): (String, Dictionary)) -> Dictionary {
    assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());
    result
}

/// The text of the receipt with this number, once it is printed.
async fn receipt(bench: &Bench, number: usize) -> String {
    let file = bench.terminal.layout().paper().join(format!("receipt-{number:04}.txt"));
    until("a receipt", async || file.exists()).await;
    std::fs::read_to_string(file).unwrap()
}

/// Every order in the gateway's ledger.
async fn orders(bench: &Bench) -> Vec<serde_json::Value> {
    bench.sim("qr ledger").await.data.as_array().unwrap().clone()
}

#[tokio::test]
async fn each_wallets_code_is_charged_once_printed_masked_and_given_back_in_parts_or_whole() {
    let (bench, shop) = impatient().await;
    for wallet in ["alipay", "wechat", "unionpay"] {
        let code = fresh(&bench, wallet).await;
        let paid = is_approved(&bench, pay(&shop, &code, wallet).await);
        assert_eq!((text(&paid, "type"), text(&paid, "wallet")), ("code-payment", wallet));
        assert_eq!(text(&paid, "host"), "approved");
        assert!(text(&paid, "code").contains("****") && !format!("{paid:?}").contains(&code), "{paid:?}");
        // The same key and code are the same payment.
        let again = shop.payment.start_code_payment(1234, CNY, &code, wallet, HashMap::new()).await;
        assert_eq!(again.unwrap(), shop.path(wallet));
        let other = shop.payment.start_code_payment(1234, CNY, ALIPAY, wallet, HashMap::new()).await;
        assert_eq!(error_name(other), "InvalidArgument");
        let journal = bench.terminal.layout().state(Part::Paymentd);
        for file in std::fs::read_dir(journal).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let found = bytes.windows(code.len()).any(|window| window == code.as_bytes());
            assert!(!found, "the customer's code is in the journal");
        }
    }
    assert_eq!(orders(&bench).await.len(), 3);

    let part = is_approved(&bench, refund(&shop, 1000, "alipay", "part").await);
    assert_eq!((text(&part, "type"), text(&part, "original")), ("code-refund", "alipay"));
    let over = shop.payment.start_refund(235, CNY, "alipay", "over", HashMap::new()).await;
    assert_eq!(error_name(over), "InvalidArgument");
    let late = shop.payment.start_void("alipay", "late", HashMap::new()).await;
    assert_eq!(error_name(late), "WrongState");
    is_approved(&bench, refund(&shop, 234, "alipay", "rest").await);
    let undone = is_approved(&bench, void(&shop, "wechat", "undo").await);
    assert_eq!((text(&undone, "type"), get::<u64>(&undone, "amount")), ("code-void", Some(1234)));
    bench.settle_and_compare().await;

    let slip = receipt(&bench, 1).await;
    for line in ["付款码支付", "支付宝 ALIPAY", "商户单号", "12.34", "****"] {
        assert!(slip.contains(line), "`{line}` is not on the receipt:\n{slip}");
    }
    let back = receipt(&bench, 4).await;
    assert!(back.contains("扫码退款") && back.contains("退款单号") && back.contains("10.00"), "{back}");
}

#[tokio::test]
async fn a_code_that_is_shown_is_scanned_and_paid_and_an_app_can_call_it_off_before() {
    let bench =
        Bench::start_with(&[("paymentd", "[gateway]\nquery_interval_ms = 30\nretry_s = [0]\n")]).await;
    let shop = bench.shop().await;
    bench.sim("qr user waits").await;
    let mut sale = show_code(&shop, "shown").await;
    sale.reached("show-code").await;
    let code = sale.proxy.shown_code().await.unwrap();
    assert!(qr_is_for(&code, "19.99"), "{code}");
    bench.terminal.simctl(&["qr", "pay", &code]).await.unwrap();
    let (outcome, paid) = sale.completed().await;
    assert_eq!((outcome.as_str(), text(&paid, "type")), ("approved", "merchant-code"), "{}", bench.logs());
    assert_eq!(text(&paid, "wallet"), "unionpay");
    assert_eq!(sale.proxy.shown_code().await.unwrap(), "");

    let mut left = show_code(&shop, "left").await;
    left.reached("show-code").await;
    let code = left.proxy.shown_code().await.unwrap();
    assert!(left.proxy.cancellable().await.unwrap());
    left.proxy.cancel().await.unwrap();
    let (outcome, called_off) = left.completed().await;
    assert_eq!(outcome, "reversed", "{called_off:?}");
    bench.settle_and_compare().await;
    assert_eq!(text(&result(&shop, "left").await, "host"), "reversed");
    // The customer was slow: the order is closed, and nothing is taken.
    let late = bench.terminal.simctl(&["qr", "pay", &code]).await;
    assert!(late.is_err_and(|error| error.to_string().contains("can't be paid any more")));
    bench.settle_and_compare().await;
}

/// Whether an EMV merchant-presented code is for this amount (tag 54).
fn qr_is_for(code: &str, amount: &str) -> bool {
    code.contains(&format!("54{:02}{amount}", amount.len()))
}

#[tokio::test]
async fn a_code_of_nobody_is_refused_and_nothing_is_begun() {
    let (bench, shop) = impatient().await;
    for code in ["", "99", "990000000000000000", "28765432109876543x", "28 7654321098765432", "hQVDUFYwMQ"] {
        let refused = shop.payment.start_code_payment(1234, CNY, code, "k", HashMap::new()).await;
        assert_eq!(error_name(refused), "InvalidArgument", "{code}");
    }
    let tip = shop.payment.start_code_payment(1, CNY, ALIPAY, "k", option("tip", 1_u64)).await;
    assert_eq!(error_name(tip), "InvalidArgument");
    assert_eq!(error_name(shop.payment.get_transaction("k").await), "NotFound");
    assert!(orders(&bench).await.is_empty());
}

#[tokio::test]
async fn a_terminal_without_a_gateway_offers_no_payments_by_code() {
    // Laid over the whole of it, nothing is left but what the daemon has by itself.
    let mut bench = Bench::start().await;
    let file = bench.folder().join("config/paymentd.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let start = config.find("[gateway]").unwrap();
    let end = config[start + 1..].find("\n[").map_or(config.len(), |end| start + 1 + end);
    std::fs::write(&file, format!("{}{}", &config[..start], &config[end..])).unwrap();
    bench.kill_and_restart(Part::Paymentd).await;
    let shop = bench.shop().await;
    let started = shop.payment.start_code_payment(1, CNY, ALIPAY, "k", HashMap::new()).await;
    assert_eq!(error_name(started), "NotSupported");
    let shown = shop.payment.start_merchant_code(1, CNY, "k", HashMap::new()).await;
    assert_eq!(error_name(shown), "NotSupported");
}

#[tokio::test]
async fn what_the_customer_refuses_or_never_confirms_is_not_sold() {
    let (bench, shop) = impatient().await;
    bench.sim("qr user declines").await;
    let (outcome, refused) = pay(&shop, &fresh(&bench, "wechat").await, "refused").await;
    assert_eq!((outcome.as_str(), text(&refused, "host")), ("declined", "declined"), "{refused:?}");
    bench.sim("qr user waits").await;
    let (outcome, slow) = pay(&shop, &fresh(&bench, "wechat").await, "slow").await;
    assert_eq!(
        (outcome.as_str(), text(&slow, "reason")),
        ("reversed", "the payment was not confirmed in time")
    );
    // The customer confirms after all: the order is closed by then, or its money given back.
    bench.sim("qr user pays").await;
    bench.settle_and_compare().await;
    bench.sim("qr user waits 200ms").await;
    is_approved(&bench, pay(&shop, &fresh(&bench, "wechat").await, "confirmed").await);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_late_forged_or_replayed_is_asked_for_again_and_money_moves_once() {
    let (bench, shop) = impatient().await;
    for (number, rule) in
        ["silent", "late 900ms", "garbage", "wrong signature", "replay", "drop after"].iter().enumerate()
    {
        let code = fresh(&bench, "alipay").await;
        let key = format!("paid-{number}");
        bench.sim(&format!("qr once pay {rule}")).await;
        is_approved(&bench, pay(&shop, &code, &key).await);
        bench.sim(&format!("qr once refund {rule}")).await;
        is_approved(&bench, refund(&shop, 200, &key, &format!("back-{number}")).await);
        bench.settle_and_compare().await;
    }
    // The request never came: it is sent again, until nobody wants to wait.
    bench.sim("qr once pay drop before").await;
    is_approved(&bench, pay(&shop, &fresh(&bench, "alipay").await, "lost").await);
    bench.sim("qr rule pay drop before").await;
    assert_eq!(pay(&shop, &fresh(&bench, "alipay").await, "deaf").await.0, "reversed");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn nothing_moves_at_the_gateway_before_it_acknowledged_a_cancel_and_cards_are_taken_meanwhile() {
    let (bench, shop) = impatient().await;
    bench.insert("unionpay-credit").await;
    for rule in ["silent", "wrong signature", "drop before", "drop after", "garbage", "replay"] {
        bench.sim("qr rule query drop before").await;
        bench.sim("qr rule pay drop after").await;
        bench.sim(&format!("qr rule cancel {rule}")).await;
        let name = rule.replace(' ', "-");
        let (key, next) = (format!("doubt-{name}"), format!("next-{name}"));
        assert_eq!(pay(&shop, &fresh(&bench, "alipay").await, &key).await.0, "reversed");
        assert_eq!(text(&result(&shop, &key).await, "host"), "unknown", "a timeout is never a decline");
        let (outcome, blocked) = pay(&shop, &fresh(&bench, "alipay").await, &next).await;
        assert_eq!((outcome.as_str(), text(&blocked, "host")), ("failed", "none"), "{rule}: {blocked:?}");
        assert_eq!(shop.sell(100, &format!("card-{name}")).await.0, "approved");
        bench.sim("qr truthful").await;
        bench.settle_and_compare().await;
        assert_eq!(text(&result(&shop, &key).await, "host"), "reversed");
    }
    is_approved(&bench, pay(&shop, &fresh(&bench, "alipay").await, "free").await);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_refund_that_is_not_answered_goes_on_also_after_a_crash_and_holds_up_the_settlement_alone() {
    let (mut bench, shop) = impatient().await;
    bench.insert("unionpay-credit").await;
    is_approved(&bench, pay(&shop, ALIPAY, "paid").await);
    bench.sim("qr rule refund silent").await;
    let back = shop.payment.start_refund(234, CNY, "paid", "back", HashMap::new());
    let mut back = shop.follow("back", back).await.unwrap();
    until("others to go on", async || {
        shop.payment.state().await.is_ok_and(|state| state == "reversal-pending")
    })
    .await;
    assert_eq!(shop.sell(100, "card").await.0, "approved");
    let second = shop.payment.start_refund(100, CNY, "paid", "second", HashMap::new()).await;
    assert_eq!(error_name(second), "WrongState", "one is under way");
    let close = shop.run("close", shop.payment.start_settlement("close", HashMap::new())).await;
    assert_eq!(close.0, "failed", "{:?}", close.1);
    assert!(text(&close.1, "reason").contains("not decided yet"), "{:?}", close.1);
    assert_eq!(text(&result(&shop, "back").await, "host"), "unknown");

    bench.kill_and_restart(Part::Paymentd).await;
    // It is followed again, by the same key.
    let again = shop.payment.start_refund(234, CNY, "paid", "back", HashMap::new()).await;
    assert_eq!(again.unwrap(), shop.path("back"));
    assert_eq!(text(&result(&shop, "back").await, "state"), "authorizing");
    bench.sim("qr truthful").await;
    assert_eq!(back.completed().await.0, "approved");
    bench.settle_and_compare().await;

    let totals = shop.payment.get_totals().await.unwrap();
    let count = |name: &str| get::<u32>(&totals, name).unwrap();
    let amount = |name: &str| get::<u64>(&totals, name).unwrap();
    assert_eq!((count("code_debit_count"), amount("code_debit_amount")), (1, 1234), "{totals:?}");
    assert_eq!((count("code_credit_count"), amount("code_credit_amount")), (1, 234), "{totals:?}");
    assert_eq!((count("debit_count"), amount("debit_amount")), (1, 100), "the acquirer's are apart");
    let closed = shop.run("closed", shop.payment.start_settlement("closed", HashMap::new())).await;
    let closed = is_approved(&bench, closed);
    assert_eq!(
        (get::<bool>(&closed, "balanced"), get::<u64>(&closed, "code_debit_amount")),
        (Some(true), Some(1234))
    );
    // What is settled is refunded and not voided.
    let late = shop.payment.start_void("paid", "late", HashMap::new()).await;
    assert_eq!(error_name(late), "WrongState");
    is_approved(&bench, refund(&shop, 1000, "paid", "rest").await);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn paymentd_killed_while_the_customer_confirms_leaves_nothing_taken() {
    let (mut bench, shop) = impatient().await;
    for step in ["gateway", "customer", "show-code"] {
        bench.sim("qr user waits").await;
        let key = format!("killed-{step}");
        let mut sale = match step {
            "show-code" => show_code(&shop, &key).await,
            _ => {
                let code = fresh(&bench, "alipay").await;
                let started = shop.payment.start_code_payment(1234, CNY, &code, &key, HashMap::new());
                shop.follow(&key, started).await.unwrap()
            }
        };
        sale.reached(step).await;
        bench.kill_and_restart(Part::Paymentd).await;
        bench.sim("qr user pays").await;
        until("its end", async || {
            let Ok(path) = shop.payment.get_transaction(&key).await else { return false };
            let proxy = TransactionProxy::builder(&shop.bus).path(path).build().await.unwrap();
            proxy.state().await.is_ok_and(|state| state == "final")
        })
        .await;
        bench.settle_and_compare().await;
        assert_eq!(text(&result(&shop, &key).await, "outcome"), "reversed");
    }
}

#[tokio::test]
async fn a_gateway_that_is_away_fails_a_payment_before_anything_is_at_stake() {
    let (mut bench, shop) = impatient().await;
    bench.terminal.kill(Part::Gateway).await.unwrap();
    let (outcome, away) = pay(&shop, ALIPAY, "away").await;
    assert_eq!((outcome.as_str(), text(&away, "host")), ("failed", "none"), "{away:?}");
    assert!(text(&away, "reason").contains("can't be reached"), "{away:?}");
    bench.terminal.restart(Part::Gateway).await.unwrap();
    is_approved(&bench, pay(&shop, ALIPAY, "back").await);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_order_that_somebody_else_gave_back_settles_as_what_it_is_and_blocks_nothing() {
    let (bench, shop) = impatient().await;
    for (key, given_back) in [("whole", ""), ("part", " 234")] {
        // The customer pays, and the terminal does not hear of it.
        bench.sim("qr user waits").await;
        let code = fresh(&bench, "alipay").await;
        let started = shop.payment.start_code_payment(1234, CNY, &code, key, HashMap::new());
        let mut sale = shop.follow(key, started).await.unwrap();
        sale.reached("customer").await;
        bench.sim("qr rule query silent").await;
        bench.sim("qr user pays").await;
        let order = text(&result(&shop, key).await, "gateway_order").to_owned();
        until("the payment", async || bench.terminal.simctl(&["qr", "refund", &order, "1"]).await.is_ok())
            .await;
        bench.sim(&format!("qr refund {order}{given_back}")).await;
        sale.proxy.cancel().await.unwrap();
        assert_eq!(sale.completed().await.0, "reversed");
        bench.sim("qr truthful").await;
        until("the end of the doubt", async || shop.payment.pending_reversals().await == Ok(0)).await;
        assert_eq!(text(&result(&shop, key).await, "host"), "reversed");
        let known = orders(&bench)
            .await
            .into_iter()
            .find(|one| one["order"] == order.as_str() && one["state"] == "paid")
            .unwrap();
        let back = known["refunds"].as_array().unwrap().iter().filter_map(|one| one["amount"].as_u64());
        assert_eq!(back.sum::<u64>(), 1234, "{known}");
        is_approved(&bench, pay(&shop, &fresh(&bench, "alipay").await, &format!("{key}-next")).await);
    }
}

#[tokio::test]
async fn an_answer_that_the_line_brings_twice_is_one_answer_and_none_to_the_next_request() {
    let (bench, shop) = impatient().await;
    for operation in ["pay", "query", "cancel", "refund"] {
        bench.sim(&format!("qr rule {operation} repeat")).await;
    }
    bench.sim("qr user waits 100ms").await;
    for key in ["first", "second"] {
        let paid = is_approved(&bench, pay(&shop, &fresh(&bench, "alipay").await, key).await);
        assert_eq!(get::<u64>(&paid, "amount"), Some(1234));
    }
    is_approved(&bench, refund(&shop, 234, "first", "part").await);
    is_approved(&bench, refund(&shop, 1000, "first", "rest").await);
    is_approved(&bench, void(&shop, "second", "undo").await);
    bench.settle_and_compare().await;
}
