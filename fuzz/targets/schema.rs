#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("schema"), |bytes: &[u8]| rototo_fuzz::workspaces::document("schemas/plan.json", bytes));
