//! Documents for the printer: a JSON array of elements, or plain text, as the API wants them (`a(sa{sv})`).
//!
//! In JSON each element is an object: its `kind` and its properties, such as
//! `{"kind": "text", "text": "Total", "bold": true}`. An image names its PNG file: `{"kind": "image", "file": "logo.png"}`.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};
use zbus::Variant;

use crate::error::Error;

/// No document that the printer takes is longer.
const MAX_BYTES: u64 = 4 << 20;

/// The elements of a document, each with its kind and properties.
pub(crate) type Elements = Vec<(String, HashMap<String, Variant<'static>>)>;

/// Reads the document `file`, or stdin for `-`. Images are looked for beside it.
pub(crate) fn read(file: &Path) -> Result<Elements, Error> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(MAX_BYTES).read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
    };
    read.map_err(|error| Error::file(file, error))?;
    elements(&text, file.parent().unwrap_or(Path::new("")))
}

fn elements(text: &str, folder: &Path) -> Result<Elements, Error> {
    if !text.trim_start().starts_with('[') {
        return Ok(text.lines().map(plain_line).collect());
    }
    let values: Vec<Map<String, Value>> = serde_json::from_str(text)
        .map_err(|error| Error::Usage(format!("the document is no JSON array of objects: {error}")))?;
    values.into_iter().enumerate().map(|(index, value)| element(index, value, folder)).collect()
}

fn plain_line(line: &str) -> (String, HashMap<String, Variant<'static>>) {
    ("text".to_owned(), HashMap::from([("text".to_owned(), Variant::from(line.to_owned()))]))
}

fn element(
    index: usize,
    mut value: Map<String, Value>,
    folder: &Path,
) -> Result<(String, HashMap<String, Variant<'static>>), Error> {
    let Some(Value::String(kind)) = value.remove("kind") else {
        return Err(Error::Usage(format!("element {index}: `kind` is missing, such as \"text\"")));
    };
    let mut properties = HashMap::new();
    if kind == "image"
        && let Some(Value::String(file)) = value.remove("file")
    {
        let file = folder.join(file);
        let png = fs::read(&file).map_err(|error| Error::file(&file, error))?;
        properties.insert("png".to_owned(), Variant::from(png));
    }
    for (key, value) in value {
        let variant = variant(&value).ok_or_else(|| {
            Error::Usage(format!(
                "element {index}: `{key}` is {value}; use text, true, false, a number or cells"
            ))
        })?;
        properties.insert(key, variant);
    }
    Ok((kind, properties))
}

/// Numbers are `u` on the bus; a list of objects (the cells of a row) is `aa{sv}`.
fn variant(value: &Value) -> Option<Variant<'static>> {
    match value {
        Value::Bool(truth) => Some(Variant::from(*truth)),
        Value::String(text) => Some(Variant::from(text.clone())),
        Value::Number(number) => Some(Variant::from(u32::try_from(number.as_u64()?).ok()?)),
        Value::Array(cells) => cells.iter().map(cell).collect::<Option<Vec<_>>>().map(Variant::from),
        Value::Null | Value::Object(_) => None,
    }
}

fn cell(value: &Value) -> Option<HashMap<String, Variant<'static>>> {
    value.as_object()?.iter().map(|(key, value)| Some((key.clone(), variant(value)?))).collect()
}

/// The elements as the proxy takes them.
pub(crate) fn borrowed(elements: &Elements) -> client::printer::Document<'_> {
    elements
        .iter()
        .map(|(kind, properties)| {
            let properties = properties.iter().map(|(key, value)| (key.as_str(), value.clone()));
            (kind.as_str(), properties.collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Elements, Error> {
        elements(text, Path::new("/nonexistent"))
    }

    #[test]
    fn plain_text_is_a_text_for_each_line() {
        let elements = read("Bread\n\nMilk\n").unwrap();
        let texts: Vec<_> = elements.iter().map(|(kind, all)| (kind.as_str(), all["text"].clone())).collect();
        assert_eq!(texts, [("text", "Bread".into()), ("text", "".into()), ("text", "Milk".into())]);
    }

    #[test]
    fn json_becomes_the_types_of_the_api() {
        let text = r#"[{"kind":"text","text":"a","bold":true},{"kind":"feed","lines":2},
            {"kind":"columns","cells":[{"text":"x","weight":3},{"text":"y"}]}]"#;
        let elements = read(text).unwrap();
        let types: Vec<String> = elements
            .iter()
            .flat_map(|(_, all)| ["bold", "lines", "cells"].iter().filter_map(|key| all.get(*key)))
            .map(|value| value.value_signature().to_string())
            .collect();
        assert_eq!(types, ["b", "u", "aa{sv}"]);
    }

    #[test]
    fn what_the_api_has_no_type_for_is_named() {
        for (text, named) in [
            (r#"[{"text":"a"}]"#, "kind"),
            (r#"[{"kind":"feed","lines":-1}]"#, "lines"),
            (r#"[{"kind":"feed","lines":null}]"#, "lines"),
            (r#"[{"kind":"columns","cells":["x"]}]"#, "cells"),
            (r#"[{"kind":"image","file":"logo.png"}]"#, "/nonexistent/logo.png"),
            ("[1]", "array of objects"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
