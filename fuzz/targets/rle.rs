#![no_main]

#[path = "../../examples/life/fault.rs"]
mod fault;
#[path = "../properties/rle.rs"]
mod property;
#[path = "../../examples/life/rle.rs"]
mod rle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::rle(data));
