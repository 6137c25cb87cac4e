//! `rototo access`: the manifest that a pod needs to follow a workspace, or that the operator needs to read a Secret,
//! ready to apply.

mod secrets;

use std::process::ExitCode;

use clap::Args;
use rototo_api::names;
use serde_json::{Value, json};

use crate::cluster::ClusterOptions;
use crate::commands::access::secrets::{OperatorAccount, SecretAccess};
use crate::global::GlobalArguments;
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  rototo access degradation -n prod | kubectl apply -f -
  rototo access degradation --service-account checkout
  rototo access degradation -n prod --operator rototo-system/rototo-operator --secret git-credentials

It only prints, and asks no cluster. What belongs into the pod's own manifest, a label and a volume, is in the comments \
at the end. Each account and each Secret has a binding of its own, so what is applied for one takes nothing from another.";

/// The help of the namespace.
const NAMESPACE: &str =
    "The namespace of the workspace; without it, the output has none, and `kubectl apply` takes that of its context";
/// The help of the options that the other commands for a cluster use.
const UNUSED: &str = "Has no effect: this command asks no cluster";

/// Print what a pod needs to follow a workspace, or what the operator needs to read a Secret of it.
///
/// For a pod: a Role and its binding, a label, and a token.
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    mut_arg("namespace", |argument| argument.value_parser(namespace).help(NAMESPACE)),
    mut_arg("kubeconfig", |argument| argument.help(UNUSED)),
    mut_arg("context", |argument| argument.help(UNUSED))
)]
pub(crate) struct AccessArguments {
    /// The RototoWorkspace
    #[arg(value_name = "NAME", value_parser = workspace_name)]
    name: String,

    /// An existing ServiceAccount of the pods; without it, the output contains a new one with the workspace's name
    #[arg(long, value_name = "NAME", value_parser = name)]
    service_account: Option<String>,

    /// Print what the operator with this ServiceAccount needs to read the Secrets of the workspace
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = operator_account, requires = "secret",
        conflicts_with = "service_account")]
    operator: Option<OperatorAccount>,

    /// A Secret that the RototoWorkspace names, with --operator; may be repeated
    #[arg(long, value_name = "NAME", value_parser = name, requires = "operator")]
    secret: Vec<String>,

    #[command(flatten)]
    cluster: ClusterOptions,
}

pub(crate) async fn run(arguments: AccessArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let (workspace, namespace) = (&*arguments.name, arguments.cluster.namespace());
    let (yaml, json) = match &arguments.operator {
        Some(operator) => {
            let access = SecretAccess { workspace, namespace, secrets: &arguments.secret, operator };
            (access.yaml(), access.json())
        }
        None => {
            let service_account = arguments.service_account.as_deref();
            let access = AccessRequest { workspace, service_account, namespace };
            (access.yaml(), access.json())
        }
    };
    if global.json {
        terminal::json(&json)?
    } else {
        terminal::text(&yaml)?
    }
    Ok(ExitCode::SUCCESS)
}

/// Parses the name of an object. What is no name is refused, as users apply the output unread.
fn name(text: &str) -> Result<String, String> {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_name = text.len() <= 253
        && text.split('.').all(|part| part.starts_with(alphanumeric) && part.ends_with(alphanumeric))
        && text.chars().all(|c| alphanumeric(c) || matches!(c, '-' | '.'));
    if is_name { Ok(text.to_owned()) } else { Err("use lower-case letters, digits, `-`, and `.`".to_owned()) }
}

/// Parses the name of a workspace, which is also part of a label.
fn workspace_name(text: &str) -> Result<String, String> {
    match name(text) {
        Ok(name) if name.len() > 63 => Err("use at most 63 characters".to_owned()),
        parsed => parsed,
    }
}

/// Parses the name of a namespace, or nothing.
fn namespace(text: &str) -> Result<String, String> {
    match name(text) {
        Ok(name) if name.len() <= 63 && !name.contains('.') => Ok(name),
        _ if text.is_empty() => Ok(String::new()),
        _ => Err("use at most 63 lower-case letters, digits, and `-`".to_owned()),
    }
}

