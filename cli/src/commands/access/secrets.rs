//! The manifest with which an operator reads Secrets of a workspace.

use serde_json::{Value, json};

use crate::commands::access::{json_metadata, yaml_metadata};

/// The Secrets that an operator reads for a workspace.
pub(super) struct SecretAccess<'a> {
    pub(super) workspace: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) secrets: &'a [String],
    /// The namespace and the name of the operator's ServiceAccount.
    pub(super) operator: (&'a str, &'a str),
}

impl SecretAccess<'_> {
    fn role(&self) -> String {
        format!("rototo-{}-secrets", self.workspace)
    }

    pub(super) fn yaml(&self) -> String {
        let (workspace, role, secrets) = (self.workspace, self.role(), self.secrets);
        let metadata = yaml_metadata(&role, self.namespace);
        let (of, account) = self.operator;
        format!(
            "\
# What the operator needs to read these Secrets of the workspace {workspace}, and nothing more.
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
{metadata}
rules:
  - apiGroups: [\"\"]
    resources: [secrets]
    resourceNames: {secrets:?}
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
{metadata}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {role:?}
subjects:
  - kind: ServiceAccount
    name: {account:?}
    namespace: {of:?}
"
        )
    }

    pub(super) fn json(&self) -> Value {
        let metadata = json_metadata(&self.role(), self.namespace);
        let (of, account) = self.operator;
        let rule =
            json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": self.secrets, "verbs": ["get"] });
        let items = [
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [rule],
            }),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": self.role() },
                "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": of }],
            }),
        ];
        json!({ "apply": { "apiVersion": "v1", "kind": "List", "items": items } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grant_for_secrets_is_the_same_as_yaml_and_json() {
        for namespace in [None, Some("prod")] {
            let secrets = ["123".to_owned(), "git-credentials".to_owned()];
            let operator = ("rototo-system", "rototo-operator");
            let access = SecretAccess { workspace: "degradation", namespace, secrets: &secrets, operator };
            let documents: Vec<Value> = serde_saphyr::from_multiple(&access.yaml()).unwrap();
            assert_eq!(json!(documents), access.json()["apply"]["items"]);
        }
    }
}
