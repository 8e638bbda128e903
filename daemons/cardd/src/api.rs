//! `org.smartpos.Card1`, `org.smartpos.CardPayment1` and `org.smartpos.CardTransaction1`, as seen on the
//! buses.

use std::sync::Arc;

use secure_module::{Error as ModuleError, KeySlot, SecureModule};
use service::grants::Permission;
use service::guard::Guard;
use service::options::Dictionary;
use service::{Error, Result};
use zbus::message::Header;
use zbus::names::OwnedUniqueName;
use zbus::object_server::SignalEmitter;
use zbus::{OwnedObjectPath, fdo, interface};

use crate::claims::{Claims, End, Places, Slot};
use crate::interruption::{Command, HostAnswer, Line};
use crate::reader::Reader;
use crate::supervisor::{ModuleHandle, View, refusal};
use crate::terms::Terms;

/// Where the service is.
pub(crate) const PATH: &str = "/org/smartpos/Card";
/// The one daemon that may take payments with cards.
pub(crate) const PAYMENT: &str = "org.smartpos.Payment";
/// The most issuer data that a host sends: DE 55 has three digits of length, and EMV uses 255 bytes of them.
const MAX_ISSUER_DATA: usize = 255;

/// The state of the secure card module, on one bus.
pub(crate) struct CardService {
    pub(crate) guard: Guard,
    pub(crate) module: ModuleHandle,
    pub(crate) claims: Claims,
}

/// The secure card module: whether it is there, and what it says of itself. Reading needs `device.status`. Apps talk to cards that
/// pay nothing through claims.
#[interface(name = "org.smartpos.Card1")]
impl CardService {
    /// Claims the card slot `slot` for the calling app and returns the claim's object (`org.smartpos.CardClaim1`),
    /// `/org/smartpos/Card/claim/APP/SLOT`. Nobody else has the slot until the claim ends; a payment ends all claims. The slots are
    /// `contact`, the one for chip cards; `sam1` to `sam4`, for the PSAMs that the terminal has; and `contactless`, which no driver reaches
    /// yet: its memory cards (MIFARE, NTAG, FeliCa) will be claimed as others are, with an interface of their own on the claim's object.
    ///
    /// Options: `timeout_s` u: how long the claim lasts at most, 1 to 300 seconds; 60 where it is not given.
    ///
    /// Errors: InvalidArgument, NotPermitted (`card.nonpayment`; for a PSAM `card.sam` and its number), Busy when a payment or another claim has
    /// the slot, NotSupported by a terminal without the slot, DeviceGone without a module or a PSAM, Throttled, also for 30 s after a command of
    /// this app's that took so long that the card module had to begin anew.
    async fn claim(
        &self,
        slot: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let slot = Slot::named(slot)?;
        let admitted = self.guard.admit(&header, slot.permission()).await?;
        self.claims.claim(&self.guard, &admitted.caller, slot, options).await
    }

    /// Each claim that goes on: its slot, and its app. For the operator.
    ///
    /// Errors: NotPermitted (`device.status`), Throttled.
    async fn list_claims(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<(String, String)>> {
        let admitted = self.guard.admit_operator(&header).await?;
        self.guard.authorize(&admitted.caller, Permission::DeviceStatus)?;
        Ok(self.claims.list())
    }

    /// `ready`, `absent` or `tampered`.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn module_state(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        Ok(self.look(header).await?.state().to_string())
    }

    /// What the module says it is: its kind and firmware. Empty while it is absent.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn module(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        let view = self.look(header).await?;
        let described = view.status().map(|status| format!("{} {}", status.kind, status.firmware));
        Ok(described.unwrap_or_default())
    }

    /// Whether the module says that it was approved by somebody. Virtual ones never do.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn certified(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<bool> {
        Ok(self.look(header).await?.status().is_some_and(|status| status.certified))
    }

    /// Whether a chip card is in the slot.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn card_present(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<bool> {
        Ok(self.look(header).await?.card.is_some())
    }
}

impl CardService {
    async fn look(&self, header: Option<Header<'_>>) -> fdo::Result<View> {
        if let Some(header) = header {
            self.guard.admit(&header, Permission::DeviceStatus).await?;
        }
        Ok(self.module.now())
    }
}

/// Card payments and keys, on the system bus.
pub(crate) struct CardPaymentService {
    pub(crate) guard: Guard,
    pub(crate) module: ModuleHandle,
    pub(crate) reader: Reader,
    pub(crate) places: Places,
}

