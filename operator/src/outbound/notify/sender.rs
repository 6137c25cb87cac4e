//! Sends states of commits to git hosts that specs name.

use std::time::Duration;

use kube::Client;
use rototo_api::notify::GitHostType;
use rototo_engine::Digest;
use rototo_source::{AnswerLimits, HttpAnswer, HttpClient, RequestFault};
use tokio::time::Instant;

use crate::load::remembered::Remembered;
use crate::load::turns::{TurnLimits, Turns};
use crate::outbound::notify::outbox::{Destination, Failure, FailureKind};
use crate::outbound::notify::request::status_request;
use crate::outbound::notify::state::CommitState;
use crate::outbound::notify::target::{NoTarget, Target};
use crate::source::credentials::{SecretError, service_credentials};
use crate::workspace_key::WorkspaceKey;

/// The field of the spec that names the Secret.
const FIELD: &str = "spec.notify.commitStatus.secretRef";
/// The most that an answer may cost.
const LIMITS: AnswerLimits = AnswerLimits { bytes: 64 << 10, time: Duration::from_secs(10) };
/// The requests at once, in all and to one host: a host that hangs holds up only the states that go to it.
const TURNS: TurnLimits = TurnLimits { at_once: 256, per_key: 4, waiting: usize::MAX, waiting_per_key: usize::MAX };
/// The least wait after a refusal that may be a limit of requests, which GitHub asks for.
const AFTER_LIMIT: Duration = Duration::from_secs(60);
/// The longest wait that a git host may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The number of credentials of which it is known that their host asked to wait.
const WAITS: usize = 4_096;
/// A part of the answer of GitLab where a commit has the state already.
const GITLAB_SAME_STATE: &[u8] = b"Cannot transition status";

/// The way to git hosts.
pub(crate) struct CommitStatuses {
    client: Client,
    http: HttpClient,
    turns: Turns<String>,
    /// The ends of the waits that hosts asked for, by credentials: their limits are for all workspaces together.
    waits: Remembered<Instant>,
}

/// The reason why a git host does not have a state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The spec names no repository of an API.
    #[error(transparent)]
    Target(#[from] NoTarget),
    /// The credentials can't be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The API server does not answer.
    #[error("the Secret of {FIELD} could not be read in time")]
    SecretTimedOut,
    /// There is no answer.
    #[error(transparent)]
    Request(#[from] RequestFault),
    /// The host denies access, or shows nobody that the repository exists.
    #[error(
        "the git host answered {0}: check that the token may write commit statuses of this repository, and \
         spec.notify.commitStatus"
    )]
    Denied(u16),
    /// The host limits requests, or fails.
    #[error("the git host answered {status}")]
    Busy {
        /// Its answer.
        status: u16,
        /// The wait that it asks for.
        wait: Option<Duration>,
    },
    /// The host has asked another workspace with these credentials to wait.
    #[error("the git host has asked to wait")]
    Waiting(Duration),
    /// This process has lost the Lease meanwhile.
    #[error("another process leads now")]
    NotLeading,
    /// The host does not take it.
    #[error("the git host does not take the status (it answered {0}): check spec.notify.commitStatus")]
    Refused(u16),
}

impl SendError {
    /// Returns what the outbox decides from.
    pub(crate) fn failure(&self) -> Failure {
        let failure = |code, kind| Failure { code, kind, wait: None };
        match self {
            Self::Target(_) => failure("target_invalid", FailureKind::Final),
            Self::Secret(_) => failure("secret_unusable", FailureKind::Access),
            Self::SecretTimedOut => failure("secret_timed_out", FailureKind::Passing),
            Self::Request(fault) => failure(fault.code(), kind_of(fault)),
            Self::Denied(status) => {
                let wait = (*status == 403).then_some(AFTER_LIMIT);
                Failure { code: "denied", kind: FailureKind::Access, wait }
            }
            Self::Waiting(wait) => Failure { code: "waiting", kind: FailureKind::Unsent, wait: Some(*wait) },
            Self::NotLeading => failure("not_leading", FailureKind::Unsent),
            Self::Busy { wait, .. } => Failure { code: "busy", kind: FailureKind::Passing, wait: *wait },
            Self::Refused(_) => failure("refused", FailureKind::Final),
        }
    }
}

fn kind_of(fault: &RequestFault) -> FailureKind {
    match fault {
        RequestFault::LookupsFull(_)
        | RequestFault::Unreachable(_)
        | RequestFault::Interrupted(_)
        | RequestFault::TimedOut(_) => FailureKind::Passing,
        _ => FailureKind::Access,
    }
}

impl CommitStatuses {
    /// Sends with `http`, and reads Secrets with `client`.
    pub(crate) fn new(client: Client, http: HttpClient) -> Self {
        Self { client, http, turns: Turns::new(TURNS), waits: Remembered::new(WAITS, usize::MAX) }
    }

