//! What presses of keys come to: a PIN (ISO 9564-1), or a card that is not there, part by part.

use std::fmt;

use keys::{Pan, Pin};
use secure_module::{CardPart, Event};
use zeroize::Zeroizing;

/// A key of the pad. Enter, Clear and Cancel are the command keys of EMV Book 4, 11.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Press {
    /// 0 to 9.
    Digit(u8),
    /// It confirms what was typed.
    Enter,
    /// It takes all digits away that were typed.
    Clear,
    /// It ends the entry.
    Cancel,
}

/// What a press does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed<T> {
    /// Nothing: no digit is taken beyond the longest.
    Nothing,
    /// What the screen shows is another one.
    Shows(Event),
    /// This is the end.
    Ended(T),
}

/// An entry at the pad.
pub(super) trait Typing {
    /// What comes of it.
    type Outcome;

    /// Takes the next press.
    fn press(&mut self, press: Press) -> Typed<Self::Outcome>;
}

/// The digits that are being typed. They are wiped on drop, and never move: there is room for the longest.
struct Digits {
    typed: Zeroizing<String>,
    longest: usize,
}

impl Digits {
    fn new(longest: usize) -> Self {
        Self { typed: Zeroizing::new(String::with_capacity(longest)), longest }
    }

    fn count(&self) -> u8 {
        u8::try_from(self.typed.len()).unwrap_or(u8::MAX)
    }

    /// Returns whether it was taken.
    fn push(&mut self, digit: u8) -> bool {
        let digit = char::from_digit(digit.into(), 10).filter(|_| self.typed.len() < self.longest);
        self.typed.extend(digit);
        digit.is_some()
    }
}

/// The entry of a PIN.
pub(super) struct PinTyping {
    digits: Digits,
    shortest: u8,
    bypass: bool,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TypedPin {
    Entered(Pin),
    Bypassed,
    Cancelled,
}

impl PinTyping {
    /// Of a PIN of `shortest` to `longest` digits; `bypass` says whether Enter alone means that there is none.
    pub(super) fn new(shortest: u8, longest: u8, bypass: bool) -> Self {
        Self { digits: Digits::new(longest.into()), shortest, bypass }
    }

    /// A PIN that can't be one is cleared, and the pad waits on.
    fn enter(&mut self) -> Typed<TypedPin> {
        if self.bypass && self.digits.count() == 0 {
            return Typed::Ended(TypedPin::Bypassed);
        }
        match Pin::new(&self.digits.typed) {
            Ok(pin) if self.digits.count() >= self.shortest => Typed::Ended(TypedPin::Entered(pin)),
            _ => self.clear(),
        }
    }

    fn clear(&mut self) -> Typed<TypedPin> {
        self.digits = Digits::new(self.digits.longest);
        Typed::Shows(Event::PinDigits(0))
    }
}

impl Typing for PinTyping {
    type Outcome = TypedPin;

    fn press(&mut self, press: Press) -> Typed<TypedPin> {
        match press {
            Press::Digit(digit) if self.digits.push(digit) => {
                Typed::Shows(Event::PinDigits(self.digits.count()))
            }
            Press::Digit(_) => Typed::Nothing,
            Press::Enter => self.enter(),
            Press::Clear => self.clear(),
            Press::Cancel => Typed::Ended(TypedPin::Cancelled),
        }
    }
}

/// A card that was keyed. It is wiped on drop, and prints masked.
#[derive(PartialEq, Eq)]
pub(super) struct KeyedCard {
    pub(super) pan: Pan,
    /// YYMM.
    expiry: Zeroizing<String>,
    /// Empty where none was keyed.
    code: Zeroizing<String>,
}

impl KeyedCard {
    /// The equivalent of its track 2, in the form of tag 57: service code 000, the security code as discretionary data.
    pub(super) fn track2(&self) -> Option<Zeroizing<Vec<u8>>> {
        let (pan, expiry, code) = (self.pan.digits(), self.expiry.as_str(), self.code.as_str());
        let mut track = Zeroizing::new(String::with_capacity(pan.len() + expiry.len() + code.len() + 5));
        for part in [pan, "d", expiry, "000", code] {
            track.push_str(part);
        }
        if track.len() % 2 == 1 {
            track.push('f');
        }
        hex::decode(&*track).ok().map(Zeroizing::new)
    }
}

impl fmt::Debug for KeyedCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyedCard({})", self.pan.masked())
    }
}

