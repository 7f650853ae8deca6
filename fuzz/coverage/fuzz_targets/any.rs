//! One of the fuzz room's targets, named by `FUZZ_TARGET`, under libFuzzer.
#![no_main]

use std::sync::OnceLock;

static TARGET: OnceLock<&cumulet_fuzz::Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        cumulet_fuzz::target(&name).expect("FUZZ_TARGET names a target")
    });
    (target.run)(bytes);
});
