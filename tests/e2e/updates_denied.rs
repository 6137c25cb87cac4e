//! An admission policy that refuses one kind of write, so that a test can stop the operator between two steps.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use rototo_tests::harness::{Namespace, Observation, PATIENCE, until_async};
use serde_json::json;

/// A policy that refuses updates of one resource in one namespace until it is lifted.
pub(crate) struct UpdatesDenied {
    namespace: Namespace,
    name: String,
}

impl UpdatesDenied {
    /// Refuses updates of `resource` in `group`, and waits until that is in force. The ConfigMap `probe` shows it.
    pub(crate) async fn of(namespace: &Namespace, group: &str, resource: &str) -> Self {
        let name = format!("refuse-{}", namespace.name());
        let rule = |group: &str, resource: &str, names: &[&str]| {
            json!({
                "apiGroups": [group], "apiVersions": ["*"], "operations": ["UPDATE"],
                "resources": [resource], "resourceNames": names,
            })
        };
        let policies = json!({
            "apiVersion": "v1", "kind": "List", "items": [
                {
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
                    "metadata": { "name": name },
                    "spec": {
                        "failurePolicy": "Fail",
                        "matchConstraints": {
                            "resourceRules": [rule(group, resource, &[]), rule("", "configmaps", &["probe"])],
                        },
                        "validations": [{ "expression": "false", "message": "closed for inventory" }],
                    },
                },
                {
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
                    "metadata": { "name": name },
                    "spec": {
                        "policyName": name, "validationActions": ["Deny"],
                        "matchResources": {
                            "namespaceSelector": {
                                "matchLabels": { "kubernetes.io/metadata.name": namespace.name() },
                            },
                        },
                    },
                },
            ],
        });
        namespace.apply(&policies.to_string()).unwrap();
        let probe: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "probe" } })).unwrap();
        let maps = namespace.api::<ConfigMap>();
        maps.create(&PostParams::default(), &probe).await.unwrap();
        until_async("the refusal to be in force", PATIENCE, async || {
            let touch = json!({ "data": { "touched": format!("{:08x}", fastrand::u32(..)) } });
            Ok(match maps.patch("probe", &PatchParams::default(), &Patch::Merge(touch)).await {
                Ok(_) => Observation::NotYet("admitted".to_owned()),
                Err(_) => Observation::Done(()),
            })
        })
        .await
        .unwrap();
        Self { namespace: namespace.clone(), name }
    }

    /// Removes the policy.
    pub(crate) fn lift(self) {
        let both = "validatingadmissionpolicybinding,validatingadmissionpolicy";
        self.namespace.cluster().kubectl(&["delete", both, &self.name]).unwrap();
    }
}
