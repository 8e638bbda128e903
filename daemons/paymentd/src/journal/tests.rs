//! The journal on a disk of its own.

use super::*;
use crate::limits::{Limits, LimitsByService, OverLimit, OwnerLimits};
use crate::services::Service;
use crate::transaction::{Answer, CertificatesSent, Outcome, Reversal, Sum};

static NO_LIMITS: OwnerLimits = OwnerLimits { by_service: LimitsByService::new(), moto: Limits::NONE };
const BOUNDS: Bounds = Bounds { completion: 115, tip: 20, refund_days: 0 };
const TERMS: Terms<'_> = Terms { bounds: BOUNDS, limits: &NO_LIMITS };

fn request(key: &str) -> Request {
    Request {
        service: Service::Sale,
        owner: "com.example.shop".to_string(),
        key: key.parse().unwrap(),
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

/// What builds on another one: `amount` 0 is all that the original holds.
fn following(key: &str, service: Service, amount: u64) -> Request {
    Request { service, amount, original: Some("original".parse().unwrap()), ..request(key) }
}

/// Takes the transaction to its end, approved.
async fn approve(journal: &Journal, transaction: &mut Transaction) {
    journal.authorize(transaction, Acceptor::default(), Card::default(), String::new(), 2).await.unwrap();
    let answer = Answer { code: "00".to_string(), ..Answer::default() };
    journal.record(transaction, &Event::Answered { answer }, 3).await.unwrap();
    journal.record(transaction, &Event::finished(Outcome::Approved, ""), 4).await.unwrap();
}

async fn approved(journal: &Journal, request: Request, original: Option<i64>) -> Transaction {
    let mut transaction = journal.create(request, original, &TERMS, 1).await.unwrap();
    approve(journal, &mut transaction).await;
    transaction
}

/// Closes the open batch, which the host found balanced.
async fn settle(journal: &Journal, key: &str) -> Transaction {
    let request = Request { service: Service::Settlement, amount: 0, ..request(key) };
    let mut settlement = journal.create(request, None, &TERMS, 5).await.unwrap();
    journal.authorize_settlement(&mut settlement, Acceptor::default(), 6).await.unwrap();
    let answer = Answer { code: "00".to_string(), balanced: Some(true), ..Answer::default() };
    journal.record(&mut settlement, &Event::Answered { answer }, 7).await.unwrap();
    journal.record(&mut settlement, &Event::finished(Outcome::Approved, ""), 8).await.unwrap();
    settlement
}

fn refusal(result: Result<Transaction>) -> String {
    match result {
        Err(JournalError::Refused(error)) => error.to_string(),
        other => panic!("a refusal was expected: {other:?}"),
    }
}

async fn journal() -> (tempfile::TempDir, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("journal.sqlite")).await.unwrap();
    (folder, journal)
}

#[tokio::test]
async fn a_journal_that_is_open_is_refused_to_everybody_else() {
    let (folder, _journal) = journal().await;
    let second = Journal::open(&folder.path().join("journal.sqlite")).await;
    assert!(matches!(second, Err(JournalError::InUse)), "{second:?}");
}

#[tokio::test]
async fn an_event_that_does_not_fit_changes_nothing() {
    let (_folder, journal) = journal().await;
    let mut sale = journal.create(request("order-1"), None, &TERMS, 1).await.unwrap();
    let before = sale.clone();
    let answered = Event::Answered { answer: Answer::default() };
    assert!(matches!(journal.record(&mut sale, &answered, 2).await, Err(JournalError::Event(_))));
    assert_eq!(sale, before);
    let found = journal.find(Some("com.example.shop"), &before.request.key).await.unwrap();
    assert_eq!(found, Some(before));
    let events: i64 =
        sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&journal.writer).await.unwrap();
    assert_eq!(events, 1);
}

#[tokio::test]
async fn two_sales_never_share_an_owner_and_a_key() {
    let (_folder, journal) = journal().await;
    journal.create(request("order-1"), None, &TERMS, 1).await.unwrap();
    assert!(journal.create(request("order-1"), None, &TERMS, 2).await.is_err());
}

