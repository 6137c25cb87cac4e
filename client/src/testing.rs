//! Fixtures: files with the expected resolutions of a workspace, for tests of workspaces and applications.
//!
//! [`assert_fixtures`] checks a suite. A suite is a directory with `rototo-fixtures.toml`, which names files with the
//! cases of one variable or qualifier each:
//!
//! ```toml
//! # rototo-fixtures.toml
//! schema_version = 1
//! [[fixture]]
//! path = "variables/service-degradation-policy.toml"
//! target = "variable:service-degradation-policy"
//! ```
//!
//! ```toml
//! # variables/service-degradation-policy.toml
//! schema_version = 1
//! target = "variable:service-degradation-policy"
//! description = "The choice under pressure"
//! [[case]]
//! id = "high"
//! title = "Most accounts are degraded"
//! context = { service = { queue_pressure = "high" }, account = { id = "acct-0001" } }
//! expect = { value_key = "degraded", value = { max_concurrency = 30 } }
//! ```
//!
//! For a workspace without a source, see [`RefreshingWorkspace::fixed`](crate::RefreshingWorkspace::fixed).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rototo_engine::resolve::trace::PredicateTrace;
use rototo_engine::{QualifierTrace, ResolveOptions, VariableTrace};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::workspace::Workspace;
use rototo_engine::Context as ResolveContext;

const SUITE: &str = "rototo-fixtures.toml";

/// The result of [`assert_fixtures`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FixtureAssertionReport {
    /// The number of cases, all of which hold.
    pub cases: usize,
}

/// Resolves every case of a suite, and compares the result with the case. `suite` is the directory of the suite, or the
/// `rototo-fixtures.toml` in it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rototo::Result<()> {
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
/// # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-service/fixtures");
/// let workspace = rototo::Workspace::load(directory).await?;
/// let report = rototo::testing::assert_fixtures(&workspace, fixtures).await?;
/// assert_eq!(report.cases, 6);
/// # Ok(())
/// # }
/// ```
///
/// Dropping the future stops the check.
///
/// # Errors
///
/// [`Error::Fixture`] with a file that can't be read, or with the first case that does not hold: its expected value and
/// the resolved one.
pub async fn assert_fixtures(workspace: &Workspace, suite: impl AsRef<Path>) -> Result<FixtureAssertionReport> {
    let suite = match suite.as_ref() {
        directory if directory.is_dir() => directory.join(SUITE),
        file => file.to_owned(),
    };
    let root = suite.parent().unwrap_or(Path::new("")).to_owned();
    let mut report = FixtureAssertionReport { cases: 0 };
    for entry in read::<Suite>(&suite).await?.fixtures {
        let path = root.join(entry.path);
        let file: FixtureFile = read(&path).await?;
        if file.target != entry.target {
            let reason = format!("its target is {}, and {SUITE} says {}", file.target, entry.target);
            return Err(Error::Fixture { path, reason });
        }
        for case in &file.cases {
            let result = case.check(workspace, &file.target);
            result.map_err(|reason| Error::Fixture {
                path: path.clone(),
                reason: format!("case {}: {reason}", case.id),
            })?;
            report.cases += 1;
        }
    }
    Ok(report)
}

/// Runs tests of a workspace as `rototo test` does: the files `*.toml` in `directory`, which is mostly `tests` beside the
/// documents of a workspace. The tests may also be an application's own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rototo::Result<()> {
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config");
/// # let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/degradation-config/tests");
/// let workspace = rototo::Workspace::load(directory).await?;
/// let report = rototo::testing::assert_tests(&workspace, tests).await?;
/// assert_eq!(report.cases, 5);
/// # Ok(())
/// # }
/// ```
///
/// Dropping the future stops the reading of files.
///
/// # Errors
///
/// [`Error::Fixture`] with a directory or a file that can't be read or has no tests, and with all tests that fail, each by
/// file, line, and case.
pub async fn assert_tests(workspace: &Workspace, directory: impl AsRef<Path>) -> Result<FixtureAssertionReport> {
    /// The most failures in the text of one error.
    const MOST: usize = 20;
    let directory = directory.as_ref();
    let failed = |reason: String| Error::Fixture { path: PathBuf::from(directory), reason };
    let files = test_files(directory).await.map_err(|error| failed(error.to_string()))?;
    let report = workspace.run_tests(&files)?;
    if report.cases == 0 && report.diagnostics.is_empty() {
        return Err(failed("no file *.toml in it has a case".to_owned()));
    }
    if !report.diagnostics.is_empty() {
        let shown = report.diagnostics.iter().take(MOST).map(|found| format!("\n{found}"));
        let all = report.diagnostics.len();
        return Err(failed(format!("{all} of {} checks fail:{}", report.checks, shown.collect::<String>())));
    }
    Ok(FixtureAssertionReport { cases: report.cases })
}

