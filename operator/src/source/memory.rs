//! The memory that the documents of workspaces take: while they are linted, and afterwards.
//!
//! A workspace that is linted takes twenty to forty times the bytes of its documents, and ten to thirty times as long as it
//! stays parsed, which makes its next change cheap. So of the large ones one is linted at a time, and what stays parsed has a
//! limit in all. Beyond that, the next change of a workspace costs as much as its first revision.
//!
//! Patterns of schemas take more than their bytes, while a workspace is linted and as long as it stays parsed. They count
//! by an estimate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rototo_engine::{Linted, Parsed, Tree};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::load::turns::{Crowded, Turn, TurnLimits, Turns};

/// A workspace with more than this part of the most documents that one may have is large.
const LARGE: u64 = 16;
/// The bytes of compiled patterns above which a workspace is linted alone.
const HEAVY: u64 = 8 << 20;
/// The bytes that a byte of a document takes as long as it stays parsed.
const PARSED_BYTES: u64 = 20;
/// The number of large workspaces that may wait for their turn. Each has one poll at a time.
const WAITING: usize = 65_536;

/// The memory for documents.
#[derive(Debug)]
pub(crate) struct DocumentMemory {
    large: u64,
    turns: Turns<String>,
    kept: Arc<Semaphore>,
    heavy: Mutex<()>,
}

/// The lint of a workspace, as long as there is memory for it.
#[derive(Debug)]
pub struct KeptLint {
    linted: Linted,
    _room: OwnedSemaphorePermit,
}

impl KeptLint {
    /// Returns the lint.
    pub(crate) fn linted(&self) -> &Linted {
        &self.linted
    }
}

impl DocumentMemory {
    /// Makes room for workspaces with at most `most` bytes of documents each. At most `kept` bytes of them stay parsed.
    pub(crate) fn new(most: u64, kept: u64) -> Self {
        let turns = Turns::new(TurnLimits { at_once: 1, per_key: 1, waiting: WAITING, waiting_per_key: WAITING });
        let units = usize::try_from(kept / 1024).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { large: most / LARGE, turns, kept: Arc::new(Semaphore::new(units)), heavy: Mutex::new(()) }
    }

    /// Returns whether this workspace needs a turn to be linted.
    pub(crate) fn is_large(&self, tree: &Tree) -> bool {
        bytes(tree) > self.large
    }

    /// Takes the turn of large workspaces, if it is free.
    pub(crate) fn try_turn(&self, namespace: &str) -> Option<Turn<String>> {
        self.turns.try_take(&namespace.to_owned())
    }

    /// Waits for the turn of large workspaces. Namespaces take turns.
    pub(crate) async fn turn(&self, namespace: &str) -> Result<Turn<String>, Crowded> {
        self.turns.take(&namespace.to_owned()).await
    }

    /// Waits until a large workspace of another namespace waits for its turn.
    pub(crate) async fn crowded(&self) {
        self.turns.crowded().await;
    }

    /// Returns the number of large workspaces that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.turns.waiting()
    }

    /// Waits until no other workspace with heavy patterns is linted; `None` if this one has none. Whoever waits blocks its
    /// thread, so nobody may wait for anything but the end of its lint meanwhile.
    pub(crate) fn heavy_turn(&self, parsed: &Parsed) -> Option<MutexGuard<'_, ()>> {
        let is_heavy = parsed.pattern_memory() > HEAVY;
        is_heavy.then(|| self.heavy.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a lint, if there is room for it.
    pub(crate) fn keep(&self, linted: Linted) -> Option<Arc<KeptLint>> {
        // Small workspaces have a cost of their own.
        let parsed = linted.parsed();
        let charged = bytes(parsed.tree()).saturating_add(parsed.pattern_memory() / PARSED_BYTES);
        let units = u32::try_from(charged / 1024 + 1).ok()?;
        let room = self.kept.clone().try_acquire_many_owned(units).ok()?;
        Some(Arc::new(KeptLint { linted, _room: room }))
    }
}

/// Returns the bytes of all documents.
pub(crate) fn bytes(tree: &Tree) -> u64 {
    tree.iter().map(|(_, document)| document.bytes.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use rototo_engine::{lint_after, parse};

    use super::*;

    fn linted(bytes: usize) -> Linted {
        let manifest = ("rototo-workspace.toml".to_owned(), b"schema_version = 1\n".to_vec());
        let tree: Tree = [manifest, ("variables/a.toml".to_owned(), vec![b'#'; bytes])].into_iter().collect();
        lint_after(&Linted::default(), &parse(tree))
    }

    #[test]
    fn what_stays_parsed_has_a_limit_and_what_is_dropped_makes_room() {
        let memory = DocumentMemory::new(1 << 20, 100 << 10);
        let mut kept: Vec<_> = (0..20).map(|_| memory.keep(linted(10 << 10))).collect();
        let number = |kept: &[Option<_>]| kept.iter().flatten().count();
        assert_eq!(number(&kept), 9);
        assert!(memory.keep(linted(200 << 10)).is_none());
        kept.truncate(5);
        kept.push(memory.keep(linted(10 << 10)));
        assert_eq!(number(&kept), 6);
    }

    /// A small workspace whose patterns take about 7 MiB each.
    fn with_patterns(count: usize) -> Parsed {
        let manifest = ("rototo-workspace.toml".to_owned(), b"schema_version = 1\n".to_vec());
        let schema = br#"{ "pattern": "(?:\\w(?=b)){50}" }"#;
        let schemas = (0..count).map(|n| (format!("schemas/{n}.json"), schema.to_vec()));
        parse([manifest].into_iter().chain(schemas).collect())
    }

    #[test]
    fn patterns_that_stay_compiled_take_room() {
        let memory = DocumentMemory::new(1 << 20, 1 << 20);
        let linted = || lint_after(&Linted::default(), &with_patterns(1));
        let kept: Vec<_> = (0..10).map(|_| memory.keep(linted())).collect();
        assert_eq!(kept.iter().flatten().count(), 2);
    }

    #[test]
    fn only_one_workspace_with_heavy_patterns_is_linted_at_a_time() {
        let memory = DocumentMemory::new(1 << 20, 1 << 20);
        let turn = memory.heavy_turn(&with_patterns(2));
        assert!(turn.is_some() && memory.heavy.try_lock().is_err());
        assert!(memory.heavy_turn(&with_patterns(1)).is_none());
        drop(turn);
        assert!(memory.heavy_turn(&with_patterns(2)).is_some());
    }

    #[test]
    fn only_one_large_workspace_is_linted_at_a_time() {
        let memory = DocumentMemory::new(1 << 20, 1 << 20);
        assert!(
            !memory.is_large(linted(32 << 10).parsed().tree()) && memory.is_large(linted(128 << 10).parsed().tree())
        );
        let turn = memory.try_turn("a").unwrap();
        assert!(memory.try_turn("b").is_none());
        drop(turn);
        assert!(memory.try_turn("b").is_some());
    }
}