#[tokio::test]
async fn a_journal_of_a_newer_version_is_left_alone() {
    let (folder, journal) = journal().await;
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&journal.writer).await.unwrap();
    journal.close().await;
    drop(journal);
    let opened = Journal::open(&folder.path().join("journal.sqlite")).await;
    assert!(matches!(opened, Err(JournalError::Newer(99))), "{opened:?}");
}

#[tokio::test]
async fn looking_up_a_key_and_listing_read_an_index_and_not_the_table() {
    let (_folder, journal) = journal().await;
    let own = Filter { owner: Some(String::new()), since: Some(0), ..Filter::default() };
    let rare = Filter { service: Some(String::new()), until: Some(0), ..Filter::default() };
    let [own, rare] = [own, rare].map(|filter| list(&filter, 1, 1).sql().as_str().to_string());
    for query in [
        own.as_str(),
        rare.as_str(),
        "SELECT id, body FROM transactions WHERE owner = 'a' AND key = 'b'",
        "SELECT id, body FROM transactions WHERE key = 'b' ORDER BY id DESC LIMIT 1",
        "SELECT id, body FROM transactions WHERE state <> 'final' OR reversal = 'pending' OR receipt = 'owed' ORDER BY id",
        "SELECT service FROM transactions WHERE original = 1 AND (state <> 'final' OR outcome = 'approved')",
        "SELECT sum(amount) FROM transactions WHERE service = 'sale' AND created >= 1",
        "SELECT sum(amount) FROM transactions WHERE token = 'a' AND created >= 1",
        "SELECT sum(amount) FROM transactions WHERE batch = 1 AND outcome = 'approved'",
    ] {
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")));
        let steps = plan.fetch_all(&journal.writer).await.unwrap();
        for step in steps {
            let detail: String = step.get("detail");
            assert!(!detail.starts_with("SCAN") || detail.contains("INDEX"), "{query}: {detail}");
            assert!(!detail.contains("ORDER BY"), "{query}: {detail}");
        }
    }
}

#[tokio::test]
async fn of_two_voids_of_one_sale_only_one_can_begin_and_a_reversed_one_lets_it_stand_again() {
    let (_folder, journal) = journal().await;
    let sale = approved(&journal, request("original"), None).await;
    let void = |key: &str| journal.create(following(key, Service::Void, 0), Some(sale.id), &TERMS, 9);
    let (first, second) = futures_util::future::join(void("void-1"), void("void-2")).await;
    let mut first = first.expect("the writer takes them in order");
    assert!(refusal(second).contains("under way"));
    assert_eq!(first.amount(), 1234);
    journal.authorize(&mut first, Acceptor::default(), Card::default(), String::new(), 10).await.unwrap();
    let end = first.recover("98").unwrap();
    journal.record(&mut first, &end, 11).await.unwrap();
    assert_eq!(first.reversal, Some(Reversal::Pending));
    let mut third = void("void-3").await.expect("what was reversed undid nothing");
    approve(&journal, &mut third).await;
    assert!(refusal(void("void-4").await).contains("voided already"));
}

#[tokio::test]
async fn refunds_in_parts_never_exceed_the_sale_also_after_settlement_and_voids_end_with_the_batch() {
    let (_folder, journal) = journal().await;
    let sale = approved(&journal, request("original"), None).await;
    let later = approved(&journal, request("later"), None).await;
    let refund = |key: &str, amount| following(key, Service::Refund, amount);
    approved(&journal, refund("part-1", 1000), Some(sale.id)).await;
    let void = journal.create(following("void", Service::Void, 0), Some(sale.id), &TERMS, 9).await;
    assert!(refusal(void).contains("refunded already"));
    settle(&journal, "settlement").await;
    let over = journal.create(refund("part-2", 235), Some(sale.id), &TERMS, 9).await;
    assert!(refusal(over).contains("only 234"));
    approved(&journal, refund("part-3", 234), Some(sale.id)).await;
    let void = journal.create(following("late", Service::Void, 0), Some(later.id), &TERMS, 9).await;
    assert!(refusal(void).contains("StartRefund"), "it says what to do instead");
}

