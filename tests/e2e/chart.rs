//! The chart can be installed, upgraded, and uninstalled without the loss of any configuration.

use std::fs;
use std::path::Path;
use std::process::Command;

use rototo_tests::harness::{Cluster, ControlPlane, Namespace, Observation, Operator, PATIENCE, until};
use serde_json::{Value, json};

fn chart() -> String {
    xtask::cargo::root().join("charts/rototo-operator").display().to_string()
}

fn helm(cluster: &Cluster, namespace: &str, command: &[&str]) -> anyhow::Result<String> {
    cluster.helm(&[command, &["--namespace", namespace]].concat())
}

fn get(cluster: &Cluster, arguments: &[&str]) -> Value {
    serde_json::from_str(&cluster.kubectl(&[&["get", "--output=json"], arguments].concat()).unwrap()).unwrap()
}

/// The test reinstalls the chart, too: the kept CRD must not prevent that.
#[tokio::test]
async fn the_crd_and_all_workspaces_survive_an_upgrade_an_uninstall_and_a_reinstall() {
    let plane = ControlPlane::start().unwrap();
    let home = Namespace::create(&plane, "rototo").await.unwrap();
    let install = ["upgrade", "--install", "rototo-operator", &chart()];
    helm(&plane, home.name(), &install).unwrap();
    plane
        .kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd/rototoworkspaces.rototo.dev"])
        .unwrap();
    let source = json!({ "source": "git+https://git.example.com/acme/config.git#main:prod" });
    let created = home.apply_workspace("config", source).await.unwrap();

    helm(&plane, home.name(), &[&install[..], &["--set", "logLevel=debug"]].concat()).unwrap();
    helm(&plane, home.name(), &["uninstall", "rototo-operator"]).unwrap();
    helm(&plane, home.name(), &install).unwrap();
    assert_eq!(home.workspace("config").await.unwrap().metadata.uid, created.metadata.uid);
}

#[tokio::test]
async fn two_releases_serve_different_namespaces_of_one_cluster() {
    let cluster = ControlPlane::shared().unwrap();
    for _ in 0..2 {
        let namespace = Namespace::create(cluster, "two").await.unwrap();
        rototo_tests::harness::install_chart(&namespace, &[]).unwrap();
    }
}

/// The namespace of the release is watched although it does not exist before the install.
#[test]
fn an_install_may_create_the_namespace_that_it_watches() {
    let cluster = ControlPlane::shared().unwrap();
    let name = format!("made-{:08x}", fastrand::u32(..));
    let watched = format!("watchNamespaces={{{name}}}");
    let values = ["--create-namespace", "--set", "crds.install=false", "--set", &watched];
    helm(cluster, &name, &[&["upgrade", "--install", "made", &chart()], &values[..]].concat()).unwrap();
    let role = format!("made-rototo-operator.{name}");
    cluster.kubectl(&["get", "roles", &role, "--namespace", &name]).unwrap();
}

