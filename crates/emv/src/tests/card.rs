//! A scripted card with a test PKI: it answers literal commands with literal responses.

use num_bigint::BigUint;
use sha1::{Digest, Sha1};

// Made for these tests alone; two of each size, both 2 modulo 3 so that 3 is a public exponent.
const CA_PRIMES: [&str; 2] = [
    "E9DAEDBDFE7B39266C795BA191B114E19BD7DDA3861A22F3676D5647F3CCFF1779AF43EF7A8427245BA5C357D2BC210F3BDD332A11787D04BEF22FED2E77FC75",
    "EDC3FE483B4FC8958618B98A5CD0E3C169F763D72A5F78B8FAA55551E08F47EA1759C8B80E6A3543A974F1E8522E174D6A736B1C46CB0C6EB9132B1D58619A91",
];
const ISSUER_PRIMES: [&str; 2] = [
    "C2635108BDA5E94D93D86C48D34F126D9C3C38605DABD9A60620C072860F46FBA3CE7355B330AA80B7F3E6E6641C35C0EF7DFDC3EDCC469A44BC371F53A385D9",
    "E6FF29A7125E5C02A2B5AE34D50C189C63E107AE30ADC513E165440B28B2AF4C799F198FA5E548A3290BEB4F65E20E04E581BA640C43118D0C4897018B0FA159",
];
const ICC_PRIMES: [&str; 2] = [
    "C35EDFB8E6A92FDA64EC6F15B80F7DE1731689E0CAEC022DA9788E2711B8CBBE616E762859A572C4CEC2BC1790B44877",
    "DCB59907CBD38272E1626397B72C4DCAFE4622FFEE66C4C7A4456296646971788B3049BB07B4929D2D2A2D178F5997DF",
];

pub(super) fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).unwrap()
}

pub(super) fn tlv(tag: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    tlv::write(&mut out, tag.parse().unwrap(), value).unwrap();
    out
}

fn prime(text: &str) -> BigUint {
    BigUint::parse_bytes(text.as_bytes(), 16).unwrap()
}

/// The moduli of the ICC key, and of the key for PINs.
pub(super) fn card_moduli() -> [Vec<u8>; 2] {
    [modulus(ICC_PRIMES), modulus(CA_PRIMES)]
}

fn modulus([p, q]: [&str; 2]) -> Vec<u8> {
    (prime(p) * prime(q)).to_bytes_be()
}

/// 6A, body padded with BB, SHA-1 over body and extra, BC; to the private exponent.
fn sign([p, q]: [&str; 2], body: &[u8], extra: &[u8]) -> Vec<u8> {
    let (p, q, one) = (prime(p), prime(q), BigUint::from(1_u8));
    let n = &p * &q;
    let length = n.to_bytes_be().len();
    let mut body = body.to_vec();
    body.resize(length - 22, 0xBB);
    let hash = Sha1::new().chain_update(&body).chain_update(extra).finalize();
    let plain = [&[0x6A], body.as_slice(), hash.as_slice(), &[0xBC]].concat();
    let d = BigUint::from(3_u8).modinv(&((&p - &one) * (&q - &one))).unwrap();
    let signature = BigUint::from_bytes_be(&plain).modpow(&d, &n).to_bytes_be();
    [vec![0; length - signature.len()], signature].concat()
}

/// The test CA key in the format of `config/emv/capks.toml`.
pub(super) fn capk_toml() -> String {
    let modulus = modulus(CA_PRIMES);
    let sum = Sha1::digest([bytes("A000000333 F0"), modulus.clone(), vec![3]].concat());
    format!(
        "[[capk]]\nrid = \"A000000333\"\nindex = \"F0\"\nexponent = \"03\"\nmodulus = \"{}\"\nexpiry = \"2030-12-31\"\n\
         sha1 = \"{}\"\n",
        hex::encode(modulus),
        hex::encode(sum)
    )
}

