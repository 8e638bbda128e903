//! The membership of a shop's customers: an application that pays nothing. Its file 1 has the member's number; `80 50 00 00 01 NN` adds NN
//! points, and answers with all there are (2 bytes).

use super::{Applet, Phase, Session};
use crate::apdu::{Answer, Command, Status};
use crate::files;

/// READ BINARY of the file with the short identifier 1, from its beginning (ISO/IEC 7816-4).
const NUMBER: (u8, u8) = (0x81, 0x00);

impl Applet {
    /// SELECT of the membership, by its whole name or the beginning of it; none where the card has none of that name.
    pub(super) fn select_membership(&mut self, name: &[u8]) -> Option<Answer> {
        let membership =
            self.profile.membership.as_ref().filter(|membership| membership.aid.starts_with(name))?;
        let information = files::membership_information(membership);
        self.session = Session::new(Phase::Membership, None, self.profile.aip());
        Some(information.map_err(|_| Status::NO_PRECISE_DIAGNOSIS))
    }

    /// Any other command, while it is selected.
    pub(super) fn membership(&mut self, command: &Command<'_>) -> Answer {
        let membership = self.profile.membership.as_ref().ok_or(Status::CONDITIONS_NOT_SATISFIED)?;
        match (command.cla, command.ins, command.parameters(), command.data) {
            (0x00, 0xB0, NUMBER, []) => Ok(membership.number.clone().into_bytes()),
            (0x80, 0x50, (0, 0), [points]) => {
                self.memory.points = self.memory.points.saturating_add(u16::from(*points));
                Ok(self.memory.points.to_be_bytes().to_vec())
            }
            (0x00, 0xB0, ..) => Err(Status::FILE_NOT_FOUND),
            (0x00 | 0x80, ..) => Err(Status::INSTRUCTION_NOT_SUPPORTED),
            _ => Err(Status::CLASS_NOT_SUPPORTED),
        }
    }
}
