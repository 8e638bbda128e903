//! EMV Book 3 clause 10.9: online processing and issuer authentication.

use tlv::tags;

use crate::apdu::{Command, OK, Response};
use crate::bits::{aip, tsi, tvr};
use crate::cryptogram::reference_control;
use crate::findings::Finding;
use crate::kernel::{HostAnswer, Kernel, Pending, Progress};
use crate::outcome::{Cvm, Online};
use crate::scripts::{Phase, Scripts};
use crate::selection::child;

impl Kernel {
    pub(crate) fn take_host_answer(&mut self, answer: HostAnswer<'_>) -> Progress {
        self.online = if answer.approved { Online::Approved } else { Online::Declined };
        self.note(Finding::Online(self.online));
        self.data.set(tags::ARC, &answer.arc);
        if let Some(code) = answer.authorisation_code {
            self.data.set(tags::AUTHORISATION_CODE, &code);
        }
        self.scripts = Scripts::new(answer.field_55);
        self.authenticate_issuer(answer.field_55)
    }

    /// Clause 10.9: by EXTERNAL AUTHENTICATE if the card supports it, else within the second GENERATE AC.
    fn authenticate_issuer(&mut self, field_55: &[u8]) -> Progress {
        let Some(data) = child(field_55, tags::ISSUER_AUTHENTICATION) else {
            self.mark_tvr(tvr::ISSUER_AUTHENTICATION_FAILED);
            return self.run_scripts(Phase::BeforeSecondAc);
        };
        let Some(data) = data else {
            return self.run_scripts(Phase::BeforeSecondAc);
        };
        if !(8..=16).contains(&data.len()) {
            self.mark_tvr(tvr::ISSUER_AUTHENTICATION_FAILED);
            return self.run_scripts(Phase::BeforeSecondAc);
        }
        self.data.set(tags::ISSUER_AUTHENTICATION, data);
        if self.aip_has(aip::ISSUER_AUTHENTICATION) {
            return self.send(Command::external_authenticate(data), Pending::ExternalAuthenticate);
        }
        self.run_scripts(Phase::BeforeSecondAc)
    }

    pub(crate) fn on_external_authenticate(&mut self, response: &Response) -> Progress {
        self.mark_tsi(tsi::ISSUER_AUTHENTICATION);
        if response.status != OK {
            self.mark_tvr(tvr::ISSUER_AUTHENTICATION_FAILED);
        }
        self.run_scripts(Phase::BeforeSecondAc)
    }

    /// Clause 10.11: the issuer's decision becomes the request to the card.
    pub(crate) fn pass_on_decision(&mut self) -> Progress {
        let approved = self.online == Online::Approved;
        self.generate_second_ac(if approved { reference_control::TC } else { reference_control::AAC })
    }

    /// Clause 10.7: the issuer could not be asked. Nor can it check a PIN that was entered for it, and nobody keeps one. Where nothing is approved without the issuer it declines, whatever the
    /// default action codes say.
    pub(crate) fn decide_without_host(&mut self) -> Progress {
        self.online = Online::Unreachable;
        self.expect_second_signature();
        self.note(Finding::Online(self.online));
        let unverified = self.verification.cvm() == Cvm::OnlinePin;
        let request =
            if self.is_online_only() || unverified { reference_control::AAC } else { self.offline_request() };
        let arc = if request == reference_control::TC { b"Y3" } else { b"Z3" };
        self.data.set(tags::ARC, arc);
        self.generate_second_ac(request)
    }
}
