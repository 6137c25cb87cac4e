//! The two endpoints of the operator over HTTPS with real tokens: the callers that they serve, and the errors that all
//! others get.

use std::collections::BTreeMap;
use std::fs;

use http::Method;
use rototo_api::fleet::{ProcessState, Report};
use rototo_api::marker::Marker;
use rototo_api::names::{fleet_path, snapshot_path, workspace_label};
use rototo_engine::{ENGINE_LEVEL, Fingerprint, Tree};
use rototo_source::{Limits, snapshot};
use rototo_tests::harness::{Cluster, ControlPlane, Endpoint, Observation, PATIENCE, Pod, Reply, until_async};
use serde_json::json;

use crate::scene::{POLICY, Scene, TRIAL, WORKSPACE, example};

const SCHEMA: &str = "schemas/service-degradation-policy.schema.json";

/// A published workspace, the operator's endpoint, and a pod that may follow the workspace.
struct EndpointSetting {
    scene: Scene,
    endpoint: Endpoint,
    pod: Pod,
    token: String,
}

impl EndpointSetting {
    async fn new(purpose: &str) -> Self {
        Self::of(Scene::published(purpose).await).await
    }

    async fn of(scene: Scene) -> Self {
        let endpoint = Endpoint::of(&scene.namespace).await.unwrap();
        let pod = pod(&scene, "one", "app").await;
        let token = fs::read_to_string(pod.rototo_token_file()).unwrap();
        Self { scene, endpoint, pod, token }
    }

    fn namespace(&self) -> &str {
        self.scene.namespace.name()
    }

    /// Returns the path of a snapshot of the workspace.
    fn snapshot(&self, fingerprint: &str) -> String {
        snapshot_path(self.namespace(), WORKSPACE, fingerprint)
    }

    async fn get(&self, path: &str) -> Reply {
        self.endpoint.get(path, &self.token).await.unwrap()
    }

    async fn post(&self, path: &str, body: &str) -> Reply {
        self.endpoint.post(path, &self.token, body).await.unwrap()
    }

    /// Sends requests without a valid token: without a token, with basic authentication, with an invalid token, and
    /// with a token for the API server.
    async fn get_unauthenticated(&self, path: &str) -> Vec<Reply> {
        let for_another_audience = fs::read_to_string(self.pod.api_token_file()).unwrap();
        vec![
            self.endpoint.send(Method::GET, path, &[], "").await.unwrap(),
            self.endpoint.send(Method::GET, path, &[("authorization", "Basic YTpi")], "").await.unwrap(),
            self.endpoint.get(path, "not.a.token").await.unwrap(),
            self.endpoint.get(path, &for_another_audience).await.unwrap(),
        ]
    }
}

async fn pod(scene: &Scene, name: &str, service_account: &str) -> Pod {
    let labels = BTreeMap::from([(workspace_label(WORKSPACE), String::new())]);
    Pod::create(&scene.namespace, name, service_account, &labels).await.unwrap()
}

async fn published(scene: &Scene) -> Fingerprint {
    let Some(Marker::Published { fingerprint, .. }) = scene.marker().await else { panic!("nothing is published") };
    fingerprint.parse().unwrap()
}

fn unpack(reply: &Reply, fingerprint: Fingerprint, base: Option<&Tree>) -> Tree {
    assert_eq!(reply.status, 200, "{reply:?}");
    snapshot::unpack(&reply.body, fingerprint, base, &Limits::default()).unwrap()
}

fn assert_refused(reply: &Reply, status: u16, code: &str) {
    let error = reply.error().unwrap();
    assert_eq!((reply.status, error.code.as_str()), (status, code), "{}", error.message);
}

/// Returns a fingerprint that no content has.
fn unknown() -> String {
    format!("sha256:{}", "0".repeat(64))
}

