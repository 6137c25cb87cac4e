//! Kubeconfigs as kubectl reads them, and the proxies of the environment.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn chosen(variables: &[(&str, &str)], api_server: &'static str) -> Option<String> {
    let variable = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
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
async fn an_empty_file_of_authorities_is_absent_as_for_kubectl() {
    let config = with("{server: h, certificate-authority: /dev/null}", "{token: t}").await.unwrap();
    assert!(config.root_cert.is_none() && config.root_cert_file.is_none());
    assert_eq!(config.cluster_url.scheme_str(), Some("https"));
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
    let cluster = format!("{{server: 'https://h', certificate-authority-data: \"{}\\r\\n{}\"}}", lines[0], lines[1]);
    let user = "{client-certificate-data: \"\\n\", token: \"a\\nb\"}";
    let config = with(&cluster, user).await.unwrap();
    assert_eq!(config.root_cert, Some(vec![vec![0, 1, 2]]));
    assert_eq!(config.auth_info.client_certificate_data, None);
    assert_eq!(serde_json::to_value(&config.auth_info).unwrap()["token"], "a\nb");
}

#[tokio::test]
async fn a_file_of_authorities_is_read_again_and_authorities_in_the_kubeconfig_stay() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n").unwrap();
    let path = file.path().display();
    let config = with(&format!("{{server: 'https://h', certificate-authority: '{path}'}}"), "{}").await.unwrap();
    assert_eq!((config.root_cert, config.root_cert_file.as_deref()), (Some(vec![vec![0, 1, 2]]), Some(file.path())));
    let data = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBRUMKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";
    let both = format!("{{server: 'https://h', certificate-authority: '{path}', certificate-authority-data: {data}}}");
    assert_eq!(with(&both, "{}").await.unwrap().root_cert_file, None);
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_parsed_is_not_shown() {
    for user in ["{token: s3cr3t, exec: 5}", "{password: [s3cr3t]}", "{exec: s3cr3t}", "{client-key-data: {a: s3cr3t}}"]
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
    let text = |error| ConfigError::in_cluster("there is no kubeconfig (~/.kube/config)".to_owned(), error).to_string();
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    for error in [InClusterError::ReadDefaultNamespace(missing()), InClusterError::ReadCertificateBundle(missing())] {
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
    for no in ["*", "a, *", "10.96.0.1", "10.96.0.1:6443", "10.96.0.0/12", "0.0.0.0/0", "10.96.0.1/32", "10.96.0.1:"] {
        assert!(is_direct(no, by_address), "{no}");
    }
    for no in ["10.96.0.1:443", "10.96.0.1:", "10.96.0.1:443,10.96.0.1", "::ffff:10.96.0.1"] {
        assert!(is_direct(no, "https://10.96.0.1"), "{no}");
    }
    for no in ["", "10.96.0.1:443", "10.96.0.2", "10.97.0.0/16", "10.96.0.1/33", "::/0", "0.1", ":6443", "*.1", "1/8"] {
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
