//! Both ends of the protocol against each other, and against the documentation.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

use std::collections::BTreeMap;

use gateway::MAX_SKEW;
use gateway::door::{self, Admitted, Door};
use gateway::head::{Head, Signed};
use gateway::key::{RsaSigner, RsaVerifier, Sign, Verify};
use gateway::message::{
    Answer, OrderAnswer, OrderNumber, OrderOutcome, Pay, Payment, Prepare, Refund, RefundAnswer,
    RefundNumber, RefundOutcome, RefusalKind, Request, Shown,
};
use gateway::terminal::{AnswerError, Call, Outgoing};
use proptest::prelude::*;
use qr::wallet::PaymentCode;

const NOW: u64 = 1_790_000_000;
const NONCE: [u8; 16] = [0x5A; 16];
const TERMINAL: &str = "terminal-12345678";

fn signer(name: &str) -> RsaSigner {
    let path = format!("{}/tests/keys/{name}-key.pem", env!("CARGO_MANIFEST_DIR"));
    RsaSigner::from_pem(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn verifier(name: &str) -> RsaVerifier {
    let path = format!("{}/tests/keys/{name}-public.pem", env!("CARGO_MANIFEST_DIR"));
    RsaVerifier::from_pem(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn door() -> Door {
    opened(NOW - 1000)
}

fn opened(at: u64) -> Door {
    let key: Box<dyn Verify> = Box::new(verifier("terminal"));
    Door::new(BTreeMap::from([(TERMINAL.to_owned(), key)]), at)
}

fn pay() -> Request {
    Request::Pay(Pay {
        order: "T1-000042".to_owned(),
        amount: 1234,
        currency: "CNY".to_owned(),
        code: PaymentCode::new("287654321098765432").unwrap(),
    })
}

fn paid() -> Answer {
    let payment = Payment {
        amount: 1234,
        currency: "CNY".to_owned(),
        wallet: "alipay".to_owned(),
        reference: "2026092100000042".to_owned(),
        at: NOW,
    };
    Answer::Order(OrderAnswer { order: "T1-000042".to_owned(), outcome: OrderOutcome::Paid(payment) })
}

fn call(request: Request) -> (Call, Outgoing) {
    Call::new(request, TERMINAL, &signer("terminal"), NOW, NONCE).unwrap()
}

fn admit(door: &mut Door, sent: &Outgoing, now: u64) -> Result<Admitted, RefusalKind> {
    door.admit("POST", sent.path, &sent.head, &sent.body, now).map_err(|refusal| refusal.error)
}

fn sealed(answer: &Answer, path: &str, nonce: &str, now: u64) -> (Head, Vec<u8>) {
    let body = answer.body().unwrap();
    let head = door::seal("gateway", &signer("gateway"), now, nonce, answer.status(), path, &body).unwrap();
    (head, body)
}

/// The block of the documentation that follows the line `title`.
fn block(title: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/host-qr-gateway.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, after) = text.split_once(title).unwrap_or_else(|| panic!("no {title}"));
    let (_, block) = after.split_once("```\n").unwrap();
    block.split_once("```").unwrap().0.trim_end().to_owned()
}

fn http(first: &str, head: &Head, body: &[u8]) -> String {
    let fields: String = head.fields().iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{first}\nContent-Type: application/json\n{fields}\n{}", String::from_utf8_lossy(body))
}

#[test]
fn the_example_of_the_documentation_is_made_byte_for_byte() {
    let (call, sent) = call(pay());
    let signed = Signed { line: "POST", path: sent.path, body: &sent.body };
    let canonical = String::from_utf8(signed.canonical(NOW, &hex_nonce())).unwrap();
    assert_eq!(canonical.trim_end(), block("What the terminal signs:"));
    assert_eq!(http("POST /v1/pay HTTP/1.1", &sent.head, &sent.body), block("What it sends:"));

    let (head, body) = sealed(&paid(), sent.path, &sent.head.nonce, NOW + 1);
    let signed = Signed { line: "200", path: sent.path, body: &body };
    let canonical = String::from_utf8(signed.canonical(NOW + 1, &hex_nonce())).unwrap();
    assert_eq!(canonical.trim_end(), block("What the gateway signs:"));
    assert_eq!(http("HTTP/1.1 200 OK", &head, &body), block("What it answers:"));
    assert_eq!(call.answer(200, &head, &body, &verifier("gateway"), NOW + 1), Ok(paid()));
}

fn hex_nonce() -> String {
    "5a".repeat(16)
}

#[test]
fn header_fields_are_read_as_they_were_written() {
    let (_, sent) = call(pay());
    let fields = sent.head.fields();
    let read = |fields: &[(&str, String)]| {
        Head::read(|name| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str()))
    };
    assert_eq!(read(&fields), Ok(sent.head.clone()));
    for (position, wrong) in [
        (0, "two words"),
        (0, ""),
        (1, "01790000000"),
        (1, "+1790000000"),
        (1, "1790000000000"),
        (2, "5A5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"),
        (2, "5a"),
        (3, "rsa-sha256"),
        (3, "rsa-sha256 *"),
    ] {
        let mut bad = fields.clone();
        bad[position].1 = wrong.to_owned();
        assert!(read(&bad).is_err(), "{wrong}");
    }
    assert!(read(&fields[1..]).is_err());
}

#[test]
fn every_request_comes_in_as_it_was_asked() {
    let (order, refund, currency) = ("A1".to_owned(), "R1".to_owned(), "CNY".to_owned());
    let requests = [
        pay(),
        Request::Prepare(Prepare { order: order.clone(), amount: 1, currency: currency.clone() }),
        Request::Query(OrderNumber { order: order.clone() }),
        Request::Cancel(OrderNumber { order: order.clone() }),
        Request::Refund(Refund { order: order.clone(), refund: refund.clone(), amount: 1, currency }),
        Request::RefundQuery(RefundNumber { order, refund }),
    ];
    for request in requests {
        let (_, sent) = call(request.clone());
        let admitted = admit(&mut door(), &sent, NOW).unwrap();
        assert_eq!((admitted.key.as_str(), admitted.request), (TERMINAL, request));
    }
}

#[test]
fn a_request_comes_in_once_and_only_while_it_is_fresh() {
    let (_, sent) = call(pay());
    let mut door = door();
    assert_eq!(admit(&mut door, &sent, NOW + MAX_SKEW + 1), Err(RefusalKind::ClockSkew));
    assert_eq!(admit(&mut door, &sent, NOW - MAX_SKEW - 1), Err(RefusalKind::ClockSkew));
    admit(&mut door, &sent, NOW - MAX_SKEW).unwrap();
    for later in [NOW - MAX_SKEW, NOW, NOW + MAX_SKEW] {
        assert_eq!(admit(&mut door, &sent, later), Err(RefusalKind::Replayed), "{later}");
    }
    let mut reopened = opened(NOW + 1);
    assert_eq!(admit(&mut reopened, &sent, NOW + 1), Err(RefusalKind::Replayed));
}

#[test]
fn a_request_that_was_touched_or_signed_by_another_stays_out() {
    let (_, sent) = call(pay());
    let try_with = |method: &str, path: &str, head: &Head, body: &[u8]| {
        door().admit(method, path, head, body, NOW).map_err(|refusal| refusal.error).map(|_| ())
    };
    let wrong = Err(RefusalKind::BadSignature);
    assert_eq!(try_with("POST", "/v1/refund", &sent.head, &sent.body), wrong);
    assert_eq!(try_with("PUT", "/v1/pay", &sent.head, &sent.body), wrong);
    for position in 0..sent.body.len() {
        let mut body = sent.body.to_vec();
        body[position] ^= 1;
        assert_eq!(try_with("POST", "/v1/pay", &sent.head, &body), wrong, "byte {position}");
    }
    let [mut later, mut other_nonce, mut other_key] = [(); 3].map(|()| sent.head.clone());
    later.timestamp += 1;
    other_nonce.nonce = "0".repeat(32);
    other_key.key = "terminal-2".to_owned();
    for head in [&later, &other_nonce, &other_key] {
        assert_eq!(try_with("POST", "/v1/pay", head, &sent.body), wrong);
    }
    let (_, stolen) = Call::new(pay(), TERMINAL, &signer("gateway"), NOW, NONCE).unwrap();
    assert_eq!(try_with("POST", "/v1/pay", &stolen.head, &stolen.body), wrong);
    // None of them used the nonce up.
    assert!(admit(&mut door(), &sent, NOW).is_ok());
}

#[test]
fn a_body_that_is_not_exactly_what_the_path_takes_is_refused() {
    let cases = [
        ("/v1/query", r#"{"order":"A1","colour":"red"}"#),
        ("/v1/query", r#"{"order":"A1","order":"A2"}"#),
        ("/v1/query", r#"{}"#),
        ("/v1/query", r#"{"order":"A 1"}"#),
        ("/v1/query", r#"{"order":""}"#),
        ("/v1/query", r#"{"order":"A1"} {}"#),
        ("/v1/query", "[]"),
        ("/v1/prepare", r#"{"order":"A1","amount":0,"currency":"CNY"}"#),
        ("/v1/prepare", r#"{"order":"A1","amount":1000000000000,"currency":"CNY"}"#),
        ("/v1/prepare", r#"{"order":"A1","amount":1.5,"currency":"CNY"}"#),
        ("/v1/prepare", r#"{"order":"A1","amount":-1,"currency":"CNY"}"#),
        ("/v1/prepare", r#"{"order":"A1","amount":"1","currency":"CNY"}"#),
        ("/v1/prepare", r#"{"order":"A1","amount":1,"currency":"cny"}"#),
        ("/v1/pay", r#"{"order":"A1","amount":1,"currency":"CNY","code":"not digits"}"#),
        ("/v1/refund", r#"{"order":"A1","refund":"R/1","amount":1,"currency":"CNY"}"#),
    ];
    for (path, body) in cases {
        let refusal = Request::parse(path, body.as_bytes()).unwrap_err();
        assert_eq!(refusal.error, RefusalKind::BadRequest, "{body}");
        assert!(!refusal.reason.contains("digits\""), "{}", refusal.reason);
    }
    let long = format!(r#"{{"order":"{}"}}"#, "A".repeat(gateway::MAX_BODY));
    assert_eq!(Request::parse("/v1/query", long.as_bytes()).unwrap_err().error, RefusalKind::BadRequest);
    assert_eq!(Request::parse("/v2/query", b"{}").unwrap_err().error, RefusalKind::NotFound);
    let bad = Request::Query(OrderNumber { order: "A\n1".to_owned() });
    assert!(Call::new(bad, TERMINAL, &signer("terminal"), NOW, NONCE).is_err());
}

#[test]
fn every_answer_comes_back_as_it_was_given() {
    let order = |outcome| Answer::Order(OrderAnswer { order: "T1-000042".to_owned(), outcome });
    let shown = Shown { code: "000201".to_owned(), valid_until: NOW + 60 };
    let Answer::Order(OrderAnswer { outcome: OrderOutcome::Paid(payment), .. }) = paid() else { panic!() };
    let answers = [
        paid(),
        order(OrderOutcome::Unknown {}),
        order(OrderOutcome::Pending { shown: None }),
        order(OrderOutcome::Pending { shown: Some(shown) }),
        order(OrderOutcome::Refunded { payment, refunded: 34 }),
        order(OrderOutcome::Failed { reason: "the customer refused".to_owned() }),
        order(OrderOutcome::Closed { returned: 0 }),
        Answer::Refused(RefusalKind::NumberInUse.because("another amount")),
    ];
    for answer in answers {
        let (call, sent) = call(pay());
        let (head, body) = sealed(&answer, sent.path, &sent.head.nonce, NOW);
        let back = call.answer(answer.status(), &head, &body, &verifier("gateway"), NOW);
        assert_eq!(back, Ok(answer), "{}", String::from_utf8_lossy(&body));
    }
    let number = RefundNumber { order: "A1".to_owned(), refund: "R1".to_owned() };
    for outcome in [
        RefundOutcome::Unknown {},
        RefundOutcome::Pending {},
        RefundOutcome::Refunded { amount: 5, reference: "7".to_owned(), at: NOW },
        RefundOutcome::Failed { reason: "the account is closed".to_owned() },
    ] {
        let answer =
            Answer::Refund(RefundAnswer { order: "A1".to_owned(), refund: "R1".to_owned(), outcome });
        let (call, sent) = call(Request::RefundQuery(number.clone()));
        let (head, body) = sealed(&answer, sent.path, &sent.head.nonce, NOW);
        assert_eq!(call.answer(200, &head, &body, &verifier("gateway"), NOW), Ok(answer));
    }
}

#[test]
fn an_answer_that_is_forged_stale_or_for_another_request_is_none() {
    let (call, sent) = call(pay());
    let key = verifier("gateway");
    let (head, body) = sealed(&paid(), sent.path, &sent.head.nonce, NOW);
    assert!(call.answer(200, &head, &body, &key, NOW).is_ok());
    let head_error = |result| matches!(result, Err(AnswerError::Head(_)));
    assert!(head_error(call.answer(409, &head, &body, &key, NOW)));
    assert!(head_error(call.answer(200, &head, &body, &key, NOW + MAX_SKEW + 1)));
    assert!(head_error(call.answer(200, &head, &body, &verifier("terminal"), NOW)));
    for position in 0..body.len() {
        let mut touched = body.clone();
        touched[position] ^= 1;
        assert!(head_error(call.answer(200, &head, &touched, &key, NOW)), "byte {position}");
    }
    let (other, _) = sealed(&paid(), sent.path, &"0".repeat(32), NOW);
    assert_eq!(call.answer(200, &other, &body, &key, NOW), Err(AnswerError::AnotherRequest));
    let (elsewhere, _) = sealed(&paid(), "/v1/query", &sent.head.nonce, NOW);
    assert!(head_error(call.answer(200, &elsewhere, &body, &key, NOW)));
}

#[test]
fn an_authentic_answer_that_does_not_fit_the_request_is_none() {
    let (call, sent) = call(pay());
    let key = verifier("gateway");
    let changed = |change: fn(&mut OrderAnswer, &mut Payment)| {
        let Answer::Order(mut answer) = paid() else { panic!() };
        let OrderOutcome::Paid(mut payment) = answer.outcome.clone() else { panic!() };
        change(&mut answer, &mut payment);
        Answer::Order(OrderAnswer { outcome: OrderOutcome::Paid(payment), ..answer })
    };
    let cases = [
        (changed(|_, payment| payment.amount = 1235), AnswerError::AnotherAmount),
        (changed(|_, payment| payment.currency = "USD".to_owned()), AnswerError::AnotherAmount),
        (changed(|answer, _| answer.order = "T1-000043".to_owned()), AnswerError::AnotherRequest),
    ];
    for (answer, error) in cases {
        let (head, body) = sealed(&answer, sent.path, &sent.head.nonce, NOW);
        assert_eq!(call.answer(200, &head, &body, &key, NOW), Err(error));
    }
    for garbage in ["", "{}", "null", r#"{"order":"T1-000042","outcome":{"state":"paid"}}"#] {
        let signed = Signed { line: "200", path: sent.path, body: garbage.as_bytes() };
        let head = Head::sign("gateway", &signer("gateway"), NOW, &sent.head.nonce, signed).unwrap();
        let answer = call.answer(200, &head, garbage.as_bytes(), &key, NOW);
        assert!(matches!(answer, Err(AnswerError::Malformed(_))), "{garbage}");
    }
}

#[test]
fn a_key_that_is_none_is_refused_and_nothing_of_a_code_is_printed() {
    let public =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/terminal-public.pem"));
    assert!(RsaSigner::from_pem(&public.unwrap()).is_err());
    assert!(RsaSigner::from_pem("").is_err() && RsaVerifier::from_pem("-----BEGIN").is_err());
    assert_eq!(signer("terminal").algorithm(), verifier("terminal").algorithm());
    let shown = format!("{:?}", call(pay()).0);
    assert!(!shown.contains("287654321098765432"), "{shown}");
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused(
        path in proptest::sample::select(vec!["/v1/pay", "/v1/prepare", "/v1/refund", "/v1/query", "/"]),
        body in "[{}\":,a-z0-9 ]{0,80}"
    ) {
        let _ = Request::parse(path, body.as_bytes());
    }

    #[test]
    fn any_header_fields_are_read_or_refused(values in proptest::collection::vec("[ -~]{0,80}", 4)) {
        let names = ["Smartpos-Key", "Smartpos-Timestamp", "Smartpos-Nonce", "Smartpos-Signature"];
        let _ = Head::read(|name| {
            names.iter().zip(&values).find(|(known, _)| **known == name).map(|(_, value)| value.as_str())
        });
    }
}
