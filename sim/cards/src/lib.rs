//! Virtual EMV cards, for the virtual secure module and the virtual smart-card reader (which put them into their
//! slots) and the virtual acquirer (which is their issuer).
//!
//! A card is real as far as a terminal can tell: it holds keys, signs with certificates of a test certification
//! authority, keeps counters, checks what it is sent and in what order, and its cryptograms are those that the
//! issuer computes. Its answers depend on nothing but what it is sent and the counter it was started with.

mod apdu;
mod applet;
mod card;
mod certificate;
mod drawer;
mod files;
mod hexadecimal;
mod profile;
mod scheme;
mod stripe;

pub use applet::seal_script;
pub use card::Card;
pub use drawer::Drawer;
pub use profile::{Profile, names, profiles};
pub use scheme::{capk_records, capks_toml};
pub use stripe::Encoded;

/// Why there is no such card.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No profile has this name.
    #[error("there is no card {name:?}; there are: {known}")]
    UnknownCard {
        /// The name asked for.
        name: String,
        /// All names, separated by commas.
        known: String,
    },
    /// A parameter after the colon where none is taken, or not a number from 1 on.
    #[error(
        "{name:?}: only removed-early takes a parameter, the number of an APDU from 1 on: removed-early:5"
    )]
    Parameter {
        /// The name asked for.
        name: String,
    },
    /// A compiled-in profile is wrong.
    #[error("the profile of card {name} is wrong: {reason}")]
    Profile {
        /// The card.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A new card of that name, its application transaction counter at zero.
///
/// # Errors
/// [`Error::UnknownCard`] and [`Error::Parameter`], with a sentence for the tester.
pub fn load(name: &str) -> Result<Card, Error> {
    load_with_atc(name, 0)
}

/// A new card whose next transaction has the counter `atc + 1`. An issuer takes a counter that it has seen for a
/// replay: hand in one that grows from card to card. At `0xFFFF` the card refuses transactions.
///
/// # Errors
/// As [`load`].
pub fn load_with_atc(name: &str, atc: u16) -> Result<Card, Error> {
    Card::new(Profile::load(name)?, atc)
}
