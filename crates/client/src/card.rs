//! `org.smartpos.Card`: the secure card module.

use std::collections::HashMap;

use zbus::{OwnedObjectPath, OwnedVariant, Variant, proxy};

/// The state of the secure card module.
#[proxy(
    interface = "org.smartpos.Card1",
    default_service = "org.smartpos.Card",
    default_path = "/org/smartpos/Card"
)]
pub trait Card {
    /// Claims the slot `slot` for the calling app; the claim's object.
    fn claim(&self, slot: &str, options: HashMap<&str, Variant<'_>>) -> zbus::Result<OwnedObjectPath>;

    /// Each claim that goes on: its slot, and its app. For the operator.
    fn list_claims(&self) -> zbus::Result<Vec<(String, String)>>;

    /// `ready`, `absent` or `tampered`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn module_state(&self) -> zbus::Result<String>;

    /// What the module says it is.
    #[zbus(property(emits_changed_signal = "false"))]
    fn module(&self) -> zbus::Result<String>;

    /// Whether the module says that it was approved by somebody. Virtual ones never do.
    #[zbus(property(emits_changed_signal = "false"))]
    fn certified(&self) -> zbus::Result<bool>;

    /// Whether a chip card is in the slot.
    #[zbus(property(emits_changed_signal = "false"))]
    fn card_present(&self) -> zbus::Result<bool>;
}

/// A claim of a card slot, for the connection that made it.
#[proxy(interface = "org.smartpos.CardClaim1", default_service = "org.smartpos.Card")]
pub trait CardClaim {
    /// Powers the card up, or resets it; its answer to reset.
    fn power_on(&self) -> zbus::Result<Vec<u8>>;

    /// Exchanges a command APDU; the response with its status word.
    fn exchange(&self, command: &[u8]) -> zbus::Result<Vec<u8>>;

    /// Ends the claim.
    fn release(&self) -> zbus::Result<()>;

    /// `waiting`, `present`, `powered` or `ended`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<String>;

    /// Another state, before the end.
    #[zbus(signal)]
    fn state_changed(&self, state: &str) -> zbus::Result<()>;

    /// The end, and why.
    #[zbus(signal)]
    fn revoked(&self, reason: &str) -> zbus::Result<()>;
}

/// Card payments and the acquirer's working keys, for `org.smartpos.Payment` alone, on the system bus alone.
#[proxy(
    interface = "org.smartpos.CardPayment1",
    default_service = "org.smartpos.Card",
    default_path = "/org/smartpos/Card"
)]
pub trait CardPayment {
    /// Begins an EMV transaction and returns its object.
    ///
    /// `when` is local time, `YYMMDDhhmmss`; `counter` is the transaction sequence counter.
    fn start(
        &self,
        amount: u64,
        currency: &str,
        when: &str,
        counter: u32,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Loads working keys: slot (`pik`, `mak`, `mak-x919`, `tdk`), the key enciphered under the master key, its check value.
    fn load_working_keys(&self, keys: &[(&str, &[u8], &[u8])], under: &str) -> zbus::Result<()>;

    /// The check value of the key in `slot`; empty where there is no key.
    fn key_check_value(&self, slot: &str) -> zbus::Result<Vec<u8>>;

    /// Begins with the keys of the next DUKPT transaction; its key serial number.
    fn next_dukpt_key(&self) -> zbus::Result<Vec<u8>>;

    /// The message authentication code of `data` under the MAC key in `slot`.
    fn mac(&self, slot: &str, data: &[u8]) -> zbus::Result<Vec<u8>>;

    /// Whether `mac` is that of `data` under the MAC key in `slot`.
    fn verify_mac(&self, slot: &str, data: &[u8], mac: &[u8]) -> zbus::Result<bool>;

    /// Seals track 2 that was stored under the data key: the content of DE 35.
    fn reseal(&self, stored_track2: &[u8]) -> zbus::Result<Vec<u8>>;

    /// The module's public audit key, and its signature over where the journal was.
    fn seal_journal(
        &self,
        journal: &[u8],
        last: i64,
        head: &[u8],
        at: i64,
    ) -> zbus::Result<(Vec<u8>, Vec<u8>)>;

    /// The module's TLS client key: a SubjectPublicKeyInfo in DER.
    fn tls_public_key(&self) -> zbus::Result<Vec<u8>>;

    /// The client's signature in a TLS 1.3 handshake with this transcript hash: ECDSA with SHA-256, in DER.
    fn sign_tls(&self, transcript: &[u8]) -> zbus::Result<Vec<u8>>;
}

/// What the operator does with the keys of the secure card module, on the system bus alone.
#[proxy(
    interface = "org.smartpos.CardKeys1",
    default_service = "org.smartpos.Card",
    default_path = "/org/smartpos/Card"
)]
pub trait CardKeys {
    /// A request for a certificate of the module's TLS client key, in PEM; `subject` is such as `CN=12345678,O=Example`.
    fn tls_certificate_request(&self, subject: &str) -> zbus::Result<String>;

