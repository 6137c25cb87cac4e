//! Findings as workflow commands of GitHub, which shows them in the changed files of a pull request.

use std::fmt::Write;

use rototo_engine::text::readable;
use rototo_engine::{Diagnostic, Severity};

use crate::reports::LintFindings;

/// Returns one line for each finding. GitHub shows ten errors and ten warnings of a step, so errors come first.
pub(crate) fn github(findings: &LintFindings<'_>) -> String {
    let mut text = String::new();
    for severity in [Severity::Error, Severity::Warning] {
        for found in findings.diagnostics.iter().filter(|found| found.severity == severity) {
            text.push_str(&command(findings, found));
        }
    }
    text
}

fn command(findings: &LintFindings<'_>, found: &Diagnostic) -> String {
    let level = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = findings.place(&found.location);
    let mut text = format!("::{level} file={},line={}", property(&place.path), place.line());
    if let Some(range) = place.range {
        // GitHub refuses columns of a range of several lines.
        let _ = if range.start.line == range.end.line {
            write!(text, ",col={},endColumn={}", range.start.column, range.end.column)
        } else {
            write!(text, ",endLine={}", range.end.line)
        };
    }
    let help = found.help.as_ref().map(|help| format!("\n{}", readable(help))).unwrap_or_default();
    let message = data(&format!("{}{}{help}", readable(&found.message), readable(&place.words())));
    let _ = writeln!(text, ",title={}::{message}", property(&found.rule));
    text
}

/// Escapes the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use rototo_engine::{Tree, lint, parse};

    use super::*;

    /// Returns the commands for one variable of a workspace.
    fn commands(directory: &str, name: &str, text: &str) -> String {
        let mut tree = Tree::default();
        tree.insert("rototo-workspace.toml", *b"schema_version = 1");
        tree.insert(format!("variables/{name}.toml"), text.as_bytes().to_vec());
        let lint = lint(&parse(tree));
        github(&LintFindings {
            command: "lint",
            diagnostics: &lint.diagnostics,
            directory,
            layers: &std::collections::BTreeMap::new(),
        })
    }

    #[test]
    fn a_command_names_file_line_and_column_below_the_repository() {
        let text = "schema_version = 1\ntype = \"int\"\nvalues = { a = \"x\" }\nresolve = { default = \"a\" }\n";
        assert_eq!(
            commands("workspaces/prod", "limit", text),
            "::error file=workspaces/prod/variables/limit.toml,line=3,col=16,endColumn=19,\
             title=rototo/variable-value-type-mismatch::`a` must be of type int%0A\
             change the value to fit the type and the schema of the variable\n"
        );
    }

    /// A name from a pull request must not end the command, or begin another one.
    #[test]
    fn names_of_a_workspace_can_not_write_commands() {
        let text = "schema_version = 1\ntype = \"a%\\n::error::b\"\nvalues = {}\nresolve = { default = \"\" }\n";
        let commands = commands("", "a,b:c%\n::warning::d", text);
        let is_own = |line: &str| line.starts_with("::error file=") || line.starts_with("::warning file=");
        assert!(commands.lines().all(is_own), "{commands}");
        assert!(commands.contains("file=variables/a%2Cb%3Ac%25%0A%3A%3Awarning%3A%3Ad.toml,"), "{commands}");
        assert!(commands.contains("there is no type `a%25 ::error::b`"), "{commands}");
    }

    #[test]
    fn errors_come_before_warnings() {
        let text = "schema_version = 1\ntype = \"int\"\nvalues = { a = 1, b = 2 }\nresolve = { default = \"c\" }\n";
        let commands = commands("", "limit", text);
        let levels: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(levels, ["::error", "::warning", "::warning"], "{commands}");
    }
}
