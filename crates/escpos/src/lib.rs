//! Receipts: one typed document, laid out once, then drawn as dots or encoded as ESC/POS.
//!
//! ```text
//! Document ──layout(profile, font)──▶ Layout ──render──▶ Bitmap   what the paper shows
//!                                            └─encode──▶ bytes    what the printer is sent
//! ```
//!
//! Both outputs come from the same [`Layout`], which is a grid of 12 × 24 dot cells (24 × 24 for Chinese).
//! Where a [`Profile`] has the terminal draw, the printer gets exactly the dots of [`render()`]; where the
//! printer draws characters of its own ROM, it puts them into the same cells.
//!
//! A character that cannot be printed is printed as 〓 (or `?`), and named in [`Layout::missing`]: it never
//! vanishes. The crate does no I/O: it is handed documents, profiles and bytes.

pub mod bitmap;
pub mod command;
pub mod document;
pub mod encode;
pub mod font;
pub mod layout;
pub mod picture;
pub mod profile;
pub mod render;
pub mod status;
pub mod symbol;
mod wrap;

pub use bitmap::Bitmap;
pub use document::{Document, Element};
pub use encode::encode;
pub use font::Font;
pub use layout::{Layout, layout};
pub use profile::Profile;
pub use render::render;

/// What is wrong with a document, a profile or a font.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An element of the document; `index` counts from 0.
    #[error("element {index}: `{field}`: {reason}")]
    Element {
        /// Which element.
        index: usize,
        /// Which of its fields.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// The document as a whole.
    #[error("the document {0}")]
    Document(String),
    /// The profile of the printer.
    #[error("the printer profile: `{field}` {reason}")]
    Profile {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The receipt font.
    #[error("the receipt font {0}")]
    Font(&'static str),
    /// A PNG that could not be written.
    #[error("the picture cannot be written as PNG: {0}")]
    Png(String),
}