/// Card payments and the acquirer's working keys, for `org.smartpos.Payment` alone.
#[interface(name = "org.smartpos.CardPayment1")]
impl CardPaymentService {
    /// Begins an EMV transaction and returns its object, `/org/smartpos/Card/transaction/NUMBER`.
    ///
    /// `amount` is in minor units of `currency` (ISO 4217, three letters). `when` is local time,
    /// `YYMMDDhhmmss`. `counter` is the transaction sequence counter, up to eight digits.
    ///
    /// Options: `type` s: `sale` (where it is not given), `preauthorisation` and `balance` (with the amount 0) have
    /// the card decide; `void`, `refund`, `increment`, `preauthorisation-cancel`, `completion` and `completion-void`
    /// only have it read, and the host decides. `protection` s: `working-keys` (where it is not given), or `dukpt`: with the
    /// keys of the next DUKPT transaction, whose serial number `OnlineRequested` has. `pin` b: whether an online PIN is asked for
    /// where the card is only read; a card that decides says so itself. `offline` b, of a sale: whether card and terminal may
    /// approve it without the host, where the terminal's type and action codes let them; else the host is always asked.
    /// `choose_application` b: whether the customer chooses where the card has several applications, or wants one confirmed
    /// (`ChooseApplication`); else the first by priority is taken that needs no confirmation.
    /// `keyed` b, of a sale, a void or a refund: the card is not there, and its number and expiry date are keyed at the
    /// module's pad; `security_code` b: so is its security code, or Enter alone. `stripe` b: a card without a chip may be swiped, and
    /// one whose chip fails, as far as `[stripe]` of cardd.toml allows it; the host alone decides then.
    ///
    /// Errors: InvalidArgument, NotPermitted, Busy, DeviceGone, Timeout.
    async fn start(
        &self,
        amount: u64,
        currency: &str,
        when: &str,
        counter: u32,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        self.guard.admit_daemon(&header, PAYMENT).await?;
        let terms = Terms::new(amount, currency, when, counter, options)?;
        let caller = self.guard.caller(&header).await?;
        self.reader.start(&terms, &caller).await
    }

