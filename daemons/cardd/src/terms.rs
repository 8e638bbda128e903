//! What a transaction is for, as `CardPayment1.Start` is asked for it: read, and refused where it is wrong.

use emv::Flow;
use jiff::civil::DateTime;
use secure_module::Amount;
use service::options::{Dictionary, Options};
use service::{Error, Result, currency};

/// The largest amount, in minor units: 9F02 has 12 digits.
const MAX_AMOUNT: u64 = 999_999_999_999;
/// The largest transaction sequence counter: 9F41 has 8 digits.
const MAX_COUNTER: u32 = 99_999_999;
/// How many random bytes a transaction is made with.
pub(crate) const ENTROPY: u16 = 8;

/// A service of the payment API, as far as the card is concerned.
#[derive(Debug, PartialEq, Eq)]
struct Service {
    /// The word that the API has for it.
    name: &'static str,
    /// 9C: the first two digits of DE 3.
    kind: u8,
    /// Whether the card decides, too; else it is only identified.
    full: bool,
}

/// What `type` may be. The first is meant where it is not given.
const SERVICES: [Service; 9] = [
    Service { name: SALE, kind: 0x00, full: true },
    Service { name: "void", kind: 0x20, full: false },
    Service { name: "refund", kind: 0x20, full: false },
    Service { name: "preauthorisation", kind: 0x03, full: true },
    Service { name: "increment", kind: 0x03, full: false },
    Service { name: "preauthorisation-cancel", kind: 0x20, full: false },
    Service { name: "completion", kind: 0x00, full: false },
    Service { name: "completion-void", kind: 0x20, full: false },
    Service { name: BALANCE, kind: 0x31, full: true },
];
/// The one service that may be approved without the host.
const SALE: &str = "sale";
/// The services that are also there for a card whose number is keyed.
const KEYED: [&str; 3] = [SALE, "void", "refund"];
/// The one service without money.
const BALANCE: &str = "balance";

/// Whose keys protect what leaves of the card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Those that the host sent at the sign-on.
    #[default]
    WorkingKeys,
    /// Those of the next DUKPT transaction.
    Dukpt,
}

/// How the terminal comes to know the card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is put in.
    #[default]
    Card,
    /// Its number is keyed.
    Keyed {
        /// Whether its security code is asked for.
        security_code: bool,
    },
}

/// How a card is taken that is swiped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SwipeTerms {
    /// Whether its holder enters a PIN; `None` where that is for the card's service code to say.
    pub(crate) pin: Option<bool>,
}

/// The terms of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    protection: Protection,
    entry: Entry,
    flow: Flow,
    /// Whether card and terminal may approve it without the host.
    offline: bool,
    /// Whether somebody has the customer choose among the card's applications.
    choose_application: bool,
    /// Whether the host takes a card that is swiped.
    stripe: bool,
    /// 9C.
    kind: u8,
    amount: Amount,
    date: [u8; 3],
    time: [u8; 3],
    counter: u32,
}

