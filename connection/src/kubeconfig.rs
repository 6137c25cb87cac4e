//! Finds the API server as kubectl does: the files of `KUBECONFIG`, the proxy of a cluster, the proxies of the environment.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use k8s_openapi::serde::Serialize;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::Config;
use kube::config::{Cluster, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use rototo_api::no_proxy;
use serde_json::Value;

use crate::api_error::one_line;

/// The directory in which a pod has the token of its ServiceAccount.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The reason why no API server is known.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A kubeconfig can't be used.
    #[error(transparent)]
    Kubeconfig(KubeconfigError),
    /// A kubeconfig can't be parsed, for this reason. The kube crate also shows the lines around the place, which may have
    /// a token.
    #[error("it is no kubeconfig: {0}")]
    Syntax(String),
    /// The address of the API server has no host.
    #[error("its server `{0}` is no address: write https://HOST:PORT")]
    Server(String),
    /// The program that makes the user's credentials is not here.
    #[error("the program `{program}`, which makes the credentials of its user, is not on PATH{hint}")]
    Plugin {
        /// The program.
        program: String,
        /// What the kubeconfig says about installing it.
        hint: String,
    },
    /// A context is named, and there is no kubeconfig.
    #[error("{0}")]
    Missing(String),
    /// No kubeconfig exists, and the process is in no pod.
    #[error("{kubeconfig}, and this is no pod ({in_cluster})")]
    NoCluster {
        /// The files that are missing.
        kubeconfig: String,
        /// The part of a pod that is missing.
        in_cluster: Box<InClusterError>,
    },
    /// No kubeconfig exists, and the process is in a pod that may not know the API server.
    #[error(
        "{kubeconfig}, and this pod has no token of its ServiceAccount in {SERVICE_ACCOUNT}: set \
         automountServiceAccountToken to true, or mount one there ({in_cluster})"
    )]
    NoToken {
        /// The files that are missing.
        kubeconfig: String,
        /// The file of the ServiceAccount that is missing.
        in_cluster: Box<InClusterError>,
    },
}

impl ConfigError {
    /// Returns the error of a process without a kubeconfig. The kube crate reads the files of the ServiceAccount only where
    /// the environment is that of a pod.
    fn in_cluster(kubeconfig: String, error: InClusterError) -> Self {
        let in_cluster = Box::new(error);
        match *in_cluster {
            InClusterError::ReadDefaultNamespace(_) | InClusterError::ReadCertificateBundle(_) => {
                Self::NoToken { kubeconfig, in_cluster }
            }
            _ => Self::NoCluster { kubeconfig, in_cluster },
        }
    }
}

impl From<KubeconfigError> for ConfigError {
    fn from(error: KubeconfigError) -> Self {
        match error {
            KubeconfigError::Parse(error) => Self::Syntax(one_line(&error.without_snippet().to_string())),
            other => Self::Kubeconfig(other),
        }
    }
}

/// Returns the configuration of a context of a kubeconfig, by default the current one. Without a file it is the one of
/// the files in `KUBECONFIG`, of which missing ones are left out, or of `~/.kube/config`; and if there are none, the
/// one of a pod.
///
/// The proxy is that of the cluster (`proxy-url`), or that of the environment (`HTTPS_PROXY`), unless `NO_PROXY` names
/// the API server, or the API server is on this machine. A pod's own configuration has no proxy.
///
/// # Errors
///
/// A file can't be read or used, or there is none outside of a pod.
pub async fn config(file: Option<&Path>, context: Option<&str>) -> Result<Config, ConfigError> {
    let context = context.filter(|name| !name.is_empty());
    let found = match file {
        Some(file) => Ok(read_file(file)?),
        None => read(std::env::var_os("KUBECONFIG").as_deref(), std::env::home_dir())?,
    };
    let kubeconfig = match found {
        Ok(kubeconfig) => kubeconfig,
        // A context is one of a file.
        Err(kubeconfig) if context.is_some() => return Err(ConfigError::Missing(kubeconfig)),
        Err(kubeconfig) => {
            return Config::incluster().map_err(|error| ConfigError::in_cluster(kubeconfig, error));
        }
    };
    of_kubeconfig(kubeconfig, context).await
}