    /// Each key slot: its name, the usage of its key, its algorithm, its check value.
    fn list_keys(&self) -> zbus::Result<Vec<(String, String, String, Vec<u8>)>>;

    /// Loads the key in a key block that the key in `kbpk` protects.
    fn load_key_block(&self, slot: &str, block: &str) -> zbus::Result<()>;

    /// Has custodians enter a key at the module's pad: `tdes` or `aes`, its length in bits, and how many components.
    fn begin_key_entry(&self, slot: &str, algorithm: &str, bits: u32, components: u32) -> zbus::Result<()>;

    /// How far they are: `idle`, `waits`, `loaded` or `ended`; the component that is waited for; a check value; why it ended.
    fn key_entry(&self) -> zbus::Result<(String, u32, Vec<u8>, String)>;

    /// Ends the entry.
    fn cancel_key_entry(&self) -> zbus::Result<()>;

    /// The module's credential for key distribution hosts (TR-34).
    fn key_credential(&self) -> zbus::Result<Vec<u8>>;

    /// Binds the host with this credential.
    fn bind_key_host(&self, credential: &[u8]) -> zbus::Result<()>;

    /// A random number token, which the host's next token answers.
    fn key_nonce(&self) -> zbus::Result<Vec<u8>>;

    /// Loads the key in a key token of the host.
    fn load_key_token(&self, slot: &str, token: &[u8]) -> zbus::Result<()>;

    /// Binds another host, as the bound one says.
    fn rebind_key_host(&self, token: &[u8]) -> zbus::Result<()>;

    /// Lets go of the host, as it says.
    fn unbind_key_host(&self, token: &[u8]) -> zbus::Result<()>;
}

/// The secure card module as a device, on the system bus alone.
#[proxy(
    interface = "org.smartpos.CardModule1",
    default_service = "org.smartpos.Card",
    default_path = "/org/smartpos/Card"
)]
pub trait CardModule {
    /// Has the module test itself: the name of each test, and whether it passed.
    fn self_test(&self) -> zbus::Result<Vec<(String, bool)>>;

    /// The module's own time, in milliseconds since 1970.
    fn clock(&self) -> zbus::Result<u64>;

    /// Begins an update of its firmware, with the manifest that its vendor has signed.
    fn begin_update(&self, manifest: &[u8]) -> zbus::Result<()>;

    /// The image, up to 32,768 bytes at once, `offset` where those before them ended.
    fn update_data(&self, offset: u32, data: &[u8]) -> zbus::Result<()>;

    /// Has the module check the image and start with it.
    fn finish_update(&self) -> zbus::Result<()>;

    /// Forgets the update.
    fn cancel_update(&self) -> zbus::Result<()>;
}

/// The EMV parameters that transactions go by, on the system bus alone.
#[proxy(
    interface = "org.smartpos.CardParameters1",
    default_service = "org.smartpos.Card",
    default_path = "/org/smartpos/Card"
)]
pub trait CardParameters {
    /// Puts the host's `records` in place of all of `set` (`capks` or `applications`). For `org.smartpos.Payment` alone.
    fn replace(&self, set: &str, records: &[&[u8]]) -> zbus::Result<()>;

    /// Where `set` is from (`host`, `shipped`), and what is in it. For the operator.
    fn list(&self, set: &str) -> zbus::Result<(String, Vec<HashMap<String, OwnedVariant>>)>;
}

/// One EMV transaction.
#[proxy(interface = "org.smartpos.CardTransaction1", default_service = "org.smartpos.Card")]
pub trait CardTransaction {
    /// Calls it off where the card has not been asked for its last word yet.
    fn cancel(&self) -> zbus::Result<()>;

    /// Goes on with this one, from 0, of the card's applications.
    fn choose_application(&self, index: u32) -> zbus::Result<()>;

    /// Goes on with the host's answer: its response code and its issuer data (DE 55: tags 91, 71, 72).
    fn authorise(&self, response_code: &str, issuer_data: &[u8]) -> zbus::Result<()>;

    /// Goes on without the host: it could not be reached.
    fn unable_to_go_online(&self) -> zbus::Result<()>;

    /// `insert-card`, `reading`, `pin`, `pin-digits`, `remove-card` …, with details.
    #[zbus(signal)]
    fn progress(&self, step: &str, details: HashMap<String, OwnedVariant>) -> zbus::Result<()>;

    /// The card wants the host to decide; `card` is what the host needs, all secrets of it enciphered.
    #[zbus(signal)]
    fn online_requested(&self, card: HashMap<String, OwnedVariant>) -> zbus::Result<()>;

    /// The end: `approved`, `declined` or `failed`.
    #[zbus(signal)]
    fn completed(&self, outcome: &str, result: HashMap<String, OwnedVariant>) -> zbus::Result<()>;
}
