//! Limits the fetches of everything, by which a commit is searched that the host does not send by its name.
//!
//! Whoever names a commit that does not exist causes one, and all who read the repository wait for it. So searches that end
//! within a minute have a tenth of the time of the repository, whatever commits are named and by how many owners. Longer
//! ones, and those that were given up and that another owner repeats, have half of it at most.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::GitFault;
use crate::hosts::{Owner, owner};
use crate::spec::{Commit, GitReference};

/// The shortest and the longest time between the end of one search and the beginning of the next.
const SHORTEST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// The wait after a search, as a multiple of its duration.
const WAIT_PER_TIME: u32 = 9;
/// The commits that a search has not found and that are remembered.
const MISSING: usize = 1_000;

/// The searches in one repository.
#[derive(Default)]
pub(super) struct Searches {
    state: Mutex<SearchState>,
}

/// The way in which the host was asked for a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// For this commit, or for everything.
    Now,
    /// For this commit, which it does not send by its name. For everything not long ago.
    Before,
}

#[derive(Default)]
struct SearchState {
    /// The time from which on anybody may search.
    everybody: Option<Instant>,
    /// The times from which on these owners may search.
    of_owner: HashMap<Owner, Instant>,
    /// The fault of the last search that came to its end.
    fault: Option<GitFault>,
    /// The commits that no search has found. What later ones brought is on the disk, so these are still missing.
    missing: HashSet<Commit>,
}

/// A search that is under way. It is recorded when this is dropped, also if nobody waits for its end any more.
struct RunningSearch<'a> {
    searches: &'a Searches,
    owner: Owner,
    began: Instant,
    outcome: Option<Result<(), GitFault>>,
}

impl Searches {
    /// Runs `fetch`, which fetches everything with at most `memory` bytes, unless the last one was not long ago. Fails as
    /// that one did.
    pub(super) async fn search(
        &self,
        memory: u64,
        fetch: impl Future<Output = Result<(), GitFault>>,
    ) -> Result<Asked, GitFault> {
        let (owner, began) = (owner(), Instant::now());
        let refusal = self.state().refusal(&owner, memory, began);
        if let Some(last) = refusal {
            return last.map(|()| Asked::Before);
        }
        let mut running = RunningSearch { searches: self, owner, began, outcome: None };
        let outcome = fetch.await;
        running.outcome = Some(outcome.clone());
        outcome.map(|()| Asked::Now)
    }

    /// Returns the fault of a commit that the host has not sent.
    pub(super) fn missing(&self, commit: &Commit, reference: &GitReference, asked: Asked) -> GitFault {
        let mut state = self.state();
        match (reference, asked) {
            (GitReference::Commit(_), Asked::Before) if !state.missing.contains(commit) => {
                GitFault::NotSearched(commit.clone())
            }
            (GitReference::Commit(_), Asked::Now) => {
                if state.missing.len() >= MISSING {
                    state.missing.clear();
                }
                state.missing.insert(commit.clone());
                GitFault::no_commit(commit, reference)
            }
            _ => GitFault::no_commit(commit, reference),
        }
    }

    /// Forgets what was searched, because what was found is no longer on the disk.
    pub(super) fn forget(&self) {
        self.state().missing.clear();
    }

    fn state(&self) -> MutexGuard<'_, SearchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningSearch<'_> {
    fn drop(&mut self) {
        let (owner, outcome) = (self.owner.take(), self.outcome.take());
        self.searches.state().ended(owner, outcome, self.began, Instant::now());
    }
}

impl SearchState {
    /// Returns the outcome of the last search, if this owner has to wait for the next one.
    fn refusal(&self, owner: &Owner, memory: u64, now: Instant) -> Option<Result<(), GitFault>> {
        let waits = |until: Option<&Instant>| until.is_some_and(|until| now < *until);
        if !waits(self.everybody.as_ref()) && !waits(self.of_owner.get(owner)) {
            return None;
        }
        match &self.fault {
            // The same search is done once more with more memory.
            Some(GitFault::OutOfMemory { limit }) if *limit < memory => None,
            Some(fault) => Some(Err(fault.clone())),
            None => Some(Ok(())),
        }
    }

