//! The agent's options. Each is also an environment variable.

use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Parser};
use rototo::RefreshOptions;

use crate::connections::address::Address;
use crate::evaluation::event_streams::EventsUri;
use crate::evaluation::request::TargetingAttribute;
use crate::run::error::StartError;

/// Answers OpenFeature evaluations (OFREP 0.3.0) from a workspace that is kept current.
#[derive(Clone, Debug, Parser)]
#[command(name = "rototo-agent", version, mut_args = as_in_environments)]
pub struct Options {
    /// The workspace to follow: kubernetes://NAMESPACE/WORKSPACE, a directory, a git address, or an archive. A token for it
    /// is in ROTOTO_WORKSPACE_TOKEN.
    #[arg(long, env = "ROTOTO_WORKSPACE_SOURCE", value_name = "SOURCE")]
    pub source: Option<String>,

    /// An address to answer at: ADDRESS:PORT, or unix: with an absolute path. May be given several times.
    #[arg(
        long,
        env = "ROTOTO_AGENT_LISTEN",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "127.0.0.1:8016"
    )]
    pub listen: Vec<Address>,

    /// Listen also at addresses that other machines or pods reach, over plain HTTP. Everybody who reaches such an address
    /// can evaluate every variable; a NetworkPolicy or a mesh has to say who may.
    #[arg(long, env = "ROTOTO_AGENT_ALLOW_PLAIN_HTTP")]
    pub allow_plain_http: bool,

    /// The permissions of a Unix socket, as an octal number.
    #[arg(long, env = "ROTOTO_AGENT_SOCKET_MODE", value_name = "MODE", default_value = "660", value_parser = mode)]
    pub socket_mode: u32,

    /// An address of /healthz, /readyz, and /metrics alone, for the kubelet and for Prometheus. It may be any: nothing can be
    /// evaluated there, and no metric has a name or a value of the workspace.
    #[arg(long, env = "ROTOTO_AGENT_PROBES_LISTEN", value_name = "ADDRESS:PORT")]
    pub probes_listen: Option<SocketAddr>,

    /// The attribute that the targeting key of an evaluation fills, such as account.id, where the context does not have it.
    #[arg(long, env = "ROTOTO_AGENT_TARGETING_KEY_ATTRIBUTE", value_name = "PATH", default_value = "targetingKey")]
    pub targeting_key_attribute: TargetingAttribute,

    /// The path at which clients reach the event stream, which bulk answers name. It is another one only behind a proxy that
    /// serves the agent below a path of its own.
    #[arg(long, env = "ROTOTO_AGENT_EVENTS_URI", value_name = "PATH", default_value = "/ofrep/v1/events")]
    pub events_uri: EventsUri,

    /// The number of seconds between two polls of a directory or a git address. Changed files of a directory are noticed at
    /// once, and kubernetes:// is never polled.
    #[arg(
        long,
        env = "ROTOTO_AGENT_PERIOD_SECONDS",
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub period_seconds: u16,

    /// The age, in seconds, of the last confirmation from which on values are given for the reason STALE. The default for
    /// kubernetes:// is the workspace's `staleAfter`; for other sources there is none.
    #[arg(
        long,
        env = "ROTOTO_AGENT_MAX_STALENESS_SECONDS",
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_staleness_seconds: Option<u32>,

    /// The largest body of a request, in KiB. A larger one is answered with 413.
    #[arg(
        long,
        env = "ROTOTO_AGENT_MAX_BODY_KIB",
        value_name = "KIB",
        default_value_t = 256,
        value_parser = clap::value_parser!(u16).range(1..=16_384)
    )]
    pub max_body_kib: u16,

    /// The largest number of connections; each takes some 20 KB. Half of them may be event streams. When all are taken, the
    /// one that has waited longest for a request makes room.
    #[arg(
        long,
        env = "ROTOTO_AGENT_CONNECTIONS",
        value_name = "NUMBER",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(2..=65_536)
    )]
    pub connections: u32,

    /// The number of seconds in which a header, a body, and the reading of an answer have to be complete.
    #[arg(
        long,
        env = "ROTOTO_AGENT_SLOW_SECONDS",
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u16).range(1..=3600)
    )]
    pub slow_seconds: u16,

    /// The number of threads that answer; by default as many as there are processors, and at most 4.
    #[arg(long, env = "ROTOTO_AGENT_THREADS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,

    /// The filter of the log, such as `warn,rototo=debug`. One in RUST_LOG comes before it.
    #[arg(long, env = "ROTOTO_AGENT_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,

    /// Write the log as JSON, one object per line.
    #[arg(long, env = "ROTOTO_AGENT_LOG_JSON")]
    pub log_json: bool,
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

/// The number of threads that is used by default where there are more processors.
const USUAL_THREADS: usize = 4;

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("permissions are three octal digits, such as 660".to_owned()),
    }
}

impl Options {
    /// Returns the number of threads that answer.
    #[must_use]
    pub fn threads(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from).min(USUAL_THREADS);
        self.threads.map_or_else(processors, usize::from)
    }

    /// Refuses addresses that need an intent which is not there.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        match self.listen.iter().find(|address| !address.is_local() && !self.allow_plain_http) {
            Some(address) => Err(StartError::NotLocal(address.clone())),
            None => Ok(()),
        }
    }

    /// Returns the options on which answers depend, as a text that no other ones have.
    pub(crate) fn answers(&self) -> String {
        // Neither of them has a space.
        format!("{} {}", self.targeting_key_attribute, self.events_uri)
    }

    pub(crate) fn source(&self) -> Result<&str, StartError> {
        self.source.as_deref().filter(|source| !source.is_empty()).ok_or(StartError::NoSource)
    }

    /// Returns the options with which the workspace is followed.
    pub(crate) fn refresh(&self) -> RefreshOptions {
        let refresh = RefreshOptions::new().with_period(Duration::from_secs(self.period_seconds.into()));
        match self.max_staleness_seconds {
            Some(seconds) => refresh.with_max_staleness(Duration::from_secs(seconds.into())),
            None => refresh,
        }
    }

    pub(crate) fn body_bytes(&self) -> usize {
        usize::from(self.max_body_kib) << 10
    }

    pub(crate) fn connections(&self) -> usize {
        usize::try_from(self.connections).unwrap_or(usize::MAX)
    }

    /// Returns the largest number of event streams, which never take the places of all who evaluate.
    pub(crate) fn streams(&self) -> usize {
        self.connections() / 2
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_page_about_the_agent_has_every_option() {
        let page = include_str!("../../../docs/other-languages.md");
        let mut described: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("| `--")?.split('`').next()).collect();
        let command = Options::command();
        let mut options: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
        described.sort_unstable();
        options.sort_unstable();
        assert_eq!(described, options);
    }
}
