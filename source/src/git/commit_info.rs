//! The author and the subject of a commit, from its object.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::folded;
use crate::spec::Commit;

/// The number of commits of one repository that are remembered.
const REMEMBERED: usize = 256;
/// The most characters of an author, and of a subject.
const AUTHOR: usize = 100;
const SUBJECT: usize = 200;

/// The words of a commit. They are one line each, and have no effects on a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// The name of the author.
    pub author: String,
    /// The first line of the message.
    pub subject: String,
}

/// The commits of one repository that were read.
#[derive(Default)]
pub(super) struct CommitInfos(Mutex<HashMap<Commit, CommitInfo>>);

impl CommitInfo {
    /// Reads the object of a commit: headers, an empty line, and the message. Git does not prevent that one is garbled,
    /// and then its parts are empty.
    pub(super) fn of(object: &[u8]) -> Self {
        let text = String::from_utf8_lossy(object);
        let (headers, message) = text.split_once("\n\n").unwrap_or((&text, ""));
        let author = headers.lines().find_map(|line| line.strip_prefix("author ")).unwrap_or_default();
        let name = author.split('<').next().unwrap_or_default();
        let subject = message.trim_start().lines().next().unwrap_or_default();
        let shown = |text: &str, most: usize| folded([text].into_iter()).chars().take(most).collect();
        Self { author: shown(name.trim(), AUTHOR), subject: shown(subject, SUBJECT) }
    }
}

impl CommitInfos {
    pub(super) fn note(&self, commit: &Commit, info: CommitInfo) {
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(commit.clone(), info);
    }

    pub(super) fn get(&self, commit: &Commit) -> Option<CommitInfo> {
        self.lock().get(commit).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Commit, CommitInfo>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(object: &str, author: &str, subject: &str) {
        let expected = CommitInfo { author: author.to_owned(), subject: subject.to_owned() };
        assert_eq!(CommitInfo::of(object.as_bytes()), expected, "{object:?}");
    }

    #[test]
    fn the_author_and_the_first_line_are_read() {
        let headers = "tree 07\nauthor Ada Lovelace <ada@example.com> 1700000000 +0100\ncommitter B <b> 1 +0000";
        check(&format!("{headers}\n\nWiden the trial\n\nauthor Somebody else\n"), "Ada Lovelace", "Widen the trial");
        check(
            &format!("{headers}\ngpgsig -----BEGIN\n \n -----END\n\n<img onerror=1>"),
            "Ada Lovelace",
            "<img onerror=1>",
        );
        check(&format!("{headers}\n\n"), "Ada Lovelace", "");
    }

    #[test]
    fn a_hostile_or_garbled_commit_is_one_short_line() {
        check("", "", "");
        check("author <nobody>\n\n\u{202e}red\u{1b}[31m", "", "red");
        let long = CommitInfo::of(format!("author {0}\n\n{0}", "x".repeat(10_000)).as_bytes());
        assert_eq!((long.author.len(), long.subject.len()), (AUTHOR, SUBJECT));
        assert_eq!(CommitInfo::of(&[0xff; 100]).subject, "");
    }

    #[test]
    fn the_commits_that_are_remembered_are_bounded() {
        let infos = CommitInfos::default();
        for number in 0..3 * REMEMBERED {
            infos.note(&format!("{number:040x}").parse().unwrap(), CommitInfo::of(b""));
        }
        assert!(infos.lock().len() <= REMEMBERED);
    }
}
