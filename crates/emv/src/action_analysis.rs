//! EMV Book 3 clause 10.7: terminal action analysis.

use tlv::{Tag, tags};

use crate::bits::tvr::ActionCode;
use crate::cryptogram::reference_control;
use crate::findings::{ActionCodes, Finding};
use crate::kernel::{Kernel, Progress};

impl Kernel {
    /// Before the first GENERATE AC: which cryptogram to ask for.
    pub(crate) fn analyse_terminal_action(&mut self) -> Progress {
        let request = if self.denies() {
            reference_control::AAC
        } else if self.config.terminal.is_offline_only() && self.transaction.online_only {
            // What the issuer alone may approve, where the issuer can't be asked.
            reference_control::AAC
        } else if self.config.terminal.is_offline_only() {
            self.offline_request()
        } else if self.is_online_only() || self.wants_online() {
            reference_control::ARQC
        } else {
            reference_control::TC
        };
        self.generate_first_ac(request)
    }

    /// What to ask for where the issuer can't be asked: the default action codes decide.
    pub(crate) fn offline_request(&mut self) -> u8 {
        let tac = self.application().map(|ours| ours.tac_default);
        if self.shares(ActionCodes::Default, tags::IAC_DEFAULT, [0xFF; 5], tac) {
            reference_control::AAC
        } else {
            reference_control::TC
        }
    }

    fn denies(&mut self) -> bool {
        let tac = self.application().map(|ours| ours.tac_denial);
        self.shares(ActionCodes::Denial, tags::IAC_DENIAL, [0x00; 5], tac)
    }

    fn wants_online(&mut self) -> bool {
        let tac = self.application().map(|ours| ours.tac_online);
        self.shares(ActionCodes::Online, tags::IAC_ONLINE, [0xFF; 5], tac)
    }

    /// Whether a bit of the TVR is set that the issuer's or the terminal's action code has too.
    fn shares(&mut self, with: ActionCodes, iac: Tag, absent: ActionCode, tac: Option<ActionCode>) -> bool {
        let iac: ActionCode = self.data.array(iac).unwrap_or(absent);
        let tac = tac.unwrap_or(absent);
        let mut common = self.tvr();
        for ((common, iac), tac) in common.iter_mut().zip(iac).zip(tac) {
            *common &= iac | tac;
        }
        self.note(Finding::Compared { with, common });
        common != [0; 5]
    }
}
