#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("qualifier"), |bytes: &[u8]| rototo_fuzz::workspaces::document("qualifiers/pro.toml", bytes));
