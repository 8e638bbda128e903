//! A target under libFuzzer; `SMARTPOS_FUZZ_TARGET` names it. `cargo xtask fuzz` builds and runs this.

#![no_main]
#![expect(clippy::expect_used, reason = "a fuzzer without a target can't go on")]

use std::sync::LazyLock;

use smartpos_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("SMARTPOS_FUZZ_TARGET").expect("SMARTPOS_FUZZ_TARGET names the target");
    smartpos_fuzz::target(&name).expect("a target of tests/fuzz/src/lib.rs")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    (TARGET.check)(bytes);
});
