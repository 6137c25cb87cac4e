//! The operator and the processes have the rights that they need, and no others. The tests ask the authorizer of the
//! API server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rototo_tests::harness::{Cluster, ControlPlane, Namespace, Observation, PATIENCE, Pod, install_chart, until};

/// Asks the authorizer one question: a verb, a resource, and optionally a name or a subresource.
fn may(cluster: &Cluster, who: &Path, namespace: &str, question: &str) -> bool {
    let arguments: Vec<_> =
        ["--namespace", namespace, "auth", "can-i"].into_iter().chain(question.split(' ')).collect();
    // kubectl fails on the answer `no`, with nothing on stderr. Every other failure has a message.
    match cluster.kubectl_as(who, &arguments) {
        Ok(answer) => answer.trim() == "yes",
        Err(error) if error.to_string().ends_with("failed (exit status: 1):") => false,
        Err(error) => error.to_string().contains("Warning: ") && !error.to_string().contains("rror"),
    }
}

fn check(namespace: &Namespace, who: &Path, in_namespace: &str, allowed: &[&str], refused: &[&str]) {
    for question in allowed {
        assert!(may(namespace.cluster(), who, in_namespace, question), "must be allowed in {in_namespace}: {question}");
    }
    for question in refused {
        assert!(
            !may(namespace.cluster(), who, in_namespace, question),
            "must be refused in {in_namespace}: {question}"
        );
    }
}

fn operator(namespace: &Namespace) -> PathBuf {
    let token = namespace.token("rototo-operator").unwrap();
    namespace.cluster().kubeconfig_for_token(&token).unwrap()
}

#[tokio::test]
async fn the_operator_may_do_its_work_in_the_namespaces_that_it_serves() {
    let home = Namespace::create(ControlPlane::shared().unwrap(), "home").await.unwrap();
    let served = Namespace::create(ControlPlane::shared().unwrap(), "served").await.unwrap();
    let other = Namespace::create(ControlPlane::shared().unwrap(), "other").await.unwrap();
    install_chart(&home, &[&format!("watchNamespaces={{{}}}", served.name())]).unwrap();
    let operator = operator(&home);

    let work = [
        "list rototoworkspaces.rototo.dev",
        "watch rototoworkspaces.rototo.dev",
        "patch rototoworkspaces.rototo.dev/x --subresource=status",
        "get configmaps/rototo-markers",
        "watch configmaps/rototo-markers",
        "patch configmaps/rototo-markers",
        "create configmaps",
        "list pods",
        "watch pods",
        "create events.events.k8s.io",
        "get secrets/rototo-source",
        "get secrets/rototo-webhook",
        "get secrets/rototo-signers",
        "get secrets/rototo-prometheus",
        "get secrets/rototo-commit-status",
    ];
    let beyond = [
        "create rototoworkspaces.rototo.dev",
        "patch rototoworkspaces.rototo.dev/x",
        "delete rototoworkspaces.rototo.dev/x",
        "get configmaps/other",
        "list configmaps",
        "patch configmaps/other",
        "delete configmaps/rototo-markers",
        "get secrets/git-credentials",
        "list secrets",
        "create secrets",
        "patch secrets/rototo-operator-tls",
        "create pods",
        "delete pods",
        "create pods --subresource=exec",
        "impersonate users",
        "create serviceaccounts --subresource=token",
    ];
    check(&home, &operator, served.name(), &work, &beyond);
    check(&home, &operator, other.name(), &[], &work);
}

#[tokio::test]
async fn the_operator_may_write_only_its_certificate_and_its_lease_in_its_own_namespace() {
    let home = Namespace::create(ControlPlane::shared().unwrap(), "home").await.unwrap();
    let served = Namespace::create(ControlPlane::shared().unwrap(), "served").await.unwrap();
    install_chart(&home, &[&format!("watchNamespaces={{{}}}", served.name())]).unwrap();
    let allowed = [
        "create secrets",
        "get secrets/rototo-operator-tls",
        "patch secrets/rototo-operator-tls",
        "create leases.coordination.k8s.io",
        "get leases.coordination.k8s.io/rototo-operator",
        "list leases.coordination.k8s.io/rototo-operator",
        "watch leases.coordination.k8s.io/rototo-operator",
        "update leases.coordination.k8s.io/rototo-operator",
        "create tokenreviews.authentication.k8s.io",
        "create subjectaccessreviews.authorization.k8s.io",
    ];
    let refused = [
        "get secrets/another",
        "list secrets",
        "delete secrets/rototo-operator-tls",
        "update leases.coordination.k8s.io/another",
        "get configmaps/rototo-markers",
    ];
    check(&home, &operator(&home), home.name(), &allowed, &refused);
}