#[tokio::test]
async fn a_process_gets_the_snapshot_that_the_marker_names() {
    let setting = EndpointSetting::new("snapshot").await;
    let fingerprint = published(&setting.scene).await;
    let reply = setting.get(&setting.snapshot(&fingerprint.to_string())).await;
    let tree = unpack(&reply, fingerprint, None);
    assert_eq!(tree.fingerprint(), fingerprint);
    let policy = tree.get(POLICY).unwrap();
    assert_eq!(&policy.bytes[..], fs::read(example().join(POLICY)).unwrap());
    assert_eq!(reply.headers["etag"], format!("\"{fingerprint}\""));

    let encoded = setting.snapshot(&fingerprint.to_string().replace(':', "%3A"));
    assert_eq!(setting.get(&encoded).await.body, reply.body);
}

#[tokio::test]
async fn a_snapshot_that_the_process_has_is_not_sent_again() {
    let setting = EndpointSetting::new("etag").await;
    let fingerprint = published(&setting.scene).await.to_string();
    let (path, bearer) = (setting.snapshot(&fingerprint), format!("Bearer {}", setting.token));
    let etag = format!("\"{fingerprint}\"");
    let headers = [("authorization", bearer.as_str()), ("if-none-match", &etag)];
    let reply = setting.endpoint.send(Method::GET, &path, &headers, "").await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (304, 0));
    let headers = [("authorization", bearer.as_str()), ("if-none-match", "\"another\"")];
    let reply = setting.endpoint.send(Method::GET, &path, &headers, "").await.unwrap();
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_snapshot_with_a_base_has_only_the_changed_files() {
    let setting = EndpointSetting::new("base").await;
    let first = published(&setting.scene).await;
    let whole = setting.get(&setting.snapshot(&first.to_string())).await;
    let base = unpack(&whole, first, None);

    setting.scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let status = setting.scene.push().await;
    let second: Fingerprint = status.published.unwrap().fingerprint.parse().unwrap();
    assert_ne!(first, second);
    let path = setting.snapshot(&second.to_string());
    let whole = setting.get(&path).await;
    let part = setting.get(&format!("{path}?base={first}")).await;
    assert!(part.body.len() < whole.body.len(), "{} < {}", part.body.len(), whole.body.len());
    assert_eq!(unpack(&part, second, Some(&base)).fingerprint(), second);
    // With a base that the operator no longer has, the whole content is sent.
    let forgotten = setting.get(&format!("{path}?base={}", unknown())).await;
    unpack(&forgotten, second, None);
}

#[tokio::test]
async fn a_token_counts_only_for_the_workspaces_that_it_was_granted() {
    let setting = EndpointSetting::new("granted").await;
    let fingerprint = published(&setting.scene).await.to_string();
    for fingerprint in [fingerprint, unknown()] {
        let other = setting.get(&snapshot_path(setting.namespace(), "other", &fingerprint)).await;
        assert_refused(&other, 403, "forbidden");
        let message = other.error().unwrap().message;
        for part in ["get", "rototoworkspaces/snapshot", "rototo.dev", "[other]", setting.namespace()] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let elsewhere = setting.get(&snapshot_path("default", WORKSPACE, &fingerprint)).await;
        assert_refused(&elsewhere, 403, "forbidden");
    }
    let other = setting.post(&fleet_path(setting.namespace(), "other"), "{}").await;
    assert_refused(&other, 403, "forbidden");
    assert!(other.error().unwrap().message.contains("create on rototoworkspaces/fleet"));
}

