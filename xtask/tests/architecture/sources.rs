//! The Rust files of a folder, and their code without comments and texts.

use std::fs;
use std::path::Path;

/// Returns the Rust files below `folder` by their paths in it, without build directories and hidden folders.
pub fn rust_files(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect(folder, folder, &mut files);
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Returns the text without comments, strings, and characters. Line numbers stay the same.
pub fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = skipped(rest, code.chars().next_back());
        let (taken, after) = rest.split_at(length.unwrap_or(next.len_utf8()));
        match length {
            Some(_) => code.extend(std::iter::once(' ').chain(taken.chars().filter(|c| *c == '\n'))),
            None => code.push_str(taken),
        }
        rest = after;
    }
    code
}

/// Returns the length of the comment, string, or character at the beginning of `rest`, if there is one.
fn skipped(rest: &str, before: Option<char>) -> Option<usize> {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(until("*/", 2));
    }
    let in_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_name && let Some(raw) = rest.strip_prefix('r').or_else(|| rest.strip_prefix("br")) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return Some(until(&format!("\"{}", &raw[..hashes]), rest.len() - raw.len() + hashes + 1));
        }
    }
    if rest.starts_with('"') {
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        return Some(end.map_or(rest.len(), |(at, _)| at + 1));
    }
    let character = rest.strip_prefix('\'')?;
    let length = if let Some(escaped) = character.strip_prefix('\\') {
        escaped.find('\'').map(|at| at + 2).filter(|length| *length < 12)
    } else {
        character.chars().next().map(char::len_utf8).filter(|length| character[*length..].starts_with('\''))
    };
    Some(length? + 2)
}
