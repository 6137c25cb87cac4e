//! The README of the chart: its text from `README.in.md`, and a table of the values from the comments of `values.yaml`.
//!
//! [`markdown`] is pure. A comment directly above a key describes it, and `# @section -- Title` begins a section, as
//! helm-docs reads them. A key whose children have comments is a group: each child has a row.

use std::fmt::Write;

use anyhow::{Context, bail};
use serde_json::Value;

/// The line of the text that the table replaces.
const PLACE: &str = "<!-- values -->";

/// Returns the page. `text` is the page without its table, `commented` the text of `values.yaml`, and `values` the same
/// file as a value.
pub fn markdown(text: &str, commented: &str, values: &Value) -> anyhow::Result<String> {
    let (before, after) = text.split_once(PLACE).with_context(|| format!("the text has no line `{PLACE}`"))?;
    Ok(format!("{before}{}{after}", table(commented, values)?.trim_end()))
}

/// A line of YAML that the table shows.
enum Line {
    Section(String),
    Key(Key),
}

/// A line of YAML with a key.
struct Key {
    indent: usize,
    name: String,
    comment: String,
}

fn lines(commented: &str) -> Vec<Line> {
    let (mut lines, mut comment) = (Vec::new(), Vec::new());
    for line in commented.lines() {
        let trimmed = line.trim_start();
        if let Some(section) = trimmed.strip_prefix("# @section -- ") {
            lines.push(Line::Section(section.to_owned()));
        } else if let Some(text) = trimmed.strip_prefix('#') {
            comment.push(text.trim());
        } else if let Some((name, _)) = trimmed.split_once(':').filter(|_| !trimmed.starts_with('-')) {
            lines.push(Line::Key(Key {
                indent: line.len() - trimmed.len(),
                name: name.trim_matches('"').to_owned(),
                comment: comment.join(" "),
            }));
            comment.clear();
        } else {
            comment.clear();
        }
    }
    lines
}

fn table(commented: &str, values: &Value) -> anyhow::Result<String> {
    let lines = lines(commented);
    let mut out = String::new();
    let mut path: Vec<&Key> = Vec::new();
    // The indent of a described key, below which all lines are its default.
    let mut described: Option<usize> = None;
    for (index, line) in lines.iter().enumerate() {
        let key = match line {
            Line::Key(key) => key,
            Line::Section(section) => {
                let heading = "| value | default | description |\n|---|---|---|";
                let _ = write!(out, "\n### {section}\n\n{heading}\n");
                continue;
            }
        };
        if described.is_some_and(|indent| key.indent > indent) {
            continue;
        }
        described = None;
        path.retain(|parent| parent.indent < key.indent);
        path.push(key);
        if is_group(key, &lines[index + 1..]) {
            continue;
        }
        out.push_str(&row(&path, key, values)?);
        described = Some(key.indent);
    }
    Ok(out.trim_start().to_owned())
}

/// Returns whether one of the keys below `key` has a comment.
fn is_group(key: &Key, following: &[Line]) -> bool {
    let keys = following.iter().map_while(|line| match line {
        Line::Key(key) => Some(key),
        Line::Section(_) => None,
    });
    keys.take_while(|below| below.indent > key.indent).any(|below| !below.comment.is_empty())
}

/// Returns the row of `key`, which is the last one of `path`.
fn row(path: &[&Key], key: &Key, values: &Value) -> anyhow::Result<String> {
    let names: Vec<&str> = path.iter().map(|key| key.name.as_str()).collect();
    let name = names.join(".");
    if key.comment.is_empty() {
        bail!("values.yaml: `{name}` has no comment: describe it in the line above");
    }
    let default = names.iter().try_fold(values, |value, name| value.get(name));
    let default = default.with_context(|| format!("values.yaml: `{name}` is not at that place of the file"))?;
    let cell = |text: &str| text.replace('|', "\\|");
    Ok(format!("| `{name}` | `{}` | {} |\n", cell(&default.to_string()), cell(&key.comment)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const VALUES: &str = "# @section -- Image\n\nimage:\n  # The tag.\n  # It has a default.\n  tag: \"\"\n\
                          # @section -- Pod\n\n# Its | resources.\nresources:\n  limits:\n    memory: 1Gi\nlast: [] \n";

    #[test]
    fn each_described_value_has_a_row() {
        let values = json!({ "image": { "tag": "" }, "resources": { "limits": { "memory": "1Gi" } } });
        let columns = "| value | default | description |\n|---|---|---|\n";
        let expected = format!(
            "above\n### Image\n\n{columns}| `image.tag` | `\"\"` | The tag. It has a default. |\n\n### Pod\n\n{columns}\
             | `resources` | `{{\"limits\":{{\"memory\":\"1Gi\"}}}}` | Its \\| resources. |\nbelow"
        );
        let described = VALUES.strip_suffix("last: [] \n").unwrap();
        assert_eq!(markdown("above\n<!-- values -->\nbelow", described, &values).unwrap(), expected);
    }

    #[test]
    fn a_value_without_a_description_is_named() {
        let values = json!({ "image": { "tag": "" }, "resources": {}, "last": [] });
        let error = markdown(PLACE, VALUES, &values).unwrap_err().to_string();
        assert!(error.contains("`last` has no comment"), "{error}");
    }
}
