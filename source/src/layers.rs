//! Workspaces that build upon others (`extends`).

use rototo_engine::Tree;

use crate::error::Fault;

/// Passes on a workspace that stands for itself.
pub(crate) fn refuse(tree: Tree) -> Result<Tree, Fault> {
    match tree.get("rototo-workspace.toml").is_some_and(|manifest| has_parents(&manifest.bytes)) {
        true => Err(Fault::NotYet("workspaces with `extends`")),
        false => Ok(tree),
    }
}

/// Whether a manifest names parents. One that can't be read has none; lint says what is wrong with it.
fn has_parents(manifest: &[u8]) -> bool {
    let manifest = std::str::from_utf8(manifest).ok().and_then(|text| text.parse::<toml::Table>().ok());
    let extends = manifest.as_ref().and_then(|manifest| manifest.get("extends"));
    extends.and_then(toml::Value::as_array).is_some_and(|parents| !parents.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_manifest_with_parents_has_layers() {
        assert!(has_parents(b"schema_version = 1\nextends = [\"../base\"]\n"));
        for manifest in ["schema_version = 1\n", "extends = []\n", "# extends = [\"a\"]\n", "not toml"] {
            assert!(!has_parents(manifest.as_bytes()), "{manifest}");
        }
    }
}
