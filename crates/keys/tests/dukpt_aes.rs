//! AES DUKPT against the published vectors: the supplement to ANSI X9.24-3:2017 (test vectors of 29 January 2018).

#![allow(clippy::unwrap_used, reason = "helpers of tests may stop at the first surprise")]

use keys::dukpt::State;
use keys::dukpt::aes::{self, Device, KeySerialNumber, KeyType, Purpose, Transaction};
use keys::kcv::{self, Method};
use keys::pin_block::{self, Format};
use keys::{Algorithm, Attributes, Error, Key, Mode, Operation, Pan, Pin, Usage};

const BDK_128: &str = "FEDCBA9876543210F1F1F1F1F1F1F1F1";
const BDK_256: &str = "FEDCBA9876543210F1F1F1F1F1F1F1F1FEDCBA9876543210F1F1F1F1F1F1F1F1";
const IK_128: &str = "1273671EA26AC29AFA4D1084127652A1";
const IK_256: &str = "CE9CE0C101D1138F97FB6CAD4DF045A7083D4EAE2D35A31789D01CCF0949550F";
const ID: [u8; 8] = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56];

/// AES-128 keys from an AES-128 base key, transactions 1 to 8: PIN key, MAC generation key, data encryption key, PIN block.
const AES_128: &[[&str; 4]] = &[
    [
        "AF8CB133A78F8DC2D1359F18527593FB",
        "A2DC23DE6FDE0824A2BC321E08E4B8B7",
        "A35C412EFD41FDB98B69797C02DCD08F",
        "A912150391AB65A67E52883D81CE2D15",
    ],
    [
        "D30BDC73EC9714B000BEC66BDB7B6D09",
        "484C3B06E8562704528CD5B46FB12FB6",
        "D639514AA33AC43AD9229E433D6D4E5B",
        "52A00503BD34BA1383F6A7EE9FE2547F",
    ],
    [
        "7D69F01F3B45449F62C7816ECE723268",
        "A5DF7D9D800CA769766F0C77CA4E6E6C",
        "EF17F6AB45B4820C93A3DCB21BC491AD",
        "A5A27E82B43A9A866A93D7ABE89CEF93",
    ],
    [
        "91A0588318EC2673214271F70137896E",
        "E6E4679647D8A9057C1FC15537CB4C4E",
        "B3BD44C08BB6BA27C3BB4711D7D70387",
        "71B3D0528669498777555A8BE6698E44",
    ],
    [
        "35A43BC9EFEB09C756204B57E3FB7D4D",
        "0588185FE1FF8C7E22FAD78C1C61F065",
        "CA02DF6F30B39E14BD0B4A30E460920F",
        "881A7F77A2E04E5BEA985E342FD0B628",
    ],
    [
        "02DCC6CD1201A3A2CA7099559C862123",
        "7B60F72A5639C0EE7EB2100FA80BB793",
        "C9B8A7C4E486180B2229115164F0B293",
        "BDC1C3871AFB0B340AA5B5CEFD08695E",
    ],
    [
        "6ECF912F3B18CA11A7A27BB60705FD09",
        "BAA08CA263C69525BC6B1BA8F4275D69",
        "0FA8F1F0A2DD7B1005A862D77CDED698",
        "4A8E6B8C7DBEE6CBA6DC774F0CB83396",
    ],
    [
        "4D9DF3FBEE3448FC3E676D04320A90F5",
        "6FD572E5D59E618875F193484F9178FB",
        "650F34204ABD4E57764D61AC3D266FB1",
        "8308BB857C17F390369F761F8EB358FA",
    ],
];

/// AES-128 keys from an AES-256 base key: PIN key, MAC generation key, data encryption key.
const AES_128_FROM_256: &[[&str; 3]] = &[
    [
        "09C9C432966811D6B2C3336BAC1B1202",
        "F04A1FABD4176E15490CEC82E217A96D",
        "616D59AE91F8CC7016F89FDA29605FA4",
    ],
    [
        "D632226A80795D13A80AFE66A3E97B01",
        "DD99D77B4E2AB538B26BB6A8B3FB0BE3",
        "07B79D9BFF3633C07A9FDDF132070B30",
    ],
    [
        "C2CBD3D766B16F9F82F4EE3F74478918",
        "5A742A4A0403B3D7BB30842DAFBB5972",
        "706E4E629E466BED956548E7B0D90C3D",
    ],
    [
        "58A3779C1E24B3EDAF068609E7E56D59",
        "C531F7E08514858C445D5F54BFE7DA8E",
        "CF3A4D9CA7E962E4023A84A2FE47DC80",
    ],
    [
        "97504C8BB0FD4D4A88D605143BF00025",
        "E2E25AA7FE6E5DD6042C632A5DFED945",
        "94C28455AEAD970555F326298557FA81",
    ],
    [
        "BF281141609E6CAE7DF10DFA47A8D03D",
        "07B215929C5DB4262DECEE4A0336DD4F",
        "408D3B9A7D1AF109E2F689514BF79AC7",
    ],
    [
        "B7C6BB187134E9D429C3E8B7CCBD8477",
        "3AC9CC5159F96E10FCC5EB64015AC76A",
        "DC2915BF421D617E7725E63A7DACB18D",
    ],
    [
        "53C1C60A65532313141A102AD720E967",
        "6E94A9283EA9AEB7EAA77C3FF55FF2D1",
        "8950DD50C254C60E26737CA9229F0F18",
    ],
];

