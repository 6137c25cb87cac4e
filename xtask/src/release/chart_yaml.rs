//! The chart's Chart.yaml, as the values that a registry keeps beside the package.
//!
//! The file has keys with one value or with a list in one line, and nothing else. So few lines read it, and xtask compiles
//! no parser of YAML before its first output.

use std::fs;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use crate::cargo;

/// The path of the file.
const PATH: &str = "charts/rototo-operator/Chart.yaml";

/// The values of the file.
#[derive(Debug)]
pub(crate) struct ChartYaml(Map<String, Value>);

impl ChartYaml {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string(cargo::root().join(PATH)).with_context(|| format!("read {PATH}"))?;
        Self::parse(&text)
    }

    /// Reads `key: value` and `key: [value, value]`. All other lines are refused.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut values = Map::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let plain = !line.contains(" #") && !line.starts_with([' ', '-']);
            let Some((key, value)) = line.split_once(": ").filter(|_| plain) else {
                bail!("{PATH}:{number}: only `key: value` and `key: [value, value]` can be read here: `{line}`");
            };
            let unquoted = |text: &str| json!(text.trim().trim_matches('"'));
            let list = value.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let value = match list {
                Some(list) => Value::Array(list.split(',').map(unquoted).collect()),
                None => unquoted(value),
            };
            values.insert(key.to_owned(), value);
        }
        Ok(Self(values))
    }

    /// Returns the value of a key that has one.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// Returns all values.
    pub(crate) fn values(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_chart_is_read_as_a_parser_of_yaml_reads_it() {
        let text = fs::read_to_string(cargo::root().join(PATH)).unwrap();
        let yaml: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(ChartYaml::parse(&text).unwrap().values(), yaml);
    }

    #[test]
    fn a_line_that_these_lines_do_not_understand_is_named() {
        for wrong in ["maintainers:", "  - name: x", "name: x # a comment", "annotations:\n  a: b"] {
            let error = ChartYaml::parse(wrong).unwrap_err().to_string();
            assert!(error.starts_with("charts/rototo-operator/Chart.yaml:1: "), "{error}");
        }
    }
}
