//! Announces this process to the leader while another process leads, so that it gets a copy of every snapshot.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, Response};
use tracing::{debug, warn};

use crate::leader::LeaseConfig;
use crate::leader::peers::success;
use crate::reconcile::context::OperatorContext;
use crate::source::copies::{AnnouncementAnswer, Copies, ReplicaAnnouncement, ReplicaMessage};

/// The time between two announcements.
const EVERY: Duration = Duration::from_secs(1);
/// The longest wait for an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// Announces this process for as long as it runs, if this install has other replicas.
pub(super) async fn announce(context: &OperatorContext, lease: &LeaseConfig) -> Infallible {
    let (Some(copies), Some(url)) = (context.copies(), &lease.peer_url) else { return std::future::pending().await };
    let announcement =
        ReplicaAnnouncement { identity: lease.identity.clone(), start: fastrand::u64(..), url: url.clone() };
    let mut reachable = true;
    loop {
        if let Some(leader) = context.leadership().leader() {
            let turned_away = context.turned_away_ago();
            let message = ReplicaMessage {
                announcement: announcement.clone(),
                turned_away_ms_ago: turned_away.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
            };
            let began = Instant::now();
            let answer = announce_to(&leader, &message, copies).await;
            // A leader that refuses is one that was reached.
            context.leadership().tried_to_reach(&leader, answer.is_ok(), began);
            let announced = answer.and_then(|answer| read_answer(&answer));
            match &announced {
                Ok(AnnouncementAnswer { complete: true }) => copies.completed(),
                Ok(AnnouncementAnswer { complete: false }) => {}
                Err(error) if reachable => {
                    warn!(leader, error, "the leader does not take the announcement of this replica")
                }
                Err(error) => debug!(leader, error, "the leader does not take the announcement of this replica"),
            }
            reachable = announced.is_ok();
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn announce_to(leader: &str, message: &ReplicaMessage, copies: &Copies) -> Result<Response<Bytes>, String> {
    let request = Request::builder().method(Method::POST).uri("/v1/replicas").header(CONTENT_TYPE, "application/json");
    let body = serde_json::to_vec(message).map_err(|error| error.to_string())?;
    copies.peers().send(leader, request, body, ANSWERED_WITHIN).await
}

fn read_answer(answer: &Response<Bytes>) -> Result<AnnouncementAnswer, String> {
    serde_json::from_slice(success(answer)?).map_err(|error| error.to_string())
}
