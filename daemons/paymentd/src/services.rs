//! The services of `org.smartpos.Payment1`, in the words of nexo Retailer and of UnionPay's terminal conventions.

use serde::{Deserialize, Serialize};
use service::grants::Permission;
use service::{Error, Result};

/// What a transaction does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Service {
    /// Takes money.
    #[default]
    Sale,
    /// Undoes a sale of the open batch.
    Void,
    /// Undoes a sale that was approved offline, before the host is told of it.
    OfflineVoid,
    /// Undoes a completion of the open batch.
    CompletionVoid,
    /// Gives money back.
    Refund,
    /// Adds a tip to a sale of the open batch, without the card.
    TipAdjustment,
    /// Reserves money.
    Preauthorisation,
    /// Reserves more for a pre-authorisation.
    Increment,
    /// Gives a reservation up.
    PreauthorisationCancel,
    /// Takes money that was reserved.
    Completion,
    /// Asks what the card has.
    Balance,
    /// Records money that was taken in cash.
    Cash,
    /// Closes the batch.
    Settlement,
    /// Takes money from the wallet whose code the customer shows.
    CodePayment,
    /// Takes money from the wallet with which the customer scans a code that is shown.
    MerchantCode,
    /// Undoes a payment by code of the open batch.
    CodeVoid,
    /// Gives money of a payment by code back.
    CodeRefund,
}

/// Which machine of `transaction.rs` a service runs through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Money moves, or is held: what is in doubt is reversed.
    Money,
    /// No money moves: what is in doubt has failed.
    Inquiry,
    /// The host never hears of it.
    Record,
    /// Asked again until the host answers.
    Settlement,
    /// Money of a wallet: what is in doubt is cancelled at the gateway.
    Code,
    /// Money that goes back to a wallet: asked again until the gateway answers.
    CodeReturn,
}

/// On which side of the batch's sums a service counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The merchant gets it.
    Debit,
    /// The merchant gives it.
    Credit,
}

impl Service {
    pub(crate) const ALL: [Service; 17] = [
        Service::Sale,
        Service::Void,
        Service::OfflineVoid,
        Service::CompletionVoid,
        Service::Refund,
        Service::TipAdjustment,
        Service::Preauthorisation,
        Service::Increment,
        Service::PreauthorisationCancel,
        Service::Completion,
        Service::Balance,
        Service::Cash,
        Service::Settlement,
        Service::CodePayment,
        Service::MerchantCode,
        Service::CodeVoid,
        Service::CodeRefund,
    ];

    /// The word of the API, the journal and the host profiles.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Service::Sale => "sale",
            Service::Void => "void",
            Service::OfflineVoid => "offline-void",
            Service::CompletionVoid => "completion-void",
            Service::Refund => "refund",
            Service::TipAdjustment => "tip-adjustment",
            Service::Preauthorisation => "preauthorisation",
            Service::Increment => "increment",
            Service::PreauthorisationCancel => "preauthorisation-cancel",
            Service::Completion => "completion",
            Service::Balance => "balance",
            Service::Cash => "cash",
            Service::Settlement => "settlement",
            Service::CodePayment => "code-payment",
            Service::MerchantCode => "merchant-code",
            Service::CodeVoid => "code-void",
            Service::CodeRefund => "code-refund",
        }
    }

    /// The service with this word.
    pub(crate) fn of(word: &str) -> Option<Service> {
        Service::ALL.into_iter().find(|service| service.as_str() == word)
    }

    /// What it is, asked of an original: to void a payment by code is another thing than to void a sale by card.
    pub(crate) fn upon(self, original: Service) -> Service {
        match (self, original) {
            (Service::Void, Service::Completion) => Service::CompletionVoid,
            (Service::Void, Service::CodePayment | Service::MerchantCode) => Service::CodeVoid,
            (Service::Refund, Service::CodePayment | Service::MerchantCode) => Service::CodeRefund,
            _ => self,
        }
    }

    pub(crate) fn class(self) -> Class {
        match self {
            Service::Balance => Class::Inquiry,
            Service::Cash | Service::OfflineVoid => Class::Record,
            Service::Settlement => Class::Settlement,
            Service::CodePayment | Service::MerchantCode => Class::Code,
            Service::CodeVoid | Service::CodeRefund => Class::CodeReturn,
            _ => Class::Money,
        }
    }

    /// Whether one that is asked for may have a card read.
    pub(crate) fn reads_card(self) -> bool {
        matches!(self.class(), Class::Money | Class::Inquiry) && self != Service::TipAdjustment
    }

    /// `None` for what moves no money by card, and for voids: a void and what it undoes count nowhere.
    pub(crate) fn side(self) -> Option<Side> {
        match self {
            Service::Sale | Service::TipAdjustment | Service::Completion => Some(Side::Debit),
            Service::Refund => Some(Side::Credit),
            _ => None,
        }
    }

    /// The side of the sums of what goes through the QR gateway, which the acquirer never hears of.
    pub(crate) fn code_side(self) -> Option<Side> {
        match self {
            Service::CodePayment | Service::MerchantCode => Some(Side::Debit),
            Service::CodeRefund => Some(Side::Credit),
            _ => None,
        }
    }

    /// Whether an approved one undoes the whole of its original.
    pub(crate) fn undoes(self) -> bool {
        matches!(
            self,
            Service::Void
                | Service::OfflineVoid
                | Service::CompletionVoid
                | Service::PreauthorisationCancel
                | Service::CodeVoid
        )
    }

    /// What its caller must have been granted.
    pub(crate) fn permission(self) -> Permission {
        match self {
            Service::Sale
            | Service::Balance
            | Service::Cash
            | Service::CodePayment
            | Service::MerchantCode => Permission::PaymentStart,
            Service::Void | Service::OfflineVoid | Service::CompletionVoid | Service::CodeVoid => {
                Permission::PaymentVoid
            }
            Service::Refund | Service::CodeRefund => Permission::PaymentRefund,
            Service::TipAdjustment => Permission::PaymentTip,
            Service::Preauthorisation
            | Service::Increment
            | Service::PreauthorisationCancel
            | Service::Completion => Permission::PaymentPreauthorise,
            Service::Settlement => Permission::PaymentSettle,
        }
    }
}

