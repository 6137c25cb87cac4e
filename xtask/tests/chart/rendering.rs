//! The objects that the chart renders from several sets of values, and the values that it refuses.
//!
//! A set is a file in `values/`, and `snapshots/` has what it renders. `ROTOTO_UPDATE=1 cargo test -p xtask --test chart`
//! writes the snapshots.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use xtask::cargo;

use crate::{chart, helm, objects, read, template};

const SETS: [&str; 4] = ["defaults", "everything", "namespaces", "openshift"];

/// Returns the path of a set of values.
pub fn set(name: &str) -> String {
    cargo::root().join("xtask/tests/chart/values").join(name).with_extension("yaml").display().to_string()
}

/// Returns what each set renders.
pub fn every_set() -> impl Iterator<Item = (&'static str, Vec<Value>)> {
    SETS.into_iter().map(|name| (name, objects(&["--values", &set(name)])))
}

/// Returns the objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// Returns the pod of the Deployment.
pub fn pod(objects: &[Value]) -> &Value {
    &of_kind(objects, "Deployment")[0]["spec"]["template"]
}

#[test]
fn each_set_of_values_renders_its_snapshot() {
    let mut differ = Vec::new();
    for name in SETS {
        // A test compares the CRD with the code, and the dashboard is a file.
        let rendered = template(&["--values", &set(name)]).unwrap();
        let separate = ["rototo-operator/templates/crd.yaml", "rototo-operator/templates/dashboards.yaml"];
        let kept = rendered.split("---\n# Source: ").filter(|part| !separate.iter().any(|file| part.starts_with(file)));
        let rendered = kept.collect::<Vec<_>>().join("---\n# Source: ");
        let path = PathBuf::from("xtask/tests/chart/snapshots").join(name).with_extension("yaml");
        let absolute = cargo::root().join(&path);
        if env::var_os("ROTOTO_UPDATE").is_some_and(|value| value == "1") {
            fs::write(&absolute, &rendered).unwrap();
        }
        if fs::read_to_string(&absolute).unwrap_or_default() != rendered {
            differ.push(path);
        }
    }
    assert!(
        differ.is_empty(),
        "the chart renders something else than {differ:?}: `ROTOTO_UPDATE=1 cargo test -p xtask --test chart` writes \
         them, and `git diff` shows the change"
    );
}

#[test]
fn helm_lint_finds_nothing_in_any_set() {
    for name in SETS {
        helm(&["lint", "--strict", &chart("").display().to_string(), "--values", &set(name)]).unwrap();
    }
}

#[test]
fn values_that_would_fail_later_are_refused_with_the_way_out() {
    let cases = [
        ("logLevl=info", "additional properties 'logLevl' not allowed"),
        ("image.pullSecrets[0].name=x", "additional properties 'pullSecrets' not allowed"),
        ("image.repository=x@sha256:00", "/image/repository"),
        ("image.repository=registry.example.com/x:1", "/image/repository"),
        ("image.digest=sha256:00", "/image/digest"),
        ("extraEnv[0].name=HOME", "the chart sets this variable itself; see `logLevel` and `proxy`"),
        ("extraEnv[0].name=POD_IP", "the chart sets this variable itself"),
        ("extraEnv[0].name=ROTOTO_OPERATOR_IDENTITY", "the chart sets the operator\\'s flags"),
        ("extraEnv[0].name=ROTOTO_OPERATOR_DATA_DIR", "see `extraArgs` for others"),
        ("extraEnv[0].name=GIT_SSL_NO_VERIFY", "the operator removes GIT_…"),
        ("extraEnv[0].value=x", "missing property 'name'"),
        ("extraVolumes[0].name=tmp", "the chart has a volume of this name"),
        ("extraVolumeMounts[0].name=x,extraVolumeMounts[0].mountPath=/data", "the chart mounts a volume here"),
        ("extraArgs={--release=other}", "the chart sets this one itself"),
        ("extraArgs={--polls=64}", "the chart sets this one itself"),
        ("extraArgs={--identity=x}", "the chart sets this one itself"),
        ("extraArgs={--kubeconfig=/tmp/x}", "the chart sets this one itself"),
        ("extraArgs={--log-level,debug}", "the chart sets this one itself"),
        ("limits.connections=1", "/limits/connections"),
        ("tracing.otlpEndpoint=collector:4317", "/tracing/otlpEndpoint"),
        ("extraArgs={--otlp-endpoint=http://collector:4318}", "the chart sets this one itself"),
        ("podLabels.app\\.kubernetes\\.io/name=x", "the chart sets this label itself"),
        ("serviceMonitor.labels.app\\.kubernetes\\.io/instance=x", "the chart sets this label itself"),
        ("prometheusRule.labels.app\\.kubernetes\\.io/part-of=x", "the chart sets this label itself"),
        ("dashboards.labels.helm\\.sh/chart=x", "the chart sets this label itself"),
        ("resources.limits.ephemeral-storage=12Gi", "The operator may\nuse 12288 MiB of its disk"),
        ("resources.limits.ephemeral-storage=12884901888", "lower limits.diskMib or limits.polls"),
        ("resources.limits.ephemeral-storage=13Gi,limits.polls=24", "use 14336 MiB"),
        ("persistence.existingClaim=x", "/persistence/enabled"),
        ("ingress.enabled=true", "/ingress/hosts"),
        ("proxy.fromSecret=x,proxy.https=http://proxy:3128", "/proxy/https"),
        ("httpRoute.enabled=true", "/httpRoute/parentRefs"),
        ("podDisruptionBudget.enabled=true,podDisruptionBudget.minAvailable=1", "/podDisruptionBudget"),
        ("rbac.secrets.names=null", "missing property 'names'"),
        ("rbac.secrets.names={}", "/rbac/secrets/names"),
        ("openshift=maybe", "/openshift"),
        ("nameOverride=My_Op", "/nameOverride"),
        ("fullnameOverride=Not_A_Name", "/fullnameOverride"),
        ("prometheusRule.enabled=true,prometheusRule.disabled={RototoNone}", "The alerts are RototoOperatorDown"),
    ];
    for (values, expected) in cases {
        let error = template(&["--set", values]).expect_err(values);
        assert!(error.contains(expected), "{values}: {error}");
    }
}