/// A UnionPay debit card with DDA. Fields are what tests change before [`Personalisation::card`].
#[derive(Clone)]
pub(super) struct Personalisation {
    pub(super) aip: &'static str,
    pub(super) cvm_list: &'static str,
    pub(super) expiry: &'static str,
    pub(super) first_ac: &'static str,
    pub(super) second_ac: &'static str,
    /// More objects of the unsigned record.
    pub(super) more: Vec<u8>,
}

impl Default for Personalisation {
    fn default() -> Self {
        Self {
            aip: "3C00",
            cvm_list: "00000000 00000000 0203 1E03 1F00",
            expiry: "301231",
            first_ac: "80 0021 1122334455667788 07010103A0B80001",
            second_ac: "40 0021 8877665544332211 07010103A0B80001",
            more: Vec::new(),
        }
    }
}

#[derive(Default)]
pub(super) struct Card {
    /// Command and response; a command is answered by the first pair that it starts with.
    pub(super) answers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) log: Vec<Vec<u8>>,
    /// As over T=0: data are announced with 61 xx and fetched.
    pub(super) by_get_response: bool,
    pub(super) held: Vec<u8>,
}

impl Card {
    pub(super) fn answer(&mut self, command: &[u8]) -> Vec<u8> {
        if command[1] == 0xC0 {
            return core::mem::take(&mut self.held);
        }
        self.log.push(command.to_vec());
        let known = self.answers.iter().find(|(expected, _)| command.starts_with(expected));
        let response = known.map_or(vec![0x6A, 0x83], |(_, response)| response.clone());
        if self.by_get_response && response.len() > 2 {
            self.held = response;
            return vec![0x61, u8::try_from(self.held.len() - 2).unwrap_or(0)];
        }
        response
    }

    /// Replaces the answer to commands that start so.
    pub(super) fn set(&mut self, command: &str, response: &[u8]) {
        let command = bytes(command);
        self.answers.retain(|(expected, _)| !expected.starts_with(&command));
        self.answers.insert(0, (command, response.to_vec()));
    }
}

pub(super) fn ok(data: &[u8]) -> Vec<u8> {
    [data, &[0x90, 0x00]].concat()
}

impl Personalisation {
    fn signed_record(&self) -> Vec<u8> {
        [
            tlv("5A", &bytes("6228480000001232")),
            tlv("57", &bytes("6228480000001232D30122010000000000")),
            tlv("5F24", &bytes(self.expiry)),
            tlv("5F34", &[0x01]),
            tlv("9F07", &bytes("FF00")),
            tlv("5F28", &bytes("0156")),
            tlv("8E", &bytes(self.cvm_list)),
            tlv("9F0D", &bytes("D86004A000")),
            tlv("9F0E", &bytes("0010980000")),
            tlv("9F0F", &bytes("D86804F800")),
            tlv("9F4A", &bytes("82")),
        ]
        .concat()
    }

    fn issuer_certificate(&self) -> Vec<u8> {
        let key = modulus(ISSUER_PRIMES);
        let (left, remainder) = key.split_at(92);
        let body = [&bytes("02 622848FF 1230 000001 01 01 80 01")[..], left].concat();
        let signature = sign(CA_PRIMES, &body, &[remainder, &[3]].concat());
        [tlv("8F", &[0xF0]), tlv("90", &signature), tlv("92", remainder), tlv("9F32", &[3])].concat()
    }

    fn icc_certificate(&self) -> Vec<u8> {
        let key = modulus(ICC_PRIMES);
        let (left, remainder) = key.split_at(86);
        let body = [&bytes("04 6228480000001232FFFF 1230 000002 01 01 60 01")[..], left].concat();
        let extra = [remainder, &[3], &self.signed_record(), &bytes(self.aip)].concat();
        let signature = sign(ISSUER_PRIMES, &body, &extra);
        [tlv("9F46", &signature), tlv("9F48", remainder), tlv("9F47", &[3])].concat()
    }

