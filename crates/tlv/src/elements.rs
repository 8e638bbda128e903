//! The data elements of EMV and of the payment systems: what a tag means, who gives it, its format and length.
//!
//! Book 3 Annex A names the elements that all have in common; `9F50` to `9F7F` and most private tags are the payment
//! systems' own (Book 3 Annex B1), and each gives them a meaning of its own: `9F6B` is a limit of Visa and a track of
//! Mastercard. So [`element`] knows the Books alone, [`element_of`] one payment system, and [`meanings`] them all.

mod books;
mod mastercard;
mod unionpay;
mod visa;

use core::fmt;

use crate::Tag;

/// The format of a data element (Book 3 clause 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Letters `a`.
    Alphabetic,
    /// Letters and digits `an`.
    Alphanumeric,
    /// Printable characters `ans`.
    AlphanumericSpecial,
    /// Bits `b`, templates included.
    Binary,
    /// Digits `cn`, left justified, padded with `F`.
    CompressedNumeric,
    /// Digits `n`, right justified, padded with `0`.
    Numeric,
}

/// Who gives a data element (Book 3 Annex A1, column "source").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The card.
    Icc,
    /// The terminal.
    Terminal,
    /// The issuer.
    Issuer,
    /// The issuer, or the terminal where the issuer was not asked.
    IssuerOrTerminal,
}

/// Whose meaning of a tag it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definer {
    /// EMV Books 1 to 4, A and B: the same for all.
    Books,
    /// UnionPay, and PBOC.
    UnionPay,
    /// Visa.
    Visa,
    /// Mastercard.
    Mastercard,
}

impl Definer {
    /// The payment system that the application with this name belongs to, by its RID (Book 1 clause 12.2.1).
    pub fn of_application(name: &[u8]) -> Option<Self> {
        match name {
            [0xA0, 0x00, 0x00, 0x03, 0x33, ..] => Some(Self::UnionPay),
            [0xA0, 0x00, 0x00, 0x00, 0x03, ..] => Some(Self::Visa),
            [0xA0, 0x00, 0x00, 0x00, 0x04, ..] => Some(Self::Mastercard),
            _ => None,
        }
    }

    fn rows(self) -> &'static [Element] {
        match self {
            Self::Books => books::ROWS,
            Self::UnionPay => unionpay::ROWS,
            Self::Visa => visa::ROWS,
            Self::Mastercard => mastercard::ROWS,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its tag.
    pub tag: Tag,
    /// Whose meaning this is.
    pub definer: Definer,
    /// Its name there.
    pub name: &'static str,
    /// Who gives it.
    pub source: Source,
    /// Its format.
    pub format: Format,
    /// The fewest bytes that its value has; 0 where none is said.
    pub min_length: usize,
    /// The most bytes that its value has.
    pub max_length: usize,
    /// Whether it is cardholder or sensitive authentication data that may not be shown.
    pub sensitive: bool,
}

/// Those whose tags are their own.
const SYSTEMS: [Definer; 3] = [Definer::UnionPay, Definer::Visa, Definer::Mastercard];

/// A length that the annex leaves variable: what a command or response of Book 3 clause 6.3 can hold.
const VARIABLE: usize = 255;

/// What the tag means in the Books, if they name it.
pub fn element(tag: Tag) -> Option<&'static Element> {
    row(Definer::Books, tag)
}

/// What the tag means on a card of this payment system: to the Books, or else to the system itself.
pub fn element_of(definer: Definer, tag: Tag) -> Option<&'static Element> {
    element(tag).or_else(|| row(definer, tag))
}

/// All that the tag may mean: what the Books say, or else what each payment system does, which may be several things
/// where nothing says whose card it is.
pub fn meanings(tag: Tag) -> impl Iterator<Item = &'static Element> {
    let common = element(tag);
    let systems = if common.is_some() { &[][..] } else { &SYSTEMS };
    common.into_iter().chain(systems.iter().filter_map(move |&definer| row(definer, tag)))
}

