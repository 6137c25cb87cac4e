//! Writes a diff as a comment on a pull request.

use std::fmt::Write;

use rototo_engine::Parsed;

use crate::diff::Diff;
use crate::diff::sections::{Line, LineKind, Piece, ValueVisibility, sections};
use crate::terminal::wording::{count, plain};

/// The number of bytes of a comment. GitHub takes 65,536 characters.
const LIMIT: usize = 65_000;

/// Returns the diff of these two workspaces in Markdown, as much of it as a comment can have. Quotes from the workspaces are code, so that nothing in them
/// links, mentions somebody, or becomes HTML.
pub(crate) fn markdown(diff: &Diff, old: &Parsed, new: &Parsed, values: ValueVisibility) -> String {
    let mut text = match diff.variables.len() {
        0 if diff.is_empty() => "### Runtime configuration: nothing changes for anybody\n".to_owned(),
        0 => "### Runtime configuration: no variable changes\n".to_owned(),
        1 => "### Runtime configuration: 1 variable changes\n".to_owned(),
        variables => format!("### Runtime configuration: {} change\n", count(variables, "variable")),
    };
    let mut left_out = 0;
    let mut add = |written: String| {
        if left_out == 0 && text.len() + written.len() <= LIMIT { text.push_str(&written) } else { left_out += 1 }
    };
    for section in sections(diff, old, new, values) {
        add(format!("\n**{}**\n\n", line(&section.heading)));
        for (sign, words) in &section.lines {
            let sign = match sign {
                LineKind::New => "➕",
                LineKind::Gone => "➖",
                LineKind::Different => "✏️",
            };
            add(format!("- {sign} {}\n", line(words)));
        }
    }
    if left_out > 0 {
        let _ = writeln!(text, "\n{} more: `rototo diff` shows them.", count(left_out, "line"));
    }
    text
}

fn line(line: &Line) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Words(words) => words.clone(),
        Piece::Quoted(text) => code(text),
    };
    line.0.iter().map(piece).collect()
}

/// Returns inline code whose fence is longer than any run of backticks in it.
fn code(text: &str) -> String {
    let text = plain(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest == 0 && !text.is_empty() { format!("{fence}{text}{fence}") } else { format!("{fence} {text} {fence}") }
}
