//! Receipts and the settlement's slip, as documents for the printer.

use std::collections::HashMap;

use client::printer::{Document, PrinterProxy};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use zbus::{OwnedObjectPath, Variant};

use crate::config::Merchant;
use crate::services::{Class, Service};
use crate::transaction::{Order, Original, Sum, Transaction};

type Properties<'a> = HashMap<&'a str, Variant<'a>>;

/// Hands the receipt of `transaction` to the printer. The job's key makes a repeated request the same job.
pub(crate) async fn print(
    printer: &PrinterProxy<'_>,
    transaction: &Transaction,
    merchant: &Merchant,
) -> zbus::Result<OwnedObjectPath> {
    let key = format!("receipt-{}", transaction.id);
    printer.print(&document(transaction, merchant, false), &key, priority()).await
}

/// Hands a marked duplicate of the receipt to the printer; `now` (milliseconds since 1970) tells it from the others.
pub(crate) async fn reprint(
    printer: &PrinterProxy<'_>,
    transaction: &Transaction,
    merchant: &Merchant,
    now: i64,
) -> zbus::Result<OwnedObjectPath> {
    let key = format!("reprint-{}-{now}", transaction.id);
    printer.print(&document(transaction, merchant, true), &key, priority()).await
}

fn priority() -> HashMap<&'static str, Variant<'static>> {
    HashMap::from([("priority", "payment".into())])
}

fn document<'a>(transaction: &'a Transaction, merchant: &'a Merchant, duplicate: bool) -> Document<'a> {
    let mut document = Document::new();
    head(&mut document, transaction, merchant, duplicate);
    match transaction.service().class() {
        Class::Settlement => totals(&mut document, transaction, merchant),
        Class::Record => amounts(&mut document, transaction, merchant),
        Class::Money | Class::Inquiry => {
            card(&mut document, transaction);
            amounts(&mut document, transaction, merchant);
            cryptogram(&mut document, transaction);
        }
        Class::Code | Class::CodeReturn => {
            wallet(&mut document, transaction);
            amounts(&mut document, transaction, merchant);
            reference(&mut document, transaction.order.as_ref().map_or("", |order| &order.number));
        }
    }
    let copy = match transaction.service().class() {
        Class::Settlement => "商户存根 MERCHANT COPY",
        Class::Code | Class::CodeReturn => "顾客存根 CUSTOMER COPY",
        _ => "持卡人存根 CARDHOLDER COPY",
    };
    document.push(text(copy.to_string(), &[("align", "center".into())]));
    document.push(("feed", Properties::from([("lines", 3u32.into())])));
    document.push(("cut", Properties::new()));
    document
}

/// The service as UnionPay's receipts name it.
fn name(service: Service) -> &'static str {
    match service {
        Service::Sale => "消费 SALE",
        Service::Void => "消费撤销 VOID",
        Service::OfflineVoid => "脱机消费撤销 OFFLINE VOID",
        Service::CompletionVoid => "预授权完成撤销 COMPLETION VOID",
        Service::Refund => "退货 REFUND",
        Service::TipAdjustment => "小费调整 TIP ADJUSTMENT",
        Service::Preauthorisation => "预授权 PRE-AUTH",
        Service::Increment => "预授权追加 INCREMENT",
        Service::PreauthorisationCancel => "预授权撤销 PRE-AUTH CANCEL",
        Service::Completion => "预授权完成 COMPLETION",
        Service::Balance => "余额查询 BALANCE",
        Service::Cash => "现金 CASH",
        Service::Settlement => "结算 SETTLEMENT",
        Service::CodePayment => "付款码支付 CODE PAYMENT",
        Service::MerchantCode => "扫码支付 SCAN TO PAY",
        Service::CodeVoid => "扫码撤销 CODE VOID",
        Service::CodeRefund => "扫码退款 CODE REFUND",
    }
}

fn head<'a>(
    document: &mut Document<'a>,
    transaction: &'a Transaction,
    merchant: &'a Merchant,
    duplicate: bool,
) {
    document.push(text(merchant.name.clone(), &large("center")));
    let title = match transaction.service().class() {
        Class::Settlement => "结算单 / SETTLEMENT SLIP",
        _ => "签购单 / SALES SLIP",
    };
    document.push(text(title.to_string(), &[("align", "center".into())]));
    if duplicate {
        let style = [("align", "center".into()), ("bold", true.into())];
        document.push(text("*** 重印 REPRINT ***".to_string(), &style));
    }
    document.push(("rule", Properties::new()));
    document.push(pair("商户编号 MID", &merchant.merchant));
    document.push(pair("终端编号 TID", &merchant.terminal));
    if !transaction.request.operator.is_empty() {
        document.push(pair("操作员 OPERATOR", &transaction.request.operator));
    }
    if !transaction.approver.is_empty() {
        document.push(pair("授权人 APPROVED BY", &transaction.approver));
    }
    document.push(pair("交易类型 TYPE", name(transaction.service())));
    document.push(pair("时间 TIME", &local_time(transaction.finished)));
    document.push(pair("批次号 BATCH", &format!("{:06}", transaction.batch)));
    if transaction.stan > 0 {
        document.push(pair("凭证号 TRACE", &format!("{:06}", transaction.stan)));
    }
    if !transaction.request.order.is_empty() {
        document.push(pair("订单号 ORDER", &transaction.request.order));
    }
}