#[tokio::test]
async fn an_upgrade_may_change_the_names_of_all_objects() {
    let namespace = Namespace::create(ControlPlane::shared().unwrap(), "renamed").await.unwrap();
    for (values, name) in [
        (&[][..], "rototo-operator"),
        (&["fullnameOverride=other"], "other"),
        (&["nameOverride=another"], "rototo-operator-another"),
    ] {
        rototo_tests::harness::install_chart(&namespace, values).unwrap();
        let deployments = get(namespace.cluster(), &["deployments", "--namespace", namespace.name()]);
        let names: Vec<&Value> =
            deployments["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
        assert_eq!(names, [name]);
    }
}

/// Follows the printed commands from one install to another one with another name in another namespace.
#[tokio::test]
async fn a_second_release_is_refused_before_anything_is_installed_and_can_take_over() {
    let plane = ControlPlane::start().unwrap();
    let [first, second] = [Namespace::create(&plane, "first").await, Namespace::create(&plane, "second").await];
    let (first, second) = (first.unwrap(), second.unwrap());
    let chart = chart();
    let install = ["upgrade", "--install", "another", &chart];
    let refused = |values: &[&str]| {
        let error = helm(&plane, second.name(), &[&install[..], values].concat()).unwrap_err().to_string();
        let made = get(&plane, &["serviceaccounts,deployments", "--namespace", second.name()]);
        assert_eq!(made["items"], json!([]), "{error}");
        error
    };
    let own_namespace = format!("watchNamespaces={{{}}}", second.name());

    helm(&plane, first.name(), &["install", "rototo-operator", &chart]).unwrap();
    let error = refused(&[]);
    assert!(
        error.contains(&format!("rototo-operator in the namespace {} serves all namespaces", first.name())),
        "{error}"
    );
    let error = refused(&["--set", &own_namespace]);
    assert!(error.contains(&format!("serves {} already", second.name())), "{error}");

    // Different namespaces are served side by side, and one release owns the CRD.
    let narrowed = format!("watchNamespaces={{{}}}", first.name());
    helm(&plane, first.name(), &["upgrade", "rototo-operator", &chart, "--set", &narrowed]).unwrap();
    let error = refused(&["--set", &own_namespace]);
    assert!(error.contains("set crds.install=false"), "{error}");
    let beside = [&install[..], &["--set", &own_namespace, "--set", "crds.install=false"]].concat();
    helm(&plane, second.name(), &beside).unwrap();
    helm(&plane, second.name(), &["uninstall", "another"]).unwrap();

    // The first release goes, and its markers and its CRD stay.
    plane
        .kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd/rototoworkspaces.rototo.dev"])
        .unwrap();
    let source = json!({ "source": "git+https://git.example.com/acme/config.git#main:prod" });
    first.apply_workspace("config", source).await.unwrap();
    helm(&plane, first.name(), &["uninstall", "rototo-operator"]).unwrap();
    let map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "rototo-markers",
            "annotations": { "rototo.dev/install": format!("{}/rototo-operator", first.name()) },
        },
    });
    // The policy of the first release is enforced for a moment longer.
    until("the markers of the first release to be admitted", PATIENCE, || {
        Ok(match first.apply(&map.to_string()) {
            Ok(_) => Observation::Done(()),
            Err(error) => Observation::NotYet(error.to_string()),
        })
    })
    .unwrap();
    follow_the_printed_commands(&plane, &refused(&[]), "label --overwrite crd rototoworkspaces.rototo.dev");
    follow_the_printed_commands(&plane, &refused(&[]), "annotate --overwrite configmap rototo-markers");
    helm(&plane, second.name(), &install).unwrap();
    let map = get(&plane, &["configmap", "rototo-markers", "--namespace", first.name()]);
    assert_eq!(map["metadata"]["annotations"]["rototo.dev/install"], format!("{}/another", second.name()));
}

/// Helm and kubectl own the fields that they wrote, and neither overwrites those of the other by itself.
#[tokio::test]
async fn the_crd_goes_from_kubectl_to_helm_and_back_by_the_commands_of_the_readme() {
    let plane = ControlPlane::start().unwrap();
    let home = Namespace::create(&plane, "rototo").await.unwrap();
    let chart = chart();
    let upgrade = |values: &[&str]| {
        let command = ["upgrade", "--install", "rototo-operator", &chart];
        helm(&plane, home.name(), &[&command[..], values].concat())
    };
    let of_the_chart = crd_of_the_chart();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("crd.json").display().to_string();
    let readme = fs::read_to_string(format!("{chart}/README.in.md")).unwrap();
    let command = readme.lines().find_map(|line| line.strip_prefix("kubectl apply --server-side")).unwrap();
    let command = command.replace("crds/rototo.dev_rototoworkspaces.yaml", &file);
    let apply = |description: &str| {
        fs::write(&file, with_description(&of_the_chart, description).to_string()).unwrap();
        let arguments = [&["apply", "--server-side"], &command.split_whitespace().collect::<Vec<_>>()[..]].concat();
        plane.kubectl(&arguments).unwrap();
        assert_eq!(description_in(&plane), description);
    };
    let to_helm = |description: &str| {
        let error = upgrade(&["--set", "crds.install=true"]).unwrap_err().to_string();
        assert!(error.contains(".spec.versions"), "{error}");
        assert_eq!(description_in(&plane), description);
        upgrade(&["--set", "crds.install=true", "--force-conflicts"]).unwrap();
        assert_eq!(description_in(&plane), description_of(&of_the_chart));
        upgrade(&["--set", "logLevel=debug"]).unwrap();
    };

    apply("first");
    let refused = upgrade(&[]).unwrap_err().to_string();
    assert!(refused.contains("add --force-conflicts"), "{refused}");
    follow_the_printed_commands(&plane, &refused, "annotate --overwrite crd rototoworkspaces.rototo.dev");
    to_helm("first");
    upgrade(&["--set", "crds.install=false"]).unwrap();
    assert_eq!(description_in(&plane), description_of(&of_the_chart));
    apply("second");
    to_helm("second");
}

