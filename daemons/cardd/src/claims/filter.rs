//! Which commands of an app reach a card (ISO/IEC 7816-4, the class byte and the commands for interchange), so that no payment application ever hears one.
//!
//! After a reset the door is closed: whatever application the card has selected by itself hears nothing. Only SELECT by name opens it, of an
//! application that the terminal's owner lets this app select, and that is of no payment scheme. From then on commands pass that
//! the selected application alone can hear, until the next SELECT or reset. Everything that could reach another application
//! is refused: another way to select, another logical channel, commands inside of commands.

use std::collections::BTreeSet;

use emv::apdu::{Command, Response};
use service::card_application::CardApplication;
use service::{Error, Result};
use tlv::tags;

/// How many bytes of an application identifier say who registered it (ISO/IEC 7816-5).
const RID: usize = 5;
pub(super) type Rid = [u8; RID];

/// Registered application providers that pay, whatever this terminal accepts; and the payment system environments.
const PAYMENT: [&Rid; 35] = [
    b"1PAY.",                        // EMV Book 1, 12.2.2
    b"2PAY.",                        // EMV Contactless Book B
    &[0xA0, 0x00, 0x00, 0x00, 0x03], // Visa
    &[0xA0, 0x00, 0x00, 0x00, 0x98], // Visa, debit in the US
    &[0xA0, 0x00, 0x00, 0x00, 0x04], // Mastercard
    &[0xA0, 0x00, 0x00, 0x00, 0x05], // Mastercard in the UK
    &[0xA0, 0x00, 0x00, 0x00, 0x10], // Europay
    &[0xA0, 0x00, 0x00, 0x00, 0x25], // American Express
    &[0xA0, 0x00, 0x00, 0x00, 0x29], // LINK
    &[0xA0, 0x00, 0x00, 0x00, 0x42], // CB
    &[0xA0, 0x00, 0x00, 0x00, 0x59], // girocard, at cash machines
    &[0xA0, 0x00, 0x00, 0x00, 0x65], // JCB
    &[0xA0, 0x00, 0x00, 0x01, 0x21], // Dankort
    &[0xA0, 0x00, 0x00, 0x01, 0x41], // Bancomat
    &[0xA0, 0x00, 0x00, 0x01, 0x52], // Discover, Diners Club
    &[0xA0, 0x00, 0x00, 0x01, 0x54], // Banricompras
    &[0xA0, 0x00, 0x00, 0x02, 0x28], // mada
    &[0xA0, 0x00, 0x00, 0x02, 0x77], // Interac
    &[0xA0, 0x00, 0x00, 0x03, 0x24], // Discover, contactless
    &[0xA0, 0x00, 0x00, 0x03, 0x33], // UnionPay
    &[0xA0, 0x00, 0x00, 0x03, 0x37], // GIM-UEMOA, Afrigo
    &[0xA0, 0x00, 0x00, 0x03, 0x59], // girocard
    &[0xD2, 0x76, 0x00, 0x00, 0x25], // girocard, GeldKarte
    &[0xA0, 0x00, 0x00, 0x03, 0x71], // Verve
    &[0xA0, 0x00, 0x00, 0x03, 0x84], // eftpos
    &[0xA0, 0x00, 0x00, 0x05, 0x24], // RuPay
    &[0xA0, 0x00, 0x00, 0x06, 0x02], // NSICCS
    &[0xA0, 0x00, 0x00, 0x06, 0x15], // MyDebit
    &[0xA0, 0x00, 0x00, 0x06, 0x20], // debit in the US, shared
    &[0xA0, 0x00, 0x00, 0x06, 0x58], // Mir
    &[0xA0, 0x00, 0x00, 0x06, 0x72], // Troy
    &[0xA0, 0x00, 0x00, 0x07, 0x27], // NAPAS
    &[0xA0, 0x00, 0x00, 0x07, 0x32], // Meeza
    &[0xD0, 0x56, 0x00, 0x06, 0x66], // Bancontact
    &[0xD5, 0x78, 0x00, 0x00, 0x02], // BankAxept
];

const SELECT: u8 = 0xA4;
/// The status words of success.
const OK: u16 = 0x9000;

