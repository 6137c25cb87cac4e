//! Tests with arbitrary bytes: no input from the API server, the operator, a disk, or a person makes the client panic,
//! and no snapshot unpacks to content with another fingerprint than the requested one.

use http::StatusCode;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rototo_api::fleet::ReportResponse;
use rototo_api::names;
use rototo_engine::Tree;
use rototo_protocol::follower::{DiskCache, FollowerEvent, FollowerState, StepTime, step};
use rototo_source::{Limits, snapshot};
use serde_json::json;

use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::cluster::endpoint::{Endpoint, refusal};
use crate::kubernetes::cluster::watch_cache::{WatchCache, observed_marker};
use rototo_connection::{Address, Trust};

const DIGEST: &str = "sha256:9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d9f2c1a7d";
const TIME: &str = "2026-11-20T18:40:00.123456Z";

/// Texts that mutations insert, beside single bytes.
const WORDS: &[&str] = &[
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\\",
    "\n",
    "\0",
    "\u{feff}",
    "é",
    "😀",
    "null",
    "true",
    "-1",
    "1e999",
    "99999999999999999999",
    "18446744073709551615",
    "sha256:",
    "\\ud800",
    "schema_version",
    "removed",
    "updated_at",
    "9999-12-31T23:59:59.999999Z",
    "&a",
    "*a",
    "!!binary",
    "<<",
    "- ",
    "https://",
    "[::",
    "%",
    "-----BEGIN CERTIFICATE-----\n",
];

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..self.below(length)).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(12)).min(bytes.len());
        let replacement = match self.below(4) {
            0 => Vec::new(),
            1 => vec![u8::try_from(self.below(256)).unwrap()],
            2 => bytes[at..end].repeat(2),
            _ => WORDS[self.below(WORDS.len())].as_bytes().to_vec(),
        };
        let end = if self.below(2) == 0 { at } else { end };
        bytes.splice(at..end, replacement);
    }
}

/// Gives `feed` arbitrary bytes, and `valid` with one to five mutations.
fn each(valid: &[u8], times: usize, mut feed: impl FnMut(&[u8])) {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    feed(valid);
    for _ in 0..times {
        feed(&dice.bytes(200));
        let mut mutated = valid.to_vec();
        for _ in 0..=dice.below(5) {
            dice.mutate(&mut mutated);
        }
        feed(&mutated);
    }
}

fn marker() -> String {
    json!({ "schema_version": 1, "fingerprint": DIGEST, "updated_at": TIME }).to_string()
}

fn take_event(event: FollowerEvent) {
    let tick = StepTime { now: std::time::Duration::ZERO, chance: 0.5 };
    let (state, _) = step(FollowerState::new(None, DiskCache::None), event, tick);
    state.reported(tick.now);
    state.wake_at(tick.now);
}

#[test]
fn any_marker_is_read_or_refused() {
    each(marker().as_bytes(), 5000, |bytes| {
        take_event(FollowerEvent::Changed(observed_marker("prod", &String::from_utf8_lossy(bytes))))
    });
}

#[test]
fn any_map_is_read() {
    let annotations =
        json!({ names::ANNOTATION_SNAPSHOTS: "https://operator.rototo.svc:8443", names::ANNOTATION_CA: "x" });
    let map = json!({ "metadata": { "annotations": annotations }, "data": { "prod": marker() } });
    let mut watch_cache = WatchCache::default();
    each(map.to_string().as_bytes(), 3000, |bytes| {
        if let Ok(map) = serde_json::from_slice::<ConfigMap>(bytes) {
            watch_cache.show(Some(map));
            take_event(FollowerEvent::Hydrated(watch_cache.marker("prod")));
        }
    });
}

#[tokio::test]
async fn any_address_is_opened_or_refused() {
    each(b"https://operator.rototo.svc:8443/a?b", 300, |bytes| {
        let url = String::from_utf8_lossy(bytes).into_owned();
        for ca in [Trust::System, Trust::Pem(url.clone())] {
            drop(Endpoint::open(&Address { url: url.clone(), ca }, "/token".into()));
        }
    });
}

#[test]
fn any_answer_to_a_report_is_taken_or_refused() {
    let answer = json!({
        "fingerprint": DIGEST, "updated_at": TIME, "revision": "main@sha1:00",
        "verified_ms_ago": u64::MAX, "stale_after_ms": u64::MAX, "next_report_in_ms": u64::MAX,
        "report_applied_within_ms": u64::MAX,
    });
    each(answer.to_string().as_bytes(), 5000, |bytes| {
        if let Ok(answer) = serde_json::from_slice::<ReportResponse>(bytes) {
            take_event(FollowerEvent::Answered(answer));
        }
    });
}

#[test]
fn any_refusal_of_the_operator_has_a_message() {
    each(br#"{"code":"forbidden","message":"grant get"}"#, 2000, |bytes| {
        for status in [400, 401, 403, 404, 500, 503] {
            let fault = refusal(StatusCode::from_u16(status).unwrap(), None, bytes, "fetching");
            assert!(fault.message.starts_with("fetching") && fault.message.len() < 3000, "{fault:?}");
        }
    });
}

#[test]
fn a_snapshot_unpacks_only_to_the_requested_content() {
    let files = [("rototo-workspace.toml", "schema_version = 1\n"), ("variables/a.toml", "type = \"int\"\n")];
    let tree: Tree = files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect();
    let packed = snapshot::pack(&tree, None).unwrap();
    each(&packed, 1500, |bytes| {
        if let Ok(unpacked) = snapshot::unpack(bytes, tree.fingerprint(), None, &Limits::default()) {
            assert_eq!(unpacked.fingerprint(), tree.fingerprint());
        }
    });
}

#[tokio::test]
async fn any_kubeconfig_is_used_or_refused() {
    let kubeconfig = json!({
        "clusters": [{
            "name": "c",
            "cluster": { "server": "https://127.0.0.1:6443", "certificate-authority-data": "eA==" },
        }],
        "users": [{ "name": "u", "user": { "token": "t" } }],
        "contexts": [{ "name": "x", "context": { "cluster": "c", "user": "u", "namespace": "prod" } }],
        "current-context": "x",
    });
    let mut read = Vec::new();
    each(kubeconfig.to_string().as_bytes(), 500, |bytes| {
        read.extend(Kubeconfig::from_yaml(&String::from_utf8_lossy(bytes)));
    });
    for kubeconfig in read {
        // Using the kubeconfig would run a program that it names.
        let runs_a_program = |user: &kube::config::NamedAuthInfo| {
            user.auth_info.as_ref().is_some_and(|auth| auth.exec.is_some() || auth.auth_provider.is_some())
        };
        if kubeconfig.auth_infos.iter().any(runs_a_program) {
            continue;
        }
        if let Ok(config) = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await {
            drop(Cluster::with_config(config).doorbell(None).await);
        }
    }
}
