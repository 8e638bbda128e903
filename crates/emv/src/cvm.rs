//! EMV Book 3 clause 10.5 and Annex C3: cardholder verification.

use tlv::tags;

use crate::bits::{aip, terminal_capabilities, tsi, tvr};
use crate::findings::Finding;
use crate::kernel::{Kernel, PinResult, Progress, Wait};
use crate::offline_pin::Asking;
use crate::outcome::{Cvm, Reason};
use crate::restrictions::{CASH, CASHBACK};

/// Annex C3, bits 6 to 1 of the CVM code.
pub(crate) mod method {
    pub(super) const FAIL: u8 = 0x00;
    pub(super) const PLAINTEXT_PIN: u8 = 0x01;
    pub(crate) const ONLINE_PIN: u8 = 0x02;
    pub(crate) const PLAINTEXT_PIN_AND_SIGNATURE: u8 = 0x03;
    pub(crate) const ENCIPHERED_PIN: u8 = 0x04;
    pub(crate) const ENCIPHERED_PIN_AND_SIGNATURE: u8 = 0x05;
    pub(super) const SIGNATURE: u8 = 0x1E;
    pub(super) const NO_CVM: u8 = 0x1F;
}

/// Book 4 clause 6.3.4.5: byte 3 of the CVM results.
pub(crate) mod result {
    pub(crate) const UNKNOWN: u8 = 0x00;
    pub(super) const FAILED: u8 = 0x01;
    pub(crate) const SUCCESSFUL: u8 = 0x02;
}

/// Byte 1 of the CVM results if no method was performed.
const NONE_PERFORMED: u8 = 0x3F;

/// One rule of the CVM list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    code: u8,
    condition: u8,
}

impl Rule {
    pub(crate) fn method(self) -> u8 {
        self.code & 0x3F
    }

    /// Book 4 clause 6.3.4.5, table 2: "fail" ends the list whatever its bit 7 says.
    fn goes_on_if_unsuccessful(self) -> bool {
        self.code & 0x40 != 0 && self.method() != method::FAIL
    }
}

/// How far the list has been worked through.
#[derive(Default)]
pub(crate) struct Verification {
    position: usize,
    /// The PIN was bypassed: it is not asked for again (Book 4 clause 6.3.4.3).
    bypassed: bool,
    /// Of the offline PIN that is asked for.
    pub(crate) asking: Asking,
    cvm: Option<Cvm>,
}

impl Verification {
    pub(crate) fn cvm(&self) -> Cvm {
        self.cvm.unwrap_or(Cvm::None)
    }

    pub(crate) fn set(&mut self, cvm: Cvm) {
        self.cvm = Some(cvm);
    }
}

/// What a method came to.
enum Performed {
    Successful(Cvm, u8),
    Unsuccessful,
    /// Not a method of this terminal.
    Unsupported,
    AskForPin,
    AskForOfflinePin,
}

impl Kernel {
    pub(crate) fn verify_cardholder(&mut self) -> Progress {
        let length = self.data.get(tags::CVM_LIST).map(<[u8]>::len);
        self.verification = Verification::default();
        if !self.aip_has(aip::CARDHOLDER_VERIFICATION) {
            return self.manage_risk();
        }
        // Two amounts of four bytes, then rules of two; a list without rules is as good as none.
        match length {
            None | Some(8) => {
                self.mark_tvr(tvr::ICC_DATA_MISSING);
                return self.manage_risk();
            }
            Some(length) if length < 8 || length % 2 != 0 => {
                return Err(Reason::DataMalformed(tags::CVM_LIST));
            }
            Some(_) => {}
        }
        self.set_cvm_results(NONE_PERFORMED, 0x00, result::FAILED);
        self.next_rule()
    }

    pub(crate) fn set_cvm_results(&mut self, code: u8, condition: u8, result: u8) {
        self.data.set(tags::CVM_RESULTS, &[code, condition, result]);
        self.note(Finding::CvmResults([code, condition, result]));
    }

