//! The log: one line for each event, on stderr.
//!
//! [`log_to_stderr`] is the entry point. A line has the fields of its event, and of the spans of rototo around it.

use std::fmt;
use std::io::IsTerminal;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::{Event, Metadata, Subscriber, warn};
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, registry};

/// The filter of libraries. Kube logs each refused watch with everything that it knows, while the operator logs that the
/// state has changed. It also logs an answer that it can't read with its whole body, which may be that of a Secret.
const LIBRARIES: &str = "warn,kube_runtime::watcher=error,kube_client::client=error";

/// The level where none is given.
const LEVEL: &str = "info";
/// The levels of `--log-level`.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Writes the log to stderr, at the level of the flag or of `RUST_LOG`, as text or as JSON.
pub fn log_to_stderr(level: Option<&str>, json: bool) {
    let environment = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let wanted = wanted(level, &environment);
    let filter = parse(wanted);
    let refused = filter.as_ref().err().map(ToString::to_string);
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(directives(LEVEL)));
    let ansi = std::io::stderr().is_terminal();
    subscriber(filter, json, ansi, std::io::stderr).init();
    if let Some(error) = refused {
        warn!(filter = wanted, error, "the log filter can't be used; the level is {LEVEL}");
    }
}

/// Returns the level or filter to use. Directives in `RUST_LOG` come before the flag; a bare level there comes after it.
fn wanted<'a>(flag: Option<&'a str>, environment: &'a str) -> &'a str {
    let environment = environment.trim();
    if is_filter(environment) {
        return environment;
    }
    flag.or(Some(environment)).map(str::trim).filter(|level| !level.is_empty()).unwrap_or(LEVEL)
}

fn is_filter(text: &str) -> bool {
    text.contains(['=', ',', '['])
}

/// Checks the value of `--log-level`.
pub(super) fn check(text: &str) -> Result<String, String> {
    parse(text.trim()).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn parse(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(directives(text))
}

/// Returns the directives that a level stands for: the level itself for the crates of rototo, and warnings of all others.
/// A filter stays as it is.
fn directives(text: &str) -> String {
    let level = text.to_ascii_lowercase();
    match level.as_str() {
        "off" | "error" => level,
        level if LEVELS.contains(&level) => format!("{LIBRARIES},rototo={level}"),
        _ => text.to_owned(),
    }
}

fn subscriber<W>(filter: EnvFilter, json: bool, ansi: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = if json {
        layer().fmt_fields(JsonFields::new()).event_format(JsonLine).with_writer(writer).boxed()
    } else {
        layer().with_ansi(ansi).with_writer(writer).boxed()
    };
    // Kube puts each reconcile into a span, whose long fields would stand before each message.
    let ours = |metadata: &Metadata<'_>| metadata.is_event() || metadata.target().starts_with("rototo");
    registry().with(filter).with(lines.with_filter(filter_fn(ours)))
}

/// One object for each event: its time, level, target, and message, and beside them its fields and those of its spans.
struct JsonLine;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let spans = context.event_scope().into_iter().flat_map(Scope::from_root);
        for span in spans {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>().map(|fields| serde_json::from_str(fields));
            if let Some(Ok(Value::Object(fields))) = fields {
                line.extend(fields);
            }
        }
        let mut fields = String::new();
        context.field_format().format_fields(Writer::new(&mut fields), event)?;
        if let Ok(Value::Object(fields)) = serde_json::from_str(&fields) {
            line.extend(fields);
        }
        let metadata = event.metadata();
        line.insert("timestamp".to_owned(), format!("{:.6}", Timestamp::now()).into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        line.insert("target".to_owned(), metadata.target().into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tracing::{debug, info, info_span};

    use super::*;
    use crate::load::logged::Lines;

    /// Returns the lines of some events of rototo and of its libraries.
    fn lines(level: &str, json: bool) -> Vec<String> {
        let written = Lines::default();
        let writer = written.clone();
        let subscriber = subscriber(parse(level).unwrap(), json, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            let of_kube = info_span!(target: "kube_runtime::controller", "reconciling object", object.reason = "x");
            let of_ours =
                info_span!(target: "rototo_operator::reconcile::poll", "poll", namespace = "prod", name = "policy");
            of_kube.in_scope(|| {
                info!(target: "rototo_operator::reconcile", namespace = "prod", name = "policy", error = "no", "failed");
            });
            of_ours.in_scope(|| debug!(target: "rototo_source::git", revision = "main", "fetched"));
            info!(target: "kube_client::client", "of a library");
            info!(target: "hyper_util::client", "of a library");
            info!(target: "tower::buffer", "of a library");
            info!(target: "h2::codec", "of a library");
            info!(target: "rustls::conn", "of a library");
            warn!(target: "kube_runtime::watcher", "watch list error with 403: Api(Status {{ … }})");
            warn!(target: "kube_client::client", "{{\"kind\":\"Secret\",…}}, Error(…)");
            warn!(target: "tower::buffer", "a warning");
        });
        written.text().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_level_is_for_the_crates_of_rototo_and_libraries_only_warn() {
        let check = |level: &str, messages: &[&str]| {
            let lines = lines(level, false);
            assert_eq!(lines.len(), messages.len(), "{level}: {lines:#?}");
            for (line, message) in lines.iter().zip(messages) {
                assert!(line.contains(message), "{level}: {line}");
            }
        };
        check("debug", &["failed", "fetched", "a warning"]);
        check("info", &["failed", "a warning"]);
        check("WARN", &["a warning"]);
        check("error", &[]);
        check("off", &[]);
        // A filter is used as it is.
        check("rototo_source=debug", &["fetched"]);
    }

    #[test]
    fn directives_in_the_environment_come_before_the_flag_and_a_level_there_after_it() {
        assert_eq!(wanted(None, ""), "info");
        assert_eq!(wanted(None, "debug"), "debug");
        assert_eq!(wanted(Some("warn"), "debug"), "warn");
        assert_eq!(wanted(Some("warn"), "info,kube=debug"), "info,kube=debug");
    }

    #[test]
    fn a_level_or_filter_that_does_not_exist_is_refused() {
        assert!(check("debug").is_ok() && check("info,rototo_operator=debug").is_ok());
        assert!(check("rototo=loud").is_err());
    }

    #[test]
    fn a_line_of_text_has_its_own_fields_and_no_span_of_a_library() {
        let lines = lines("debug", false);
        let expected = "INFO rototo_operator::reconcile: failed namespace=\"prod\" name=\"policy\" error=\"no\"";
        assert_eq!(lines[0].split_once(' ').unwrap().1.trim_start(), expected);
        assert!(
            lines[1].contains("poll{namespace=\"prod\" name=\"policy\"}: rototo_source::git: fetched"),
            "{}",
            lines[1]
        );
        assert!(!lines.concat().contains('\u{1b}'), "{lines:#?}");
    }

    #[test]
    fn a_line_of_json_has_the_fields_of_its_event_and_of_our_spans_beside_its_message() {
        let lines: Vec<Value> = lines("debug", true).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let check = |line: &Value, expected: Value| {
            let mut line = line.clone();
            let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert!(time.as_str().unwrap().parse::<Timestamp>().is_ok(), "{time}");
            assert_eq!(line, expected);
        };
        let failed = json!({ "level": "INFO", "target": "rototo_operator::reconcile", "message": "failed",
            "namespace": "prod", "name": "policy", "error": "no" });
        check(&lines[0], failed);
        let fetched = json!({ "level": "DEBUG", "target": "rototo_source::git", "message": "fetched",
            "namespace": "prod", "name": "policy", "revision": "main" });
        check(&lines[1], fetched);
    }
}
