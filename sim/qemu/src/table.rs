//! Tables of text: a line for each entry, `#` before a remark.

/// The entries of `text`, without remarks and empty lines.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}
