//! The context of a resolution, from the arguments of the command line.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use rototo_engine::ResolveError;
use serde_json::{Map, Value};

use crate::global::UsageError;

/// The most parts of a path. An object nests as deeply as its path has parts, and its readers recurse.
const MAX_PARTS: usize = 64;

/// Returns one object of all `--context` arguments. Objects are merged, and the later argument wins.
pub(crate) fn read_context(arguments: &[String]) -> anyhow::Result<Value> {
    let mut context = Map::new();
    for argument in arguments {
        merge(&mut context, read_argument(argument)?);
    }
    Ok(Value::Object(context))
}

/// The context lacks an attribute whose path it has as a key.
#[derive(Debug, thiserror::Error)]
#[error("{error}, although `{key}` is a key of it: a name with dots is a path of objects")]
pub(crate) struct DottedKey {
    error: ResolveError,
    key: String,
    attribute: String,
}

impl DottedKey {
    /// Returns the remedy, in one line.
    pub(crate) fn advice(&self) -> String {
        let object = |inner: String, part: &str| format!("{{{}: {inner}}}", Value::from(part));
        let nested = self.attribute.rsplit('.').fold("VALUE".to_owned(), object);
        format!("write {nested}, or --context {}=VALUE", self.attribute)
    }
}

/// Returns the error of a resolution with the context that was given.
pub(crate) fn explained(error: ResolveError, given: &Value) -> anyhow::Error {
    let ResolveError::MissingAttribute { attribute, .. } = &error else { return error.into() };
    match dotted_key(given, attribute) {
        Some(key) => DottedKey { key: key.to_owned(), attribute: attribute.to_string(), error }.into(),
        None => error.into(),
    }
}

/// Returns the key with a dot that stands for several parts of the path of an attribute.
fn dotted_key<'a>(context: &'a Value, attribute: &str) -> Option<&'a str> {
    let object = context.as_object()?;
    let is_start = |key: &str| attribute.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let dotted = object.keys().find(|key| key.contains('.') && is_start(key));
    let (first, rest) = attribute.split_once('.')?;
    dotted.map(String::as_str).or_else(|| dotted_key(object.get(first)?, rest))
}

fn read_argument(argument: &str) -> anyhow::Result<Map<String, Value>> {
    if let Some(path) = argument.strip_prefix('@') {
        if path.is_empty() {
            return Err(UsageError("--context @ names no file: write --context @FILE".to_owned()).into());
        }
        let text = read_file(path).with_context(|| format!("the context file {path} can't be read"))?;
        let parsed = parse_object(&text).map_err(anyhow::Error::msg);
        return parsed.with_context(|| format!("the context file {path} is not usable"));
    }
    let parsed = match argument.split_once('=') {
        Some((path, value)) if !argument.trim_start().starts_with('{') => assign(path, value),
        _ => parse_object(argument).map_err(|error| {
            format!("--context `{}` is not usable: {error}", argument.chars().take(200).collect::<String>())
        }),
    };
    parsed.map_err(|error| UsageError(error).into())
}

/// Reads a file, or standard input for `-`. A byte order mark is passed over, as in the documents of a workspace.
fn read_file(path: &str) -> anyhow::Result<String> {
    let bytes = if path == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        bytes
    } else {
        std::fs::read(path)?
    };
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        bail!("it is UTF-16 text, as PowerShell writes it: save it as UTF-8");
    }
    let text = String::from_utf8(bytes).context("it is not UTF-8 text")?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

fn parse_object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("it must be a JSON object, such as {\"account\": {\"id\": \"acct-001\"}}".to_owned()),
        Err(error) => Err(format!("it is neither PATH=VALUE nor JSON: {error}")),
    }
}

/// Parses `account.id=acct-001` into `{"account": {"id": "acct-001"}}`.
fn assign(path: &str, value: &str) -> Result<Map<String, Value>, String> {
    if path.split('.').any(str::is_empty) {
        return Err(format!("--context {path}={value} has an empty part in its path: write it as account.id={value}"));
    }
    if path.split('.').count() > MAX_PARTS {
        let start: String = path.chars().take(40).collect();
        return Err(format!("--context {start}… has a path with too many dots: it may have at most {MAX_PARTS} parts"));
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    let mut parts = path.rsplit('.');
    let innermost = parts.next().unwrap_or_default();
    let single = |key: &str, value| Map::from_iter([(key.to_owned(), value)]);
    Ok(parts.fold(single(innermost, value), |inner, part| single(part, Value::Object(inner))))
}

fn merge(target: &mut Map<String, Value>, source: Map<String, Value>) {
    for (key, value) in source {
        match (target.get_mut(&key), value) {
            (Some(Value::Object(target)), Value::Object(source)) => merge(target, source),
            (_, value) => {
                target.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(arguments: &[&str], expected: &Value) {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        assert_eq!(&read_context(&arguments).unwrap(), expected, "{arguments:?}");
    }

    #[test]
    fn assignments_make_objects_and_read_json_where_it_is_json() {
        check(&[], &json!({}));
        check(&["a.b.c=x"], &json!({"a": {"b": {"c": "x"}}}));
        check(
            &["n=1", "b=true", "l=[1]", "t=\"1\"", "e=", "q=a=b"],
            &json!({"n": 1, "b": true, "l": [1], "t": "1", "e": "", "q": "a=b"}),
        );
    }

    #[test]
    fn objects_are_merged_and_the_later_wins() {
        check(&["{\"a\": {\"x\": 1, \"y\": 1}}", "a.y=2"], &json!({"a": {"x": 1, "y": 2}}));
        check(&["a=1", "a.b=2"], &json!({"a": {"b": 2}}));
        check(&["a.b=2", "a=1"], &json!({"a": 1}));
        check(&[" {\"a\": \"x=y\"}"], &json!({"a": "x=y"}));
    }

    #[test]
    fn a_file_is_read_as_tools_write_it() {
        let directory = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| {
            let path = directory.path().join("context.json");
            std::fs::write(&path, bytes).unwrap();
            read_context(&[format!("@{}", path.display())]).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(read(b"\xef\xbb\xbf{\"a\": 1}"), Ok(json!({"a": 1})));
        assert!(read(b"\xff\xfe{\0}\0").unwrap_err().contains("UTF-16"));
        assert!(read(b"{\"a\": \"\xe9\"}").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn a_key_with_dots_that_stands_for_a_path_is_found() {
        let check =
            |context: Value, expected: Option<&str>| assert_eq!(dotted_key(&context, "account.plan.tier"), expected);
        check(json!({ "account.plan.tier": 1 }), Some("account.plan.tier"));
        check(json!({ "account.plan": { "tier": 1 } }), Some("account.plan"));
        check(json!({ "account": { "plan.tier": 1 } }), Some("plan.tier"));
        for none in [json!({}), json!({ "account": { "plan": 1 } }), json!({ "account.pla": 1, "plan.tier": 1 })] {
            check(none, None);
        }
    }

    #[test]
    fn an_invalid_context_is_refused() {
        let too_deep = format!("{}=1", ["a"; 65].join("."));
        for argument in ["", "@", "[1]", "1", "{", "=x", "a..b=x", ".a=x", "@/nonexistent", &too_deep] {
            assert!(read_context(&[argument.to_owned()]).is_err(), "{argument}");
        }
    }
}
