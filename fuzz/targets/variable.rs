#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("variable"), |bytes: &[u8]| rototo_fuzz::workspaces::document("variables/limit.toml", bytes));