/// Helm removes a key that is null, such as one whose lines are all comments, and a key that an upgrade with
/// `--reuse-values` does not know. Templates would render something else without it, such as `--polls=0`.
#[test]
fn a_value_that_is_null_is_optional_or_refused_by_its_name() {
    let values: Value = serde_saphyr::from_str(&read("charts/rototo-operator/values.yaml")).unwrap();
    let mut paths = Vec::new();
    for (key, value) in values.as_object().unwrap() {
        paths.push(key.clone());
        paths.extend(value.as_object().into_iter().flatten().map(|(inner, _)| format!("{key}.{inner}")));
    }
    for path in paths {
        // The name of a label has dots itself.
        if path.matches('.').count() > 1 {
            continue;
        }
        let name = path.rsplit('.').next().unwrap();
        match template(&["--set", &format!("{path}=null")]) {
            Ok(rendered) => {
                let rendered = rendered.lines().find(|line| line.ends_with("=0") || line.contains("%!s"));
                assert_eq!(rendered, None, "{path}");
            }
            Err(error) => assert!(error.contains(&format!("missing property '{name}'")), "{path}: {error}"),
        }
    }
    let rendered = template(&["--set", "podDisruptionBudget.minAvailable=1,podDisruptionBudget.maxUnavailable=null"]);
    assert!(rendered.unwrap().contains("minAvailable: 1"));
}

/// Nothing says then whether the namespaces exist.
#[test]
fn an_upgrade_that_can_ask_no_cluster_renders_every_role() {
    let values = ["--values", &set("namespaces")];
    let upgraded = objects(&[&["--is-upgrade"], &values[..]].concat());
    assert_eq!(of_kind(&upgraded, "Role"), of_kind(&objects(&values), "Role"));
}

/// A Service of that name is refused after other objects were made.
#[test]
fn a_release_name_with_a_digit_in_front_needs_another_name_for_its_objects() {
    let chart = chart("").display().to_string();
    let error = helm(&["template", "2026-rototo", &chart]).unwrap_err();
    assert!(error.contains("set fullnameOverride"), "{error}");
    assert!(helm(&["template", "2026-rototo", &chart, "--set", "fullnameOverride=rototo"]).is_ok());
}