    /// Records a search. Without an outcome, it was given up: others learn nothing from it, and wait as long as it took.
    fn ended(&mut self, owner: Owner, outcome: Option<Result<(), GitFault>>, began: Instant, now: Instant) {
        // The owner alone is left alone, or has no place, and the host was not asked.
        if matches!(outcome, Some(Err(GitFault::LeftAlone | GitFault::LookupsFull(_)))) {
            return;
        }
        let took = now.saturating_duration_since(began);
        let wait = took.saturating_mul(WAIT_PER_TIME).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        self.of_owner.retain(|_, until| now < *until);
        self.of_owner.insert(owner, now + wait);
        match outcome {
            Some(outcome) => {
                self.everybody = Some(now + wait);
                self.fault = outcome.err();
            }
            None => self.everybody = self.everybody.max(Some(now + took.min(LONGEST_WAIT))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Owner {
        Some(name.into())
    }

    /// Returns the state after one search of 20 seconds by `a`, and a function for the seconds after its end.
    fn searched(outcome: Option<Result<(), GitFault>>) -> (SearchState, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let ended = start + Duration::from_secs(20);
        let mut state = SearchState::default();
        assert_eq!(state.refusal(&owner("a"), 1, start), None);
        state.ended(owner("a"), outcome, start, ended);
        (state, move |seconds| ended + Duration::from_secs(seconds))
    }

    #[test]
    fn a_search_that_ended_keeps_everybody_waiting_for_nine_times_as_long() {
        let (state, after) = searched(Some(Ok(())));
        for name in ["a", "b"] {
            assert_eq!(state.refusal(&owner(name), 1, after(179)), Some(Ok(())), "{name}");
            assert_eq!(state.refusal(&owner(name), 1, after(180)), None, "{name}");
        }
    }

    #[test]
    fn a_search_that_was_given_up_is_repeated_by_another_owner() {
        let (state, after) = searched(None);
        assert!(state.refusal(&owner("b"), 1, after(19)).is_some());
        assert_eq!(state.refusal(&owner("b"), 1, after(20)), None);
        assert!(state.refusal(&owner("a"), 1, after(179)).is_some());
    }

    #[test]
    fn a_search_that_failed_is_repeated_at_once_with_more_memory_alone() {
        let lacked = || GitFault::OutOfMemory { limit: 64 };
        let (state, after) = searched(Some(Err(lacked())));
        assert_eq!(state.refusal(&owner("a"), 64, after(0)), Some(Err(lacked())));
        assert_eq!(state.refusal(&owner("a"), 256, after(0)), None);
        for fault in [GitFault::LeftAlone, GitFault::LookupsFull("git.example.com".to_owned())] {
            let (state, after) = searched(Some(Err(fault)));
            assert_eq!(state.refusal(&owner("b"), 64, after(0)), None, "the host was not asked");
        }
    }

    #[test]
    fn a_commit_is_said_to_be_missing_only_if_it_was_searched() {
        let searches = Searches::default();
        let commit = |digit: &str| digit.repeat(40).parse::<Commit>().unwrap();
        let code = |digit, asked| {
            let fault = searches.missing(&commit(digit), &GitReference::Commit(commit(digit)), asked);
            (matches!(fault, GitFault::NoPinnedCommit(_)), matches!(fault, GitFault::NotSearched(_)))
        };
        assert_eq!(code("a", Asked::Now), (true, false));
        assert_eq!(code("a", Asked::Before), (true, false));
        assert_eq!(code("b", Asked::Before), (false, true));
        let named = searches.missing(&commit("c"), &GitReference::Default, Asked::Now);
        assert!(matches!(named, GitFault::NoCommit(_)));
    }
}
