//! Command and response APDUs (ISO/IEC 7816-4 clause 5, EMV Book 3 clauses 6.3 and 6.4), short form only.

/// A command APDU, split into its parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command<'a> {
    pub(crate) cla: u8,
    pub(crate) ins: u8,
    pub(crate) p1: u8,
    pub(crate) p2: u8,
    pub(crate) data: &'a [u8],
    /// The number of bytes asked for; `Some(0)` asks for all there are.
    pub(crate) le: Option<u8>,
}

impl<'a> Command<'a> {
    /// Splits cases 1 to 4; anything else is a wrong length.
    pub(crate) fn parse(apdu: &'a [u8]) -> Result<Self, Status> {
        let (&[cla, ins, p1, p2], body) = apdu.split_first_chunk::<4>().ok_or(Status::WRONG_LENGTH)?;
        let (data, le): (&[u8], Option<u8>) = match body {
            [] => (&[], None),
            [le] => (&[], Some(*le)),
            [0, ..] => return Err(Status::WRONG_LENGTH),
            [lc, rest @ ..] => match rest.split_at_checked(usize::from(*lc)) {
                Some((data, [])) => (data, None),
                Some((data, [le])) => (data, Some(*le)),
                _ => return Err(Status::WRONG_LENGTH),
            },
        };
        Ok(Self { cla, ins, p1, p2, data, le })
    }

    /// The header without its class: what decides which function is meant.
    pub(crate) fn parameters(&self) -> (u8, u8) {
        (self.p1, self.p2)
    }
}

/// The status bytes SW1 SW2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16);

impl Status {
    pub(crate) const OK: Self = Self(0x9000);
    pub(crate) const SELECTED_FILE_INVALIDATED: Self = Self(0x6283);
    pub(crate) const AUTHENTICATION_FAILED: Self = Self(0x6300);
    pub(crate) const WRONG_LENGTH: Self = Self(0x6700);
    pub(crate) const AUTHENTICATION_METHOD_BLOCKED: Self = Self(0x6983);
    pub(crate) const REFERENCE_DATA_INVALIDATED: Self = Self(0x6984);
    pub(crate) const CONDITIONS_NOT_SATISFIED: Self = Self(0x6985);
    pub(crate) const SECURE_MESSAGING_INCORRECT: Self = Self(0x6988);
    pub(crate) const WRONG_DATA: Self = Self(0x6A80);
    pub(crate) const FUNCTION_NOT_SUPPORTED: Self = Self(0x6A81);
    pub(crate) const FILE_NOT_FOUND: Self = Self(0x6A82);
    pub(crate) const RECORD_NOT_FOUND: Self = Self(0x6A83);
    pub(crate) const INCORRECT_PARAMETERS: Self = Self(0x6A86);
    pub(crate) const REFERENCED_DATA_NOT_FOUND: Self = Self(0x6A88);
    pub(crate) const INSTRUCTION_NOT_SUPPORTED: Self = Self(0x6D00);
    pub(crate) const CLASS_NOT_SUPPORTED: Self = Self(0x6E00);
    pub(crate) const NO_PRECISE_DIAGNOSIS: Self = Self(0x6F00);

    /// `61xx`: so many bytes wait for GET RESPONSE (`00` says 256).
    pub(crate) fn bytes_available(length: usize) -> Self {
        Self(0x6100 | u16::from(short_length(length)))
    }

    /// `6Cxx`: ask again with this Le.
    pub(crate) fn exact_length(length: usize) -> Self {
        Self(0x6C00 | u16::from(short_length(length)))
    }

    /// `63Cx`: so many tries are left.
    pub(crate) fn tries_left(tries: u8) -> Self {
        Self(0x63C0 | u16::from(tries.min(15)))
    }
}

/// A length as Le carries it: `00` is 256.
fn short_length(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(0)
}

/// What a command function gives back: data with `9000`, or a status.
pub(crate) type Answer = Result<Vec<u8>, Status>;

/// A response APDU: data, then the status bytes.
pub(crate) fn response(mut data: Vec<u8>, status: Status) -> Vec<u8> {
    data.extend(status.0.to_be_bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_cases_are_told_apart() {
        let parts = |apdu: &'static [u8]| Command::parse(apdu).map(|c| (c.data, c.le));
        assert_eq!(parts(&[0, 0xA4, 4, 0]), Ok((&[][..], None)));
        assert_eq!(parts(&[0, 0xB2, 1, 0x0C, 0]), Ok((&[][..], Some(0))));
        assert_eq!(parts(&[0, 0x20, 0, 0x80, 1, 9]), Ok((&[9][..], None)));
        assert_eq!(parts(&[0, 0xA4, 4, 0, 2, 8, 9, 0]), Ok((&[8, 9][..], Some(0))));
    }

    #[test]
    fn a_length_that_does_not_fit_the_data_is_refused() {
        for apdu in
            [&[0, 0xA4, 4][..], &[0, 0xA4, 4, 0, 3, 1], &[0, 0xA4, 4, 0, 1, 1, 0, 0], &[0, 0xA4, 4, 0, 0, 1]]
        {
            assert_eq!(Command::parse(apdu).map(|_| ()), Err(Status::WRONG_LENGTH), "{apdu:02X?}");
        }
    }
}
