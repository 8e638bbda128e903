//! The services of the dialect, and which elements tell one from another.

use std::fmt;

use iso8583::{Message, Mti};
use serde::{Deserialize, Serialize};

use crate::dialect::Dialect;
use crate::host::{ADVICE, AUTHORISATION, FINANCIAL};
use crate::instalments;
use crate::moto;
use crate::request::{self, FORMAT, INVALID, Refusal};

/// DE 60.3 of everything but network management and settlement.
const NO_NETWORK_CODE: &str = "000";

/// What a terminal may ask for with a card. The words are those of the terminal's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Goods or services for money.
    Sale,
    /// Undoes a sale of the same batch.
    Void,
    /// Gives money back, of a sale or a completion or without one.
    Refund,
    /// Adds a tip to a sale of the same batch, without the card.
    TipAdjustment,
    /// Holds money.
    Preauthorisation,
    /// Holds more for the same pre-authorisation.
    Increment,
    /// Lets all that is held go.
    PreauthorisationCancel,
    /// Takes what was held, or a part of it, or a little more.
    Completion,
    /// Undoes a completion of the same batch.
    CompletionVoid,
    /// How much is there to spend.
    Balance,
    /// A refused message that says nothing that is known.
    #[serde(rename = "")]
    Unknown,
}

/// How a service looks in a message.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) service: Service,
    pub(crate) mti: Mti,
    /// DE 3.
    processing: &'static str,
    /// DE 25.
    condition: &'static str,
    /// UnionPay's DE 60.1; empty in dialects where DE 3 and DE 25 tell the service.
    kind: &'static str,
    /// Whether an original is named.
    pub(crate) original: bool,
    /// Whether it tells of what card and terminal have approved.
    pub(crate) offline: bool,
}

#[rustfmt::skip]
const FORMS: [Form; 12] = [
    Form { service: Service::Sale,                   mti: FINANCIAL,     processing: "000000", condition: "00", kind: "22", original: false, offline: false },
    Form { service: Service::Sale,                   mti: ADVICE,        processing: "000000", condition: "00", kind: "36", original: false, offline: true },
    Form { service: Service::Void,                   mti: FINANCIAL,     processing: "200000", condition: "00", kind: "23", original: true, offline: false },
    Form { service: Service::Refund,                 mti: ADVICE,        processing: "200000", condition: "00", kind: "25", original: false, offline: false },
    Form { service: Service::Refund,                 mti: ADVICE,        processing: "200000", condition: "00", kind: "25", original: true, offline: false },
    Form { service: Service::TipAdjustment,          mti: ADVICE,        processing: "000000", condition: "00", kind: "34", original: true, offline: false },
    Form { service: Service::Preauthorisation,       mti: AUTHORISATION, processing: "030000", condition: "06", kind: "10", original: false, offline: false },
    Form { service: Service::Increment,              mti: AUTHORISATION, processing: "030000", condition: "06", kind: "10", original: true, offline: false },
    Form { service: Service::PreauthorisationCancel, mti: AUTHORISATION, processing: "200000", condition: "06", kind: "11", original: true, offline: false },
    Form { service: Service::Completion,             mti: FINANCIAL,     processing: "000000", condition: "06", kind: "20", original: true, offline: false },
    Form { service: Service::CompletionVoid,         mti: FINANCIAL,     processing: "200000", condition: "06", kind: "21", original: true, offline: false },
    Form { service: Service::Balance,                mti: FINANCIAL,     processing: "310000", condition: "00", kind: "01", original: false, offline: false },
];

#[rustfmt::skip]
const ISO_FORMS: [Form; 10] = [
    Form { service: Service::Sale,                   mti: FINANCIAL,     processing: "000000", condition: "00", kind: "", original: false, offline: false },
    Form { service: Service::Void,                   mti: FINANCIAL,     processing: "020000", condition: "00", kind: "", original: true, offline: false },
    Form { service: Service::Refund,                 mti: FINANCIAL,     processing: "200000", condition: "00", kind: "", original: false, offline: false },
    Form { service: Service::Refund,                 mti: FINANCIAL,     processing: "200000", condition: "00", kind: "", original: true, offline: false },
    Form { service: Service::Preauthorisation,       mti: AUTHORISATION, processing: "030000", condition: "06", kind: "", original: false, offline: false },
    Form { service: Service::Increment,              mti: AUTHORISATION, processing: "030000", condition: "06", kind: "", original: true, offline: false },
    Form { service: Service::PreauthorisationCancel, mti: AUTHORISATION, processing: "020000", condition: "06", kind: "", original: true, offline: false },
    Form { service: Service::Completion,             mti: ADVICE,        processing: "000000", condition: "06", kind: "", original: true, offline: false },
    Form { service: Service::CompletionVoid,         mti: ADVICE,        processing: "020000", condition: "06", kind: "", original: true, offline: false },
    Form { service: Service::Balance,                mti: FINANCIAL,     processing: "310000", condition: "00", kind: "", original: false, offline: false },
];