/// The older chart knows one value less, and its CRD differs.
#[tokio::test]
async fn a_downgrade_by_the_commands_of_the_page_keeps_the_newer_crd_and_all_values() {
    let plane = ControlPlane::start().unwrap();
    let home = Namespace::create(&plane, "rototo").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let older = older_chart(directory.path());
    let install = ["upgrade", "--install", "rototo-operator", &chart(), "--set"];
    helm(&plane, home.name(), &[&install[..], &["logLevel=debug,deploymentLabels.team=a"]].concat()).unwrap();
    let newer = description_in(&plane);

    let page = fs::read_to_string(xtask::cargo::root().join("docs/production.md")).unwrap();
    let page = page.replace("rototo-system", home.name()).replace("OLD_CHART", &older);
    let commands = page.split_once("\nhelm get values ").unwrap().1.split_once("\n```").unwrap().0;
    let (read, downgrade) = commands.split_once(" > values.yaml\nhelm ").unwrap();
    let values = plane.helm(&[&["get", "values"], &read.split(' ').collect::<Vec<_>>()[..]].concat()).unwrap();
    let file = directory.path().join("values.yaml").display().to_string();
    let downgrade = downgrade.replace("values.yaml", &file);
    let downgrade = || plane.helm(&downgrade.split(' ').collect::<Vec<_>>());
    fs::write(&file, &values).unwrap();
    let refused = downgrade().unwrap_err().to_string();
    assert!(refused.contains("additional properties 'deploymentLabels' not allowed"), "{refused}");
    let mut known: Value = serde_saphyr::from_str(&values).unwrap();
    known.as_object_mut().unwrap().remove("deploymentLabels").unwrap();
    fs::write(&file, known.to_string()).unwrap();
    downgrade().unwrap();

    assert_eq!(description_in(&plane), newer);
    let values = || {
        let arguments = ["get", "values", "rototo-operator", "--output", "json", "--namespace", home.name()];
        serde_json::from_str::<Value>(&plane.helm(&arguments).unwrap()).unwrap()
    };
    assert_eq!(values(), json!({ "logLevel": "debug", "crds": { "install": false } }));
    let again = ["upgrade", "rototo-operator", &chart(), "--reset-then-reuse-values", "--set", "crds.install=true"];
    helm(&plane, home.name(), &again).unwrap();
    assert_eq!(values(), json!({ "logLevel": "debug", "crds": { "install": true } }));
}

/// Copies the chart without the value `deploymentLabels`, and with another description in its CRD. Returns its path.
fn older_chart(directory: &Path) -> String {
    let copy = directory.join("older");
    let copied = Command::new("cp").args(["-r", &chart()]).arg(&copy).status().unwrap();
    assert!(copied.success(), "{copied}");
    let label = "\n    \"deploymentLabels\": { \"$ref\": \"#/$defs/furtherLabels\" },";
    for (name, newer, older) in [
        ("values.schema.json", label, ""),
        ("values.yaml", "\ndeploymentLabels: {}", ""),
        ("templates/crd.yaml", "Runtime configuration that is reviewed", "Configuration that is reviewed"),
    ] {
        let path = copy.join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(newer), "{name}");
        fs::write(path, text.replace(newer, older)).unwrap();
    }
    copy.display().to_string()
}