    fn rule(&self, position: usize) -> Option<Rule> {
        let rules = self.data.get(tags::CVM_LIST)?.get(8..)?;
        let (rules, _) = rules.as_chunks();
        rules.get(position).map(|&[code, condition]| Rule { code, condition })
    }

    /// Clause 10.5: the rules in order, until one succeeds or one fails that ends the list.
    fn next_rule(&mut self) -> Progress {
        while let Some(rule) = self.rule(self.verification.position) {
            self.verification.position += 1;
            if !self.condition_holds(rule) {
                self.note(Finding::RulePassedOver { code: rule.code, condition: rule.condition });
                continue;
            }
            match self.perform(rule) {
                Performed::AskForPin => return Ok(Wait::Pin),
                Performed::AskForOfflinePin => return self.begin_offline_pin(),
                Performed::Successful(cvm, result) => return self.verified(rule, cvm, result),
                Performed::Unsuccessful => self.set_cvm_results(rule.code, rule.condition, result::FAILED),
                // Book 4 Annex A4: the results are those of the last one that was performed.
                Performed::Unsupported => {}
            }
            if !rule.goes_on_if_unsuccessful() {
                break;
            }
        }
        self.verification_failed()
    }

    pub(crate) fn verified(&mut self, rule: Rule, cvm: Cvm, result: u8) -> Progress {
        self.verification.set(cvm);
        self.set_cvm_results(rule.code, rule.condition, result);
        self.mark_tsi(tsi::CARDHOLDER_VERIFICATION);
        self.manage_risk()
    }

    fn verification_failed(&mut self) -> Progress {
        self.verification.set(Cvm::Failed);
        self.mark_tvr(tvr::VERIFICATION_FAILED);
        self.mark_tsi(tsi::CARDHOLDER_VERIFICATION);
        self.manage_risk()
    }

    /// Annex C3, table 44: a condition that is not known, or lacks its data, does not hold.
    fn condition_holds(&self, rule: Rule) -> bool {
        let unattended = self.config.terminal.is_unattended();
        let kind = self.transaction.kind;
        match rule.condition {
            0x00 => true,
            0x01 => kind == CASH && unattended,
            0x02 => kind != CASH && kind != CASHBACK,
            0x03 => self.supports(rule.method()),
            0x04 => kind == CASH && !unattended,
            0x05 => kind == CASHBACK,
            0x06 => self.amount_limit(0).is_some_and(|limit| self.transaction.amount < limit),
            0x07 => self.amount_limit(0).is_some_and(|limit| self.transaction.amount > limit),
            0x08 => self.amount_limit(4).is_some_and(|limit| self.transaction.amount < limit),
            0x09 => self.amount_limit(4).is_some_and(|limit| self.transaction.amount > limit),
            _ => false,
        }
    }

    /// Amount X or Y of the list, if the transaction is in the application's currency.
    fn amount_limit(&self, offset: usize) -> Option<u64> {
        let currency = self.data.get(tags::APPLICATION_CURRENCY)?;
        (self.data.get(tags::TRANSACTION_CURRENCY) == Some(currency)).then_some(())?;
        let (bytes, _) = self.data.get(tags::CVM_LIST)?.get(offset..)?.split_first_chunk::<4>()?;
        Some(u64::from(u32::from_be_bytes(*bytes)))
    }

    fn supports(&self, method: u8) -> bool {
        let [_, ours, _] = self.config.terminal.capabilities;
        let needed = match method {
            method::FAIL => return true,
            method::PLAINTEXT_PIN => terminal_capabilities::PLAINTEXT_PIN,
            method::ONLINE_PIN => terminal_capabilities::ONLINE_PIN,
            method::PLAINTEXT_PIN_AND_SIGNATURE => {
                terminal_capabilities::PLAINTEXT_PIN | terminal_capabilities::SIGNATURE
            }
            method::ENCIPHERED_PIN => terminal_capabilities::ENCIPHERED_PIN,
            method::ENCIPHERED_PIN_AND_SIGNATURE => {
                terminal_capabilities::ENCIPHERED_PIN | terminal_capabilities::SIGNATURE
            }
            method::SIGNATURE => terminal_capabilities::SIGNATURE,
            method::NO_CVM => terminal_capabilities::NO_CVM,
            _ => return false,
        };
        ours & needed == needed
    }