/// What the selected application may be asked in the interindustry class. Files are named by short identifiers.
const INTERINDUSTRY: [u8; 18] = [
    0x0E, // ERASE BINARY
    SECURITY_ENVIRONMENT,
    0x2A, // PERFORM SECURITY OPERATION
    0x82, // EXTERNAL AUTHENTICATE
    0x84, // GET CHALLENGE
    0x86,
    0x87, // GENERAL AUTHENTICATE
    0x88, // INTERNAL AUTHENTICATE
    0xA2, // SEARCH RECORD
    0xB0, // READ BINARY
    0xB2, // READ RECORD
    0xCA, // GET DATA
    0xD0, // WRITE BINARY
    0xD2, // WRITE RECORD
    0xD6, // UPDATE BINARY
    0xDA, // PUT DATA
    0xDC, // UPDATE RECORD
    0xE2, // APPEND RECORD
];
const SECURITY_ENVIRONMENT: u8 = 0x22;
/// What it names, in templates of control references (ISO/IEC 7816-4): a file, an application, keys.
const FILE_REFERENCE: u32 = 0x81;
const NAME_REFERENCE: u32 = 0x82;
const KEY_REFERENCE: u32 = 0x83;
const FURTHER_KEY_REFERENCE: u32 = 0x84;
/// EXTERNAL, GENERAL and INTERNAL AUTHENTICATE: P2 names the key.
const WITH_KEY: [u8; 4] = [0x82, 0x86, 0x87, 0x88];
const OTHER_KEY: &str = "this names a key that is not the selected application's alone: its reference lacks bit 8 (80), or can't be read";
/// GET DATA and PUT DATA with a file in P1-P2, which is to be the application itself.
const BY_FILE: [u8; 2] = [0xCB, 0xDB];
const CURRENT_FILE: [u8; 2] = [0x3F, 0xFF];
/// VERIFY, CHANGE REFERENCE DATA, DISABLE and ENABLE VERIFICATION REQUIREMENT, RESET RETRY COUNTER.
const PIN: [u8; 8] = [0x20, 0x21, 0x24, 0x25, 0x26, 0x28, 0x2C, 0x2D];
/// What reaches another application in any class: SELECT, SELECT DATA, MANAGE CHANNEL, GET RESPONSE and ENVELOPE.
const ELSEWHERE: [u8; 6] = [SELECT, 0xA5, 0x70, 0xC0, 0xC2, 0xC3];
/// What only payment applications know in the class 8x (EMV Book 3, 6.5): scripts, COMPUTE CRYPTOGRAPHIC CHECKSUM, GET
/// PROCESSING OPTIONS, GENERATE AC. A card that lies about its name does not get them, either.
const EMV: [u8; 6] = [0x16, 0x18, 0x1E, 0x2A, 0xA8, 0xAE];

/// SelectApplication of DESFire, in the class 90.
const DESFIRE_SELECT: u8 = 0x5A;

/// What a card says of itself that it must not say to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exposed {
    /// The card names a payment application.
    Payment,
    /// It names another application than was asked for.
    Another,
    /// What it names can't be told.
    Unreadable,
}

/// The filter of one claim.
#[derive(Debug)]
pub(super) struct Filter {
    allowed: Vec<CardApplication>,
    payment: BTreeSet<Rid>,
    /// The name that SELECT has gone out with, until its answer is judged.
    asked: Option<Vec<u8>>,
    open: bool,
}

impl Filter {
    /// For an app that may select `allowed`, at a terminal that pays with `applications`.
    pub(super) fn new(allowed: Vec<CardApplication>, applications: &[emv::Application]) -> Filter {
        Filter { allowed, payment: payment_providers(applications), asked: None, open: false }
    }

    /// The card was reset, or something is wrong with it: SELECT comes first.
    pub(super) fn close(&mut self) {
        (self.open, self.asked) = (false, None);
    }

    /// What is sent to the card for the app's `command`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], [`Error::NotPermitted`], [`Error::WrongState`]: nothing is sent.
    pub(super) fn admit(&mut self, command: &[u8]) -> Result<Command> {
        let parts = Parts::of(command).ok_or_else(malformed)?;
        if parts.ins == SELECT {
            return self.admit_select(&parts);
        }
        parts.check()?;
        if !self.open {
            let problem = "no application is selected; send SELECT by name (00 A4 04 00) first";
            return Err(Error::WrongState(problem.to_string()));
        }
        Command::coded(command).ok_or_else(malformed)
    }

    /// The SELECT that goes out is made anew, and asks for the whole answer: it is what tells whose application answers.
    fn admit_select(&mut self, parts: &Parts<'_>) -> Result<Command> {
        if (parts.cla, parts.p1, parts.p2) != (0x00, 0x04, 0x00) {
            let problem = "applications are selected by their whole name alone: 00 A4 04 00";
            return Err(Error::NotPermitted(problem.to_string()));
        }
        let name = parts.data;
        if !CardApplication::LENGTHS.contains(&name.len()) {
            return Err(Error::invalid("command", "an application's name has 5 to 16 bytes"));
        }
        if pays(&self.payment, name) {
            let problem = "this is a payment application; payments are taken with org.smartpos.Payment1";
            return Err(Error::NotPermitted(problem.to_string()));
        }
        if !self.allowed.iter().any(|allowed| allowed.covers(name)) {
            let problem = "this app was not granted the application; the terminal's owner can add it to its `card_applications`";
            return Err(Error::NotPermitted(problem.to_string()));
        }
        self.close();
        self.asked = Some(name.to_vec());
        Command::select(name, false).ok_or_else(malformed)
    }

