#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("resource"), |bytes: &[u8]| rototo_fuzz::workspaces::document("resources/plan.toml", bytes));
