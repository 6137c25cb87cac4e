#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("source_string"), |bytes: &[u8]| rototo_fuzz::texts::source(bytes));
