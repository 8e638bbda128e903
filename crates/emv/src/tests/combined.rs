//! CDA (Book 2 clause 6.6, Book 4 clause 6.3.2.1), with a card that signs what it is sent.

use super::*;

const ARQC: u8 = 0x80;
const TC: u8 = 0x40;
const CDA: u8 = 0x10;

/// What becomes of the objects of a response.
type Tampering = fn(Vec<u8>) -> Vec<u8>;

/// A card that does CDA, and how it goes wrong.
pub(super) struct Signer {
    card: Card,
    sent: Vec<u8>,
    /// The cryptogram that the first GENERATE AC gets, as far as it was asked for.
    first: u8,
    /// Whether the terminal asks for an ARQC.
    forced: bool,
    /// Changes the response to this GENERATE AC, counted from 1.
    tamper: Option<(usize, Tampering)>,
    /// What the signature says of the cryptogram, where that is not what the response says.
    signed_as: Option<u8>,
    generated: usize,
    /// P1 and the data of each GENERATE AC.
    asked: Vec<(u8, Vec<u8>)>,
}

impl Signer {
    fn new(first: u8) -> Self {
        let card = with(|card| (card.aip, card.cvm_list) = ("3D00", "00000000 00000000 1F00"));
        Self {
            card,
            sent: Vec::new(),
            first,
            forced: first == ARQC,
            tamper: None,
            signed_as: None,
            generated: 0,
            asked: Vec::new(),
        }
    }

    /// One that asks for its issuer.
    pub(super) fn online() -> Self {
        Self::new(ARQC)
    }

    pub(super) fn answer(&mut self, command: &[u8]) -> Vec<u8> {
        match command[1] {
            0xA8 => {
                self.sent = command[7..command.len() - 1].to_vec();
                self.card.answer(command)
            }
            0xAE => self.generate_ac(command[2], &command[5..command.len() - 1]),
            _ => self.card.answer(command),
        }
    }

    fn generate_ac(&mut self, control: u8, values: &[u8]) -> Vec<u8> {
        self.generated += 1;
        self.asked.push((control, values.to_vec()));
        self.sent.extend_from_slice(values);
        let request = control & 0xC0;
        let given = match request {
            ARQC | TC if self.generated == 1 => self.first,
            other => other,
        };
        let cryptogram = [0xA0 | u8::try_from(self.generated).unwrap(); 8];
        let plain = [tlv("9F27", &[given]), tlv("9F36", &[0, 0x21]), tlv("9F10", &bytes("07010103A0B80001"))]
            .concat();
        let mut objects = if given != 0 && control & CDA != 0 {
            let signed = self.signed_as.unwrap_or(given);
            let data = [self.sent.as_slice(), &plain].concat();
            let signature = Personalisation::cryptogram_signature(signed, &cryptogram, &data);
            [plain, tlv("9F4B", &signature)].concat()
        } else {
            [plain, tlv("9F26", &cryptogram)].concat()
        };
        if let Some((at, change)) = self.tamper
            && at == self.generated
        {
            objects = change(objects);
        }
        ok(&tlv("77", &objects))
    }

    fn controls(&self) -> Vec<u8> {
        self.asked.iter().map(|(control, _)| *control).collect()
    }
}

fn config(change: impl Fn(String) -> String) -> Arc<Config> {
    let terminal = change(terminal_with("E0 68 C8"));
    let applications = AIDS.replace("floor_limit = 0", "floor_limit = 5000");
    Arc::new(Config::from_toml_parts(&terminal, &applications, &[&capk_toml()]).unwrap())
}

fn in_mode(mode: u8) -> Arc<Config> {
    config(|terminal| terminal.replace("cda_mode = 1", &format!("cda_mode = {mode}")))
}

fn run_signer(signer: &mut Signer, config: Arc<Config>, world: World<'_>) -> (Kernel, Outcome) {
    let transaction = Transaction { force_online: signer.forced, ..transaction() };
    let mut kernel = Kernel::new(config, transaction);
    let (outcome, _) = run_against(&mut kernel, |command| signer.answer(command), world).unwrap();
    (kernel, outcome)
}

/// The last byte of the signature.
fn break_signature(mut objects: Vec<u8>) -> Vec<u8> {
    if let Some(last) = objects.last_mut() {
        *last ^= 1;
    }
    objects
}

/// The ATC, which the signature covers.
fn break_counter(mut objects: Vec<u8>) -> Vec<u8> {
    objects[8] ^= 1;
    objects
}

