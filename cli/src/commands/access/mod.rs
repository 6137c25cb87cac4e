//! `rototo access`: the manifest that a pod needs to follow a workspace, or that the operator needs to read a Secret,
//! ready to apply.

mod secrets;

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use rototo_api::names;
use serde_json::{Value, json};

use crate::cluster::ClusterOptions;
use crate::commands::access::secrets::SecretAccess;
use crate::global::GlobalArguments;
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  rototo access degradation -n prod | kubectl apply -f -
  rototo access degradation --service-account checkout
  rototo access degradation -n prod --operator rototo-system/rototo-operator --secret git-credentials

It only prints. What belongs into the pod's own manifest, a label and a volume, is in the comments at the end.";

/// Print what a pod needs to follow a workspace, or what the operator needs to read a Secret of it.
///
/// For a pod: a Role and its binding, a label, and a token.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AccessArguments {
    /// The RototoWorkspace
    #[arg(value_name = "NAME")]
    name: String,

    /// An existing ServiceAccount of the pods; without it, the output contains a new one with the workspace's name
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,

    /// Print what the operator with this ServiceAccount needs to read the Secrets of the workspace
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "secret", conflicts_with = "service_account")]
    operator: Option<String>,

    /// A Secret that the RototoWorkspace names, with --operator; may be repeated
    #[arg(long, value_name = "NAME", requires = "operator")]
    secret: Vec<String>,

    #[command(flatten)]
    cluster: ClusterOptions,
}

pub(crate) async fn run(arguments: AccessArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    require_name("workspace", &arguments.name)?;
    if let Some(account) = &arguments.service_account {
        require_name("ServiceAccount", account)?;
    }
    if let Some(operator) = &arguments.operator {
        return print_secret_access(operator, &arguments, global);
    }
    let access = AccessRequest {
        workspace: &arguments.name,
        service_account: arguments.service_account.as_deref(),
        namespace: arguments.cluster.namespace().filter(|namespace| is_name(namespace)),
    };
    if global.json {
        terminal::json(&access.json())?
    } else {
        terminal::text(&access.yaml())?
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses what is no name: users apply the output unread.
fn require_name(what: &str, name: &str) -> anyhow::Result<()> {
    if !is_name(name) {
        bail!("`{name}` can't be the name of a {what}: use lower-case letters, digits, `-`, and `.`");
    }
    Ok(())
}

fn print_secret_access(
    operator: &str,
    arguments: &AccessArguments,
    global: &GlobalArguments,
) -> anyhow::Result<ExitCode> {
    let Some((namespace, account)) = operator.split_once('/') else {
        bail!("`{operator}` does not name a ServiceAccount: write NAMESPACE/NAME");
    };
    require_name("namespace", namespace)?;
    require_name("ServiceAccount", account)?;
    for secret in &arguments.secret {
        require_name("Secret", secret)?;
    }
    let access = SecretAccess {
        workspace: &arguments.name,
        namespace: arguments.cluster.namespace().filter(|namespace| is_name(namespace)),
        secrets: &arguments.secret,
        operator: (namespace, account),
    };
    if global.json {
        terminal::json(&access.json())?
    } else {
        terminal::text(&access.yaml())?
    }
    Ok(ExitCode::SUCCESS)
}

fn is_name(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253
        && name.starts_with(alphanumeric)
        && name.ends_with(alphanumeric)
        && name.chars().all(|c| alphanumeric(c) || matches!(c, '-' | '.'))
}

/// The workspace to follow, and the pods that follow it.
struct AccessRequest<'a> {
    workspace: &'a str,
    service_account: Option<&'a str>,
    namespace: Option<&'a str>,
}

impl AccessRequest<'_> {
    fn account(&self) -> &str {
        self.service_account.unwrap_or(self.workspace)
    }

    fn metadata(&self, name: &str) -> String {
        yaml_metadata(name, self.namespace)
    }

    fn yaml(&self) -> String {
        let (workspace, account, role) = (self.workspace, self.account(), format!("rototo-{}", self.workspace));
        let (markers, group, plural) = (names::MARKERS, names::GROUP, names::PLURAL);
        let (snapshot, fleet) = (names::SUBRESOURCE_SNAPSHOT, names::SUBRESOURCE_FLEET);
        let (label, audience) = (names::workspace_label(workspace), names::AUDIENCE);
        let metadata = self.metadata(&role);
        let service_account = match self.service_account {
            Some(_) => String::new(),
            None => format!("---\napiVersion: v1\nkind: ServiceAccount\n{}\n", self.metadata(account)),
        };
        format!(
            "\
# What a pod needs to follow the workspace {workspace}, and nothing more.
{service_account}---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
{metadata}
rules:
  # The doorbell: one ConfigMap, which says which content is published and holds none of it.
  - apiGroups: [\"\"]
    resources: [configmaps]
    resourceNames: [{markers}]
    verbs: [get, list, watch]
  # The content, and the report of what runs. The operator's endpoint asks for these.
  - apiGroups: [{group}]
    resources: [{plural}/{snapshot}]
    resourceNames: [{workspace:?}]
    verbs: [get]
  - apiGroups: [{group}]
    resources: [{plural}/{fleet}]
    resourceNames: [{workspace:?}]
    verbs: [create]
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
# And in the pod's manifest, in the template of a Deployment:
#
# metadata:
#   labels:
#     {label}: \"\"              # counts in the workspace's fleet
# spec:
#   serviceAccountName: {account}
#   containers:
#     - name: app
#       env:
#         - name: ROTOTO_WORKSPACE_SOURCE
#           value: kubernetes:///{workspace}
#         - name: ROTOTO_CONTAINER        # the name of this container: its end is the end of its processes
#           value: app
#       volumeMounts:
#         - name: rototo
#           mountPath: /var/run/secrets/rototo
#           readOnly: true
#   volumes:
#     - name: rototo
#       projected:
#         sources:
#           - serviceAccountToken:        # for the operator's endpoint, and good for nothing else
#               audience: {audience}
#               path: token
"
        )
    }

    /// Returns the same as JSON: a list that can be applied, and the fields of the pod's manifest.
    fn json(&self) -> Value {
        let (account, role) = (self.account(), format!("rototo-{}", self.workspace));
        let metadata = |name: &str| json_metadata(name, self.namespace);
        let rule = |group: &str, resource: String, name: &str, verbs: &[&str]| {
            json!({ "apiGroups": [group],
            "resources": [resource], "resourceNames": [name], "verbs": verbs })
        };
        let of_workspace = |subresource: &str, verb: &str| {
            rule(names::GROUP, format!("{}/{subresource}", names::PLURAL), self.workspace, &[verb])
        };
        let made = self
            .service_account
            .is_none()
            .then(|| json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(account) }));
        let grants = [
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(&role),
                "rules": [
                    rule("", "configmaps".to_owned(), names::MARKERS, &["get", "list", "watch"]),
                    of_workspace(names::SUBRESOURCE_SNAPSHOT, "get"),
                    of_workspace(names::SUBRESOURCE_FLEET, "create"),
                ],
            }),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata(&role),
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role },
                "subjects": [{ "kind": "ServiceAccount", "name": account }],
            }),
        ];
        let items: Vec<_> = made.into_iter().chain(grants).collect();
        let token = json!({ "serviceAccountToken": { "audience": names::AUDIENCE, "path": "token" } });
        let source = format!("kubernetes:///{}", self.workspace);
        json!({
            "apply": { "apiVersion": "v1", "kind": "List", "items": items },
            "pod": {
                "metadata": { "labels": { names::workspace_label(self.workspace): "" } },
                "spec": {
                    "serviceAccountName": account,
                    "containers": [{
                        "name": "app",
                        "env": [
                            { "name": "ROTOTO_WORKSPACE_SOURCE", "value": source },
                            { "name": "ROTOTO_CONTAINER", "value": "app" },
                        ],
                        "volumeMounts": [{ "name": "rototo", "mountPath": "/var/run/secrets/rototo",
                            "readOnly": true }],
                    }],
                    "volumes": [{ "name": "rototo", "projected": { "sources": [token] } }],
                },
            },
        })
    }
}