/// Returns the files of a directory with the extension of tests, by name and in order.
async fn test_files(directory: &Path) -> std::io::Result<Vec<(Arc<str>, Arc<[u8]>)>> {
    let mut entries = tokio::fs::read_dir(directory).await?;
    let mut files = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") && !name.starts_with('.') {
            files.push((name.into(), tokio::fs::read(entry.path()).await?.into()));
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a TOML file with schema version 1, the only one.
async fn read<T: DeserializeOwned + Versioned>(path: &Path) -> Result<T> {
    let failed = |reason: String| Error::Fixture { path: PathBuf::from(path), reason };
    let text = tokio::fs::read_to_string(path).await.map_err(|error| failed(error.to_string()))?;
    let read: T = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
    match read.version() {
        1 => Ok(read),
        other => Err(failed(format!("its schema_version is {other}, and only 1 is known"))),
    }
}

trait Versioned {
    fn version(&self) -> u32;
}

impl Versioned for Suite {
    fn version(&self) -> u32 {
        self.schema_version
    }
}

impl Versioned for FixtureFile {
    fn version(&self) -> u32 {
        self.schema_version
    }
}

#[derive(Deserialize)]
struct Suite {
    schema_version: u32,
    #[serde(default, rename = "fixture")]
    fixtures: Vec<SuiteEntry>,
}

#[derive(Deserialize)]
struct SuiteEntry {
    path: String,
    target: String,
}

#[derive(Deserialize)]
struct FixtureFile {
    schema_version: u32,
    target: String,
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    #[serde(default)]
    context: toml::Table,
    expect: Expectation,
}

#[derive(Deserialize)]
struct Expectation {
    value: toml::Value,
    value_key: Option<String>,
    matched: Option<String>,
    matched_rule: Option<usize>,
    matched_qualifier: Option<String>,
    #[serde(default, rename = "bucket")]
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
struct Bucket {
    attribute: String,
    salt: String,
    range: (i64, i64),
    value: u16,
}

type CheckResult = Result<(), String>;

impl Case {
    fn check(&self, workspace: &Workspace, target: &str) -> CheckResult {
        let context = json(toml::Value::Table(self.context.clone()))?;
        let context = ResolveContext::from_json(context).map_err(|error| error.to_string())?;
        let options = ResolveOptions::default();
        let expect = &self.expect;
        match target.split_once(':') {
            Some(("qualifier", id)) => {
                let trace = workspace.trace_qualifier(id, &context, options).map_err(|error| error.to_string())?;
                same("the value", &json(expect.value.clone())?, &Value::Bool(trace.value))?;
                expect.check_buckets(&[trace])
            }
            Some(("variable", id)) => {
                let trace = workspace.trace_variable(id, &context, options).map_err(|error| error.to_string())?;
                expect.check_variable(&trace)?;
                expect.check_buckets(&trace.qualifier_traces)
            }
            _ => Err(format!("its target `{target}` is neither `variable:ID` nor `qualifier:ID`")),
        }
    }
}

impl Expectation {
    fn check_variable(&self, trace: &VariableTrace) -> CheckResult {
        let key = self.value_key.as_deref().ok_or("it expects no `value_key`")?;
        same("the value key", key, trace.resolution.value_key.as_str())?;
        same("the value", &json(self.value.clone())?, &trace.resolution.value)?;
        let matched = trace.rules.iter().find(|rule| rule.matched);
        if let (Some("default"), Some(rule)) = (self.matched.as_deref(), matched) {
            return Err(format!("expected the default, and rule {} matched", rule.index));
        }
        let Some(expected) = self.matched_rule else { return Ok(()) };
        let matched = matched.ok_or_else(|| format!("expected rule {expected} to match, and none did"))?;
        same("the rule that matched", &expected, &matched.index)?;
        self.matched_qualifier.as_ref().map_or(Ok(()), |qualifier| same("its qualifier", qualifier, &matched.qualifier))
    }

    fn check_buckets(&self, traces: &[QualifierTrace]) -> CheckResult {
        let predicates = || traces.iter().flat_map(|trace| &trace.predicates);
        match self.buckets.iter().find(|bucket| !predicates().any(|predicate| bucket.is_of(predicate))) {
            Some(Bucket { attribute, salt, range: (start, end), value }) => Err(format!(
                "no predicate put `{attribute}` with salt `{salt}` and range [{start}, {end}] into bucket {value}"
            )),
            None => Ok(()),
        }
    }
}

impl Bucket {
    fn is_of(&self, predicate: &PredicateTrace) -> bool {
        predicate.bucket.as_ref().is_some_and(|bucket| {
            predicate.attribute == self.attribute
                && bucket.salt == self.salt
                && (i64::from(bucket.start), i64::from(bucket.end)) == self.range
                && bucket.value == self.value
        })
    }
}

fn same<T: PartialEq + fmt::Debug + ?Sized>(what: &str, expected: &T, found: &T) -> CheckResult {
    if expected == found { Ok(()) } else { Err(format!("expected {what} to be {expected:?}, and it is {found:?}")) }
}

fn json(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(number).ok_or("a float is not finite")?.into(),
        toml::Value::Boolean(value) => Value::Bool(value),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(values) => Value::Array(values.into_iter().map(json).collect::<Result<_, _>>()?),
        toml::Value::Table(table) => {
            let members = table.into_iter().map(|(name, value)| Ok::<_, String>((name, json(value)?)));
            Value::Object(members.collect::<Result<_, _>>()?)
        }
    })
}