fn leave_signature_out(mut objects: Vec<u8>) -> Vec<u8> {
    objects.truncate(20);
    objects
}

fn answer_with_a_bare_cryptogram(objects: Vec<u8>) -> Vec<u8> {
    [leave_signature_out(objects), tlv("9F26", &[0xA1; 8])].concat()
}

const TAMPERINGS: [Tampering; 4] =
    [break_signature, break_counter, leave_signature_out, answer_with_a_bare_cryptogram];

#[test]
fn a_card_is_authenticated_with_both_its_cryptograms() {
    let mut signer = Signer::new(ARQC);
    let (kernel, outcome) = run_signer(&mut signer, in_mode(1), ALL_WELL);
    assert_eq!(outcome.reason, Reason::ApprovedOnline);
    assert_eq!(signer.controls(), [ARQC | CDA, TC | CDA]);
    assert_eq!((outcome.tvr[0], outcome.tsi[0] & 0x80), (0, 0x80));
    assert_eq!(outcome.cryptogram, Some(Cryptogram { kind: CryptogramKind::Tc, value: [0xA2; 8] }));
    assert_eq!(kernel.field_55(&[tags::CRYPTOGRAM]).unwrap(), bytes("9F2608A2A2A2A2A2A2A2A2"));
    assert_eq!(kernel.field_55(&[tags::ICC_DYNAMIC_NUMBER]).unwrap(), bytes("9F4C080102030405060708"));
    assert!(!signer.card.log.iter().any(|command| command[1] == 0x88), "no INTERNAL AUTHENTICATE");
}

#[test]
fn clause_6_6_with_which_cryptograms_a_signature_is_asked_for() {
    let declined = HostAnswer { approved: false, arc: *b"05", ..APPROVED };
    let online = [(1, [0x90, 0x50]), (2, [0x90, 0x40]), (3, [0x80, 0x50]), (4, [0x80, 0x40])];
    for (mode, expected) in online {
        let mut signer = Signer::new(ARQC);
        let (_, outcome) = run_signer(&mut signer, in_mode(mode), ALL_WELL);
        assert_eq!(signer.controls(), expected, "mode {mode}");
        // Byte 1 of the TVR as the first and as the second GENERATE AC have it.
        let results = [signer.asked[0].1[14], signer.asked[1].1[2]];
        assert_eq!(results, [if mode > 2 { 0x80 } else { 0 }, 0], "mode {mode}");
        assert_eq!(outcome.decision, Decision::Approved, "mode {mode}");

        let mut signer = Signer::new(TC);
        let (_, outcome) = run_signer(&mut signer, in_mode(mode), ALL_WELL);
        assert_eq!((signer.controls(), outcome.reason), (vec![0x50], Reason::ApprovedOffline), "mode {mode}");

        let mut signer = Signer::new(ARQC);
        run_signer(&mut signer, in_mode(mode), World { host: Some(declined), ..ALL_WELL });
        assert_eq!(signer.controls()[1], 0x00, "mode {mode}");
    }
}

#[test]
fn a_terminal_that_cannot_go_online_asks_for_a_signed_tc_in_each_mode() {
    for mode in 1..=4 {
        let mut signer = Signer { forced: false, ..Signer::new(ARQC) };
        let world = World { host: None, ..ALL_WELL };
        let (_, outcome) = run_signer(&mut signer, in_mode(mode), world);
        assert_eq!(signer.controls(), [0x50, 0x50], "mode {mode}");
        assert_eq!(outcome.reason, Reason::ApprovedUnableToGoOnline, "mode {mode}: {:02X?}", outcome.tvr);
    }
}

#[test]
fn what_the_terminal_declines_is_not_signed_and_not_authenticated() {
    let mut signer = Signer::new(TC);
    // The issuer's denial code has "PIN entry required and PIN pad not present".
    signer.card = with(|card| (card.aip, card.cvm_list) = ("3D00", "00000000 00000000 0100"));
    let (_, outcome) = run_signer(&mut signer, in_mode(1), ALL_WELL);
    assert_eq!((signer.controls(), outcome.reason), (vec![0x00], Reason::DeclinedByTerminal));
    assert_eq!((outcome.tvr[0], outcome.tsi[0] & 0x80), (0x80, 0));
}