#[tokio::test]
async fn a_caller_without_a_valid_token_learns_nothing() {
    let setting = EndpointSetting::new("anybody").await;
    let fingerprint = published(&setting.scene).await.to_string();
    for path in [setting.snapshot(&fingerprint), setting.snapshot(&unknown())] {
        let replies = setting.get_unauthenticated(&path).await;
        for (reply, code) in replies.iter().zip(["no_token", "no_token", "bad_token", "bad_token"]) {
            assert_refused(reply, 401, code);
            assert_eq!(reply.headers["www-authenticate"], "Bearer");
        }
    }
    let fleet = fleet_path(setting.namespace(), WORKSPACE);
    assert_refused(&setting.endpoint.send(Method::POST, &fleet, &[], "{}").await.unwrap(), 401, "no_token");
    assert_refused(&setting.endpoint.post(&fleet, "not.a.token", "{}").await.unwrap(), 401, "bad_token");
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_a_code_and_a_sentence() {
    let setting = EndpointSetting::new("malformed").await;
    let fingerprint = published(&setting.scene).await.to_string();
    assert_refused(&setting.get(&setting.snapshot(&unknown())).await, 404, "unknown_fingerprint");
    let malformed = ["sha256:", "sha256:12", "latest", &fingerprint.to_uppercase(), "%FF", "..%2F..%2Fsecret"];
    for malformed in malformed {
        assert_refused(&setting.get(&setting.snapshot(malformed)).await, 400, "malformed");
    }
    let path = setting.snapshot(&fingerprint);
    assert_refused(&setting.get(&format!("{path}?base=newest")).await, 400, "malformed");
    assert_refused(&setting.get("/v1/somewhere-else").await, 404, "no_such_path");
    assert_refused(&setting.post(&path, "{}").await, 405, "no_such_method");

    let fleet = fleet_path(setting.namespace(), WORKSPACE);
    assert_refused(&setting.post(&fleet, "{").await, 400, "malformed");
    assert_refused(&setting.post(&fleet, r#"{"process": 1}"#).await, 400, "malformed");
    assert_refused(&setting.post(&fleet, &" ".repeat(1 << 20)).await, 413, "too_long");
    let surprising = report(ProcessState::Applied, Some("a reason\nwith a surprise"), &fingerprint);
    assert_refused(&setting.post(&fleet, &surprising).await, 400, "malformed");
}

fn report(state: ProcessState, reason: Option<&str>, fingerprint: &str) -> String {
    let report = Report {
        process: "9e0b4f5c-0f8c-4b57-8d36-2f7a8a6fd3a1".to_owned(),
        version: "0.1.0".to_owned(),
        engine_level: ENGINE_LEVEL,
        fingerprint: Some(fingerprint.to_owned()),
        updated_at: None,
        state,
        applied_ms_ago: None,
        reason: reason.map(str::to_owned),
        ..Report::default()
    };
    serde_json::to_string(&report).unwrap()
}

#[tokio::test]
async fn a_report_appears_in_the_status_under_the_pod_that_its_token_is_bound_to() {
    let setting = EndpointSetting::new("report").await;
    let marker = setting.scene.marker().await.unwrap();
    let Marker::Published { fingerprint, updated_at, .. } = &marker else { panic!("{marker:?}") };
    let mut report: Report =
        serde_json::from_str(&report(ProcessState::Rejected, Some("compile_failed"), fingerprint)).unwrap();
    report.updated_at = Some(*updated_at);
    let mut body = json!(report);
    // The report's own statement about its pod and node does not count.
    body["pod"] = json!("another");
    body["node"] = json!("another");
    let reply = setting.post(&fleet_path(setting.namespace(), WORKSPACE), &body.to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let answer: rototo_api::fleet::ReportResponse = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((answer.fingerprint.as_ref(), answer.updated_at), (Some(fingerprint), Some(*updated_at)));

    let shown = setting.scene.namespace.wait_for_workspace(WORKSPACE, "refused by a pod", |workspace| {
        let fleet = workspace.status.as_ref().and_then(|status| status.fleet.as_ref());
        fleet.is_some_and(|fleet| fleet.rejected == 1)
    });
    let fleet = shown.await.unwrap().status.unwrap().fleet.unwrap();
    assert_eq!((fleet.expected, fleet.processes, fleet.applied), (Some(1), 1, 0));
    let straggler = &fleet.behind[0];
    let seen = (straggler.name.as_str(), straggler.state.as_str(), straggler.reason.as_deref());
    assert_eq!(seen, (setting.pod.name(), "rejected", Some("compile_failed")));
}

/// Every operator can serve the content of a fingerprint; only the one that writes knows the current publish.
#[tokio::test]
async fn an_operator_that_lost_its_lease_still_serves_its_snapshots() {
    let mut plane = ControlPlane::start().unwrap();
    plane.install_crds().unwrap();
    let scene = Scene::published_with(&Cluster::clone(&plane), "leaseless", &["--lease-seconds=3"]).await;
    let setting = EndpointSetting::of(scene).await;
    let fingerprint = published(&setting.scene).await;
    let (path, fleet) = (setting.snapshot(&fingerprint.to_string()), fleet_path(setting.namespace(), WORKSPACE));
    let report = report(ProcessState::Applied, None, &fingerprint.to_string());
    assert_eq!(setting.get(&path).await.status, 200);
    assert_eq!(setting.post(&fleet, &report).await.status, 200);

    plane.kill_api_server().unwrap();
    until_async("the lease to be lost", PATIENCE, async || {
        let reply = setting.endpoint.post(&fleet, &setting.token, &report).await?;
        Ok(if reply.status == 503 { Observation::Done(reply) } else { Observation::NotYet(reply.status.to_string()) })
    })
    .await
    .unwrap();
    unpack(&setting.get(&path).await, fingerprint, None);
    assert_refused(&setting.get(&setting.snapshot(&unknown())).await, 503, "not_leading");
}

#[tokio::test]
async fn a_new_grant_works_at_once() {
    let setting = EndpointSetting::new("grant").await;
    let path = setting.snapshot(&published(&setting.scene).await.to_string());
    setting.scene.namespace.grant("late", &["other"]).unwrap();
    let pod = pod(&setting.scene, "late", "late").await;
    let token = fs::read_to_string(pod.rototo_token_file()).unwrap();
    assert_refused(&setting.endpoint.get(&path, &token).await.unwrap(), 403, "forbidden");

    setting.scene.namespace.grant("late", &["other", WORKSPACE]).unwrap();
    // The authorizer of the API server sees a new Role after a moment.
    until_async("the grant to work", PATIENCE, async || {
        let reply = setting.endpoint.get(&path, &token).await?;
        Ok(if reply.status == 200 {
            Observation::Done(())
        } else {
            Observation::NotYet(format!("{:?}", reply.error()))
        })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_log_contains_neither_tokens_nor_values() {
    let setting = EndpointSetting::new("log").await;
    let (token, secret) = (&setting.token, "hunter2-is-a-secret");
    let (allowed, is_secret) = ("\"secondary\"", format!("\"{secret}\""));
    setting.scene.repository.edit(SCHEMA, allowed, &format!("{allowed}, {is_secret}")).unwrap();
    setting.scene.repository.edit(POLICY, allowed, &is_secret).unwrap();
    setting.scene.push().await;
    let fingerprint = published(&setting.scene).await.to_string();
    let reply = setting.get(&setting.snapshot(&fingerprint)).await;
    assert!(reply.status == 200, "{reply:?}");
    setting.endpoint.get(&setting.snapshot(&fingerprint), secret).await.unwrap();
    setting.get_unauthenticated(&setting.snapshot(&unknown())).await;
    setting.get(&snapshot_path(setting.namespace(), "other", &fingerprint)).await;
    setting.post(&fleet_path(setting.namespace(), WORKSPACE), &report(ProcessState::Applied, None, secret)).await;

    let log = setting.scene.operator.process().unwrap().log();
    let api_token = fs::read_to_string(setting.pod.api_token_file()).unwrap();
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    for hidden in [secret, "not.a.token", &signature(token), &signature(&api_token)] {
        assert!(!log.contains(hidden), "the log has {hidden}");
    }
    assert!(log.contains(&fingerprint), "the log does not have the fingerprint:\n{log}");
}
