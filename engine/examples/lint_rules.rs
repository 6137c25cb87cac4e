//! Prints `docs/lint-rules.md`.

fn main() {
    print!("{}", rototo_engine::lint::manual());
}
