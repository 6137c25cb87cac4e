//! Packed answers that stay in memory: a change is asked for by a whole fleet at once, and mostly on one base.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::records::Key;
use crate::snapshots::Wanted;

/// How many bytes stay in memory. What was asked for longest ago goes first.
const LIMIT: usize = 64 * 1024 * 1024;
/// What an answer takes beside its bytes.
const OVERHEAD: usize = 512;

/// An answer that one request packs while the others wait for it.
pub(crate) type Packed = Arc<OnceCell<Option<Arc<[u8]>>>>;

/// The answers, and when each was wanted last, in numbers of wishes.
#[derive(Default)]
pub(crate) struct PackedAnswers {
    answers: HashMap<Wanted, (Packed, u64)>,
    wishes: u64,
}

impl PackedAnswers {
    /// The answer to `wanted`, which may have to be packed yet.
    pub(crate) fn want(&mut self, wanted: &Wanted) -> Packed {
        self.wishes += 1;
        let (packed, wished) = self.answers.entry(wanted.clone()).or_default();
        *wished = self.wishes;
        packed.clone()
    }

    /// Makes room, `newest` having been packed. That one stays, however large.
    pub(crate) fn shrink(&mut self, newest: &Wanted) {
        let size = |packed: &Packed| OVERHEAD + packed.get().and_then(Option::as_ref).map_or(0, |bytes| bytes.len());
        let mut total: usize = self.answers.values().map(|(packed, _)| size(packed)).sum();
        while total > LIMIT {
            let others = self.answers.iter().filter(|(wanted, _)| *wanted != newest);
            let Some(oldest) = others.min_by_key(|(_, (_, wished))| *wished) else { return };
            let wanted = oldest.0.clone();
            total -= self.answers.remove(&wanted).map_or(0, |(packed, _)| size(&packed));
        }
    }

    pub(crate) fn forget(&mut self, wanted: &Wanted) {
        self.answers.remove(wanted);
    }

    pub(crate) fn forget_all_of(&mut self, key: &Key) {
        self.answers.retain(|wanted, _| wanted.key != *key);
    }
}

#[cfg(test)]
mod tests {
    use rototo_engine::Tree;

    use super::*;

    fn wanted(text: &str) -> Wanted {
        let tree: Tree = [("rototo-workspace.toml".to_owned(), text.as_bytes().to_vec())].into_iter().collect();
        let key = Key { namespace: "prod".to_owned(), name: "config".to_owned() };
        Wanted { key, fingerprint: tree.fingerprint(), base: None }
    }

    fn pack(answers: &mut PackedAnswers, text: &str, bytes: usize) {
        assert!(answers.want(&wanted(text)).set(Some(vec![0; bytes].into())).is_ok());
        answers.shrink(&wanted(text));
    }

    fn has(answers: &PackedAnswers, text: &str) -> bool {
        answers.answers.contains_key(&wanted(text))
    }

    #[test]
    fn what_was_asked_for_longest_ago_makes_room() {
        let mut answers = PackedAnswers::default();
        for text in ["a", "b", "c"] {
            pack(&mut answers, text, LIMIT / 4);
        }
        answers.want(&wanted("a"));
        pack(&mut answers, "d", LIMIT / 3);
        assert!(has(&answers, "a") && !has(&answers, "b") && has(&answers, "d"));
    }

    #[test]
    fn one_that_is_larger_than_all_room_stays_until_the_next() {
        let mut answers = PackedAnswers::default();
        pack(&mut answers, "large", LIMIT + 1);
        assert!(has(&answers, "large"));
        pack(&mut answers, "small", 1);
        assert!(!has(&answers, "large") && has(&answers, "small"));
    }

    #[test]
    fn many_small_ones_fit() {
        let mut answers = PackedAnswers::default();
        for number in 0..1000 {
            pack(&mut answers, &number.to_string(), 1000);
        }
        assert_eq!(answers.answers.len(), 1000);
    }
}
