//! The gateway against a tiny terminal, over real TLS.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

mod client;

use client::{ALIPAY, Bench, cancel, now, pay, prepare, query, refund};
use gateway::message::{Answer, OrderOutcome, RefundNumber, RefundOutcome, RefusalKind, Request};
use gateway::terminal::AnswerError;
use qr::mpm::MerchantCode;
use sim_gateway::ledger::State;

fn refused(answer: Answer) -> RefusalKind {
    match answer {
        Answer::Refused(refusal) => refusal.error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_scanned_code_is_charged_once_however_often_it_is_asked() {
    let bench = Bench::open().await;
    for (order, code, wallet) in [
        ("A1", ALIPAY, "alipay"),
        ("A2", "134567890123456789", "wechat"),
        ("A3", "6212345678901234567", "unionpay"),
    ] {
        let first = bench.outcome(pay(order, 1234, code)).await;
        let OrderOutcome::Paid(payment) = &first else { panic!("{first:?}") };
        assert_eq!((payment.amount, payment.wallet.as_str()), (1234, wallet));
        assert_eq!(bench.outcome(pay(order, 1234, code)).await, first);
        assert_eq!(bench.outcome(query(order)).await, first);
    }
    let ledger = bench.ledger();
    assert_eq!(ledger.entries().len(), 3);
    assert!(ledger.entries().iter().all(|entry| entry.state == State::Paid));
    let file = std::fs::read_to_string(bench.dir.path().join("ledger")).unwrap();
    assert!(!file.contains(ALIPAY));
}

#[tokio::test]
async fn a_number_that_is_used_for_something_else_is_refused() {
    let bench = Bench::open().await;
    bench.ask(pay("A1", 1234, ALIPAY)).await;
    for other in [pay("A1", 1235, ALIPAY), pay("A1", 1234, "287654321098765433"), prepare("A1", 1234)] {
        assert_eq!(refused(bench.ask(other).await), RefusalKind::NumberInUse);
    }
    assert_eq!(refused(bench.ask(pay("A2", 1, "990000000000000000")).await), RefusalKind::UnknownCode);
    let Request::Prepare(mut dollars) = prepare("A3", 1) else { panic!() };
    dollars.currency = "USD".to_owned();
    assert_eq!(refused(bench.ask(Request::Prepare(dollars)).await), RefusalKind::WrongCurrency);
    let states: Vec<State> = bench.ledger().entries().iter().map(|entry| entry.state).collect();
    assert_eq!(states.iter().filter(|state| **state == State::Refused).count(), 5);
    assert_eq!(bench.outcome(query("A2")).await, OrderOutcome::Unknown {});
}

#[tokio::test]
async fn a_customer_who_takes_time_is_waited_for() {
    let bench = Bench::open().await;
    bench.simctl("qr user waits").await;
    let pending = OrderOutcome::Pending { shown: None };
    assert_eq!(bench.outcome(pay("A1", 500, ALIPAY)).await, pending);
    assert_eq!(bench.outcome(query("A1")).await, pending);
    bench.simctl("qr user waits 600s").await;
    assert_eq!(bench.outcome(query("A1")).await, pending);
    bench.simctl("qr user pays").await;
    assert!(matches!(bench.outcome(query("A1")).await, OrderOutcome::Paid(_)));
    bench.simctl("qr user waits 0s").await;
    assert!(matches!(bench.outcome(pay("A2", 500, ALIPAY)).await, OrderOutcome::Paid(_)));
}

#[tokio::test]
async fn a_customer_who_refuses_fails_the_order_for_good() {
    let bench = Bench::open().await;
    bench.simctl("qr user declines").await;
    let failed = bench.outcome(pay("A1", 500, ALIPAY)).await;
    assert!(matches!(&failed, OrderOutcome::Failed { .. }), "{failed:?}");
    bench.simctl("qr user pays").await;
    assert_eq!(bench.outcome(pay("A1", 500, ALIPAY)).await, failed);
    assert_eq!(bench.outcome(cancel("A1")).await, failed);
}

#[tokio::test]
async fn a_shown_code_is_an_emv_code_that_the_customer_pays() {
    let bench = Bench::open().await;
    let OrderOutcome::Pending { shown: Some(shown) } = bench.outcome(prepare("A1", 1999)).await else {
        panic!()
    };
    let code = MerchantCode::parse(&shown.code).unwrap();
    assert_eq!(code.amount(2), Ok(Some(1999)));
    assert!(shown.valid_until > now());
    assert!(matches!(bench.outcome(prepare("A1", 1999)).await, OrderOutcome::Paid(_)));
    bench.simctl("qr user waits").await;
    bench.outcome(prepare("A2", 1)).await;
    assert_eq!(bench.outcome(cancel("A2")).await, OrderOutcome::Closed { returned: 0 });
    bench.simctl("qr user pays").await;
    assert_eq!(bench.outcome(query("A2")).await, OrderOutcome::Closed { returned: 0 });
}

#[tokio::test]
async fn cancelling_gives_back_what_was_paid_and_forbids_what_has_yet_to_arrive() {
    let bench = Bench::open().await;
    bench.ask(pay("A1", 700, ALIPAY)).await;
    for _ in 0..2 {
        assert_eq!(bench.outcome(cancel("A1")).await, OrderOutcome::Closed { returned: 700 });
    }
    let nothing = OrderOutcome::Closed { returned: 0 };
    assert_eq!(bench.outcome(cancel("A2")).await, nothing);
    assert_eq!(bench.outcome(pay("A2", 700, ALIPAY)).await, nothing);
    assert_eq!(bench.outcome(query("A2")).await, nothing);
}

#[tokio::test]
async fn refunds_never_exceed_what_was_paid() {
    let bench = Bench::open().await;
    bench.ask(pay("A1", 1000, ALIPAY)).await;
    let given = |answer: Answer| match answer {
        Answer::Refund(answer) => answer.outcome,
        other => panic!("{other:?}"),
    };
    let first = given(bench.ask(refund("A1", "R1", 600)).await);
    assert!(matches!(first, RefundOutcome::Refunded { amount: 600, .. }));
    assert_eq!(given(bench.ask(refund("A1", "R1", 600)).await), first);
    assert_eq!(refused(bench.ask(refund("A1", "R1", 400)).await), RefusalKind::NumberInUse);
    assert_eq!(refused(bench.ask(refund("A1", "R2", 401)).await), RefusalKind::RefundTooLarge);
    assert_eq!(refused(bench.ask(cancel("A1")).await), RefusalKind::WrongState);
    given(bench.ask(refund("A1", "R2", 400)).await);
    let ask = |refund: &str| {
        Request::RefundQuery(RefundNumber { order: "A1".to_owned(), refund: refund.to_owned() })
    };
    assert_eq!(given(bench.ask(ask("R1")).await), first);
    assert_eq!(given(bench.ask(ask("R3")).await), RefundOutcome::Unknown {});
    let state = bench.outcome(query("A1")).await;
    assert!(matches!(state, OrderOutcome::Refunded { refunded: 1000, .. }), "{state:?}");
    assert_eq!(refused(bench.ask(refund("A2", "R1", 1)).await), RefusalKind::WrongState);
}

#[tokio::test]
async fn what_is_not_signed_rightly_freshly_and_once_is_refused() {
    let bench = Bench::open().await;
    let (call, sent) = bench.sign(pay("A1", 1, ALIPAY), now());
    let raw = bench.send_signed(&sent).await.unwrap();
    assert!(bench.verify(&call, &raw).is_ok());
    let raw = bench.send_signed(&sent).await.unwrap();
    assert_eq!(refused(bench.verify(&call, &raw).unwrap()), RefusalKind::Replayed);
    for at in [now() - 310, now() + 310] {
        let (call, sent) = bench.sign(query("A1"), at);
        let raw = bench.send_signed(&sent).await.unwrap();
        assert_eq!(refused(bench.verify(&call, &raw).unwrap()), RefusalKind::ClockSkew);
    }
    let (call, mut sent) = bench.sign(refund("A1", "R1", 1), now());
    let place = sent.body.iter().rposition(|byte| *byte == b'1').unwrap();
    sent.body[place] = b'9';
    let raw = bench.send_signed(&sent).await.unwrap();
    assert_eq!(refused(bench.verify(&call, &raw).unwrap()), RefusalKind::BadSignature);
    assert!(bench.ledger().entries().iter().all(|entry| entry.refunds.is_empty()));
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_reason() {
    let bench = Bench::open().await;
    let (_, sent) = bench.sign(query("A1"), now());
    let fields = sent.head.fields().to_vec();
    let json = ("Content-Type", "application/json".to_owned());
    let with_type: Vec<_> = [json.clone()].into_iter().chain(fields.clone()).collect();
    let twice: Vec<_> = with_type.iter().cloned().chain([fields[2].clone()]).collect();
    let cases = [
        ("POST", "/v1/query", fields, sent.body.to_vec(), 400),
        ("POST", "/v1/query", vec![json], sent.body.to_vec(), 400),
        ("POST", "/v1/query", twice, sent.body.to_vec(), 400),
        ("POST", "/v1/query", with_type.clone(), vec![b' '; gateway::MAX_BODY + 1], 400),
        ("GET", "/v1/query", with_type.clone(), sent.body.to_vec(), 401),
        ("POST", "/v1/query?x=1", with_type, sent.body.to_vec(), 401),
    ];
    for (method, path, fields, body, status) in cases {
        let raw = bench.send(method, path, &fields, &body).await.unwrap();
        let text = String::from_utf8_lossy(&raw.body).into_owned();
        assert_eq!(raw.status, status, "{text}");
        assert!(text.contains("\"reason\":\""), "{text}");
    }
}

#[tokio::test]
async fn by_rule_an_answer_is_lost_forged_or_garbage_and_the_order_is_found_again() {
    let bench = Bench::open().await;
    for (number, rule) in ["drop after", "garbage", "wrong signature"].iter().enumerate() {
        let order = format!("A{number}");
        assert!(bench.simctl(&format!("qr once {rule}")).await.ok);
        let (call, sent) = bench.sign(pay(&order, 5, ALIPAY), now());
        match bench.send_signed(&sent).await.map(|raw| bench.verify(&call, &raw)) {
            None => assert_eq!(*rule, "drop after"),
            Some(Err(AnswerError::Malformed(_))) => assert_eq!(*rule, "garbage"),
            Some(Err(AnswerError::Head(_))) => assert_eq!(*rule, "wrong signature"),
            Some(other) => panic!("{other:?}"),
        }
        assert!(matches!(bench.outcome(query(&order)).await, OrderOutcome::Paid(_)));
    }
    bench.simctl("qr rule once drop before").await;
    let (_, sent) = bench.sign(pay("B1", 5, ALIPAY), now());
    assert!(bench.send_signed(&sent).await.is_none());
    assert_eq!(bench.outcome(query("B1")).await, OrderOutcome::Unknown {});
}

#[tokio::test]
async fn customers_show_codes_that_are_never_the_same_and_scan_what_is_shown_once() {
    let bench = Bench::open().await;
    let code = async |wallet| bench.simctl(&format!("qr code {wallet}")).await.text;
    for wallet in ["alipay", "wechat", "unionpay"] {
        let codes = [code(wallet).await, code(wallet).await];
        assert_ne!(codes[0], codes[1]);
        let OrderOutcome::Paid(payment) = bench.outcome(pay(wallet, 5, &codes[0])).await else { panic!() };
        assert_eq!(payment.wallet, wallet);
    }
    assert!(!bench.simctl("qr code nobody").await.ok);

    bench.simctl("qr user waits").await;
    let shown = bench.outcome(prepare("A1", 1999)).await;
    let OrderOutcome::Pending { shown: Some(shown) } = shown else { panic!("{shown:?}") };
    let scan = async |code: &str| bench.command(&["qr", "pay", code]).await;
    assert!(scan(&shown.code).await.ok);
    assert!(matches!(bench.outcome(query("A1")).await, OrderOutcome::Paid(_)));
    let again = scan(&shown.code).await;
    assert!(!again.ok && again.text.contains("can't be paid any more"), "{}", again.text);
    assert!(!scan("another code").await.ok);
}

#[tokio::test]
async fn by_rule_the_answer_before_is_sent_once_more_and_fits_no_other_request() {
    let bench = Bench::open().await;
    bench.ask(query("A1")).await;
    bench.simctl("qr rule query replay").await;
    let (call, sent) = bench.sign(query("A1"), now());
    let raw = bench.send_signed(&sent).await.unwrap();
    assert_eq!(bench.verify(&call, &raw), Err(AnswerError::AnotherRequest));
    bench.simctl("qr truthful").await;
    assert_eq!(bench.outcome(query("A1")).await, OrderOutcome::Unknown {});
}

#[tokio::test]
async fn by_rule_an_answer_is_late_or_never_comes() {
    let bench = Bench::open().await;
    bench.simctl("qr rule query late 300ms").await;
    let asked = std::time::Instant::now();
    assert_eq!(bench.outcome(query("A1")).await, OrderOutcome::Unknown {});
    assert!(asked.elapsed() >= std::time::Duration::from_millis(300));

    bench.simctl("qr rule silent").await;
    let (_, sent) = bench.sign(pay("A1", 5, ALIPAY), now());
    let booked = async {
        while bench.ledger().entries().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = bench.send_signed(&sent) => panic!("it was answered"),
        () = booked => {}
    }
}

#[tokio::test]
async fn a_wrong_command_says_what_to_write() {
    let bench = Bench::open().await;
    for line in ["qr", "qr user sleeps", "qr user waits 40", "qr rule", "qr rule pay late", "qr once explode"]
    {
        let reply = bench.simctl(line).await;
        assert!(!reply.ok && !reply.text.is_empty(), "{line}");
    }
    assert!(bench.simctl("qr ledger").await.ok);
}
