//! What `simctl` can do to the module: `card …`, `pin …`, `key …`, `component …`, `module …`.

use std::cell::RefCell;

use serde_json::json;
use sim_control::Reply;
use zeroize::Zeroizing;

use crate::device::Device;
use crate::key_slots::MasterKeys;
use crate::pin_pad::Deed;

const CARD_HELP: &str =
    "say `card insert NAME`, `card remove`, `card swipe NAME`, `card list`, `card status` or `card trace`";
const PIN_HELP: &str = "say `pin DIGITS`, `pin enter`, `pin cancel`, `pin timeout` or `pin clear`";
const KEY_HELP: &str = "say `key NAME`, or `key NAME CODE` for another security code, `key NAME -` for none";
const COMPONENT_HELP: &str =
    "say `component CODE HEX`: the custodians have the codes 111111, 222222 and 333333";
const MODULE_HELP: &str =
    "say `module tamper`, `module reset`, `module fail TEST`, `module fail none` or `module status`";

/// Carries out the words of one command. `masters` reads the keys of the factory, which a reset loads again.
pub fn command(
    device: &RefCell<Device>,
    words: &[String],
    masters: impl FnOnce() -> Result<MasterKeys, String>,
) -> Reply {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut device = device.borrow_mut();
    match words.as_slice() {
        ["card", "insert", name] => match device.insert(name) {
            Ok(()) => Reply::ok(format!("{name} is in")),
            Err(reason) => Reply::refused(reason),
        },
        ["card", "remove"] => match device.remove() {
            Some(name) => Reply::ok(format!("{name} is out")),
            None => Reply::refused("no card is in the slot"),
        },
        ["card", "swipe", name] => match device.swipe(name) {
            Ok(true) => Reply::ok(format!("{name} is swiped")),
            Ok(false) => Reply::ok(format!("{name} is swiped, and nobody waits for a stripe")),
            Err(reason) => Reply::refused(reason),
        },
        ["card", "list"] => list(),
        ["card", "status"] => card_status(&device),
        ["card", "trace"] => match device.slot.recorder.trace() {
            Some(trace) => Reply::ok(trace.to_string()),
            None => Reply::refused("no card was told anything since the last reset of one"),
        },
        ["card", ..] => Reply::refused(CARD_HELP),
        ["pin", "enter"] => queue(&mut device, Deed::Type(Zeroizing::default())),
        ["pin", "cancel"] => queue(&mut device, Deed::Cancel),
        ["pin", "timeout"] => queue(&mut device, Deed::WalkAway),
        ["pin", "clear"] => {
            device.pad.forget();
            Reply::ok("nothing is queued for the PIN pad")
        }
        ["pin", digits] if digits.len() <= 32 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            queue(&mut device, Deed::Type(Zeroizing::new((*digits).to_owned())))
        }
        ["pin", ..] => Reply::refused(PIN_HELP),
        ["key", name] => key(&mut device, name, None),
        ["key", name, code] if *code == "-" || code.bytes().all(|byte| byte.is_ascii_digit()) => {
            key(&mut device, name, Some(code.trim_start_matches('-')))
        }
        ["component", code, text] => match device.enter_component(code, text) {
            Ok(check) => Reply::ok(format!("taken; its check value is {}", hex::encode(check))),
            Err(reason) => Reply::refused(reason),
        },
        ["component", ..] => Reply::refused(COMPONENT_HELP),
        ["key", ..] => Reply::refused(KEY_HELP),
        ["module", "tamper"] => {
            device.tamper();
            Reply::ok("the case is open; the keys are wiped until `module reset`")
        }
        ["module", "reset"] => match masters().and_then(|masters| device.reset(masters)) {
            Ok(()) => {
                Reply::ok("the module was serviced: it has the keys of the factory, and new ones of its own")
            }
            Err(error) => Reply::refused(error),
        },
        ["module", "fail", test] => match device.fail((*test != "none").then_some(*test)) {
            Ok(()) => Reply::ok("so it is from the next self-test on"),
            Err(error) => Reply::refused(error),
        },
        ["module", "status"] => module_status(&device),
        _ => Reply::refused(MODULE_HELP),
    }
}

fn list() -> Reply {
    let cards: Vec<_> =
        sim_cards::profiles().map(|profile| (profile.name.clone(), profile.description.clone())).collect();
    let text: Vec<String> =
        cards.iter().map(|(name, description)| format!("{name:24} {description}")).collect();
    let data =
        cards.iter().map(|(name, description)| json!({ "name": name, "description": description })).collect();
    Reply::ok(text.join("\n")).with_data(data)
}

fn card_status(device: &Device) -> Reply {
    let card = device.slot.card();
    let text = card.map_or_else(|| "no card is in the slot".to_owned(), |name| format!("{name} is in"));
    Reply::ok(text).with_data(json!({ "card": card, "heard": device.slot.heard() }))
}

fn queue(device: &mut Device, deed: Deed) -> Reply {
    device.pad.queue(deed);
    Reply::ok(if device.pad.asks() { "done at the PIN pad" } else { "queued until the PIN pad asks" })
}

/// Keys what is printed on the card `name`: its number, its expiry date, and its security code or another one.
fn key(device: &mut Device, name: &str, code: Option<&str>) -> Reply {
    let Some(card) = sim_cards::profiles().find(|card| card.name == name) else {
        return Reply::refused(format!("there is no card {name}; `card list` has them"));
    };
    let [year, month, _] = card.expiry;
    let code = Zeroizing::new(code.map_or_else(|| card.security_code(), str::to_owned));
    let parts = [card.pan.digits().to_owned(), format!("{month:02x}{year:02x}"), code.to_string()];
    queue(device, Deed::KeyCard(parts.map(Zeroizing::new)))
}

fn module_status(device: &Device) -> Reply {
    let status = device.status();
    let loaded: Vec<&str> = device.key_slots().filter_map(|(name, loaded)| loaded.then_some(name)).collect();
    let tamper = if status.tampered { "TAMPERED" } else { "untampered" };
    let asks = if device.pad.asks() { "asks for a PIN" } else { "idle" };
    let text = format!(
        "{} {}, not certified, {tamper}; keys: {}; PIN pad: {asks}, {} queued; card: {}",
        status.kind,
        status.serial,
        if loaded.is_empty() { "none".to_owned() } else { loaded.join(" ") },
        device.pad.queued(),
        device.slot.card().unwrap_or("none"),
    );
    Reply::ok(text).with_data(json!({
        "certified": status.certified,
        "tampered": status.tampered,
        "keys": loaded,
        "pin_pad_asks": device.pad.asks(),
        "pin_queued": device.pad.queued(),
        "pin_sounds": device.pad.sounds(),
        "card": device.slot.card(),
    }))
}
