//! The machine, over all of its states and steps.

use super::*;
use crate::services::Service;

fn request(service: Service) -> Request {
    Request {
        service,
        owner: "dev.example.shop".to_string(),
        key: "order-1".parse().unwrap(),
        amount: 1234,
        currency: "CNY".to_string(),
        tip: 0,
        instalments: 0,
        moto: false,
        choose_application: false,
        original: None,
        order: String::new(),
        code: String::new(),
        operator: String::new(),
        print: true,
    }
}

fn begun(service: Service) -> Transaction {
    Transaction::new(request(service), None, 1)
}

fn finished(outcome: Outcome) -> Event {
    let reversal = (outcome == Outcome::Reversed).then(|| "98".to_string());
    Event::Finished { outcome, reason: String::new(), card: None, answer: None, reversal }
}

fn authorized() -> Event {
    Event::Authorized {
        stan: 1,
        batch: 1,
        acceptor: Acceptor::default(),
        card: Card::default(),
        chip_data: String::new(),
        totals: None,
    }
}

#[test]
fn money_that_the_host_may_have_booked_never_ends_without_it() {
    for outcome in [Outcome::Failed, Outcome::Cancelled, Outcome::Approved] {
        let mut sale = begun(Service::Sale);
        sale.apply(&authorized(), 2).unwrap();
        assert!(sale.apply(&finished(outcome), 3).is_err(), "{outcome:?}");
        assert_eq!(sale.state, State::Authorizing);
    }
}

#[test]
fn what_the_host_never_saw_is_neither_approved_nor_reversed() {
    for outcome in [Outcome::Approved, Outcome::Reversed] {
        assert!(begun(Service::Void).apply(&finished(outcome), 2).is_err(), "{outcome:?}");
    }
    begun(Service::Cash).apply(&finished(Outcome::Approved), 2).unwrap();
}

#[test]
fn what_waits_for_a_supervisor_goes_on_by_their_word_alone_and_a_restart_declines_it() {
    let mut sale = begun(Service::Sale);
    sale.ask_approval("limits.sale.day".to_string());
    for event in [authorized(), finished(Outcome::Approved), finished(Outcome::Reversed)] {
        assert!(sale.clone().apply(&event, 2).is_err(), "{event:?}");
    }
    let end = sale.recover("98").unwrap();
    sale.clone().apply(&end, 2).unwrap();
    assert!(matches!(end, Event::Finished { outcome: Outcome::Declined, .. }));
    let word = Event::SupervisorApproved { by: "li".to_string() };
    sale.apply(&word, 2).unwrap();
    assert_eq!((sale.state, sale.approver.as_str()), (State::Created, "li"));
    assert!(sale.apply(&word, 3).is_err(), "once");
    sale.apply(&authorized(), 3).unwrap();
}

#[test]
fn only_money_is_reversed() {
    let takes_no_money = |service: &Service| !matches!(service.class(), Class::Money | Class::Code);
    for service in Service::ALL.into_iter().filter(takes_no_money) {
        for state in State::ALL {
            assert_eq!(next(service.class(), state, Step::Finished(Outcome::Reversed)), None, "{service:?}");
        }
    }
}

#[test]
fn after_the_end_nothing_ends_it_again() {
    for class in Service::ALL.map(Service::class) {
        for outcome in Outcome::ALL {
            assert_eq!(next(class, State::Final, Step::Finished(outcome)), None, "{class:?}");
        }
    }
}

#[test]
fn what_is_open_after_a_restart_can_end_as_it_is_recovered() {
    for service in Service::ALL {
        let mut transaction = begun(service);
        let early = transaction.clone().apply(&transaction.recover("98").unwrap(), 2);
        early.unwrap();
        if transaction.apply(&authorized(), 2).is_err() {
            continue;
        }
        let end = transaction.recover("98");
        match service.class() {
            Class::Settlement | Class::CodeReturn => assert_eq!(end, None, "it goes on"),
            class => {
                transaction.apply(&end.unwrap(), 3).unwrap();
                let reversed = transaction.reversal == Some(Reversal::Pending);
                assert_eq!(reversed, matches!(class, Class::Money | Class::Code), "{service:?}");
                assert_eq!(transaction.recover("98"), None);
            }
        }
    }
}

#[test]
fn what_the_host_holds_is_unknown_until_it_answers_or_acknowledges() {
    let mut sale = begun(Service::Sale);
    let host = |sale: &Transaction| {
        client::get::<&str>(&sale.to_dictionary(), "host").unwrap_or_default().to_string()
    };
    assert_eq!(host(&sale), "none");
    sale.apply(&authorized(), 2).unwrap();
    assert_eq!(host(&sale), "unknown");
    sale.apply(&finished(Outcome::Reversed), 3).unwrap();
    assert_eq!(host(&sale), "unknown");
    sale.apply(&Event::ReversalAcknowledged { code: "00".to_string() }, 4).unwrap();
    assert_eq!(host(&sale), "reversed");
}

#[test]
fn money_that_goes_back_to_a_wallet_is_given_or_refused_and_nothing_else() {
    for outcome in Outcome::ALL {
        let mut refund = begun(Service::CodeRefund);
        refund.apply(&authorized(), 2).unwrap();
        let decided = matches!(outcome, Outcome::Approved | Outcome::Declined);
        assert_eq!(refund.apply(&finished(outcome), 3).is_ok(), decided, "{outcome:?}");
    }
}

#[test]
fn a_transaction_of_the_first_schema_is_a_sale() {
    let old = r#"{"request":{"owner":"a.b","key":"k","amount":5,"currency":"CNY","print":true},"created":1,"state":"created"}"#;
    let transaction: Transaction = serde_json::from_str(old).unwrap();
    assert_eq!((transaction.service(), transaction.amount()), (Service::Sale, 5));
}

#[test]
fn only_a_sale_is_approved_offline_and_its_advice_is_sent_before_it_is_answered() {
    let approved = Event::ApprovedOffline {
        stan: 1,
        batch: 1,
        acceptor: Acceptor::default(),
        card: Card::default(),
        chip_data: String::new(),
    };
    for service in Service::ALL.into_iter().filter(|service| *service != Service::Sale) {
        assert!(begun(service).apply(&approved, 2).is_err(), "{service:?}");
    }
    let mut sale = begun(Service::Sale);
    let acknowledged = Event::advised(Ok(Answer::default()));
    let withdrawn = Event::AdviceWithdrawn { by: "undo".to_string() };
    for event in [&acknowledged, &withdrawn, &Event::AdviceSent] {
        assert!(sale.clone().apply(event, 2).is_err(), "{event:?}");
    }
    sale.apply(&approved, 2).unwrap();
    assert!(sale.is_final() && sale.wants_receipt() && sale.recover("98").is_none());
    assert!(sale.clone().apply(&acknowledged, 3).is_err());
    sale.clone().apply(&withdrawn, 3).unwrap();
    sale.apply(&Event::AdviceSent, 3).unwrap();
    assert!(sale.clone().apply(&withdrawn, 4).is_err());
    sale.apply(&acknowledged, 4).unwrap();
    assert!(sale.apply(&Event::AdviceSent, 5).is_err());
}
