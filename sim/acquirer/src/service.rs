//! The services of the dialect, and which elements tell one from another.

use std::fmt;

use iso8583::{Message, Mti};
use serde::{Deserialize, Serialize};

use crate::host::{ADVICE, AUTHORISATION, FINANCIAL};
use crate::instalments;
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
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) service: Service,
    mti: Mti,
    /// DE 3.
    processing: &'static str,
    /// DE 25.
    condition: &'static str,
    /// DE 60.1.
    kind: &'static str,
    /// Whether an original is named: DE 37, 38 and 61.
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
    /// The form of the request `message`, by its MTI and DE 60.1, and by whether it names an original.
    ///
    /// # Errors
    /// Code 30 if there is none.
    pub(crate) fn of_request(message: &Message<'_>) -> Result<&'static Form, Refusal> {
        let names_original = message.get(61).is_some();
        let forms = || FORMS.iter().filter(|form| form.mti == message.mti());
        let exact = Form::pick(message, forms().filter(|form| form.original == names_original));
        // A void without its original is a void, and refused for what it lacks.
        exact.or_else(|| Form::pick(message, forms())).ok_or_else(|| no_form(message))
    }

    /// The form of what the reversal `message` undoes. An increment looks like its pre-authorisation there.
    ///
    /// # Errors
    /// Code 30 if there is none; a balance inquiry can't be undone, and an advice is none to be.
    pub(crate) fn of_reversal(message: &Message<'_>) -> Result<&'static Form, Refusal> {
        let forms = FORMS.iter().filter(|form| form.service.has_amount() && !form.offline);
        Form::pick(message, forms).ok_or_else(|| no_form(message))
    }

    fn pick<'f>(message: &Message<'_>, mut forms: impl Iterator<Item = &'f Form>) -> Option<&'f Form> {
        let content = message.get(60)?.text();
        forms.find(|form| content.starts_with(form.kind))
    }

    /// Checks the elements that tell the service, and returns the batch.
    ///
    /// # Errors
    /// Code 12 if DE 3 or DE 25 is another service's, code 30 for another DE 60.
    pub(crate) fn check(&self, message: &Message<'_>) -> Result<String, Refusal> {
        request::check_is(message, 3, self.processing, INVALID)?;
        let in_instalments = instalments::is_meant(message, self);
        let condition = if in_instalments { instalments::CONDITION } else { self.condition };
        request::check_is(message, 25, condition, INVALID)?;
        request::batch(message, self.kind, NO_NETWORK_CODE)
    }

    /// Whether `service` has the same messages, but for the original that they name.
    pub(crate) fn is_that_of(&self, service: Service) -> bool {
        FORMS.iter().any(|form| form.service == service && form.mti == self.mti && form.kind == self.kind)
    }
}

fn no_form(message: &Message<'_>) -> Refusal {
    let content = message.get(60).map(|value| value.text()).unwrap_or_default();
    Refusal::new(FORMAT, format!("DE 60: no {} has a type as in {content}", message.mti()))
}