    /// A key of the card for PINs, which is the CA's since it is to be another one than the ICC key. `altered` changes its
    /// certificate.
    pub(super) fn pin_key(altered: u8) -> Vec<u8> {
        let key = modulus(CA_PRIMES);
        let (left, remainder) = key.split_at(86);
        let body = [&bytes("04 6228480000001232FFFF 1230 000003 01 01 80 01")[..], left].concat();
        let mut signature = sign(ISSUER_PRIMES, &body, &[remainder, &[3]].concat());
        signature[127] ^= altered;
        [tlv("9F2D", &signature), tlv("9F2F", remainder), tlv("9F2E", &[3])].concat()
    }

    fn static_signature(&self) -> Vec<u8> {
        let extra = [self.signed_record(), bytes(self.aip)].concat();
        tlv("93", &sign(ISSUER_PRIMES, &bytes("03 01 DAC1"), &extra))
    }

    /// The unpredictable number of the tests is 01020304.
    fn dynamic_signature(&self) -> Vec<u8> {
        sign(ICC_PRIMES, &bytes("05 01 09 08 0102030405060708"), &bytes("01020304"))
    }

    /// The signature over a cryptogram (Book 2 table 18), of a card whose dynamic number is 0102030405060708.
    pub(super) fn cryptogram_signature(cid: u8, cryptogram: &[u8], transaction_data: &[u8]) -> Vec<u8> {
        let hash = Sha1::digest(transaction_data);
        let head = [&bytes("05 01 26 08 0102030405060708")[..], &[cid], cryptogram, &hash].concat();
        sign(ICC_PRIMES, &head, &bytes("01020304"))
    }

    pub(super) fn card(&self) -> Card {
        let aid = bytes("A000000333010101");
        let entry = [tlv("4F", &aid), tlv("50", b"UnionPay Debit"), tlv("87", &[1])].concat();
        let pse = [tlv("84", b"1PAY.SYS.DDF01"), tlv("A5", &tlv("88", &[1]))].concat();
        let fci = [tlv("50", b"UnionPay Debit"), tlv("87", &[1]), tlv("9F38", &bytes("9F1A02"))].concat();
        let options = [&bytes(self.aip)[..], &bytes("18010101 10010400")].concat();
        let lists = [
            tlv("8C", &bytes("9F0206 9F0306 9F1A02 9505 5F2A02 9A03 9C01 9F3704")),
            tlv("8D", &bytes("8A02 9505")),
            tlv("9F08", &bytes("0030")),
            self.more.clone(),
        ]
        .concat();
        let record = |objects: &[u8]| ok(&tlv("70", objects));
        let answers = [
            ("00A404000E 315041592E5359532E4444463031 00", ok(&tlv("6F", &pse))),
            ("00B2010C00", record(&tlv("61", &entry))),
            ("00A4040008 A000000333010101 00", ok(&tlv("6F", &[tlv("84", &aid), tlv("A5", &fci)].concat()))),
            ("80A80000048302015600", ok(&tlv("80", &options))),
            ("00B2020C00", bytes("6A83")),
            ("00B2011C00", record(&self.signed_record())),
            ("00B2011400", record(&lists)),
            ("00B2021400", record(&self.issuer_certificate())),
            ("00B2031400", record(&self.icc_certificate())),
            ("00B2041400", record(&self.static_signature())),
            ("00880000040102030400", ok(&tlv("80", &self.dynamic_signature()))),
            ("80AE8000", ok(&tlv("80", &bytes(self.first_ac)))),
            ("00820000", bytes("9000")),
            ("80AE", ok(&tlv("80", &bytes(self.second_ac)))),
        ];
        let answers = answers.into_iter().map(|(command, response)| (bytes(command), response)).collect();
        Card { answers, ..Card::default() }
    }
}
