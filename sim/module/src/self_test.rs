//! What the module tests of itself (PCI PTS POI, DTR B: at each start, and at least every 24 hours; FIPS 140-3, 10.3: known answers).

use keys::sm2::sm3;
use keys::{Algorithm, Attributes, Key, Mode, TdesKey, Usage, mac};
use link::SelfTestResult;

/// How many bytes are drawn to see the generator's health.
const SAMPLE: usize = 1024;
/// So many equal bytes in a row come once in 2⁴⁰ draws of a generator that is well (NIST SP 800-90B, 4.4.1: 1 + 40 / 8).
const REPETITIONS: usize = 6;

/// Whether it passed; none where it could not even be made.
type Test = fn() -> Option<bool>;

/// The tests that need nothing of this module.
const TESTS: [(&str, Test); 6] =
    [("tdes", tdes), ("aes", aes), ("sm4", sm4), ("sm3", hash), ("cmac", cmac), ("random", random)];

/// All tests, with what the caller has seen of the `store` and of the `firmware`. `failing` is one that the tester has fail.
pub(crate) fn run(store: bool, firmware: bool, failing: Option<&str>) -> Vec<SelfTestResult> {
    let known = TESTS.map(|(name, test)| (name, test().unwrap_or(false)));
    let all = known.into_iter().chain([("store", store), ("firmware", firmware)]);
    all.map(|(name, passed)| SelfTestResult {
        name: name.to_owned(),
        passed: passed && failing != Some(name),
    })
    .collect()
}

/// Whether there is a test of this name.
pub(crate) fn is_one(name: &str) -> bool {
    TESTS.iter().any(|(known, _)| *known == name) || ["store", "firmware"].contains(&name)
}

/// NIST SP 500-20: the first known answer of the variable plaintexts, under three equal keys.
fn tdes() -> Option<bool> {
    let block = TdesKey::new([0x01; 16]).encrypt_block([0x80, 0, 0, 0, 0, 0, 0, 0]);
    Some(block == [0x95, 0xF8, 0xA5, 0xE5, 0xDD, 0x31, 0xD9, 0x00])
}

/// FIPS 197, C.1.
fn aes() -> Option<bool> {
    let key: [u8; 16] = std::array::from_fn(|at| u8::try_from(at).unwrap_or_default());
    let mut block = key.map(|byte| byte * 0x11);
    encipher(Algorithm::Aes, &key, &mut block)?;
    Some(hex::encode(block) == "69c4e0d86a7b0430d8cdb78070b4c55a")
}

/// GM/T 0002, A.1.
fn sm4() -> Option<bool> {
    let mut block =
        [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10];
    let key = block;
    encipher(Algorithm::Sm4, &key, &mut block)?;
    Some(hex::encode(block) == "681edf34d206965e86b3e94f536e4246")
}

fn encipher(algorithm: Algorithm, key: &[u8], block: &mut [u8; 16]) -> Option<()> {
    let key = Key::new(Attributes::new(Usage::Data, algorithm, Mode::Encrypt), key).ok()?;
    key.encrypt_cbc(&[0; 16], block).ok()
}

/// GM/T 0004, A.1.
fn hash() -> Option<bool> {
    Some(hex::encode(sm3(b"abc")) == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0")
}

/// NIST SP 800-38B, D.1, example 1.
fn cmac() -> Option<bool> {
    let key = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").ok()?;
    let key = Key::new(Attributes::new(Usage::Cmac, Algorithm::Aes, Mode::Generate), &key).ok()?;
    let code = mac::generate(&key, mac::Scheme::Cmac, b"").ok()?;
    Some(hex::encode(code.as_bytes()) == "bb1d6929e95937287fa37d129b756746")
}

/// The repetition count test of NIST SP 800-90B, 4.4.1.
fn random() -> Option<bool> {
    let mut sample = [0; SAMPLE];
    getrandom::fill(&mut sample).ok()?;
    Some(is_random(&sample))
}

fn is_random(sample: &[u8]) -> bool {
    sample.windows(REPETITIONS).all(|window| window.iter().any(|byte| Some(byte) != window.first()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tests_pass_and_each_can_fail() {
        assert!(run(true, true, None).iter().all(|result| result.passed));
        let names: Vec<String> = run(true, true, None).into_iter().map(|result| result.name).collect();
        for name in &names {
            let failed: Vec<String> = run(true, true, Some(name))
                .into_iter()
                .filter_map(|result| (!result.passed).then_some(result.name))
                .collect();
            assert_eq!(failed, std::slice::from_ref(name));
            assert!(is_one(name));
        }
        assert!(!run(false, true, None).iter().all(|result| result.passed));
    }

    #[test]
    fn a_generator_that_repeats_itself_is_not_well() {
        let mut sample: Vec<u8> = (0..=255).collect();
        assert!(is_random(&sample));
        sample.splice(100..100, [99; 4]);
        assert!(is_random(&sample), "five in a row");
        sample.insert(100, 99);
        assert!(!is_random(&sample), "six");
    }
}
