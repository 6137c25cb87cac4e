//! The ways to an API server, as kubectl takes them: lists of kubeconfigs, and proxies. The proxy and the server are real.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../source/tests/support/https.rs"]
#[allow(dead_code, unreachable_pub, clippy::indexing_slicing)]
mod https;
#[path = "../../source/tests/support/proxy.rs"]
#[allow(dead_code, unreachable_pub)]
mod proxy;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use https::{HttpsServer, redirect, respond};
use proxy::Proxy;

const LIST: &str =
    r#"{"apiVersion": "rototo.dev/v1alpha1", "kind": "RototoWorkspaceList", "metadata": {}, "items": []}"#;

fn api_server() -> HttpsServer {
    HttpsServer::start(|_| respond(200, &[("Content-Type", "application/json")], LIST))
}

/// Writes a kubeconfig, and returns its path.
fn kubeconfig(directory: &Path, server: &str, ca: &str, proxy: Option<&str>) -> PathBuf {
    let ca_file = directory.join("ca.crt");
    std::fs::write(&ca_file, ca).unwrap();
    let proxy = proxy.map(|proxy| format!(", proxy-url: \"{proxy}\"")).unwrap_or_default();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{name: c, cluster: {{server: \"{server}\", certificate-authority: \"{}\"{proxy}}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\n\
         contexts: [{{name: here, context: {{cluster: c, user: u}}}}]\n",
        ca_file.display()
    );
    let path = directory.join("config");
    std::fs::write(&path, text).unwrap();
    path
}

fn status(variables: &[(&str, &str)]) -> Output {
    rototo(&["status"], variables)
}

fn rototo(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rototo"));
    for (name, _) in std::env::vars() {
        let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
        if is_proxy || name.starts_with("KUBE") {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(variables.iter().copied()).output().unwrap()
}

fn text(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("hunter2"), "{text}");
    text
}

#[test]
fn a_cluster_is_reached_through_the_proxy_of_its_kubeconfig() {
    let (server, proxy, directory) = (api_server(), Proxy::start(), tempfile::tempdir().unwrap());
    let url = format!("https://{}", server.address());
    let config = kubeconfig(directory.path(), &url, &server.authority.pem(), Some(&proxy.url()));
    // NO_PROXY is for the proxies of the environment.
    let output = status(&[("KUBECONFIG", config.to_str().unwrap()), ("NO_PROXY", "*")]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!server.requests().is_empty());
    assert!(proxy.asked().iter().all(|asked| asked.starts_with(&format!("CONNECT {}", server.address()))));
    assert!(!proxy.asked().is_empty());
}

#[test]
fn a_proxy_of_the_environment_is_used_unless_no_proxy_names_the_api_server() {
    let directory = tempfile::tempdir().unwrap();
    let ca = https::Authority::new().pem();
    // No name server knows this name.
    let config = kubeconfig(directory.path(), "https://api.cluster.example.com:6443", &ca, None);
    for (variable, no_proxy, is_asked) in [
        ("HTTPS_PROXY", "", true),
        ("https_proxy", "", true),
        // The address of the proxy itself.
        ("HTTPS_PROXY", "127.0.0.1", true),
        ("HTTPS_PROXY", ".example.com", false),
        ("HTTPS_PROXY", "api.cluster.example.com", false),
    ] {
        let proxy = Proxy::start();
        let url = proxy.url();
        let variables = [("KUBECONFIG", config.to_str().unwrap()), (variable, &*url), ("NO_PROXY", no_proxy)];
        let text = text(&status(&variables));
        let asked = proxy.asked();
        assert_eq!(!asked.is_empty(), is_asked, "{variable} {no_proxy}: {text}");
        assert!(asked.iter().all(|asked| asked.starts_with("CONNECT api.cluster.example.com:6443")), "{asked:?}");
    }
}

#[test]
fn a_cluster_on_this_machine_is_reached_without_the_proxy_of_the_environment() {
    let (server, proxy, directory) = (api_server(), Proxy::start(), tempfile::tempdir().unwrap());
    let url = format!("https://{}", server.address());
    let config = kubeconfig(directory.path(), &url, &server.authority.pem(), None);
    let output = status(&[("KUBECONFIG", config.to_str().unwrap()), ("HTTPS_PROXY", &proxy.url())]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(proxy.asked().is_empty());
}

#[test]
fn a_missing_file_in_a_list_of_kubeconfigs_is_left_out() {
    let (server, directory) = (api_server(), tempfile::tempdir().unwrap());
    let url = format!("https://{}", server.address());
    let config = kubeconfig(directory.path(), &url, &server.authority.pem(), None);
    let missing = directory.path().join("missing");
    let list = std::env::join_paths([&missing, &config]).unwrap();
    let output = status(&[("KUBECONFIG", list.to_str().unwrap())]);
    assert!(output.status.success(), "{}", text(&output));

    let output = status(&[("KUBECONFIG", missing.to_str().unwrap())]);
    let text = text(&output);
    assert!(!output.status.success() && text.contains("there is no kubeconfig") && text.contains("missing"), "{text}");
}

/// Returns the error of a command whose API server gives this answer to every request.
fn error(arguments: &[&str], answer: impl Fn() -> https::Response + Send + Sync + 'static) -> String {
    let (server, directory) = (HttpsServer::start(move |_| answer()), tempfile::tempdir().unwrap());
    let config = kubeconfig(directory.path(), &format!("https://{}", server.address()), &server.authority.pem(), None);
    let output = rototo(arguments, &[("KUBECONFIG", config.to_str().unwrap())]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    text(&output)
}

#[test]
fn a_refusal_has_the_words_of_the_server_and_names_the_scope() {
    let words = "rototoworkspaces.rototo.dev is forbidden: User \"jane\" cannot list";
    let refused = move || {
        let status = serde_json::json!({
            "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": words,
        });
        respond(403, &[("Content-Type", "application/json")], status.to_string())
    };
    let namespace = error(&["status", "-n", "prod"], refused);
    assert!(namespace.contains("in the namespace prod: it takes a Role ") && namespace.contains(words), "{namespace}");
    let everywhere = error(&["status", "-A"], refused);
    assert!(everywhere.contains("in all namespaces: it takes a ClusterRoleBinding ") && everywhere.contains(words));
    assert!(!everywhere.contains("in the namespace"), "{everywhere}");
    // An empty namespace is none, as for kubectl.
    assert!(error(&["status", "-n", ""], refused).contains("in the namespace default:"));

    let of_proxy = || respond(403, &[], r#"{"type": "error", "message": "ClusterUnavailable 403: cluster not found"}"#);
    let of_proxy = error(&["status"], of_proxy);
    assert!(of_proxy.contains("cluster not found") && !of_proxy.contains("Role"), "{of_proxy}");
}

#[test]
fn an_answer_that_is_no_json_is_that_of_no_api_server() {
    let page = || respond(200, &[("Content-Type", "text/html")], "<html><title>Sign in</title></html>");
    let sign_in = || redirect("https://sign-in.example.com/");
    let missing = || respond(404, &[], "<html>no such page</html>");
    for arguments in [&["status"][..], &["wait", "d", "--timeout", "1h"]] {
        for text in [error(arguments, page), error(arguments, sign_in), error(arguments, missing)] {
            assert!(text.contains("this is no API server"), "{arguments:?}: {text}");
        }
    }
}

/// A pipeline tells a cluster that can't be asked from a fleet that does not run the change.
#[test]
fn a_wait_that_has_read_no_status_is_no_time_out() {
    let wait = ["wait", "d", "--timeout", "300ms"];
    let text = error(&wait, || respond(500, &[], "{}"));
    assert!(text.contains("the workspace could not be read in time"), "{text}");
    // Nobody listens there.
    let directory = tempfile::tempdir().unwrap();
    let config = kubeconfig(directory.path(), "https://127.0.0.1:1", &https::Authority::new().pem(), None);
    let variables = [("KUBECONFIG", config.to_str().unwrap())];
    for wait in [&wait[..], &[&wait[..], &["--json"]].concat()] {
        let output = rototo(wait, &variables);
        assert_eq!(output.status.code(), Some(1), "{}", self::text(&output));
    }
}

#[test]
fn an_empty_variable_about_the_operator_is_not_given() {
    let variables = ["ROTOTO_SNAPSHOTS_URL", "ROTOTO_SNAPSHOTS_CA_FILE", "ROTOTO_TOKEN_FILE"].map(|name| (name, ""));
    let output = rototo(&["wait", "d"], &[&variables[..], &[("KUBECONFIG", "/dev/null/none")]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}

#[test]
fn a_name_with_its_namespace_is_explained() {
    let missing = || {
        let status = serde_json::json!({ "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound" });
        respond(404, &[("Content-Type", "application/json")], status.to_string())
    };
    let text = error(&["status", "prod/degradation"], missing);
    assert!(text.contains("write `degradation -n prod`"), "{text}");
}