/// YAML reads some texts as numbers and others as booleans, which no name may be.
#[test]
fn a_name_in_digits_is_a_text() {
    let chart = chart("").display().to_string();
    let all = set("everything");
    let one_pod = ["--set", "replicas=1,persistence.enabled=true"];
    let texts = "fullnameOverride=true,nameOverride=42,priorityClassName=1e3,tls.fromSecret=1,caBundle.configMap=2,\
                 ingress.className=3,serviceMonitor.labels.release=4";
    let volume = "fullnameOverride=null,watchNamespaces={123,1e5},persistence.storageClassName=5,proxy.fromSecret=6";
    let claim = "fullnameOverride=true,persistence.existingClaim=7";
    let sets = [
        ["--values", &all, "--set-string", texts],
        [one_pod[0], one_pod[1], "--set-string", volume],
        [one_pod[0], one_pod[1], "--set-string", claim],
    ];
    for arguments in sets {
        let release = ["template", "2026", &chart, "--namespace", "2026", "--set", "crds.install=false"];
        let rendered = helm(&[&release, &arguments[..]].concat()).unwrap();
        let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
        let names: usize = objects.iter().map(|object| texts_in(object, &object["kind"])).sum();
        assert!(names > 100, "{names}");
    }
}

/// Asserts that all names and labels in an object are texts. Returns how many there are.
fn texts_in(value: &Value, of: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(|item| texts_in(item, of)).sum(),
        Value::Object(fields) => {
            let of_field = |(key, field): (&String, &Value)| {
                let texts: Vec<&Value> = match (key.as_str(), field) {
                    ("labels" | "matchLabels" | "annotations" | "selector", Value::Object(texts))
                        if !texts.contains_key("matchLabels") =>
                    {
                        texts.values().collect()
                    }
                    (key, Value::Array(texts)) if is_name(key) => texts.iter().collect(),
                    (key, text) if is_name(key) => vec![text],
                    _ => return texts_in(field, of),
                };
                assert!(texts.iter().all(|text| text.is_string()), "{key} of {of}: {texts:?}");
                texts.len()
            };
            fields.iter().map(of_field).sum()
        }
        _ => 0,
    }
}

fn is_name(key: &str) -> bool {
    ["name", "namespace", "claimName", "resourceNames", "matchNames"].contains(&key)
        || key.ends_with("AccountName")
        || key.ends_with("ClassName")
}

#[test]
fn every_pod_runs_on_linux_and_listens_at_both_families_of_addresses() {
    for (set, objects) in every_set() {
        let pods = [&pod(&objects)["spec"], &of_kind(&objects, "Pod")[0]["spec"]];
        for pod in pods {
            assert_eq!(pod["nodeSelector"]["kubernetes.io/os"], "linux", "{set}");
        }
        let arguments = pods[0]["containers"][0]["args"].as_array().unwrap();
        for expected in ["--listen=[::]:8443", "--metrics-listen=[::]:8080"] {
            assert!(arguments.iter().any(|argument| argument == expected), "{set}: {arguments:?}");
        }
    }
}

#[test]
fn no_name_is_given_twice_in_a_pod() {
    for (set, objects) in every_set() {
        let spec = &pod(&objects)["spec"];
        let container = &spec["containers"][0];
        let lists = [(container, "env", "name"), (container, "volumeMounts", "mountPath"), (spec, "volumes", "name")];
        for (of, list, key) in lists {
            let all = of[list].as_array().unwrap();
            let names: BTreeSet<&str> = all.iter().map(|entry| entry[key].as_str().unwrap()).collect();
            assert_eq!(names.len(), all.len(), "{set}: {list}");
        }
    }
}

#[test]
fn only_webhooks_come_from_outside_of_the_cluster() {
    let objects = objects(&["--values", &set("everything")]);
    for rule in of_kind(&objects, "Ingress")[0]["spec"]["rules"].as_array().unwrap() {
        let paths = rule["http"]["paths"].as_array().unwrap();
        assert!(paths.iter().all(|path| path["path"] == "/hooks/" && path["pathType"] == "Prefix"), "{rule}");
    }
    for rule in of_kind(&objects, "HTTPRoute")[0]["spec"]["rules"].as_array().unwrap() {
        let path = json!({ "type": "PathPrefix", "value": "/hooks/" });
        assert_eq!(rule["matches"], json!([{ "method": "POST", "path": path }]));
        // The API server would add these, and a tool that compares would find a difference for ever.
        let to = rule["backendRefs"][0].as_object().unwrap();
        assert_eq!(to.keys().collect::<Vec<_>>(), ["group", "kind", "name", "port", "weight"]);
    }
}

