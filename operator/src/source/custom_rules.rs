//! Runs the custom rules of workspaces, which are written in Lua, or refuses to.
//!
//! They run in a process of their own that can open nothing. However long one of them takes, other workspaces are
//! polled meanwhile; only other workspaces with custom rules wait for a turn.

use std::path::PathBuf;
use std::sync::Arc;

use rototo_engine::lint::Refuse;
use rototo_engine::{DocumentKind, Linted, Parsed, Tree, lint_after_with};
use rototo_lua::Subprocess;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of workspaces that may run their rules at a time.
const TURNS: usize = 4;

/// The policy for custom rules.
#[derive(Clone, Debug)]
pub struct CustomRules(Option<Arc<SandboxProgram>>);

#[derive(Debug)]
struct SandboxProgram {
    program: PathBuf,
    turns: Arc<Semaphore>,
}

impl CustomRules {
    /// Runs them in `program`, which is started with [`rototo_lua::SANDBOX`].
    #[must_use]
    pub fn run_by(program: PathBuf) -> Self {
        Self(Some(Arc::new(SandboxProgram { program, turns: Arc::new(Semaphore::new(TURNS)) })))
    }

    /// Runs none, and refuses a workspace that has some.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Waits until this workspace may run its rules, if it has any. The turn ends when the permit is dropped.
    pub(crate) async fn turn(&self, tree: &Tree) -> Option<OwnedSemaphorePermit> {
        let sandbox = self.0.as_ref().filter(|_| has_rules(tree))?;
        sandbox.turns.clone().acquire_owned().await.ok()
    }

    /// Lints a workspace, custom rules included.
    pub(crate) fn lint(&self, before: &Linted, parsed: &Parsed) -> Linted {
        match &self.0 {
            Some(sandbox) => lint_after_with(before, parsed, &mut Subprocess::new(sandbox.program.clone())),
            None => lint_after_with(before, parsed, &mut Refuse("this operator does not run rules in Lua (--no-lua)")),
        }
    }
}

fn has_rules(tree: &Tree) -> bool {
    tree.iter().any(|(_, document)| document.kind == DocumentKind::CustomLint)
}
