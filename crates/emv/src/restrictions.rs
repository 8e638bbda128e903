//! EMV Book 3 clause 10.4: processing restrictions.

use tlv::tags;

use crate::bits::{auc, is_set, tvr};
use crate::data::date;
use crate::kernel::{Kernel, Progress};

/// 9C: cash.
pub(crate) const CASH: u8 = 0x01;
/// 9C: goods or services with cashback.
pub(crate) const CASHBACK: u8 = 0x09;

impl Kernel {
    pub(crate) fn check_restrictions(&mut self) -> Progress {
        // Clause 10.4.1; a card without a version is taken to be compatible.
        let ours = self.data.get(tags::VERSION_TERMINAL);
        if self.data.get(tags::VERSION_ICC).is_some_and(|version| Some(version) != ours) {
            self.mark_tvr(tvr::VERSIONS_DIFFER);
        }
        if !self.is_usage_allowed() {
            self.mark_tvr(tvr::SERVICE_NOT_ALLOWED);
        }
        self.check_dates();
        self.verify_cardholder()
    }

    /// Clause 10.4.2.
    fn is_usage_allowed(&self) -> bool {
        let Some(usage) = self.data.get(tags::USAGE_CONTROL) else { return true };
        let place = if self.config.terminal.is_atm() { auc::AT_ATMS } else { auc::ELSEWHERE };
        if !is_set(usage, place) {
            return false;
        }
        let Some(issuer_country) = self.data.get(tags::ISSUER_COUNTRY) else { return true };
        let domestic = Some(issuer_country) == self.data.get(tags::TERMINAL_COUNTRY);
        let (cash, goods, cashback) = if domestic {
            (auc::DOMESTIC_CASH, auc::DOMESTIC_GOODS_SERVICES, auc::DOMESTIC_CASHBACK)
        } else {
            (auc::INTERNATIONAL_CASH, auc::INTERNATIONAL_GOODS_SERVICES, auc::INTERNATIONAL_CASHBACK)
        };
        match self.transaction.kind {
            CASH => is_set(usage, cash),
            CASHBACK => is_set(usage, goods) && is_set(usage, cashback),
            _ => is_set(usage, goods),
        }
    }

    /// Clauses 10.4.3: effective and expiration date.
    fn check_dates(&mut self) {
        let today = date(&self.transaction.date);
        let effective = self.data.get(tags::EFFECTIVE_DATE).and_then(date);
        let expires = self.data.get(tags::EXPIRATION_DATE).and_then(date);
        if effective.is_some() && effective > today {
            self.mark_tvr(tvr::NOT_YET_EFFECTIVE);
        }
        if expires < today {
            self.mark_tvr(tvr::EXPIRED);
        }
    }
}
