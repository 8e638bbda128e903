//! `a(sa{sv})`, a receipt as it comes off the bus, to a checked document.
//!
//! The types of crate `escpos` are the table of known keys and their types: an unknown key, or a value of
//! another type, is refused with the element's number and the key.

use escpos::{Document, Element};
use serde_json::{Map, Value};
use service::options::Dictionary;
use service::{Error, Result};
use zbus::Variant;

/// A receipt as it comes off the bus: kinds and their properties.
pub(crate) type Elements = Vec<(String, Dictionary)>;

/// Checks `elements` and makes a document of them.
///
/// # Errors
/// [`Error::InvalidArgument`] that names the element and the key.
pub(crate) fn document(elements: Elements) -> Result<Document> {
    if elements.len() > escpos::document::MAX_ELEMENTS {
        return Err(Error::invalid(
            "document",
            format!("has {} elements; give at most {}", elements.len(), escpos::document::MAX_ELEMENTS),
        ));
    }
    let elements = elements
        .into_iter()
        .enumerate()
        .map(|(index, (kind, properties))| {
            element(kind, &properties)
                .map_err(|problem| Error::invalid("document", format!("element {index}: {problem}")))
        })
        .collect::<Result<Vec<Element>>>()?;
    Document::new(elements).map_err(|error| Error::invalid("document", error))
}

fn element(kind: String, properties: &Dictionary) -> std::result::Result<Element, String> {
    let mut fields = Map::new();
    for (key, value) in properties {
        if key == "kind" {
            return Err("unknown field `kind`: it stands before the properties".to_string());
        }
        let value =
            json(value).ok_or_else(|| format!("`{key}` has the type `{}`", value.value_signature()))?;
        fields.insert(key.clone(), value);
    }
    let keys: Vec<String> = fields.keys().cloned().collect();
    fields.insert("kind".to_string(), Value::String(kind.clone()));
    serde_json::from_value(Value::Object(fields.clone())).map_err(|error| {
        // Serde names an unknown key itself; for a wrong value, the key is the one without which it fits.
        let problem = error.to_string();
        let guilty = keys.into_iter().find(|key| {
            let mut others = fields.clone();
            others.remove(key);
            let again = serde_json::from_value::<Element>(Value::Object(others));
            again.err().is_none_or(|other| other.to_string() != problem)
        });
        match guilty {
            Some(key) if !problem.contains(&format!("`{key}`")) => format!("{kind}: `{key}`: {problem}"),
            _ => format!("{kind}: {problem}"),
        }
    })
}

/// A D-Bus value as JSON; bytes become hexadecimal text. None for what no property is.
fn json(value: &Variant<'_>) -> Option<Value> {
    Some(match value {
        Variant::Bool(value) => Value::from(*value),
        Variant::U8(value) => Value::from(*value),
        Variant::I16(value) => Value::from(*value),
        Variant::U16(value) => Value::from(*value),
        Variant::I32(value) => Value::from(*value),
        Variant::U32(value) => Value::from(*value),
        Variant::I64(value) => Value::from(*value),
        Variant::U64(value) => Value::from(*value),
        Variant::Str(value) => Value::from(value.as_str()),
        Variant::Variant(inner) => json(inner)?,
        Variant::Array(array) if array.element_signature().to_string() == "y" => {
            let digits = array.inner().iter().map(|byte| match byte {
                Variant::U8(byte) => format!("{byte:02x}"),
                _ => String::new(),
            });
            Value::String(digits.collect())
        }
        Variant::Array(array) => Value::Array(array.inner().iter().map(json).collect::<Option<_>>()?),
        Variant::Dict(dict) => {
            let mut map = Map::new();
            for (key, value) in dict.iter() {
                let Variant::Str(key) = key else { return None };
                map.insert(key.as_str().to_string(), json(value)?);
            }
            Value::Object(map)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use zbus::OwnedVariant;

    use super::*;

    fn owned(value: impl Into<Variant<'static>>) -> OwnedVariant {
        OwnedVariant::try_from(value.into()).unwrap()
    }

    fn one(kind: &str, properties: &[(&str, OwnedVariant)]) -> Result<Document> {
        let properties = properties.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
        document(vec![("rule".to_string(), HashMap::new()), (kind.to_string(), properties)])
    }

    fn refusal(kind: &str, properties: &[(&str, OwnedVariant)]) -> String {
        match one(kind, properties) {
            Err(Error::InvalidArgument(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn columns_come_as_an_array_of_dictionaries() {
        let cell =
            |text: &'static str| HashMap::from([("text", Variant::from(text)), ("width", 8_u32.into())]);
        let document =
            one("columns", &[("cells", owned(vec![cell("左"), cell("右")])), ("bold", owned(true))]).unwrap();
        let Some(Element::Columns(columns)) = document.elements().get(1) else { panic!("{document:?}") };
        assert_eq!(
            (columns.cells.len(), columns.cells[1].text.as_str(), columns.cells[0].width),
            (2, "右", 8)
        );
    }

    #[test]
    fn a_picture_comes_as_bytes() {
        let document = one("image", &[("png", owned(vec![0x89_u8, 0x50]))]).unwrap();
        assert!(
            matches!(document.elements().get(1), Some(Element::Image(image)) if image.png == [0x89, 0x50])
        );
    }

    #[test]
    fn a_refusal_names_the_element_and_the_key() {
        for (kind, key, value, wanted) in [
            ("text", "bolt", owned(true), "`bolt`"),
            ("text", "bold", owned("yes"), "`bold`"),
            ("text", "kind", owned("rule"), "`kind`"),
            ("feed", "lines", owned(300_u32), "`lines`"),
            ("feed", "lines", owned(0_u32), "`lines`"),
            ("text", "text", owned(1.5_f64), "`text`"),
            ("video", "text", owned("a"), "`video`"),
        ] {
            let message = refusal(kind, &[(key, value)]);
            assert!(message.contains("element 1") && message.contains(wanted), "{message}");
        }
    }
}
