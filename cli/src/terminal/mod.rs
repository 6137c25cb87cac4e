//! Writes to the terminal or the pipe: with colours only on a terminal, and without an error when the reader has left.

pub(crate) mod advice;
pub(crate) mod diagnostics;
pub(crate) mod site;
pub(crate) mod style;
pub(crate) mod wording;

use std::io::{self, Write};

use rototo_engine::text::{is_disruptive, readable, shortened_to};
use serde::Serialize;

use crate::terminal::advice::advice;
use crate::terminal::style::{BAD, BOLD};
use crate::terminal::wording::{harmless, plain};

/// Prints text that may have colours.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    write(&mut anstream::stdout(), &harmless(text))
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = escaped(&serde_json::to_string_pretty(value)?);
    text.push('\n');
    write(&mut io::stdout(), &text)
}

/// Returns JSON with codes in place of the characters that would do something to a terminal; they stand in strings alone.
/// The line breaks between the parts stay.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '\n' => text.push(letter),
            _ if is_disruptive(letter) => text.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => text.push(letter),
        }
    }
    text
}

/// Prints text that may have colours to stderr.
pub(crate) fn print_error_text(text: &str) -> anyhow::Result<()> {
    write(&mut anstream::stderr(), &harmless(text))
}

/// Prints the error of a command.
pub(crate) fn print_error(error: &anyhow::Error) {
    /// An error may quote an argument, or the answer of a host.
    const LONGEST: usize = 4_000;
    let text = format!("{error:#}");
    let text = readable(&shortened_to(&text, LONGEST)).into_owned();
    // A failure to write to stderr can't be reported anywhere.
    let _ = writeln!(anstream::stderr(), "{BAD}error{BAD:#}{BOLD}:{BOLD:#} {text}");
    if let Some(help) = advice(error) {
        let _ = writeln!(anstream::stderr(), "{BOLD}help{BOLD:#}: {}", plain(&help));
    }
}

fn write(stream: &mut impl Write, text: &str) -> anyhow::Result<()> {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        // `rototo … | head` has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