/// AES-256 keys from an AES-256 base key.
const AES_256: &[[&str; 3]] = &[
    [
        "8C1AB7BEE973829E30242E0BBBDD4946D540C98FC1B5BDCF94790001A23FD502",
        "61DABDF4B340CF461EE860B1D1AB55357142BD2D6977306859CF49AEFE8F1549",
        "71EB36C9A6B7F801D1D1700C29741FC5A5C4E9B45D742DA7AF6992B8AA29AF58",
    ],
    [
        "3583D6CD02FC38822CC71A8D7678E04F4A8556335E6CC66863D3DADC5AEE2C62",
        "4417356219B2F93CE3F2671623DDCAB58A8B85AD80662A8D628024000956D426",
        "D0AC9F71F875FFFF3A83778F72F39EBB0924A5A526617AF669665E0A19725465",
    ],
    [
        "96A1AB5D37CB7CF81DDE64F66C46E0389B833E7AD5F4E44C791F04FAFDA6DA0E",
        "35BD00A46F2A2BD127F565FBF2974B735AE3BB70242C0A415857CF69B2C2691A",
        "8E70D5DF53F48ED2F2A0B54FC4F45C844579BE96F6F161222CDD50193E2F737F",
    ],
    [
        "420AA584BF215C4777E93009B56D08DE80687021D07ED96349FF71379CE5636D",
        "D80617C3C5869A8DCF0DA5383D032A0D6E6C51C0BF649BE992BE84AA191AE326",
        "41D23F7D78E22A978D726BC71D266374263120EE49146CE5C1291FD0EE7DDD31",
    ],
    [
        "B1E9E3D918952E6E5F67917F0FE77060F865AE27DCAD5742DDF90F61453B98BA",
        "8B047E32C476C0A0AF90A9B8D1C247C433E3D4C1DF1C7FC52E8CB1DC4C8FB275",
        "813D156C142E5BB8F136427EBD0A1AC4DC9B2B5963C481F5E0A58F4BF33BD185",
    ],
    [
        "8714EB94E3BFD3018EC99D0434D9C94F071AF2EEBF4332FB14F5179793AA582C",
        "A2FF6FFB37CB8042B8C9B2F94C90C83D94DD5BECCD9951CFAB0BE7BD865CA403",
        "F1FB0591AA2E45E1CE4C5D970C7396C4A87E53E5900C4A6D95C174140CC0AC9C",
    ],
    [
        "693C893A1E81D280302E0A47E7E634337B9A9B26E7CC6064D807E08FF911AFAC",
        "E8A57085DBE804B8C2767F9F77D54854861E99633A062C700B4E50A865153150",
        "69BC5C9AFB2C93CC30C3F7529360B34D7B64B7206E0F0940D8654378C54824F2",
    ],
    [
        "173A45284262A3E292D86D08FD6DE9167963214450D1D48F6103BD2EB08E61B5",
        "949A3FEF12DBD273DD25BB60E29BBE313C872A9DE3BE03A7E29626ACA0A42880",
        "0BF8789A21D068410A16C9F7FCBF65A7B4FF73203ADC0F1B4B5E5BF8050E4284",
    ],
];

/// The TDES keys of transaction 1 from an AES-128 base key.
const TDES_2: [&str; 3] = [
    "630C706D9546E47D4449313F61C4D4AB",
    "5D8FD787E8A796D07035FFCA9B5800BB",
    "BD44121C223F831446A01EE3A4CB58D2",
];
const TDES_3: [&str; 3] = [
    "EA8B3F37EB9B15831167EF2977FD8762D9B5913F35766F6A",
    "2A1061A6EAC2C14FAC3758EA07B3648A624B24E942785BF1",
    "F716DFBC6B2D2D5825B694EEEE181A013F2F1C09380BBE0C",
];
const PURPOSES: [Purpose; 3] = [Purpose::PinEncryption, Purpose::MacGeneration, Purpose::DataEncryption];

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn key(usage: Usage, hex: &str) -> Key {
    Key::new(Attributes::new(usage, Algorithm::Aes, Mode::Derive), &bytes(hex)).unwrap()
}

