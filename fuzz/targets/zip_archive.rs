#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("zip_archive"), |bytes: &[u8]| rototo_fuzz::snapshots::zip_archive(bytes));