/// Parses `NAMESPACE/NAME` of an operator's ServiceAccount.
fn operator_account(text: &str) -> Result<OperatorAccount, String> {
    match text.split_once('/') {
        Some((of, account)) if !of.is_empty() => {
            Ok(OperatorAccount { namespace: namespace(of)?, name: name(account)? })
        }
        _ => Err("write NAMESPACE/NAME of its ServiceAccount".to_owned()),
    }
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

    /// Returns the name of the Role, which is the same for all accounts.
    fn role(&self) -> String {
        format!("rototo-{}", self.workspace)
    }

    /// Returns the name of the binding of this account. No name of a workspace or an account has a colon in it, so two
    /// bindings never share one name.
    fn binding(&self) -> String {
        format!("rototo-{}:{}", self.workspace, self.account())
    }

    fn metadata(&self, name: &str) -> String {
        yaml_metadata(name, self.namespace)
    }

    fn yaml(&self) -> String {
        let (workspace, account, role) = (self.workspace, self.account(), self.role());
        let (markers, group, plural) = (names::MARKERS, names::GROUP, names::PLURAL);
        let (snapshot, fleet) = (names::SUBRESOURCE_SNAPSHOT, names::SUBRESOURCE_FLEET);
        let (label, audience) = (names::workspace_label(workspace), names::AUDIENCE);
        let (metadata, of_binding) = (self.metadata(&role), self.metadata(&self.binding()));
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
{of_binding}
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
        let (account, role) = (self.account(), self.role());
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
        let rules = [
            rule("", "configmaps".to_owned(), names::MARKERS, &["get", "list", "watch"]),
            of_workspace(names::SUBRESOURCE_SNAPSHOT, "get"),
            of_workspace(names::SUBRESOURCE_FLEET, "create"),
        ];
        let subject = json!({ "kind": "ServiceAccount", "name": account });
        let grants =
            [json_role(&metadata(&role), &rules), json_role_binding(&metadata(&self.binding()), &role, &subject)];
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

/// Returns a Role.
fn json_role(metadata: &Value, rules: &[Value]) -> Value {
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules })
}

/// Returns the binding of a Role to one subject.
fn json_role_binding(metadata: &Value, role: &str, subject: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role },
        "subjects": [subject],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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

    /// Applies the printed objects in their order, and returns those that one replaced by another of its name.
    fn replaced(printed: &[Value]) -> Vec<String> {
        let mut applied = BTreeMap::new();
        let mut replaced = Vec::new();
        for item in printed.iter().flat_map(|printed| printed["apply"]["items"].as_array().unwrap()) {
            let name = format!("{}/{}", item["kind"], item["metadata"]["name"]);
            if applied.insert(name.clone(), item).is_some_and(|before| before != item) {
                replaced.push(name);
            }
        }
        replaced
    }

    #[test]
    fn a_grant_takes_nothing_from_an_earlier_one() {
        let of_pods =
            |workspace, service_account| AccessRequest { workspace, service_account, namespace: Some("prod") }.json();
        let of_secrets = |workspace, secrets: &[&str], operator: &str| {
            let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
            let operator = &operator_account(operator).unwrap();
            SecretAccess { workspace, namespace: Some("prod"), secrets: &secrets, operator }.json()
        };
        let printed = [
            of_pods("a", None),
            of_pods("a", Some("checkout")),
            of_pods("a", Some("b-c")),
            of_pods("a-b", Some("c")),
            of_pods("a-secret-git", None),
            of_secrets("a", &["git"], "system/one"),
            of_secrets("a", &["webhook", "git"], "system/one"),
            of_secrets("a", &["git"], "system/two"),
            of_secrets("a-git", &["webhook"], "system/one"),
        ];
        assert_eq!(replaced(&printed), Vec::<String>::new());
    }

    #[test]
    fn only_names_are_printed() {
        for text in ["", "-a", "a\nkind: Secret", "A", "a b", "a\"", "a..b", "a.-b", &"a".repeat(254)] {
            assert!(name(text).is_err(), "{text:?}");
        }
        assert!(name(&"a".repeat(253)).is_ok() && name("a.b-1").is_ok());
        assert!(workspace_name(&"a".repeat(64)).is_err() && workspace_name("a.b").is_ok());
        for text in ["Prod", "a.b", &"a".repeat(64)] {
            assert!(namespace(text).is_err(), "{text:?}");
        }
        assert_eq!(namespace(""), Ok(String::new()));
        for text in ["rototo-operator", "/a", "a/", "a/b/c", "A/b"] {
            assert!(operator_account(text).is_err(), "{text:?}");
        }
    }
}