fn initial(hex: &str) -> Key {
    key(Usage::InitialDukpt, hex)
}

fn host(initial_key: &str, counter: u32) -> Transaction {
    aes::transaction(&initial(initial_key), KeySerialNumber { id: ID, counter }).unwrap()
}

/// Whether a derived key is the published one, and works the way it should.
fn is(derived: &Key, published: &str) -> bool {
    *derived == Key::new(*derived.attributes(), &bytes(published)).unwrap()
}

#[test]
fn the_initial_keys_hold() {
    for (base, right) in [(BDK_128, IK_128), (BDK_256, IK_256)] {
        let base = key(Usage::BaseDerivation, base);
        assert_eq!(aes::initial_key(&base, ID).unwrap(), initial(right));
    }
}

#[test]
fn the_working_keys_of_the_first_eight_transactions_hold_at_host_and_device() {
    let mut device = Device::new(&initial(IK_128), ID).unwrap();
    let mut stronger = Device::new(&initial(IK_256), ID).unwrap();
    for (counter, ((aes_128, from_256), aes_256)) in
        (1..).zip(AES_128.iter().zip(AES_128_FROM_256).zip(AES_256))
    {
        let ours = device.next(|_| Ok::<_, Error>(())).unwrap();
        let strong = stronger.next(|_| Ok::<_, Error>(())).unwrap();
        assert_eq!(ours.serial(), KeySerialNumber { id: ID, counter });
        for (at, purpose) in PURPOSES.into_iter().enumerate() {
            for keys in [&ours, &host(IK_128, counter)] {
                assert!(
                    is(&keys.key(purpose, KeyType::Aes128).unwrap(), aes_128[at]),
                    "{counter} {purpose:?}"
                );
            }
            for keys in [&strong, &host(IK_256, counter)] {
                assert!(
                    is(&keys.key(purpose, KeyType::Aes128).unwrap(), from_256[at]),
                    "{counter} {purpose:?}"
                );
                assert!(
                    is(&keys.key(purpose, KeyType::Aes256).unwrap(), aes_256[at]),
                    "{counter} {purpose:?}"
                );
            }
        }
    }
}

#[test]
fn the_format_4_pin_blocks_of_page_31_hold() {
    let (pin, pan) = (Pin::new("1234").unwrap(), Pan::new("4111111111111111").unwrap());
    // The random half of the PIN field, a nibble each.
    let random = [2, 0xF, 6, 9, 0xA, 0xD, 0xD, 0xE, 2, 0xE, 9, 0xE, 7, 0xA, 0xC, 0xE];
    let mut device = Device::new(&initial(IK_128), ID).unwrap();
    for (counter, [.., block]) in (1..).zip(AES_128) {
        let keys = device.next(|_| Ok::<_, Error>(())).unwrap();
        let pin_key = keys.key(Purpose::PinEncryption, KeyType::Aes128).unwrap();
        let made = pin_block::encrypt(&pin_key, Format::Iso4(&pan), &pin, &random).unwrap();
        assert_eq!(hex::encode_upper(made.as_bytes()), *block);
        let pin_key = host(IK_128, counter).key(Purpose::PinEncryption, KeyType::Aes128).unwrap();
        assert_eq!(pin_block::decrypt(&pin_key, Format::Iso4(&pan), made.as_bytes()).as_ref(), Ok(&pin));
    }
}

#[test]
fn the_tdes_keys_of_transaction_1_hold() {
    for (at, purpose) in PURPOSES.into_iter().enumerate() {
        assert!(is(&host(IK_128, 1).key(purpose, KeyType::Tdes2).unwrap(), TDES_2[at]), "{purpose:?}");
        assert!(is(&host(IK_128, 1).key(purpose, KeyType::Tdes3).unwrap(), TDES_3[at]), "{purpose:?}");
    }
}