fn crd_of_the_chart() -> Value {
    let path = xtask::cargo::root().join("crds/rototo.dev_rototoworkspaces.yaml");
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn description_of(crd: &Value) -> String {
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"].as_str().unwrap().to_owned()
}

fn with_description(crd: &Value, description: &str) -> Value {
    let mut crd = crd.clone();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = json!(description);
    crd
}

/// Returns the description in the CRD of the cluster.
fn description_in(cluster: &Cluster) -> String {
    description_of(&get(cluster, &["crd", "rototoworkspaces.rototo.dev"]))
}

/// Runs the lines with kubectl in a message. One of them must have this text.
fn follow_the_printed_commands(cluster: &Cluster, message: &str, expected: &str) {
    let commands: Vec<&str> = message.lines().filter_map(|line| line.strip_prefix("  kubectl ")).collect();
    assert!(commands.iter().any(|command| command.starts_with(expected)), "{message}");
    for command in commands {
        cluster.kubectl(&command.split(' ').collect::<Vec<_>>()).unwrap();
    }
}

/// Helm removes the rights of the operator before its pod has ended, so the operator can't do it.
#[tokio::test]
async fn an_uninstall_gives_the_lease_up_while_the_operator_still_runs() {
    let cluster = ControlPlane::shared().unwrap();
    let namespace = Namespace::create(cluster, "uninstall").await.unwrap();
    let mut operator = Operator::start(&namespace).unwrap();
    let holder = || {
        let lease = get(cluster, &["lease", "rototo-operator", "--namespace", namespace.name()]);
        lease["spec"]["holderIdentity"].clone()
    };
    assert!(holder().is_string(), "the operator holds the Lease");
    helm(cluster, namespace.name(), &["uninstall", "rototo-operator"]).unwrap();
    assert_eq!(holder(), Value::Null);
    operator.terminate().unwrap();
    assert_eq!(holder(), Value::Null, "the operator without rights has not written the Lease again");
    Operator::start(&namespace).unwrap();
}

/// Objects of other projects' kinds are left out: their CRDs are not in this cluster.
#[tokio::test]
async fn the_api_server_accepts_what_the_chart_renders() {
    let cluster = ControlPlane::shared().unwrap();
    let namespace = Namespace::create(cluster, "rendered").await.unwrap();
    // A controller would create it.
    cluster.kubectl(&["create", "serviceaccount", "default", "--namespace", namespace.name()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for set in ["defaults", "everything", "openshift"] {
        let values = xtask::cargo::root().join("xtask/tests/chart/values").join(set).with_extension("yaml");
        let values = values.display().to_string();
        let rendered =
            cluster.helm(&["template", "x", &chart(), "--namespace", namespace.name(), "--values", &values]).unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
        let foreign = ["monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"];
        let own = |object: &&Value| !object.is_null() && !foreign.iter().any(|group| object["apiVersion"] == *group);
        let own: Vec<&Value> = objects.iter().filter(own).collect();
        assert!(own.len() > 12, "{set}: {}", own.len());
        let file = directory.path().join(set).with_extension("json");
        fs::write(&file, json!({ "apiVersion": "v1", "kind": "List", "items": own }).to_string()).unwrap();
        let file = file.display().to_string();
        cluster.kubectl(&["apply", "--dry-run=server", "--validate=strict", "--filename", &file]).unwrap();
    }
}

#[tokio::test]
async fn the_pod_runs_without_any_privilege() {
    let namespace = Namespace::create(ControlPlane::shared().unwrap(), "pod").await.unwrap();
    rototo_tests::harness::install_chart(&namespace, &[]).unwrap();
    // The settings of the chart pass the strictest of the Pod Security Standards.
    let deployment = get(namespace.cluster(), &["deployment", "rototo-operator", "--namespace", namespace.name()]);
    let pod = &deployment["spec"]["template"];
    namespace
        .cluster()
        .kubectl(&["label", "namespace", namespace.name(), "pod-security.kubernetes.io/enforce=restricted"])
        .unwrap();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "operator", "labels": pod["metadata"]["labels"] },
        "spec": pod["spec"],
    });
    namespace.apply(&pod.to_string()).unwrap();
    assert_eq!(pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
}

#[test]
fn helm_lint_finds_nothing() {
    let cluster = ControlPlane::shared().unwrap();
    cluster.helm(&["lint", "--strict", &chart()]).unwrap();
}

#[test]
fn an_unknown_or_invalid_value_is_refused() {
    let cluster = ControlPlane::shared().unwrap();
    for value in
        ["logLevl=info", "watchNamespaces={Not_A_Name}", "advertiseUrl=http://insecure", "rbac.secrets.access=some"]
    {
        let error = cluster.helm(&["template", "x", &chart(), "--set", value]).unwrap_err();
        assert!(error.to_string().contains("schema"), "{value}: {error}");
    }
}

#[test]
fn every_object_has_the_recommended_labels() {
    let cluster = ControlPlane::shared().unwrap();
    let all_on = ["--set", "replicas=1,persistence.enabled=true", "--set", "watchNamespaces={a,b}"];
    let rendered = cluster.helm(&[&["template", "x", &chart(), "--namespace", "n"], &all_on[..]].concat()).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    assert!(objects.len() > 12, "{}", objects.len());
    for object in objects.iter().filter(|object| object["kind"] != "CustomResourceDefinition") {
        let labels = &object["metadata"]["labels"];
        for label in ["name", "instance", "version", "part-of", "managed-by", "component"] {
            assert!(labels[format!("app.kubernetes.io/{label}")].is_string(), "{label} of {}", object["kind"]);
        }
    }
}
