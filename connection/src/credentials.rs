//! The credentials that a user of a kubeconfig presents to the API server, and the places from which they come.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jiff::Timestamp;
use kube::client::AuthError;
use kube::config::{AuthInfo, AuthProviderConfig};

use crate::plugin::Plugin;

/// What a request presents.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    /// The value of the header `Authorization`.
    pub(crate) header: Option<HeaderValue>,
    /// The client certificate, where it is not the one that the configuration itself has.
    pub(crate) identity: Option<Arc<Identity>>,
    /// The time at which they end, if they say so.
    pub(crate) ends: Option<Timestamp>,
}

/// A client certificate with its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Identity {
    /// Makes `user` present this certificate.
    pub(crate) fn put_into(&self, user: &mut AuthInfo) {
        user.client_certificate_data = Some(STANDARD.encode(&self.certificate));
        // The crate puts the certificate behind the key, whose last line may have no end.
        user.client_key_data = Some(STANDARD.encode([&self.key, &b"\n"[..]].concat()).into());
    }
}

/// The place from which a user's credentials come.
pub(crate) enum Source {
    /// The configuration itself. They never change.
    Fixed(Credentials),
    /// Files, which somebody may replace.
    Files(Files, Credentials),
    /// A program, which makes them when they are first needed.
    Program(Box<Plugin>),
    /// A login that only kubectl renews.
    KubectlLogin(Credentials),
}

/// The files of a user.
pub(crate) struct Files {
    token: Option<PathBuf>,
    /// The files of the certificate and of its key.
    identity: Option<(PathBuf, PathBuf)>,
}

impl Source {
    /// Takes the credentials out of `user`, in which only a certificate of the configuration itself is left.
    ///
    /// A provider comes first, then a login, and then a token. As for kubectl, the file of a token comes before the
    /// user's own token, which is used until the file can be read, and before a program for credentials.
    ///
    /// # Errors
    ///
    /// The user has credentials that can't be used, or files that can't be read.
    pub(crate) fn take_from(user: &mut AuthInfo) -> Result<Self, AuthError> {
        let AuthInfo { username, token_file, exec, auth_provider, .. } = &*user;
        let (password, token) = (secret(user, "password"), secret(user, "token"));
        let mut credentials = Credentials::default();
        let mut files = Files { token: None, identity: None };
        let (mut program, mut of_kubectl) = (None, false);
        if let Some(provider) = auth_provider {
            credentials.header = Some(bearer(&token_of_provider(provider)?)?);
            of_kubectl = true;
        } else if let (Some(name), Some(password)) = (username, password) {
            credentials.header = Some(header("Basic", &STANDARD.encode(format!("{name}:{password}")))?);
        } else if let Some(path) = token_file {
            let read = read_token(std::fs::read_to_string(path), Path::new(path));
            let own = || bearer(token.as_ref()?).ok();
            credentials.header = Some(read.or_else(|error| own().ok_or(error))?);
            files.token = Some(path.into());
        } else if let Some(token) = &token {
            credentials.header = Some(bearer(token)?);
        } else if let Some(exec) = exec {
            program = Some(Plugin::new(exec.clone()));
        }
        if program.is_none() {
            files.identity = files_of_identity(user);
        }
        if let Some((certificate, key)) = &files.identity {
            credentials.identity =
                Some(Arc::new(Identity { certificate: read_pem(certificate)?, key: read_pem(key)? }));
            (user.client_certificate, user.client_key) = (None, None);
        }
        (user.username, user.password, user.token, user.token_file) = (None, None, None, None);
        (user.exec, user.auth_provider) = (None, None);
        Ok(match program {
            Some(program) => Self::Program(Box::new(program)),
            None if files.token.is_some() || files.identity.is_some() => Self::Files(files, credentials),
            None if of_kubectl => Self::KubectlLogin(credentials),
            None => Self::Fixed(credentials),
        })
    }
}

