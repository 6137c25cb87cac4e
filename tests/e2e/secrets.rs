//! No secret leaves the operator, except to the host that it is for: neither in its log at the finest level, nor in a
//! status, an Event, or a metric, whatever fails.

use std::process::Command;

use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{ControlPlane, Endpoint, install_chart};
use serde_json::{Value, json};

use crate::scene::Scene;

/// Everything that the operator and its libraries can log.
const ALL: &str = "--log-level=trace,kube=trace,hyper=trace,h2=trace,rustls=trace,tower=trace,reqwest=trace";
/// A text that is in no message unless a secret got there.
const CANARY: &str = "canary-5f0c1a";

/// A workspace with a Secret, and the parts of the Secret that must not be shown.
struct Case {
    name: &'static str,
    source: String,
    keys: Value,
    hidden: Vec<String>,
}

fn case(name: &'static str, source: &str, keys: Value) -> Case {
    let hidden = vec![format!("{CANARY}-{name}")];
    Case { name, source: source.to_owned(), keys, hidden }
}

/// Returns workspaces with one kind of secret each. None of their sources can be read.
fn cases() -> Vec<Case> {
    let secret = |name: &str| format!("{CANARY}-{name}");
    let (https, ssh) = ("git+https://127.0.0.1:9/config.git#main", "git+ssh://git@127.0.0.1:9/config.git#main");
    let archive = "https://127.0.0.1:9/config.tar.gz";
    let key = tempfile::tempdir().unwrap();
    let path = key.path().join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status().unwrap();
    assert!(made.success());
    let identity = std::fs::read_to_string(&path).unwrap();
    let lines = identity.lines().filter(|line| line.len() > 40 && !line.starts_with('-')).map(str::to_owned).collect();
    let known_hosts = "127.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqS\n";
    let mut with_identity = case("identity", ssh, json!({ "identity": identity, "known_hosts": known_hosts }));
    with_identity.hidden = lines;
    // A parser of PEM shows the line that it does not understand, as numbers.
    let issued = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    let (certificate, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
    let one_line = json!({ "tls.crt": certificate, "tls.key": key.replace('\n', " ") });
    let mut with_one_line = case("one-line-key", archive, one_line);
    let lines = key.lines().filter(|line| !line.is_empty() && !line.starts_with('-'));
    with_one_line.hidden = lines.flat_map(|line| [line.to_owned(), decimals(line)]).collect();
    vec![
        case("password", https, json!({ "username": "rototo", "password": secret("password") })),
        case("bearer", https, json!({ "bearerToken": secret("bearer") })),
        case("archive", archive, json!({ "username": "rototo", "password": secret("archive") })),
        // Faults in the Secret itself are named without its content.
        case("broken-identity", ssh, json!({ "identity": secret("broken-identity"), "known_hosts": known_hosts })),
        case("broken-key", https, json!({ "tls.crt": secret("broken-key"), "tls.key": secret("broken-key") })),
        case("broken-authority", archive, json!({ "ca.crt": secret("broken-authority") })),
        case("two-kinds", https, json!({ "bearerToken": secret("two-kinds"), "password": secret("two-kinds") })),
        with_identity,
        with_one_line,
    ]
}

/// Returns a text as `Debug` shows its bytes.
fn decimals(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    bytes.join(", ")
}

#[tokio::test]
async fn no_secret_is_shown_whatever_fails() {
    let scene = Scene::with_flags(ControlPlane::shared().unwrap(), "secrets", &[ALL]).await;
    install_chart(&scene.namespace, &["rbac.secrets.access=any"]).unwrap();
    let cases = cases();
    for Case { name, source, keys, .. } in &cases {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": format!("{name}-secret") }, "stringData": keys,
        });
        scene.namespace.apply(&secret.to_string()).unwrap();
        let spec = json!({ "source": source, "interval": "1h", "secretRef": { "name": format!("{name}-secret") } });
        scene.namespace.apply_workspace(name, spec).await.unwrap();
    }
    // A webhook with a key of its own, and a call with a wrong signature.
    let webhook_key = format!("{CANARY}-webhook-key");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "rototo-webhook" },
        "stringData": { "webhook": webhook_key },
    });
    scene.namespace.apply(&secret.to_string()).unwrap();
    let webhook = json!({ "secretRef": { "name": "rototo-webhook" } });
    let spec = json!({ "source": scene.repository.url(), "interval": "1h", "webhook": webhook });
    scene.namespace.apply_workspace("hooked", spec).await.unwrap();
    scene.namespace.wait_for_condition("hooked", "Published", "True").await.unwrap();
    let path = format!("/hooks/{}/hooked", scene.namespace.name());
    let wrong = [("x-gitlab-token", format!("{CANARY}-wrong-token"))];
    let wrong = wrong.each_ref().map(|(name, value)| (*name, value.as_str()));
    let endpoint = Endpoint::of(&scene.namespace).await.unwrap();
    let reply = endpoint.send(http::Method::POST, &path, &wrong, "{}").await.unwrap();
    assert_eq!(reply.status, 401);

    for Case { name, .. } in &cases {
        scene.namespace.wait_for_condition(name, "SourceReady", "False").await.unwrap();
    }
    let workspaces = scene.namespace.api::<RototoWorkspace>().list(&ListParams::default()).await.unwrap();
    let statuses: Vec<_> = workspaces.items.iter().map(|workspace| &workspace.status).collect();
    let events = scene.namespace.api::<Event>().list(&ListParams::default()).await.unwrap();
    let shown = [
        ("the log", scene.operator.process().unwrap().log()),
        ("a status", serde_json::to_string(&statuses).unwrap()),
        ("an Event", serde_json::to_string(&events.items).unwrap()),
        ("a metric", scene.operator.metrics().unwrap()),
    ];
    let of_operator = std::fs::read_to_string(scene.operator.directory().join("token")).unwrap();
    let secrets = cases.iter().flat_map(|case| &case.hidden).map(String::as_str);
    let secrets = secrets.chain([webhook_key.as_str(), "-wrong-token", of_operator.trim()]);
    for secret in secrets {
        for (place, text) in &shown {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{secret} is in {place}: {line:?}");
        }
    }
    let process = scene.operator.process().unwrap().id();
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "a crash would write the memory to the disk: {core}");
    let (_, log) = &shown[0];
    assert!(log.contains("TRACE"), "the log was not at its finest level");
}
