//! Kubeconfig files: who to be, towards which API server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

/// What a client shows to the API server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Credentials<'a> {
    Token(&'a str),
    /// A file that is read again as it changes, as the one that a kubelet projects.
    TokenFile(&'a Path),
}

/// Writes a kubeconfig. (It is JSON, which is YAML too.)
pub(crate) fn write(
    path: PathBuf,
    server: &str,
    authority: &Path,
    credentials: Credentials<'_>,
    namespace: &str,
) -> anyhow::Result<PathBuf> {
    let user = match credentials {
        Credentials::Token(token) => json!({ "token": token }),
        Credentials::TokenFile(file) => json!({ "tokenFile": file }),
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": { "server": server, "certificate-authority": authority } }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": namespace } }],
        "current-context": "test",
    });
    fs::write(&path, config.to_string()).with_context(|| format!("write the kubeconfig {}", path.display()))?;
    Ok(path)
}
