//! Decides whether a failed run of git counts as a failure of the host. Pure.

use crate::error::GitFault;
use crate::git::stderr::GitHttpAnswer;
use crate::hosts::HostFailure;

/// The party that a failed run is charged to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The host, which failed.
    Host(HostFailure),
    /// The host, which works.
    Answered,
    /// Nobody: the run did not reach the host, took too long, or failed at another host.
    Nobody,
}

impl Blame {
    /// Returns a fault of the way to the host, with the party that it is charged to.
    pub(super) fn of_the_way(fault: GitFault, redirected: bool) -> (GitFault, Self) {
        let unreachable = matches!(fault, GitFault::Unreachable(_)) && !redirected;
        let blame = if unreachable { Self::Host(HostFailure::Unreachable) } else { Self::Nobody };
        (fault, blame)
    }

    /// Returns the party that is charged with a run that failed with `fault`. `answer` is the last answer over https.
    pub(super) fn of(fault: &GitFault, answer: Option<&GitHttpAnswer>, redirected: bool) -> Self {
        match fault {
            GitFault::Unreachable(_) => Self::Host(HostFailure::Unreachable),
            // The host that this one redirects to is down.
            GitFault::Interrupted(_) if redirected && answer.is_none_or(|answer| answer.status < 400) => Self::Nobody,
            GitFault::Throttled(_) | GitFault::Interrupted(_) => {
                Self::Host(HostFailure::Refused(answer.and_then(|answer| answer.retry_after)))
            }
            _ => Self::Answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_failure_counts_against_the_host_only_if_this_host_failed() {
        let answer = |status| {
            let retry_after = Some(Duration::from_secs(60));
            Some(GitHttpAnswer { status, retry_after, ..GitHttpAnswer::default() })
        };
        let text = String::new;
        let unreachable = || Blame::Host(HostFailure::Unreachable);
        let refused = |after| Blame::Host(HostFailure::Refused(after));
        let minute = Some(Duration::from_secs(60));
        for (fault, answer, redirected, expected) in [
            (GitFault::Unreachable(text()), None, false, unreachable()),
            (GitFault::Interrupted(text()), None, false, refused(None)),
            (GitFault::Interrupted(text()), answer(502), false, refused(minute)),
            (GitFault::Interrupted(text()), None, true, Blame::Nobody),
            (GitFault::Interrupted(text()), answer(302), true, Blame::Nobody),
            (GitFault::Interrupted(text()), answer(502), true, refused(minute)),
            (GitFault::Throttled(text()), answer(429), true, refused(minute)),
            (GitFault::AccessDenied(text()), answer(401), false, Blame::Answered),
        ] {
            let blame = Blame::of(&fault, answer.as_ref(), redirected);
            assert_eq!(blame, expected, "{fault:?} after {answer:?}, redirected: {redirected}");
        }
    }

    #[test]
    fn a_way_that_fails_after_a_redirect_is_charged_to_nobody() {
        let unreachable = || GitFault::Unreachable(String::new());
        assert_eq!(Blame::of_the_way(unreachable(), false).1, Blame::Host(HostFailure::Unreachable));
        assert_eq!(Blame::of_the_way(unreachable(), true).1, Blame::Nobody);
        assert_eq!(Blame::of_the_way(GitFault::TimedOut(Duration::ZERO), false).1, Blame::Nobody);
    }
}
