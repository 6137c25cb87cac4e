//! Asks a repository for the commits of its refs: exactly the named refs, with one request for all callers that wait.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::error::{GitFault, folded};
use crate::spec::{Commit, GitReference};

use crate::git::group::MAX_ANSWER_BYTES;
use crate::git::program::{GitOutput, Program};

/// The most bytes of names that one git gets as arguments beside those of its own ref. Systems allow some 2 MiB.
const MAX_NAME_BYTES: usize = 64 << 10;

/// A ref that nobody asked for during this time is left out of further requests.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// The last answer of the repository for each ref in use.
#[derive(Default)]
pub(super) struct RefCache {
    last: HashMap<GitReference, CachedRef>,
    /// The last known commit of each ref, and the time of the first answer with it. Failures in between do not change
    /// it.
    named: HashMap<GitReference, (Commit, Instant)>,
}

struct CachedRef {
    asked: Instant,
    requested: Instant,
    commit: Result<Commit, GitFault>,
}

impl RefCache {
    /// Returns the commit of `reference`, from a request that was made at `since` or later. A failed request is an
    /// answer too, so that callers who wait for a host that is down do not each send a request.
    pub(super) async fn answer(
        &mut self,
        program: &Program,
        reference: &GitReference,
        since: Instant,
    ) -> Result<Commit, GitFault> {
        let now = Instant::now();
        if let Some(answer) = self.last.get_mut(reference) {
            answer.requested = now;
            if answer.asked >= since {
                return answer.commit.clone();
            }
        }
        self.last.retain(|_, answer| now.duration_since(answer.requested) < FORGOTTEN_AFTER);
        let references = self.together(reference);
        let outcome = ask(program, &references).await;
        if outcome == Err(GitFault::LeftAlone) {
            // A host in backoff was not asked, so the last fault of this ref is the better answer.
            let last = self.last.get(reference).and_then(|answer| answer.commit.clone().err());
            return Err(last.unwrap_or(GitFault::LeftAlone));
        }
        let answered = Instant::now();
        let mut missing = None;
        self.named.retain(|named, _| named == reference || self.last.contains_key(named));
        for followed in references {
            let mut commit = outcome.clone().and_then(|listing| choose(&followed, &listing));
            if matches!(commit, Err(GitFault::NoReference(_))) {
                let no_branches = match missing {
                    Some(known) => known,
                    None => *missing.insert(has_no_branches(program).await),
                };
                commit = commit.map_err(|fault| why_missing(fault, &followed, no_branches));
            }
            if let Ok(commit) = &commit {
                self.name(&followed, commit, answered);
            }
            let requested = self.last.get(&followed).map_or(now, |answer| answer.requested);
            self.last.insert(followed, CachedRef { asked: now, requested, commit });
        }
        let answer = self.last.get(reference).map(|answer| answer.commit.clone());
        answer.unwrap_or_else(|| Err(GitFault::NoReference(reference.clone())))
    }
}

impl RefCache {
    /// Returns the refs of one request: `reference`, and of the others in use as many as fit, those with the oldest answers
    /// first. So one request answers for all refs of a repository, or a few where there are many. A ref that is missing is
    /// asked for alone, as everybody may name any number of those.
    fn together(&self, reference: &GitReference) -> Vec<GitReference> {
        let is_missing = |answer: &CachedRef| matches!(answer.commit, Err(GitFault::NoReference(_)));
        let others = self.last.iter().filter(|(other, answer)| *other != reference && !is_missing(answer));
        let mut others: Vec<_> = others.map(|(other, answer)| (answer.asked, other)).collect();
        others.sort_unstable();
        let mut bytes = 0;
        let others = others.into_iter().map(|(_, other)| other).take_while(|other| {
            bytes += full_names(other).iter().map(|name| name.len() + 1).sum::<usize>();
            bytes <= MAX_NAME_BYTES
        });
        [reference].into_iter().chain(others).cloned().collect()
    }

    fn name(&mut self, reference: &GitReference, commit: &Commit, answered: Instant) {
        if self.named.get(reference).is_none_or(|(known, _)| known != commit) {
            self.named.insert(reference.clone(), (commit.clone(), answered));
        }
    }

    /// Returns the time of the request whose answer is the last for `reference`.
    pub(super) fn asked_at(&self, reference: &GitReference) -> Option<Instant> {
        self.last.get(reference).map(|answer| answer.asked)
    }

    /// Returns the time of the first answer that named `commit` as the commit of `reference`, if it still is.
    pub(super) fn named_since(&self, reference: &GitReference, commit: &Commit) -> Option<Instant> {
        self.named.get(reference).filter(|(known, _)| known == commit).map(|(_, since)| *since)
    }
}

