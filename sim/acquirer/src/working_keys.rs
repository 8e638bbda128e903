//! The keys that host and terminal share: a master key of the profile's algorithm, and the working keys under it.

use iso8583::{KeyDownload, Message};
use keys::dukpt::aes::{KeyType, Purpose, Transaction};
use keys::mac::{self, Padding, Scheme};
use keys::pin_block::{self, Format};
use keys::{Algorithm, Attributes, Exportability, Key, Mode, Pan, Pin, Usage, kcv};

use crate::request::{self, FORMAT, MALFUNCTION, Refusal, WRONG_MAC};

/// The master key of a host that speaks the dialect of `profile`.
///
/// # Errors
/// For a profile that names no master key that this host has.
pub fn master_key(profile: &iso8583::Host, bytes: &[u8; 16]) -> Result<Key, String> {
    let algorithm = match profile.sign_on.keys.as_ref().map(|keys| keys.under.as_str()) {
        None | Some("tmk") => Algorithm::Tdes,
        Some("tmk-sm4") => Algorithm::Sm4,
        Some(other) => return Err(format!("sign_on.keys.under: there is no master key `{other}`")),
    };
    let attributes = Attributes::new(Usage::KeyEncryption, algorithm, Mode::Encrypt);
    Key::new(attributes, bytes).map_err(|error| error.to_string())
}

/// The working keys of one terminal.
#[derive(Debug, Clone)]
pub(crate) struct WorkingKeys {
    scheme: Scheme,
    pik: Key,
    mak: Key,
    /// The one for the MACs of answers.
    answers: Key,
    tdk: Key,
}

impl WorkingKeys {
    /// New ones, of the algorithm of `tmk`, for the MACs of the profile.
    pub(crate) fn draw(profile: &iso8583::Host, tmk: &Key) -> Result<WorkingKeys, Refusal> {
        let scheme = match profile.security.mac_key.as_str() {
            "mak" => Scheme::UnionPay,
            "mak-x919" => Scheme::Algorithm3(Padding::Zeros),
            other => return Err(Refusal::new(MALFUNCTION, format!("there is no MAC key {other:?}"))),
        };
        let draw = |usage, mode| {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes)
                .map_err(|error| Refusal::new(MALFUNCTION, format!("no random numbers: {error}")))?;
            let attributes = Attributes::new(usage, tmk.attributes().algorithm, mode);
            Key::new(attributes.exportable(Exportability::Sensitive), &bytes).map_err(malfunction)
        };
        let mak = draw(scheme.usage(), Mode::GenerateVerify)?;
        Ok(WorkingKeys {
            scheme,
            pik: draw(Usage::PinEncryption, Mode::Decrypt)?,
            answers: mak.clone(),
            mak,
            tdk: draw(Usage::Data, Mode::Decrypt)?,
        })
    }

    /// Those of a DUKPT transaction.
    pub(crate) fn of_transaction(transaction: &Transaction) -> keys::Result<WorkingKeys> {
        let key = |purpose| transaction.key(purpose, KeyType::Aes128);
        Ok(WorkingKeys {
            scheme: Scheme::Cmac,
            pik: key(Purpose::PinEncryption)?,
            mak: key(Purpose::MacGeneration)?,
            answers: key(Purpose::MacVerification)?,
            tdk: key(Purpose::DataEncryption)?,
        })
    }

    /// The keys under `tmk`, in the layout of the profile.
    pub(crate) fn download(&self, layout: &KeyDownload, tmk: &Key) -> Result<Vec<u8>, Refusal> {
        let mut content = Vec::new();
        for part in &layout.parts {
            let key = match part.slot.as_str() {
                "pik" => &self.pik,
                "mak" | "mak-x919" => &self.mak,
                "tdk" => &self.tdk,
                other => {
                    return Err(Refusal::new(MALFUNCTION, format!("the profile asks for a key {other:?}")));
                }
            };
            let wrapped = tmk.encrypt_key(key).map_err(malfunction)?;
            let check = kcv::of(key, kcv::Method::Zeros).map_err(malfunction)?;
            let check = check.get(..part.check_bytes);
            let Some(check) = check.filter(|_| part.key_bytes == wrapped.len()) else {
                let reason = "the profile asks for keys or check values of another length";
                return Err(Refusal::new(FORMAT, reason));
            };
            content.extend(wrapped.iter());
            content.extend(check);
        }
        Ok(content)
    }

    /// The MAC of an answer that is `input` before it; of a longer one the first 8 bytes.
    pub(crate) fn mac(&self, input: &[u8]) -> keys::Result<[u8; 8]> {
        let code = mac::generate(&self.answers, self.scheme, input)?;
        let got = code.as_bytes().len();
        let wrong = keys::Error::Length { what: "a MAC", expected: "8", got };
        code.as_bytes().first_chunk().copied().ok_or(wrong)
    }

    /// Checks the MAC in DE 64 or 128.
    pub(crate) fn check_mac(&self, message: &Message<'_>) -> Result<(), Refusal> {
        let number = message.mac_number();
        let input = message.mac_input(number).map_err(request::format_error)?;
        let mac = message.require(number).map_err(request::format_error)?;
        match mac::verify(&self.mak, self.scheme, input, &mac.content()) {
            Ok(true) => Ok(()),
            _ => Err(Refusal::new(WRONG_MAC, format!("DE {number}: the MAC is wrong"))),
        }
    }

    /// The PIN in DE 52, in the format that goes with the key.
    pub(crate) fn pin(&self, block: &[u8], pan: &Pan) -> keys::Result<Pin> {
        let format = match self.pik.attributes().algorithm {
            Algorithm::Sm4 => Format::UnionPaySm4(pan),
            Algorithm::Aes => Format::Iso4(pan),
            _ => Format::Iso0(pan),
        };
        pin_block::decrypt(&self.pik, format, block)
    }

    /// The track in DE `number`.
    pub(crate) fn track2(&self, number: u8, sealed: &[u8]) -> Result<keys::Track2, Refusal> {
        keys::track2::decrypt(&self.tdk, sealed)
            .map_err(|error| Refusal::new(FORMAT, format!("DE {number}: {error}")))
    }
}

fn malfunction(error: keys::Error) -> Refusal {
    Refusal::new(MALFUNCTION, error.to_string())
}
