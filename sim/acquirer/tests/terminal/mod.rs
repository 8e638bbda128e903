//! A tiny terminal, and an acquirer for it to talk to over real TLS on the loopback.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use iso8583::frame::{Decoder, End};
use iso8583::{Builder, Mti};
use jiff::Zoned;
use keys::emv::{self, CryptogramInput};
use keys::{Pin, TdesKey};
use rustls::ClientConfig;
use sim_acquirer::host::Acquirer;
use sim_acquirer::issuer::Issuer;
use sim_acquirer::ledger::{Entry, Ledger};
use sim_acquirer::{HOST_PROFILE, commands, pki, server, working_keys};
use sim_cards::Profile;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const TERMINAL: &str = "12345678";
pub(crate) const MERCHANT: &str = "898100012345678";

static DIALECT: LazyLock<iso8583::Host> = LazyLock::new(|| toml::from_str(HOST_PROFILE).unwrap());

pub(crate) fn dialect() -> &'static iso8583::Host {
    &DIALECT
}

pub(crate) fn tmk() -> TdesKey {
    TdesKey::new([0x31; 16])
}

/// The same, as the host holds it.
pub(crate) fn master_key() -> keys::Key {
    working_keys::master_key(dialect(), &[0x31; 16]).unwrap()
}

/// An acquirer that listens, with its folder.
pub(crate) struct Bank {
    pub(crate) dir: TempDir,
    pub(crate) address: std::net::SocketAddr,
    acquirer: Arc<Mutex<Acquirer>>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Bank {
    pub(crate) async fn open() -> Bank {
        Bank::open_in(TempDir::new().unwrap()).await
    }

    async fn open_in(dir: TempDir) -> Bank {
        pki::ensure(dir.path()).unwrap();
        let tls = Arc::new(pki::server_config(dir.path()).unwrap());
        let ledger = Ledger::open(&dir.path().join("ledger")).unwrap();
        let issuer = Issuer::new(sim_cards::profiles().collect());
        let acquirer = Arc::new(Mutex::new(Acquirer::new(dialect().clone(), master_key(), issuer, ledger)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(server::serve(listener, tls, Arc::clone(&acquirer), |_| {}));
        Bank { dir, address, acquirer, server }
    }

    /// The same acquirer after its process was killed: only the ledger's file is left.
    pub(crate) async fn restart(self) -> Bank {
        self.server.abort();
        Bank::open_in(self.dir).await
    }

    pub(crate) async fn command(&self, words: &str) -> sim_control::Reply {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        commands::run(&mut *self.acquirer.lock().await, &words)
    }

    pub(crate) async fn rule(&self, words: &str) {
        let reply = self.command(&format!("host {words}")).await;
        assert!(reply.ok, "{}", reply.text);
    }

    pub(crate) async fn ledger(&self) -> Vec<Entry> {
        serde_json::from_value(self.command("ledger").await.data).unwrap()
    }

    /// The last entry: its state, code and reason.
    pub(crate) async fn last(&self) -> (String, String, String) {
        let entry = self.ledger().await.pop().unwrap();
        (format!("{:?}", entry.state), entry.code, entry.reason)
    }
}

/// The working keys.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) pik: TdesKey,
    pub(crate) mak: TdesKey,
    pub(crate) tdk: TdesKey,
}

impl Keys {
    /// Those of a sign-on's answer, if it has any.
    pub(crate) fn read(message: &[u8]) -> Option<Keys> {
        let message = dialect().codec.parse(message).unwrap();
        let slots = dialect().sign_on.keys.as_ref().unwrap().split(message.get(62)?.bytes()).unwrap();
        let [pik, mak, tdk] = [0, 1, 2].map(|index: usize| {
            let key = tmk().unwrap_key(slots[index].key.try_into().unwrap());
            assert!(keys::kcv::matches(&key, slots[index].check.try_into().unwrap()));
            key
        });
        Some(Keys { pik, mak, tdk })
    }
}

/// A connection, and the keys once it has signed on.
pub(crate) struct Terminal {
    pub(crate) stream: TlsStream<TcpStream>,
    decoder: Decoder,
    pub(crate) keys: Option<Keys>,
}

/// An answer: its data elements as text, by number.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) mti: Mti,
    pub(crate) fields: std::collections::BTreeMap<u8, String>,
    pub(crate) mac_is_right: bool,
}

impl Answer {
    pub(crate) fn read(message: &[u8], keys: Option<&Keys>) -> Answer {
        let message = dialect().codec.parse(message).unwrap();
        let mac = message.mac_input(64).ok().zip(keys);
        let mac_is_right = mac.is_some_and(|(input, keys)| {
            keys::mac::unionpay(&keys.mak, input) == message.require(64).unwrap().bytes()
        });
        let text = |value: iso8583::Value<'_>| match value.number() {
            55 => hex::encode(value.bytes()),
            _ => value.text(),
        };
        let fields = message.fields().map(|value| (value.number(), text(value))).collect();
        Answer { mti: message.mti(), fields, mac_is_right }
    }

