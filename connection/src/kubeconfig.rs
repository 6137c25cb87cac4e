//! Finds the API server as kubectl does: the files of `KUBECONFIG`, the proxy of a cluster, the proxies of the environment.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use k8s_openapi::serde::Serialize;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::Config;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde_json::Value;

use crate::api_error::one_line;
use crate::no_proxy;

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
    let own_proxy = proxy_of(&kubeconfig, context);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.cluster_url = with_scheme(&config)?;
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

/// Refuses a configuration whose credentials a program makes that is not here. The crate does not name it.
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

/// Returns the proxy of the cluster of a context.
fn proxy_of(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let name = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == name)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster)?.cluster.as_ref()?;
    cluster.proxy_url.clone().filter(|proxy| !proxy.is_empty())
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
    if no_proxy::names(&no, server) {
        return None;
    }
    let proxy = if server.scheme_str() == Some("http") { &http } else { &https };
    let matcher = Matcher::builder().https(https.clone()).http(http.clone()).build();
    matcher.intercept(server)?;
    // With the login, which the matcher takes out of the address.
    if proxy.contains("://") { proxy.parse().ok() } else { format!("http://{proxy}").parse().ok() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn chosen(variables: &[(&str, &str)], api_server: &'static str) -> Option<String> {
        let variable =
            |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        proxy_from(variable, &Uri::from_static(api_server)).map(|proxy| proxy.to_string())
    }

    /// Returns the configuration of a kubeconfig with this cluster and this user.
    async fn with(cluster: &str, user: &str) -> Result<Config, ConfigError> {
        of_text(&format!(
            "{{apiVersion: v1, kind: Config, current-context: a, clusters: [{{name: a, cluster: {cluster}}}], \
             contexts: [{{name: a, context: {{cluster: a, user: a, namespace: ''}}}}], users: [{{name: a, user: {user}}}]}}"
        ))
        .await
    }

    async fn of_text(text: &str) -> Result<Config, ConfigError> {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rototo-kubeconfig-{}-{number}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let read = config(Some(&path), Some("")).await;
        std::fs::remove_file(&path).unwrap();
        read
    }

    #[tokio::test]
    async fn an_empty_field_is_absent_as_for_kubectl() {
        let user = "{username: '', password: '', token: '', tokenFile: '', client-certificate: '', client-key: '', \
                    client-certificate-data: '', client-key-data: '', as: '', as-uid: ''}";
        let cluster = "{server: 'https://h', certificate-authority: '', certificate-authority-data: '', proxy-url: '', \
                       tls-server-name: ''}";
        let config = with(cluster, user).await.unwrap();
        let user = &config.auth_info;
        let texts = [&user.username, &user.token_file, &user.client_certificate, &user.client_certificate_data];
        let others = [&user.client_key, &user.impersonate, &user.impersonate_uid, &config.tls_server_name];
        assert_eq!(texts.into_iter().chain(others).flatten().next(), None);
        for secret in [&user.password, &user.token, &user.client_key_data] {
            assert!(secret.is_none());
        }
        assert_eq!(config.default_namespace, "default");
        let named = with("{server: 'https://h'}", "{username: u, password: ''}").await.unwrap().auth_info;
        assert!(named.username.is_some() && named.password.is_some());
        let user = "{token: t, exec: {apiVersion: v1, command: c, args: [''], env: [{name: A, value: ''}]}}";
        let user = with("{server: 'https://h'}", user).await.unwrap().auth_info;
        assert!(user.token.is_some());
        let exec = user.exec.unwrap();
        assert_eq!((exec.args.unwrap(), exec.env.unwrap()[0]["value"].as_str()), (vec![String::new()], ""));
    }

    #[tokio::test]
    async fn base64_may_have_line_breaks_as_for_kubectl() {
        // A certificate of three bytes.
        let lines = ["LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBRUMK", "LS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="];
        let block = format!("|\n      {}\n      {}\n", lines[0], lines[1]);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- name: a\n  cluster:\n    server: https://h\n    \
             certificate-authority-data: {block}contexts:\n- name: a\n  context: {{cluster: a, user: a}}\nusers:\n- name: a\n  \
             user:\n    client-certificate-data: {block}    client-key-data: {block}"
        );
        let config = of_text(&text).await.unwrap();
        assert_eq!(config.root_cert, Some(vec![vec![0, 1, 2]]));
        let user = serde_json::to_value(&config.auth_info).unwrap();
        for field in ["client-certificate-data", "client-key-data"] {
            assert_eq!(user[field], lines.concat(), "{field}");
        }
        let cluster =
            format!("{{server: 'https://h', certificate-authority-data: \"{}\\r\\n{}\"}}", lines[0], lines[1]);
        let user = "{client-certificate-data: \"\\n\", token: \"a\\nb\"}";
        let config = with(&cluster, user).await.unwrap();
        assert_eq!(config.root_cert, Some(vec![vec![0, 1, 2]]));
        assert_eq!(config.auth_info.client_certificate_data, None);
        assert_eq!(serde_json::to_value(&config.auth_info).unwrap()["token"], "a\nb");
    }

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_parsed_is_not_shown() {
        for user in
            ["{token: s3cr3t, exec: 5}", "{password: [s3cr3t]}", "{exec: s3cr3t}", "{client-key-data: {a: s3cr3t}}"]
        {
            let error = with("{server: 'https://h'}", user).await.unwrap_err();
            let text = crate::with_causes(&error);
            assert!(text.starts_with("it is no kubeconfig: ") && text.contains("line 1"), "{user}: {text}");
            assert!(!text.contains("s3cr3t") && !format!("{error:?}").contains("s3cr3t"), "{user}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_server_without_a_scheme_is_what_it_is_for_kubectl() {
        let url = |config: Config| config.cluster_url.to_string();
        assert_eq!(url(with("{server: 'h:6443'}", "{}").await.unwrap()), "http://h:6443/");
        let insecure = "{server: 'h:6443', insecure-skip-tls-verify: true}";
        assert_eq!(url(with(insecure, "{}").await.unwrap()), "https://h:6443/");
        assert_eq!(url(with("{server: 'https://h/k8s/c'}", "{}").await.unwrap()), "https://h/k8s/c");
        let error = with("{server: '/k8s/c'}", "{}").await.unwrap_err().to_string();
        assert!(error.contains("`/k8s/c` is no address"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_program_for_credentials_is_named() {
        let user = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, installHint: 'get it', \
                    interactiveMode: Never}}";
        let error = with("{server: 'https://h'}", user).await.unwrap_err().to_string();
        assert!(error.contains("`no-such-plugin`") && error.ends_with("PATH: get it"), "{error}");
    }

    #[tokio::test]
    async fn a_program_for_credentials_is_asked_for_only_where_it_would_run() {
        let exec = |more: &str| {
            format!(
                "exec: {{apiVersion: client.authentication.k8s.io/v1, command: own-plugin, interactiveMode: Never{more}}}"
            )
        };
        let user = |more: &str, exec: String| format!("{{{more}{exec}}}");
        for other in ["token: t, ", "tokenFile: /t, ", "username: u, password: p, "] {
            assert!(with("{server: 'https://h'}", &user(other, exec(""))).await.is_ok(), "{other}");
        }
        assert!(with("{server: 'https://h'}", &user("username: u, ", exec(""))).await.is_err());
        let directory = std::env::temp_dir().join(format!("rototo-plugin-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("own-plugin"), "").unwrap();
        let own_path = format!(", env: [{{name: PATH, value: '{}'}}]", directory.display());
        let found = with("{server: 'https://h'}", &user("", exec(&own_path))).await;
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(found.is_ok());
    }

    #[test]
    fn only_a_file_that_somebody_named_has_to_be_readable() {
        // No file can be below this one.
        let home = PathBuf::from("/dev/null");
        let config = home.join(".kube/config");
        let missing = read(None, Some(home)).unwrap().unwrap_err();
        assert!(missing.contains(".kube/config"), "{missing}");
        assert!(read(Some(config.as_os_str()), None).is_err());
    }

    #[test]
    fn a_pod_without_the_token_of_its_service_account_is_named_as_one() {
        let text =
            |error| ConfigError::in_cluster("there is no kubeconfig (~/.kube/config)".to_owned(), error).to_string();
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        for error in [InClusterError::ReadDefaultNamespace(missing()), InClusterError::ReadCertificateBundle(missing())]
        {
            let text = text(error);
            assert!(text.starts_with("there is no kubeconfig (~/.kube/config), and this pod has no token"), "{text}");
            assert!(text.contains("/var/run/secrets/kubernetes.io/serviceaccount"), "{text}");
            assert!(text.contains("automountServiceAccountToken"), "{text}");
        }
        let text = text(InClusterError::ReadEnvironmentVariable(std::env::VarError::NotPresent));
        assert!(text.contains("and this is no pod"), "{text}");
    }

    #[test]
    fn no_proxy_names_the_api_server_and_not_the_proxy() {
        let proxy = ("HTTPS_PROXY", "http://proxy.corp:3128");
        let expected = Some("http://proxy.corp:3128/".to_owned());
        let api = "https://api.example.com:6443";
        assert_eq!(chosen(&[proxy], api), expected);
        assert_eq!(chosen(&[("https_proxy", "proxy.corp:3128")], api), expected);
        assert_eq!(chosen(&[proxy, ("NO_PROXY", "proxy.corp,.corp")], api), expected);
        for no in ["api.example.com", ".example.com", "example.com", "*"] {
            assert_eq!(chosen(&[proxy, ("NO_PROXY", no)], api), None, "{no}");
            assert_eq!(chosen(&[proxy, ("no_proxy", no)], api), None, "{no}");
        }
        assert_eq!(chosen(&[proxy, ("NO_PROXY", "10.0.0.0/8")], "https://10.96.0.1"), None);
        assert_eq!(chosen(&[("HTTP_PROXY", "http://proxy.corp:3128")], api), None);
        assert_eq!(chosen(&[("HTTPS_PROXY", "")], api), None);
    }

    #[test]
    fn no_proxy_may_name_every_server_and_a_port() {
        let is_direct = |no, api| chosen(&[("HTTPS_PROXY", "http://proxy.corp:3128"), ("NO_PROXY", no)], api).is_none();
        let by_address = "https://10.96.0.1:6443";
        for no in
            ["*", "a, *", "10.96.0.1", "10.96.0.1:6443", "10.96.0.0/12", "0.0.0.0/0", "10.96.0.1/32", "10.96.0.1:"]
        {
            assert!(is_direct(no, by_address), "{no}");
        }
        for no in ["10.96.0.1:443", "10.96.0.1:", "10.96.0.1:443,10.96.0.1", "::ffff:10.96.0.1"] {
            assert!(is_direct(no, "https://10.96.0.1"), "{no}");
        }
        for no in
            ["", "10.96.0.1:443", "10.96.0.2", "10.97.0.0/16", "10.96.0.1/33", "::/0", "0.1", ":6443", "*.1", "1/8"]
        {
            assert!(!is_direct(no, by_address), "{no}");
        }
        for no in ["API.example.com:6443", "example.com:6443", ".example.com:6443", "*.example.com:6443", "com"] {
            assert!(is_direct(no, "https://api.Example.com:6443"), "{no}");
        }
        for no in ["api.example.com:443", "ample.com", "i.example.com", ".api.example.com", ".", "*.", ":6443", "**"] {
            assert!(!is_direct(no, "https://api.example.com:6443"), "{no}");
        }
        for no in ["*", "fd00::1", "[fd00::1]:6443", "fd00::/8", "::/0"] {
            assert!(is_direct(no, "https://[fd00::1]:6443"), "{no}");
        }
        for no in ["[fd00::1]:443", "fe00::/8", "0.0.0.0/0", "fd00::1:6443", "[fd00::1]"] {
            assert!(!is_direct(no, "https://[fd00::1]:6443"), "{no}");
        }
        assert_eq!(chosen(&[("HTTP_PROXY", "proxy.corp:3128"), ("NO_PROXY", "h:80")], "http://h/"), None);
    }

    #[test]
    fn a_dot_before_a_domain_of_no_proxy_names_its_subdomains_alone() {
        let proxy = ("HTTPS_PROXY", "http://proxy.corp:3128");
        for no in [".example.com", "*.example.com"] {
            assert!(chosen(&[proxy, ("NO_PROXY", no)], "https://example.com:6443").is_some(), "{no}");
            assert_eq!(chosen(&[proxy, ("NO_PROXY", no)], "https://api.example.com:6443"), None, "{no}");
        }
        assert_eq!(chosen(&[proxy, ("NO_PROXY", "example.com")], "https://example.com:6443"), None);
    }

    #[test]
    fn an_api_server_on_this_machine_needs_no_proxy() {
        for api in ["https://127.0.0.1:6443", "https://localhost:6443", "https://[::1]:6443"] {
            assert_eq!(chosen(&[("HTTPS_PROXY", "http://proxy.corp:3128")], api), None, "{api}");
        }
    }

    #[test]
    fn a_login_stays_in_the_address_of_the_proxy() {
        let chosen = chosen(&[("HTTPS_PROXY", "http://user:p%40ss@proxy.corp:3128")], "https://api.example.com");
        assert_eq!(chosen.as_deref(), Some("http://user:p%40ss@proxy.corp:3128/"));
    }
}