#[tokio::test]
async fn a_sale_gets_one_tip_afterwards_within_its_percentage_and_is_then_refunded_and_not_voided() {
    let (_folder, journal) = journal().await;
    let sale = approved(&journal, Request { amount: 1100, tip: 100, ..request("original") }, None).await;
    let of = |key: &str, service, amount| {
        journal.create(following(key, service, amount), Some(sale.id), &TERMS, 9)
    };
    assert!(refusal(of("much", Service::TipAdjustment, 101).await).contains("100 minor units"));
    let mut tip = of("tip", Service::TipAdjustment, 100).await.unwrap();
    assert!(refusal(of("early", Service::TipAdjustment, 1).await).contains("under way"));
    approve(&journal, &mut tip).await;
    assert!(refusal(of("twice", Service::TipAdjustment, 1).await).contains("tip already"));
    assert!(refusal(of("void", Service::Void, 0).await).contains("StartRefund"));
    let (_, sums) = journal.open_totals().await.unwrap();
    assert_eq!(sums.iter().map(|one| one.sum.amount).sum::<u64>(), 1200);
    assert!(refusal(of("over", Service::Refund, 1201).await).contains("1200"));
    approve(&journal, &mut of("back", Service::Refund, 1200).await.unwrap()).await;
    let later = approved(&journal, request("later"), None).await;
    let settlement = settle(&journal, "settlement").await;
    let debit = settlement.totals.unwrap().debit;
    assert_eq!((debit.count, debit.amount), (3, 2434));
    let entries = journal.batch_entries(1, &CertificatesSent::default(), 0, 8).await.unwrap();
    assert_eq!(entries.len(), 4, "the tip is uploaded, too");
    let late = journal.create(following("late", Service::TipAdjustment, 1), Some(later.id), &TERMS, 9);
    assert!(refusal(late.await).contains("settled"));
}

#[tokio::test]
async fn a_reservation_is_completed_once_up_to_its_percentage_and_then_no_longer_cancelled() {
    let (_folder, journal) = journal().await;
    let reserve = Request { service: Service::Preauthorisation, amount: 1000, ..request("original") };
    let reservation = approved(&journal, reserve, None).await;
    let of = |key: &str, service, amount| {
        journal.create(following(key, service, amount), Some(reservation.id), &TERMS, 9)
    };
    approve(&journal, &mut of("more", Service::Increment, 200).await.unwrap()).await;
    assert!(refusal(of("too-much", Service::Completion, 1381).await).contains("1380"));
    assert!(refusal(of("refund", Service::Refund, 1).await).contains("preauthorisation"));
    assert!(refusal(of("void", Service::Void, 0).await).contains("StartCancellation"));
    let mut completion = of("completion", Service::Completion, 1380).await.unwrap();
    assert!(refusal(of("twice", Service::Completion, 1).await).contains("under way"));
    approve(&journal, &mut completion).await;
    for service in [Service::Completion, Service::Increment, Service::PreauthorisationCancel] {
        assert!(refusal(of("after", service, 1).await).contains("completed already"), "{service:?}");
    }
    let void =
        Request { original: Some("completion".parse().unwrap()), ..following("undo", Service::Void, 0) };
    let void = approved(&journal, void, Some(completion.id)).await;
    assert_eq!((void.service(), void.amount()), (Service::CompletionVoid, 1380));
    let cancel =
        approved(&journal, following("cancel", Service::PreauthorisationCancel, 0), Some(reservation.id));
    assert_eq!(cancel.await.amount(), 1200, "with its increment");
    assert!(refusal(of("gone", Service::Increment, 1).await).contains("cancelled already"));
}

#[tokio::test]
async fn a_settlement_counts_what_stands_and_opens_the_next_batch() {
    let (_folder, journal) = journal().await;
    let sale = approved(&journal, request("original"), None).await;
    let voided = approved(&journal, request("voided"), None).await;
    approved(&journal, following("void", Service::Void, 0), Some(voided.id)).await;
    approved(&journal, following("back", Service::Refund, 34), Some(sale.id)).await;
    let cash = Request { service: Service::Cash, ..request("cash") };
    let cash = journal.create(cash, None, &TERMS, 5).await.unwrap();
    assert_eq!((cash.outcome, cash.batch, cash.stan), (Some(Outcome::Approved), 1, 0));
    let settlement = settle(&journal, "settlement").await;
    let (debit, credit) = (Sum { count: 1, amount: 1234 }, Sum { count: 1, amount: 34 });
    let expected = Totals { debit, credit, ..Totals::default() };
    assert_eq!((settlement.totals, settlement.batch), (Some(expected), 1));
    let entries = journal.batch_entries(1, &CertificatesSent::default(), 0, 8).await.unwrap();
    let entries: Vec<(u32, u64)> = entries.iter().map(|entry| (entry.stan, entry.amount)).collect();
    assert_eq!(entries, [(sale.stan, 1234), (4, 34)]);
    let (batch, sums) = journal.open_totals().await.unwrap();
    assert_eq!((batch, sums), (2, Vec::new()));
}

