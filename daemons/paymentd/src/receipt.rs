//! The cardholder's receipt, as a document for the printer.

use std::collections::HashMap;

use client::printer::{Document, PrinterProxy};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use zbus::{OwnedObjectPath, Variant};

use crate::config::Merchant;
use crate::transaction::Transaction;

type Properties<'a> = HashMap<&'a str, Variant<'a>>;

/// Hands the receipt of `sale` to the printer. The job's key makes a repeated request the same job.
pub(crate) async fn print(
    printer: &PrinterProxy<'_>,
    sale: &Transaction,
    merchant: &Merchant,
) -> zbus::Result<OwnedObjectPath> {
    let key = format!("receipt-{}", sale.id);
    printer.print(&document(sale, merchant), &key, HashMap::from([("priority", "payment".into())])).await
}

fn document<'a>(sale: &'a Transaction, merchant: &'a Merchant) -> Document<'a> {
    let digits = merchant.currency().map_or(2, |currency| currency.exponent);
    let mut document = Document::new();
    document.push(text(
        merchant.name.clone(),
        &[
            ("align", "center".into()),
            ("bold", true.into()),
            ("double_width", true.into()),
            ("double_height", true.into()),
        ],
    ));
    document.push(text("签购单 / SALES SLIP".to_string(), &[("align", "center".into())]));
    document.push(("rule", Properties::new()));
    document.push(pair("商户编号 MID", &merchant.merchant));
    document.push(pair("终端编号 TID", &merchant.terminal));
    document.push(pair("卡号 CARD", &sale.card.masked_pan));
    document.push(pair("应用 APP", &sale.card.label));
    document.push(pair("交易类型 TYPE", "消费 SALE"));
    document.push(pair("时间 TIME", &local_time(sale.finished)));
    document.push(pair("批次号 BATCH", &format!("{:06}", sale.batch)));
    document.push(pair("凭证号 TRACE", &format!("{:06}", sale.stan)));
    document.push(pair("授权码 AUTH", &sale.answer.approval));
    document.push(pair("参考号 REF", &sale.answer.reference));
    if !sale.request.order.is_empty() {
        document.push(pair("订单号 ORDER", &sale.request.order));
    }
    document.push(("rule", Properties::new()));
    let amount = format!("{} {}", symbol(&sale.request.currency), decimal(sale.request.amount, digits));
    document.push(text("金额 AMOUNT".to_string(), &[]));
    document.push(text(
        amount,
        &[
            ("align", "right".into()),
            ("bold", true.into()),
            ("double_width", true.into()),
            ("double_height", true.into()),
        ],
    ));
    document.push(("rule", Properties::new()));
    for (name, value) in [
        ("AID", &sale.card.aid),
        ("TC", &sale.card.cryptogram),
        ("TVR", &sale.card.tvr),
        ("TSI", &sale.card.tsi),
    ] {
        document.push(pair(name, value));
    }
    document.push(text(verification(&sale.card.cvm).to_string(), &[("align", "center".into())]));
    document.push(("feed", Properties::from([("lines", 1u32.into())])));
    if !sale.answer.reference.is_empty() {
        let reference = sale.answer.reference.clone();
        document.push(("qr", Properties::from([("data", reference.into()), ("align", "center".into())])));
    }
    document.push(text("持卡人存根 CARDHOLDER COPY".to_string(), &[("align", "center".into())]));
    document.push(("feed", Properties::from([("lines", 3u32.into())])));
    document.push(("cut", Properties::new()));
    document
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
        "signature" => "持卡人签名 SIGNATURE: ______________",
        _ => "无需验证 NO VERIFICATION",
    }
}

/// The wall clock's time on the terminal.
fn local_time(milliseconds: i64) -> String {
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn symbol(currency: &str) -> &str {
    match currency {
        "CNY" => "RMB",
        other => other,
    }
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
