//! The memory of what is held, and of the variables that are published.

use std::sync::Arc;

use rototo_engine::{DocumentKind, Fingerprint, Tree};
use rototo_protocol::hold::Shrink;

use crate::source::candidate::Candidate;

/// The paths of the variables of one content.
pub(super) type Variables = Arc<[Arc<str>]>;

/// The memory of what is held.
#[derive(Debug, Default)]
pub(super) struct HoldRecord {
    /// The variables of content that is published, so that a publish need not read the disk.
    published: Option<(Fingerprint, Variables)>,
    /// The content that was judged last. A poll may end at any time, and what it found waits for its own judgement.
    judged: Option<Fingerprint>,
    held: Option<Held>,
    /// The content that was compared last, published and newest, with the outcome. Content does not change.
    compared: Option<(Fingerprint, Fingerprint, Shrink)>,
}

/// Content that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(super) fingerprint: Fingerprint,
    /// The variables that its publish would remove.
    pub(crate) shrink: Shrink,
}

impl HoldRecord {
    /// Records that `fingerprint` is published, with the content `tree`.
    pub(super) fn published(&mut self, fingerprint: Fingerprint, tree: &Tree) {
        if self.variables_of(fingerprint).is_none() {
            self.published = Some((fingerprint, variables(tree)));
        }
    }

    /// Returns whether this content was judged, and not only what an earlier poll found.
    pub(super) fn has_judged(&self, candidate: &Candidate) -> bool {
        self.judged == Some(candidate.fingerprint)
    }

    /// Returns whether this content was judged and is not held.
    pub(super) fn releases(&self, candidate: &Candidate) -> bool {
        self.has_judged(candidate) && self.held(candidate).is_none()
    }

    /// Records that `judged` was judged, and that `held` is the outcome if it is held. Returns what was held before.
    pub(super) fn judge(&mut self, judged: Option<Fingerprint>, held: Option<Held>) -> Option<Held> {
        self.judged = judged;
        std::mem::replace(&mut self.held, held)
    }

    /// Returns what is held, if that is this content.
    pub(super) fn held(&self, candidate: &Candidate) -> Option<&Held> {
        self.held.as_ref().filter(|held| held.fingerprint == candidate.fingerprint)
    }

    /// Records that `newest` was compared with what is published.
    pub(super) fn note_compared(&mut self, published: Fingerprint, newest: Fingerprint, shrink: Shrink) {
        self.compared = Some((published, newest, shrink));
    }

    /// Returns the outcome of this comparison, if it was the last one.
    pub(super) fn compared(&self, published: Fingerprint, newest: Fingerprint) -> Option<Shrink> {
        let (before, after, shrink) = self.compared?;
        ((before, after) == (published, newest)).then_some(shrink)
    }

    /// Returns the variables of this content, if they are known.
    pub(super) fn variables_of(&self, fingerprint: Fingerprint) -> Option<Variables> {
        let (known, variables) = self.published.as_ref()?;
        (*known == fingerprint).then(|| variables.clone())
    }
}

fn variables(tree: &Tree) -> Variables {
    let variables = tree.iter().filter(|(_, document)| document.kind == DocumentKind::Variable);
    variables.map(|(path, _)| path.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rototo_api::workspace::{FailOn, WorkspaceStatus};

    use super::*;
    use crate::source::candidate::{LintVerdict, PollTimes};

    fn candidate(content: &str) -> Candidate {
        let now = Instant::now();
        let tree: Tree = [("rototo-workspace.toml".to_owned(), content.as_bytes().to_vec())].into_iter().collect();
        Candidate {
            layers: Vec::new(),
            revision: None,
            commit: None,
            immutable: false,
            fingerprint: tree.fingerprint(),
            contents: WorkspaceStatus { variables: 0, qualifiers: 0, resources: 0, documents: 1, expired: 0 },
            expiries: Arc::default(),
            signature: None,
            fail_on: FailOn::Error,
            provisional: false,
            verdict: LintVerdict::Accepted,
            times: PollTimes { detected: now, fetched: now, linted: now },
        }
    }

    #[test]
    fn content_of_a_poll_that_ends_between_judgement_and_decision_waits() {
        let (first, second) = (candidate("A"), candidate("B"));
        let mut record = HoldRecord::default();
        assert!(!record.releases(&first), "nothing is published before it was judged");
        assert_eq!(record.judge(Some(first.fingerprint), None), None);
        assert!(record.releases(&first) && !record.releases(&second));
        let held = Held { fingerprint: second.fingerprint, shrink: Shrink { removed: 1, published: 1 } };
        assert_eq!(record.judge(Some(second.fingerprint), Some(held)), None);
        assert!(!record.releases(&second) && record.held(&second) == Some(&held));
    }
}
