//! What this host says of its terminals: of each value its tag in two digits, and so many bytes as that tag has. A tester changes it, and
//! the next sign-on says that it is due.

use encoding_rs::GBK;

/// Each tag, how many bytes its value has, and what this host says at first; spaces fill a text, and the name is GBK.
const VALUES: [(&str, usize, &str); 16] = [
    ("11", 2, "60"),
    ("12", 2, "60"),
    ("13", 1, "3"),
    ("14", 14, ""),
    ("15", 14, ""),
    ("16", 14, ""),
    ("17", 14, ""),
    ("18", 1, "1"),
    ("19", 2, "20"),
    ("20", 1, "0"),
    ("21", 1, "0"),
    ("22", 40, "银联测试商户"),
    ("23", 1, "3"),
    ("24", 1, "0"),
    ("25", 1, "1"),
    ("27", 2, "10"),
];

/// The values, in their order.
#[derive(Debug)]
pub(crate) struct TerminalValues {
    values: Vec<(String, Vec<u8>)>,
}

impl Default for TerminalValues {
    fn default() -> TerminalValues {
        let value = |(tag, length, text): &(&str, usize, &str)| {
            Some(((*tag).to_owned(), filled(text, *length).ok()?))
        };
        TerminalValues { values: VALUES.iter().filter_map(value).collect() }
    }
}

impl TerminalValues {
    /// All of them as they are sent.
    pub(crate) fn hand_out(&self) -> Vec<u8> {
        self.values.iter().flat_map(|(tag, value)| [tag.as_bytes(), value].concat()).collect()
    }

    /// Says `text` under `tag` from now on; also what is wrong.
    pub(crate) fn set(&mut self, tag: &str, text: &str) -> Result<String, String> {
        let known = VALUES.iter().find(|known| known.0 == tag);
        let (_, length, _) = known.ok_or_else(|| format!("there is no tag {tag}"))?;
        let new = filled(text, *length)?;
        let place = self.values.iter_mut().find(|(one, _)| one == tag).ok_or("there is no such value")?;
        place.1 = new;
        Ok(format!("{tag} is `{text}`"))
    }
}

fn filled(text: &str, length: usize) -> Result<Vec<u8>, String> {
    let (bytes, _, unencodable) = GBK.encode(text);
    if unencodable || bytes.len() > length {
        return Err(format!("`{text}` has no {length} bytes in GBK"));
    }
    let mut value = bytes.into_owned();
    value.resize(length, b' ');
    Ok(value)
}
