//! The operator's flags. Each is also an environment variable `ROTOTO_OPERATOR_…`.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Parser};
use jiff::SignedDuration;
use rototo_api::names::OPERATOR;

use crate::http::connections::ConnectionLimits;
use crate::http::tls::CertificateSettings;
use crate::leader::LeaseConfig;
use crate::source::disk::DiskLimits;
use crate::source::sources::PollLimits;

/// Publishes the configuration of RototoWorkspaces to the processes of a Kubernetes cluster.
#[derive(Clone, Debug, Parser)]
#[command(name = "rototo-operator", version, mut_args = as_in_environments)]
pub struct Options {
    /// The kubeconfig of the API server. The default is kubectl's kubeconfig, and then the environment of a pod.
    #[arg(long, env = "ROTOTO_OPERATOR_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The operator's own namespace, which has the Secret with its certificate.
    #[arg(long, env = "ROTOTO_OPERATOR_NAMESPACE", value_name = "NAMESPACE", default_value = "rototo-system")]
    pub namespace: String,

    /// The Helm release. Together with the namespace it names this install on the marker maps that it owns.
    #[arg(long, env = "ROTOTO_OPERATOR_RELEASE", value_name = "NAME", default_value = "rototo-operator")]
    pub release: String,

    /// The address at which processes fetch snapshots and report, over HTTPS. `[::]` is any, over IPv6 and IPv4.
    #[arg(long, env = "ROTOTO_OPERATOR_LISTEN", value_name = "ADDRESS:PORT", default_value = "[::]:8443")]
    pub listen: SocketAddr,

    /// The address of `/healthz`, `/readyz`, and `/metrics`, over HTTP.
    #[arg(long, env = "ROTOTO_OPERATOR_METRICS_LISTEN", value_name = "ADDRESS:PORT", default_value = "[::]:8080")]
    pub metrics_listen: SocketAddr,

    /// The URL at which processes reach `--listen`. The operator writes it on the marker maps, and its certificate is
    /// for the URL's host.
    #[arg(long, env = "ROTOTO_OPERATOR_ADVERTISE_URL", value_name = "URL")]
    pub advertise_url: String,

    /// The host name or IP address at which the other replicas of this install reach `--listen`. Without it, this
    /// process is the only one that serves: a second one waits, not ready, until the first has ended.
    #[arg(long, env = "ROTOTO_OPERATOR_PEER_HOST", value_name = "HOST")]
    pub peer_host: Option<String>,