#[test]
fn the_service_leads_to_the_operator_and_not_to_the_pod_of_helm_test() {
    for (set, objects) in every_set() {
        let selector = &of_kind(&objects, "Service")[0]["spec"]["selector"];
        let selects = |labels: &Value| selector.as_object().unwrap().iter().all(|(name, value)| labels[name] == *value);
        assert!(selects(&pod(&objects)["metadata"]["labels"]), "{set}");
        assert!(!selects(&of_kind(&objects, "Pod")[0]["metadata"]["labels"]), "{set}");
    }
}

#[test]
fn a_security_context_can_be_removed_in_part_or_as_a_whole() {
    let objects = objects(&["--values", &set("openshift")]);
    let spec = &pod(&objects)["spec"];
    let left = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    assert_eq!(spec["securityContext"], left);
    assert_eq!(spec["containers"][0]["securityContext"], Value::Null);
}

#[test]
fn metrics_keep_their_own_namespace_label() {
    let objects = objects(&["--values", &set("everything")]);
    assert_eq!(of_kind(&objects, "ServiceMonitor")[0]["spec"]["endpoints"][0]["honorLabels"], true);
}

/// RBAC goes before the pod has ended, and so does its token. See `lease.yaml`.
#[test]
fn an_uninstall_gives_the_lease_up_and_keeps_the_crd() {
    let objects = objects(&[]);
    let hook = |object: &Value| object["metadata"]["annotations"]["helm.sh/hook"].clone();
    let lease = of_kind(&objects, "Lease")[0];
    assert_eq!((hook(lease), &lease["metadata"]["name"]), (json!("post-delete"), &json!("rototo")));
    assert_eq!(lease["spec"]["holderIdentity"], Value::Null);
    let crd = of_kind(&objects, "CustomResourceDefinition")[0];
    assert_eq!(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
}

/// Argo CD takes hooks of Helm for its own, and would create a Lease that exists. It leaves the hook of `helm test` out.
#[test]
fn without_the_hook_of_an_uninstall_only_a_test_is_a_hook() {
    let objects = objects(&["--values", &set("everything"), "--set", "uninstallHook.enabled=false"]);
    let hooks: BTreeSet<&str> =
        objects.iter().filter_map(|object| object["metadata"]["annotations"]["helm.sh/hook"].as_str()).collect();
    assert_eq!(hooks, BTreeSet::from(["test"]));
    let page = read("docs/production.md");
    let paragraph = page.split("\n\n").find(|text| text.contains("Argo CD renders the chart")).unwrap();
    assert!(paragraph.contains("`uninstallHook.enabled` to `false`"), "{paragraph}");
}

/// Pods that can't become ready would block the drain of their nodes.
#[test]
fn every_disruption_budget_lets_pods_go_that_are_not_ready() {
    for (set, objects) in every_set() {
        let budgets = of_kind(&objects, "PodDisruptionBudget");
        assert!(!budgets.is_empty(), "{set}");
        for budget in budgets {
            assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow", "{set}");
        }
    }
}

/// The pods of the former version end, and must not decide where those of the next one run.
#[test]
fn the_pods_of_one_version_are_spread_by_default() {
    let objects = objects(&[]);
    let spread = &pod(&objects)["spec"]["topologySpreadConstraints"];
    assert_eq!(spread.as_array().unwrap().len(), 1);
    assert_eq!(spread[0]["matchLabelKeys"], json!(["pod-template-hash"]));
    assert_eq!(spread[0]["labelSelector"]["matchLabels"]["app.kubernetes.io/instance"], "rototo");
}

#[test]
fn the_pod_of_helm_test_reaches_the_metrics_port_of_every_set() {
    let everything = set("everything");
    for peers in ["https", "metrics"] {
        let peers = format!("networkPolicy.{peers}From[0].podSelector.matchLabels.a=b");
        let objects = objects(&["--values", &everything, "--set", &peers]);
        let labels = &of_kind(&objects, "Pod")[0]["metadata"]["labels"];
        let rules = of_kind(&objects, "NetworkPolicy")[0]["spec"]["ingress"].as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["ports"][0]["port"] == 8080).unwrap();
        let admits = |peer: &Value| {
            let selector = peer["podSelector"]["matchLabels"].as_object();
            selector.is_some_and(|selector| selector.iter().all(|(name, value)| labels[name] == *value))
        };
        assert!(rule["from"].as_array().unwrap().iter().any(admits), "{rule}");
    }
}

