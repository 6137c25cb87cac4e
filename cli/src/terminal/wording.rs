//! Small matters of wording.

/// `1 error`, `2 errors`
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A name from a workspace or a cluster without what would steer a terminal.
pub(crate) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