    pub(crate) fn code(&self) -> &str {
        self.text(39)
    }

    pub(crate) fn text(&self, number: u8) -> &str {
        self.fields.get(&number).map_or("", String::as_str)
    }
}

pub(crate) fn client_config(dir: &Path, with_certificate: bool) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(pki::roots(dir).unwrap());
    if with_certificate {
        let (chain, key) = pki::terminal_identity(dir).unwrap();
        builder.with_client_auth_cert(chain, key).unwrap()
    } else {
        builder.with_no_client_auth()
    }
}

impl Terminal {
    pub(crate) async fn connect(bank: &Bank) -> Terminal {
        let connector = TlsConnector::from(Arc::new(client_config(bank.dir.path(), true)));
        let tcp = TcpStream::connect(bank.address).await.unwrap();
        let stream = connector.connect(pki::SERVER_NAME.try_into().unwrap(), tcp).await.unwrap();
        let decoder = Decoder::new(dialect().framing.clone(), End::Terminal);
        Terminal { stream, decoder, keys: None }
    }

    pub(crate) async fn signed_on(bank: &Bank) -> Terminal {
        let mut terminal = Terminal::connect(bank).await;
        assert_eq!(terminal.sign_on().await.code(), "00");
        terminal
    }

    pub(crate) async fn sign_on(&mut self) -> Answer {
        self.send(&sign_on()).await;
        let message = self.receive().await.unwrap();
        self.keys = Keys::read(&message).or(self.keys.take());
        Answer::read(&message, self.keys.as_ref())
    }

    pub(crate) async fn sell(&mut self, sale: &Sale) -> Option<Answer> {
        let message = sale.pack(self.keys.as_ref().unwrap());
        self.exchange(&message).await
    }

    pub(crate) async fn reverse(&mut self, sale: &Sale, amount: u64) -> Option<Answer> {
        let message = sale.pack_reversal(self.keys.as_ref().unwrap(), amount);
        self.exchange(&message).await
    }

    /// Sends a message; `None` if the host closes the connection instead of an answer.
    pub(crate) async fn exchange(&mut self, message: &[u8]) -> Option<Answer> {
        self.send(message).await;
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let message = self.receive().await?;
        Some(Answer::read(&message, self.keys.as_ref()))
    }

    pub(crate) async fn send(&mut self, message: &[u8]) {
        let frame = dialect().framing.encode(End::Terminal, message).unwrap();
        self.stream.write_all(&frame).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            let mut byte = [0];
            if self.stream.read(&mut byte).await.unwrap_or(0) == 0 {
                return None;
            }
            let (frame, _) = self.decoder.push(&byte).unwrap();
            if let Some(frame) = frame {
                return Some(frame.message);
            }
        }
    }
}

pub(crate) fn card(name: &str) -> Profile {
    sim_cards::profiles().find(|card| card.name == name).unwrap()
}

/// Service, MTI, DE 3, DE 25, DE 60.1, and whether it has chip data.
type Form = (&'static str, u16, &'static str, &'static str, &'static str, bool);

const FORMS: [Form; 10] = [
    ("sale", 0x0200, "000000", "00", "22", true),
    ("void", 0x0200, "200000", "00", "23", false),
    ("refund", 0x0220, "200000", "00", "25", false),
    ("tip-adjustment", 0x0220, "000000", "00", "34", false),
    ("preauthorisation", 0x0100, "030000", "06", "10", true),
    ("increment", 0x0100, "030000", "06", "10", false),
    ("preauthorisation-cancel", 0x0100, "200000", "06", "11", false),
    ("completion", 0x0200, "000000", "06", "20", false),
    ("completion-void", 0x0200, "200000", "06", "21", false),
    ("balance", 0x0200, "310000", "00", "01", true),
];

/// What an approved transaction is named by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) batch: u64,
    pub(crate) stan: u64,
    /// DE 13, 37 and 38 of its answer.
    pub(crate) date: String,
    pub(crate) rrn: String,
    pub(crate) approval: String,
}

