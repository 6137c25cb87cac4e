//! A git host that takes statuses of commits, as the API of Gitea does, over TLS.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;

use super::namespace::PATIENCE;
use super::tls_front::TlsFront;
use super::{Observation, until};

/// The token that the host takes.
const TOKEN: &str = "a-token-of-the-status-host";

/// A git host. It refuses what is not documented.
pub struct StatusHost(TlsFront<Received>);

#[derive(Default)]
struct Received {
    statuses: Mutex<Vec<HostedStatus>>,
    /// The next answers; after them, it takes what is right.
    answers: Mutex<VecDeque<StatusCode>>,
}

/// A status that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedStatus {
    /// The commit.
    pub commit: String,
    /// Its state: `pending`, `success`, or `failure`.
    pub state: String,
    /// The words.
    pub description: String,
    /// The name of the status.
    pub context: String,
    /// The host's answer.
    pub answer: u16,
}

impl StatusHost {
    /// Starts the host.
    pub fn listen() -> anyhow::Result<Self> {
        let routes = |state| {
            let path = "/git/api/v1/repos/{owner}/{repository}/statuses/{commit}";
            Router::new().route(path, post(take)).with_state(state)
        };
        // The client of the API server is not used.
        TlsFront::start("status-host", "https://127.0.0.1:1", |_| Received::default(), routes).map(Self)
    }

    /// Returns the address of the API.
    #[must_use]
    pub fn api(&self) -> String {
        format!("{}/git/api/v1", self.0.url())
    }

    /// Returns the keys of a Secret with which the operator may write statuses.
    pub fn secret(&self) -> anyhow::Result<Value> {
        let authority = fs::read_to_string(self.0.certificate()).context("read the certificate of the git host")?;
        Ok(serde_json::json!({ "bearerToken": TOKEN, "ca.crt": authority }))
    }

    /// Answers the next requests with these.
    pub fn answer(&self, answers: &[u16]) -> anyhow::Result<()> {
        for answer in answers {
            lock(&self.0.state().answers).push_back(StatusCode::from_u16(*answer)?);
        }
        Ok(())
    }

    /// Returns what was sent about a commit, the first first.
    #[must_use]
    pub fn of(&self, commit: &str) -> Vec<HostedStatus> {
        lock(&self.0.state().statuses).iter().filter(|status| status.commit == commit).cloned().collect()
    }

    /// Waits until the host has this state of the commit as the last one. Returns it.
    pub fn wait_for(&self, commit: &str, state: &str) -> anyhow::Result<HostedStatus> {
        until(format_args!("the commit {commit} to be {state} at the git host"), PATIENCE, || {
            let taken = self.of(commit).into_iter().rfind(|status| status.answer == 201);
            Ok(match taken {
                Some(status) if status.state == state => Observation::Done(status),
                _ => Observation::NotYet(format!("{:?}", lock(&self.0.state().statuses))),
            })
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(
    State(received): State<Arc<Received>>,
    Path((_, _, commit)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if headers.get(AUTHORIZATION).is_none_or(|value| value != format!("Bearer {TOKEN}").as_str()) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(json) = serde_json::from_slice::<Value>(&body) else { return StatusCode::UNPROCESSABLE_ENTITY };
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let (state, description, context) = (text("state"), text("description"), text("context"));
    let known = ["pending", "success", "error", "failure", "warning"].contains(&state.as_str());
    let right = if known { StatusCode::CREATED } else { StatusCode::UNPROCESSABLE_ENTITY };
    let answer = lock(&received.answers).pop_front().unwrap_or(right);
    let status = HostedStatus { commit, state, description, context, answer: answer.as_u16() };
    lock(&received.statuses).push(status);
    answer
}
