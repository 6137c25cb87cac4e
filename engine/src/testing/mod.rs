//! Runs the tests of a workspace: files `tests/<name>.toml` beside its documents, with contexts and the expected results.
//! A test that fails is a [`Diagnostic`] at its line.
//!
//! ```
//! use rototo_engine::{Tree, compile, parse, testing};
//!
//! let files = [
//!     ("rototo-workspace.toml", "schema_version = 1"),
//!     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10 }\nresolve = { default = \"small\" }"),
//!     ("tests/limits.toml", "schema_version = 1\n[[case]]\nexpect = { limit = \"large\" }"),
//! ];
//! let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
//! let parsed = parse(tree);
//! let report = testing::run(&parsed, &compile(&parsed)?, parsed.tree().tests(), || true);
//! assert_eq!((report.cases, report.diagnostics.len()), (1, 1));
//! assert_eq!(report.diagnostics[0].to_string(), "tests/limits.toml:3:12: case 1: variable `limit` has no value `large` [rototo/test-invalid]");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attributes;
mod case;
mod coverage;
mod findings;

use std::sync::Arc;

use crate::compile::compiled::Compiled;
use crate::diagnostic::Diagnostic;
use crate::lint::attributes::ContextAttributes;
use crate::parse::{Parsed, TestFile};
use crate::testing::case::CaseRunner;
pub use crate::testing::coverage::{Coverage, QualifierCoverage, RuleCoverage, VariableCoverage};
use crate::testing::findings::TestFindings;
pub use crate::testing::findings::{ATTRIBUTE_UNREAD, FAILED, INVALID};

/// The results of all tests of a workspace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestReport {
    /// The number of files.
    pub files: usize,
    /// The number of cases; each row of a table is one.
    pub cases: usize,
    /// The number of expected results that were checked.
    pub checks: usize,
    /// The tests that fail, and the mistakes in files, in order; at most 1,000.
    pub diagnostics: Vec<Diagnostic>,
    /// Attributes that nothing reads, in order of the files; at most 100. They make no test fail.
    pub warnings: Vec<Diagnostic>,
    /// The decisions that the cases have reached.
    pub coverage: Coverage,
    /// True if the caller stopped the run, so that cases are missing.
    pub interrupted: bool,
}

/// Runs tests: `files` are their paths and bytes, mostly those of [`Tree::tests`](crate::Tree::tests). A path that may be
/// meant as a test, and is none, is a mistake. Before each case and each
/// expected result `keep_going` is asked, so that a caller can limit the time.
pub fn run<'a>(
    parsed: &'a Parsed,
    compiled: &Compiled,
    files: impl IntoIterator<Item = (&'a Arc<str>, &'a Arc<[u8]>)>,
    mut keep_going: impl FnMut() -> bool,
) -> TestReport {
    let mut report = TestReport { coverage: Coverage::of(parsed), ..TestReport::default() };
    let (mut findings, known) = (TestFindings::new(parsed), ContextAttributes::of(parsed));
    for (path, bytes) in files {
        report.files += 1;
        let file = TestFile::read(bytes);
        findings.begin_file(path, bytes);
        file.faults.iter().for_each(|fault| findings.invalid(fault.span, &fault.message));
        attributes::warn_of_unread(&file, &known, &mut findings);
        if file.cases.is_empty() && file.faults.is_empty() {
            findings.invalid(None, "the file tests nothing: add a `[[case]]` or a `[[table]]`");
        }
        for case in &file.cases {
            if !keep_going() {
                report.interrupted = true;
                return report;
            }
            report.cases += 1;
            let (findings, coverage) = (&mut findings, &mut report.coverage);
            let checked = CaseRunner { parsed, compiled, findings, coverage }.run(&file.context, case, &mut keep_going);
            report.checks += checked;
            if checked < case.expected.len() {
                report.interrupted = true;
                return report;
            }
        }
    }
    for (path, meant) in parsed.tree().unread().tests() {
        findings.begin_file(path, &[]);
        findings.invalid(None, &format!("nothing reads `{path}`, so none of its tests ran; is `{meant}` meant?"));
    }
    (report.diagnostics, report.warnings) = findings.into_diagnostics();
    report
}

#[cfg(test)]
mod tests;