    /// Whether the terminal takes PINs for the host, or those for the card. It does the latter if it supports one of their
    /// methods (clause 10.5.1).
    fn takes_pins_of(&self, method: u8) -> bool {
        let [_, ours, _] = self.config.terminal.capabilities;
        let any = match method {
            method::ONLINE_PIN => terminal_capabilities::ONLINE_PIN,
            _ => terminal_capabilities::PLAINTEXT_PIN | terminal_capabilities::ENCIPHERED_PIN,
        };
        ours & any != 0
    }

    /// Clauses 10.5.1 to 10.5.5.
    fn perform(&mut self, rule: Rule) -> Performed {
        let method = rule.method();
        let needs_pin = matches!(method, method::PLAINTEXT_PIN..=method::ENCIPHERED_PIN_AND_SIGNATURE);
        if needs_pin && !self.supports(method) {
            if !self.takes_pins_of(method) {
                self.mark_tvr(tvr::PIN_PAD_MISSING);
            }
            return Performed::Unsupported;
        }
        match method {
            method::FAIL => Performed::Unsuccessful,
            _ if needs_pin && self.verification.bypassed => Performed::Unsuccessful,
            method::ONLINE_PIN => Performed::AskForPin,
            _ if needs_pin => Performed::AskForOfflinePin,
            method::SIGNATURE if self.supports(method) => {
                Performed::Successful(Cvm::Signature, result::UNKNOWN)
            }
            method::NO_CVM if self.supports(method) => {
                Performed::Successful(Cvm::NotRequired, result::SUCCESSFUL)
            }
            method::SIGNATURE | method::NO_CVM => Performed::Unsupported,
            _ => {
                self.mark_tvr(tvr::UNRECOGNISED_CVM);
                Performed::Unsupported
            }
        }
    }

    /// The rule that a PIN is asked for by.
    pub(crate) fn asked_rule(&self) -> Result<Rule, Reason> {
        let asked = self.verification.position.checked_sub(1).and_then(|position| self.rule(position));
        asked.ok_or(Reason::UnexpectedEvent)
    }

    /// Clause 10.5.2.
    pub(crate) fn take_pin_result(&mut self, pin: PinResult) -> Progress {
        if pin != PinResult::Entered {
            return self.without_pin(pin);
        }
        self.mark_tvr(tvr::ONLINE_PIN_ENTERED);
        self.verified(self.asked_rule()?, Cvm::OnlinePin, result::UNKNOWN)
    }

    /// Clauses 10.5.1 and 10.5.2: the PIN that was asked for was not entered.
    pub(crate) fn without_pin(&mut self, pin: PinResult) -> Progress {
        match pin {
            PinResult::Entered => return Err(Reason::UnexpectedEvent),
            PinResult::Bypassed => {
                self.verification.bypassed = true;
                self.mark_tvr(tvr::PIN_NOT_ENTERED);
            }
            PinResult::PinPadBroken => self.mark_tvr(tvr::PIN_PAD_MISSING),
            PinResult::Cancelled => return Err(Reason::Cancelled),
            PinResult::TimedOut => return Err(Reason::PinTimedOut),
        }
        self.fail_asked_rule()
    }

    /// The rule that a PIN was asked for by is unsuccessful: on with the next, if there may be one.
    pub(crate) fn fail_asked_rule(&mut self) -> Progress {
        let rule = self.asked_rule()?;
        self.set_cvm_results(rule.code, rule.condition, result::FAILED);
        if rule.goes_on_if_unsuccessful() { self.next_rule() } else { self.verification_failed() }
    }
}