/// Lists all refs that `references` may mean.
async fn ask(program: &Program, references: &[GitReference]) -> Result<String, GitFault> {
    let names: Vec<String> = references.iter().flat_map(full_names).collect();
    let mut arguments = vec!["ls-remote", "--quiet"];
    // With these options a server lists branches and tags alone, which matters where it has 100,000 pull requests.
    if names.iter().all(|name| name.starts_with("refs/heads/") || name.starts_with("refs/tags/")) {
        arguments.extend(["--heads", "--tags"]);
    }
    arguments.extend(["--", "origin"]);
    arguments.extend(names.iter().map(String::as_str));
    let GitOutput { stdout, is_whole } = program.talk("ls-remote", None, &arguments, &[]).await?;
    // A ref that is cut off would count as missing.
    if !is_whole {
        return Err(GitFault::TooManyReferences { limit: MAX_ANSWER_BYTES });
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Returns whether the repository has a branch of this name.
pub(super) async fn has_branch(program: &Program, name: &str) -> Result<bool, GitFault> {
    let branch = GitReference::Name(format!("refs/heads/{name}"));
    let listing = ask(program, std::slice::from_ref(&branch)).await?;
    Ok(choose(&branch, &listing).is_ok())
}

/// Returns whether the repository has no branches at all. Nothing is known if the host does not answer.
async fn has_no_branches(program: &Program) -> bool {
    let listing = program.talk("ls-remote", None, &["ls-remote", "--quiet", "--heads", "--", "origin"], &[]).await;
    listing.is_ok_and(|GitOutput { stdout, .. }| stdout.is_empty())
}

/// Returns the reason why a ref is not listed.
fn why_missing(fault: GitFault, reference: &GitReference, no_branches: bool) -> GitFault {
    match reference {
        GitReference::Default if !no_branches => GitFault::NoDefaultBranch,
        // Full names may be of other refs than branches.
        GitReference::Name(name) if name.starts_with("refs/") => fault,
        GitReference::Default | GitReference::Name(_) if no_branches => GitFault::EmptyRepository,
        GitReference::Default | GitReference::Name(_) | GitReference::Commit(_) => fault,
    }
}

/// Returns the full names that `reference` may have, best first. A branch comes before a tag. The commit of an
/// annotated tag (`^{}`) comes before the tag object itself.
fn full_names(reference: &GitReference) -> Vec<String> {
    match reference {
        GitReference::Default | GitReference::Commit(_) => vec!["HEAD".to_owned()],
        GitReference::Name(name) if name.starts_with("refs/") => vec![format!("{name}^{{}}"), name.clone()],
        GitReference::Name(name) => {
            vec![format!("refs/heads/{name}"), format!("refs/tags/{name}^{{}}"), format!("refs/tags/{name}")]
        }
    }
}

/// Returns the commit of `reference`. Git matches the ends of names, so the listing may hold others.
fn choose(reference: &GitReference, listing: &str) -> Result<Commit, GitFault> {
    let listed: HashMap<&str, &str> =
        listing.lines().filter_map(|line| line.split_once('\t')).map(|(object, name)| (name, object)).collect();
    let object = full_names(reference).iter().find_map(|name| listed.get(name.as_str()).copied());
    let object = object.ok_or_else(|| GitFault::NoReference(reference.clone()))?;
    object.parse().map_err(|_| match object.len() {
        64 => GitFault::ObjectFormat,
        _ => GitFault::NotGit(format!("a listing of refs with `{}` in it", folded([object].into_iter()))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn chosen(reference: &str, listing: &str) -> Option<String> {
        match choose(&reference.parse().unwrap(), listing) {
            Ok(commit) => Some(commit.to_string()),
            Err(GitFault::NoReference(_)) => None,
            Err(other) => panic!("{other}"),
        }
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
        let fault =
            |object: &str| choose(&"main".parse().unwrap(), &format!("{object}\trefs/heads/main\n")).unwrap_err();
        assert_eq!(fault(&"a".repeat(64)), GitFault::ObjectFormat);
        assert_eq!(fault("none").code(), "not_git");
    }

    #[test]
    fn a_request_has_its_own_ref_and_of_the_others_the_oldest_that_fit() {
        let start = Instant::now();
        let reference = |number: u64| GitReference::Name(format!("{number:0>255}"));
        let mut answers = RefCache::default();
        let note = |answers: &mut RefCache, number, asked, commit| {
            answers.last.insert(reference(number), CachedRef { asked, requested: start, commit });
        };
        for number in 0..500 {
            note(&mut answers, number, start, Ok(A.parse().unwrap()));
        }
        // Everybody may ask for refs that do not exist.
        for number in 500..5_000 {
            note(&mut answers, number, start, Err(GitFault::NoReference(reference(number))));
        }
        let (mut asked, mut requests) = (std::collections::HashSet::new(), 0_u64);
        while asked.len() < 501 {
            requests += 1;
            let together = answers.together(&reference(4_711));
            assert_eq!(together.first(), Some(&reference(4_711)));
            let bytes: usize = together.iter().flat_map(full_names).map(|name| name.len() + 1).sum();
            assert!(bytes <= (64 << 10) + (1 << 10) && together.len() > 50, "{bytes} {}", together.len());
            for followed in together {
                if let Some(answer) = answers.last.get_mut(&followed) {
                    answer.asked = start + Duration::from_secs(requests);
                }
                asked.insert(followed);
            }
        }
        assert!(requests < 10, "{requests}");
    }

    #[test]
    fn a_commit_is_named_since_its_first_answer_whatever_became_of_later_questions() {
        let (main, commit): (GitReference, fn(&str) -> Commit) =
            ("main".parse().unwrap(), |text| text.parse().unwrap());
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut answers = RefCache::default();
        answers.name(&main, &commit(A), start);
        // A failed request in between changes neither the commit nor its time.
        answers.name(&main, &commit(A), after(65));
        assert_eq!(answers.named_since(&main, &commit(A)), Some(start));
        answers.name(&main, &commit(B), after(70));
        assert_eq!(answers.named_since(&main, &commit(B)), Some(after(70)));
        assert_eq!(answers.named_since(&main, &commit(A)), None);
    }
}
