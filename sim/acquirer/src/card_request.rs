//! What every request with a card brings, read and checked for form.

use iso8583::Message;
use keys::Track2;
use keys::emv::CryptogramInput;

use crate::CURRENCY;
use crate::chip::ChipData;
use crate::dialect::Dialect;
use crate::instalments;
use crate::issuer::{Issuer, Terms};
use crate::ledger::Key;
use crate::moto;
use crate::request::{self, FORMAT, INVALID, INVALID_AMOUNT, Refusal};
use crate::service::{Form, Service};
use crate::stripe::Swipe;
use crate::working_keys::WorkingKeys;

/// Where a card was read.
const CARD: [u8; 4] = [22, 23, 35, 53];
/// Where one was swiped.
const SWIPED: [u8; 3] = [22, 35, 53];
/// Where one was keyed.
const KEYED: [u8; 3] = [22, 53, moto::CARD];
const AMOUNT: u8 = 4;
const CHIP_DATA: u8 = 55;
/// PIN capture code and PIN block: both or none.
const PIN: [u8; 2] = [26, 52];

/// A card request, right in its form.
pub(crate) struct CardRequest<'a> {
    pub(crate) message: &'a Message<'a>,
    pub(crate) service: Service,
    /// Whether it names an original.
    pub(crate) follows: bool,
    /// Whether it tells of what card and terminal have approved.
    pub(crate) offline: bool,
    /// Whether it, or what it takes back, is paid in instalments.
    pub(crate) in_instalments: bool,
    /// Whether the card's number was keyed.
    pub(crate) moto: bool,
    /// How the card was swiped, where it was.
    pub(crate) swipe: Option<Swipe>,
    /// The number of its own instalments; 0 for none.
    pub(crate) instalments: u8,
    pub(crate) key: Key,
    /// DE 4; nothing in a balance inquiry.
    pub(crate) amount: u64,
    pub(crate) keys: WorkingKeys,
}

/// What the card gave.
pub(crate) struct CardData {
    pub(crate) track: Track2,
    /// DE 23; none where the card was keyed or swiped.
    pub(crate) psn: Option<String>,
    pub(crate) pin_block: Option<Vec<u8>>,
    /// What the card signed, and its cryptogram, where it was asked to decide.
    pub(crate) cryptogram: Option<(CryptogramInput, [u8; 8])>,
}

