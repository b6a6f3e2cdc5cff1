#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| actor_net::fuzz("log_file", data));
