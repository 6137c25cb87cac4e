#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("snapshot"), |bytes: &[u8]| rototo_fuzz::snapshots::snapshot(bytes));
