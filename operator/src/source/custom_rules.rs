//! Runs the custom rules of workspaces, which are written in Lua, or refuses to.
//!
//! They run in a process of their own that can open nothing. However long one of them takes, other workspaces are
//! polled meanwhile; only other workspaces with custom rules wait for a turn. A namespace has one turn at a time, and
//! namespaces take turns, so that slow rules hold up their own namespace alone.

use std::path::PathBuf;
use std::sync::Arc;

use rototo_engine::lint::Refuse;
use rototo_engine::{DocumentKind, Linted, Parsed, Tree, lint_after_with};
use rototo_lua::Subprocess;

use crate::load::turns::{Crowded, Turn, TurnLimits, Turns};

/// The workspaces that may run their rules at a time, in all and of one namespace.
const TURNS: TurnLimits = TurnLimits { at_once: 4, per_key: 1, waiting: QUEUE.at_once, waiting_per_key: QUEUE.per_key };
/// The workspaces that run their rules or wait for it, each with the documents that it has fetched. Others wait without
/// documents and without a turn among the polls, which are for sources.
const QUEUE: TurnLimits = TurnLimits { at_once: 64, per_key: 4, waiting: 65_536, waiting_per_key: 65_536 };

/// The policy for custom rules.
#[derive(Clone, Debug)]
pub struct CustomRules(Option<Arc<SandboxProgram>>);

/// The turn of a workspace to run its rules, and its place among those that wait for one. Both are `None` where rules
/// are not run.
#[derive(Debug)]
pub(crate) struct RulesTurn {
    _queued: Option<Turn<String>>,
    _running: Option<Turn<String>>,
}

impl RulesTurn {
    /// Joins a place in the queue and a turn.
    pub(crate) fn new(queued: Option<Turn<String>>, running: Option<Turn<String>>) -> Self {
        Self { _queued: queued, _running: running }
    }
}

#[derive(Debug)]
struct SandboxProgram {
    program: PathBuf,
    queue: Turns<String>,
    turns: Turns<String>,
}

impl CustomRules {
    /// Runs them in `program`, which is started with [`rototo_lua::SANDBOX`].
    #[must_use]
    pub fn run_by(program: PathBuf) -> Self {
        Self(Some(Arc::new(SandboxProgram { program, queue: Turns::new(QUEUE), turns: Turns::new(TURNS) })))
    }

    /// Runs none, and refuses a workspace that has some.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Returns whether the rules of these documents need a turn.
    pub(crate) fn needs_turn(&self, tree: &Tree) -> bool {
        self.0.is_some() && has_rules(tree)
    }

    /// Returns at once whether a workspace of `namespace` may wait for its turn, as [`CustomRules::queue`] does later.
    pub(crate) fn try_queue(&self, namespace: &str) -> Option<Option<Turn<String>>> {
        let Some(sandbox) = &self.0 else { return Some(None) };
        sandbox.queue.try_take(&namespace.to_owned()).map(Some)
    }

    /// Takes the turn of a workspace of `namespace` to run its rules, if it is free.
    pub(crate) fn try_both(&self, namespace: &str) -> Option<RulesTurn> {
        let queued = self.try_queue(namespace)?;
        let Some(sandbox) = &self.0 else { return Some(RulesTurn::new(queued, None)) };
        let turn = sandbox.turns.try_take(&namespace.to_owned())?;
        Some(RulesTurn::new(queued, Some(turn)))
    }

    /// Waits until a workspace of `namespace` may wait for its turn. It waits, or runs its rules, until the returned value
    /// is dropped.
    pub(crate) async fn queue(&self, namespace: &str) -> Result<Option<Turn<String>>, Crowded> {
        let Some(sandbox) = &self.0 else { return Ok(None) };
        sandbox.queue.take(&namespace.to_owned()).await.map(Some)
    }

    /// Waits until a workspace of `namespace` may run its rules. The turn ends when the returned value is dropped.
    pub(crate) async fn turn(&self, namespace: &str) -> Result<Option<Turn<String>>, Crowded> {
        let Some(sandbox) = &self.0 else { return Ok(None) };
        sandbox.turns.take(&namespace.to_owned()).await.map(Some)
    }

    /// Returns the number of workspaces that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.as_ref().map_or(0, |sandbox| sandbox.queue.waiting() + sandbox.turns.waiting())
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