/// A request with everything right, a sale unless another service is named; a test changes what it wants wrong.
#[derive(Clone)]
pub(crate) struct Sale {
    pub(crate) service: &'static str,
    pub(crate) original: Option<Named>,
    pub(crate) batch: u64,
    pub(crate) card: Profile,
    pub(crate) stan: u64,
    pub(crate) amount: u64,
    pub(crate) atc: u16,
    pub(crate) pin: Option<&'static str>,
    pub(crate) terminal: &'static str,
    pub(crate) merchant: &'static str,
    /// What the chip signs, if not `amount`.
    pub(crate) chip_amount: Option<u64>,
    pub(crate) wrong_cryptogram: bool,
    /// Whether tag 9F34 says the opposite of what was done.
    pub(crate) wrong_method: bool,
    pub(crate) psn: u64,
    /// DE 25 is that of instalments, and DE 62 this.
    pub(crate) plan: Option<&'static str>,
    /// DE 22, and what the track has after its expiry date, where the card is swiped.
    pub(crate) swiped: Option<(&'static str, String)>,
}

impl Sale {
    pub(crate) fn of(name: &str, stan: u64, amount: u64) -> Sale {
        let card = card(name);
        let atc = u16::try_from(stan).unwrap();
        Sale {
            service: "sale",
            original: None,
            batch: 1,
            card,
            stan,
            amount,
            atc,
            pin: None,
            terminal: TERMINAL,
            merchant: MERCHANT,
            chip_amount: None,
            wrong_cryptogram: false,
            wrong_method: false,
            psn: 1,
            plan: None,
            swiped: None,
        }
    }

    /// The same with the card's stripe: DE 22, and its service code.
    pub(crate) fn swiped(self, entry: &'static str, service_code: &str) -> Sale {
        let rest = format!("{service_code}{}", self.card.stripe_data());
        Sale { swiped: Some((entry, rest)), ..self }
    }

    pub(crate) fn with_pin(self, pin: &'static str) -> Sale {
        Sale { pin: Some(pin), ..self }
    }

    /// Another service, that builds on `original`.
    pub(crate) fn follow(service: &'static str, original: &Named, stan: u64, amount: u64) -> Sale {
        let original = Some(original.clone());
        Sale { service, original, ..Sale::of("unionpay-credit", stan, amount) }
    }

    fn form(&self) -> Form {
        *FORMS.iter().find(|form| form.0 == self.service).unwrap()
    }

    pub(crate) fn pack(&self, keys: &Keys) -> Vec<u8> {
        let (_, mti, .., has_chip) = self.form();
        let [year, month, _] = self.card.expiry;
        let rest = self.swiped.as_ref().map_or("2010000000", |(_, rest)| rest);
        let mut track = format!("{}D{year:02x}{month:02x}{rest}", self.card.pan.digits());
        if track.len() % 2 == 1 {
            track.push('F');
        }
        let sealed = keys::track2::seal(&keys.tdk, [0x5A; 8], &hex::decode(track).unwrap()).unwrap();
        let chip = self.chip();
        let block =
            self.pin.map(|pin| keys::pin_block::encipher(&keys.pik, &Pin::new(pin).unwrap(), &self.card.pan));
        let named = self.original.as_ref();
        let named = named.map(|one| (one, format!("{:06}{:06}{}", one.batch, one.stan, one.date)));
        let kind = self.kind();
        let mut sale = Builder::new(&dialect().codec, Mti(mti));
        self.common(&mut sale, &kind);
        if self.has_card() {
            sale.bytes(35, &sealed);
            sale.text(53, if block.is_some() { "2610000000000000" } else { "0610000000000000" });
        }
        if has_chip && self.swiped.is_none() {
            sale.bytes(55, &chip);
        }
        if let Some((one, original)) = &named {
            sale.text(37, &one.rrn).text(38, &one.approval).text(61, original);
        }
        if let Some(block) = &block {
            sale.text(26, "12").bytes(52, block);
        }
        let mut message = pack(&sale);
        sign(&mut message, keys);
        message
    }

    pub(crate) fn pack_reversal(&self, keys: &Keys, amount: u64) -> Vec<u8> {
        let original = format!("{:06}{:06}", self.batch, self.stan);
        let kind = self.kind();
        let mut reversal = Builder::new(&dialect().codec, Mti(0x0400));
        self.common(&mut reversal, &kind);
        reversal.number(4, amount).text(39, "98").text(61, &original);
        let mut message = pack(&reversal);
        sign(&mut message, keys);
        message
    }

    /// DE 60.
    fn kind(&self) -> String {
        format!("{}{:06}000", self.form().4, self.batch)
    }

    fn has_card(&self) -> bool {
        self.service != "tip-adjustment"
    }

