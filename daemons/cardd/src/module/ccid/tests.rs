//! A reader as QEMU's is, with a virtual card: TPDUs, T=0, an interrupt pipe.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex as Lock, MutexGuard};
use std::time::Duration;

use sim_cards::Card;
use tokio::sync::Notify;

use super::pipes::Incoming;
use super::*;

const SELECT_PSE: &[u8] = b"\x00\xA4\x04\x00\x0E1PAY.SYS.DDF01\x00";

/// What goes wrong, and at which message to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The reader is unplugged.
    Unplugged,
    /// The card is pulled out, and QEMU's reader forgets the answer that it owes.
    Pulled,
    /// The reader says nothing from then on.
    Silent,
    /// Its answer comes after the next one's message.
    Late,
    /// Its answer is cut off.
    Truncated,
}

#[derive(Default)]
struct Reader {
    /// Where the card is put in, from 0 to 3.
    slot: u8,
    card: Option<Card>,
    powered: bool,
    unplugged: bool,
    silent: bool,
    messages: usize,
    fault: Option<(usize, Fault)>,
    answers: VecDeque<Vec<u8>>,
    late: Option<Vec<u8>>,
    notifications: VecDeque<Vec<u8>>,
}

impl Reader {
    fn set_card(&mut self, card: Option<&str>) {
        self.card = card.map(|name| sim_cards::load(name).unwrap());
        self.powered = false;
        let state = 0x02 | u8::from(self.card.is_some());
        self.notifications.push_back(vec![0x50, state << (2 * self.slot)]);
    }

    fn take(&mut self, message: &[u8]) {
        self.messages += 1;
        let fault = self.fault.filter(|(at, _)| *at == self.messages).map(|(_, fault)| fault);
        match fault {
            Some(Fault::Unplugged) => self.unplugged = true,
            Some(Fault::Silent) => self.silent = true,
            Some(Fault::Pulled) => return self.set_card(None),
            _ => {}
        }
        if self.silent || self.unplugged {
            return;
        }
        let late = self.late.take();
        let mut answer = self.answer(message);
        match fault {
            Some(Fault::Late) => return self.late = Some(answer),
            Some(Fault::Truncated) => answer.truncate(9),
            _ => {}
        }
        self.answers.extend(late);
        self.answers.push_back(answer);
    }

    fn answer(&mut self, message: &[u8]) -> Vec<u8> {
        if message[5] != self.slot {
            return vec![0x81, 0, 0, 0, 0, message[5], message[6], 0x42, 0xFE, 0];
        }
        let mut body = None;
        let kind = match message[0] {
            0x65 => 0x81,
            0x63 => {
                self.powered = false;
                0x81
            }
            0x62 => {
                self.powered = self.card.is_some();
                body = self.card.as_mut().and_then(|card| {
                    card.reset();
                    card.atr()
                });
                0x80
            }
            0x6F => {
                let card = self.card.as_mut().filter(|_| self.powered);
                body = card.and_then(|card| card.transmit(&message[10..]));
                0x80
            }
            other => panic!("the reader is asked {other:#x}"),
        };
        let failed = kind == 0x80 && body.is_none();
        let icc = if self.card.is_none() { 2 } else { u8::from(!self.powered) };
        let body = body.unwrap_or_default();
        let mut answer = vec![kind];
        answer.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        answer.extend([
            message[5],
            message[6],
            icc | (u8::from(failed) << 6),
            if failed { 0xFE } else { 0 },
            0,
        ]);
        answer.extend(body);
        answer
    }
}

/// The reader's two ends: the driver's pipes, and the tester's hand.
#[derive(Clone, Default)]
struct Shared {
    reader: Arc<Lock<Reader>>,
    changed: Arc<Notify>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Reader)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }
}

impl Pipes for Shared {
    fn notifies(&self) -> bool {
        true
    }

    async fn send(&mut self, message: Secret) -> Result<()> {
        self.change(|reader| reader.take(&message));
        if self.lock().unplugged { Err(Error::Gone) } else { Ok(()) }
    }

    async fn next(&mut self, expected: bool) -> Result<Incoming> {
        loop {
            {
                let mut reader = self.lock();
                if reader.unplugged {
                    return Err(Error::Gone);
                }
                if let Some(notification) = reader.notifications.pop_front() {
                    return Ok(Incoming::Notification(notification));
                }
                if let Some(answer) = reader.answers.pop_front_if(|_| expected) {
                    return Ok(Incoming::Message(answer.into()));
                }
            }
            self.changed.notified().await;
        }
    }
}

