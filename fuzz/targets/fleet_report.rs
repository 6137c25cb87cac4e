#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("fleet_report"), |bytes: &[u8]| rototo_fuzz::texts::fleet_report(bytes));
