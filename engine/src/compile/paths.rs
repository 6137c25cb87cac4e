//! The paths into the context that qualifiers read. Each has a number, so that a resolution can remember its value.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::document::shared::SharedMap;
use crate::document::text::same;

/// Longer paths are read from the root: remembering each of their parts takes more memory than it is worth.
const MAX_SHARED_PARTS: usize = 8;

/// Maps up to this size are searched in sequence; comparing lengths first is faster than a binary search.
const SMALL_MAP: usize = 8;

/// The paths and all their prefixes. A path keeps its number, and none is ever removed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    numbers: SharedMap<u32>,
    items: Vec<Path>,
}

/// A path into the context.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    /// The path as the workspace spells it.
    pub(crate) text: Arc<str>,
    pub(crate) way: PathAccess,
}

/// The access to the value at a path.
#[derive(Clone, Debug)]
pub(crate) enum PathAccess {
    /// A key of the context.
    Root(Box<str>),
    /// A key of the value at another path.
    Below(u32, Box<str>),
    /// The whole path, from the root.
    Long,
}

impl Paths {
    /// Returns the number of a path, and assigns one if it has none.
    pub(crate) fn number(paths: &mut Arc<Self>, text: &Arc<str>) -> Option<u32> {
        if let Some(number) = paths.numbers.get(text) {
            return Some(*number);
        }
        let way = match text.rsplit_once('.') {
            None => PathAccess::Root(Box::from(&**text)),
            Some(_) if text.split('.').nth(MAX_SHARED_PARTS).is_some() => PathAccess::Long,
            Some((parent, key)) => PathAccess::Below(Self::number(paths, &Arc::from(parent))?, Box::from(key)),
        };
        let paths = Arc::make_mut(paths);
        let number = u32::try_from(paths.items.len()).ok()?;
        paths.numbers.insert(Arc::clone(text), number);
        paths.items.push(Path { text: Arc::clone(text), way });
        Some(number)
    }

    pub(crate) fn items(&self) -> &[Path] {
        &self.items
    }

    /// Returns whether too many unused paths must have accumulated: each change may leave some behind.
    pub(crate) fn too_many_for(&self, qualifiers: usize) -> bool {
        self.items.len() > 1_000 + 16 * qualifiers
    }
}

impl Path {
    /// Returns the value at the path, from the root.
    pub(crate) fn read<'c>(&self, context: &'c Value) -> Option<&'c Value> {
        self.text.split('.').try_fold(context, child)
    }
}

/// Returns the value of a key.
#[inline]
pub(crate) fn child<'c>(parent: &'c Value, key: &str) -> Option<&'c Value> {
    let map = parent.as_object()?;
    if map.len() > SMALL_MAP { map.get(key) } else { find_key(map, key) }
}

#[inline]
fn find_key<'c>(map: &'c Map<String, Value>, key: &str) -> Option<&'c Value> {
    map.iter().find(|(known, _)| same(known, key)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn number(paths: &mut Arc<Paths>, text: &str) -> u32 {
        Paths::number(paths, &Arc::from(text)).unwrap()
    }

    #[test]
    fn a_path_keeps_its_number_and_shares_the_way_to_it() {
        let mut paths = Arc::new(Paths::default());
        let (code, tier) = (number(&mut paths, "account.region.code"), number(&mut paths, "account.region.tier"));
        assert_eq!(number(&mut paths, "account.region.code"), code);
        let ways = [code, tier].map(|number| &paths.items[number as usize].way);
        let [PathAccess::Below(one, _), PathAccess::Below(two, _)] = ways else { panic!("{ways:?}") };
        assert_eq!((one, paths.items.len()), (two, 4));
    }

    #[test]
    fn very_long_paths_take_no_more_memory_than_their_text() {
        let mut paths = Arc::new(Paths::default());
        number(&mut paths, &"a.".repeat(100_000));
        assert_eq!(paths.items.len(), 1);
    }

    #[test]
    fn each_part_is_a_key_even_an_empty_one() {
        let context = json!({ "": { "": 1 }, "a": { "": { "b": 2 } } });
        let read = |text: &str| Path { text: text.into(), way: PathAccess::Long }.read(&context).cloned();
        assert_eq!((read("."), read("a..b"), read("a.b")), (Some(json!(1)), Some(json!(2)), None));
    }
}