/// TPDUs; voltage, protocol and field size are the reader's.
fn descriptor() -> Descriptor {
    let mut bytes = [0; 54];
    bytes[..2].copy_from_slice(&[54, 0x21]);
    bytes[10..14].copy_from_slice(&4000_u32.to_le_bytes());
    bytes[23..27].copy_from_slice(&115_200_u32.to_le_bytes());
    bytes[40..44].copy_from_slice(&0x1_04FE_u32.to_le_bytes());
    bytes[44..48].copy_from_slice(&271_u32.to_le_bytes());
    Descriptor::parse(&bytes).unwrap()
}

fn credential(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn keys() -> SoftwareKeys {
    let folder = tempfile::tempdir().unwrap();
    credential(folder.path(), "software-tmk", "0123456789abcdeffedcba9876543210\n");
    credential(folder.path(), "software-secret", "00112233445566778899aabbccddeeff");
    SoftwareKeys::open(folder.path(), folder.path()).unwrap()
}

fn module(card: Option<&str>) -> (CcidModule, Shared) {
    module_with(0, 0, card)
}

/// With a card in the slot `put`, and another that is asked, or the same.
fn module_with(asked: u8, put: u8, card: Option<&str>) -> (CcidModule, Shared) {
    let shared = Shared::default();
    shared.lock().slot = put;
    if card.is_some() {
        shared.change(|reader| reader.set_card(card));
    }
    let identity = Identity { firmware: "1".to_owned(), serial: "2".to_owned() };
    let module = CcidModule::start(shared.clone(), (descriptor(), asked), identity, Arc::new(keys()), None);
    (module, shared)
}

/// A whole use of the card.
async fn read(module: &CcidModule) -> Result<Vec<u8>> {
    module.card_power_on(CardSlot::Contact).await?;
    let response = module.card_transmit(CardSlot::Contact, SELECT_PSE).await?;
    module.card_power_off(CardSlot::Contact).await?;
    Ok(response.to_vec())
}

async fn event(module: &CcidModule) -> Result<Event> {
    tokio::time::timeout(Duration::from_secs(10), module.next_event())
        .await
        .expect("an event within its time")
}

fn assert_is_pse(response: &[u8]) {
    assert!(response.starts_with(&[0x6F]) && response.ends_with(&[0x90, 0x00]), "{response:02X?}");
}

#[tokio::test]
async fn a_card_is_read_through_the_reader_as_if_it_spoke_apdus() {
    let (module, shared) = module(Some("visa"));
    assert_is_pse(&read(&module).await.unwrap());
    // Power off and on, SELECT, GET RESPONSE, power off.
    assert_eq!(shared.lock().messages, 5);
    let status = module.status().await.unwrap();
    assert!(!status.certified && status.card_present && status.kind.contains("development"));
}

#[tokio::test]
async fn of_several_slots_the_one_that_is_configured_has_the_card() {
    let (module, _) = module_with(2, 2, Some("visa"));
    assert_eq!(event(&module).await, Ok(Event::CardInserted(CardSlot::Contact)));
    assert_is_pse(&read(&module).await.unwrap());
    let (other, _) = module_with(2, 0, Some("visa"));
    assert!(!other.status().await.unwrap().card_present);
    assert_eq!(read(&other).await, Err(Error::NoCard));
}

#[tokio::test]
async fn a_card_comes_and_goes_and_one_that_was_exchanged_is_another_one() {
    let (module, shared) = module(None);
    assert!(!module.status().await.unwrap().card_present);
    assert_eq!(module.card_power_on(CardSlot::Contact).await, Err(Error::NoCard));
    shared.change(|reader| reader.set_card(Some("visa")));
    assert_eq!(event(&module).await, Ok(Event::CardInserted(CardSlot::Contact)));
    assert_eq!(module.card_transmit(CardSlot::Contact, SELECT_PSE).await, Err(Error::CardMute), "no power");
    module.card_power_on(CardSlot::Contact).await.unwrap();
    shared.change(|reader| {
        reader.set_card(None);
        reader.set_card(Some("mastercard"));
        reader.notifications.pop_front();
    });
    assert_eq!(event(&module).await, Ok(Event::CardRemoved(CardSlot::Contact)));
    assert_eq!(event(&module).await, Ok(Event::CardInserted(CardSlot::Contact)));
    assert_eq!(module.card_transmit(CardSlot::Contact, SELECT_PSE).await, Err(Error::CardMute), "no power");
    assert_is_pse(&read(&module).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_message_is_a_typed_error_and_what_is_left_works() {
    for fault in [Fault::Unplugged, Fault::Pulled, Fault::Silent, Fault::Late, Fault::Truncated] {
        for at in 1..=5 {
            let (module, shared) = module(Some("visa"));
            shared.lock().fault = Some((at, fault));
            let ended = read(&module).await;
            match fault {
                Fault::Unplugged => assert_eq!(ended, Err(Error::Gone), "at {at}"),
                // Without its card, the reader has nothing to switch off.
                Fault::Pulled if at == 5 => assert!(ended.is_ok()),
                Fault::Pulled => assert_eq!(ended, Err(Error::NoCard), "at {at}"),
                Fault::Silent | Fault::Late => assert_eq!(ended, Err(Error::Timeout), "at {at}"),
                Fault::Truncated => assert!(matches!(ended, Err(Error::Protocol(_))), "{ended:?} at {at}"),
            }
            if matches!(fault, Fault::Unplugged | Fault::Silent) {
                assert_eq!(read(&module).await, Err(Error::Gone), "{fault:?} at {at}");
                continue;
            }
            if fault == Fault::Pulled {
                shared.change(|reader| reader.set_card(Some("visa")));
            }
            assert_is_pse(&read(&module).await.unwrap());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_card_that_is_not_ready_within_a_limit_is_mute_and_the_reader_goes_on() {
    const LIMIT: Duration = Duration::from_secs(2);
    let (module, shared) = module(Some("visa"));
    for at in 1..=3 {
        let began = Instant::now();
        let messages = shared.lock().messages;
        shared.lock().fault = Some((messages + at, Fault::Late));
        // Power off, power on, SELECT.
        let ended = match module.card_power_on_within(CardSlot::Contact, LIMIT).await {
            Ok(_) => module.card_transmit_within(CardSlot::Contact, SELECT_PSE, LIMIT).await.map(drop),
            Err(error) => Err(error),
        };
        assert_eq!(ended, Err(Error::CardMute), "at {at}");
        assert_eq!(began.elapsed(), LIMIT, "at {at}");
        assert_is_pse(&read(&module).await.unwrap());
    }
}

#[tokio::test]
async fn a_card_that_falls_silent_has_to_be_reset() {
    let (module, _) = module(Some("chip-mute"));
    assert_eq!(module.card_power_on(CardSlot::Contact).await, Err(Error::CardMute));
    assert!(module.status().await.unwrap().card_present);
}

#[tokio::test]
async fn keys_have_one_use_and_are_loaded_with_their_check_value_only() {
    let (module, _) = module(None);
    assert_eq!(module.mac(&KeySlot::MAK, b"message").await, Err(Error::NoKey));
    assert_eq!(module.mac(&KeySlot::TMK, b"message").await, Err(Error::WrongUsage));
    let wrapped = [0x5A; 16];
    let wrong = module.load_key(&KeySlot::MAK, &KeySlot::TMK, wrapped, [0; 4]).await;
    assert_eq!(wrong, Err(Error::BadCheckValue));
    for slot in [KeySlot::TMK, KeySlot::TOKEN] {
        let loaded = module.load_key(&slot, &KeySlot::TMK, wrapped, [0; 4]).await;
        assert_eq!(loaded, Err(Error::WrongUsage), "{slot}");
    }
    assert_eq!(module.load_key(&KeySlot::MAK, &KeySlot::TMK_SM4, wrapped, [0; 4]).await, Err(Error::NoKey));
    let pan = Pan::new("6217001234567890123").unwrap();
    let token = module.card_token(&KeySlot::TOKEN, &pan).await.unwrap();
    assert_eq!(module.card_token(&KeySlot::TOKEN, &pan).await, Ok(token));
}

#[test]
fn a_credential_that_is_missing_or_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let problem = || SoftwareKeys::open(folder.path(), folder.path()).err().unwrap();
    assert!(problem().contains("software-tmk"), "{}", problem());
    credential(folder.path(), "software-tmk", "0123456789abcdeffedcba9876543210");
    assert!(problem().contains("software-secret"), "{}", problem());
    credential(folder.path(), "software-secret", "not a key");
    assert!(problem().contains("32 hexadecimal digits") && !problem().contains("not a key"), "{}", problem());
}