/// Returns the configuration of a context.
async fn of_kubeconfig(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Config, ConfigError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let cluster = cluster_of(&kubeconfig, context).cloned().unwrap_or_default();
    let own_proxy = cluster.proxy_url.filter(|proxy| !proxy.is_empty());
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.cluster_url = with_scheme(&config)?;
    // kubectl takes an empty file of authorities for none.
    config.root_cert.take_if(|authorities| authorities.is_empty());
    // The crate reads the file once. Named here, it is read again from time to time.
    let is_file = config.root_cert.is_some() && cluster.certificate_authority_data.is_none();
    config.root_cert_file = cluster.certificate_authority.filter(|_| is_file).map(PathBuf::from);
    require_plugin(&config)?;
    config.proxy_url = match own_proxy {
        Some(proxy) => Some(proxy.parse().map_err(KubeconfigError::ParseProxyUrl)?),
        // The crate compares NO_PROXY with the address of the proxy.
        None => proxy_from(|name| std::env::var(name).ok(), &config.cluster_url),
    };
    Ok(config)
}

/// Reads and merges the files of a list, or the one of the home directory. Returns what is missing if there are none.
fn read(list: Option<&OsStr>, home: Option<PathBuf>) -> Result<Result<Kubeconfig, String>, KubeconfigError> {
    let listed: Vec<PathBuf> = list.map(|list| std::env::split_paths(list).collect()).unwrap_or_default();
    let mut paths: Vec<PathBuf> = listed.into_iter().filter(|path| !path.as_os_str().is_empty()).collect();
    // Nobody named the file of the home directory, which in a pod may be anything.
    let is_named = !paths.is_empty();
    if !is_named {
        paths.extend(home.map(|home| home.join(".kube/config")));
    }
    let mut merged: Option<Kubeconfig> = None;
    let mut unread = Vec::new();
    for path in &paths {
        match read_file(path) {
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == std::io::ErrorKind::NotFound => {
                unread.push(path.display().to_string());
            }
            Err(KubeconfigError::ReadConfig(error, _)) if !is_named => {
                unread.push(format!("{}: {error}", path.display()));
            }
            read => merged = Some(merged.unwrap_or_default().merge(read?)?),
        }
    }
    // kubectl takes an empty file for none.
    let merged = merged.filter(|merged| !(merged.clusters.is_empty() && merged.contexts.is_empty()));
    Ok(merged.ok_or_else(|| format!("there is no kubeconfig ({})", unread.join(", "))))
}

/// Reads a file. An empty text in it is absent, as for kubectl: programs that write kubeconfigs leave fields empty. Its
/// base64 may have line breaks.
fn read_file(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    let mut kubeconfig = Kubeconfig::read_from(path)?;
    // The crate makes paths absolute, empty ones too.
    let directory = path.parent().map(|parent| parent.join("")).unwrap_or_default();
    let is_empty = |value: &Value| value.as_str().is_some_and(|text| text.is_empty() || Path::new(text) == directory);
    let failed = |_| KubeconfigError::ReadConfig(std::io::ErrorKind::InvalidData.into(), path.to_owned());
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        *cluster = normalized(cluster, |_, value| is_empty(value)).map_err(failed)?;
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        // The password of a named user may be empty.
        let has_name = user.username.as_ref().is_some_and(|name| !name.is_empty());
        *user =
            normalized(user, |field, value| is_empty(value) && !(has_name && field == "password")).map_err(failed)?;
    }
    for context in kubeconfig.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
        context.namespace.take_if(|namespace| namespace.is_empty());
    }
    kubeconfig.current_context.take_if(|name| name.is_empty());
    Ok(kubeconfig)
}