impl Terms {
    /// Reads what `Start` was given: minor units, three letters of ISO 4217, `YYMMDDhhmmss`, up to eight
    /// digits, and the options `type`, `protection`, `pin`, `offline`, `choose_application`, `stripe`, `keyed` and
    /// `security_code`.
    pub(crate) fn new(
        minor_units: u64,
        currency: &str,
        when: &str,
        counter: u32,
        options: Dictionary,
    ) -> Result<Terms> {
        let mut options = Options::new("options", options);
        let service = service(options.take::<String>("type")?.as_deref())?;
        let protection = protection(options.take::<String>("protection")?.as_deref())?;
        let pin = options.take("pin")?;
        let offline = options.take("offline")?.unwrap_or_default();
        let choose_application = options.take("choose_application")?.unwrap_or_default();
        let stripe = options.take("stripe")?.unwrap_or_default();
        let keyed = options.take("keyed")?.unwrap_or_default();
        let security_code = options.take("security_code")?.unwrap_or_default();
        options.finish()?;
        let entry = if keyed { Entry::Keyed { security_code } } else { Entry::Card };
        if keyed && stripe {
            return Err(Error::invalid("options.stripe", "a card that is keyed is not swiped"));
        }
        check_entry(entry, security_code, service, protection)?;
        if keyed && choose_application {
            return Err(Error::invalid(
                "options.choose_application",
                "a card that is keyed has none to choose",
            ));
        }
        let flow = match (service.full, pin) {
            (true, Some(true)) => {
                let problem = format!("a card decides itself whether it wants a PIN for a {}", service.name);
                return Err(Error::invalid("options.pin", problem));
            }
            (true, _) => Flow::Full,
            (false, pin) => Flow::Identify { pin: pin.unwrap_or_default() },
        };
        if offline && service.name != SALE {
            let problem = format!("a {} is never approved without the host", service.name);
            return Err(Error::invalid("options.offline", problem));
        }
        let allowed = if service.name == BALANCE { 0..=0 } else { 1..=MAX_AMOUNT };
        if !allowed.contains(&minor_units) {
            let (least, most) = (allowed.start(), allowed.end());
            let problem = format!("{minor_units} is not from {least} to {most} minor units");
            return Err(Error::invalid("amount", problem));
        }
        let currency = currency::by_letters(currency).ok_or_else(|| {
            Error::invalid("currency", "it is none that we know; give three capital letters of ISO 4217")
        })?;
        if counter > MAX_COUNTER {
            return Err(Error::invalid("counter", format!("{counter} has more than eight digits")));
        }
        let (date, time) = date_and_time(when)
            .ok_or_else(|| Error::invalid("when", "give an existing local time as YYMMDDhhmmss"))?;
        let amount = Amount { minor_units, currency: currency.code, exponent: currency.exponent };
        let kind = service.kind;
        Ok(Terms {
            protection,
            entry,
            flow,
            offline,
            choose_application,
            stripe,
            kind,
            amount,
            date,
            time,
            counter,
        })
    }

    /// Whose keys protect what leaves of the card.
    pub(crate) fn protection(&self) -> Protection {
        self.protection
    }

    /// How the terminal comes to know the card.
    pub(crate) fn entry(&self) -> Entry {
        self.entry
    }

    /// Whether somebody has the customer choose among the card's applications.
    pub(crate) fn choose_application(&self) -> bool {
        self.choose_application
    }

    /// How a card is taken that is swiped; `None` where the host takes none.
    pub(crate) fn swipe(&self) -> Option<SwipeTerms> {
        let pin = match self.flow {
            Flow::Full => None,
            Flow::Identify { pin } => Some(pin),
        };
        self.stripe.then_some(SwipeTerms { pin })
    }

    /// What the PIN pad shows: nothing where no money moves.
    pub(crate) fn amount(&self) -> Option<Amount> {
        Some(self.amount).filter(|amount| amount.minor_units > 0)
    }

    /// The terms as the kernel takes it; `entropy` is fresh from the module.
    pub(crate) fn transaction(&self, entropy: [u8; 8]) -> emv::Transaction {
        let [a, b, c, d, rest @ ..] = entropy;
        // Over 32 bits the remainder favours no percentage by more than one part in 40 million.
        let percent = u32::from_be_bytes(rest) % 99 + 1;
        emv::Transaction {
            flow: self.flow,
            kind: self.kind,
            amount: self.amount.minor_units,
            other: 0,
            currency: self.amount.currency,
            currency_exponent: self.amount.exponent,
            date: self.date,
            time: self.time,
            unpredictable_number: [a, b, c, d],
            random_percent: u8::try_from(percent).unwrap_or(1),
            sequence: self.counter,
            online_only: !self.offline,
            force_online: false,
        }
    }
}

