//! The webhook: a signed call of the git host makes the operator poll at once, and any other call is refused.

use http::{Request, StatusCode};
use kube::client::Body;
use kube::{Client, Config};
use ring::hmac;
use rototo_api::names::{ANNOTATION_CA, ANNOTATION_SNAPSHOTS};
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{ControlPlane, Operator};
use serde_json::json;

use crate::scene::{Scene, TRIAL, WORKSPACE};

pub(crate) const KEY: &str = "It's a Secret to Everybody";

/// A scene whose workspace takes calls that are signed with [`KEY`], and a client for them.
pub(crate) struct WebhookHost {
    pub(crate) scene: Scene,
    client: Client,
    pub(crate) path: String,
}

impl WebhookHost {
    pub(crate) async fn of(purpose: &str) -> Self {
        Self::on(Scene::quiet_on(ControlPlane::shared().unwrap(), purpose).await).await
    }

    /// Applies the RototoWorkspace in a scene without one.
    pub(crate) async fn on(scene: Scene) -> Self {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "rototo-webhook" },
            "stringData": { "webhook-old": "retired very soon", "webhook": format!("{KEY}\n"), "username": "git-git-git-git-git" },
        });
        scene.namespace.apply(&secret.to_string()).unwrap();
        let webhook = json!({ "secretRef": { "name": "rototo-webhook" } });
        let spec = json!({ "source": scene.repository.url(), "interval": "1h", "webhook": webhook });
        scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
        scene.namespace.wait_for_condition(WORKSPACE, "Published", "True").await.unwrap();

        let client = client_at(&scene, None).await;
        let path = format!("/hooks/{}/{WORKSPACE}", scene.namespace.name());
        Self { scene, client, path }
    }

    /// Calls this replica of the operator from now on.
    pub(crate) async fn call_at(&mut self, replica: &Operator) {
        self.client = client_at(&self.scene, Some(&format!("https://{}", replica.address()))).await;
    }

    async fn call(&self, path: &str, signature: Option<&str>, body: &[u8]) -> StatusCode {
        self.call_with(path, signature, &[], body).await
    }

    pub(crate) async fn call_with(
        &self,
        path: &str,
        signature: Option<&str>,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> StatusCode {
        let request = Request::post(path);
        let mut request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        if let Some(signature) = signature {
            request = request.header("x-hub-signature-256", format!("sha256={signature}"));
        }
        self.client.send(request.body(Body::from(body.to_vec())).unwrap()).await.unwrap().status()
    }
}

/// Returns a client of the operator, at the address that it advertises or at another one.
async fn client_at(scene: &Scene, url: Option<&str>) -> Client {
    let annotations = scene.namespace.markers().await.unwrap().unwrap().metadata.annotations.unwrap();
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), &annotations[ANNOTATION_CA]).unwrap();
    let mut config = Config::new(url.unwrap_or(&annotations[ANNOTATION_SNAPSHOTS]).parse().unwrap());
    config.root_cert_file = Some(authority.path().to_owned());
    Client::try_from(config).unwrap()
}

pub(crate) fn sign(key: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), body);
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_signed_call_makes_a_push_arrive_without_waiting_for_the_interval() {
    let host = WebhookHost::of("hook").await;
    host.scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    host.scene.repository.push().unwrap();
    let body = br#"{"ref":"refs/heads/main"}"#;
    assert_eq!(host.call(&host.path, Some(&sign(KEY, body)), body).await, StatusCode::ACCEPTED);
    let head = host.scene.repository.head().unwrap();
    let published = |workspace: &RototoWorkspace| {
        let published = workspace.status.as_ref().and_then(|status| status.published.as_ref());
        published.and_then(|published| published.revision.as_ref()).is_some_and(|revision| revision.ends_with(&head))
    };
    host.scene.namespace.wait_for_workspace(WORKSPACE, "at the push", published).await.unwrap();
}

#[tokio::test]
async fn a_call_before_the_commit_can_be_read_is_answered_by_a_later_poll() {
    let host = WebhookHost::of("hook-early").await;
    let body = b"{}";
    assert_eq!(host.call(&host.path, Some(&sign("retired very soon", body)), body).await, StatusCode::ACCEPTED);
    host.scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    host.scene.repository.push().unwrap();
    let head = host.scene.repository.head().unwrap();
    let seen = |workspace: &RototoWorkspace| {
        let source = workspace.status.as_ref().and_then(|status| status.source.as_ref());
        source.and_then(|source| source.revision.as_ref()).is_some_and(|revision| revision.ends_with(&head))
    };
    host.scene.namespace.wait_for_workspace(WORKSPACE, "at the push", seen).await.unwrap();
}

#[tokio::test]
async fn calls_without_a_valid_signature_are_refused() {
    let host = WebhookHost::of("hook-refused").await;
    let body = b"{}";
    assert_eq!(host.call(&host.path, None, body).await, StatusCode::UNAUTHORIZED);
    assert_eq!(host.call(&host.path, Some("00"), body).await, StatusCode::UNAUTHORIZED);
    assert_eq!(host.call(&host.path, Some(&sign("guessed", body)), body).await, StatusCode::UNAUTHORIZED);
    assert_eq!(host.call(&host.path, Some(&sign(KEY, b"other")), body).await, StatusCode::UNAUTHORIZED);
    assert_eq!(host.call(&host.path, Some(&sign("git-git-git-git-git", body)), body).await, StatusCode::UNAUTHORIZED);
    let long = vec![b' '; 25 * 1024 * 1024 + 1];
    assert_eq!(host.call(&host.path, Some(&sign(KEY, &long)), &long).await, StatusCode::PAYLOAD_TOO_LARGE);
    // A caller without a key does not learn which workspaces exist.
    let elsewhere = host.path.replace(WORKSPACE, "elsewhere");
    assert_eq!(host.call(&elsewhere, Some(&sign(KEY, body)), body).await, StatusCode::NOT_FOUND);
    let log = host.scene.operator.process().unwrap().log();
    assert!(!log.contains(KEY) && !log.contains(&sign(KEY, body)), "{log}");
}
