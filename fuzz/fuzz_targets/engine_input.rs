#![allow(unsafe_code, reason = "libfuzzer's macro exports a function")]
#![doc = "The fuzz target `engine_input`."]
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp10_fuzz::engine_input(octets));
