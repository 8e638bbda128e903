//! `org.smartpos.CardKeys1`, as seen on the system bus.

use std::str::FromStr as _;
use std::sync::Arc;

use keys::Algorithm;
use secure_module::{
    Error as ModuleError, KeyEntryRequest, KeyEntryState, KeySlot, KeySlotInfo, SecureModule,
};
use service::grants::Permission;
use service::guard::{Admitted, Guard};
use service::{Error, Result};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode as _, Encode as _, EncodePem as _};
use x509_cert::name::Name;
use x509_cert::request::CertReq;
use zbus::interface;
use zbus::message::Header;

use crate::api::no_tls_key;
use crate::claims::{End, Places};
use crate::supervisor::{ModuleHandle, refusal};

/// The longest subject that is taken, as text.
const MAX_SUBJECT: usize = 256;

/// The keys of the secure card module, on the system bus.
pub(crate) struct CardKeysService {
    pub(crate) guard: Guard,
    pub(crate) module: ModuleHandle,
    pub(crate) places: Places,
}

/// What the operator does with the keys of the secure card module.
#[interface(name = "org.smartpos.CardKeys1")]
impl CardKeysService {
    /// A request for a certificate of the module's TLS client key (PKCS #10), in PEM, for the acquirer to sign. `subject` is a
    /// distinguished name (RFC 4514), such as `CN=12345678,O=Example`.
    ///
    /// Errors: InvalidArgument, NotPermitted, DeviceGone, Timeout, NotSupported by a module that has no such key.
    async fn tls_certificate_request(
        &self,
        subject: &str,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String> {
        let _admitted = self.guard.admit_operator(&header).await?;
        let subject = name(subject)?;
        let (module, _) = self.module.ready()?;
        let request = module.tls_certificate_request(&subject).await.map_err(no_tls_key)?;
        let wrong =
            |error| Error::Internal(format!("the secure card module's request can't be read: {error}"));
        CertReq::from_der(&request).and_then(|request| request.to_pem(LineEnding::LF)).map_err(wrong)
    }

    /// Each key slot: its name, what its key is for (X9.143), its algorithm, empty where it holds none, and its check value.
    ///
    /// Errors: NotPermitted (`device.status`), DeviceGone, Timeout, NotSupported by a module that does not tell.
    async fn list_keys(
        &self,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<(String, String, String, Vec<u8>)>> {
        let admitted = self.guard.admit_operator(&header).await?;
        self.guard.authorize(&admitted.caller, Permission::DeviceStatus)?;
        let slots = self.module.ready()?.0.key_slots().await.map_err(no_key_loading)?;
        let row = |info: KeySlotInfo| (info.slot.name().to_owned(), info.usage, info.algorithm, info.check);
        Ok(slots.into_iter().map(row).collect())
    }

    /// Loads the key in a key block (X9.143) that the key in the slot `kbpk` protects. It may do what its block allows, and goes
    /// into a slot that needs just that.
    ///
    /// Errors: InvalidArgument, NotPermitted (`keys.load`), WrongState without a key in `kbpk`, DeviceGone, Timeout, NotSupported.
    async fn load_key_block(
        &self,
        slot: &str,
        block: &str,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<()> {
        let (_admitted, module, who) = self.loader(&header).await?;
        let slot = key_slot(slot)?;
        module.load_key_block(&slot, block.as_bytes()).await.map_err(no_key_loading)?;
        loaded(&slot, "a key block", &who);
        Ok(())
    }

    /// Has custodians enter a key at the module's own pad, each one of `components` (2 or 3). `algorithm` is `tdes` or `aes`. The
    /// slot keeps its key until the last one is there.
    ///
    /// Errors: InvalidArgument, NotPermitted (`keys.load`), Busy, DeviceGone, Timeout, NotSupported.
    async fn begin_key_entry(
        &self,
        slot: &str,
        algorithm: &str,
        bits: u32,
        components: u32,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<()> {
        let (_admitted, module, who) = self.loader(&header).await?;
        let request = key_entry_request(slot, algorithm, bits, components)?;
        let slot = request.slot.clone();
        module.begin_key_entry(request).await.map_err(no_key_loading)?;
        log::warn!("{who} has custodians enter a key for the slot {slot}");
        Ok(())
    }

    /// How far the custodians are: `idle`, `waits`, `loaded` or `ended`; the component that is waited for, or 0; the check value
    /// of the component before it, or of the key; why it ended without one.
    ///
    /// Errors: NotPermitted (`keys.load`), DeviceGone, Timeout, NotSupported.
    async fn key_entry(&self, #[zbus(header)] header: Header<'_>) -> Result<(String, u32, Vec<u8>, String)> {
        let (_admitted, module, _) = self.loader(&header).await?;
        let state = module.key_entry().await.map_err(no_key_loading)?;
        let told = |state: &str, component, check, reason| (state.to_owned(), component, check, reason);
        Ok(match state {
            KeyEntryState::Idle => told("idle", 0, Vec::new(), String::new()),
            KeyEntryState::Waits { component, previous } => {
                told("waits", component.into(), previous, String::new())
            }
            KeyEntryState::Loaded(check) => told("loaded", 0, check, String::new()),
            KeyEntryState::Ended(reason) => told("ended", 0, Vec::new(), reason),
        })
    }

    /// Ends the entry that goes on; the slot has what it had.
    ///
    /// Errors: NotPermitted (`keys.load`), DeviceGone, Timeout, NotSupported.
    async fn cancel_key_entry(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let (_admitted, module, _) = self.loader(&header).await?;
        module.cancel_key_entry().await.map_err(no_key_loading)
    }

    /// The module's credential for key distribution hosts (X9 TR-34, CT-KRD), in DER.
    ///
    /// Errors: NotPermitted (`keys.load`), DeviceGone, Timeout, NotSupported.
    async fn key_credential(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<u8>> {
        let (_admitted, module, _) = self.loader(&header).await?;
        module.key_credential().await.map_err(no_key_loading)
    }

    /// Binds the key distribution host whose credential (CT-KDH) this is, in DER: from then on keys come from it alone.
    ///
    /// Errors: InvalidArgument, NotPermitted (`keys.load`), DeviceGone, Timeout, NotSupported.
    async fn bind_key_host(&self, credential: Vec<u8>, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let (_admitted, module, who) = self.loader(&header).await?;
        module.bind_key_host(&credential).await.map_err(no_key_loading)?;
        log::warn!("{who} bound a key distribution host");
        Ok(())
    }

    /// A new random number token (RT-KRD), which the host's next token is to answer.
    ///
    /// Errors: NotPermitted (`keys.load`), DeviceGone, Timeout, NotSupported.
    async fn key_nonce(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<u8>> {
        let (_admitted, module, _) = self.loader(&header).await?;
        module.key_nonce().await.map_err(no_key_loading)
    }

    /// Loads the key in a key token (KT-KDH) of the bound host. It may do what its header allows, and goes into a slot that needs
    /// just that.
    ///
    /// Errors: InvalidArgument, NotPermitted (`keys.load`), WrongState where no host is bound, DeviceGone, Timeout, NotSupported.
    async fn load_key_token(
        &self,
        slot: &str,
        token: Vec<u8>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<()> {
        let (_admitted, module, who) = self.loader(&header).await?;
        let slot = key_slot(slot)?;
        module.load_key_token(&slot, &token).await.map_err(no_key_loading)?;
        loaded(&slot, "a token of the key distribution host", &who);
        Ok(())
    }

    /// Binds another key distribution host in the place of the bound one, which says so (RBT-KDH).
    ///
    /// Errors: InvalidArgument, NotPermitted (`keys.load`), WrongState where no host is bound, DeviceGone, Timeout, NotSupported.
    async fn rebind_key_host(&self, token: Vec<u8>, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let (_admitted, module, who) = self.loader(&header).await?;
        module.rebind_key_host(&token).await.map_err(no_key_loading)?;
        log::warn!("{who} bound another key distribution host");
        Ok(())
    }

    /// Lets go of the bound key distribution host, which says so (UBT-KDH).
    ///
    /// Errors: InvalidArgument, NotPermitted (`keys.load`), WrongState where no host is bound, DeviceGone, Timeout, NotSupported.
    async fn unbind_key_host(&self, token: Vec<u8>, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let (_admitted, module, who) = self.loader(&header).await?;
        module.unbind_key_host(&token).await.map_err(no_key_loading)?;
        log::warn!("{who} let the key distribution host go");
        Ok(())
    }
}

impl CardKeysService {
    /// The module for an operator who may load keys, and what records call them; a call in flight while the first is kept.
    async fn loader(&self, header: &Header<'_>) -> Result<(Admitted, Arc<dyn SecureModule>, String)> {
        let admitted = self.guard.admit_operator(header).await?;
        self.guard.authorize(&admitted.caller, Permission::KeysLoad)?;
        // A claim's card that hangs would end the custodians' entry. Whoever follows one asks again and again.
        self.places.reserve(End::KeyLoading);
        let (module, _) = self.module.ready()?;
        let name = self.guard.operator_name(&admitted.caller);
        Ok((admitted, module, name))
    }
}

fn loaded(slot: &KeySlot, from: &str, who: &str) {
    log::warn!("{who} loaded a key into the slot {slot}, from {from}");
}

fn key_slot(name: &str) -> Result<KeySlot> {
    KeySlot::new(name).map_err(|error| Error::invalid("slot", error))
}

fn key_entry_request(slot: &str, algorithm: &str, bits: u32, components: u32) -> Result<KeyEntryRequest> {
    let algorithm = match algorithm {
        "tdes" => Algorithm::Tdes,
        "aes" => Algorithm::Aes,
        _ => return Err(Error::invalid("algorithm", "give `tdes` or `aes`")),
    };
    let length = u8::try_from(bits / 8).ok().filter(|length| u32::from(*length) * 8 == bits);
    let length = length.ok_or_else(|| Error::invalid("bits", "give 128, 192 or 256"))?;
    let components = u8::try_from(components).map_err(|_| Error::invalid("components", "give 2 or 3"))?;
    Ok(KeyEntryRequest { slot: key_slot(slot)?, algorithm, length, components })
}

/// What a method about loading keys answers when the module could not do its part.
fn no_key_loading(error: ModuleError) -> Error {
    match error {
        ModuleError::NotSupported => {
            Error::NotSupported("the secure card module does not load keys in this way".to_string())
        }
        error => refusal(error),
    }
}

/// A distinguished name in DER.
fn name(text: &str) -> Result<Vec<u8>> {
    let wrong = |problem: String| Error::invalid("subject", problem);
    if text.is_empty() || text.len() > MAX_SUBJECT {
        return Err(wrong(format!("give 1 to {MAX_SUBJECT} bytes, such as CN=12345678,O=Example")));
    }
    let name = Name::from_str(text).and_then(|name| name.to_der());
    name.map_err(|error| wrong(format!("`{text}` is no name such as CN=12345678,O=Example: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_as_people_write_it_and_anything_else_is_refused() {
        // SEQUENCE, SET, SEQUENCE, id-at-commonName (2.5.4.3), UTF8String.
        assert_eq!(hex(&name("CN=7").unwrap()), "300c310a300806035504030c0137");
        assert!(name("CN=12345678,O=Example").is_ok());
        for wrong in ["", "12345678", "CN", "NOSUCH=1", &format!("CN={}", "x".repeat(300))] {
            assert!(matches!(name(wrong), Err(Error::InvalidArgument(_))), "{wrong}");
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