#[test]
fn the_update_keys_hold() {
    for (initial_key, key_type, right) in [
        (IK_128, KeyType::Aes128, "9A9770AEE1ACD1B13473D0463A1883B9"),
        (IK_128, KeyType::Tdes2, "4744A5ECBC62B5C4BB76FBEAE1E244A3"),
        (IK_128, KeyType::Tdes3, "AF82BE8533CFCA526DA71708667AD0BBC7A7517504C78C8A"),
        (IK_256, KeyType::Aes128, "90E54E4A70160C7E085C09D2B241D343"),
        (IK_256, KeyType::Aes256, "AEFB210C136278A1279F7C8815F446DB8EBE2AA910B157AA4E6484D8DE9C4807"),
    ] {
        let update = aes::update_key(&initial(initial_key), ID, key_type).unwrap();
        assert!(is(&update, right), "{key_type:?}");
        assert_eq!(update.attributes().permit(Operation::UnwrapBlock), Ok(()));
    }
}

#[test]
fn the_update_key_of_aes_192_holds() {
    // 5n00py/paysec, from the reference algorithm of ASC X9: the supplement itself has no AES-192.
    let base = key(Usage::BaseDerivation, "FEDCBA9876543210F1F1F1F1F1F1F1F1FEDCBA9876543210");
    let update = aes::update_key(&aes::initial_key(&base, ID).unwrap(), ID, KeyType::Aes192).unwrap();
    assert!(is(&update, "8222D2B5467D432E12269F5C85FF9F3F465528EF503A7C11"));
}

#[test]
fn a_counter_that_no_device_sends_is_refused() {
    for counter in [0x1_FFFE, 0x2_0000, 0x2_0001, 0xFFFE_2000, 0xFFFE_4000, 0xFFFE_8000, 0xFFFF_0000] {
        assert!(
            aes::transaction(&initial(IK_128), KeySerialNumber { id: ID, counter }).is_ok(),
            "{counter:08X}"
        );
    }
    for counter in [0, 0x1_FFFF, 0xFFFF_0001, 0xFFFF_FFFF] {
        let refused = aes::transaction(&initial(IK_128), KeySerialNumber { id: ID, counter });
        assert_eq!(refused.err(), Some(Error::KeySerialNumber), "{counter:08X}");
    }
}

#[test]
fn a_working_key_is_not_stronger_than_what_it_comes_from() {
    for key_type in [KeyType::Aes192, KeyType::Aes256, KeyType::Hmac192, KeyType::Hmac256] {
        let made = host(IK_128, 1).key(Purpose::MacBothWays, key_type);
        assert_eq!(made, Err(Error::Weaker), "{key_type:?}");
    }
    for key_type in [KeyType::Tdes2, KeyType::Tdes3, KeyType::Aes128, KeyType::Hmac128] {
        assert!(host(IK_128, 1).key(Purpose::MacBothWays, key_type).is_ok(), "{key_type:?}");
    }
    let made = host(IK_128, 1).key(Purpose::PinEncryption, KeyType::Hmac128);
    assert!(matches!(made, Err(Error::Attributes { .. })));
}

#[test]
fn host_and_terminal_work_in_opposite_directions() {
    let mut device = Device::new(&initial(IK_128), ID).unwrap();
    let keys = device.next(|_| Ok::<_, Error>(())).unwrap();
    for (purpose, at_terminal, at_host) in [
        (Purpose::PinEncryption, Mode::Encrypt, Mode::Decrypt),
        (Purpose::MacGeneration, Mode::Generate, Mode::Verify),
        (Purpose::MacVerification, Mode::Verify, Mode::Generate),
        (Purpose::DataDecryption, Mode::Decrypt, Mode::Encrypt),
        (Purpose::KeyEncryption, Mode::Encrypt, Mode::Decrypt),
    ] {
        let mode = |keys: &Transaction| keys.key(purpose, KeyType::Aes128).unwrap().attributes().mode;
        assert_eq!((mode(&keys), mode(&host(IK_128, 1))), (at_terminal, at_host));
    }
}

#[test]
fn a_restored_device_goes_on_where_the_stored_one_was() {
    let (mut device, mut stored) = (Device::new(&initial(IK_256), ID).unwrap(), None);
    for _ in 0..100 {
        let store = |state: &State| {
            stored = Some(state.clone());
            Ok::<_, Error>(())
        };
        device.next(store).unwrap();
    }
    let stored = stored.unwrap();
    let mut restored = Device::restore(stored.as_bytes()).unwrap();
    let (ours, theirs) = (restored.next(|_| Ok::<_, Error>(())), device.next(|_| Ok::<_, Error>(())));
    let value = |keys: Transaction| {
        kcv::of(&keys.key(Purpose::MacGeneration, KeyType::Aes256).unwrap(), Method::Cmac).unwrap()
    };
    assert_eq!(value(ours.unwrap()), value(theirs.unwrap()));
    for length in 0..stored.as_bytes().len() {
        assert_eq!(Device::restore(&stored.as_bytes()[..length]).err(), Some(Error::State));
    }
}
