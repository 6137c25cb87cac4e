#![no_main]

libfuzzer_sys::fuzz_target!(init: rototo_fuzz::seeds::write("context_argument"), |bytes: &[u8]| rototo_fuzz::texts::context_argument(bytes));
