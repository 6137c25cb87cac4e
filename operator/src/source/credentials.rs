//! Reads the Secrets that a spec names. Those of `spec.secretRef` and `spec.verify.secretRef` are read at each poll, so
//! that a rotated one is used at once.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use rototo_api::names::ANNOTATION_HOSTS;
use rototo_api::workspace::{RototoWorkspaceSpec, SecretRef, VerifyMode, VerifySpec};
use rototo_source::{Credentials, InvalidCredentials, InvalidSigners, SignaturePolicy, SignedObject, Source};

use crate::service_account::{namespace_and_name, own_user};
use crate::workspace_key::WorkspaceKey;

/// The reason why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The Secret does not exist.
    #[error("the Secret `{name}` of {field} does not exist in namespace {namespace}")]
    Missing {
        /// The field of the spec that names it.
        field: &'static str,
        /// The namespace of the workspace.
        namespace: String,
        /// The Secret's name.
        name: String,
    },
    /// The operator has no right to read it.
    #[error(
        "the operator may not read the Secret `{name}` of {field}; to allow it: rototo access {workspace} -n \
         {namespace} --operator {operator} --secret {name} | kubectl apply -f -"
    )]
    Forbidden {
        /// The field of the spec that names it.
        field: &'static str,
        /// The namespace of the workspace.
        namespace: String,
        /// The workspace.
        workspace: String,
        /// The Secret's name.
        name: String,
        /// The operator's ServiceAccount, as `namespace/name`.
        operator: String,
    },
    /// The Secret is for other hosts.
    #[error(
        "the Secret `{name}` of {field} is not for the host `{host}`: its annotation {ANNOTATION_HOSTS} names {hosts}"
    )]
    OtherHost {
        /// The field of the spec that names it.
        field: &'static str,
        /// The Secret's name.
        name: String,
        /// The host of the source.
        host: String,
        /// The value of the annotation.
        hosts: String,
    },
    /// The API server does not return it.
    #[error("the Secret `{name}` of {field} can't be read: {}", rototo_connection::api_error(.source))]
    Unreadable {
        /// The field of the spec that names it.
        field: &'static str,
        /// The Secret's name.
        name: String,
        /// The API server's answer.
        source: Box<kube::Error>,
    },
    /// The Secret has no usable credentials.
    #[error("the Secret `{name}` of {field} can't be used: {source}")]
    Unusable {
        /// The field of the spec that names it.
        field: &'static str,
        /// The Secret's name.
        name: String,
        /// The fault in it.
        source: InvalidCredentials,
    },
    /// The Secret names no usable signers.
    #[error("the Secret `{name}` of spec.verify.secretRef can't be used: {source}")]
    UnusableSigners {
        /// The Secret's name.
        name: String,
        /// The fault in it.
        source: InvalidSigners,
    },
}

/// Returns the credentials for `source` in the Secret of `spec.secretRef`; none where the spec names no Secret.
pub(super) async fn credentials(
    client: &Client,
    key: &WorkspaceKey,
    spec: &RototoWorkspaceSpec,
    source: &Source,
) -> Result<Credentials, SecretError> {
    let Some(SecretRef { name }) = &spec.secret_ref else { return Ok(Credentials::default()) };
    service_credentials(client, key, "spec.secretRef", name, source.host()).await
}

/// Returns the credentials for `host` in the Secret `name`, which `field` of the spec names.
pub(crate) async fn service_credentials(
    client: &Client,
    key: &WorkspaceKey,
    field: &'static str,
    name: &str,
    host: Option<&str>,
) -> Result<Credentials, SecretError> {
    let secret = read(client, key, field, name).await?;
    check_host(&secret, field, name, host)?;
    Credentials::from_keys(&bytes(secret)).map_err(|source| SecretError::Unusable {
        field,
        name: name.to_owned(),
        source,
    })
}

