#![allow(unsafe_code, reason = "libfuzzer's macro exports a function")]
#![doc = "The fuzz target `engine_ops`."]
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| amqp10_fuzz::engine_ops(octets));