/// Whether the tag may mean cardholder or sensitive authentication data: to one of the payment systems is enough.
pub fn is_sensitive(tag: Tag) -> bool {
    meanings(tag).any(|element| element.sensitive)
}

fn row(definer: Definer, tag: Tag) -> Option<&'static Element> {
    let rows = definer.rows();
    rows.get(rows.binary_search_by_key(&tag, |element| element.tag).ok()?)
}

/// The tags of the Books, by name; each payment system's own are in a module of its name.
pub mod tags {
    pub use super::books::tags::*;

    /// UnionPay's and PBOC's own.
    pub mod unionpay {
        pub use crate::elements::unionpay::tags::*;
    }
    /// Visa's own.
    pub mod visa {
        pub use crate::elements::visa::tags::*;
    }
    /// Mastercard's own.
    pub mod mastercard {
        pub use crate::elements::mastercard::tags::*;
    }
}

/// The rows of one definer: tag, constant, format, source, shortest, longest, whether it may be shown, name.
macro_rules! elements {
    ($definer:ident:
     $($number:literal $constant:ident $format:ident $source:ident $min:tt $max:tt $shown:ident $name:literal;)*) => {
        pub(super) mod tags {
            use crate::Tag;
            $(
                #[doc = $name]
                pub const $constant: Tag = Tag::new($number);
            )*
        }

        /// In the order of the tag, for the binary search.
        pub(super) static ROWS: &[super::Element] = &[
            $(super::Element {
                tag: tags::$constant,
                definer: super::Definer::$definer,
                name: $name,
                source: super::Source::$source,
                format: super::Format::$format,
                min_length: $min,
                max_length: $max,
                sensitive: super::elements!(@sensitive $shown),
            },)*
        ];
    };
    (@sensitive open) => { false };
    (@sensitive secret) => { true };
}
use elements;

impl fmt::Display for Format {
    /// As Book 3 abbreviates it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alphabetic => "a",
            Self::Alphanumeric => "an",
            Self::AlphanumericSpecial => "ans",
            Self::Binary => "b",
            Self::CompressedNumeric => "cn",
            Self::Numeric => "n",
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Icc => "card",
            Self::Terminal => "terminal",
            Self::Issuer => "issuer",
            Self::IssuerOrTerminal => "issuer or terminal",
        })
    }
}

