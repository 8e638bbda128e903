//! A transaction as its owner sees it: everything known, nothing secret.

use std::collections::HashMap;

use service::options::Dictionary;
use zbus::Variant;

use super::{Outcome, Reversal, State, Transaction};
use crate::services::Class;

impl Transaction {
    /// The transaction for its owner.
    pub(crate) fn to_dictionary(&self) -> Dictionary {
        let mut values: HashMap<&str, Variant<'_>> = HashMap::from([
            ("type", self.service().as_str().into()),
            ("key", self.request.key.as_str().into()),
            ("owner", self.request.owner.as_str().into()),
            ("amount", self.amount().into()),
            ("currency", self.request.currency.as_str().into()),
            ("state", self.state.as_str().into()),
            ("host", self.at_host().into()),
            ("created", self.created.into()),
        ]);
        if let Some(outcome) = self.outcome {
            values.insert("outcome", outcome.as_str().into());
            values.insert("finished", self.finished.into());
        }
        if let Some(reversal) = self.reversal {
            values.insert("reversal", reversal.as_str().into());
        }
        if let Some(advice) = self.advice {
            values.insert("advice", advice.as_str().into());
        }
        if let Some(script) = self.script {
            values.insert("script", script.as_str().into());
            values.insert("script_data", self.card.script_data.as_str().into());
        }
        if self.request.tip > 0 {
            values.insert("tip", self.request.tip.into());
        }
        if self.is_moto() {
            values.insert("moto", true.into());
        }
        if self.request.instalments > 0 {
            values.insert("instalments", u32::from(self.request.instalments).into());
        }
        if let Some(balance) = self.answer.balance {
            values.insert("balance", balance.into());
        }
        if let Some(balanced) = self.answer.balanced {
            values.insert("balanced", balanced.into());
        }
        if let Some(totals) = &self.totals {
            values.insert("debit_count", totals.debit.count.into());
            values.insert("debit_amount", totals.debit.amount.into());
            values.insert("credit_count", totals.credit.count.into());
            values.insert("credit_amount", totals.credit.amount.into());
            values.insert("code_debit_count", totals.code_debit.count.into());
            values.insert("code_debit_amount", totals.code_debit.amount.into());
            values.insert("code_credit_count", totals.code_credit.count.into());
            values.insert("code_credit_amount", totals.code_credit.amount.into());
        }
        if let Some(sent) = &self.certificates {
            values.insert("certificates", sent.taken.into());
            let refused = u32::try_from(sent.refused.len()).unwrap_or(u32::MAX);
            values.insert("certificates_refused", refused.into());
        }
        if let Some(uploaded) = self.uploaded {
            values.insert("uploaded", uploaded.into());
        }
        let texts = self.texts().into_iter().filter(|(_, text)| !text.is_empty());
        values.extend(texts.map(|(key, text)| (key, text.into())));
        values
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_string(), value.try_into_owned().ok()?)))
            .collect()
    }

    fn texts(&self) -> [(&'static str, String); 26] {
        let original = self.original.as_ref();
        let order = self.order.as_ref();
        let original_key = self.request.original.as_ref().map(ToString::to_string).unwrap_or_default();
        [
            ("order", self.request.order.clone()),
            ("operator", self.request.operator.clone()),
            ("reason", self.reason.clone()),
            ("over_limit", self.over_limit.clone().unwrap_or_default()),
            ("approver", self.approver.clone()),
            ("stan", number(self.stan)),
            ("batch", number(self.batch)),
            ("original", original_key),
            ("original_stan", original.map(|original| number(original.stan)).unwrap_or_default()),
            ("original_batch", original.map(|original| number(original.batch)).unwrap_or_default()),
            ("masked_pan", self.card.masked_pan.clone()),
            ("entry_mode", self.card.entry_mode.clone()),
            ("aid", self.card.aid.clone()),
            ("label", self.card.label.clone()),
            ("cvm", self.card.cvm.clone()),
            ("tvr", self.card.tvr.clone()),
            ("tsi", self.card.tsi.clone()),
            ("cryptogram", self.card.cryptogram.clone()),
            ("response_code", self.answer.code.clone()),
            ("approval", self.answer.approval.clone()),
            ("reference", self.answer.reference.clone()),
            ("wallet", self.answer.wallet.clone()),
            ("code", self.request.code.clone()),
            ("gateway_order", order.map(|order| order.number.clone()).unwrap_or_default()),
            ("gateway_refund", order.map(|order| order.refund.clone()).unwrap_or_default()),
            ("receipt_job", self.receipt_job.clone()),
        ]
    }

    /// What the host holds of it: `none` where it was never asked, `approved`, `declined`, `reversed`, or `unknown`.
    fn at_host(&self) -> &'static str {
        if let Some(advice) = self.advice {
            return advice.at_host();
        }
        match (self.state, self.outcome, self.reversal) {
            _ if self.stan == 0 => "none",
            (State::Authorizing, ..) | (_, _, Some(Reversal::Pending)) => "unknown",
            (State::Answered, ..) | (_, Some(Outcome::Approved), _) => "approved",
            (_, Some(Outcome::Reversed), _) => "reversed",
            (_, Some(Outcome::Failed), _) if self.service().class() == Class::Inquiry => "unknown",
            _ => "declined",
        }
    }
}

/// A trace or batch number; empty where none was given yet.
fn number(number: u32) -> String {
    if number == 0 { String::new() } else { format!("{number:06}") }
}
