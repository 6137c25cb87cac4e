//! The rules that workspaces bring along in Lua: whether they are run, and where.
//!
//! They run in a process of their own that can open nothing. However long one of them takes, other workspaces are looked
//! at meanwhile; only other workspaces with rules of their own wait for a turn.

use std::path::PathBuf;
use std::sync::Arc;

use rototo_engine::lint::Refuse;
use rototo_engine::{DocumentKind, Linted, Parsed, Tree, lint_after_with};
use rototo_lua::Subprocess;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many workspaces may run their rules at a time.
const TURNS: usize = 4;

/// What to do about rules in Lua.
#[derive(Clone, Debug)]
pub struct CustomRules(Option<Arc<SandboxProgram>>);

#[derive(Debug)]
struct SandboxProgram {
    program: PathBuf,
    turns: Arc<Semaphore>,
}

impl CustomRules {
    /// They are run: `program` is the process for it, when it is started with [`rototo_lua::SANDBOX`].
    #[must_use]
    pub fn run_by(program: PathBuf) -> Self {
        Self(Some(Arc::new(SandboxProgram { program, turns: Arc::new(Semaphore::new(TURNS)) })))
    }

    /// They are not run, and a workspace that has some is refused.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Waits until this workspace may run its rules, if it has any.
    pub(crate) async fn turn(&self, tree: &Tree) -> Option<OwnedSemaphorePermit> {
        let sandbox = self.0.as_ref().filter(|_| has_rules(tree))?;
        sandbox.turns.clone().acquire_owned().await.ok()
    }

    /// Lints a workspace, its own rules included.
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
