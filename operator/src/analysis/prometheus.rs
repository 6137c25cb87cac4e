//! Sends queries to Prometheus servers that specs name.

use std::time::Duration;

use kube::Client;
use rototo_api::analysis::{PrometheusProvider, RolloutAnalysis};
use rototo_source::{AnswerLimits, Credentials, HttpAddress, HttpClient};

use crate::analysis::answer::{NoResult, number};
use crate::analysis::query::{filled_in, in_address};
use crate::load::turns::{TurnLimits, Turns};
use crate::source::credentials::service_credentials;
use crate::workspace_key::WorkspaceKey;

/// The field of the spec that names the Secret.
const FIELD: &str = "spec.rollout.analysis";
/// The path of queries for one moment.
const PATH: &str = "/api/v1/query";
/// The most that an answer may cost.
const LIMITS: AnswerLimits = AnswerLimits { bytes: 64 << 10, time: Duration::from_secs(5) };
/// The queries at once, in all and of one namespace. They take no turn of anything else.
const TURNS: TurnLimits = TurnLimits { at_once: 32, per_key: 4, waiting: usize::MAX, waiting_per_key: usize::MAX };

/// The way to Prometheus servers.
pub(crate) struct Prometheus {
    client: Client,
    http: HttpClient,
    turns: Turns<String>,
}

impl Prometheus {
    /// Sends queries with `http`, and reads Secrets with `client`.
    pub(crate) fn new(client: Client, http: HttpClient) -> Self {
        Self { client, http, turns: Turns::new(TURNS) }
    }

    /// Measures once, for these pods of a stage and this content.
    pub(crate) async fn measure(
        &self,
        key: &WorkspaceKey,
        analysis: &RolloutAnalysis,
        pods: &[String],
        fingerprint: &str,
    ) -> Result<f64, NoResult> {
        let PrometheusProvider { address, query, secret_ref } = &analysis.provider.prometheus;
        // Each workspace has one query of each analysis at a time, so the number of those that wait is bounded.
        let _turn = self.turns.take(&key.namespace).await;
        let address: HttpAddress = address.parse()?;
        let credentials = match secret_ref {
            Some(secret) => {
                let read = service_credentials(&self.client, key, FIELD, &secret.name, Some(address.host()));
                tokio::time::timeout(LIMITS.time, read).await.map_err(|_| NoResult::Refused("timeout"))??
            }
            None => Credentials::default(),
        };
        let query = in_address(&filled_in(query, pods, fingerprint));
        let answer = self.http.get(&address, PATH, &query, &credentials, LIMITS).await?;
        number(answer.status, &answer.body)
    }
}
