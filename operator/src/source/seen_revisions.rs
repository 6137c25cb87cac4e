//! The revisions that the polls found to have the same content. Commits that change nothing in a workspace follow each other,
//! and somebody may wait for any of them, also for one that no status has named.

use rototo_engine::Fingerprint;

/// The number of contents that are remembered: what is published, what is rolled out, and what follows.
const CONTENTS: usize = 4;
/// The number of revisions of one content that are remembered, as many as a status names.
pub const REVISIONS: usize = 10;

/// The revisions of the newest contents of one source.
#[derive(Clone, Debug, Default)]
pub struct SeenRevisions(Vec<(Fingerprint, Vec<String>)>);

impl SeenRevisions {
    /// Records that `revision` was found to have this content.
    pub fn add(&mut self, fingerprint: Fingerprint, revision: String) {
        let known = self.0.iter().position(|(content, _)| *content == fingerprint);
        let mut revisions = known.map(|known| self.0.remove(known).1).unwrap_or_default();
        revisions.retain(|earlier| *earlier != revision);
        revisions.insert(0, revision);
        revisions.truncate(REVISIONS);
        self.0.insert(0, (fingerprint, revisions));
        self.0.truncate(CONTENTS);
    }

    /// Returns the revisions that were found to have this content, the last one first.
    #[must_use]
    pub fn of(&self, fingerprint: Fingerprint) -> &[String] {
        let of_content = self.0.iter().find(|(content, _)| *content == fingerprint);
        of_content.map(|(_, revisions)| revisions.as_slice()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(digit: &str) -> Fingerprint {
        format!("sha256:{}", digit.repeat(64)).parse().unwrap()
    }

    #[test]
    fn each_content_has_its_revisions_once_and_the_newest_first() {
        let mut seen = SeenRevisions::default();
        for (digit, revision) in [("a", "1"), ("a", "2"), ("b", "3"), ("a", "1"), ("a", "4")] {
            seen.add(content(digit), revision.to_owned());
        }
        assert_eq!(
            (seen.of(content("a")), seen.of(content("b"))),
            (&["4", "1", "2"].map(str::to_owned)[..], &["3".to_owned()][..])
        );
        assert!(seen.of(content("c")).is_empty());
    }

    #[test]
    fn only_the_newest_contents_and_revisions_are_remembered() {
        let mut seen = SeenRevisions::default();
        for (digit, revision) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")] {
            seen.add(content(digit), revision.to_owned());
        }
        assert!(seen.of(content("a")).is_empty() && !seen.of(content("b")).is_empty());
        (0..20).for_each(|number| seen.add(content("e"), number.to_string()));
        assert_eq!((seen.of(content("e")).len(), seen.of(content("e"))[0].as_str()), (REVISIONS, "19"));
    }
}
