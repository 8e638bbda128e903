//! TDES DUKPT against the published vectors: ANSI X9.24-1:2009, A.4.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise"
)]

use keys::dukpt::State;
use keys::dukpt::tdes::{self, Device, KeySerialNumber, Transaction, Way};
use keys::mac::{self, Padding, Scheme};
use keys::pin_block::{self, Format};
use keys::{Algorithm, Attributes, Error, Key, Mode, Pan, Pin, Usage};

/// A.4.2, the first 21 transactions: serial number, enciphered PIN block, request and response MAC, and enciphered data.
const FIRST: &[[&str; 5]] = &[
    [
        "FFFF9876543210E00001",
        "1B9C1845EB993A7A",
        "9CCC7817",
        "20364223",
        "FC0D53B7EA1FDA9EE68AAF2E70D9B9506229BE2AA993F04F",
    ],
    [
        "FFFF9876543210E00002",
        "10A01C8D02C69107",
        "F608A9BC",
        "D1FCA6BE",
        "A2B4E70F846E63D68775B7215EB4563DFD3037244C61CC13",
    ],
    [
        "FFFF9876543210E00003",
        "18DC07B94797B466",
        "20B59A4F",
        "BAD4CC9C",
        "BD751E65F10E75B6C1D5B1D283496A36C2DE21D993C387A7",
    ],
    [
        "FFFF9876543210E00004",
        "0BC79509D5645DF7",
        "C7BFA6CC",
        "1EB08AEE",
        "1118F50947441BBDA3C8C70220021A12EC31CC473F7215F4",
    ],
    [
        "FFFF9876543210E00005",
        "5BC0AF22AD87B327",
        "0202B963",
        "5CBE3E81",
        "9FD7BD1EC28845ACA93367A9DA9317BD555C6B33AE22D365",
    ],
    [
        "FFFF9876543210E00006",
        "A16DF70AE36158D8",
        "CF6C72E6",
        "C60D38E8",
        "DC526613AD9095C1CEC60C41B7686ED606AC1AA2F4F54912",
    ],
    [
        "FFFF9876543210E00007",
        "27711C16CB257F8E",
        "B11EB0D9",
        "053EFD39",
        "24700BD6F17751531F2A16CE2AF7731101E6F87839C67244",
    ],
    [
        "FFFF9876543210E00008",
        "50E55547A5027551",
        "3679055B",
        "7FACA91D",
        "5F6584DEAFC51B48A239B51C2DACA97176C01D9CA8EDC33C",
    ],
    [
        "FFFF9876543210E00009",
        "536CF7F678ACFC8D",
        "26AA23DC",
        "37F17B8F",
        "7CB9080923ED4D7D8D1B8A2849331684CC910522023BE537",
    ],
    [
        "FFFF9876543210E0000A",
        "EDABBA23221833FE",
        "1632621C",
        "CE038CC9",
        "C221F5A8CA5DA909BE04938E0FB8DFCFB30ED0D62B590663",
    ],
    [
        "FFFF9876543210E0000B",
        "2328981C57B4BDBA",
        "76D95CB4",
        "27C9FA5E",
        "98A271C13E4AEE80C6343867F2F0F6C55E8B7E5645866A0B",
    ],
    [
        "FFFF9876543210E0000C",
        "038D03CC926CF286",
        "BAD9D84D",
        "6D2ECC6A",
        "273CBE2F275B1C29D53F3C01A24DEC73F92C3BE219FFCB91",
    ],
    [
        "FFFF9876543210E0000D",
        "6C8AA97088B62C68",
        "AAAFB598",
        "7E40B492",
        "7290CB9D6F6E35A9B8A34C590A93696F8FE0137A8558884C",
    ],
    [
        "FFFF9876543210E0000E",
        "F17C9E1D72CD4950",
        "4EC79532",
        "55233989",
        "48207931E5F6E5E3E02E7E1D7BED4E3232FCA67E66A31F61",
    ],
    [
        "FFFF9876543210E0000F",
        "B170F6E7F7F2F64A",
        "82500D05",
        "AFE23CBA",
        "166246602B1255114A4012513B0DD4A9E19E82C945860C55",
    ],
    [
        "FFFF9876543210E00010",
        "D5D9638559EF53D6",
        "D39D3A59",
        "9E933C88",
        "53EDA44BDBCA037B2D3FEAEBAF73499336767BD1D0D09679",
    ],
    [
        "FFFF9876543210E00011",
        "D544F8CDD292C863",
        "F094AF93",
        "631E7B39",
        "086F3F46238B99AFB35DA42029675EE1FAB1C606307B35FB",
    ],
    [
        "FFFF9876543210E00012",
        "7A21BD10F36DC41D",
        "A819AF04",
        "E93F5E27",
        "270439430E60BFC600FE3DC7E7AD8C72D22D5284EC676EF2",
    ],
    [
        "FFFF9876543210E00013",
        "78649BD17D0DFA60",
        "79285A17",
        "FCE7A5A5",
        "2FEAE132FA0E46B4ABF55A87477AFA907E598868BCC236DA",
    ],
    [
        "FFFF9876543210E00014",
        "7E7E16EA0C31AD56",
        "E2B2637F",
        "A10E94AA",
        "A16A61328E36A21858B5FBFBE7BAF7985F5C54F5B8C12298",
    ],
    [
        "FFFF9876543210E00015",
        "72105C22EBC791E6",
        "B2033EBD",
        "BDA3AEE1",
        "42A9342FD5C1ACD20E137950A7368D2BBE884275B7906918",
    ],
];

