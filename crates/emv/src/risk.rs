//! EMV Book 3 clause 10.6: terminal risk management.

use tlv::tags;

use crate::Application;
use crate::apdu::{Command, OK, Response};
use crate::bits::{aip, tsi, tvr};
use crate::kernel::{Kernel, Pending, Progress};
use crate::selection::template;

impl Kernel {
    pub(crate) fn manage_risk(&mut self) -> Progress {
        self.check_exceptions();
        if self.transaction.force_online {
            self.mark_tvr(tvr::MERCHANT_FORCED_ONLINE);
        }
        if !self.aip_has(aip::RISK_MANAGEMENT) {
            return self.analyse_terminal_action();
        }
        self.mark_tsi(tsi::RISK_MANAGEMENT);
        let (amount, percent) = (self.transaction.amount, self.transaction.random_percent);
        let at_limit = self.application().is_some_and(|ours| amount >= u64::from(ours.floor_limit));
        let selected = self.application().is_some_and(|ours| is_randomly_selected(ours, amount, percent));
        if at_limit {
            self.mark_tvr(tvr::FLOOR_LIMIT_EXCEEDED);
        } else if selected {
            self.mark_tvr(tvr::RANDOMLY_SELECTED);
        }
        // Clause 10.6.3: velocity checking only if the card gives both limits.
        match (self.data.get(tags::LOWER_CONSECUTIVE_LIMIT), self.data.get(tags::UPPER_CONSECUTIVE_LIMIT)) {
            (Some(_), Some(_)) => self.send(Command::get_data(tags::ATC), Pending::GetAtc),
            _ => self.analyse_terminal_action(),
        }
    }

    pub(crate) fn on_atc(&mut self, response: &Response) -> Progress {
        if let Some(atc) = counter(response, tags::ATC) {
            self.data.replace_from_card(tags::ATC, &atc);
        }
        self.send(Command::get_data(tags::LAST_ONLINE_ATC), Pending::GetLastOnlineAtc)
    }

    pub(crate) fn on_last_online_atc(&mut self, response: &Response) -> Progress {
        let last = counter(response, tags::LAST_ONLINE_ATC).map(u16::from_be_bytes);
        let atc = self.data.array(tags::ATC).map(u16::from_be_bytes);
        if last == Some(0) {
            self.mark_tvr(tvr::NEW_CARD);
        }
        // A counter that is missing, or has not moved on, exceeds both limits.
        let offline = atc.zip(last).and_then(|(atc, last)| atc.checked_sub(last)).filter(|&count| count > 0);
        let exceeds = |limit| {
            let limit = self.data.number(limit).unwrap_or_default();
            offline.is_none_or(|count| u64::from(count) > limit)
        };
        let (lower, upper) = (exceeds(tags::LOWER_CONSECUTIVE_LIMIT), exceeds(tags::UPPER_CONSECUTIVE_LIMIT));
        if lower {
            self.mark_tvr(tvr::LOWER_LIMIT_EXCEEDED);
        }
        if upper {
            self.mark_tvr(tvr::UPPER_LIMIT_EXCEEDED);
        }
        self.analyse_terminal_action()
    }
}

/// The two-byte counter in a response to GET DATA.
fn counter(response: &Response, tag: tlv::Tag) -> Option<[u8; 2]> {
    template(&response.data, tag).filter(|_| response.status == OK)?.try_into().ok()
}

/// Clause 10.6.2: below the threshold with the target percentage, then rising to the maximum at the floor limit.
fn is_randomly_selected(ours: &Application, amount: u64, percent: u8) -> bool {
    let (threshold, floor) = (u64::from(ours.random_threshold), u64::from(ours.floor_limit));
    let target = u64::from(ours.random_target_percent);
    if amount >= floor {
        return false;
    }
    // Both differences are positive: threshold <= amount < floor.
    let bias = amount.checked_sub(threshold).map_or(0, |above| {
        let range = u64::from(ours.random_max_percent).saturating_sub(target);
        (range * above).checked_div(floor - threshold).unwrap_or_default()
    });
    u64::from(percent) <= target + bias
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_selection_rises_from_the_threshold_to_the_floor_limit() {
        let config = crate::tests::config_with(|toml| {
            toml.replace("floor_limit = 0", "floor_limit = 1000")
                .replace("random_threshold = 0", "random_threshold = 500")
                .replace("random_target_percent = 0", "random_target_percent = 20")
                .replace("random_max_percent = 0", "random_max_percent = 60")
        });
        let ours = &config.applications[0];
        let limit = |amount| (0..=99).filter(|&percent| is_randomly_selected(ours, amount, percent)).max();
        assert_eq!(limit(499), Some(20));
        assert_eq!(limit(500), Some(20));
        assert_eq!(limit(750), Some(40));
        assert_eq!(limit(999), Some(59));
        assert_eq!(limit(1000), None);
    }
}