/// The card, and what the host called it.
fn card<'a>(document: &mut Document<'a>, transaction: &'a Transaction) {
    document.push(pair("卡号 CARD", &transaction.card.masked_pan));
    match entry(transaction) {
        Some(entry) => document.push(pair("卡号输入 ENTRY", entry)),
        None => document.push(pair("应用 APP", &transaction.card.label)),
    }
    if transaction.advice.is_some() {
        document.push(text("脱机批准 APPROVED OFFLINE".to_string(), &[("align", "center".into())]));
    }
    document.push(pair("授权码 AUTH", &transaction.answer.approval));
    document.push(pair("参考号 REF", &transaction.answer.reference));
    if let Some(Original { stan, batch, answer, .. }) = &transaction.original {
        document.push(pair("原批次号 ORIG BATCH", &format!("{batch:06}")));
        document.push(pair("原凭证号 ORIG TRACE", &format!("{stan:06}")));
        document.push(pair("原授权码 ORIG AUTH", &answer.approval));
    }
}

/// How the terminal came to know a card other than by its chip.
fn entry(transaction: &Transaction) -> Option<&'static str> {
    match transaction.card.entry_mode.as_str() {
        _ if transaction.is_moto() => Some("手工 KEYED, MO/TO"),
        mode if mode.starts_with("02") => Some("刷卡 SWIPE"),
        mode if mode.starts_with("80") => Some("刷卡 FALLBACK"),
        _ => None,
    }
}

/// The wallet, and the numbers by which the order is found at the gateway. The reference is printed below the amount.
fn wallet<'a>(document: &mut Document<'a>, transaction: &'a Transaction) {
    let paid = transaction.original.as_ref().map_or(&transaction.answer, |original| &original.answer);
    document.push(pair("支付方式 WALLET", &wallet_name(&paid.wallet)));
    if !transaction.request.code.is_empty() {
        document.push(pair("付款码 CODE", &transaction.request.code));
    }
    if let Some(Order { number, refund, .. }) = &transaction.order {
        document.push(pair("商户单号 ORDER NO", number));
        if !refund.is_empty() {
            document.push(pair("退款单号 REFUND NO", refund));
        }
    }
    if !transaction.answer.reference.is_empty() {
        document.push(pair("参考号 REF", &transaction.answer.reference));
    }
    if let Some(Original { stan, batch, .. }) = &transaction.original {
        document.push(pair("原批次号 ORIG BATCH", &format!("{batch:06}")));
        document.push(pair("原凭证号 ORIG TRACE", &format!("{stan:06}")));
    }
}

/// As customers know it; one of the owner's own by its name at the gateway.
fn wallet_name(wallet: &str) -> String {
    match wallet {
        "alipay" => "支付宝 ALIPAY".to_string(),
        "wechat" => "微信支付 WECHAT PAY".to_string(),
        "unionpay" => "云闪付 UNIONPAY".to_string(),
        other => other.to_uppercase(),
    }
}

fn amounts<'a>(document: &mut Document<'a>, transaction: &'a Transaction, merchant: &'a Merchant) {
    let currency = symbol(&transaction.request.currency);
    let money = |amount: u64| format!("{currency} {}", decimal(amount, digits(merchant)));
    let is_tip = transaction.service() == Service::TipAdjustment;
    document.push(("rule", Properties::new()));
    if let Some(balance) = transaction.answer.balance {
        let sign = if balance < 0 { "-" } else { "" };
        document.push(text("可用余额 BALANCE".to_string(), &[]));
        document.push(text(format!("{sign}{}", money(balance.unsigned_abs())), &large("right")));
    } else {
        if transaction.instalments() > 0 {
            document.push(pair("分期期数 INSTALMENTS", &transaction.instalments().to_string()));
        }
        if transaction.request.tip > 0 {
            document.push(pair("其中小费 TIP INCLUDED", &money(transaction.request.tip)));
        }
        if let Some(sale) = transaction.original.as_ref().filter(|_| is_tip) {
            let total = sale.amount.saturating_add(transaction.amount());
            document.push(pair("原金额 SALE", &money(sale.amount)));
            document.push(pair("合计 TOTAL", &money(total)));
        }
        let amount = if is_tip { "小费 TIP" } else { "金额 AMOUNT" };
        document.push(text(amount.to_string(), &[]));
        document.push(text(money(transaction.amount()), &large("right")));
    }
    document.push(("rule", Properties::new()));
}

