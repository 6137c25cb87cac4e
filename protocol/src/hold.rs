//! Decides whether accepted content is published or held until a person allows it.
//!
//! Lint can't know that a workspace was emptied by mistake: a directory that was renamed, or a merge that lost half of
//! the files, leaves a correct workspace with fewer variables. [`Shrink`] compares what a publish would remove with what
//! is published. What it holds is published once [`names_revision`] accepts the annotation of a person.

/// The number of digits by which a commit may be abbreviated at most, as git prints it.
const SHORT_COMMIT: usize = 7;

/// The variables that a publish would remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shrink {
    /// The number of published variables that the new content lacks.
    pub removed: usize,
    /// The number of published variables.
    pub published: usize,
}

impl Shrink {
    /// Compares the published variables with new content, where `remains` says whether a variable is still there.
    pub fn between<'a>(published: impl IntoIterator<Item = &'a str>, remains: impl Fn(&str) -> bool) -> Self {
        let mut shrink = Self { removed: 0, published: 0 };
        for variable in published {
            shrink.published += 1;
            shrink.removed += usize::from(!remains(variable));
        }
        shrink
    }

    /// Compares numbers of variables, where the names of the published ones are not known. A renamed variable does not
    /// show, so this holds less than [`Self::between`].
    #[must_use]
    pub fn of_counts(published: usize, remaining: usize) -> Self {
        Self { removed: published.saturating_sub(remaining), published }
    }

    /// Returns whether the content is held: the publish would remove more than half of the variables.
    #[must_use]
    pub fn is_held(self) -> bool {
        self.removed > self.published / 2
    }
}

/// Returns whether `text`, which a person wrote, names this content: by the revision, by its commit of at least seven
/// digits, or by the fingerprint.
#[must_use]
pub fn names_revision(text: &str, revision: Option<&str>, fingerprint: &str) -> bool {
    let text = text.trim();
    let commit = revision.and_then(|revision| revision.rsplit_once(':')).map(|(_, commit)| commit);
    let abbreviates = |commit: &str| text.len() >= SHORT_COMMIT && commit.starts_with(text);
    text == fingerprint || revision == Some(text) || commit.is_some_and(abbreviates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(published: &[&str], new: &[&str]) -> bool {
        Shrink::between(published.iter().copied(), |variable| new.contains(&variable)).is_held()
    }

    #[test]
    fn content_that_lacks_more_than_half_of_the_variables_is_held() {
        assert!(held(&["a"], &[]));
        assert!(held(&["a", "b", "c"], &["c"]));
        assert!(!held(&["a", "b"], &["a"]));
        assert!(!held(&["a", "b", "c"], &["a", "b"]));
        // All variables are renamed: for whoever reads them, they are gone.
        assert!(held(&["a", "b"], &["c", "d"]));
    }

    #[test]
    fn a_workspace_without_variables_can_not_shrink() {
        assert!(!held(&[], &[]));
        assert!(!held(&[], &["a"]));
        assert!(!Shrink::of_counts(0, 0).is_held());
    }

    #[test]
    fn numbers_alone_hold_what_became_less_than_half() {
        assert!(Shrink::of_counts(3, 1).is_held());
        assert!(!Shrink::of_counts(3, 2).is_held());
        assert!(!Shrink::of_counts(3, 9).is_held());
    }

    #[test]
    fn a_person_names_the_content_by_revision_commit_or_fingerprint() {
        let commit = "4d123d6100000000000000000000000000000000";
        let revision = format!("main@sha1:{commit}");
        let names = |text: &str| names_revision(text, Some(&revision), "sha256:9f2c");
        assert!(names(&revision) && names(commit) && names("4d123d6") && names("sha256:9f2c"));
        assert!(!names("4d123d") && !names("") && !names("main") && !names("true") && !names("4d123d62"));
        assert!(names_revision("sha256:9f2c", None, "sha256:9f2c") && !names_revision("4d123d6", None, "sha256:9f2c"));
    }
}