    /// Sends one state, if this process still `leads` when it is its turn: otherwise it could undo a later state that
    /// its successor has sent.
    pub(crate) async fn send(
        &self,
        key: &WorkspaceKey,
        Destination { source, spec }: &Destination,
        state: &CommitState,
        leads: impl Fn() -> bool,
    ) -> Result<(), SendError> {
        let target = Target::find(source, spec)?;
        let host = target.address.host().to_owned();
        // Each workspace sends one state at a time, so the number of those that wait is bounded.
        let _turn = self.turns.take(&host).await;
        let credentials_key = format!("{} {} {host}", key.namespace, spec.secret_ref.name);
        let credentials_key = Digest::of(credentials_key.as_bytes());
        if let Some(end) = self.waits.get(&credentials_key, Instant::now()) {
            return Err(SendError::Waiting(end.saturating_duration_since(Instant::now())));
        }
        let read = service_credentials(&self.client, key, FIELD, &spec.secret_ref.name, Some(&host));
        let read = tokio::time::timeout(LIMITS.time, read).await;
        let credentials = read.map_err(|_| SendError::SecretTimedOut)??;
        if !leads() {
            return Err(SendError::NotLeading);
        }
        let context = spec.context.clone().unwrap_or_else(|| format!("rototo/{}/{}", key.namespace, key.name));
        let request = status_request(&target, &context, state);
        let json = request.json.to_string();
        let sent = self.http.post_json(&target.address, &request.path, json, &credentials, LIMITS);
        let answer = self.http.charged_to(&key.namespace, sent).await?;
        let judged = judge(target.host_type, answer);
        if let Err(SendError::Busy { wait: Some(wait), .. }) = &judged {
            let end = Instant::now() + *wait;
            self.waits.put(credentials_key, end, 0, end);
        }
        judged
    }
}

/// Decides whether the host has the state. Nothing of what it says is shown: the text may be of another service.
fn judge(host_type: GitHostType, HttpAnswer { status, retry_after, body }: HttpAnswer) -> Result<(), SendError> {
    let is_limited = retry_after.is_some();
    // A limit that by this clock was reset before says nothing about the wait: one of both clocks is wrong.
    let retry_after = retry_after.filter(|wait| !wait.is_zero()).map(|wait| wait.min(LONGEST_WAIT));
    match status {
        200..=299 => Ok(()),
        400 if host_type == GitHostType::GitLab && holds(&body, GITLAB_SAME_STATE) => Ok(()),
        429 => Err(SendError::Busy { status, wait: retry_after.or(Some(AFTER_LIMIT)) }),
        403 if is_limited => Err(SendError::Busy { status, wait: retry_after.or(Some(AFTER_LIMIT)) }),
        // 404 is also the answer to a token that may not see the repository.
        401 | 403 | 404 | 407 => Err(SendError::Denied(status)),
        408 | 409 | 425 | 500..=599 => Err(SendError::Busy { status, wait: retry_after }),
        _ => Err(SendError::Refused(status)),
    }
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(
        host_type: GitHostType,
        status: u16,
        wait: Option<u64>,
        body: &str,
    ) -> Option<(FailureKind, Option<u64>)> {
        let answer = HttpAnswer { status, retry_after: wait.map(Duration::from_secs), body: body.into() };
        let failure = judge(host_type, answer).err()?.failure();
        Some((failure.kind, failure.wait.map(|wait| wait.as_secs())))
    }

    #[test]
    fn an_answer_says_whether_trying_again_helps() {
        use FailureKind::{Access, Final, Passing};
        let github = |status, wait| outcome(GitHostType::GitHub, status, wait, "");
        for status in [200, 201, 204] {
            assert_eq!(github(status, None), None);
        }
        for (status, wait, expected) in [
            (500, None, (Passing, None)),
            (503, Some(7), (Passing, Some(7))),
            (503, Some(0), (Passing, None)),
            (429, None, (Passing, Some(60))),
            (429, Some(7), (Passing, Some(7))),
            (403, Some(7), (Passing, Some(7))),
            (403, Some(0), (Passing, Some(60))),
            (429, Some(0), (Passing, Some(60))),
            (403, None, (Access, Some(60))),
            (401, None, (Access, None)),
            (404, None, (Access, None)),
            (400, None, (Final, None)),
            (422, None, (Final, None)),
        ] {
            assert_eq!(github(status, wait), Some(expected), "{status}");
        }
    }

    #[test]
    fn gitlab_has_a_state_that_it_does_not_take_twice() {
        let said = r#"{"message":"Cannot transition status via :enqueue from :pending"}"#;
        assert_eq!(outcome(GitHostType::GitLab, 400, None, said), None);
        assert!(outcome(GitHostType::GitHub, 400, None, said).is_some());
        assert!(outcome(GitHostType::GitLab, 400, None, "no").is_some());
    }
}
