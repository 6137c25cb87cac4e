//! Writes to the terminal or the pipe: with colours only on a terminal, and without an error when the reader has left.

pub(crate) mod advice;
pub(crate) mod diagnostics;
pub(crate) mod site;
pub(crate) mod style;
pub(crate) mod wording;

use std::io::{self, Write};

use serde::Serialize;

use crate::terminal::advice::advice;
use crate::terminal::style::{BAD, BOLD};

/// Prints text that may have colours.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    write(&mut anstream::stdout(), text)
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write(&mut io::stdout(), &text)
}

/// Prints text that may have colours to stderr.
pub(crate) fn print_error_text(text: &str) -> anyhow::Result<()> {
    write(&mut anstream::stderr(), text)
}

/// Prints the error of a command.
pub(crate) fn print_error(error: &anyhow::Error) {
    let text: String = format!("{error:#}").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // A failure to write to stderr can't be reported anywhere.
    let _ = writeln!(anstream::stderr(), "{BAD}error{BAD:#}{BOLD}:{BOLD:#} {text}");
    if let Some(help) = advice(error) {
        let _ = writeln!(anstream::stderr(), "{BOLD}help{BOLD:#}: {help}");
    }
}

fn write(stream: &mut impl Write, text: &str) -> anyhow::Result<()> {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        // `rototo … | head` has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
