//! The operator's authority is replaced while replicas and processes run, and no process meets a certificate that it
//! does not trust.

use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use rototo_tests::harness::{App, ControlPlane, Endpoint, Namespace, Observation, Operator, PATIENCE, until_async};
use serde_json::json;

use crate::scene::{Scene, TRIAL};

const SECRET: &str = "rototo-operator-tls";
/// The time for which two authorities are trusted, and the flag for it.
const OVERLAP: &str = "--authority-overlap-seconds=4";
/// A rotation lasts for two overlaps, and longer if the leader changes meanwhile.
const ROTATED_WITHIN: Duration = Duration::from_secs(60);

async fn authorities(namespace: &Namespace) -> anyhow::Result<String> {
    let map = namespace.markers().await?.unwrap();
    Ok(map.annotations()["rototo.dev/ca"].clone())
}

/// Connects anew, as a process that has read the marker map now, and as one that read it at the last call. Returns the
/// authorities of the map.
async fn connect(namespace: &Namespace, operator: &Operator, before: &str) -> anyhow::Result<String> {
    let now = authorities(namespace).await?;
    for trusted in [now.as_str(), before] {
        let endpoint = Endpoint::at(&format!("https://{}", operator.address()), trusted)?;
        let reply = endpoint.get("/v1/nothing", "nobody").await?;
        anyhow::ensure!(reply.status == 404, "{reply:?}");
    }
    Ok(now)
}

/// Follows a rotation until the marker map names this number of authorities, and not only `except`.
async fn follow(
    scene: &Scene,
    replicas: &[&Operator],
    before: &mut String,
    what: &str,
    (count, except): (usize, &str),
) {
    let known = Mutex::new(before.clone());
    let last = || known.lock().unwrap().clone();
    until_async(what, ROTATED_WITHIN, async || {
        for operator in replicas {
            let now = connect(&scene.namespace, operator, &last()).await?;
            *known.lock().unwrap() = now;
        }
        let is_there = last().matches("BEGIN CERTIFICATE").count() == count && last() != except;
        Ok(if is_there { Observation::Done(()) } else { Observation::NotYet(last()) })
    })
    .await
    .unwrap();
    *before = last();
}

