//! The driver against the protocol's own module end, over a pipe.

use std::time::{Duration, Instant};

use keys::Pan;
use link::{Incoming, Module, Pace, PinResult, Refusal, Request, Response};
use secure_module::{
    CardSlot, Error, Event, KeySlot, OfflinePinOutcome, OfflinePinRequest, PinEncipherment, PinOutcome,
    PinRequest, SecureModule,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

use super::LinkModule;

/// A module whose requests and answers a test handles itself.
struct Far {
    stream: DuplexStream,
    module: Module,
    started: Instant,
}

impl Far {
    async fn flush(&mut self) {
        while let Some(bytes) = self.module.output() {
            // The driver may have gone away; the test sees that elsewhere.
            let _ = self.stream.write_all(&bytes).await;
        }
    }

    async fn respond(&mut self, response: Response) {
        self.module.respond(&response);
        self.flush().await;
    }

    async fn report(&mut self, event: link::Event) {
        self.module.report(event, self.started.elapsed());
        self.flush().await;
    }

    async fn request(&mut self) -> Option<Request> {
        loop {
            self.flush().await;
            let mut buffer = [0; 256];
            let count = self.stream.read(&mut buffer).await.unwrap_or(0);
            if count == 0 {
                return None;
            }
            for incoming in self.module.receive(&buffer[..count], self.started.elapsed()) {
                if let Incoming::Request(request) = incoming {
                    return Some(request);
                }
            }
        }
    }
}

fn pair() -> (DuplexStream, Far) {
    let (near, far) = duplex(64);
    (near, Far { stream: far, module: Module::new(1), started: Instant::now() })
}

/// A driver whose module answers with `handle`.
async fn served(mut handle: impl FnMut(Request) -> Response + Send + 'static) -> LinkModule {
    let (near, mut far) = pair();
    tokio::spawn(async move {
        while let Some(request) = far.request().await {
            far.respond(handle(request)).await;
        }
    });
    LinkModule::open(near, None, Pace::default()).await.unwrap()
}

fn pin_request() -> PinRequest {
    PinRequest {
        pan: Some(Pan::new("6217001234567890123").unwrap()),
        key: KeySlot::PIK,
        digits: 4..=12,
        first_key: Duration::from_secs(30),
        next_key: Duration::from_secs(10),
        bypass: false,
        accessible: false,
        amount: None,
    }
}

#[tokio::test]
async fn an_apdu_goes_to_the_card_and_back() {
    let module = served(|request| match request {
        Request::CardTransmit { slot: 0, command } if command[..] == [0, 0xA4, 4, 0] => {
            Response::Data(vec![0x6A, 0x82].into())
        }
        other => panic!("{other:?}"),
    })
    .await;
    let answer = module.card_transmit(CardSlot::Contact, &[0, 0xA4, 4, 0]).await.unwrap();
    assert_eq!(answer[..], [0x6A, 0x82]);
}

#[tokio::test]
async fn a_refusal_is_the_error_of_its_name() {
    let refuse = |refusal| served(move |_| Response::Refused { refusal, reason: "why".to_owned() });
    for (refusal, error) in [
        (Refusal::NotSupported, Error::NotSupported),
        (Refusal::Invalid, Error::Invalid("why".to_owned())),
        (Refusal::Busy, Error::Busy),
        (Refusal::Tampered, Error::Tampered),
        (Refusal::NoCard, Error::NoCard),
        (Refusal::CardMute, Error::CardMute),
        (Refusal::NoKey, Error::NoKey),
        (Refusal::WrongUsage, Error::WrongUsage),
        (Refusal::BadCheckValue, Error::BadCheckValue),
    ] {
        assert_eq!(refuse(refusal).await.mac(&KeySlot::MAK, b"message").await, Err(error));
    }
}

#[tokio::test]
async fn a_cancellation_overtakes_a_pin_entry() {
    let (near, mut far) = pair();
    let (seen, mut asked) = mpsc::channel(4);
    tokio::spawn(async move {
        let mut current = 0;
        while let Some(request) = far.request().await {
            far.respond(Response::Done).await;
            match request {
                Request::EnterPin(entry) => {
                    current = entry.entry;
                    seen.send(()).await.unwrap();
                }
                Request::CancelPin => {
                    far.report(link::Event::PinEnded { entry: current, result: PinResult::Cancelled }).await;
                }
                other => panic!("{other:?}"),
            }
        }
    });
    let module = LinkModule::open(near, None, Pace::default()).await.unwrap();
    let cancel = async {
        asked.recv().await.unwrap();
        assert_eq!(module.enter_pin(pin_request()).await, Err(Error::Busy));
        module.cancel_pin().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(module.enter_pin(pin_request()), cancel);
    assert_eq!(outcome, Ok(PinOutcome::Cancelled));
}

#[tokio::test]
async fn a_pin_for_the_card_ends_with_what_the_card_said_and_with_nothing_else_that_is_typed() {
    let outcomes = [
        (PinResult::Presented(0x63C2), Ok(OfflinePinOutcome::Presented(0x63C2))),
        (PinResult::CardMute, Err(Error::CardMute)),
        (PinResult::Bypassed, Ok(OfflinePinOutcome::Bypassed)),
        (PinResult::TimedOut, Ok(OfflinePinOutcome::TimedOut)),
    ];
    for (result, outcome) in outcomes {
        assert_eq!(verified(result).await, outcome);
    }
    assert!(matches!(verified(PinResult::Entered([9; 8])).await, Err(Error::Protocol(_))));
}

/// What the driver makes of a PIN for the card that ends so.
async fn verified(result: PinResult) -> Result<OfflinePinOutcome, Error> {
    let (near, mut far) = pair();
    let with = PinEncipherment { modulus: vec![0xC5; 96], exponent: vec![3], challenge: [8; 8] };
    tokio::spawn(async move {
        while let Some(request) = far.request().await {
            let Request::VerifyPin(entry) = request else { panic!("{request:?}") };
            assert_eq!((entry.slot, entry.tries_left, entry.bypass), (0, Some(2), true));
            assert_eq!(entry.encipherment.unwrap().challenge, [8; 8]);
            far.respond(Response::Done).await;
            far.report(link::Event::PinEnded { entry: entry.entry, result }).await;
        }
    });
    let module = LinkModule::open(near, None, Pace::default()).await.unwrap();
    let request = OfflinePinRequest {
        slot: CardSlot::Contact,
        tries_left: Some(2),
        encipherment: Some(with),
        digits: 4..=12,
        first_key: Duration::from_secs(30),
        next_key: Duration::from_secs(10),
        bypass: true,
        accessible: false,
        amount: None,
    };
    module.verify_offline_pin(request).await
}

#[tokio::test]
async fn a_pin_entry_that_is_refused_ends_and_another_may_begin() {
    let module =
        served(|_| Response::Refused { refusal: Refusal::NoKey, reason: "sign on first".to_owned() }).await;
    assert_eq!(module.enter_pin(pin_request()).await, Err(Error::NoKey));
    assert_eq!(module.enter_pin(pin_request()).await, Err(Error::NoKey));
}

#[tokio::test]
async fn a_module_that_restarts_ends_the_pin_entry_and_says_so() {
    let (near, mut far) = pair();
    tokio::spawn(async move {
        while let Some(request) = far.request().await {
            far.respond(Response::Done).await;
            if let Request::EnterPin(_) = request {
                far.module = Module::new(2);
            }
        }
    });
    let module = LinkModule::open(near, None, Pace::default()).await.unwrap();
    assert_eq!(module.enter_pin(pin_request()).await, Err(Error::Restarted));
    assert_eq!(module.next_event().await, Ok(Event::PadAsks));
    assert_eq!(module.next_event().await, Ok(Event::Reset));
    assert_eq!(module.card_power_off(CardSlot::Contact).await, Ok(()));
}

#[tokio::test]
async fn events_reach_the_daemon() {
    let (near, mut far) = pair();
    tokio::spawn(async move {
        far.request().await;
        far.respond(Response::Done).await;
        far.report(link::Event::CardInserted { slot: 0 }).await;
        far.report(link::Event::CardRemoved { slot: 0 }).await;
        far.request().await;
    });
    let module = LinkModule::open(near, None, Pace::default()).await.unwrap();
    module.card_power_off(CardSlot::Contact).await.unwrap();
    assert_eq!(module.next_event().await, Ok(Event::CardInserted(CardSlot::Contact)));
    assert_eq!(module.next_event().await, Ok(Event::CardRemoved(CardSlot::Contact)));
}

#[tokio::test]
async fn every_call_fails_once_the_module_is_gone() {
    let (near, mut far) = pair();
    tokio::spawn(async move {
        // The stream ends with a request unanswered.
        far.request().await;
    });
    let module = LinkModule::open(near, None, Pace::default()).await.unwrap();
    assert_eq!(module.enter_pin(pin_request()).await, Err(Error::Gone));
    assert_eq!(module.status().await, Err(Error::Gone));
    assert_eq!(module.next_event().await, Err(Error::Gone));
}

#[tokio::test]
async fn an_answer_of_the_wrong_kind_breaks_the_protocol() {
    let module = served(|_| Response::Done).await;
    assert!(matches!(module.random(8).await, Err(Error::Protocol(_))));
}