/// The entry of a card: number, expiry date and, where it is asked for, security code, each with Enter.
pub(super) struct CardTyping {
    security_code: bool,
    digits: Digits,
    pan: Option<Pan>,
    expiry: Option<Zeroizing<String>>,
}

impl CardTyping {
    /// `security_code` says whether that is asked for, too; Enter alone leaves it out.
    pub(super) fn new(security_code: bool) -> Self {
        Self { security_code, digits: Digits::new(longest(CardPart::Number)), pan: None, expiry: None }
    }

    fn part(&self) -> CardPart {
        match (&self.pan, &self.expiry) {
            (None, _) => CardPart::Number,
            (_, None) => CardPart::Expiry,
            _ => CardPart::SecurityCode,
        }
    }

    /// Takes the part that was typed. What can't be right is cleared, and the pad waits on.
    fn enter(&mut self) -> Typed<Option<KeyedCard>> {
        let complete = match self.part() {
            CardPart::Number => {
                let enough = self.digits.count() >= SHORTEST_PAN;
                self.pan = Pan::new(&self.digits.typed).ok().filter(|pan| enough && pan.luhn_valid());
                false
            }
            CardPart::Expiry => {
                self.expiry = yymm(&self.digits.typed);
                self.expiry.is_some() && !self.security_code
            }
            CardPart::SecurityCode => matches!(self.digits.count(), 0 | 3 | 4),
        };
        if !complete {
            return self.clear();
        }
        let code = if self.security_code { self.digits.typed.clone() } else { Zeroizing::default() };
        let card = self.pan.take().zip(self.expiry.take());
        Typed::Ended(card.map(|(pan, expiry)| KeyedCard { pan, expiry, code }))
    }

    /// Begins anew with the part that is asked for.
    fn clear(&mut self) -> Typed<Option<KeyedCard>> {
        self.digits = Digits::new(longest(self.part()));
        Typed::Shows(Event::CardDigits(self.part(), 0))
    }
}

impl Typing for CardTyping {
    /// None where it was cancelled.
    type Outcome = Option<KeyedCard>;

    fn press(&mut self, press: Press) -> Typed<Option<KeyedCard>> {
        match press {
            Press::Digit(digit) if self.digits.push(digit) => {
                Typed::Shows(Event::CardDigits(self.part(), self.digits.count()))
            }
            Press::Digit(_) => Typed::Nothing,
            Press::Enter => self.enter(),
            Press::Clear => self.clear(),
            Press::Cancel => Typed::Ended(None),
        }
    }
}

/// The fewest digits of a number that the pad takes; ISO/IEC 7812-1 has at most 19.
const SHORTEST_PAN: u8 = 12;

fn longest(part: CardPart) -> usize {
    match part {
        CardPart::Number => 19,
        CardPart::Expiry | CardPart::SecurityCode => 4,
    }
}

/// An expiry date as tracks have it, from MMYY as cards show it.
fn yymm(digits: &str) -> Option<Zeroizing<String>> {
    let (month, year) = digits.split_at_checked(2).filter(|(_, year)| year.len() == 2)?;
    ("01"..="12").contains(&month).then(|| Zeroizing::new([year, month].concat()))
}

#[cfg(test)]
mod tests {
    use keys::Track2;

    use super::*;

    const PAN: &str = "4111110000000039";

    /// Types digits, `e`nter, `c`lear and e`x`it; the last thing that came of it.
    fn type_in<T: Typing>(typing: &mut T, text: &str) -> Typed<T::Outcome> {
        let press = |key: char| match key {
            'e' => Press::Enter,
            'c' => Press::Clear,
            'x' => Press::Cancel,
            digit => Press::Digit(u8::try_from(digit.to_digit(10).unwrap()).unwrap()),
        };
        text.chars().map(|key| typing.press(press(key))).last().unwrap()
    }