    /// Whether the app may have the card's response to what was admitted last.
    ///
    /// # Errors
    /// What the card has exposed: the app gets none of it, and the card is to lose its power.
    pub(super) fn judge(&mut self, response: &Response) -> std::result::Result<(), Exposed> {
        let Some(asked) = self.asked.take() else { return Ok(()) };
        let data = response.data.as_slice();
        // Wherever it stands: a name is not only dangerous where it is expected.
        if data.windows(RID).any(|window| pays(&self.payment, window)) {
            return Err(Exposed::Payment);
        }
        let name = tlv::find(data, tags::DF_NAME).map_err(|_| Exposed::Unreadable)?;
        if name.is_some_and(|name| !name.starts_with(&asked)) {
            return Err(Exposed::Another);
        }
        self.open = response.status == OK;
        Ok(())
    }
}

fn rid(name: &[u8]) -> Option<Rid> {
    name.first_chunk().copied()
}

/// The application providers that pay at a terminal which pays with `applications`.
pub(super) fn payment_providers(applications: &[emv::Application]) -> BTreeSet<Rid> {
    let accepted = applications.iter().filter_map(|application| rid(&application.aid));
    PAYMENT.into_iter().copied().chain(accepted).collect()
}

/// Whether an application's name, or the beginning of one, is of such a provider.
pub(super) fn pays(payment: &BTreeSet<Rid>, name: &[u8]) -> bool {
    rid(name).is_some_and(|rid| payment.contains(&rid))
}

/// Whether a key's reference is of the selected application (ISO/IEC 7816-4, reference data qualifier), or says nothing.
fn is_own(reference: u8) -> bool {
    reference == 0 || reference & 0x80 != 0
}

fn malformed() -> Error {
    Error::invalid("command", "give a short command APDU (ISO/IEC 7816-4): CLA INS P1 P2 [Lc data] [Le]")
}

/// A command APDU in its parts.
struct Parts<'c> {
    cla: u8,
    ins: u8,
    p1: u8,
    p2: u8,
    data: &'c [u8],
}

impl<'c> Parts<'c> {
    /// Cases 1 to 4 of short commands; none for anything else.
    fn of(command: &'c [u8]) -> Option<Parts<'c>> {
        let (&[cla, ins, p1, p2], body) = command.split_first_chunk()?;
        let data = match body {
            [] | [_] => &[][..],
            [0, ..] => return None,
            [lc, rest @ ..] => match rest.split_at_checked(usize::from(*lc))? {
                (data, [] | [_]) => data,
                _ => return None,
            },
        };
        Some(Parts { cla, ins, p1, p2, data })
    }

    /// Whether MANAGE SECURITY ENVIRONMENT names keys of the selected application alone. Another file or application, and what is enciphered,
    /// can't be told apart from that.
    fn sets_own_keys(&self) -> bool {
        let in_the_clear = self.cla == 0x00;
        let reads = |object: std::result::Result<tlv::Tlv<'_>, tlv::Error>| {
            object.is_ok_and(|object| match object.tag.number() {
                FILE_REFERENCE | NAME_REFERENCE => false,
                KEY_REFERENCE | FURTHER_KEY_REFERENCE => {
                    object.value.first().is_some_and(|first| is_own(*first))
                }
                _ => true,
            })
        };
        in_the_clear && tlv::Reader::new(self.data).all(reads)
    }

    /// Whether only the selected application can hear it, on the basic channel.
    fn check(&self) -> Result<()> {
        let refused = |problem: &str| Err(Error::NotPermitted(problem.to_string()));
        if ELSEWHERE.contains(&self.ins) {
            return refused(
                "SELECT by name is the one way to an application, and whole responses come by themselves: no \
                 MANAGE CHANNEL, ENVELOPE or GET RESPONSE",
            );
        }
        let pin = "a PIN is for the secure module's pad: no command with one passes";
        match self.cla {
            // Secure messaging leaves INS in the clear.
            0x00 | 0x04 | 0x08 | 0x0C => match self.ins {
                ins if PIN.contains(&ins) => refused(pin),
                ins if WITH_KEY.contains(&ins) && !is_own(self.p2) => refused(OTHER_KEY),
                SECURITY_ENVIRONMENT if !self.sets_own_keys() => refused(OTHER_KEY),
                ins if INTERINDUSTRY.contains(&ins) => Ok(()),
                ins if BY_FILE.contains(&ins) && [self.p1, self.p2] == CURRENT_FILE => Ok(()),
                _ => refused("this interindustry command does not pass; app-developers.md has those that do"),
            },
            0x80 | 0x84 | 0x88 | 0x8C | 0x90 => match self.ins {
                ins if PIN.contains(&ins) => refused(pin),
                ins if EMV.contains(&ins) => refused("this is a command for payment applications"),
                DESFIRE_SELECT if self.cla == 0x90 => {
                    refused("applications are selected by their whole name alone")
                }
                _ => Ok(()),
            },
            _ => refused(
                "this class does not pass: 00, 04, 08, 0C, 80, 84, 88, 8C and 90 do, on the basic channel",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