/// Returns a part of a kubeconfig without the fields that are absent, and with its base64 in one line. Only its own
/// serialization shows a secret.
fn normalized<T>(part: &T, is_absent: impl Fn(&str, &Value) -> bool) -> serde_json::Result<T>
where
    T: Serialize + DeserializeOwned,
{
    let mut fields = serde_json::to_value(part)?;
    if let Some(fields) = fields.as_object_mut() {
        let data = fields.iter_mut().filter(|(field, _)| field.ends_with("-data"));
        for (_, value) in data {
            if let Value::String(base64) = value {
                base64.retain(|character| !matches!(character, '\r' | '\n'));
            }
        }
        fields.retain(|field, value| !is_absent(field, value));
    }
    serde_json::from_value(fields)
}

/// Returns the address of the API server. Without a scheme it is https if anything of TLS is configured, as for kubectl.
fn with_scheme(config: &Config) -> Result<Uri, ConfigError> {
    let address = &config.cluster_url;
    let user = &config.auth_info;
    let has_certificate = user.client_certificate.is_some() || user.client_certificate_data.is_some();
    let uses_tls = config.root_cert.is_some() || config.accept_invalid_certs || has_certificate;
    let scheme = if uses_tls { "https" } else { "http" };
    let address = match address.scheme() {
        Some(_) => address.clone(),
        None => format!("{scheme}://{address}").parse().unwrap_or_default(),
    };
    let has_host = address.host().is_some_and(|host| !host.is_empty());
    if has_host { Ok(address) } else { Err(ConfigError::Server(config.cluster_url.to_string())) }
}

/// Refuses a configuration whose credentials a program makes that is not here, with the way to install it.
fn require_plugin(config: &Config) -> Result<(), ConfigError> {
    let user = &config.auth_info;
    // These come before the program, which then does not run.
    let has_login = user.username.is_some() && user.password.is_some();
    let has_other = has_login || user.token.is_some() || user.token_file.is_some();
    let Some(plugin) = user.exec.as_ref().filter(|_| !has_other) else { return Ok(()) };
    let Some(program) = plugin.command.clone() else { return Ok(()) };
    let of_plugin = plugin.env.iter().flatten().rev().find(|one| one.get("name").is_some_and(|name| name == "PATH"));
    let of_plugin = of_plugin.and_then(|path| path.get("value")).map(OsString::from);
    let path = of_plugin.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let is_here = if program.contains('/') {
        Path::new(&program).is_file()
    } else {
        std::env::split_paths(&path).any(|directory| directory.join(&program).is_file())
    };
    if is_here {
        return Ok(());
    }
    let hint = plugin.install_hint.as_deref().map(|hint| format!(": {}", hint.trim())).unwrap_or_default();
    Err(ConfigError::Plugin { program, hint })
}

/// Returns the cluster of a context.
fn cluster_of<'a>(kubeconfig: &'a Kubeconfig, context: Option<&str>) -> Option<&'a Cluster> {
    let name = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == name)?.context.as_ref()?;
    kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster)?.cluster.as_ref()
}

/// Returns the proxy that the environment names for a server, such as the API server.
pub(crate) fn proxy_from(variable: impl Fn(&str) -> Option<String>, server: &Uri) -> Option<Uri> {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_local {
        return None;
    }
    let either = |upper: &str, lower: &str| variable(upper).or_else(|| variable(lower)).filter(|text| !text.is_empty());
    let proxies = [("HTTPS_PROXY", "https_proxy"), ("HTTP_PROXY", "http_proxy"), ("NO_PROXY", "no_proxy")];
    let [https, http, no] = proxies.map(|(upper, lower)| either(upper, lower).unwrap_or_default());
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 });
    if no_proxy::names(&no, host, port) {
        return None;
    }
    let proxy = if server.scheme_str() == Some("http") { &http } else { &https };
    let matcher = Matcher::builder().https(https.clone()).http(http.clone()).build();
    matcher.intercept(server)?;
    // With the login, which the matcher takes out of the address.
    if proxy.contains("://") { proxy.parse().ok() } else { format!("http://{proxy}").parse().ok() }
}

#[cfg(test)]
#[path = "kubeconfig_tests.rs"]
mod tests;
