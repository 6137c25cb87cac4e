//! The grants that pods and people need.

use rototo_api::names::{GROUP, MARKERS, PLURAL, SUBRESOURCE_FLEET, SUBRESOURCE_SNAPSHOT};
use serde_json::{Value, json};

use super::Namespace;

impl Namespace {
    /// Creates a ServiceAccount that may follow `workspaces` and may do nothing else.
    pub fn grant(&self, service_account: &str, workspaces: &[&str]) -> anyhow::Result<()> {
        let rules = json!([
            {
                "apiGroups": [""],
                "resources": ["configmaps"],
                "resourceNames": [MARKERS],
                "verbs": ["get", "list", "watch"],
            },
            {
                "apiGroups": [GROUP],
                "resources": [format!("{PLURAL}/{SUBRESOURCE_SNAPSHOT}")],
                "resourceNames": workspaces,
                "verbs": ["get"],
            },
            {
                "apiGroups": [GROUP],
                "resources": [format!("{PLURAL}/{SUBRESOURCE_FLEET}")],
                "resourceNames": workspaces,
                "verbs": ["create"],
            },
        ]);
        self.grant_rules(service_account, service_account, &rules)
    }

    /// Creates a ServiceAccount that may read the workspaces, as a person may.
    pub fn grant_reading(&self, service_account: &str) -> anyhow::Result<()> {
        self.grant_verbs(service_account, &["get", "list", "watch"])
    }

    /// Creates a ServiceAccount with these verbs on all workspaces.
    pub fn grant_verbs(&self, service_account: &str, verbs: &[&str]) -> anyhow::Result<()> {
        let rules = json!([{ "apiGroups": [GROUP], "resources": [PLURAL], "verbs": verbs }]);
        self.grant_rules(service_account, service_account, &rules)
    }

    /// Creates a Role with these rules for a ServiceAccount, which is created too if there is none.
    pub fn grant_rules(&self, role: &str, service_account: &str, rules: &Value) -> anyhow::Result<()> {
        let (metadata, group) = (json!({ "name": role }), "rbac.authorization.k8s.io");
        let items = json!([
            { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": service_account } },
            { "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata, "rules": rules },
            {
                "apiVersion": format!("{group}/v1"),
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": { "apiGroup": group, "kind": "Role", "name": role },
                "subjects": [{ "kind": "ServiceAccount", "name": service_account }],
            },
        ]);
        self.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()).map(drop)
    }
}
