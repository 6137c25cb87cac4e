//! Reads the Secret of `spec.secretRef`, by its name and at each poll, so that a rotated one is used at once.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rototo_source::{Credentials, InvalidCredentials};

/// The reason why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The Secret does not exist.
    #[error("the Secret `{name}` of spec.secretRef does not exist in namespace {namespace}")]
    Missing {
        /// The namespace of the workspace.
        namespace: String,
        /// The Secret's name.
        name: String,
    },
    /// The API server does not return it.
    #[error("the Secret `{name}` of spec.secretRef can't be read: {}", rototo_connection::api_error(.source))]
    Unreadable {
        /// The Secret's name.
        name: String,
        /// The API server's answer.
        source: Box<kube::Error>,
    },
    /// The Secret has no usable credentials.
    #[error("the Secret `{name}` of spec.secretRef can't be used: {source}")]
    Unusable {
        /// The Secret's name.
        name: String,
        /// The fault in it.
        source: InvalidCredentials,
    },
}

/// Returns the credentials in a Secret; none where the spec names none.
pub async fn credentials(client: &Client, namespace: &str, name: Option<&str>) -> Result<Credentials, SecretError> {
    let Some(name) = name else { return Ok(Credentials::default()) };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let unreadable = |source| SecretError::Unreadable { name: name.to_owned(), source: Box::new(source) };
    let found = secrets.get_opt(name).await.map_err(unreadable)?;
    let missing = || SecretError::Missing { namespace: namespace.to_owned(), name: name.to_owned() };
    let data = found.ok_or_else(missing)?.data.unwrap_or_default();
    let keys: BTreeMap<String, Vec<u8>> = data.into_iter().map(|(key, value)| (key, value.0)).collect();
    Credentials::from_keys(&keys).map_err(|source| SecretError::Unusable { name: name.to_owned(), source })
}
