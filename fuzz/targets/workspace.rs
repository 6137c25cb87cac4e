#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("workspace"), |bytes: &[u8]| rototo_fuzz::workspaces::files(bytes));
