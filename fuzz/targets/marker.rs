#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("marker"), |bytes: &[u8]| rototo_fuzz::texts::marker(bytes));
