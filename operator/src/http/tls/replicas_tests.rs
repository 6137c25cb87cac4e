//! Replicas that share a Secret: one of them changes it, and a Secret that can't be used stops none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::http::{Method, Request, Response};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::http::tls::provided::ProvidedCertificate;
use crate::http::tls::provided::tests::{now, provided, secret};
use crate::http::tls::{CertificateSettings, Certificates, TlsError, issue};

const SECRET: &str = "tls";
const PROVIDED: &str = "provided";
const HOST: &str = "rototo.example";

/// An API server that has Secrets alone.
#[derive(Clone, Default)]
struct Secrets(Arc<Mutex<BTreeMap<String, Secret>>>);

impl Secrets {
    fn client(&self) -> Client {
        let secrets = self.clone();
        let answer = move |request: Request<Body>| {
            let secrets = secrets.clone();
            async move {
                let (parts, body) = request.into_parts();
                let written = serde_json::from_slice(&body.collect_bytes().await?).ok();
                let (status, answer) = secrets.answer(&parts.method, parts.uri.path(), written);
                let answer = Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, tower::BoxError>(answer?)
            }
        };
        Client::new(tower::service_fn(answer), "ns")
    }

    fn answer(&self, method: &Method, path: &str, written: Option<Secret>) -> (u16, Value) {
        let refusal = |code: u16, reason: &str| {
            (code, json!({ "code": code, "status": "Failure", "reason": reason, "message": reason }))
        };
        let mut known = self.0.lock().unwrap();
        let Some(mut secret) = written.filter(|_| method != Method::GET) else {
            let found = known.get(path.rsplit('/').next().unwrap());
            return found.map_or_else(|| refusal(404, "NotFound"), |found| (200, json!(found)));
        };
        let version = known.get(&secret.name_any()).and_then(ResourceExt::resource_version);
        if version != secret.resource_version() {
            return refusal(409, "Conflict");
        }
        let next = version.map_or(1, |version| version.parse::<u32>().unwrap() + 1);
        secret.metadata.resource_version = Some(next.to_string());
        known.insert(secret.name_any(), secret.clone());
        (200, json!(secret))
    }

    fn version(&self) -> Option<String> {
        self.0.lock().unwrap().get(SECRET).and_then(ResourceExt::resource_version)
    }

    fn put(&self, name: &str, secret: Secret) {
        self.0.lock().unwrap().insert(name.to_owned(), secret);
    }

    async fn replica(&self, provided: bool) -> Result<Certificates, TlsError> {
        let settings = CertificateSettings {
            namespace: "ns".to_owned(),
            secret: SECRET.to_owned(),
            provided_secret: provided.then(|| PROVIDED.to_owned()),
            host: HOST.to_owned(),
            overlap: SignedDuration::from_hours(1),
        };
        Certificates::first(&self.client(), settings, now()).await
    }
}

fn hours(hours: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_hours(hours)).unwrap()
}

#[tokio::test]
async fn replicas_that_start_together_have_one_identity_and_a_lost_race_changes_nothing() {
    let secrets = Secrets::default();
    let (first, second) = tokio::join!(secrets.replica(false), secrets.replica(false));
    let (mut first, mut second) = (first.unwrap(), second.unwrap());
    assert!(first.identity() == second.identity());
    secrets.0.lock().unwrap().remove(SECRET);
    first.read(hours(0)).await.unwrap();
    second.read(hours(0)).await.unwrap();
    // Both believe that they lead: the second write does not replace the first.
    assert!(first.lead(0, hours(0)).await.unwrap());
    let version = secrets.version();
    assert!(!second.lead(0, hours(0)).await.unwrap());
    assert_eq!(secrets.version(), version);
    second.read(hours(0)).await.unwrap();
    assert!(first.identity() == second.identity());
}