    fn pin(text: &str) -> Typed<TypedPin> {
        type_in(&mut PinTyping::new(4, 6, false), text)
    }

    fn entered(digits: &str) -> Typed<TypedPin> {
        Typed::Ended(TypedPin::Entered(Pin::new(digits).unwrap()))
    }

    #[test]
    fn a_pin_ends_with_enter_and_not_with_its_last_digit() {
        assert_eq!(pin("123456"), Typed::Shows(Event::PinDigits(6)));
        assert_eq!(pin("123456e"), entered("123456"));
        assert_eq!(pin("0000e"), entered("0000"));
    }

    #[test]
    fn a_digit_beyond_the_longest_pin_is_neither_taken_nor_shown() {
        assert_eq!(pin("1234567"), Typed::Nothing);
        assert_eq!(pin("1234567e"), entered("123456"));
    }

    #[test]
    fn clear_and_a_pin_that_is_too_short_leave_no_digit() {
        for cleared in ["12345c", "123e", "e", "c"] {
            assert_eq!(pin(cleared), Typed::Shows(Event::PinDigits(0)), "{cleared}");
            assert_eq!(pin(&format!("{cleared}9876e")), entered("9876"), "{cleared}");
        }
    }

    #[test]
    fn enter_alone_bypasses_only_where_that_is_allowed_and_no_digit_was_typed() {
        let bypassing = |text| type_in(&mut PinTyping::new(4, 6, true), text);
        assert_eq!(bypassing("e"), Typed::Ended(TypedPin::Bypassed));
        assert_eq!(bypassing("12ce"), Typed::Ended(TypedPin::Bypassed));
        assert_eq!(bypassing("12e"), Typed::Shows(Event::PinDigits(0)));
    }

    #[test]
    fn cancel_ends_a_pin_whatever_was_typed() {
        assert_eq!(pin("1234x"), Typed::Ended(TypedPin::Cancelled));
    }

    fn card(security_code: bool, text: &str) -> Typed<Option<KeyedCard>> {
        type_in(&mut CardTyping::new(security_code), text)
    }

    fn track(typed: Typed<Option<KeyedCard>>) -> (String, String, String) {
        let Typed::Ended(Some(card)) = typed else { panic!("the pad still waits") };
        let track = Track2::from_bytes(&card.track2().unwrap()).unwrap();
        assert_eq!((track.pan().digits(), track.service_code()), (PAN, "000"));
        (track.expiry().to_owned(), track.service_code().to_owned(), track.discretionary().to_owned())
    }

    #[test]
    fn number_and_expiry_become_a_track_of_service_code_000_with_the_code_behind_it() {
        let expected = |code: &str| ("4912".to_owned(), "000".to_owned(), code.to_owned());
        assert_eq!(track(card(false, &format!("{PAN}e1249e"))), expected(""));
        assert_eq!(track(card(true, &format!("{PAN}e1249e039e"))), expected("039"));
        assert_eq!(track(card(true, &format!("{PAN}e1249ee"))), expected(""));
    }

    #[test]
    fn a_part_that_can_not_be_right_is_asked_for_again() {
        for (wrong, part) in [
            ("4111110000000038e", CardPart::Number),
            ("41111e", CardPart::Number),
            ("e", CardPart::Number),
            ("4111110000000039e1349e", CardPart::Expiry),
            ("4111110000000039e0049e", CardPart::Expiry),
            ("4111110000000039e124e", CardPart::Expiry),
            ("4111110000000039e1249e01e", CardPart::SecurityCode),
        ] {
            assert_eq!(card(true, wrong), Typed::Shows(Event::CardDigits(part, 0)), "{wrong}");
        }
        let again = "4111110000000038e4111110000000039e1349e1249e01e039e";
        assert_eq!(track(card(true, again)).2, "039");
    }

    #[test]
    fn cancel_ends_a_card_in_every_part() {
        for text in ["41x", "4111110000000039ex", "4111110000000039e1249e03x"] {
            assert_eq!(card(true, text), Typed::Ended(None), "{text}");
        }
    }
}
