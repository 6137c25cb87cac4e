//! The manifest with which an operator reads Secrets of a workspace.

use serde_json::{Value, json};

use crate::commands::access::{json_metadata, json_role, json_role_binding, yaml_metadata};

/// The ServiceAccount of an operator.
#[derive(Clone, Debug)]
pub(super) struct OperatorAccount {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The Secrets that an operator reads for a workspace.
pub(super) struct SecretAccess<'a> {
    pub(super) workspace: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) secrets: &'a [String],
    pub(super) operator: &'a OperatorAccount,
}

impl SecretAccess<'_> {
    /// Returns the names of the Role for a Secret, and of its binding to the operator. No part of them has a colon in it,
    /// so the grants for two Secrets, and to two operators, never share one name.
    fn names(&self, secret: &str) -> (String, String) {
        let role = format!("rototo-{}:secret:{secret}", self.workspace);
        let binding = format!("{role}:{}:{}", self.operator.namespace, self.operator.name);
        (role, binding)
    }

    pub(super) fn yaml(&self) -> String {
        let workspace = self.workspace;
        let grants = self.secrets.iter().map(|secret| self.grant_as_yaml(secret)).collect::<String>();
        format!(
            "# What the operator needs to read these Secrets of the workspace {workspace}, and nothing more.\n{grants}"
        )
    }

    fn grant_as_yaml(&self, secret: &str) -> String {
        let (role, binding) = self.names(secret);
        let (metadata, of_binding) = (yaml_metadata(&role, self.namespace), yaml_metadata(&binding, self.namespace));
        let OperatorAccount { namespace: of, name: account } = self.operator;
        format!(
            "\
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
{metadata}
rules:
  - apiGroups: [\"\"]
    resources: [secrets]
    resourceNames: [{secret:?}]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
{of_binding}
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
        let items: Vec<_> = self.secrets.iter().flat_map(|secret| self.grant_as_json(secret)).collect();
        json!({ "apply": { "apiVersion": "v1", "kind": "List", "items": items } })
    }

    fn grant_as_json(&self, secret: &str) -> [Value; 2] {
        let (role, binding) = self.names(secret);
        let metadata = |name: &str| json_metadata(name, self.namespace);
        let OperatorAccount { namespace: of, name: account } = self.operator;
        let rule = json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["get"] });
        let subject = json!({ "kind": "ServiceAccount", "name": account, "namespace": of });
        [json_role(&metadata(&role), &[rule]), json_role_binding(&metadata(&binding), &role, &subject)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grant_for_secrets_is_the_same_as_yaml_and_json() {
        for namespace in [None, Some("prod")] {
            let secrets = ["123".to_owned(), "git-credentials".to_owned()];
            let (of, name) = ("rototo-system".to_owned(), "rototo-operator".to_owned());
            let operator = &OperatorAccount { namespace: of, name };
            let access = SecretAccess { workspace: "degradation", namespace, secrets: &secrets, operator };
            let documents: Vec<Value> = serde_saphyr::from_multiple(&access.yaml()).unwrap();
            assert_eq!(json!(documents), access.json()["apply"]["items"]);
        }
    }
}
