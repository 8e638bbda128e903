//! EMV Book 3 clause 10.1: initiate application processing.

use tlv::{Reader, tags};

use crate::apdu::{Command, OK, Response};
use crate::authentication::Authentication;
use crate::kernel::{Kernel, Pending, Progress};
use crate::outcome::Reason;
use crate::selection::template;

/// Conditions of use not satisfied: the application can't be used for this transaction.
const CONDITIONS_NOT_SATISFIED: u16 = 0x6985;

impl Kernel {
    pub(crate) fn initiate(&mut self) -> Progress {
        let application = self.application().ok_or(Reason::NoCommonApplication)?;
        let (version, floor_limit) = (application.version, application.floor_limit.to_be_bytes());
        self.data.set(tags::VERSION_TERMINAL, &version);
        self.data.set(tags::FLOOR_LIMIT, &floor_limit);
        if let Some(selected) = self.selection.selected() {
            self.data.set(tags::AID, &selected.aid);
        }
        self.clear_results();
        let pdol = self.data.get(tags::PDOL).unwrap_or_default();
        let values = self.data.build(pdol).map_err(|unbuilt| unbuilt.reason(tags::PDOL))?;
        self.authentication = Authentication::default();
        self.authentication.combined.add_sent(&values);
        self.send(Command::get_processing_options(&values), Pending::GetProcessingOptions)
    }

    pub(crate) fn on_processing_options(&mut self, response: &Response) -> Progress {
        match response.status {
            OK => {}
            CONDITIONS_NOT_SATISFIED => return self.choose(),
            status => return Err(self.refused(status)),
        }
        self.initiated = true;
        if let Some(value) = template(&response.data, tags::RESPONSE_FORMAT_1) {
            let (aip, afl) = value.split_at_checked(2).ok_or_else(|| self.malformed())?;
            self.data.add_from_card(tags::AIP, aip)?;
            self.data.add_from_card(tags::AFL, afl)?;
        } else {
            let objects =
                template(&response.data, tags::RESPONSE_FORMAT_2).ok_or_else(|| self.malformed())?;
            self.add_objects(objects)?;
        }
        self.read_application_data()
    }

    /// Takes each primitive object of a template; clause 7.2 allows each once. One of length zero is as good as
    /// absent (Annex B3).
    pub(crate) fn add_objects(&mut self, objects: &[u8]) -> Result<(), Reason> {
        for object in Reader::new(objects) {
            let object = object.map_err(|_| self.malformed())?;
            if object.tag.is_constructed() || object.value.is_empty() {
                continue;
            }
            self.data.add_from_card(object.tag, object.value)?;
        }
        Ok(())
    }
}
