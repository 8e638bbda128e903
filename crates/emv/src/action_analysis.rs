//! EMV Book 3 clause 10.7: terminal action analysis.

use tlv::{Tag, tags};

use crate::bits::tvr::ActionCode;
use crate::cryptogram::reference_control;
use crate::kernel::{Kernel, Progress};

impl Kernel {
    /// Before the first GENERATE AC: which cryptogram to ask for.
    pub(crate) fn analyse_terminal_action(&mut self) -> Progress {
        let request = if self.denies() {
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
    pub(crate) fn offline_request(&self) -> u8 {
        let tac = self.application().map(|ours| ours.tac_default);
        if self.matches(tags::IAC_DEFAULT, [0xFF; 5], tac) {
            reference_control::AAC
        } else {
            reference_control::TC
        }
    }

    fn denies(&self) -> bool {
        let tac = self.application().map(|ours| ours.tac_denial);
        self.matches(tags::IAC_DENIAL, [0x00; 5], tac)
    }

    fn wants_online(&self) -> bool {
        let tac = self.application().map(|ours| ours.tac_online);
        self.matches(tags::IAC_ONLINE, [0xFF; 5], tac)
    }

    /// Whether a bit of the TVR is set that the issuer's or the terminal's action code has too.
    fn matches(&self, iac: Tag, absent: ActionCode, tac: Option<ActionCode>) -> bool {
        let iac: ActionCode = self.data.array(iac).unwrap_or(absent);
        let tac = tac.unwrap_or(absent);
        self.tvr().iter().zip(iac).zip(tac).any(|((tvr, iac), tac)| tvr & (iac | tac) != 0)
    }
}
