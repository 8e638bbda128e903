//! Finding an application and reading its data: SELECT (EMV Book 1 clause 11.3), GET PROCESSING OPTIONS, READ
//! RECORD and GET DATA (Book 3 clauses 6.5.8, 6.5.11 and 6.5.7).

use super::{Applet, Phase, Session, values};
use crate::apdu::{Answer, Command, Status};
use crate::files::{self, Objects};

impl Applet {
    /// SELECT by name: the whole name or its beginning; P2 = 02 goes on from the application selected last.
    pub(super) fn select(&mut self, command: &Command<'_>) -> Answer {
        if self.memory.card_blocked {
            return Err(Status::FUNCTION_NOT_SUPPORTED);
        }
        let next = match command.parameters() {
            (0x04, 0x00) => false,
            (0x04, 0x02) => true,
            _ => return Err(Status::INCORRECT_PARAMETERS),
        };
        if !(5..=16).contains(&command.data.len()) {
            return Err(Status::WRONG_LENGTH);
        }
        if command.data == files::ENVIRONMENT {
            return self.select_environment(next);
        }
        if !next && let Some(information) = self.select_membership(command.data) {
            return information;
        }
        let start = if next { self.session.application.map_or(0, |place| place + 1) } else { 0 };
        let (place, application) = self
            .profile
            .applications
            .iter()
            .enumerate()
            .skip(start)
            .find(|(_, application)| application.aid.starts_with(command.data))
            .ok_or(Status::FILE_NOT_FOUND)?;
        let information = files::application_information(application, &self.profile.scheme.pdol)
            .map_err(|_| Status::NO_PRECISE_DIAGNOSIS)?;
        self.session = Session::new(Phase::Selected, Some(place), self.profile.aip());
        Ok(information)
    }

    fn select_environment(&mut self, next: bool) -> Answer {
        if next || self.profile.behaviour.no_pse {
            return Err(Status::FILE_NOT_FOUND);
        }
        let information = files::environment_information().map_err(|_| Status::NO_PRECISE_DIAGNOSIS)?;
        self.session = Session::new(Phase::Environment, None, self.profile.aip());
        Ok(information)
    }

    /// Starts a transaction: the counter goes up, whatever becomes of it.
    pub(super) fn get_processing_options(&mut self, command: &Command<'_>) -> Answer {
        if command.parameters() != (0, 0) {
            return Err(Status::INCORRECT_PARAMETERS);
        }
        if self.session.phase != Phase::Selected || self.memory.application_blocked {
            return Err(Status::CONDITIONS_NOT_SATISFIED);
        }
        let related_data = match command.data {
            [0x83, length, data @ ..] if usize::from(*length) == data.len() => data,
            [] => return Err(Status::WRONG_LENGTH),
            _ => return Err(Status::WRONG_DATA),
        };
        values(&self.profile.scheme.pdol, related_data)?;
        self.session.sent = related_data.to_vec();
        self.memory.atc = self.memory.atc.checked_add(1).ok_or(Status::CONDITIONS_NOT_SATISFIED)?;
        self.session.input.atc = self.memory.atc.to_be_bytes();
        if self.memory.online_unfinished {
            self.session.cvr.last_online_not_completed();
        }
        if self.memory.issuer_authentication_failed {
            self.session.cvr.issuer_authentication_failed_last_time();
        }
        self.session.cvr.set_scripts(self.memory.scripts);
        self.session.phase = Phase::Initiated;
        self.formatted(&[(0x82, &self.profile.aip()), (0x94, files::locator(&self.profile))])
    }

    pub(super) fn read_record(&self, command: &Command<'_>) -> Answer {
        let (record, reference) = command.parameters();
        if reference & 0x07 != 0x04 || record == 0 {
            return Err(Status::INCORRECT_PARAMETERS);
        }
        if !command.data.is_empty() {
            return Err(Status::WRONG_LENGTH);
        }
        let sfi = reference >> 3;
        let number = usize::from(record) - 1;
        match (self.session.phase, sfi) {
            (Phase::Environment, files::DIRECTORY) => {
                self.files.directory.get(number).cloned().ok_or(Status::RECORD_NOT_FOUND)
            }
            (Phase::Environment, _) => Err(Status::FILE_NOT_FOUND),
            (Phase::Idle, _) => Err(Status::CONDITIONS_NOT_SATISFIED),
            (_, files::LOG) => self.memory.log.get(number).cloned().ok_or(Status::RECORD_NOT_FOUND),
            (Phase::Selected, _) => Err(Status::CONDITIONS_NOT_SATISFIED),
            _ if !self.files.records.keys().any(|(file, _)| *file == sfi) => Err(Status::FILE_NOT_FOUND),
            _ => self.files.records.get(&(sfi, record)).cloned().ok_or(Status::RECORD_NOT_FOUND),
        }
    }

    pub(super) fn get_data(&self, command: &Command<'_>) -> Answer {
        if matches!(self.session.phase, Phase::Idle | Phase::Environment) {
            return Err(Status::CONDITIONS_NOT_SATISFIED);
        }
        if !command.data.is_empty() {
            return Err(Status::WRONG_LENGTH);
        }
        let object = match command.parameters() {
            (0x9F, 0x36) => Objects::default().with(0x9F36, self.memory.atc.to_be_bytes()),
            (0x9F, 0x13) => Objects::default().with(0x9F13, self.memory.last_online_atc.to_be_bytes()),
            (0x9F, 0x17) if self.profile.pin.is_some() => {
                Objects::default().with(0x9F17, [self.memory.pin_tries])
            }
            (0x9F, 0x4F) => Objects::default().with(0x9F4F, files::LOG_FORMAT),
            _ => return Err(Status::REFERENCED_DATA_NOT_FOUND),
        };
        object.map(Objects::into_bytes).map_err(|_| Status::NO_PRECISE_DIAGNOSIS)
    }
}
