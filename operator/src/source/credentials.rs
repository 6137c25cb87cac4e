//! The Secret of `spec.secretRef`, read by its name at each look, so that a rotated one is used at once.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rototo_source::{Credentials, InvalidCredentials};

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such Secret.
    #[error("the Secret `{name}` of spec.secretRef does not exist in namespace {namespace}")]
    Missing {
        /// Where it should be.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The API server does not give it.
    #[error("the Secret `{name}` of spec.secretRef can't be read: {source}")]
    Unreadable {
        /// Its name.
        name: String,
        /// What the API server says.
        source: Box<kube::Error>,
    },
    /// What is in it opens nothing.
    #[error("the Secret `{name}` of spec.secretRef can't be used: {source}")]
    Unusable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: InvalidCredentials,
    },
}

/// The credentials in a Secret; none where the spec names none.
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