/// What proves the card's part in it, and the host's reference to scan.
fn cryptogram<'a>(document: &mut Document<'a>, transaction: &'a Transaction) {
    let card = &transaction.card;
    let proofs = [("AID", &card.aid), ("TC", &card.cryptogram), ("TVR", &card.tvr), ("TSI", &card.tsi)];
    for (name, value) in proofs.into_iter().filter(|(_, value)| !value.is_empty()) {
        document.push(pair(name, value));
    }
    document.push(text(verification(&card.cvm).to_string(), &[("align", "center".into())]));
    document.push(("feed", Properties::from([("lines", 1u32.into())])));
    reference(document, &transaction.answer.reference);
}

/// What to scan where the transaction is to be found again.
fn reference(document: &mut Document<'_>, number: &str) {
    if !number.is_empty() {
        let properties = [("data", number.to_string().into()), ("align", "center".into())];
        document.push(("qr", Properties::from(properties)));
    }
}

/// The sums of the batch that was closed, and what the host said of them.
fn totals<'a>(document: &mut Document<'a>, transaction: &'a Transaction, merchant: &'a Merchant) {
    let totals = transaction.totals.unwrap_or_default();
    let money = |sum: Sum| format!("{} / {}", sum.count, decimal(sum.amount, digits(merchant)));
    document.push(("rule", Properties::new()));
    document.push(pair("币种 CURRENCY", symbol(&transaction.request.currency)));
    document.push(pair("借记笔数/金额 DEBIT", &money(totals.debit)));
    document.push(pair("贷记笔数/金额 CREDIT", &money(totals.credit)));
    if totals.code_debit.count > 0 || totals.code_credit.count > 0 {
        document.push(pair("扫码收款 CODES IN", &money(totals.code_debit)));
        document.push(pair("扫码退款 CODES OUT", &money(totals.code_credit)));
    }
    let verdict = match transaction.answer.balanced {
        Some(true) => "对账平 BALANCED",
        _ => "对账不平 已上送 NOT BALANCED, UPLOADED",
    };
    document.push(text(verdict.to_string(), &[("align", "center".into())]));
    document.push(("rule", Properties::new()));
}

fn digits(merchant: &Merchant) -> u8 {
    merchant.currency().map_or(2, |currency| currency.exponent)
}

fn large(align: &'static str) -> [(&'static str, Variant<'static>); 4] {
    [
        ("align", align.into()),
        ("bold", true.into()),
        ("double_width", true.into()),
        ("double_height", true.into()),
    ]
}

fn text<'a>(text: String, style: &[(&'a str, Variant<'a>)]) -> (&'a str, Properties<'a>) {
    let mut properties = Properties::from([("text", text.into())]);
    for (key, value) in style {
        if let Ok(value) = value.try_clone() {
            properties.insert(key, value);
        }
    }
    ("text", properties)
}

/// A line with a name on the left and a value on the right, which gets all that the name leaves.
fn pair<'a>(name: &'a str, value: &str) -> (&'a str, Properties<'a>) {
    let cells: Vec<Properties<'_>> = vec![
        Properties::from([("text", name.into()), ("width", columns(name).into())]),
        Properties::from([("text", value.to_string().into()), ("align", "right".into())]),
    ];
    ("columns", Properties::from([("cells", cells.into())]))
}

/// The width of `name` and a space after it, in half-width characters.
fn columns(name: &str) -> u32 {
    name.chars().map(|letter| if letter.is_ascii() { 1u32 } else { 2 }).fold(1, u32::saturating_add)
}

fn verification(cvm: &str) -> &'static str {
    match cvm {
        "online-pin" | "offline-pin" => "已输入密码 无需签名 PIN VERIFIED",
        "offline-pin-and-signature" => "已输入密码 PIN VERIFIED\n持卡人签名 SIGNATURE: ______________",
        "signature" => "持卡人签名 SIGNATURE: ______________",
        _ => "无需验证 NO VERIFICATION",
    }
}

/// The wall clock's time on the terminal.
pub(crate) fn local_time(milliseconds: i64) -> String {
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn symbol(currency: &str) -> &str {
    match currency {
        "CNY" => "RMB",
        other => other,
    }
}

/// `amount` minor units of the merchant's currency, for a person.
pub(crate) fn money(amount: u64, merchant: &Merchant) -> String {
    format!("{} {}", decimal(amount, digits(merchant)), merchant.currency)
}

/// `amount` minor units as a decimal number with `digits` places.
fn decimal(amount: u64, digits: u8) -> String {
    if digits == 0 {
        return amount.to_string();
    }
    let unit = 10u64.saturating_pow(digits.into());
    let width = usize::from(digits);
    format!(
        "{}.{:0width$}",
        amount.checked_div(unit).unwrap_or_default(),
        amount.checked_rem(unit).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_places_of_their_currency() {
        assert_eq!(decimal(1234, 2), "12.34");
        assert_eq!(decimal(5, 2), "0.05");
        assert_eq!(decimal(1234, 0), "1234");
    }
}
