//! The program behind `cargo xtask generate [--check]`.

use anyhow::bail;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let visit = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => rototo_tests::generated::Generated::write,
        ["--check"] => rototo_tests::generated::Generated::check,
        _ => bail!("the only argument is `--check`"),
    };
    rototo_tests::generated::all()?.iter().try_for_each(visit)
}
