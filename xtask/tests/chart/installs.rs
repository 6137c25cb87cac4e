//! The chart on OpenShift, under Argo CD, and twice in one release.

use std::fs;

use serde_json::{Value, json};
use xtask::folder;

use crate::rendering::{every_set, of_kind, pod};
use crate::{chart, helm, objects};

#[test]
fn openshift_picks_user_and_group_of_every_pod() {
    let contexts = |arguments: &[&str]| {
        let objects = objects(arguments);
        let test = of_kind(&objects, "Pod")[0]["spec"]["securityContext"].clone();
        [pod(&objects)["spec"]["securityContext"].clone(), test]
    };
    let api = ["--api-versions", "security.openshift.io/v1"];
    let left = json!({
        "runAsNonRoot": true,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    let mut own = left.clone();
    for name in ["runAsUser", "runAsGroup", "fsGroup"] {
        own[name] = json!(65532);
    }
    for (arguments, expected) in [
        (&[][..], &own),
        (&["--set", "openshift=false", api[0], api[1]], &own),
        (&api, &left),
        (&["--set", "openshift=true"], &left),
    ] {
        assert_eq!(contexts(arguments), [expected.clone(), expected.clone()], "{arguments:?}");
    }
    assert_eq!(contexts(&["--set", "openshift=true,podSecurityContext=null"]), [Value::Null, Value::Null]);
}

/// Argo CD compares what it applied with what the API server has, and shows a field that differs for ever.
#[test]
fn admission_policies_have_every_field_that_the_api_server_would_add() {
    let rendered =
        every_set().chain([("requests", objects(&["--set", "requestsPolicy.enabled=true,watchNamespaces={a}"]))]);
    let (mut policies, mut bindings) = (0, 0);
    for (set, objects) in rendered {
        let matches = of_kind(&objects, "ValidatingAdmissionPolicy").into_iter().map(|policy| {
            policies += 1;
            let scope = |rule: &Value| rule["scope"].is_string();
            assert!(policy["spec"]["failurePolicy"].is_string(), "{set}");
            assert!(policy["spec"]["matchConstraints"]["resourceRules"].as_array().unwrap().iter().all(scope), "{set}");
            &policy["spec"]["matchConstraints"]
        });
        let matches: Vec<&Value> = matches.collect();
        let of_binding = of_kind(&objects, "ValidatingAdmissionPolicyBinding").into_iter();
        let of_binding: Vec<&Value> =
            of_binding.map(|binding| &binding["spec"]["matchResources"]).filter(|matches| !matches.is_null()).collect();
        bindings += of_binding.len();
        for matches in matches.into_iter().chain(of_binding) {
            assert_eq!(matches["matchPolicy"], "Equivalent", "{set}");
            assert!(matches["namespaceSelector"].is_object() && matches["objectSelector"].is_object(), "{set}");
        }
    }
    assert!(policies > 2 && bindings > 0, "{policies} {bindings}");
}

/// Two installs with one Lease would wait for each other: the second one never writes.
#[test]
fn two_installs_in_one_release_have_a_lease_each() {
    let parent = tempfile::tempdir().unwrap();
    let copied = parent.path().join("charts/rototo-operator");
    folder::copy(&chart(""), &copied).unwrap();
    let dependency = |alias| json!({ "name": "rototo-operator", "version": "*", "repository": "", "alias": alias });
    let metadata = json!({
        "apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency("one"), dependency("two")],
    });
    fs::write(parent.path().join("Chart.yaml"), metadata.to_string()).unwrap();
    let rendered = helm(&["template", "platform", &parent.path().display().to_string()]).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    let mut leases = of_kind(&objects, "Lease").into_iter().map(|lease| lease["metadata"]["name"].clone());
    assert_eq!([leases.next(), leases.next()], [Some(json!("platform-one")), Some(json!("platform-two"))]);
    for deployment in of_kind(&objects, "Deployment") {
        let name = deployment["metadata"]["name"].as_str().unwrap();
        let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
        assert!(arguments.contains(&json!(format!("--release={name}"))), "{arguments:?}");
        let is_own = |role: &&Value| role["metadata"]["name"] == name && role["kind"] == "Role";
        let role = of_kind(&objects, "Role").into_iter().find(is_own).unwrap();
        let rules = role["rules"].as_array().unwrap();
        assert!(
            rules.iter().any(|rule| rule["resources"] == json!(["leases"]) && rule["resourceNames"] == json!([name]))
        );
    }
}