/// A.4.3, over the end of the counter.
const LAST: &[[&str; 5]] = &[
    [
        "FFFF9876543210EFF800",
        "33365F5CC6F23C35",
        "23E3CB62",
        "5776C376",
        "5FF8C648565975E746C0CB7B1157DCB6EC3C5F25E82F8A62",
    ],
    [
        "FFFF9876543210EFF801",
        "3A86BF003F835C9D",
        "97623632",
        "69D1EF47",
        "55374FDBB3B2B4ED0751243FC0C54DB1F3F3CF76F0C0B3C4",
    ],
    [
        "FFFF9876543210EFF802",
        "3DB977D05C36DF3F",
        "72608521",
        "BF7036B7",
        "74A1250E3234DEDEB422FA7F862C484BBA6924DF9BC32CE5",
    ],
    [
        "FFFF9876543210EFF804",
        "BA83243305712099",
        "D86687B7",
        "645A0A18",
        "159E9FA8E979A9C76C118C7BE9E5D436AC0B22CD098BAE1F",
    ],
    [
        "FFFF9876543210EFF808",
        "B0DA04AC90A36D85",
        "5E00713D",
        "E8D8026A",
        "F87F61877DFF1CD39A635BEA4D15F81D30793B9157805BE4",
    ],
    [
        "FFFF9876543210EFF810",
        "2CF02BD9C309EEDA",
        "1BCCF968",
        "9623FF45",
        "4DEA2DDA8D079F8040CAD885C29A4037E9490480256D074D",
    ],
    [
        "FFFF9876543210EFF820",
        "9D1E2F77AEEE81C6",
        "2F6D2191",
        "FF864D19",
        "CE625FFBBB339C8305FA86CBFD192F4292B29962649947DD",
    ],
    [
        "FFFF9876543210EFF840",
        "40870B0F8BA2011C",
        "4DA4CBAC",
        "3CE7AD50",
        "29DDF3F2C3B9BE76A8338E2B22BA668B68B46AAE9C714607",
    ],
    [
        "FFFF9876543210EFF880",
        "22E340D6ABB40981",
        "95C43BC2",
        "73D03F0B",
        "9E9AA50594849DEB63BC3EF3BE63C5637F03D03B0DCFA973",
    ],
    [
        "FFFF9876543210EFF900",
        "1A4C10AFBA03A430",
        "D6BEAA71",
        "5D461B71",
        "C653AFCD3245ADB3B113FFC48B46BD0B6C5B3B5FB10044EE",
    ],
    [
        "FFFF9876543210EFFA00",
        "849763B43E5F9CFF",
        "93930C9F",
        "531DA5F9",
        "50EB117D8CB2BE5ADBBE98B6570C557C13622688A61D559D",
    ],
    [
        "FFFF9876543210EFFC00",
        "DEFC6F09F8927B71",
        "2917C6EF",
        "AA8D2DA6",
        "A2C773BC45B277E3F100C37E30A6A6FB1865134815B05EBC",
    ],
    [
        "FFFF9876543210F00000",
        "73EC88AD0AC5830E",
        "7DFA9315",
        "1444BEC3",
        "1E830E7F53FC171E35380145320233EF9C6F3B08CED984AB",
    ],
];

const DATA: &[u8] = b"4012345678909D987";
const SCHEME: Scheme = Scheme::Algorithm3(Padding::Zeros);

fn base_key() -> Key {
    let attributes = Attributes::new(Usage::BaseDerivation, Algorithm::Tdes, Mode::Derive);
    Key::new(attributes, &bytes("0123456789ABCDEFFEDCBA9876543210")).unwrap()
}

