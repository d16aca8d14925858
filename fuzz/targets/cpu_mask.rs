#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| phalanx::fuzzing::cpu_mask(data));
