//! Lints a workspace on a thread of its own, because custom rules may take their time. What changed while it lints is
//! linted at once afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use rototo_engine::{Diagnostic, Linted, Parsed, lint_after_with};
use rototo_lua::{InProcess, ScriptLimits};

use crate::workspace::WorkspaceEvent;

/// A workspace to lint.
pub(super) struct LintJob {
    pub(super) number: u64,
    pub(super) parsed: Parsed,
    /// The versions of the open documents.
    pub(super) versions: BTreeMap<String, i32>,
}

/// The findings in a workspace.
#[derive(Default)]
pub(crate) struct LintResult {
    /// The workspace.
    pub(crate) root: PathBuf,
    /// The number of the job.
    pub(crate) number: u64,
    /// The findings.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The versions of the open documents that were linted.
    pub(crate) versions: BTreeMap<String, i32>,
}

/// The thread that lints.
pub(super) struct Linter(Sender<LintJob>);

impl Linter {
    /// Starts the thread. It ends with the linter.
    pub(super) fn start(root: PathBuf, events: Sender<WorkspaceEvent>) -> Self {
        let (sender, jobs) = channel();
        // Without a thread there are no findings, and the client sees none.
        let _ = std::thread::Builder::new().name("lint".to_owned()).spawn(move || lint(&root, &jobs, &events));
        Self(sender)
    }

    pub(super) fn lint(&self, job: LintJob) {
        let _ = self.0.send(job);
    }
}

fn lint(root: &Path, jobs: &Receiver<LintJob>, events: &Sender<WorkspaceEvent>) {
    let mut linted = Linted::default();
    while let Ok(first) = jobs.recv() {
        let LintJob { number, parsed, versions } = jobs.try_iter().last().unwrap_or(first);
        linted = lint_after_with(&linted, &parsed, &mut InProcess::new(ScriptLimits::default()));
        let diagnostics = linted.take_lint().diagnostics;
        let result = LintResult { root: root.to_owned(), number, diagnostics, versions };
        if events.send(WorkspaceEvent::Linted(result)).is_err() {
            return;
        }
    }
}
