#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("manifest"), |bytes: &[u8]| rototo_fuzz::workspaces::document("rototo-workspace.toml", bytes));