#[tokio::test]
async fn a_secret_that_somebody_deletes_or_breaks_is_restored_and_goes_on_where_it_was() {
    let secrets = Secrets::default();
    let mut leader = secrets.replica(false).await.unwrap();
    let first = leader.identity();
    for breaks in [None, Some(Secret::default())] {
        match breaks {
            None => drop(secrets.0.lock().unwrap().remove(SECRET)),
            Some(mut empty) => {
                empty.metadata.resource_version = secrets.version();
                secrets.put(SECRET, empty);
            }
        }
        leader.read(hours(0)).await.unwrap();
        let problem = leader.problem().unwrap();
        assert!(problem.contains("Secret tls with the operator's certificate can't be used"), "{problem}");
        assert!(leader.lead(0, hours(0)).await.unwrap());
        leader.read(hours(0)).await.unwrap();
        assert_eq!(leader.problem(), None);
        assert!(leader.identity() == first, "processes notice nothing");
    }
    // A deletion asks for another authority.
    assert!(leader.lead(0, hours(0)).await.unwrap());
    assert_eq!(leader.identity().authorities.matches("BEGIN CERTIFICATE").count(), 2);
    assert!(leader.identity().certificate == first.certificate);
    // A leader that starts now goes on with the phase.
    let mut next = secrets.replica(false).await.unwrap();
    assert!(next.identity() == leader.identity());
    assert!(next.lead(0, hours(0)).await.unwrap());
    assert!(!next.lead(0, hours(0)).await.unwrap());
    assert!(next.lead(0, hours(1)).await.unwrap());
    assert!(next.identity().certificate != first.certificate);
}

#[tokio::test]
async fn a_provided_certificate_is_waited_for_and_one_that_is_gone_later_stops_nothing() {
    let secrets = Secrets::default();
    let absent = secrets.replica(true).await.err().unwrap();
    assert!(matches!(absent, TlsError::NotProvided(_)) && absent.is_transient());
    secrets.put(PROVIDED, secret(&provided("other.example")));
    let wrong = secrets.replica(true).await.err().unwrap();
    assert!(!wrong.is_transient() && wrong.to_string().contains("other.example"), "{wrong}");
    assert_eq!(secrets.version(), None, "nothing is written for it");
    let provided = provided(HOST);
    secrets.put(PROVIDED, secret(&provided));
    let mut replica = secrets.replica(true).await.unwrap();
    assert!(replica.identity().authorities == provided.authority);
    secrets.0.lock().unwrap().remove(PROVIDED);
    replica.read(hours(0)).await.unwrap();
    assert!(replica.problem().unwrap().contains("does not exist"));
    assert!(!replica.lead(0, hours(0)).await.unwrap());
    // Also a replica that starts meanwhile serves with what the operator's own Secret has.
    assert!(secrets.replica(true).await.unwrap().identity() == replica.identity());
}

/// A leader in which the serving certificate ends reads what the Secrets hold then, and leads until nothing changes.
async fn outlived(leader: &mut Certificates, at: Timestamp) {
    for changes in 0.. {
        leader.read(at).await.unwrap();
        if !leader.lead(0, at).await.unwrap() {
            break;
        }
        assert!(changes < 2, "the Secret is written again and again");
    }
    assert_eq!(leader.problem(), None);
    let identity = leader.identity();
    let leaf = issue::Leaf { certificate: identity.certificate, key: identity.key };
    assert_eq!(issue::check(&identity.authorities, &leaf, HOST, at), Ok(()));
}

#[tokio::test]
async fn a_provided_certificate_that_comes_after_the_end_of_the_one_before_is_served() {
    let after_end = now() + issue::days(issue::SERVING_DAYS + 1);
    let (authority, key) = issue::authority(now()).unwrap();
    let provided = |at| ProvidedCertificate {
        authority: authority.clone(),
        leaf: issue::leaf(&authority, &key, HOST, at).unwrap(),
    };
    let (first, renewed) = (provided(now()), provided(after_end));
    let (other, other_key) = issue::authority(after_end).unwrap();
    let other =
        ProvidedCertificate { leaf: issue::leaf(&other, &other_key, HOST, after_end).unwrap(), authority: other };
    for next in [renewed, other] {
        let secrets = Secrets::default();
        secrets.put(PROVIDED, secret(&first));
        let mut leader = secrets.replica(true).await.unwrap();
        leader.read(after_end).await.unwrap();
        assert!(leader.problem().unwrap().contains("expired"));
        assert!(!leader.lead(0, after_end).await.unwrap(), "there is nothing to serve with");
        secrets.put(PROVIDED, secret(&next));
        outlived(&mut leader, after_end).await;
        assert!(leader.identity().certificate == next.leaf.certificate);
    }
}

#[tokio::test]
async fn a_certificate_of_the_operators_own_that_has_ended_is_replaced() {
    for days in [issue::SERVING_DAYS + 1, issue::AUTHORITY_DAYS + 1] {
        let secrets = Secrets::default();
        let mut leader = secrets.replica(false).await.unwrap();
        outlived(&mut leader, now() + issue::days(days)).await;
    }
}