#[test]
fn a_wrong_signature_over_an_arqc_ends_with_an_aac_and_without_the_host() {
    for tamper in TAMPERINGS {
        let mut signer = Signer { tamper: Some((1, tamper)), ..Signer::new(ARQC) };
        let (_, outcome) = run_signer(&mut signer, in_mode(1), ALL_WELL);
        assert_eq!(signer.controls(), [0x90, 0x00]);
        assert_eq!(
            (outcome.decision, outcome.reason, outcome.online),
            (Decision::Declined, Reason::CombinedAuthenticationFailed, Online::NotTried)
        );
        assert_eq!((outcome.tvr[0], outcome.tsi[0] & 0x80, outcome.arc), (0x04, 0x80, Some(*b"Z1")));
        assert_eq!(signer.asked[1].1[..3], [b'Z', b'1', 0x04], "the card is told");
    }
}

#[test]
fn a_wrong_signature_over_a_tc_declines_without_a_second_generate_ac() {
    for tamper in TAMPERINGS {
        let mut signer = Signer { tamper: Some((1, tamper)), ..Signer::new(TC) };
        let (_, outcome) = run_signer(&mut signer, in_mode(1), ALL_WELL);
        assert_eq!(signer.controls(), [0x50]);
        assert_eq!(outcome.reason, Reason::CombinedAuthenticationFailed);
        assert_eq!((outcome.tvr[0], outcome.cryptogram), (0x04, None));
    }
}

#[test]
fn a_wrong_signature_over_the_last_tc_declines_what_the_host_approved() {
    for tamper in TAMPERINGS {
        let mut signer = Signer { tamper: Some((2, tamper)), ..Signer::new(ARQC) };
        let (_, outcome) = run_signer(&mut signer, in_mode(1), ALL_WELL);
        assert_eq!(
            (outcome.decision, outcome.reason),
            (Decision::Declined, Reason::CombinedAuthenticationFailed)
        );
        assert!(outcome.must_reverse());
        assert_eq!(outcome.tvr[0], 0x04);
    }
}

#[test]
fn the_kind_that_the_signature_names_goes_before_that_of_the_response() {
    let mut signer = Signer { signed_as: Some(TC), ..Signer::new(ARQC) };
    let (_, outcome) = run_signer(&mut signer, in_mode(1), ALL_WELL);
    assert_eq!(signer.controls(), [0x90], "as for a TC: no second GENERATE AC");
    assert_eq!(outcome.reason, Reason::CombinedAuthenticationFailed);
}

#[test]
fn a_card_may_decline_without_a_signature() {
    let mut signer = Signer::new(0x00);
    let (_, outcome) = run_signer(&mut signer, in_mode(1), ALL_WELL);
    assert_eq!((signer.controls(), outcome.reason), (vec![0x50], Reason::DeclinedByCard));
    assert_eq!(outcome.tvr[0], 0);
}

#[test]
fn a_card_whose_key_is_not_right_is_asked_for_no_signature() {
    let mut signer = Signer::new(ARQC);
    signer.card.set("00B2031400", &ok(&tlv("70", &[])));
    let (_, outcome) = run_signer(&mut signer, in_mode(1), ALL_WELL);
    assert_eq!(signer.controls(), [0x80, 0x40]);
    assert_eq!(signer.asked[0].1[14], 0x24, "CDA failed, and data are missing, before the action analysis");
    assert_eq!((outcome.decision, outcome.tsi[0] & 0x80), (Decision::Approved, 0x80));
}

#[test]
fn no_byte_of_a_signed_response_can_be_changed() {
    for at in 0.. {
        let mut signer = Signer::new(TC);
        let mut kernel = Kernel::new(in_mode(1), transaction());
        let mut length = 0;
        let flip = |command: &[u8]| {
            let mut response = signer.answer(command);
            if command[1] == 0xAE {
                length = response.len();
                if let Some(byte) = response.get_mut(at) {
                    *byte ^= 0x04;
                }
            }
            response
        };
        let (outcome, _) = run_against(&mut kernel, flip, ALL_WELL).unwrap();
        if at >= length {
            assert!(at > 100, "the response is signed");
            break;
        }
        assert_ne!(outcome.decision, Decision::Approved, "byte {at}");
    }
}

#[test]
fn a_signature_over_another_unpredictable_number_is_wrong() {
    let mut signer = Signer::new(TC);
    let transaction = Transaction { unpredictable_number: [9; 4], ..transaction() };
    let mut kernel = Kernel::new(in_mode(1), transaction);
    let (outcome, _) = run_against(&mut kernel, |command| signer.answer(command), ALL_WELL).unwrap();
    assert_eq!(outcome.reason, Reason::CombinedAuthenticationFailed);
}
