//! EMV Book 3 clause 5.4: rules for using a data object list (DOL).

use crate::{Error, Format, Output, Tag, meanings};

/// A data object list: tags and lengths of what the card wants to be given, one after the other without tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dol<'a>(&'a [u8]);

/// One entry of a [`Dol`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DolEntry {
    /// The data element that is wanted.
    pub tag: Tag,
    /// The number of bytes that are wanted.
    pub length: u8,
}

impl<'a> Dol<'a> {
    /// The list coded in `bytes`. They are checked when they are iterated over.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The entries; after an error none follow.
    pub fn entries(&self) -> impl Iterator<Item = Result<DolEntry, Error>> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let entry = parse_entry(rest);
            rest = entry.as_ref().map_or(&[][..], |&(_, after)| after);
            Some(entry.map(|(entry, _)| entry))
        })
    }

    /// Whether the list asks for this data element.
    pub fn asks_for(&self, tag: Tag) -> bool {
        self.entries().flatten().any(|entry| entry.tag == tag)
    }

    /// The number of bytes that the list asks for in total.
    ///
    /// # Errors
    /// [`Error`] if the list is malformed.
    pub fn total_length(&self) -> Result<usize, Error> {
        self.entries().try_fold(0, |total, entry| Ok(total + usize::from(entry?.length)))
    }

    /// Writes the values that the list asks for, each truncated or padded by the rule of its format. A value
    /// that is not known, a template, and one whose tag `lookup` has not, becomes zero bytes.
    ///
    /// # Errors
    /// [`Error`] if the list is malformed or the output full.
    pub fn build<'v>(
        &self,
        out: &mut impl Output,
        mut lookup: impl FnMut(Tag) -> Option<&'v [u8]>,
    ) -> Result<(), Error> {
        for entry in self.entries() {
            let entry = entry?;
            let value = if entry.tag.is_constructed() { None } else { lookup(entry.tag) };
            let format = meanings(entry.tag).next().map_or(Format::Binary, |element| element.format);
            put_fitted(out, value, format, usize::from(entry.length))?;
        }
        Ok(())
    }
}

fn parse_entry(bytes: &[u8]) -> Result<(DolEntry, &[u8]), Error> {
    let (tag, rest) = Tag::parse(bytes)?;
    let (&length, rest) = rest.split_first().ok_or(Error::Truncated)?;
    Ok((DolEntry { tag, length }, rest))
}

/// Clause 5.4: numeric data lose or gain bytes on the left, all other data on the right; compressed numeric
/// data are padded with `FF`, all other data with `00`.
fn put_fitted(
    out: &mut impl Output,
    value: Option<&[u8]>,
    format: Format,
    length: usize,
) -> Result<(), Error> {
    let known = value.is_some();
    let value = value.unwrap_or_default();
    let numeric = format == Format::Numeric;
    let excess = value.len().saturating_sub(length);
    let kept = if numeric { value.get(excess..) } else { value.get(..value.len() - excess) };
    let kept = kept.unwrap_or_default();
    let filler = if known && format == Format::CompressedNumeric { 0xFF } else { 0x00 };
    let padding = length - kept.len();
    if !numeric {
        out.put(kept)?;
    }
    for _ in 0..padding {
        out.put(&[filler])?;
    }
    if numeric { out.put(kept) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn built(dol: &str, tag: u32, value: &'static [u8]) -> String {
        let dol = hex::decode(dol).unwrap();
        let mut out = Vec::new();
        Dol::new(&dol).build(&mut out, |asked| (asked == Tag::new(tag)).then_some(value)).unwrap();
        hex::encode_upper(out)
    }

    #[test]
    fn numeric_data_are_cut_and_padded_on_the_left() {
        assert_eq!(built("9F0204", 0x9F02, &[0, 0, 0, 0, 0x12, 0x34]), "00001234");
        assert_eq!(built("5F2A03", 0x5F2A, &[0x01, 0x56]), "000156");
    }

    #[test]
    fn other_data_are_cut_and_padded_on_the_right() {
        assert_eq!(built("9F3702", 0x9F37, &[1, 2, 3, 4]), "0102");
        assert_eq!(built("9F3706", 0x9F37, &[1, 2, 3, 4]), "010203040000");
        assert_eq!(built("5A06", 0x5A, &[0x62, 0x28, 0x48]), "622848FFFFFF");
    }

    #[test]
    fn unknown_data_and_templates_become_zeros() {
        assert_eq!(built("9F660470025A02", 0x70, &[9, 9]), "0000000000000000");
    }

    #[test]
    fn a_list_that_ends_within_an_entry_is_refused() {
        assert_eq!(Dol::new(&[0x9F, 0x37]).total_length(), Err(Error::Truncated));
        assert_eq!(Dol::new(&[0x95, 5, 0x9F, 0x37, 4]).total_length(), Ok(9));
    }

    proptest! {
        #[test]
        fn a_list_gets_each_value_in_its_place_and_as_long_as_it_asks(
            asked in proptest::collection::vec((0..4_usize, 0..=255_u8), 0..20),
            value in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            // Binary, numeric, compressed numeric, and one that nobody has.
            let tags = [0x9F37, 0x9F02, 0x5A, 0x9F66].map(Tag::new);
            let asked: Vec<_> = asked.into_iter().map(|(tag, length)| (tags[tag], length)).collect();
            let list: Vec<u8> =
                asked.iter().flat_map(|(tag, length)| [&tag.encoded(), &[*length][..]].concat()).collect();
            let entries: Result<Vec<_>, _> = Dol::new(&list).entries().collect();
            let entries: Vec<_> = entries.unwrap().iter().map(|entry| (entry.tag, entry.length)).collect();
            prop_assert_eq!(&entries, &asked);
            let mut built = Vec::new();
            let known = |tag| (tag != Tag::new(0x9F66)).then_some(&value[..]);
            Dol::new(&list).build(&mut built, known).unwrap();
            let mut rest = &built[..];
            for (tag, length) in asked {
                let (part, after) = rest.split_at(length.into());
                let kept = part.len().min(value.len());
                match tag.number() {
                    0x9F02 => prop_assert_eq!(&part[part.len() - kept..], &value[value.len() - kept..]),
                    0x9F66 => prop_assert!(part.iter().all(|&byte| byte == 0)),
                    _ => prop_assert_eq!(&part[..kept], &value[..kept]),
                }
                rest = after;
            }
            prop_assert!(rest.is_empty());
        }
    }
}
