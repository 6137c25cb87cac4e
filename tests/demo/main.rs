//! The story that `cargo xtask demo` tells: one change, from `git push` to a fleet that runs it.

fn main() {
    println!("The story is not written yet.");
}