#[tokio::test]
async fn a_limit_counts_what_stands_and_what_is_under_way_of_its_own_service_and_owner() {
    let (_folder, journal) = journal().await;
    let limits = Limits { app_day: Some(2000), ..Default::default() };
    let limits = OwnerLimits {
        by_service: LimitsByService::from([(Service::Sale, limits)]),
        moto: Limits { transaction: Some(1000), ..Limits::NONE },
    };
    let terms = Terms { bounds: BOUNDS, limits: &limits };
    let mut first = journal.create(request("first"), None, &terms, 1).await.unwrap();
    let over = journal.create(request("second"), None, &terms, 2).await;
    assert!(refusal(over).contains("766 are left"));
    let keyed = Request { moto: true, owner: "com.example.other".to_string(), ..request("keyed") };
    let over = journal.create(keyed, None, &terms, 2).await;
    assert!(refusal(over).contains("moto.limits.transaction: of 1000"));
    let other = Request { owner: "com.example.other".to_string(), ..request("second") };
    journal.create(other, None, &terms, 2).await.expect("each app has its own");
    let reserve = Request { service: Service::Preauthorisation, ..request("hold") };
    journal.create(reserve, None, &terms, 2).await.expect("each service has its own");
    journal.record(&mut first, &Event::finished(Outcome::Failed, ""), 3).await.unwrap();
    let mut second =
        journal.create(request("second"), None, &terms, 4).await.expect("what failed is not counted");
    let card = Card { token: "0011223344556677".to_string(), ..Card::default() };
    journal.authorize(&mut second, Acceptor::default(), card.clone(), String::new(), 5).await.unwrap();
    let [applied] = limits.of(&second).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(journal.card_day(&applied, 0, &card.token, 6).await.unwrap(), 1234);
    assert_eq!(journal.card_day(&applied, 0, "another", 6).await.unwrap(), 0);
}

#[tokio::test]
async fn refunds_of_cards_and_of_codes_have_one_limit_together_and_none_is_of_an_old_sale() {
    let (_folder, journal) = journal().await;
    let limits = OwnerLimits {
        by_service: LimitsByService::from([(Service::Refund, Limits { day: Some(1000), ..Limits::NONE })]),
        moto: Limits::NONE,
    };
    let bounds = Bounds { refund_days: 2, ..BOUNDS };
    let terms = Terms { bounds, limits: &limits };
    let sale = approved(&journal, request("original"), None).await;
    let code = Request { service: Service::CodePayment, code: "28****5432".to_string(), ..request("code") };
    let code = paid(&journal, code, None).await;
    let refund = |key: &str, amount| following(key, Service::Refund, amount);
    let back = |key: &str, amount| Request { original: Some("code".parse().unwrap()), ..refund(key, amount) };
    journal.create(refund("card", 600), Some(sale.id), &terms, 5).await.unwrap();
    let over = journal.create(back("wallet", 401), Some(code.id), &terms, 5).await;
    assert!(refusal(over).contains("limits.refund.day: of 1000 minor units 400 are left"));
    let begun = journal.create(back("wallet", 400), Some(code.id), &terms, 5).await.unwrap();
    assert_eq!(begun.service(), Service::CodeRefund);

    const DAY: i64 = 86_400_000;
    let free = Terms { bounds, limits: &NO_LIMITS };
    let other = approved(&journal, request("other"), None).await;
    let old = Request { original: Some("other".parse().unwrap()), ..refund("old", 1) };
    let late = journal.create(old.clone(), Some(other.id), &free, 4 * DAY).await;
    assert!(refusal(late).contains("more than 2 days old"));
    journal.create(old, Some(other.id), &free, 2 * DAY).await.expect("it is young enough");
}