impl fmt::Display for Definer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Books => "EMV",
            Self::UnionPay => "UnionPay",
            Self::Visa => "Visa",
            Self::Mastercard => "Mastercard",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Definer> {
        [Definer::Books].into_iter().chain(SYSTEMS)
    }

    #[test]
    fn each_table_is_sorted_and_each_tag_is_one_tag() {
        for definer in all() {
            assert!(definer.rows().is_sorted_by(|a, b| a.tag < b.tag), "{definer}");
            for element in definer.rows() {
                assert_eq!(element.definer, definer);
                assert_eq!(element.tag.to_string().parse(), Ok(element.tag), "{}", element.name);
                assert!(element.min_length <= element.max_length, "{}", element.name);
            }
        }
    }

    #[test]
    fn the_books_leave_the_payment_systems_their_tags() {
        // Book 3 Annex B1: 9F50 to 9F7F are the payment systems', and no tag is both theirs and the Books'.
        let theirs = |tag: Tag| (0x9F50..=0x9F7F).contains(&tag.number());
        assert!(!Definer::Books.rows().iter().any(|element| theirs(element.tag)));
        let mut private = SYSTEMS.iter().flat_map(|definer| definer.rows());
        assert!(!private.any(|row| element(row.tag).is_some()));
    }

    /// EMV 4.4 Book 3 Annex A1, rows of every format and kind of length: tag, format, source, shortest, longest.
    const ANNEX_A1: [(u32, Format, Source, usize, usize); 20] = [
        (0x5A, Format::CompressedNumeric, Source::Icc, 0, 10),
        (0x57, Format::Binary, Source::Icc, 0, 19),
        (0x82, Format::Binary, Source::Icc, 2, 2),
        (0x84, Format::Binary, Source::Icc, 5, 16),
        (0x86, Format::Binary, Source::Issuer, 0, 261),
        (0x8A, Format::Alphanumeric, Source::IssuerOrTerminal, 2, 2),
        (0x8E, Format::Binary, Source::Icc, 10, 252),
        (0x91, Format::Binary, Source::Issuer, 8, 16),
        (0x98, Format::Binary, Source::Terminal, 20, 20),
        (0x5F20, Format::AlphanumericSpecial, Source::Icc, 2, 26),
        (0x5F2D, Format::Alphanumeric, Source::Icc, 2, 8),
        (0x5F55, Format::Alphabetic, Source::Icc, 2, 2),
        (0x9F01, Format::Numeric, Source::Terminal, 6, 6),
        (0x9F0B, Format::AlphanumericSpecial, Source::Icc, 27, 45),
        (0x9F10, Format::Binary, Source::Icc, 0, 32),
        (0x9F1D, Format::Binary, Source::Terminal, 1, 8),
        (0x9F24, Format::Alphanumeric, Source::Icc, 29, 29),
        (0x9F40, Format::Binary, Source::Terminal, 5, 5),
        (0x9F41, Format::Numeric, Source::Terminal, 2, 4),
        (0x9F4C, Format::Binary, Source::Icc, 2, 8),
    ];

    #[test]
    fn rows_are_those_of_annex_a() {
        for (tag, format, source, min, max) in ANNEX_A1 {
            let row = element(Tag::new(tag)).unwrap();
            assert_eq!(
                (row.format, row.source, row.min_length, row.max_length),
                (format, source, min, max),
                "{tag:X}"
            );
        }
    }

    #[test]
    fn a_tag_of_several_payment_systems_has_all_their_meanings_and_each_its_own() {
        let names = |tag| meanings(Tag::new(tag)).map(|row| (row.definer, row.name)).collect::<Vec<_>>();
        let limit = "Card CVM Limit";
        assert_eq!(
            names(0x9F6B),
            [(Definer::UnionPay, limit), (Definer::Visa, limit), (Definer::Mastercard, "Track 2 Data")]
        );
        assert_eq!(names(0x9F5B).len(), 2);
        assert_eq!(names(0x9F6D).len(), 3);
        assert_eq!(names(0xBF0C).len(), 1);
        let of = |name: &[u8], tag| {
            let definer = Definer::of_application(name)?;
            Some(element_of(definer, Tag::new(tag))?.name)
        };
        assert_eq!(of(&[0xA0, 0, 0, 0, 4, 0x10, 0x10], 0x9F6B), Some("Track 2 Data"));
        assert_eq!(of(&[0xA0, 0, 0, 3, 0x33, 1, 1, 1], 0x9F6B), Some(limit));
        assert_eq!(of(&[0xA0, 0, 0, 3, 0x33, 1, 1, 1], 0x5A), element(tags::PAN).map(|row| row.name));
        assert_eq!(of(&[0xA0, 0, 0, 9, 9, 1], 0x9F6B), None);
        assert_eq!(element(Tag::new(0x9F6B)), None, "the Books don't say");
    }

    #[test]
    fn what_pci_dss_calls_account_data_is_sensitive() {
        let secret = [0x5A, 0x57, 0x56, 0x5F20, 0x99, 0x9F1F, 0x9F20, 0x9F6B, 0x9F0B, 0x9F60, 0x9F61, 0x5F53];
        for tag in secret {
            assert!(is_sensitive(Tag::new(tag)), "{tag:X}");
        }
        assert!(!is_sensitive(tags::CRYPTOGRAM));
    }
}