/// What the acquirer and the QR gateway offer, of what the terminal could do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offers {
    online: Vec<Service>,
    settlement: bool,
    codes: bool,
    /// The most that may be completed, in percent of what is reserved.
    pub(crate) completion_percent: u16,
    /// The most that tips may be, in percent of the sale without them.
    pub(crate) tip_percent: u16,
    /// In how many instalments a sale can be paid.
    plans: Vec<u8>,
    /// What can be done with a card whose number is keyed; empty where the terminal's owner or the acquirer takes no such.
    keyed: Vec<Service>,
}

impl Offers {
    /// `codes`: whether there is a QR gateway. `moto`: whether the owner takes mail and telephone orders.
    pub(crate) fn of(host: &iso8583::Host, codes: bool, moto: bool) -> Offers {
        let online = Service::ALL.into_iter().filter(|service| host.services.contains_key(service.as_str()));
        let percent =
            |service: Service| host.services.get(service.as_str()).map_or(100, |service| service.percent);
        let sale = host.services.get(Service::Sale.as_str());
        let instalments = sale.and_then(|sale| sale.instalments.as_ref());
        let keyed = host.moto.as_ref().filter(|_| moto).map(|moto| moto.services.as_slice());
        let keyed = keyed.unwrap_or_default().iter().filter_map(|word| Service::of(word));
        Offers {
            keyed: keyed.collect(),
            plans: instalments.map(|instalments| instalments.plans.clone()).unwrap_or_default(),
            online: online.collect(),
            settlement: host.settlement.is_some(),
            completion_percent: percent(Service::Completion),
            tip_percent: percent(Service::TipAdjustment),
            codes,
        }
    }

    /// Whether a sale can be paid in `number` instalments; 0 is at once.
    ///
    /// # Errors
    /// [`Error::NotSupported`] where there are none, [`Error::InvalidArgument`] with those that there are.
    pub(crate) fn check_instalments(&self, number: u8) -> Result<()> {
        if number == 0 || self.plans.contains(&number) {
            return Ok(());
        }
        if self.plans.is_empty() {
            return Err(Error::NotSupported("this terminal's acquirer offers no instalments".to_string()));
        }
        let plans: Vec<String> = self.plans.iter().map(u8::to_string).collect();
        Err(Error::invalid("options.instalments", format!("the acquirer offers {}", plans.join(", "))))
    }

    /// Whether a keyed card can have `service`.
    ///
    /// # Errors
    /// [`Error::NotSupported`] where it can't.
    pub(crate) fn check_keyed(&self, service: Service) -> Result<()> {
        if self.keyed.contains(&service) {
            return Ok(());
        }
        let problem = if self.keyed.is_empty() {
            "this terminal takes no mail or telephone orders: `[moto]` of paymentd.toml and the host's profile both have to".to_string()
        } else {
            format!("this terminal's acquirer offers no `{}` for a keyed card", service.as_str())
        };
        Err(Error::NotSupported(problem))
    }

    /// # Errors
    /// [`Error::NotSupported`] for what it does not offer.
    pub(crate) fn check(&self, service: Service) -> Result<()> {
        let offered = match service.class() {
            Class::Money | Class::Inquiry => self.online.contains(&service),
            Class::Settlement => self.settlement,
            Class::Code | Class::CodeReturn => self.codes,
            Class::Record => true,
        };
        if offered {
            return Ok(());
        }
        let problem = match service.class() {
            Class::Code | Class::CodeReturn => "this terminal has no QR gateway, which it needs for",
            _ => "this terminal's acquirer does not offer",
        };
        Err(Error::NotSupported(format!("{problem} `{}`", service.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_the_word_that_the_journal_writes() {
        for service in Service::ALL {
            let written = serde_json::to_value(service).unwrap();
            assert_eq!(written, service.as_str());
        }
    }

    #[test]
    fn the_shipped_host_offers_each_service_that_goes_to_a_host() {
        let text = include_str!("../../../config/hosts/unionpay-direct.toml");
        let host: iso8583::Host = toml::from_str(text).unwrap();
        let offered: Vec<&str> = host.services.keys().map(String::as_str).collect();
        let online = |service: &Service| matches!(service.class(), Class::Money | Class::Inquiry);
        let mut expected: Vec<&str> =
            Service::ALL.iter().filter(|service| online(service)).map(|service| service.as_str()).collect();
        expected.sort_unstable();
        assert_eq!(offered, expected);
    }
}
