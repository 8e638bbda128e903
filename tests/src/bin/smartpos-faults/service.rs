//! The services that are asked for, each with what it is about.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use client::payment::TransactionProxy;
use smartpos_tests::{Sale, Shop, option, text};
use tokio::time::interval;

use crate::supervisor;

const CNY: &str = "CNY";
/// Below the floor limit, in minor units.
const OFFLINE: u64 = 300;
/// What every customer shows: a code of Alipay's.
const CODE: &str = "287654321098765432";

/// A service of `org.smartpos.Payment1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Sale,
    InstalmentSale,
    MotoSale,
    ScriptSale,
    OfflineSale,
    OfflineVoid,
    SupervisedSale,
    DeniedSale,
    UnansweredSale,
    Void,
    Refund,
    UnlinkedRefund,
    TipAdjustment,
    Preauthorisation,
    Increment,
    Cancellation,
    Completion,
    CompletionVoid,
    Balance,
    Cash,
    Settlement,
    CodePayment,
    MerchantCode,
    CodeVoid,
    CodeRefund,
}

impl Service {
    pub(crate) const ALL: [Service; 25] = [
        Service::Sale,
        Service::InstalmentSale,
        Service::MotoSale,
        Service::ScriptSale,
        Service::OfflineSale,
        Service::OfflineVoid,
        Service::SupervisedSale,
        Service::DeniedSale,
        Service::UnansweredSale,
        Service::Void,
        Service::Refund,
        Service::UnlinkedRefund,
        Service::TipAdjustment,
        Service::Preauthorisation,
        Service::Increment,
        Service::Cancellation,
        Service::Completion,
        Service::CompletionVoid,
        Service::Balance,
        Service::Cash,
        Service::Settlement,
        Service::CodePayment,
        Service::MerchantCode,
        Service::CodeVoid,
        Service::CodeRefund,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Sale => "sale",
            Service::InstalmentSale => "instalment-sale",
            Service::MotoSale => "moto-sale",
            Service::ScriptSale => "script-sale",
            Service::OfflineSale => "offline-sale",
            Service::OfflineVoid => "offline-void",
            Service::SupervisedSale => "supervised-sale",
            Service::DeniedSale => "denied-sale",
            Service::UnansweredSale => "unanswered-sale",
            Service::Void => "void",
            Service::Refund => "refund",
            Service::UnlinkedRefund => "unlinked-refund",
            Service::TipAdjustment => "tip-adjustment",
            Service::Preauthorisation => "preauthorisation",
            Service::Increment => "increment",
            Service::Cancellation => "cancellation",
            Service::Completion => "completion",
            Service::CompletionVoid => "completion-void",
            Service::Balance => "balance",
            Service::Cash => "cash",
            Service::Settlement => "settlement",
            Service::CodePayment => "code-payment",
            Service::MerchantCode => "merchant-code",
            Service::CodeVoid => "code-void",
            Service::CodeRefund => "code-refund",
        }
    }

    /// The type of its request to the host; `None` where the host is not asked, or what it does is another service's matter.
    pub(crate) fn request(self) -> Option<&'static str> {
        match self {
            Service::Cash
            | Service::OfflineVoid
            | Service::SupervisedSale
            | Service::DeniedSale
            | Service::UnansweredSale
            | Service::CodePayment
            | Service::MerchantCode
            | Service::CodeVoid
            | Service::CodeRefund => None,
            Service::OfflineSale | Service::Refund | Service::UnlinkedRefund | Service::TipAdjustment => {
                Some("0220")
            }
            Service::Preauthorisation | Service::Increment | Service::Cancellation => Some("0100"),
            Service::Settlement => Some("0500"),
            // The sale itself is another service's matter.
            Service::ScriptSale => Some("0620"),
            Service::Sale
            | Service::InstalmentSale
            | Service::MotoSale
            | Service::Void
            | Service::Completion
            | Service::CompletionVoid
            | Service::Balance => Some("0200"),
        }
    }

    /// What it first asks the QR gateway; `None` where that one is not asked.
    pub(crate) fn operation(self) -> Option<&'static str> {
        match self {
            Service::CodePayment => Some("pay"),
            Service::MerchantCode => Some("prepare"),
            Service::CodeVoid => Some("cancel"),
            Service::CodeRefund => Some("refund"),
            _ => None,
        }
    }

    /// Whether an unknown outcome is reversed.
    pub(crate) fn is_reversed(self) -> bool {
        match self.operation() {
            Some(operation) => matches!(operation, "pay" | "prepare"),
            None => !matches!(
                self,
                Service::Balance
                    | Service::Cash
                    | Service::Settlement
                    | Service::ScriptSale
                    | Service::OfflineSale
                    | Service::OfflineVoid
            ),
        }
    }

    /// Whether it is about what happens while the host is away.
    pub(crate) fn is_without_host(self) -> bool {
        self == Service::OfflineVoid
    }

    /// Whether the card's number is keyed.
    pub(crate) fn is_keyed(self) -> bool {
        self == Service::MotoSale
    }

    /// Whether the issuer has the card run a script.
    pub(crate) fn has_script(self) -> bool {
        self == Service::ScriptSale
    }

    /// Whether a supervisor is asked.
    pub(crate) fn is_supervised(self) -> bool {
        matches!(self, Service::SupervisedSale | Service::DeniedSale | Service::UnansweredSale)
    }

    /// Makes what the service is about, such as the sale that is to be voided.
    pub(crate) async fn prepare(self, shop: &Shop, key: &str) -> Result<(), String> {
        let steps: &[Service] = match self {
            Service::Void | Service::Refund | Service::TipAdjustment | Service::Settlement => {
                &[Service::Sale]
            }
            Service::OfflineVoid => &[Service::OfflineSale],
            Service::Increment | Service::Cancellation | Service::Completion => &[Service::Preauthorisation],
            Service::CompletionVoid => &[Service::Preauthorisation, Service::Completion],
            Service::CodeVoid | Service::CodeRefund => &[Service::CodePayment],
            _ => &[],
        };
        let mut original = String::new();
        for step in steps {
            let name = format!("{key}-{step}");
            let outcome = end(step.start(shop, &name, &original).await?).await?;
            if outcome != "approved" {
                return Err(format!("the {step} before it is {outcome}"));
            }
            original = name;
        }
        Ok(())
    }

    /// Asks for the service under `key`, and returns its outcome.
    pub(crate) async fn ask(self, shop: &Shop, key: &str) -> Result<String, String> {
        let original = match self {
            Service::Void | Service::Refund | Service::TipAdjustment => format!("{key}-sale"),
            Service::OfflineVoid => format!("{key}-offline-sale"),
            Service::Increment | Service::Cancellation | Service::Completion => {
                format!("{key}-preauthorisation")
            }
            Service::CompletionVoid => format!("{key}-completion"),
            Service::CodeVoid | Service::CodeRefund => format!("{key}-code-payment"),
            _ => String::new(),
        };
        let outcome = end(self.start(shop, key, &original).await?).await?;
        if matches!(self, Service::OfflineSale | Service::ScriptSale) {
            told(shop).await;
        }
        Ok(outcome)
    }

    async fn start(self, shop: &Shop, key: &str, original: &str) -> Result<Sale, String> {
        let (pay, none) = (&shop.payment, HashMap::new());
        let started = match self {
            Service::Sale | Service::ScriptSale => {
                shop.follow(key, pay.start_sale(700, CNY, key, none)).await
            }
            Service::InstalmentSale => {
                shop.follow(key, pay.start_sale(1200, CNY, key, option("instalments", 12_u32))).await
            }
            Service::MotoSale => shop.follow(key, pay.start_sale(700, CNY, key, option("moto", true))).await,
            Service::OfflineSale => shop.follow(key, pay.start_sale(OFFLINE, CNY, key, none)).await,
            Service::SupervisedSale => {
                shop.follow(key, pay.start_sale(supervisor::APPROVED, CNY, key, none)).await
            }
            Service::DeniedSale => shop.follow(key, pay.start_sale(supervisor::DENIED, CNY, key, none)).await,
            Service::UnansweredSale => {
                shop.follow(key, pay.start_sale(supervisor::UNANSWERED, CNY, key, none)).await
            }
            Service::Void | Service::OfflineVoid | Service::CompletionVoid | Service::CodeVoid => {
                shop.follow(key, pay.start_void(original, key, none)).await
            }
            Service::Refund | Service::UnlinkedRefund | Service::CodeRefund => {
                shop.follow(key, pay.start_refund(300, CNY, original, key, none)).await
            }
            Service::TipAdjustment => {
                shop.follow(key, pay.start_tip_adjustment(original, 100, key, none)).await
            }
            Service::Preauthorisation => {
                shop.follow(key, pay.start_preauthorisation(900, CNY, key, none)).await
            }
            Service::Increment => shop.follow(key, pay.start_increment(200, original, key, none)).await,
            Service::Cancellation => shop.follow(key, pay.start_cancellation(original, key, none)).await,
            Service::Completion => shop.follow(key, pay.start_completion(900, original, key, none)).await,
            Service::Balance => shop.follow(key, pay.start_balance_inquiry(key, none)).await,
            Service::Cash => shop.follow(key, pay.record_cash(500, CNY, key, none)).await,
            Service::Settlement => shop.follow(key, pay.start_settlement(key, none)).await,
            Service::CodePayment => shop.follow(key, pay.start_code_payment(700, CNY, CODE, key, none)).await,
            Service::MerchantCode => shop.follow(key, pay.start_merchant_code(700, CNY, key, none)).await,
        };
        started.map_err(|error| error.to_string())
    }
}

/// Waits until the host was told of what was approved offline, and of scripts, as long as there is a daemon to say so.
async fn told(shop: &Shop) {
    let mut ticks = interval(Duration::from_millis(10));
    while shop.payment.stored_sales().await.is_ok_and(|count| count > 0)
        || shop.payment.untold_scripts().await.is_ok_and(|count| count > 0)
    {
        ticks.tick().await;
    }
}

/// Waits for the end; a transaction that had ended before it was asked for again says nothing any more.
async fn end(mut sale: Sale) -> Result<String, String> {
    let proxy: &TransactionProxy<'_> = &sale.proxy;
    let failed = |error: zbus::Error| error.to_string();
    if proxy.state().await.map_err(failed)? == "final" {
        let result = proxy.get_result().await.map_err(failed)?;
        return Ok(text(&result, "outcome").to_owned());
    }
    Ok(sale.completed().await.0)
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
