#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("object"), |bytes: &[u8]| rototo_fuzz::workspaces::document("resources/plan-objects/basic.toml", bytes));
