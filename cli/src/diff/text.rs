//! Writes a diff for the terminal.

use std::fmt::Write;

use rototo_engine::Parsed;

use crate::diff::Diff;
use crate::diff::sections::{Line, LineKind, Piece, ValueVisibility, sections};
use crate::terminal::style::{BAD, BOLD, DIM, GOOD};
use crate::terminal::wording::plain;

/// Returns the diff of these two workspaces, a paragraph for each variable.
pub(crate) fn text(diff: &Diff, old: &Parsed, new: &Parsed, values: ValueVisibility) -> String {
    let mut text = String::new();
    if diff.is_empty() {
        text.push_str("nothing changes for anybody\n");
    }
    for section in sections(diff, old, new, values) {
        let _ = writeln!(text, "{}", line(&section.heading));
        for (sign, words) in &section.lines {
            let sign = match sign {
                LineKind::New => format!("{GOOD}+{GOOD:#}"),
                LineKind::Gone => format!("{BAD}-{BAD:#}"),
                LineKind::Different => format!("{DIM}~{DIM:#}"),
            };
            let _ = writeln!(text, "  {sign} {}", line(words));
        }
    }
    text
}

fn line(line: &Line) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Words(words) => words.clone(),
        Piece::Quoted(text) => format!("{BOLD}{}{BOLD:#}", plain(text)),
    };
    line.0.iter().map(piece).collect()
}