fn initial_key() -> Key {
    let attributes = Attributes::new(Usage::InitialDukpt, Algorithm::Tdes, Mode::Derive);
    Key::new(attributes, &bytes("6AC292FAA1315B4D858AB3A3D7D5933A")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn serial(hex: &str) -> KeySerialNumber {
    KeySerialNumber::new(bytes(hex).try_into().unwrap())
}

fn device() -> Device {
    Device::new(&initial_key(), serial("FFFF9876543210E00000")).unwrap()
}

fn next(device: &mut Device) -> Result<Transaction, Error> {
    device.next(|_| Ok(()))
}

/// What a terminal sends with the keys of one transaction, in the order of the tables.
fn sent(keys: &Transaction) -> [String; 5] {
    let (pin, pan) = (Pin::new("1234").unwrap(), Pan::new("4012345678909").unwrap());
    let block = pin_block::encrypt(&keys.pin_key().unwrap(), Format::Iso0(&pan), &pin, &[0; 16]).unwrap();
    let request =
        mac::generate(&keys.mac_key(Way::Request, Usage::MacAlgorithm3).unwrap(), SCHEME, DATA).unwrap();
    let mut data = [DATA, &[0; 7]].concat();
    keys.data_key(Way::Request).unwrap().encrypt_cbc(&[0; 8], &mut data).unwrap();
    [&keys.serial().as_bytes()[..], block.as_bytes(), &request.as_bytes()[..4], &[], &data]
        .map(hex::encode_upper)
}

/// Checks with the host's keys what a line of the tables says.
fn host_accepts([serial_number, block, request, response, data]: &[&str; 5]) {
    let keys = tdes::transaction(&initial_key(), serial(serial_number)).unwrap();
    let pan = Pan::new("4012345678909").unwrap();
    let pin = pin_block::decrypt(&keys.pin_key().unwrap(), Format::Iso0(&pan), &bytes(block));
    assert_eq!(pin, Pin::new("1234"), "{serial_number}");
    let request_key = keys.mac_key(Way::Request, Usage::MacAlgorithm3).unwrap();
    assert_eq!(mac::verify(&request_key, SCHEME, DATA, &bytes(request)), Ok(true), "{serial_number}");
    let response_key = keys.mac_key(Way::Response, Usage::MacAlgorithm3).unwrap();
    let answer = mac::generate(&response_key, SCHEME, DATA).unwrap();
    assert_eq!(hex::encode_upper(&answer.as_bytes()[..4]), *response, "{serial_number}");
    let mut clear = bytes(data);
    keys.data_key(Way::Request).unwrap().decrypt_cbc(&[0; 8], &mut clear).unwrap();
    assert!(clear.starts_with(DATA), "{serial_number}");
}

#[test]
fn the_initial_key_of_x9_24_1_a_4_1_holds() {
    assert_eq!(tdes::initial_key(&base_key(), serial("FFFF9876543210E00001")).unwrap(), initial_key());
}

#[test]
fn the_device_sends_what_x9_24_1_a_4_2_shows() {
    let mut device = device();
    for line in FIRST {
        let keys = next(&mut device).unwrap();
        let [serial_number, block, request, _, data] = sent(&keys);
        assert_eq!([serial_number, block, request, data], [line[0], line[1], line[2], line[4]]);
        let response_key = keys.mac_key(Way::Response, Usage::MacAlgorithm3).unwrap();
        assert_eq!(mac::verify(&response_key, SCHEME, DATA, &bytes(line[3])), Ok(true), "{}", line[0]);
    }
}

#[test]
fn the_host_accepts_what_x9_24_1_a_4_2_and_a_4_3_show() {
    FIRST.iter().chain(LAST).for_each(host_accepts);
}

#[test]
fn a_counter_that_no_device_sends_is_refused() {
    for counter in ["FFFF9876543210E00000", "FFFF9876543210FFFC00", "FFFF9876543210E007FF"] {
        let refused = tdes::transaction(&initial_key(), serial(counter));
        assert_eq!(refused.err(), Some(Error::KeySerialNumber), "{counter}");
    }
}

#[test]
fn a_key_whose_state_was_not_stored_is_never_used() {
    let mut device = device();
    let failed = device.next(|_| Err(Error::State)).err();
    assert_eq!(failed, Some(Error::State));
    assert_eq!(next(&mut device).unwrap().serial(), serial("FFFF9876543210E00002"));
}

#[test]
fn a_restored_device_goes_on_where_the_stored_one_was() {
    let (mut device, mut stored) = (device(), None);
    for _ in 0..300 {
        let store = |state: &State| {
            stored = Some(state.clone());
            Ok::<_, Error>(())
        };
        device.next(store).unwrap();
    }
    let mut restored = Device::restore(stored.unwrap().as_bytes()).unwrap();
    assert_eq!(sent(&next(&mut restored).unwrap()), sent(&next(&mut device).unwrap()));
}

#[test]
fn a_damaged_state_is_refused() {
    let state = device().state();
    for length in 0..state.as_bytes().len() {
        assert_eq!(Device::restore(&state.as_bytes()[..length]).err(), Some(Error::State));
    }
    let longer = [state.as_bytes(), &[0]].concat();
    assert_eq!(Device::restore(&longer).err(), Some(Error::State));
    assert_eq!(format!("{state:?}"), "State(…)");
}

#[test]
fn keys_do_only_their_part_of_the_derivation() {
    let serial = serial("FFFF9876543210E00001");
    assert!(matches!(tdes::initial_key(&initial_key(), serial), Err(Error::NotPermitted { .. })));
    assert!(matches!(tdes::transaction(&base_key(), serial).err(), Some(Error::NotPermitted { .. })));
    let keys = tdes::transaction(&initial_key(), serial).unwrap();
    assert!(matches!(keys.mac_key(Way::Request, Usage::PinEncryption), Err(Error::Attributes { .. })));
    // The host's key of requests verifies and doesn't forge.
    let key = keys.mac_key(Way::Request, Usage::MacAlgorithm3).unwrap();
    assert!(matches!(mac::generate(&key, SCHEME, DATA), Err(Error::NotPermitted { .. })));
}