impl<'a> CardRequest<'a> {
    /// Checks `message` by `profile`; `keys` are those of its terminal, if it has signed on.
    ///
    /// # Errors
    /// What is wrong with its elements, its terminal, its MAC or its form.
    pub(crate) fn read(
        profile: &iso8583::Host,
        message: &'a Message<'a>,
        keys: Option<&WorkingKeys>,
    ) -> Result<CardRequest<'a>, Refusal> {
        let dialect = Dialect::of(profile);
        let form = Form::of_request(dialect, message)?;
        let service = form.service;
        let mut mandatory = dialect.transaction();
        mandatory.push(message.mac_number());
        let moto = moto::is_meant(message, form);
        let swipe = Swipe::of_request(message, form);
        let card = match swipe {
            _ if moto => &KEYED[..],
            Some(_) => &SWIPED,
            None => &CARD,
        };
        mandatory.extend(card.iter().filter(|_| service.has_card()));
        mandatory.extend(service.has_amount().then_some(AMOUNT));
        mandatory.extend((service.has_chip_data() && !moto && swipe.is_none()).then_some(CHIP_DATA));
        mandatory.extend(instalments::has_number(message, form).then_some(instalments::NUMBER));
        mandatory.extend(dialect.original().iter().filter(|_| form.original));
        // Nobody has checked a PIN offline, and none is kept for later.
        let optional: &[u8] = if service.has_card() && !form.offline && !moto { &PIN } else { &[] };
        request::check_elements(message, &mandatory, optional)?;
        request::check_terminal(message)?;
        let keys = request::check_mac(message, keys)?.clone();
        let batch = form.check(dialect, message)?;
        request::check_is(message, 49, CURRENCY, INVALID)?;
        if service.has_card() {
            check_card(&profile.security, message, moto, swipe)?;
        }
        let amount = if service.has_amount() { request::amount(message)? } else { 0 };
        if service.has_amount() && amount == 0 {
            return Err(Refusal::new(INVALID_AMOUNT, "DE 4: the amount is zero"));
        }
        let key = Key { terminal: request::text(message, 41)?, batch, stan: request::text(message, 11)? };
        let (follows, in_instalments) = (form.original, instalments::is_meant(message, form));
        let instalments = instalments::number(message)?;
        if in_instalments && instalments == 0 && !follows {
            return Err(Refusal::new(
                INVALID,
                "DE 25: this needs the sale in instalments that it takes back",
            ));
        }
        let offline = form.offline;
        Ok(CardRequest {
            message,
            service,
            follows,
            offline,
            in_instalments,
            moto,
            swipe,
            instalments,
            key,
            amount,
            keys,
        })
    }

    /// Opens what the terminal has sealed, and reads what the chip says; `now` is the host's day.
    ///
    /// # Errors
    /// Code 30 or 12 for card data that are malformed, or speak of another transaction.
    pub(crate) fn card_data(&self, today: jiff::civil::Date) -> Result<CardData, Refusal> {
        let message = self.message;
        let number = if self.moto { moto::CARD } else { 35 };
        let sealed = message.require(number).map_err(request::format_error)?;
        let track = self.keys.track2(number, &sealed.content())?;
        if self.moto {
            moto::check_track(&track)?;
            return Ok(CardData { track, psn: None, pin_block: None, cryptogram: None });
        }
        let block = message.get(52).map(|value| value.content());
        if let Some(swipe) = self.swipe {
            swipe.check_track(&track)?;
            let pin_block = block.map(|block| block.into_owned());
            return Ok(CardData { track, psn: None, pin_block, cryptogram: None });
        }
        let psn = Some(request::text(message, 23)?);
        if !self.service.has_chip_data() {
            let pin_block = block.map(|block| block.into_owned());
            return Ok(CardData { track, psn, pin_block, cryptogram: None });
        }
        let content = message.require(CHIP_DATA).map_err(request::format_error)?.content();
        let chip = ChipData::parse(&content)?;
        let processing = request::text(message, 3)?;
        let kind = processing.get(..2).unwrap_or_default();
        let terms = Terms { amount: self.amount, currency: CURRENCY, kind, today, offline: self.offline };
        Issuer::check_terms(&chip, &terms)?;
        let pin_block = Issuer::pin_block(&chip, block.as_deref())?;
        let cryptogram = Some((chip.cryptogram_input()?, chip.get(0x9F26)?));
        Ok(CardData { track, psn, pin_block, cryptogram })
    }
}

/// Checks the elements that say how the card was read and the message protected.
fn check_card(
    security: &iso8583::Security,
    message: &Message<'_>,
    moto: bool,
    swipe: Option<Swipe>,
) -> Result<(), Refusal> {
    let [capture, block] = PIN.map(|number| message.get(number).is_some());
    if capture != block {
        return Err(Refusal::new(FORMAT, "DE 26 and DE 52: both or none"));
    }
    // 05: chip, 07: contactless chip. 1: with PIN, 2: without.
    let entry = request::text(message, 22)?;
    let expected = if block { ["051", "071"] } else { ["052", "072"] };
    if moto {
        moto::check_entry(message)?;
    } else if let Some(swipe) = swipe {
        request::check_is(message, 22, swipe.entry_mode(block), FORMAT)?;
    } else if !expected.contains(&entry.as_str()) {
        let [a, b] = expected;
        return Err(Refusal::new(FORMAT, format!("DE 22: expected {a} or {b}, got {entry}")));
    }
    let control = if block { &security.with_pin } else { &security.without_pin };
    control.as_ref().map_or(Ok(()), |control| request::check_is(message, 53, control, FORMAT))
}