/// Returns the metadata of an object, as YAML.
fn yaml_metadata(name: &str, namespace: Option<&str>) -> String {
    let namespace = namespace.map_or_else(String::new, |namespace| format!("\n  namespace: {namespace:?}"));
    format!("metadata:\n  name: {name:?}{namespace}")
}

/// Returns the same as JSON.
fn json_metadata(name: &str, namespace: Option<&str>) -> Value {
    match namespace {
        Some(namespace) => json!({ "name": name, "namespace": namespace }),
        None => json!({ "name": name }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(access: &AccessRequest<'_>) {
        let yaml = access.yaml();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&yaml).unwrap();
        let json = access.json();
        assert_eq!(json!(documents), json["apply"]["items"], "{yaml}");
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        check(&AccessRequest { workspace: "degradation", service_account: None, namespace: None });
        check(&AccessRequest { workspace: "123", service_account: Some("checkout"), namespace: Some("prod") });
    }

    #[test]
    fn the_comments_hold_the_manifest_of_the_pod() {
        let access = AccessRequest { workspace: "degradation", service_account: None, namespace: Some("prod") };
        let (yaml, json) = (access.yaml(), access.json());
        let (_, comments) = yaml.split_once("a Deployment:\n#\n").unwrap();
        let uncommented: String =
            comments.lines().map(|line| format!("{}\n", line.strip_prefix("# ").unwrap())).collect();
        assert_eq!(serde_saphyr::from_str::<Value>(&uncommented).unwrap(), json["pod"]);
    }

    #[test]
    fn only_names_are_printed() {
        for name in ["", "-a", "a\nkind: Secret", "A", "a b", "a\""] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