#[tokio::test]
async fn an_upload_has_each_transaction_once_by_its_certificate_or_in_a_group() {
    let (_folder, journal) = journal().await;
    for key in ["taken", "refused", "later"] {
        let mut sale = journal.create(request(key), None, &TERMS, 1).await.unwrap();
        let plain = (Acceptor::default(), Card::default());
        journal.authorize(&mut sale, plain.0, plain.1, String::new(), 2).await.unwrap();
        journal.record(&mut sale, &Event::Answered { answer: Answer::default() }, 3).await.unwrap();
        let card = Card { certificate: "9f270140".to_string(), ..Card::default() };
        let end = Event::finished(Outcome::Approved, "").with_card(card);
        journal.record(&mut sale, &end, 4).await.unwrap();
    }
    approved(&journal, request("no-chip"), None).await;
    assert_eq!(journal.count_certificates(1).await.unwrap(), 3);
    let next = async |after| journal.next_certificate(1, after).await.unwrap().map(|sale| sale.id);
    assert_eq!([next(0).await, next(2).await, next(3).await], [Some(1), Some(3), None]);
    let handed = CertificatesSent { taken: 1, refused: vec![2], last: 2 };
    let stans = async |handed| {
        let entries = journal.batch_entries(1, &handed, 0, 8).await.unwrap();
        entries.iter().map(|entry| entry.stan).collect::<Vec<_>>()
    };
    assert_eq!(stans(handed).await, [2, 3, 4]);
    assert_eq!(stans(CertificatesSent { taken: 3, refused: Vec::new(), last: 3 }).await, [4]);
    let plan = "EXPLAIN QUERY PLAN SELECT id FROM transactions WHERE batch = 1 AND id > 0 AND +outcome = 'approved' ORDER BY id";
    let plan = sqlx::query(plan).fetch_one(&journal.reader).await.unwrap();
    assert!(
        plan.get::<String, _>("detail").contains("transactions_by_batch"),
        "each batch is found by itself"
    );
}

#[tokio::test]
async fn what_stays_of_a_customers_money_is_counted_until_the_batch_is_closed() {
    let (_folder, journal) = journal().await;
    for (key, code, kept) in [("whole", "refunded", 0), ("part", "rest-kept", 1)] {
        let request =
            Request { service: Service::CodePayment, code: "28****5432".to_string(), ..request(key) };
        let mut payment = journal.create(request, None, &TERMS, 1).await.unwrap();
        journal.order(&mut payment, "gateway", 2).await.unwrap();
        journal.record(&mut payment, &Event::cancelled_at_gateway("no answer"), 3).await.unwrap();
        let acknowledged = Event::ReversalAcknowledged { code: code.to_string() };
        journal.record(&mut payment, &acknowledged, 4).await.unwrap();
        assert_eq!(journal.waiting().await.unwrap().kept, kept, "{key}");
    }
    settle(&journal, "close").await;
    assert_eq!(journal.waiting().await.unwrap().kept, 0);
}

/// Whether the journal's events are the chain that its head says, from its first event or from the seal before that.
async fn verify(journal: &Journal) -> std::result::Result<(), audit::chain::Broken> {
    let (identity, end) = journal.chain().await.unwrap();
    let first = journal.events(0, 1).await.unwrap().first().map_or(end.last + 1, |event| event.id);
    let anchor = journal.seals(0, u32::MAX).await.unwrap().into_iter().find(|seal| seal.last + 1 == first);
    let mut chain = anchor.map_or(audit::chain::Chain::new(&identity), |seal| seal.chain());
    for event in journal.events(0, u32::MAX).await.unwrap() {
        let link = event.link.as_slice().try_into().expect("it is bound");
        chain.check(&event.record(), &link)?;
    }
    assert_eq!(chain, end);
    Ok(())
}

