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

/// A line of YAML with a key.
struct Key {
    indent: usize,
    name: String,
    comment: String,
}

fn table(commented: &str, values: &Value) -> anyhow::Result<String> {
    let (mut out, mut comment, mut keys) = (String::new(), Vec::new(), Vec::<Result<Key, String>>::new());
    for line in commented.lines() {
        let trimmed = line.trim_start();
        if let Some(section) = trimmed.strip_prefix("# @section -- ") {
            keys.push(Err(section.to_owned()));
        } else if let Some(text) = trimmed.strip_prefix('#') {
            comment.push(text.trim());
        } else if let Some((name, _)) = trimmed.split_once(':').filter(|_| !trimmed.starts_with('-')) {
            keys.push(Ok(Key {
                indent: line.len() - trimmed.len(),
                name: name.trim_matches('"').to_owned(),
                comment: comment.join(" "),
            }));
            comment.clear();
        } else {
            comment.clear();
        }
    }
    let mut path: Vec<&Key> = Vec::new();
    // The indent of a described key, below which all lines are its default.
    let mut described: Option<usize> = None;
    for (index, key) in keys.iter().enumerate() {
        let key = match key {
            Ok(key) => key,
            Err(section) => {
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
        let below =
            keys[index + 1..].iter().map_while(|key| key.as_ref().ok()).take_while(|below| below.indent > key.indent);
        if below.into_iter().any(|below| !below.comment.is_empty()) {
            continue;
        }
        let names: Vec<&str> = path.iter().map(|key| key.name.as_str()).collect();
        let name = names.join(".");
        if key.comment.is_empty() {
            bail!("values.yaml: `{name}` has no comment: describe it in the line above");
        }
        let default = names.iter().try_fold(values, |value, name| value.get(name));
        let default = default.with_context(|| format!("values.yaml: `{name}` is not at that place of the file"))?;
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(out, "| `{name}` | `{}` | {} |", cell(&default.to_string()), cell(&key.comment));
        described = Some(key.indent);
    }
    Ok(out.trim_start().to_owned())
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
