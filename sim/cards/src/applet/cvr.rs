//! Card verification results, the four bytes in the issuer application data (tag 9F10) that tell the issuer what
//! the card saw: length, then three bytes of bits as Visa's and UnionPay's common cryptogram version has them.

/// An application cryptogram's kind, coded as in byte 2 of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cryptogram {
    Aac,
    Tc,
    Arqc,
}

impl Cryptogram {
    fn code(self) -> u8 {
        match self {
            Self::Aac => 0,
            Self::Tc => 1,
            Self::Arqc => 2,
        }
    }

    /// Cryptogram information data, tag 9F27.
    pub(super) fn information(self) -> u8 {
        self.code() << 6
    }
}

/// The bits. Byte 1 is the length, 3.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cvr {
    second: u8,
    third: u8,
    fourth: u8,
}

impl Cvr {
    pub(super) fn bytes(self) -> [u8; 4] {
        [0x03, self.second, self.third, self.fourth]
    }

    /// Byte 2 bits 6-5; the second GENERATE AC is not requested yet.
    pub(super) fn first_cryptogram(&mut self, kind: Cryptogram) {
        self.second = self.second & 0x0F | 0x80 | kind.code() << 4;
    }

    /// Byte 2 bits 8-7.
    pub(super) fn second_cryptogram(&mut self, kind: Cryptogram) {
        self.second = self.second & 0x3F | kind.code() << 6;
    }

    pub(super) fn issuer_authentication_failed(&mut self) {
        self.second |= 0x08;
    }

    /// Offline PIN verification was performed, and failed or not.
    pub(super) fn offline_pin(&mut self, passed: bool) {
        self.second = self.second & !0x02 | 0x04 | if passed { 0 } else { 0x02 };
    }

    pub(super) fn unable_to_go_online(&mut self) {
        self.second |= 0x01;
    }

    pub(super) fn last_online_not_completed(&mut self) {
        self.third |= 0x80;
    }

    pub(super) fn pin_try_limit_exceeded(&mut self) {
        self.third |= 0x40;
    }

    pub(super) fn issuer_authentication_failed_last_time(&mut self) {
        self.third |= 0x08;
    }

    pub(super) fn issuer_authentication_not_performed(&mut self) {
        self.third |= 0x04;
    }

    /// Byte 4 bits 8-5 count the scripts' commands, up to 15.
    pub(super) fn script_command(&mut self) {
        if self.fourth < 0xF0 {
            self.fourth += 0x10;
        }
    }

    /// What has been counted since the issuer was told last.
    pub(super) fn scripts(self) -> u8 {
        self.fourth & 0xF8
    }

    pub(super) fn set_scripts(&mut self, bits: u8) {
        self.fourth = self.fourth & 0x07 | bits & 0xF8;
    }

    pub(super) fn script_failed(&mut self) {
        self.fourth |= 0x08;
    }

    pub(super) fn dynamic_data_authenticated(&mut self) {
        self.fourth |= 0x02;
    }
}