    fn common<'m>(&'m self, message: &mut Builder<'m>, kind: &'m str) {
        let (service, _, processing, condition, ..) = self.form();
        if service != "balance" {
            message.number(4, self.amount);
        }
        message.text(3, processing).number(11, self.stan);
        message.text(25, if self.plan.is_some() { "64" } else { condition });
        if let Some(plan) = self.plan.filter(|plan| !plan.is_empty()) {
            message.bytes(62, plan.as_bytes());
        }
        match &self.swiped {
            _ if !self.has_card() => {}
            Some((entry, _)) => {
                message.text(22, entry);
            }
            None => {
                message.number(23, self.psn).text(22, if self.pin.is_some() { "051" } else { "052" });
            }
        }
        message.text(41, self.terminal).text(42, self.merchant).text(49, "156").text(60, kind);
        message.bytes(64, &[0; 8]);
    }

    /// The 0320 with the card's certificate; `code` is DE 60.3.
    pub(crate) fn pack_certificate(&self, keys: &Keys, code: &str) -> Vec<u8> {
        let (chip, kind) = (self.chip_of(0x40), format!("00{:06}{code}", self.batch));
        let about = format!("610000{:012}156", self.amount);
        let mut message = Builder::new(&dialect().codec, Mti(0x0320));
        message.number(4, self.amount).number(11, self.stan).text(22, "052").number(23, self.psn);
        message.text(41, self.terminal).text(42, self.merchant).bytes(55, &chip).text(60, &kind);
        message.bytes(62, about.as_bytes()).bytes(64, &[0; 8]);
        let mut message = pack(&message);
        sign(&mut message, keys);
        message
    }

    fn chip(&self) -> Vec<u8> {
        self.chip_of(0x80)
    }

    /// DE 55 with this cryptogram information data (9F27).
    fn chip_of(&self, information: u8) -> Vec<u8> {
        let bcd = |text: String| hex::decode(text).unwrap();
        let transaction_type = bcd(self.form().2.to_owned())[0];
        let input = CryptogramInput {
            amount_authorised: bcd(format!("{:012}", self.chip_amount.unwrap_or(self.amount)))
                .try_into()
                .unwrap(),
            amount_other: [0; 6],
            terminal_country: [0x01, 0x56],
            tvr: [0, 0, 0x04, 0x80, 0],
            currency: [0x01, 0x56],
            date: bcd(Zoned::now().strftime("%y%m%d").to_string()).try_into().unwrap(),
            transaction_type,
            unpredictable_number: [1, 2, 3, 4],
            aip: self.card.aip(),
            atc: self.atc.to_be_bytes(),
            cvr: [0x03, 0xA0, 0, 0],
        };
        let session =
            emv::session_key(&emv::card_key(self.card.imk(), &self.card.pan, self.card.psn), input.atc);
        let mut arqc = emv::cryptogram(&session, &input);
        arqc[0] ^= u8::from(self.wrong_cryptogram);
        let [a, b, c, d] = input.cvr;
        let method = if self.pin.is_some() != self.wrong_method { [0x02, 0, 0] } else { [0x1E, 0, 0] };
        let elements: [(u32, &[u8]); 20] = [
            (0x9F26, &arqc),
            (0x9F27, &[information]),
            (0x9F10, &[7, 1, 1, a, b, c, d, 1]),
            (0x9F37, &input.unpredictable_number),
            (0x9F36, &input.atc),
            (0x95, &input.tvr),
            (0x9A, &input.date),
            (0x9C, &[transaction_type]),
            (0x9F02, &input.amount_authorised),
            (0x5F2A, &input.currency),
            (0x82, &input.aip),
            (0x9F1A, &input.terminal_country),
            (0x9F03, &input.amount_other),
            (0x9F33, &[0xE0, 0xF8, 0xC8]),
            (0x9F34, &method),
            (0x9F35, &[0x22]),
            (0x9F1E, b"SERIAL01"),
            (0x84, &[0xA0, 0, 0, 3, 0x33, 1, 1, 1]),
            (0x9F09, &[0, 0x20]),
            (0x9F41, &[0, 0, 0, 1]),
        ];
        let mut chip = Vec::new();
        for (tag, value) in elements {
            tlv::write(&mut chip, tlv::Tag::new(tag), value).unwrap();
        }
        chip
    }
}

/// A request for working keys.
pub(crate) fn sign_on() -> Vec<u8> {
    let mut request = Builder::new(&dialect().codec, Mti(0x0800));
    request.number(11, 1).text(41, TERMINAL).text(42, MERCHANT).text(60, "00000001004");
    pack(&request)
}

pub(crate) fn pack(builder: &Builder<'_>) -> Vec<u8> {
    let mut message = vec![0; 2048];
    let length = builder.pack(&mut message).unwrap();
    message.truncate(length);
    message
}

pub(crate) fn sign(message: &mut [u8], keys: &Keys) {
    let mac = keys::mac::unionpay(&keys.mak, &message[..message.len() - 8]);
    dialect().codec.set_mac(message, &mac).unwrap();
}
