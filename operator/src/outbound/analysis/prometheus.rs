//! Sends queries to Prometheus servers that specs name.

use std::time::Duration;

use kube::Client;
use rototo_api::analysis::{PrometheusProvider, RolloutAnalysis};
use rototo_source::{AnswerLimits, Credentials, HttpAddress, HttpClient};

use crate::load::turns::{TurnLimits, Turns};
use crate::outbound::analysis::answer::{NoResult, number};
use crate::outbound::analysis::query::{filled_in, in_address};
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
        let asked = self.http.get(&address, PATH, &query, &credentials, LIMITS);
        let answer = self.http.charged_to(&key.namespace, asked).await?;
        number(answer.status, &answer.body)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::future::select_all;
    use kube::Config;
    use rototo_source::Egress;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn analysis(listener: &TcpListener) -> RolloutAnalysis {
        let address = format!("http://{}", listener.local_addr().unwrap());
        let provider = json!({ "prometheus": { "address": address, "query": "up" } });
        serde_json::from_value(json!({ "name": "up", "provider": provider, "successCondition": "result > 0" })).unwrap()
    }

    fn key(namespace: &str) -> WorkspaceKey {
        WorkspaceKey { namespace: namespace.to_owned(), name: "checkout".to_owned() }
    }

    #[tokio::test]
    async fn queries_that_hang_hold_no_query_of_another_namespace() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answering = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (hangs, answers) = (analysis(&silent), analysis(&answering));
        let client = Client::try_from(Config::new("http://127.0.0.1:9".parse().unwrap())).unwrap();
        let prometheus = Arc::new(Prometheus::new(client, HttpClient::new(Egress::Anything, None)));
        let hanging: Vec<_> = (0..2 * TURNS.per_key)
            .map(|_| {
                let (prometheus, hangs) = (prometheus.clone(), hangs.clone());
                tokio::spawn(async move { prometheus.measure(&key("a"), &hangs, &[], "sha256:00").await })
            })
            .collect();
        let mut connections = Vec::new();
        for _ in 0..TURNS.per_key {
            connections.push(silent.accept().await.unwrap());
        }
        let server = async {
            let (mut connection, _) = answering.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            let body = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"0.5"]}}"#;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            connection.write_all(format!("{answer}{body}").as_bytes()).await.unwrap();
        };
        let other = key("b");
        let measured = async { tokio::join!(prometheus.measure(&other, &answers, &[], "sha256:00"), server).0 };
        tokio::select! {
            biased;
            number = measured => assert!(matches!(number, Ok(number) if number == 0.5)),
            (ended, ..) = select_all(hanging) => panic!("a query had to end first: {:?}", ended.map(|one| one.is_ok())),
        }
    }
}