/// The forms of a dialect.
fn forms(dialect: Dialect) -> &'static [Form] {
    match dialect {
        Dialect::UnionPay => &FORMS,
        Dialect::Iso1987 | Dialect::P2pe => &ISO_FORMS,
    }
}

impl Service {
    /// Whether the card decides, too, and DE 55 is there.
    pub(crate) fn has_chip_data(self) -> bool {
        matches!(self, Service::Sale | Service::Preauthorisation | Service::Balance)
    }

    /// Whether a card was read, and DE 22, 23, 35 and 53 are there.
    pub(crate) fn has_card(self) -> bool {
        self != Service::TipAdjustment
    }

    /// Whether DE 4 is there.
    pub(crate) fn has_amount(self) -> bool {
        self != Service::Balance
    }

    /// Whether it takes back what it names.
    pub(crate) fn undoes(self) -> bool {
        matches!(self, Service::Void | Service::PreauthorisationCancel | Service::CompletionVoid)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Form {
    /// The form of the request `message`, by what tells the services of its dialect apart, and by whether it names an original.
    ///
    /// # Errors
    /// Code 30 if there is none.
    pub(crate) fn of_request(dialect: Dialect, message: &Message<'_>) -> Result<&'static Form, Refusal> {
        let names_original = message.get(dialect.names_original()).is_some();
        let forms = || forms(dialect).iter().filter(|form| form.mti == message.mti());
        let exact = Form::pick(message, forms().filter(|form| form.original == names_original));
        // A void without its original is a void, and refused for what it lacks.
        exact.or_else(|| Form::pick(message, forms())).ok_or_else(|| no_form(message))
    }

    /// The form of what the reversal `message` undoes. An increment looks like its pre-authorisation there.
    ///
    /// # Errors
    /// Code 30 if there is none; a balance inquiry can't be undone, and an advice is none to be.
    pub(crate) fn of_reversal(dialect: Dialect, message: &Message<'_>) -> Result<&'static Form, Refusal> {
        let mti = dialect.reversed_mti(message);
        let is_it = |form: &&Form| mti.as_ref().is_none_or(|mti| *mti == form.mti.to_string());
        let undone = |form: &&Form| form.service.has_amount() && !form.offline;
        let forms = forms(dialect).iter().filter(undone).filter(is_it);
        Form::pick(message, forms).ok_or_else(|| no_form(message))
    }

    fn pick<'f>(message: &Message<'_>, mut forms: impl Iterator<Item = &'f Form>) -> Option<&'f Form> {
        let content = message.get(60)?.text();
        let is = |number, content: &str| message.get(number).is_some_and(|value| value.is(content));
        forms.find(|form| match form.kind {
            // Mail and telephone orders are told by their own code.
            "" => {
                let moto = form.condition == "00" && moto::says(message);
                is(3, form.processing) && (is(25, form.condition) || moto)
            }
            kind => content.starts_with(kind),
        })
    }

    /// Checks the elements that tell the service, and returns the batch.
    ///
    /// # Errors
    /// Code 12 if DE 3 or DE 25 is another service's, code 30 for another DE 60.
    pub(crate) fn check(&self, dialect: Dialect, message: &Message<'_>) -> Result<String, Refusal> {
        request::check_is(message, 3, self.processing, INVALID)?;
        let in_instalments = instalments::is_meant(message, self);
        let condition = match (in_instalments, moto::is_meant(message, self)) {
            (true, _) => instalments::CONDITION,
            (_, true) => moto::CONDITION,
            _ => self.condition,
        };
        request::check_is(message, 25, condition, INVALID)?;
        dialect.batch(message, self.kind, NO_NETWORK_CODE)
    }

    /// Whether `service` has the same messages, but for the original that they name.
    pub(crate) fn is_that_of(&self, service: Service) -> bool {
        let looks = |form: &Form| (form.mti, form.kind, form.processing, form.condition);
        [&FORMS[..], &ISO_FORMS]
            .concat()
            .iter()
            .any(|form| form.service == service && looks(form) == looks(self))
    }
}

fn no_form(message: &Message<'_>) -> Refusal {
    let [processing, condition, content] =
        [3, 25, 60].map(|number| message.get(number).map(|value| value.text()).unwrap_or_default());
    let mti = message.mti();
    let reason =
        format!("DE 60: no {mti} has a type as in {content}, or {processing} and {condition} in DE 3 and 25");
    Refusal::new(FORMAT, reason)
}