/// Whether a card may be keyed for `service`.
fn check_entry(entry: Entry, security_code: bool, service: &Service, protection: Protection) -> Result<()> {
    match entry {
        Entry::Card if security_code => {
            Err(Error::invalid("options.security_code", "it is asked for where the card is keyed"))
        }
        Entry::Keyed { .. } if !KEYED.contains(&service.name) => {
            let problem = format!("a {} needs the card itself", service.name);
            Err(Error::invalid("options.keyed", problem))
        }
        Entry::Keyed { .. } if protection == Protection::Dukpt => Err(Error::invalid(
            "options.keyed",
            "a keyed card is sealed under the working keys, not by DUKPT",
        )),
        _ => Ok(()),
    }
}

/// The service that `type` names.
fn service(name: Option<&str>) -> Result<&'static Service> {
    let [first, ..] = &SERVICES;
    let Some(name) = name else { return Ok(first) };
    SERVICES.iter().find(|service| service.name == name).ok_or_else(|| {
        let names: Vec<&str> = SERVICES.iter().map(|service| service.name).collect();
        Error::invalid("options.type", format!("`{name}` is none of {}", names.join(", ")))
    })
}

fn protection(name: Option<&str>) -> Result<Protection> {
    match name {
        None | Some("working-keys") => Ok(Protection::WorkingKeys),
        Some("dukpt") => Ok(Protection::Dukpt),
        Some(other) => {
            let problem = format!("`{other}` is none of working-keys, dukpt");
            Err(Error::invalid("options.protection", problem))
        }
    }
}

/// BCD date and time of twelve digits that are an existing moment.
fn date_and_time(when: &str) -> Option<([u8; 3], [u8; 3])> {
    if when.len() != 12 || !when.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    DateTime::strptime("%y%m%d%H%M%S", when).ok()?;
    let mut bcd = [0; 6];
    for (byte, pair) in bcd.iter_mut().zip(when.as_bytes().chunks_exact(2)) {
        *byte = pair.iter().fold(0, |packed, digit| packed << 4 | (digit & 0x0F));
    }
    let [year, month, day, hour, minute, second] = bcd;
    Some(([year, month, day], [hour, minute, second]))
}

#[cfg(test)]
mod tests {
    use zbus::OwnedVariant;

    use super::*;