    /// The largest number of connections to `--listen`; each takes some 40 KB. When all are taken, a new connection
    /// takes the place of one that waits for a request, of the address that has the most.
    #[arg(
        long,
        env = "ROTOTO_OPERATOR_CONNECTIONS",
        value_name = "NUMBER",
        default_value_t = 2048,
        value_parser = clap::value_parser!(u32).range(16..=65_536)
    )]
    pub connections: u32,

    /// The largest number of connections to `--listen` from one address. Pods behind a proxy share its address.
    /// When all of these are taken, a new one takes the place of one of the address that waits for a request.
    #[arg(
        long,
        env = "ROTOTO_OPERATOR_CONNECTIONS_PER_ADDRESS",
        value_name = "NUMBER",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(4..=65_536)
    )]
    pub connections_per_address: u32,

    /// The largest number of sources that are polled at once. Others wait for a turn. As many again may be slow: a source
    /// that has not answered after ten seconds leaves its place to others.
    #[arg(
        long,
        env = "ROTOTO_OPERATOR_POLLS",
        value_name = "NUMBER",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub polls: u16,

    /// The largest number of sources of one namespace that are polled at once. Namespaces take turns.
    #[arg(
        long,
        env = "ROTOTO_OPERATOR_POLLS_PER_NAMESPACE",
        value_name = "NUMBER",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub polls_per_namespace: u16,

    /// The largest number of RototoWorkspaces of one namespace whose sources are read: the oldest ones.
    #[arg(
        long,
        env = "ROTOTO_OPERATOR_WORKSPACES_PER_NAMESPACE",
        value_name = "NUMBER",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u16).range(1..=7000)
    )]
    pub workspaces_per_namespace: u16,

    /// The MiB of the data directory for the snapshots of all namespaces, and for what is kept of their sources. It is at
    /// most four fifths of the file system. When it is full, the operator deletes kept repositories, those of the namespace
    /// that uses most first, and fetches them again when it needs them. The snapshots of one namespace may fill an eighth
    /// of the space that those of the others leave free.
    #[arg(
        long,
        env = "ROTOTO_OPERATOR_DISK_MIB",
        value_name = "MIB",
        default_value_t = 8192,
        value_parser = clap::value_parser!(u32).range(64..=16_777_216)
    )]
    pub disk_mib: u32,

    /// The MiB of the data directory that one namespace has, for its snapshots and for what is kept of its sources.
    /// Beyond it, repositories are transferred again, and if its snapshots alone exceed it, new content is refused.
    #[arg(
        long,
        env = "ROTOTO_OPERATOR_DISK_MIB_PER_NAMESPACE",
        value_name = "MIB",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(16..=1_048_576)
    )]
    pub disk_mib_per_namespace: u32,

    /// The OpenTelemetry collector that gets a trace of each change, as `http://HOST:4318`: spans are sent to `/v1/traces`
    /// below it, over OTLP/HTTP. Without it, there are no traces. `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, and
    /// `OTEL_RESOURCE_ATTRIBUTES` are read from the environment.
    #[arg(long, env = "ROTOTO_OPERATOR_OTLP_ENDPOINT", value_name = "URL", value_parser = otlp_endpoint)]
    pub otlp_endpoint: Option<Uri>,

    /// The directory for snapshots and git objects. Its loss costs a new fetch, nothing else.
    #[arg(long, env = "ROTOTO_OPERATOR_DATA_DIR", value_name = "DIR", default_value = "/var/lib/rototo-operator")]
    pub data_dir: PathBuf,

    /// A namespace to watch; may be given several times. The default is all namespaces.
    #[arg(
        long = "watch-namespace",
        env = "ROTOTO_OPERATOR_WATCH_NAMESPACE",
        value_name = "NAMESPACE",
        value_delimiter = ','
    )]
    pub watch_namespaces: Vec<String>,

    /// The Secret with the operator's certificate, in its own namespace. The operator makes it if it is missing.
    #[arg(long, env = "ROTOTO_OPERATOR_TLS_SECRET", value_name = "NAME", default_value = "rototo-operator-tls")]
    pub tls_secret: String,

    /// A Secret of the same namespace, of the type kubernetes.io/tls, with the certificate to serve with, such as
    /// cert-manager makes it: `ca.crt`, `tls.crt`, `tls.key`. It is read again when it changes. Without it, the operator
    /// is its own authority.
    #[arg(long, env = "ROTOTO_OPERATOR_TLS_FROM_SECRET", value_name = "NAME")]
    pub tls_from_secret: Option<String>,

    /// The ValidatingAdmissionPolicy that verifies the users in the annotations with which people control what is published,
    /// and its binding of the same name. Status shows these users while both exist. Without it, status shows `unverified`.
    #[arg(long, env = "ROTOTO_OPERATOR_REQUESTS_POLICY", value_name = "NAME")]
    pub requests_policy: Option<String>,

    /// The number of seconds for which processes trust both authorities, before and after the next one begins to sign.
    /// Processes learn of an authority by their watch within seconds, and within some minutes if that was lost. Below
    /// 600, some may be cut off for a moment. With a day, those that get no answer from the API server for hours are not
    /// cut off either.
    #[arg(
        long,
        env = "ROTOTO_OPERATOR_AUTHORITY_OVERLAP_SECONDS",
        value_name = "SECONDS",
        default_value_t = 86_400,
        value_parser = clap::value_parser!(u32).range(4..=2_592_000)
    )]
    pub authority_overlap_seconds: u32,

    /// The identity of this process on the Lease that lets one operator write at a time. A process that takes the place
    /// of one that has ended should have the same identity. The default is the host's name, which is the pod's name in
    /// a pod.
    #[arg(long, env = "ROTOTO_OPERATOR_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,

    /// The number of seconds for which the Lease holds without being renewed. The operator renews it three times as
    /// often.
    #[arg(
        long,
        env = "ROTOTO_OPERATOR_LEASE_SECONDS",
        value_name = "SECONDS",
        default_value_t = 15,
        value_parser = clap::value_parser!(u16).range(3..=120)
    )]
    pub lease_seconds: u16,

    /// The shortest time between two reports of a process, in seconds. For tests: every window of a fleet depends on
    /// it.
    #[arg(
        long,
        hide = true,
        env = "ROTOTO_OPERATOR_HEARTBEAT_SECONDS",
        value_name = "SECONDS",
        default_value_t = 15,
        value_parser = clap::value_parser!(u16).range(1..=15)
    )]
    pub heartbeat_seconds: u16,

    /// Accept `file:` and `git+file:` sources. Everybody who may create a RototoWorkspace can then read what the
    /// operator can read. It is meant for tests, demos, and mirrors on a volume. It allows loopback sources too.
    #[arg(long, env = "ROTOTO_OPERATOR_ALLOW_FILE_SOURCES")]
    pub allow_file_sources: bool,

    /// Accept sources at loopback addresses, such as a git server in the operator's own pod. Everybody who may create a
    /// RototoWorkspace can then send requests to what listens there. Link-local addresses, the metadata services of
    /// clouds, and the API server are always refused.
    #[arg(long, env = "ROTOTO_OPERATOR_ALLOW_LOOPBACK_SOURCES")]
    pub allow_loopback_sources: bool,

    /// The largest size of all documents of a workspace with its layers, in MiB. A larger workspace is refused. While it is
    /// linted, it takes about twenty times as much memory, so 8 MiB fit into a pod of 512 MiB. The format itself allows 200
    /// MiB.
    #[arg(
        long,
        env = "ROTOTO_OPERATOR_MAX_DOCUMENT_MIB",
        value_name = "MIB",
        default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=200)
    )]
    pub max_document_mib: u16,

    /// The most MiB of the documents of all workspaces that stay parsed in memory, where they take ten to thirty times as much.
    /// A change of these workspaces costs only what it changes; one of any other is read and linted as a whole. Four times
    /// as many MiB hold documents as they are.
    #[arg(
        long,
        env = "ROTOTO_OPERATOR_PARSED_MIB",
        value_name = "MIB",
        default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=65_536)
    )]
    pub parsed_mib: u32,

    /// Serve the page for people below `/ui` of `--listen`. Whoever opens it shows a token with audience `rototo`, and sees
    /// the workspaces that its owner may list or get.
    #[arg(long, env = "ROTOTO_OPERATOR_UI")]
    pub ui: bool,

    /// Run no custom rules. The operator then refuses a workspace that has some.
    #[arg(long, env = "ROTOTO_OPERATOR_NO_LUA")]
    pub no_lua: bool,

    /// The log level: off, error, warn, info, debug, or trace. It is for the operator's own crates; libraries log warnings
    /// only. A filter such as `info,kube=debug` is used as it is. A filter in RUST_LOG overrides this flag. A plain level in
    /// RUST_LOG applies only if this flag is not given. The default is info.
    #[arg(long, env = "ROTOTO_OPERATOR_LOG_LEVEL", value_name = "LEVEL", value_parser = crate::run::log::check)]
    pub log_level: Option<String>,

    /// Write the log as JSON, one object per line.
    #[arg(long, env = "ROTOTO_OPERATOR_LOG_JSON")]
    pub log_json: bool,
}