#[test]
fn the_notes_say_what_comes_next_and_what_stays() {
    let chart = chart("").display().to_string();
    let notes = |values: &[&str]| {
        let install = ["install", "rototo", &chart, "--namespace", "rototo-system", "--dry-run=client"];
        let printed = helm(&[&install[..], values].concat()).unwrap();
        printed.split_once("\nNOTES:\n").unwrap().1.to_owned()
    };
    let plain = notes(&[]);
    for text in [
        "kubectl rollout status deployment/rototo-rototo-operator --namespace rototo-system",
        "kubectl apply --namespace default",
        "kubectl get rototoworkspaces --namespace default --watch",
        "kubectl delete crd rototoworkspaces.rototo.dev",
        "kubectl delete configmaps --all-namespaces --selector rototo.dev/markers=true",
        "kubectl delete secret rototo-rototo-operator-tls --namespace rototo-system",
        "kubectl delete lease rototo --namespace rototo-system",
    ] {
        assert!(plain.contains(text), "{text}: {plain}");
    }
    assert!(notes(&["--set", "replicas=1"]).contains("--set replicas=2, or --set persistence.enabled=true"));
    assert!(!plain.contains("persistence.enabled"), "{plain}");
    let namespaces = notes(&["--values", &set("namespaces")]);
    assert!(namespaces.contains("kubectl apply --namespace checkout"), "{namespaces}");
    assert!(!namespaces.contains("persistence.enabled=true"), "{namespaces}");
    assert!(namespaces.contains("does not install the CRD"), "{namespaces}");
    // A Prometheus that selects objects by labels takes none without them.
    assert!(!plain.contains("serviceMonitorSelector"), "{plain}");
    let enabled = "serviceMonitor.enabled=true,prometheusRule.enabled=true";
    let both = notes(&["--set", enabled]);
    assert!(both.contains("set serviceMonitor.labels and prometheusRule.labels to it"), "{both}");
    assert!(both.contains("kubectl get prometheus --all-namespaces"), "{both}");
    let rule = notes(&["--set", &format!("{enabled},serviceMonitor.labels.release=prometheus")]);
    assert!(rule.contains("set prometheusRule.labels to it"), "{rule}");
    let none = notes(&["--values", &set("everything")]);
    assert!(!none.contains("serviceMonitorSelector"), "{none}");
}

#[test]
fn the_readme_is_made_from_the_comments_of_the_values() {
    let read = |name: &str| read(&format!("charts/rototo-operator/{name}"));
    let values = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    let expected = xtask::chart_readme::markdown(&read("README.in.md"), &read("values.yaml"), &values).unwrap();
    assert!(read("README.md") == expected, "the chart's README.md is stale: run `cargo xtask generate`");
}

/// The kubelet evicts a pod whose volume exceeds its limit.
#[test]
fn the_volume_has_room_for_the_disk_limit_and_all_polls() {
    let values: Value = serde_saphyr::from_str(&read("charts/rototo-operator/values.yaml")).unwrap();
    let limit = |name: &str| values["limits"][name].as_u64().unwrap();
    let volume = values["persistence"]["emptyDirSizeLimit"].as_str().unwrap();
    let gib: u64 = volume.strip_suffix("Gi").unwrap().parse().unwrap();
    assert!(gib * 1024 > limit("diskMib") + 2 * limit("polls") * 128, "{volume}");
    for admitted in [
        "resources.limits.ephemeral-storage=13Gi",
        "resources.limits.ephemeral-storage=13e9",
        "resources.limits.ephemeral-storage=8.1Gi,limits.diskMib=4096",
        "resources.limits.ephemeral-storage=2Gi,replicas=1,persistence.enabled=true",
    ] {
        template(&["--set", admitted]).unwrap_or_else(|error| panic!("{admitted}: {error}"));
    }
}

#[test]
fn the_schema_names_every_value_and_no_other() {
    let schema: Value = serde_json::from_str(&read("charts/rototo-operator/values.schema.json")).unwrap();
    let values: Value = serde_saphyr::from_str(&read("charts/rototo-operator/values.yaml")).unwrap();
    // Helm gives these two to a chart on which another one depends.
    let of_parent = |name: &&String| ["global", "enabled"].contains(&name.as_str());
    let names = |of: &Value| of.as_object().unwrap().keys().filter(|name| !of_parent(name)).cloned().collect();
    let (described, there): (BTreeSet<String>, BTreeSet<String>) = (names(&schema["properties"]), names(&values));
    assert_eq!(described, there);
}
