//! What is said of keys that are loaded, as the line has it and as the trait has it.

use keys::Algorithm;
use secure_module::{Error, KeyEntryRequest, KeyEntryState, KeySlot, KeySlotInfo, Result};

pub(super) fn slot(info: link::KeySlotInfo) -> Result<KeySlotInfo> {
    let link::KeySlotInfo { name, usage, algorithm, check } = info;
    let slot = KeySlot::new(&name).map_err(|error| Error::Protocol(error.to_string()))?;
    Ok(KeySlotInfo { slot, usage, algorithm, check })
}

pub(super) fn entry(request: &KeyEntryRequest) -> Result<link::KeyEntryRequest> {
    let algorithm = match request.algorithm {
        Algorithm::Tdes => b'T',
        Algorithm::Aes => b'A',
        _ => return Err(Error::Invalid("a key that is entered is of TDES or AES".to_owned())),
    };
    let KeyEntryRequest { slot, length, components, .. } = request;
    Ok(link::KeyEntryRequest {
        key: slot.name().to_owned(),
        algorithm,
        length: *length,
        components: *components,
    })
}

pub(super) fn state(state: link::KeyEntryState) -> KeyEntryState {
    match state {
        link::KeyEntryState::Idle => KeyEntryState::Idle,
        link::KeyEntryState::Waits { component, previous } => KeyEntryState::Waits { component, previous },
        link::KeyEntryState::Loaded { check } => KeyEntryState::Loaded(check),
        link::KeyEntryState::Ended { reason } => KeyEntryState::Ended(reason),
    }
}