/// Returns the signatures that the source must have; `None` where the spec asks for none.
pub(super) async fn signature_policy(
    client: &Client,
    key: &WorkspaceKey,
    spec: &RototoWorkspaceSpec,
) -> Result<Option<SignaturePolicy>, SecretError> {
    let Some(VerifySpec { mode, secret_ref: SecretRef { name } }) = &spec.verify else { return Ok(None) };
    let secret = read(client, key, "spec.verify.secretRef", name).await?;
    let objects = match mode {
        VerifyMode::Commit => SignedObject::Commit,
        VerifyMode::Tag => SignedObject::Tag,
        VerifyMode::TagAndCommit => SignedObject::TagAndCommit,
    };
    let policy = SignaturePolicy::from_keys(objects, &bytes(secret));
    policy.map(Some).map_err(|source| SecretError::UnusableSigners { name: name.clone(), source })
}

/// Reads a Secret of the workspace's namespace.
pub(crate) async fn read(
    client: &Client,
    key: &WorkspaceKey,
    field: &'static str,
    name: &str,
) -> Result<Secret, SecretError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &key.namespace);
    match secrets.get_opt(name).await {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => Err(SecretError::Missing { field, namespace: key.namespace.clone(), name: name.to_owned() }),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Err(SecretError::Forbidden {
            field,
            namespace: key.namespace.clone(),
            workspace: key.name.clone(),
            name: name.to_owned(),
            operator: own_service_account(client).await,
        }),
        Err(source) => Err(SecretError::Unreadable { field, name: name.to_owned(), source: Box::new(source) }),
    }
}

fn bytes(secret: Secret) -> BTreeMap<String, Vec<u8>> {
    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
}

/// Refuses a Secret whose owner says that it is for other hosts. A user who may not read the Secret could otherwise have
/// it sent to a host of their own.
fn check_host(secret: &Secret, field: &'static str, name: &str, host: Option<&str>) -> Result<(), SecretError> {
    let Some(hosts) = secret.annotations().get(ANNOTATION_HOSTS) else { return Ok(()) };
    let host = host.unwrap_or_default();
    if hosts.split(',').any(|allowed| allowed.trim().eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(SecretError::OtherHost { field, name: name.to_owned(), host: host.to_owned(), hosts: hosts.clone() })
}

/// Returns the operator's ServiceAccount as `namespace/name`, for messages.
async fn own_service_account(client: &Client) -> String {
    let user = own_user(client).await.ok().flatten();
    let account = user.as_deref().and_then(namespace_and_name);
    account.map_or_else(|| "NAMESPACE/SERVICE_ACCOUNT".to_owned(), |(namespace, name)| format!("{namespace}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hosts: Option<&str>, source: &str) -> Result<(), String> {
        let annotations = hosts.map(|hosts| BTreeMap::from([(ANNOTATION_HOSTS.to_owned(), hosts.to_owned())]));
        let mut secret = Secret::default();
        secret.metadata.annotations = annotations;
        let source: Source = source.parse().unwrap();
        check_host(&secret, "spec.secretRef", "rototo-source", source.host()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_is_sent_only_to_the_hosts_that_its_owner_names() {
        let source = "git+https://git.example.com/acme/config.git#main";
        check(None, source).unwrap();
        check(Some("git.example.com"), source).unwrap();
        check(Some("other.example.com, GIT.example.com"), source).unwrap();
        // Another port is another server.
        let other_port = "git+ssh://git@git.example.com:2222/acme/config.git";
        check(Some("git.example.com:2222"), other_port).unwrap();
        check(Some("git.example.com"), other_port).unwrap_err();
        for hosts in ["", "other.example.com", "example.com", "git.example.com.evil.example"] {
            let error = check(Some(hosts), source).unwrap_err();
            assert!(error.contains("not for the host `git.example.com`"), "{error}");
        }
        check(Some("git.example.com"), "https://attacker.example/config.tar.gz").unwrap_err();
    }
}