#[tokio::test]
async fn the_operator_reads_listed_secrets_any_or_none() {
    let home = Namespace::create(ControlPlane::shared().unwrap(), "home").await.unwrap();
    install_chart(&home, &["rbac.secrets.access=any"]).unwrap();
    check(&home, &operator(&home), home.name(), &["get secrets/git-credentials"], &["list secrets"]);
    install_chart(&home, &["rbac.secrets.access=listed", "rbac.secrets.names={git-credentials}"]).unwrap();
    check(&home, &operator(&home), home.name(), &["get secrets/git-credentials"], &["get secrets/another"]);
    install_chart(&home, &["rbac.secrets.access=none"]).unwrap();
    check(&home, &operator(&home), home.name(), &[], &["get secrets/git-credentials", "get secrets/rototo-source"]);
}

#[tokio::test]
async fn a_process_reads_the_markers_and_no_other_map() {
    let namespace = Namespace::create(ControlPlane::shared().unwrap(), "process").await.unwrap();
    namespace.grant("app", &["config"]).unwrap();
    let pod = Pod::create(&namespace, "app", "app", &BTreeMap::new()).await.unwrap();
    namespace.cluster().kubectl(&["--namespace", namespace.name(), "create", "configmap", "rototo-markers"]).unwrap();
    let read = |query: &str| {
        let path = format!("/api/v1/namespaces/{}/configmaps{query}", namespace.name());
        namespace.cluster().kubectl_as(pod.kubeconfig(), &["get", "--raw", &path])
    };
    let selector = "fieldSelector=metadata.name%3Drototo-markers";
    read(&format!("?{selector}")).unwrap();
    read(&format!("?watch=true&timeoutSeconds=1&{selector}")).unwrap();
    read("/rototo-markers").unwrap();
    let other = "fieldSelector=metadata.name%3Dother";
    let watch_other = format!("?watch=true&timeoutSeconds=1&{other}");
    let list_other = format!("?{other}");
    for refused in ["", "?watch=true&timeoutSeconds=1", "/kube-root-ca.crt", &list_other, &watch_other] {
        let error = read(refused).unwrap_err().to_string();
        assert!(error.contains("forbidden"), "{refused}: {error}");
    }
}

#[tokio::test]
async fn a_process_follows_the_workspaces_that_it_was_granted_and_no_others() {
    let namespace = Namespace::create(ControlPlane::shared().unwrap(), "process").await.unwrap();
    namespace.grant("app", &["config"]).unwrap();
    let pod = Pod::create(&namespace, "app", "app", &BTreeMap::new()).await.unwrap();
    let allowed = [
        "get rototoworkspaces.rototo.dev/config --subresource=snapshot",
        "create rototoworkspaces.rototo.dev/config --subresource=fleet",
    ];
    let refused = [
        "get rototoworkspaces.rototo.dev/config",
        "get rototoworkspaces.rototo.dev/other --subresource=snapshot",
        "create rototoworkspaces.rototo.dev/other --subresource=fleet",
        "create rototoworkspaces.rototo.dev/config --subresource=snapshot",
        "patch configmaps/rototo-markers",
        "create configmaps",
        "get secrets/rototo-operator-tls",
        "list pods",
    ];
    check(&namespace, pod.kubeconfig(), namespace.name(), &allowed, &refused);
}

/// The controllers aggregate roles, so this test starts its own control plane.
#[tokio::test]
async fn a_user_who_may_view_or_edit_a_namespace_may_view_or_edit_its_workspaces() {
    let mut plane = ControlPlane::start().unwrap();
    plane.install_crds().unwrap();
    plane.start_controllers().unwrap();
    let namespace = Namespace::create(&plane, "users").await.unwrap();
    install_chart(&namespace, &[]).unwrap();
    let user = |role: &str| {
        let account = format!("--serviceaccount={}:{role}", namespace.name());
        let kubectl =
            |arguments: &[&str]| plane.kubectl(&[&["--namespace", namespace.name(), "create"], arguments].concat());
        kubectl(&["serviceaccount", role]).unwrap();
        kubectl(&["rolebinding", role, &format!("--clusterrole={role}"), &account]).unwrap();
        plane.kubeconfig_for_token(&namespace.token(role).unwrap()).unwrap()
    };
    let (viewer, editor) = (user("view"), user("edit"));
    until("the roles to be aggregated", PATIENCE, || {
        let edits = may(&plane, &editor, namespace.name(), "create rototoworkspaces.rototo.dev");
        let views = may(&plane, &viewer, namespace.name(), "list rototoworkspaces.rototo.dev");
        Ok(if edits && views {
            Observation::Done(())
        } else {
            Observation::NotYet(format!("views: {views}, edits: {edits}"))
        })
    })
    .unwrap();
    let refused = ["create rototoworkspaces.rototo.dev"];
    check(&namespace, &viewer, namespace.name(), &["watch rototoworkspaces.rototo.dev"], &refused);
    let refused = [
        "patch rototoworkspaces.rototo.dev/config --subresource=status",
        "get rototoworkspaces.rototo.dev/config --subresource=snapshot",
    ];
    check(&namespace, &editor, namespace.name(), &["delete rototoworkspaces.rototo.dev/config"], &refused);
}
