//! Asks a repository which commits its refs are: exactly the named ref, and one question for all who wait for it.

use std::collections::HashMap;
use std::time::Instant;

use crate::error::GitFault;
use crate::reference::{Commit, GitReference};

use super::program::{Outcome, Program};

/// What the repository said last about each ref that was asked for.
#[derive(Default)]
pub(super) struct Answers {
    last: HashMap<GitReference, Answer>,
}

struct Answer {
    asked: Instant,
    commit: Result<Commit, GitFault>,
}

impl Answers {
    /// The commit of `reference`, from an answer to a question that was put at `since` or later. A failed question is
    /// an answer too, so that a host which is down is not asked once for each who waited.
    pub(super) async fn answer(
        &mut self,
        program: &Program,
        reference: &GitReference,
        since: Instant,
    ) -> Result<Commit, GitFault> {
        if let Some(answer) = self.last.get(reference)
            && answer.asked >= since
        {
            return answer.commit.clone();
        }
        let asked = Instant::now();
        let commit = ask(program, reference).await;
        self.last.insert(reference.clone(), Answer { asked, commit: commit.clone() });
        commit
    }
}

async fn ask(program: &Program, reference: &GitReference) -> Result<Commit, GitFault> {
    let names = full_names(reference);
    let mut arguments = vec!["ls-remote", "--quiet"];
    // With these a server lists branches and tags alone, which matters where it has 100,000 pull requests.
    if matches!(reference, GitReference::Name(name) if !name.starts_with("refs/")) {
        arguments.extend(["--heads", "--tags"]);
    }
    arguments.extend(["--", "origin"]);
    arguments.extend(names.iter().map(String::as_str));
    let Outcome { stdout, .. } = program.talk(None, &arguments, &[]).await?;
    let found = choose(&names, &String::from_utf8_lossy(&stdout))?;
    found.ok_or_else(|| GitFault::NoReference(reference.clone()))
}

/// The full names that `reference` may have, best first. A branch comes before a tag. What an annotated tag points at
/// (`^{}`) comes before the tag object itself.
fn full_names(reference: &GitReference) -> Vec<String> {
    match reference {
        GitReference::Default | GitReference::Commit(_) => vec!["HEAD".to_owned()],
        GitReference::Name(name) if name.starts_with("refs/") => vec![format!("{name}^{{}}"), name.clone()],
        GitReference::Name(name) => {
            vec![format!("refs/heads/{name}"), format!("refs/tags/{name}^{{}}"), format!("refs/tags/{name}")]
        }
    }
}

/// The commit of the first of `names` that is listed. Git matches the ends of names, so the list may hold others.
fn choose(names: &[String], listing: &str) -> Result<Option<Commit>, GitFault> {
    let listed: HashMap<&str, &str> =
        listing.lines().filter_map(|line| line.split_once('\t')).map(|(object, name)| (name, object)).collect();
    let Some(object) = names.iter().find_map(|name| listed.get(name.as_str())) else { return Ok(None) };
    object.parse().map(Some).map_err(|_| GitFault::Other(format!("`{object}` is no SHA-1 name of a commit")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn chosen(reference: &str, listing: &str) -> Option<String> {
        let names = full_names(&reference.parse().unwrap());
        choose(&names, listing).unwrap().map(|commit| commit.to_string())
    }

    #[test]
    fn a_ref_is_only_the_one_of_exactly_that_name() {
        let listing = format!("{A}\trefs/heads/feature/main\n{A}\trefs/heads/refs/heads/main\n");
        assert_eq!(chosen("main", &listing), None);
        assert_eq!(chosen("main", &format!("{listing}{B}\trefs/heads/main\n")).as_deref(), Some(B));
    }

    #[test]
    fn a_branch_wins_over_a_tag_of_the_same_name() {
        let listing = format!("{A}\trefs/heads/v1\n{B}\trefs/tags/v1\n");
        assert_eq!(chosen("v1", &listing).as_deref(), Some(A));
        assert_eq!(chosen("refs/tags/v1", &listing).as_deref(), Some(B));
    }

    #[test]
    fn an_annotated_tag_means_its_commit() {
        let listing = format!("{A}\trefs/tags/v1\n{B}\trefs/tags/v1^{{}}\n");
        assert_eq!(chosen("v1", &listing).as_deref(), Some(B));
        assert_eq!(chosen("refs/tags/v1", &listing).as_deref(), Some(B));
    }

    #[test]
    fn no_ref_means_what_head_points_at() {
        let listing = format!("{A}\tHEAD\n{B}\trefs/remotes/origin/HEAD\n");
        assert_eq!(chosen("", &listing).as_deref(), Some(A));
    }

    #[test]
    fn what_is_no_sha1_is_refused() {
        let names = full_names(&"main".parse().unwrap());
        assert!(choose(&names, &format!("{}\trefs/heads/main\n", "a".repeat(64))).is_err());
    }
}