#[tokio::test]
async fn the_events_are_a_chain_and_what_was_done_to_them_behind_the_journals_back_is_found() {
    use audit::chain::Broken::{Changed, Missing};
    for (tampering, found) in [
        ("UPDATE events SET body = replace(body, '1234', '1235') WHERE id = 1", Changed(1)),
        ("UPDATE events SET at = 9 WHERE id = 3", Changed(3)),
        ("UPDATE events SET transaction_id = 2 WHERE id = 4", Changed(4)),
        ("DELETE FROM events WHERE id = 2", Missing { missing: 2, found: 3 }),
        // The last one so far: the next one does not take its place.
        ("DELETE FROM events WHERE id = 8", Missing { missing: 8, found: 9 }),
    ] {
        let (_folder, journal) = journal().await;
        approved(&journal, request("one"), None).await;
        approved(&journal, request("two"), None).await;
        let refused = journal.create(request("two"), None, &TERMS, 5).await;
        assert!(refused.is_err(), "what was rolled back leaves no link");
        assert_eq!(verify(&journal).await, Ok(()));
        sqlx::raw_sql(tampering).execute(&journal.writer).await.unwrap();
        approved(&journal, request("three"), None).await;
        assert_eq!(verify(&journal).await, Err(found), "{tampering}");
    }
}

#[tokio::test]
async fn the_events_of_a_journal_without_a_chain_are_bound_when_it_is_opened() {
    let (folder, journal) = journal().await;
    for number in 0..80 {
        approved(&journal, request(&format!("order-{number}")), None).await;
    }
    // As version 2 left it.
    let undo = "DROP INDEX transactions_rest_kept; DROP TABLE terminal_parameters; DROP INDEX transactions_scripted; ALTER TABLE transactions DROP COLUMN script;
                DROP TABLE stored_cards; DROP INDEX transactions_advised;
                ALTER TABLE transactions DROP COLUMN advice; ALTER TABLE transactions DROP COLUMN moto; DROP INDEX events_by_transaction; DROP TABLE seals;
                ALTER TABLE events DROP COLUMN link; DROP TABLE chain; PRAGMA user_version = 2";
    sqlx::raw_sql(undo).execute(&journal.writer).await.unwrap();
    journal.close().await;
    drop(journal);
    let journal = Journal::open(&folder.path().join("journal.sqlite")).await.unwrap();
    assert_eq!(verify(&journal).await, Ok(()));
    assert_eq!(journal.chain().await.unwrap().1.last, 320);
    approved(&journal, request("afterwards"), None).await;
    assert_eq!(verify(&journal).await, Ok(()));
}

/// Takes a transaction at the QR gateway to its end, approved.
async fn paid(journal: &Journal, request: Request, original: Option<i64>) -> Transaction {
    let mut transaction = journal.create(request, original, &TERMS, 1).await.unwrap();
    journal.order(&mut transaction, "gateway", 2).await.unwrap();
    journal.record(&mut transaction, &Event::finished(Outcome::Approved, ""), 3).await.unwrap();
    transaction
}

#[tokio::test]
async fn an_order_has_a_number_of_its_own_and_what_undoes_it_names_it() {
    let (_folder, journal) = journal().await;
    let payment =
        || Request { service: Service::CodePayment, code: "28****5432".to_string(), ..request("original") };
    let first = paid(&journal, payment(), None).await;
    let refund = |key: &str, amount| following(key, Service::Refund, amount);
    let part = paid(&journal, refund("part", 1000), Some(first.id)).await;
    let (order, back) = (first.order.unwrap(), part.order.unwrap());
    assert_eq!((part.original.unwrap().service, &back.number), (Service::CodePayment, &order.number));
    assert!(!back.refund.is_empty() && back.refund != order.number && order.number.len() <= 32, "{order:?}");

    let over = refusal(journal.create(refund("over", 235), Some(first.id), &TERMS, 4).await);
    assert!(over.contains("only 234"), "{over}");
    let void = following("void", Service::Void, 0);
    assert!(
        refusal(journal.create(void.clone(), Some(first.id), &TERMS, 4).await).contains("refunded already")
    );

    let other = paid(&journal, Request { key: "other".parse().unwrap(), ..payment() }, None).await;
    let void = paid(&journal, void, Some(other.id)).await;
    assert_eq!((void.service(), void.order), (Service::CodeVoid, other.order));

    // Another journal of the same terminal.
    let (_second, another) = self::journal().await;
    assert_ne!(paid(&another, payment(), None).await.order, Some(order));
    let (_, sums) = journal.open_totals().await.unwrap();
    let words: Vec<(&str, u64)> = sums.iter().map(|one| (one.service.as_str(), one.sum.amount)).collect();
    assert_eq!(words, [("code-payment", 1234), ("code-refund", 1000), ("code-void", 1234)]);
}

