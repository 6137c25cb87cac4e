#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("tar_archive"), |bytes: &[u8]| rototo_fuzz::snapshots::tar_archive(bytes));
