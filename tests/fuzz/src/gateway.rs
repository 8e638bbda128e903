//! The bodies of a QR payment gateway's protocol. A line before the body says what it belongs to. Signatures are
//! taken as right: what follows them is what a gateway or a terminal that was taken over could send.

use gateway::key::{KeyError, Sign, Verify};
use gateway::message::{OrderNumber, RefundNumber, Request};
use gateway::terminal::Call;

const NOW: u64 = 1_790_000_000;

/// A key that takes every signature for its own.
struct Credulous;

impl Sign for Credulous {
    fn algorithm(&self) -> &'static str {
        "none"
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(vec![0])
    }
}

impl Verify for Credulous {
    fn algorithm(&self) -> &'static str {
        "none"
    }

    fn verify(&self, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

/// `/v1/pay`, then the body: a request that is taken is written and read again as it was.
pub(crate) fn gateway_request(bytes: &[u8]) -> bool {
    let Some((path, body)) = headed(bytes) else { return false };
    let Ok(request) = Request::parse(path, body) else { return false };
    assert_eq!(request.path(), path);
    let again = request.body().expect("what was taken is in its ranges");
    assert_eq!(Request::parse(path, &again).as_ref(), Ok(&request));
    true
}

/// `order 200` or `refund 404`, then the body: an answer that is taken is written and read again as it was.
pub(crate) fn gateway_answer(bytes: &[u8]) -> bool {
    let Some((line, body)) = headed(bytes) else { return false };
    let Some((asked, status)) = line.split_once(' ') else { return false };
    let Ok(status) = status.parse() else { return false };
    let order = "T1-000042".to_owned();
    let request = match asked {
        "order" => Request::Query(OrderNumber { order }),
        "refund" => Request::RefundQuery(RefundNumber { order, refund: "R1-000043".to_owned() }),
        _ => return false,
    };
    let (call, outgoing) = Call::new(request, "terminal", &Credulous, NOW, [0x5A; 16]).expect("a request");
    let read = |body: &[u8]| call.answer(status, &outgoing.head, body, &Credulous, NOW);
    let Ok(answer) = read(body) else { return false };
    assert_eq!(answer.status(), status);
    let again = answer.body().expect("what was read can be written");
    assert_eq!(read(&again).as_ref(), Ok(&answer));
    true
}

/// The first line, and what follows it.
fn headed(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, body) = bytes.split_at_checked(end)?;
    Some((std::str::from_utf8(line).ok()?, body.strip_prefix(b"\n")?))
}