/// Checks the value of `--otlp-endpoint`.
fn otlp_endpoint(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "it is no URL: use http://HOST:PORT or https://HOST:PORT")?;
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("its scheme must be http or https: use http://HOST:PORT or https://HOST:PORT");
    };
    if authority.as_str().contains('@') {
        return Err("it must have no user name: give the collector's credentials in OTEL_EXPORTER_OTLP_HEADERS");
    }
    if uri.query().is_some() {
        return Err("it must have no query: `/v1/traces` is added to its path");
    }
    Ok(uri)
}

/// Reads a variable as charts and unit files write it: an empty one is not given, and a flag is any of the usual words, such
/// as `1` or `True`.
fn as_in_environments(argument: Arg) -> Arg {
    let Some(text) = argument.get_env().map(std::env::var_os) else { return argument };
    match argument.get_action() {
        _ if text.is_some_and(|text| text.is_empty()) => argument.env(None::<&'static str>),
        ArgAction::SetTrue => argument.value_parser(BoolishValueParser::new()),
        _ => argument,
    }
}

impl Options {
    /// Returns the Lease that this install competes for.
    #[must_use]
    pub fn lease(&self) -> LeaseConfig {
        let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
        LeaseConfig {
            namespace: self.namespace.clone(),
            name: self.release.clone(),
            identity: self.identity.clone().or_else(|| host().ok()).unwrap_or_else(|| OPERATOR.to_owned()),
            duration: Duration::from_secs(self.lease_seconds.into()),
            peer_url: self.peer_url(),
        }
    }

    /// Returns what the operator's certificate for this host depends on.
    pub(crate) fn certificate_settings(&self, host: &str) -> CertificateSettings {
        CertificateSettings {
            namespace: self.namespace.clone(),
            secret: self.tls_secret.clone(),
            provided_secret: self.tls_from_secret.clone(),
            host: host.to_owned(),
            overlap: SignedDuration::from_secs(self.authority_overlap_seconds.into()),
        }
    }

    /// Returns the time for which processes trust two authorities.
    pub(crate) fn authority_overlap(&self) -> Duration {
        Duration::from_secs(self.authority_overlap_seconds.into())
    }

    /// Returns the limits of the connections to `--listen`.
    pub(crate) fn connection_limits(&self) -> ConnectionLimits {
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        ConnectionLimits {
            connections: number(self.connections),
            per_address: number(self.connections_per_address),
            ..ConnectionLimits::default()
        }
    }

    /// Returns the limits of polls. `disk` is the size of the file system of the data directory.
    pub(crate) fn poll_limits(&self, disk: u64) -> PollLimits {
        PollLimits {
            at_once: self.polls.into(),
            per_namespace: self.polls_per_namespace.into(),
            workspaces: self.workspaces_per_namespace.into(),
            documents: u64::from(self.max_document_mib) << 20,
            parsed: u64::from(self.parsed_mib) << 20,
            disk: DiskLimits {
                total: (u64::from(self.disk_mib) << 20).min(disk / 5 * 4),
                per_namespace: u64::from(self.disk_mib_per_namespace) << 20,
            },
        }
    }

    /// Returns the URL at which the other replicas reach this process.
    fn peer_url(&self) -> Option<String> {
        let host = self.peer_host.as_ref()?;
        let host = if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.clone() };
        Some(format!("https://{host}:{}", self.listen.port()))
    }

    /// Returns whether sources may have loopback addresses. `--allow-file-sources` has always meant them too.
    #[must_use]
    pub fn allows_loopback(&self) -> bool {
        self.allow_loopback_sources || self.allow_file_sources
    }

    /// Returns the name of this install on marker maps.
    #[must_use]
    pub fn install(&self) -> String {
        format!("{}/{}", self.namespace, self.release)
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;
    use clap::parser::ValueSource;

    use super::*;

    #[test]
    fn an_empty_variable_is_not_given_and_a_flag_is_any_usual_word() {
        // Cargo sets these for tests: one is empty, and the other is a digit.
        const EMPTY: &str = "CARGO_PKG_LICENSE_FILE";
        const DIGIT: &str = "CARGO_PKG_VERSION_MAJOR";
        let read = |variable: &'static str, action: ArgAction| {
            let command = Command::new("a").arg(Arg::new("a").long("a").env(variable).action(action));
            let matches = command.mut_args(as_in_environments).try_get_matches_from(["a"]).ok()?;
            Some(matches.value_source("a") == Some(ValueSource::EnvVariable))
        };
        assert_eq!([read(EMPTY, ArgAction::SetTrue), read(EMPTY, ArgAction::Set)], [Some(false); 2]);
        assert_eq!(read(DIGIT, ArgAction::SetTrue), Some(true));
    }

    #[test]
    fn a_collector_is_an_http_url_without_login_and_query() {
        for url in ["http://collector:4318", "https://collector.example.com/otlp/", "http://[::1]:4318"] {
            assert!(otlp_endpoint(url).is_ok(), "{url}");
        }
        for (url, why) in [
            ("collector:4317", "scheme"),
            ("grpc://collector:4317", "scheme"),
            ("http://", "URL"),
            ("https://me:pw@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("http://collector/?token=x", "query"),
        ] {
            let error = otlp_endpoint(url).unwrap_err();
            assert!(error.contains(why), "{url}: {error}");
        }
    }
}
