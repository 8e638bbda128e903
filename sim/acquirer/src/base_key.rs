//! The base derivation key of AES DUKPT (ANSI X9.24-3): each request says which of a terminal's keys it was made with, and
//! none of them is taken twice.

use std::collections::HashMap;

use iso8583::Message;
use keys::dukpt::aes::{self, InitialKeyId, KeySerialNumber};
use keys::{Algorithm, Attributes, Key, Mode, Usage};

use crate::request::{self, FORMAT, Refusal, WRONG_MAC};
use crate::working_keys::WorkingKeys;

/// The element with the key serial number.
pub(crate) const SERIAL: u8 = 53;

/// The key from which all terminals' keys come.
#[derive(Debug)]
pub struct BaseKey {
    number: [u8; 4],
    key: Key,
    /// The highest counter of each terminal.
    taken: HashMap<InitialKeyId, u32>,
}

impl BaseKey {
    /// The key in `text`: its number and the key itself, in hex, with a space between them.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read(text: &str) -> Result<BaseKey, String> {
        let (number, key) = text.trim().split_once(' ').ok_or("expected a number and a key")?;
        let (mut id, mut bytes) = ([0; 4], [0; 16]);
        hex::decode_to_slice(number, &mut id).map_err(|error| error.to_string())?;
        hex::decode_to_slice(key, &mut bytes).map_err(|error| error.to_string())?;
        let attributes = Attributes::new(Usage::BaseDerivation, Algorithm::Aes, Mode::Derive);
        let key = Key::new(attributes, &bytes).map_err(|error| error.to_string())?;
        Ok(BaseKey { number: id, key, taken: HashMap::new() })
    }

    /// The keys of the request `message`, which are used up by it.
    ///
    /// # Errors
    /// The code of a wrong MAC for a serial number of another base key, of no transaction, or of one that was there before.
    pub(crate) fn take(&mut self, message: &Message<'_>) -> Result<WorkingKeys, Refusal> {
        let content = message.require(SERIAL).map_err(request::format_error)?.content();
        let bytes = <[u8; 12]>::try_from(&*content)
            .map_err(|_| Refusal::new(FORMAT, "DE 53: a key serial number has 12 bytes"))?;
        let serial = KeySerialNumber::new(bytes);
        let wrong = |what: &str| Refusal::new(WRONG_MAC, format!("DE 53: {what}"));
        if !serial.id.starts_with(&self.number) {
            return Err(wrong("the key serial number is of another base derivation key"));
        }
        let highest = self.taken.get(&serial.id).copied().unwrap_or_default();
        if serial.counter <= highest {
            return Err(wrong("the key serial number was there already"));
        }
        let keys = aes::initial_key(&self.key, serial.id)
            .and_then(|initial| aes::transaction(&initial, serial))
            .and_then(|transaction| WorkingKeys::of_transaction(&transaction))
            .map_err(|error| wrong(&error.to_string()))?;
        keys.check_mac(message)?;
        self.taken.insert(serial.id, serial.counter);
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use iso8583::{Builder, Host, Mti};
    use keys::dukpt::aes::{KeyType, Purpose};
    use keys::mac::{self, Scheme};

    use super::*;

    const BASE: &str = "53500001 000102030405060708090A0B0C0D0E0F";

    fn base_key() -> BaseKey {
        BaseKey::read(BASE).unwrap()
    }

    /// A request under the key with this serial number, as a terminal with that base key makes it.
    fn request(host: &Host, number: [u8; 4], counter: u32) -> Vec<u8> {
        let [a, b, c, d] = number;
        let id = [a, b, c, d, 0, 0, 0, 7];
        let initial = aes::initial_key(&base_key().key, id).unwrap();
        let mut device = aes::Device::new(&initial, id).unwrap();
        let mut next = || device.next(|_| Ok::<(), keys::Error>(())).unwrap();
        let transaction = loop {
            let transaction = next();
            if transaction.serial().counter >= counter {
                break transaction;
            }
        };
        let serial = transaction.serial().to_bytes();
        let mut message = Builder::new(&host.codec, Mti(0x0200));
        message.number(11, 1).bytes(SERIAL, &serial).empty_mac();
        let mut bytes = vec![0; 512];
        let length = message.pack(&mut bytes).unwrap();
        bytes.truncate(length);
        let key = transaction.key(Purpose::MacGeneration, KeyType::Aes128).unwrap();
        let input = host.codec.parse(&bytes).unwrap().mac_input(64).unwrap().to_vec();
        let code = mac::generate(&key, Scheme::Cmac, &input).unwrap();
        host.codec.set_mac(&mut bytes, code.as_bytes().first_chunk().unwrap()).unwrap();
        bytes
    }

    #[test]
    fn a_serial_number_is_taken_once_in_order_and_of_this_base_key_alone() {
        let host: Host = toml::from_str(crate::profile("p2pe-dukpt").unwrap()).unwrap();
        let mut base = base_key();
        let mut take = |number, counter, change: fn(&mut Vec<u8>)| {
            let mut bytes = request(&host, number, counter);
            change(&mut bytes);
            let message = host.codec.parse(&bytes).unwrap();
            base.take(&message).map(|_| ()).map_err(|refusal| refusal.reason)
        };
        let ours = [0x53, 0x50, 0, 1];
        let other_mac = |bytes: &mut Vec<u8>| {
            let last = bytes.last_mut().unwrap();
            *last = if *last == b'0' { b'1' } else { b'0' };
        };
        assert!(take(ours, 2, other_mac).unwrap_err().contains("MAC is wrong"));
        assert_eq!(take(ours, 2, |_| ()), Ok(()), "a wrong MAC uses nothing up");
        assert!(take(ours, 2, |_| ()).unwrap_err().contains("there already"));
        assert!(take(ours, 1, |_| ()).unwrap_err().contains("there already"));
        assert_eq!(take(ours, 5, |_| ()), Ok(()), "what a terminal skipped is skipped");
        assert!(take([0x53, 0x50, 0, 2], 9, |_| ()).unwrap_err().contains("another base"));
    }
}