    fn refused(terms: Result<Terms>) -> String {
        match terms {
            Err(Error::InvalidArgument(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    fn options<const N: usize>(options: [(&str, OwnedVariant); N]) -> Dictionary {
        options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn word(word: &str) -> OwnedVariant {
        zbus::Variant::from(word).try_into_owned().unwrap()
    }

    /// Terms with these options, and an amount that fits the service.
    fn of<const N: usize>(given: [(&str, OwnedVariant); N]) -> Result<Terms> {
        let balance = given.iter().any(|(_, value)| *value == word(BALANCE));
        Terms::new(if balance { 0 } else { 1234 }, "CNY", "261122235959", 7, options(given))
    }

    #[test]
    fn a_sale_becomes_what_the_kernel_takes() {
        let transaction = of([]).unwrap().transaction([1, 2, 3, 4, 0, 0, 0, 98]);
        assert_eq!((transaction.flow, transaction.kind), (Flow::Full, 0x00));
        assert_eq!((transaction.amount, transaction.other), (1234, 0));
        assert_eq!((transaction.currency, transaction.currency_exponent), (156, 2));
        assert_eq!((transaction.date, transaction.time), ([0x26, 0x11, 0x22], [0x23, 0x59, 0x59]));
        assert_eq!((transaction.unpredictable_number, transaction.random_percent), ([1, 2, 3, 4], 99));
    }

    #[test]
    fn each_argument_is_checked_and_named() {
        let new =
            |amount, currency, when, counter| Terms::new(amount, currency, when, counter, Dictionary::new());
        let when = "261122235959";
        assert!(refused(new(0, "CNY", when, 1)).starts_with("amount: "));
        assert!(refused(new(1_000_000_000_000, "CNY", when, 1)).starts_with("amount: "));
        assert!(refused(new(1, "cny", when, 1)).starts_with("currency: "));
        assert!(refused(new(1, "CNY", when, 100_000_000)).starts_with("counter: "));
        for wrong in
            ["", "2611222359", "261322235959", "260230120000", "261122246000", "26112223595x", "２６１１"]
        {
            assert!(refused(new(1, "CNY", wrong, 1)).starts_with("when: "), "{wrong}");
        }
    }

    #[test]
    fn each_service_has_its_transaction_type_and_its_flow() {
        let identified = Flow::Identify { pin: false };
        for (name, kind, flow) in [
            ("sale", 0x00, Flow::Full),
            ("void", 0x20, identified),
            ("refund", 0x20, identified),
            ("preauthorisation", 0x03, Flow::Full),
            ("increment", 0x03, identified),
            ("preauthorisation-cancel", 0x20, identified),
            ("completion", 0x00, identified),
            ("completion-void", 0x20, identified),
            ("balance", 0x31, Flow::Full),
        ] {
            let terms = of([("type", word(name))]).unwrap();
            assert_eq!((terms.kind, terms.flow), (kind, flow), "{name}");
            assert_eq!(terms.amount().is_none(), name == BALANCE, "{name}");
        }
        assert!(
            refused(of([("type", word("tip"))])).starts_with("options.type: `tip` is none of sale, void")
        );
    }

    #[test]
    fn who_asks_says_whether_an_identified_card_needs_a_pin_and_a_card_that_decides_says_it_itself() {
        let pin = |service, pin: bool| of([("type", word(service)), ("pin", pin.into())]);
        assert_eq!(pin("void", true).unwrap().flow, Flow::Identify { pin: true });
        assert_eq!(pin("sale", false).unwrap().flow, Flow::Full);
        assert!(refused(pin("sale", true)).starts_with("options.pin: "));
    }

    #[test]
    fn a_card_is_protected_by_the_working_keys_unless_dukpt_is_asked_for() {
        assert_eq!(of([]).unwrap().protection(), Protection::WorkingKeys);
        assert_eq!(of([("protection", word("dukpt"))]).unwrap().protection(), Protection::Dukpt);
        assert!(refused(of([("protection", word("none"))])).starts_with("options.protection: "));
    }

    #[test]
    fn a_balance_inquiry_has_no_amount_and_everything_else_has_one() {
        let terms =
            |amount, name| Terms::new(amount, "CNY", "261122235959", 7, options([("type", word(name))]));
        assert!(refused(terms(1, BALANCE)).starts_with("amount: "));
        assert!(refused(terms(0, "void")).starts_with("amount: "));
    }

    #[test]
    fn a_card_is_keyed_for_a_sale_a_void_or_a_refund_under_working_keys() {
        let keyed = |service| of([("type", word(service)), ("keyed", true.into())]);
        for service in ["sale", "void", "refund"] {
            assert_eq!(keyed(service).unwrap().entry(), Entry::Keyed { security_code: false });
        }
        assert!(refused(keyed("preauthorisation")).starts_with("options.keyed: "));
        let code = |keyed: bool| of([("keyed", keyed.into()), ("security_code", true.into())]);
        assert_eq!(code(true).unwrap().entry(), Entry::Keyed { security_code: true });
        assert!(refused(code(false)).starts_with("options.security_code: "));
        let dukpt = of([("keyed", true.into()), ("protection", word("dukpt"))]);
        assert!(refused(dukpt).starts_with("options.keyed: "));
    }

    #[test]
    fn only_a_sale_may_be_approved_without_the_host_and_only_where_who_asks_says_so() {
        let offline = |service| of([("type", word(service)), ("offline", true.into())]);
        assert!(!offline("sale").unwrap().transaction([0; 8]).online_only);
        assert!(of([]).unwrap().transaction([0; 8]).online_only);
        for service in ["void", "preauthorisation", "balance"] {
            assert!(refused(offline(service)).starts_with("options.offline: "), "{service}");
        }
    }
}