impl Files {
    /// Reads the files again. What can't be read stays as it was.
    pub(crate) async fn read(&self, before: &Credentials) -> Credentials {
        let mut credentials = before.clone();
        if let Some(path) = &self.token
            && let Ok(header) = read_token(tokio::fs::read_to_string(path).await, path)
        {
            credentials.header = Some(header);
        }
        if let Some((certificate, key)) = &self.identity
            && let (Ok(certificate), Ok(key)) = (tokio::fs::read(certificate).await, tokio::fs::read(key).await)
        {
            credentials.identity = Some(Arc::new(Identity { certificate, key }));
        }
        credentials
    }
}

/// Returns the files of a certificate and its key, unless the configuration itself has one of them.
fn files_of_identity(user: &AuthInfo) -> Option<(PathBuf, PathBuf)> {
    let has_data = user.client_certificate_data.is_some() || user.client_key_data.is_some();
    let (certificate, key) = (user.client_certificate.as_ref()?, user.client_key.as_ref()?);
    (!has_data).then(|| (certificate.into(), key.into()))
}

fn read_pem(path: &Path) -> Result<Vec<u8>, AuthError> {
    std::fs::read(path).map_err(|error| {
        AuthError::AuthExec(format!(
            "the file {} of the user's client certificate can't be read: {error}",
            path.display()
        ))
    })
}

fn read_token(text: std::io::Result<String>, path: &Path) -> Result<HeaderValue, AuthError> {
    let text = text.map_err(|error| AuthError::ReadTokenFile(error, path.to_owned()))?;
    // Most files end in a newline, which no header may have.
    let token = text.trim();
    if token.is_empty() {
        let empty = std::io::Error::new(std::io::ErrorKind::InvalidData, "it is empty");
        return Err(AuthError::ReadTokenFile(empty, path.to_owned()));
    }
    bearer(token)
}

/// Returns the token of a provider: the ID token that kubectl has written into the kubeconfig.
fn token_of_provider(provider: &AuthProviderConfig) -> Result<String, AuthError> {
    let instead = match provider.name.as_str() {
        "oidc" => match provider.config.get("id-token").filter(|token| !token.is_empty()) {
            Some(token) => return Ok(token.clone()),
            None => {
                "has no `id-token`, and this program gets none: sign in with kubectl, or let a program make the \
                     credentials (`exec`), such as kubelogin (`kubectl oidc-login`)"
            }
        },
        "gcp" => "is one that kubectl has dropped, too: let gke-gcloud-auth-plugin make the credentials (`exec`)",
        "azure" => "is one that kubectl has dropped, too: let kubelogin of Azure make the credentials (`exec`)",
        _ => "is not supported: let a program make the credentials (`exec`)",
    };
    let name: String = provider.name.chars().filter(|character| !character.is_control()).take(50).collect();
    Err(AuthError::AuthExec(format!("the auth-provider `{name}` of the user {instead}")))
}

/// What to do about a login that the API server no longer accepts, and that only kubectl renews.
pub(crate) const KUBECTL_LOGIN_ENDED: &str = "the API server does not accept the `id-token` of the user's auth-provider \
    `oidc`, and this program does not renew it: let kubectl renew it and start again, or let a program make the \
    credentials (`exec`), such as kubelogin (`kubectl oidc-login`)";

/// Returns a secret of a user. Only its serialization shows it.
fn secret(user: &AuthInfo, field: &str) -> Option<String> {
    serde_json::to_value(user).ok()?.get(field)?.as_str().map(str::to_owned)
}

/// Returns the header with a token.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, AuthError> {
    header("Bearer", token)
}

fn header(scheme: &str, secret: &str) -> Result<HeaderValue, AuthError> {
    let header = HeaderValue::try_from(format!("{scheme} {secret}"));
    let mut header = header.map_err(AuthError::InvalidBearerToken)?;
    header.set_sensitive(true);
    Ok(header)
}