#[tokio::test]
async fn a_batch_tells_the_acquirer_nothing_of_what_went_through_the_gateway() {
    let (_folder, journal) = journal().await;
    paid(&journal, Request { service: Service::MerchantCode, ..request("original") }, None).await;
    let settlement = settle(&journal, "close").await;
    let totals = settlement.totals.unwrap();
    assert_eq!((totals.debit, totals.credit), (Sum::default(), Sum::default()));
    assert_eq!((totals.code_debit.count, totals.code_debit.amount), (1, 1234));
}

/// Hands over all receipts, and seals the journal where it is then; by nobody, because here nobody asks by whom.
async fn seal(journal: &Journal) -> i64 {
    print(journal).await;
    let (_, chain) = journal.chain().await.unwrap();
    let (key, signature) = (audit::Octets([1; 64]), audit::Octets([2; 64]));
    let seal = audit::seal::Seal { last: chain.last, head: chain.head, at: 1, key, signature };
    journal.keep_seal(&seal).await.unwrap();
    chain.last
}

/// Hands over all receipts that are owed.
async fn print(journal: &Journal) {
    for mut transaction in journal.open_items().await.unwrap() {
        if transaction.wants_receipt() {
            let queued = Event::ReceiptQueued { job: "job".to_string() };
            journal.record(&mut transaction, &queued, 9).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_seal_is_due_after_so_many_events_and_when_a_batch_was_closed() {
    let (_folder, journal) = journal().await;
    let due = async |every| journal.unsealed(every).await.unwrap().map(|(_, chain)| chain.last);
    assert_eq!(due(1).await, None, "there is nothing to seal");
    approved(&journal, request("one"), None).await;
    assert_eq!((due(5).await, due(4).await), (None, Some(4)));
    seal(&journal).await;
    assert_eq!(due(1).await, None);
    settle(&journal, "settlement").await;
    assert_eq!(due(100).await, Some(9));
    seal(&journal).await;
    approved(&journal, request("two"), None).await;
    assert_eq!(due(100).await, None);
}

#[tokio::test]
async fn what_is_dropped_is_old_settled_and_sealed_and_the_rest_is_a_chain() {
    let (_folder, journal) = journal().await;
    let drop_all = async || while journal.drop_oldest(1000).await.unwrap() {};
    let keys = async || {
        let listed = journal.list(&Filter::default(), i64::MAX, 100).await.unwrap();
        listed.iter().map(|one| one.request.key.to_string()).collect::<Vec<String>>()
    };
    let sale = approved(&journal, request("original"), None).await;
    let sealed = seal(&journal).await;
    drop_all().await;
    assert_eq!(keys().await, ["original"], "it is not settled");
    settle(&journal, "settlement").await;
    print(&journal).await;
    drop_all().await;
    assert_eq!(keys().await, ["settlement"], "the settlement itself is not sealed");
    assert_eq!(journal.events(0, 1).await.unwrap().first().unwrap().id, sealed + 1);
    assert_eq!(verify(&journal).await, Ok(()));

    let refund = approved(&journal, request("refunded"), None).await;
    approved(&journal, following("refund", Service::Refund, 34), Some(refund.id)).await;
    settle(&journal, "second").await;
    seal(&journal).await;
    let young = journal.create(request("young"), None, &TERMS, 1000).await.unwrap();
    seal(&journal).await;
    drop_all().await;
    assert_eq!(keys().await, ["young"], "a sale goes with the refund that built on it");
    assert_eq!(verify(&journal).await, Ok(()));
    assert!(young.id > sale.id, "numbers are not given again");
    let again = journal.create(request("original"), None, &TERMS, 1001).await;
    assert!(again.is_ok(), "a key is known as long as its transaction");
}

#[tokio::test]
async fn a_reservation_that_is_neither_taken_nor_given_up_is_kept() {
    let (_folder, journal) = journal().await;
    let reserve = Request { service: Service::Preauthorisation, ..request("original") };
    let reservation = approved(&journal, reserve, None).await;
    seal(&journal).await;
    settle(&journal, "settlement").await;
    seal(&journal).await;
    assert!(!journal.drop_oldest(1000).await.unwrap());
    let cancel = following("cancel", Service::PreauthorisationCancel, 0);
    approved(&journal, cancel, Some(reservation.id)).await;
    seal(&journal).await;
    assert!(journal.drop_oldest(1000).await.unwrap(), "up to the first seal");
    assert!(journal.drop_oldest(1000).await.unwrap(), "the settlement");
    assert!(!journal.drop_oldest(1000).await.unwrap(), "the cancellation is not settled");
    assert_eq!(verify(&journal).await, Ok(()));
}

/// A sale that card and terminal approved.
async fn approved_offline(journal: &Journal, key: &str) -> Transaction {
    let mut sale = journal.create(request(key), None, &TERMS, 1).await.unwrap();
    let card = (Card::default(), "9F270140".to_string());
    journal.approve_offline(&mut sale, Acceptor::default(), card, b"sealed", 2).await.unwrap();
    sale
}

async fn stored_cards(journal: &Journal) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM stored_cards").fetch_one(&journal.writer).await.unwrap()
}

#[tokio::test]
async fn offline_sales_are_told_in_order_and_their_cards_are_kept_until_then() {
    let (_folder, journal) = journal().await;
    for key in ["first", "second"] {
        approved_offline(&journal, key).await;
    }
    let waiting = Waiting { count: 2, sum: 2468, oldest: 1, refused: 0, scripts: 0, kept: 0 };
    assert_eq!(journal.waiting().await.unwrap(), waiting);
    // Sent again, it is the same one.
    for _ in 0..2 {
        let (sale, track2) = journal.send_advice(3).await.unwrap().unwrap();
        assert_eq!((sale.request.key.as_str(), track2.as_slice()), ("first", &b"sealed"[..]));
    }
    let (mut sale, _) = journal.send_advice(3).await.unwrap().unwrap();
    let refused = Event::advised(Err("code 05".to_string()));
    journal.end_advice(&mut sale, &refused, 4).await.unwrap();
    assert_eq!(stored_cards(&journal).await, 1);
    assert_eq!(
        journal.waiting().await.unwrap(),
        Waiting { count: 1, sum: 1234, oldest: 1, refused: 1, scripts: 0, kept: 0 }
    );
    let (batch, sums) = journal.open_totals().await.unwrap();
    let sum = Sum { count: 1, amount: 1234 };
    assert_eq!(
        (batch, sums),
        (1, vec![ServiceSum { service: "sale".to_string(), sum }]),
        "the refused one counts nowhere"
    );
    let (sale, _) = journal.send_advice(5).await.unwrap().unwrap();
    assert_eq!(sale.request.key.as_str(), "second");
}

#[tokio::test]
async fn a_void_withdraws_what_was_not_sent_and_nothing_else() {
    let (_folder, journal) = journal().await;
    let first = approved_offline(&journal, "first").await;
    let void = journal.create(following("undo", Service::Void, 0), Some(first.id), &TERMS, 3).await.unwrap();
    assert_eq!((void.service(), void.outcome), (Service::OfflineVoid, Some(Outcome::Approved)));
    assert_eq!(stored_cards(&journal).await, 0);
    assert_eq!(journal.send_advice(4).await.unwrap(), None);
    assert_eq!(journal.waiting().await.unwrap(), Waiting::default());

    // Sent while a supervisor was asked about the void.
    let by_service = LimitsByService::from([(
        Service::OfflineVoid,
        Limits { transaction: Some(1), over_limit: OverLimit::Supervisor, ..Default::default() },
    )]);
    let limits = OwnerLimits { by_service, moto: Limits::NONE };
    let terms = Terms { bounds: BOUNDS, limits: &limits };
    let second = approved_offline(&journal, "second").await;
    let undo = following("undo-2", Service::Void, 0);
    let mut void = journal.create(undo, Some(second.id), &terms, 5).await.unwrap();
    assert_eq!(void.state, State::Approval);
    journal.send_advice(6).await.unwrap().unwrap();
    let approved = Event::SupervisorApproved { by: "li".to_string() };
    journal.record(&mut void, &approved, 7).await.unwrap();
    journal.record_approved(&mut void, 8).await.unwrap();
    assert_eq!(void.outcome, Some(Outcome::Declined), "{}", void.reason);
    let again = journal.create(following("undo-3", Service::Void, 0), Some(second.id), &TERMS, 9).await;
    assert!(refusal(again).contains("still to acknowledge"));
}
