//! The grants that a pod needs to follow a workspace.

use rototo_api::names;
use serde_json::json;

use super::Namespace;

impl Namespace {
    /// Creates a ServiceAccount that may follow `workspaces` and may do nothing else.
    pub fn grant(&self, service_account: &str, workspaces: &[&str]) -> anyhow::Result<()> {
        let metadata = json!({ "name": service_account });
        let grants = json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": [
                { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata },
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "Role",
                    "metadata": metadata,
                    "rules": [
                        {
                            "apiGroups": [""],
                            "resources": ["configmaps"],
                            "resourceNames": [names::MARKERS],
                            "verbs": ["get", "list", "watch"],
                        },
                        {
                            "apiGroups": [names::GROUP],
                            "resources": [format!("{}/{}", names::PLURAL, names::SUBRESOURCE_SNAPSHOT)],
                            "resourceNames": workspaces,
                            "verbs": ["get"],
                        },
                        {
                            "apiGroups": [names::GROUP],
                            "resources": [format!("{}/{}", names::PLURAL, names::SUBRESOURCE_FLEET)],
                            "resourceNames": workspaces,
                            "verbs": ["create"],
                        },
                    ],
                },
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "RoleBinding",
                    "metadata": metadata,
                    "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": service_account },
                    "subjects": [{ "kind": "ServiceAccount", "name": service_account }],
                },
            ],
        });
        self.apply(&grants.to_string()).map(drop)
    }
}
