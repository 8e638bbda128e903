//! `a{sv}` dictionaries of the API, as JSON and for a person.

use client::{Dictionary, get};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use zbus::Variant;

use crate::money;

/// What `show` and `sale` print, in this order; what a service adds comes after it.
const ORDER: &[&str] =
    &["key", "type", "amount", "currency", "state", "outcome", "reason", "masked_pan", "approval"];

/// The dictionary as a JSON object.
pub(crate) fn json(dictionary: &Dictionary) -> Value {
    Value::Object(dictionary.iter().map(|(key, value)| (key.clone(), json_of(value))).collect())
}

fn json_of(value: &Variant<'_>) -> Value {
    match value {
        Variant::U8(number) => (*number).into(),
        Variant::Bool(truth) => (*truth).into(),
        Variant::I16(number) => (*number).into(),
        Variant::U16(number) => (*number).into(),
        Variant::I32(number) => (*number).into(),
        Variant::U32(number) => (*number).into(),
        Variant::I64(number) => (*number).into(),
        Variant::U64(number) => (*number).into(),
        Variant::F64(number) => (*number).into(),
        Variant::Str(text) => text.as_str().into(),
        Variant::ObjectPath(path) => path.as_str().into(),
        Variant::Variant(inner) => json_of(inner),
        Variant::Array(values) => values.inner().iter().map(json_of).collect(),
        Variant::Structure(values) => values.fields().iter().map(json_of).collect(),
        Variant::Dict(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (plain(&json_of(key)), json_of(value))).collect())
        }
        other => other.to_string().into(),
    }
}

/// Text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The text of `key`; empty where there is none.
pub(crate) fn text<'a>(dictionary: &'a Dictionary, key: &str) -> &'a str {
    get::<&str>(dictionary, key).unwrap_or_default()
}

/// The amount as a person reads it, such as `12.34 CNY`.
pub(crate) fn amount(transaction: &Dictionary) -> String {
    let currency = text(transaction, "currency");
    let amount = get::<u64>(transaction, "amount").unwrap_or_default();
    format!("{} {currency}", money::format(amount, currency))
}

/// The time under `key` (milliseconds since 1970) as local time to the second.
pub(crate) fn time(transaction: &Dictionary, key: &str) -> String {
    let time = get::<i64>(transaction, key).and_then(|time| Timestamp::from_millisecond(time).ok());
    time.map(|time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default()
}

/// One line for each key.
pub(crate) fn lines(transaction: &Dictionary) -> String {
    let mut keys: Vec<&String> = transaction.keys().collect();
    keys.sort_by_key(|key| (ORDER.iter().position(|known| known == key).unwrap_or(ORDER.len()), *key));
    let lines = keys.into_iter().filter_map(|key| {
        let value = match key.as_str() {
            "amount" => amount(transaction),
            "tip" | "debit_amount" | "credit_amount" | "code_debit_amount" | "code_credit_amount" => {
                money::format(get(transaction, key).unwrap_or_default(), text(transaction, "currency"))
            }
            // It stands beside the amount.
            "currency" => return None,
            "created" | "finished" => time(transaction, key),
            _ => plain(&json_of(transaction.get(key)?)),
        };
        Some(format!("{:<14} {value}", key.replace('_', " ")))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sale() -> Dictionary {
        let values: [(&str, Variant<'_>); 5] = [
            ("key", "order-1".into()),
            ("amount", 1234_u64.into()),
            ("currency", "CNY".into()),
            ("created", 0_i64.into()),
            ("masked_pan", "621700******0007".into()),
        ];
        values.into_iter().map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap())).collect()
    }

    #[test]
    fn json_keeps_the_minor_units_and_the_types() {
        let json = json(&sale());
        assert_eq!(json["amount"], 1234);
        assert_eq!(json["key"], "order-1");
    }

    #[test]
    fn a_person_reads_the_amount_with_its_currency_and_the_key_first() {
        let lines = lines(&sale());
        assert!(lines.starts_with("key            order-1\n"), "{lines}");
        assert!(lines.contains("12.34 CNY"), "{lines}");
    }

    #[test]
    fn nested_values_become_json_too() {
        let inner: Vec<(&str, Vec<u32>)> = vec![("a", vec![1, 2])];
        let value = Variant::from(inner);
        assert_eq!(json_of(&value), serde_json::json!([["a", [1, 2]]]));
    }
}