async fn ask(scene: &Scene) {
    let patch = json!({ "metadata": { "annotations": { "rototo.dev/replace-authority": "now" } } });
    scene.namespace.api::<Secret>().patch(SECRET, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

fn assert_trusting(app: &App) {
    let log = app.process().unwrap().log();
    assert!(!log.contains("certificate") && !log.contains("UnknownIssuer"), "{log}");
}

#[tokio::test]
async fn an_authority_is_replaced_under_processes_and_replicas_also_while_the_leader_changes() {
    let flags = |identity| [identity, "--peer-host=127.0.0.1", "--lease-seconds=3", OVERLAP];
    let mut scene = Scene::with_flags(ControlPlane::shared().unwrap(), "authority", &flags("--identity=first")).await;
    scene.apply().await;
    scene.namespace.wait_for_condition(crate::scene::WORKSPACE, "Published", "True").await.unwrap();
    let second = Operator::start_with(&scene.namespace, &flags("--identity=second")).unwrap();
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let first = authorities(&scene.namespace).await.unwrap();
    let mut before = first.clone();

    ask(&scene).await;
    let replicas = [&scene.operator, &second];
    follow(&scene, &replicas, &mut before, "both authorities to be named", (2, "")).await;
    let both = before.clone();
    assert!(both.starts_with(&first));
    // The leader ends before the next authority signs, and another replica goes on. If it has not read the Secret yet, it
    // names the first authority alone for a moment.
    scene.operator.terminate().unwrap();
    follow(&scene, &[&second], &mut before, "the first authority to be dropped", (1, &first)).await;
    assert!(both.ends_with(&before));
    scene.operator.start_again().unwrap();
    scene.operator.wait_until_ready().unwrap();

    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let revision = scene.push().await.source.unwrap().revision.unwrap();
    app.wait_for_state("at the next commit", |state| state["revision"] == revision).unwrap();
    scene.wait_for_fleet(1).await;
    assert_trusting(&app);

    // And the other way around, by deleting the Secret.
    let second_authority = before.clone();
    let namespace = scene.namespace.name();
    scene.namespace.cluster().kubectl(&["--namespace", namespace, "delete", "secret", SECRET]).unwrap();
    let replicas = [&scene.operator, &second];
    follow(&scene, &replicas, &mut before, "both authorities to be named again", (2, "")).await;
    follow(&scene, &replicas, &mut before, "the second authority to be dropped", (1, &second_authority)).await;
    assert!(!both.contains(before.trim()));
    scene.repository.edit(TRIAL, "[0, 6000]", "[0, 7000]").unwrap();
    let revision = scene.push().await.source.unwrap().revision.unwrap();
    app.wait_for_state("at the last commit", |state| state["revision"] == revision).unwrap();
    scene.wait_for_fleet(1).await;
    assert_trusting(&app);
}

/// Makes a Secret as cert-manager does, with a new authority.
async fn provide(namespace: &Namespace, name: &str, host: &str) -> String {
    let authority = rcgen_authority();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.1).unwrap();
    let data = [("ca.crt", authority.0.clone()), ("tls.crt", certificate.pem()), ("tls.key", key.serialize_pem())];
    let data = data.map(|(name, value)| (name.to_owned(), ByteString(value.into_bytes())));
    let secret = Secret {
        metadata: kube::api::ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(data.into()),
        ..Secret::default()
    };
    let parameters = PatchParams::apply("cert-manager").force();
    namespace.api::<Secret>().patch(name, &parameters, &Patch::Apply(secret)).await.unwrap();
    authority.0
}

fn rcgen_authority() -> (String, rcgen::Issuer<'static, rcgen::KeyPair>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("provided {:08x}", fastrand::u32(..)));
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap().pem();
    (certificate, rcgen::Issuer::new(params, key))
}

#[tokio::test]
async fn a_provided_certificate_is_followed_and_a_wrong_one_changes_nothing() {
    let cluster = ControlPlane::shared().unwrap();
    let namespace = Namespace::create(cluster, "provided").await.unwrap();
    let first = provide(&namespace, "provided", "127.0.0.1").await;
    let operator = Operator::start_as_given(&namespace, "provided", &[OVERLAP]).unwrap();
    let repository =
        rototo_tests::harness::GitRepo::with_workspace(&crate::scene::example(), "workspaces/prod").unwrap();
    namespace.grant("app", &[crate::scene::WORKSPACE]).unwrap();
    let scene = Scene { namespace, repository, operator };
    scene.apply().await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let mut before = authorities(&scene.namespace).await.unwrap();
    assert_eq!(before, first);

    // Of another host: it is refused, and processes notice nothing.
    provide(&scene.namespace, "provided", "another.example").await;
    until_async("the certificate to be refused", PATIENCE, async || {
        connect(&scene.namespace, &scene.operator, &first).await?;
        let unusable = scene.operator.metric("rototo_certificate_unusable", &[])?;
        Ok(if unusable == 1.0 { Observation::Done(()) } else { Observation::NotYet(unusable.to_string()) })
    })
    .await
    .unwrap();
    let log = scene.operator.process().unwrap().log();
    assert!(log.contains("Secret provided, which --tls-from-secret names, can't be used"), "{log}");
    assert_eq!(before, first);

    let second = provide(&scene.namespace, "provided", "127.0.0.1").await;
    let replicas = [&scene.operator];
    follow(&scene, &replicas, &mut before, "both authorities to be named", (2, "")).await;
    follow(&scene, &replicas, &mut before, "the first authority to be dropped", (1, &first)).await;
    assert_eq!(before, second);
    assert_eq!(scene.operator.metric("rototo_certificate_unusable", &[]).unwrap(), 0.0);
    scene.wait_for_fleet(1).await;
    assert_trusting(&app);
}