    /// Loads working keys, in order: slot (`pik`, `mak`, `mak-x919`, `tdk`), the key enciphered under the master key (16
    /// bytes), its check value (4 bytes). At the first that is refused it stops; those before it are loaded.
    /// `under` is the slot of the master key, whose algorithm the working keys have: `tmk` (TDES) or `tmk-sm4` (SM4).
    ///
    /// Errors: InvalidArgument, NotPermitted, NotSupported when the module has no SM4, DeviceGone, Timeout, WrongState when
    /// there is no master key.
    async fn load_working_keys(
        &self,
        keys: Vec<(String, Vec<u8>, Vec<u8>)>,
        under: &str,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<()> {
        self.guard.admit_daemon(&header, PAYMENT).await?;
        let keys = keys
            .iter()
            .map(|(slot, key, check)| working_key(slot, key, check))
            .collect::<Result<Vec<_>>>()?;
        let under = match under {
            "tmk" => KeySlot::TMK,
            "tmk-sm4" => KeySlot::TMK_SM4,
            other => {
                let problem = format!("`{other}` is no master key; they are tmk and tmk-sm4");
                return Err(Error::invalid("under", problem));
            }
        };
        let module = self.for_host()?;
        for (slot, key, check) in keys {
            module.load_key(&slot, &under, key, check).await.map_err(refusal)?;
        }
        Ok(())
    }

    /// The check value of the key in `slot`; empty where there is no key.
    ///
    /// Errors: InvalidArgument, NotPermitted, DeviceGone, Timeout.
    async fn key_check_value(&self, slot: &str, #[zbus(header)] header: Header<'_>) -> Result<Vec<u8>> {
        self.guard.admit_daemon(&header, PAYMENT).await?;
        let slot = KeySlot::new(slot).map_err(|error| Error::invalid("slot", error))?;
        let (module, _) = self.module.ready()?;
        match module.key_check_value(&slot).await {
            Ok(value) => Ok(value.to_vec()),
            Err(ModuleError::NoKey) => Ok(Vec::new()),
            Err(error) => Err(refusal(error)),
        }
    }

    /// Begins with the keys of the next DUKPT transaction, for a message without a card, and returns its key serial number, 12
    /// bytes. The slot `dukpt` has these keys until the next ones are begun with, by this method or by a card.
    ///
    /// Errors: NotPermitted, DeviceGone, Timeout, WrongState when there is no initial key, or all that comes of it is used up,
    /// NotSupported by a module without DUKPT.
    async fn next_dukpt_key(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<u8>> {
        self.guard.admit_daemon(&header, PAYMENT).await?;
        let module = self.for_host()?;
        match module.next_dukpt_key(&KeySlot::DUKPT).await {
            Ok(serial) => Ok(serial.to_vec()),
            Err(ModuleError::NotSupported) => {
                Err(Error::NotSupported("the secure card module has no DUKPT keys".to_string()))
            }
            Err(error) => Err(refusal(error)),
        }
    }

    /// The message authentication code of `data` under the key in `slot`, 8 bytes: UnionPay's under `mak`, that of ANSI X9.19
    /// under `mak-x919`, a CMAC under `dukpt`.
    ///
    /// Errors: InvalidArgument, NotPermitted, DeviceGone, Timeout, WrongState when there is no MAC key.
    async fn mac(&self, slot: &str, data: Vec<u8>, #[zbus(header)] header: Header<'_>) -> Result<Vec<u8>> {
        self.guard.admit_daemon(&header, PAYMENT).await?;
        let slot = mac_slot(slot)?;
        let module = self.for_host()?;
        let mac = module.mac(&slot, &data).await.map_err(refusal)?;
        Ok(mac.to_vec())
    }

    /// Whether `mac` is that of `data` under the key in `slot`, as of `Mac`.
    ///
    /// Errors: InvalidArgument, NotPermitted, DeviceGone, Timeout, WrongState when there is no MAC key.
    async fn verify_mac(
        &self,
        slot: &str,
        data: Vec<u8>,
        mac: Vec<u8>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<bool> {
        self.guard.admit_daemon(&header, PAYMENT).await?;
        let slot = mac_slot(slot)?;
        // One of another length is a wrong one.
        let Ok(mac) = <[u8; 8]>::try_from(mac) else { return Ok(false) };
        let module = self.for_host()?;
        module.verify_mac(&slot, &data, mac).await.map_err(refusal)
    }

    /// Seals track 2 that was stored (`Completed`, `stored_track2`) under the data key: the content of DE 35.
    ///
    /// Errors: InvalidArgument, NotPermitted, NotSupported by a module that stores no cards, DeviceGone, Timeout, WrongState when
    /// there is no data key.
    async fn reseal(&self, stored_track2: Vec<u8>, #[zbus(header)] header: Header<'_>) -> Result<Vec<u8>> {
        self.guard.admit_daemon(&header, PAYMENT).await?;
        let module = self.for_host()?;
        match module.reseal_track2(&KeySlot::STORE, &KeySlot::TDK, &stored_track2).await {
            Err(ModuleError::NotSupported) => {
                Err(Error::NotSupported("the secure card module stores no cards".to_string()))
            }
            sealed => sealed.map_err(refusal),
        }
    }

    /// Signs, under the module's audit key, where the journal with the identity `journal` (16 bytes) was at the time `at`
    /// (milliseconds since 1970): its event `last` had the link `head` (32 bytes). Returns the public key and the signature, of 64
    /// bytes each: SM2 with SM3.
    ///
    /// Errors: InvalidArgument, NotPermitted, DeviceGone, Timeout, NotSupported by a module that seals nothing.
    #[zbus(out_args("public_key", "signature"))]
    async fn seal_journal(
        &self,
        journal: Vec<u8>,
        last: i64,
        head: Vec<u8>,
        at: i64,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Vec<u8>, Vec<u8>)> {
        self.guard.admit_daemon(&header, PAYMENT).await?;
        let journal = journal.try_into().map_err(|_| Error::invalid("journal", "it has 16 bytes"))?;
        let head = head.try_into().map_err(|_| Error::invalid("head", "it has 32 bytes"))?;
        let (module, _) = self.module.ready()?;
        match module.seal_journal(journal, last, head, at).await {
            Ok(seal) => Ok((seal.public_key.to_vec(), seal.signature.to_vec())),
            Err(ModuleError::NotSupported) => {
                Err(Error::NotSupported("the secure card module seals no journals".to_string()))
            }
            Err(error) => Err(refusal(error)),
        }
    }

    /// The public key of the module's TLS client key: a SubjectPublicKeyInfo in DER.
    ///
    /// Errors: NotPermitted, DeviceGone, Timeout, NotSupported by a module that has no such key.
    async fn tls_public_key(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<u8>> {
        self.guard.admit_daemon(&header, PAYMENT).await?;
        let (module, _) = self.module.ready()?;
        module.tls_public_key().await.map_err(no_tls_key)
    }

    /// The client's signature in a TLS 1.3 handshake whose transcript hash is `transcript` (32 or 48 bytes): ECDSA with
    /// SHA-256, in DER.
    ///
    /// Errors: InvalidArgument, NotPermitted, DeviceGone, Timeout, NotSupported by a module that has no such key.
    async fn sign_tls(&self, transcript: Vec<u8>, #[zbus(header)] header: Header<'_>) -> Result<Vec<u8>> {
        self.guard.admit_daemon(&header, PAYMENT).await?;
        let module = self.for_host()?;
        module.sign_tls(&transcript).await.map_err(no_tls_key)
    }
}

impl CardPaymentService {
    /// The module, for a message of the host's that waits: no claim's card is to hold it up.
    fn for_host(&self) -> Result<Arc<dyn SecureModule>> {
        self.places.give_way(End::Payment);
        Ok(self.module.ready()?.0)
    }
}

/// What a method about the TLS client key answers when the module could not do its part.
pub(crate) fn no_tls_key(error: ModuleError) -> Error {
    match error {
        ModuleError::NotSupported => {
            Error::NotSupported("the secure card module has no TLS key; use one in a file".to_string())
        }
        error => refusal(error),
    }
}

/// The slot of a MAC key.
fn mac_slot(slot: &str) -> Result<KeySlot> {
    let known = [KeySlot::MAK, KeySlot::MAK_X919, KeySlot::DUKPT];
    known.into_iter().find(|known| known.name() == slot).ok_or_else(|| {
        Error::invalid("slot", format!("`{slot}` is no MAC key; they are mak, mak-x919 and dukpt"))
    })
}

fn working_key(slot: &str, key: &[u8], check: &[u8]) -> Result<(KeySlot, [u8; 16], [u8; 4])> {
    let slot = match slot {
        "pik" => KeySlot::PIK,
        "mak" => KeySlot::MAK,
        "mak-x919" => KeySlot::MAK_X919,
        "tdk" => KeySlot::TDK,
        other => {
            return Err(Error::invalid(
                "keys",
                format!("`{other}` is no working key; they are pik, mak, mak-x919 and tdk"),
            ));
        }
    };
    let wrong = |what: &str| Error::invalid("keys", format!("{slot}: {what}"));
    let key = key.try_into().map_err(|_| wrong("a double-length TDES or an SM4 key has 16 bytes"))?;
    let check = check.try_into().map_err(|_| wrong("a check value has 4 bytes"))?;
    Ok((slot, key, check))
}

/// One EMV transaction, on the system bus.
pub(crate) struct TransactionObject {
    pub(crate) guard: Guard,
    pub(crate) owner: OwnedUniqueName,
    pub(crate) line: Line,
}

/// One EMV transaction, for who started it. It stays until the next one begins.
#[interface(name = "org.smartpos.CardTransaction1")]
impl TransactionObject {
    /// Calls it off where the card has not been asked for its last word yet. `Completed` follows.
    ///
    /// Errors: NotPermitted, WrongState when it is too late.
    async fn cancel(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        self.admit(&header).await?;
        self.line.tell(Command::Cancel).await
    }

    /// Goes on with the application `index`, from 0, of those that the progress `choose-application` had.
    ///
    /// Errors: InvalidArgument, NotPermitted, WrongState when none is to be chosen.
    async fn choose_application(&self, index: u32, #[zbus(header)] header: Header<'_>) -> Result<()> {
        self.admit(&header).await?;
        self.line.tell(Command::ChooseApplication(usize::try_from(index).unwrap_or(usize::MAX))).await
    }

    /// Goes on with the host's answer: its response code (DE 39) and its issuer data (DE 55: tags 91, 71,
    /// 72), up to 255 bytes. `00` is an approval, everything else a refusal.
    ///
    /// Errors: InvalidArgument, NotPermitted, WrongState when the host is not waited for.
    async fn authorise(
        &self,
        response_code: &str,
        issuer_data: Vec<u8>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<()> {
        self.admit(&header).await?;
        let code = <[u8; 2]>::try_from(response_code.as_bytes()).ok();
        let code = code
            .filter(|code| code.iter().all(u8::is_ascii_alphanumeric))
            .ok_or_else(|| Error::invalid("response_code", "give two letters or digits"))?;
        if issuer_data.len() > MAX_ISSUER_DATA {
            return Err(Error::invalid("issuer_data", format!("give at most {MAX_ISSUER_DATA} bytes")));
        }
        self.line.tell(Command::Authorise(HostAnswer { code, issuer_data })).await
    }

    /// Goes on without the host: it could not be reached.
    ///
    /// Errors: NotPermitted, WrongState when the host is not waited for.
    async fn unable_to_go_online(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        self.admit(&header).await?;
        self.line.tell(Command::UnableToGoOnline).await
    }

    /// `insert-card` (`stripe` b: a card may be swiped, too), `use-chip` (one was swiped that has a chip, which is to be inserted), `swipe-card`
    /// (the chip has failed, and its card may be swiped), `swipe-again` (a stripe could not be read), `reading`, `choose-application` (`applications`
    /// as: their names, the card's first choice first; a card with one wants that confirmed), `card-read` (`masked_pan` s, `label` s, `language` s:
    /// ISO 639-1, where the terminal has more than one), `pin` (`tries_left` u, where the card verifies it and told: 1 is the last try; it comes
    /// again after a wrong one), `pin-digits` (`count` u), `key-card`,
    /// `number-digits`, `expiry-digits` and `code-digits` (`count` u) of a card that is keyed,
    /// `authorizing`, and after the end, if the card is still in the slot, `remove-card`. A card that stays there
    /// gets `remove-card` from the next transaction, too, before `insert-card`.
    #[zbus(signal)]
    pub(crate) async fn progress(
        emitter: &SignalEmitter<'_>,
        step: &str,
        details: Dictionary,
    ) -> zbus::Result<()>;

    /// The card wants the host to decide; `card` is what the host needs, all secrets of it enciphered by the
    /// module.
    ///
    /// `masked_pan` s, `pan_sequence` y (if any), `entry_mode` s (DE 22), `sealed_track2` ay (DE 35), `key_serial` ay (of
    /// DUKPT),
    /// `pin_block` ay (DE 52, if a PIN was entered), `token` s (if the module makes any), `aid` s, `label` s,
    /// `cvm` s (`online-pin`, `offline-pin`, `offline-pin-and-signature`, `signature`, `none`); and where the card decides, too: `chip_data` ay (DE 55),
    /// `tvr` s, `tsi` s, `cryptogram` s. A card that was keyed has `masked_pan`, `entry_mode`, `cvm`, `token` and
    /// `sealed_track2`: the equivalent of a track with its number, expiry date and security code. One that was swiped has these, and
    /// `key_serial` and `pin_block` as above. `token`, `aid`, `tvr`, `tsi` and `cryptogram` are in hexadecimal. The token
    /// is the same for each transaction of a card at this terminal, and tells nothing of its number.
    ///
    /// A card that is only read may be taken out from here on.
    #[zbus(signal)]
    pub(crate) async fn online_requested(emitter: &SignalEmitter<'_>, card: Dictionary) -> zbus::Result<()>;

    /// The end, once: `approved`, `declined`, `cancelled` or `failed`. `result` has `reason` s, and as far as
    /// the card came what `OnlineRequested` has, without what is enciphered. Where the card approved without the host, it has
    /// `token` s, too, and `stored_track2` ay: track 2 under a key that stays in the module, for `Reseal`. Where the issuer had
    /// the card run scripts, `script_data` ay is what it is told of them: DE 55, with their results as DF31.
    ///
    /// A card that is removed before its last word makes it `failed`; a PIN or a card that is waited for in
    /// vain, `cancelled`.
    #[zbus(signal)]
    pub(crate) async fn completed(
        emitter: &SignalEmitter<'_>,
        outcome: &str,
        result: Dictionary,
    ) -> zbus::Result<()>;
}

impl TransactionObject {
    async fn admit(&self, header: &Header<'_>) -> Result<()> {
        self.guard.admit_daemon(header, PAYMENT).await?;
        if header.sender().is_none_or(|sender| sender.as_str() != self.owner.as_str()) {
            return Err(Error::NotPermitted("this transaction was started by somebody else".to_string()));
        }
        Ok(())
    }
}
