//! References from one document to a schema in another: relative paths that stay inside the workspace.

use crate::parse::{Parse, Parsed, Schema};

/// The reason for which a reference is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadReference {
    /// The reference is empty, absolute, or leaves the workspace.
    Outside,
    /// No schema exists at this path.
    NotFound(String),
}

impl Parsed {
    /// Returns the schema at `reference`, relative to the document at `path`.
    ///
    /// # Errors
    /// When the reference leaves the workspace, or no schema exists there.
    pub fn schema_at(&self, path: &str, reference: &str) -> Result<&Parse<Schema>, BadReference> {
        let path = target(path, reference).ok_or(BadReference::Outside)?;
        self.schemas.get(&path).ok_or(BadReference::NotFound(path))
    }
}

/// Returns the path in the workspace that `reference` names in the document at `path`.
pub(crate) fn target(path: &str, reference: &str) -> Option<String> {
    if reference.is_empty() || reference.starts_with('/') {
        return None;
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in reference.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_relative_to_their_document_and_stay_inside() {
        let check = |reference, path: Option<&str>| {
            assert_eq!(target("resources/plan.toml", reference).as_deref(), path, "{reference}");
        };
        check("../schemas/plan.json", Some("schemas/plan.json"));
        check("./x.json", Some("resources/x.json"));
        check("../../etc/passwd", None);
        check("/schemas/plan.json", None);
        check("", None);
        check("..", None);
    }
}
