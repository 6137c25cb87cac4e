//! A sorted map whose clones share their common entries: a clone, and a change of one entry, cost very little, however
//! many entries there are.
//!
//! The map is a list of sorted chunks. Clones share all chunks, a change copies one, and `SharedMap::changed_since`
//! skips the chunks that two maps share.

use std::sync::Arc;

/// The most entries in a chunk; a change copies half of that on average, and the list of chunks.
const CHUNK: usize = 64;

type Chunk<V> = Arc<Vec<(Arc<str>, V)>>;

/// Values by name, in bytewise order of the names.
///
/// ```
/// use rototo_engine::shared::SharedMap;
///
/// let mut limits = SharedMap::default();
/// limits.insert("small".into(), 10);
/// let before = limits.clone();
/// limits.insert("large".into(), 100);
/// assert_eq!((before.len(), limits.len(), limits.get("large")), (1, 2, Some(&100)));
/// ```
#[derive(Clone, Debug)]
pub struct SharedMap<V> {
    /// No chunk is empty, so each has a first name.
    chunks: Vec<Chunk<V>>,
    len: usize,
}

impl<V> Default for SharedMap<V> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<V> SharedMap<V> {
    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the map is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&V> {
        self.get_key_value(name).map(|(_, value)| value)
    }

    /// Returns the stored name, and its value.
    #[must_use]
    pub fn get_key_value(&self, name: &str) -> Option<(&Arc<str>, &V)> {
        let chunk = self.chunks.get(self.chunk_of(name))?;
        let place = find(chunk, name).ok()?;
        chunk.get(place).map(|(name, value)| (name, value))
    }

    /// Returns whether the map has a value of that name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns all names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().map(|(name, value)| (name, value)))
    }

    /// Returns all names in order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().map(|(name, _)| name)
    }

    /// Returns all values in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Returns the entries whose names begin with `prefix`, in order.
    pub(crate) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a V)> {
        let from = self.chunk_of(prefix);
        let entries = self.chunks.get(from..).unwrap_or_default().iter().flat_map(|chunk| chunk.iter());
        let entries = entries.skip_while(move |(name, _)| &**name < prefix);
        entries.take_while(move |(name, _)| name.starts_with(prefix)).map(|(name, value)| (name, value))
    }

    /// Returns the names whose values differ from `before` according to `same`, and those that were added or removed,
    /// in order.
    pub(crate) fn changed_since<'a>(&'a self, before: &'a Self, same: impl Fn(&V, &V) -> bool) -> Vec<&'a Arc<str>> {
        let (mut now, mut then) = (Cursor::new(&self.chunks), Cursor::new(&before.chunks));
        let mut changed = Vec::new();
        loop {
            while now.shares_chunk(&then) {
                now.skip_chunk();
                then.skip_chunk();
            }
            match (now.entry(), then.entry()) {
                (None, None) => return changed,
                (Some((name, value)), Some((old_name, old))) if name == old_name => {
                    if !same(value, old) {
                        changed.push(name);
                    }
                    now.step();
                    then.step();
                }
                (Some((name, _)), old) if old.is_none_or(|(old_name, _)| name < old_name) => {
                    changed.push(name);
                    now.step();
                }
                (_, Some((old_name, _))) => {
                    changed.push(old_name);
                    then.step();
                }
                (Some(_), None) => now.step(),
            }
        }
    }

    /// Returns the chunk that holds `name` if the map has it: the last chunk that begins at or before `name`, or else
    /// the first.
    fn chunk_of(&self, name: &str) -> usize {
        let starts_by = |chunk: &Chunk<V>| chunk.first().is_some_and(|(first, _)| &**first <= name);
        self.chunks.partition_point(starts_by).saturating_sub(1)
    }
}

impl<V: Clone> SharedMap<V> {
    /// Adds or replaces a value, and returns the one it replaces.
    pub fn insert(&mut self, name: Arc<str>, value: V) -> Option<V> {
        let number = self.chunk_of(&name);
        let Some(chunk) = self.chunks.get_mut(number) else {
            self.chunks.push(Arc::new(vec![(name, value)]));
            self.len += 1;
            return None;
        };
        let place = find(chunk, &name);
        let chunk = Arc::make_mut(chunk);
        match place {
            Ok(place) => chunk.get_mut(place).map(|(_, old)| std::mem::replace(old, value)),
            Err(place) => {
                chunk.insert(place, (name, value));
                self.len += 1;
                if chunk.len() > CHUNK {
                    // Names that arrive in order fill their chunks.
                    let half = if place + 1 == chunk.len() { CHUNK } else { CHUNK / 2 };
                    let rest = chunk.split_off(half);
                    // The chunk grew to twice its size for the last entry, and may stay as it is from now on.
                    chunk.shrink_to_fit();
                    self.chunks.insert(number + 1, Arc::new(rest));
                }
                None
            }
        }
    }

    /// Removes a value, and returns it.
    pub fn remove(&mut self, name: &str) -> Option<V> {
        let number = self.chunk_of(name);
        let chunk = self.chunks.get_mut(number)?;
        let place = find(chunk, name).ok()?;
        let chunk = Arc::make_mut(chunk);
        let (_, value) = chunk.remove(place);
        if chunk.is_empty() {
            self.chunks.remove(number);
        }
        self.len -= 1;
        Some(value)
    }

    /// Returns the value of that name, for changing it.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        let number = self.chunk_of(name);
        let chunk = self.chunks.get_mut(number)?;
        let place = find(chunk, name).ok()?;
        Arc::make_mut(chunk).get_mut(place).map(|(_, value)| value)
    }

    /// Returns the value of that name, for changing it; a new value if there is none.
    pub(crate) fn get_mut_or_default(&mut self, name: &Arc<str>) -> Option<&mut V>
    where
        V: Default,
    {
        if !self.contains_key(name) {
            self.insert(Arc::clone(name), V::default());
        }
        self.get_mut(name)
    }
}

fn find<V>(chunk: &[(Arc<str>, V)], name: &str) -> Result<usize, usize> {
    chunk.binary_search_by(|(other, _)| (**other).cmp(name))
}

impl<'a, V> IntoIterator for &'a SharedMap<V> {
    type Item = (&'a Arc<str>, &'a V);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl<V: Clone> FromIterator<(Arc<str>, V)> for SharedMap<V> {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (name, value) in entries {
            map.insert(name, value);
        }
        map
    }
}

/// A position in a map.
struct Cursor<'a, V> {
    chunks: &'a [Chunk<V>],
    place: usize,
}

impl<'a, V> Cursor<'a, V> {
    fn new(chunks: &'a [Chunk<V>]) -> Self {
        Self { chunks, place: 0 }
    }

    fn entry(&self) -> Option<(&'a Arc<str>, &'a V)> {
        let (name, value) = self.chunks.first()?.get(self.place)?;
        Some((name, value))
    }

    fn step(&mut self) {
        self.place += 1;
        if self.chunks.first().is_some_and(|chunk| self.place >= chunk.len()) {
            self.skip_chunk();
        }
    }

    fn shares_chunk(&self, other: &Self) -> bool {
        self.place == 0
            && other.place == 0
            && matches!((self.chunks.first(), other.chunks.first()), (Some(one), Some(two)) if Arc::ptr_eq(one, two))
    }

    fn skip_chunk(&mut self) {
        self.chunks = self.chunks.get(1..).unwrap_or_default();
        self.place = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn name(number: usize) -> Arc<str> {
        format!("{:03}", number % 1000).into()
    }

    /// Pseudo-random numbers, the same each time.
    fn numbers() -> impl Iterator<Item = usize> {
        std::iter::successors(Some(7_usize), |last| Some((last * 1_103_515_245 + 12_345) % 2_147_483_648))
            .map(|n| n >> 8)
    }

    #[test]
    fn it_equals_a_sorted_map_after_any_changes() {
        let (mut shared, mut sorted) = (SharedMap::default(), BTreeMap::new());
        for number in numbers().take(20_000) {
            let name = name(number);
            if number % 3 == 0 {
                assert_eq!(shared.remove(&name), sorted.remove(&name));
            } else {
                assert_eq!(shared.insert(Arc::clone(&name), number), sorted.insert(Arc::clone(&name), number));
            }
            assert_eq!(shared.get(&name), sorted.get(&name));
            assert_eq!(shared.len(), sorted.len());
        }
        assert!(shared.iter().eq(sorted.iter()));
        let with_prefix: Vec<_> = shared.with_prefix("12").collect();
        assert!(!with_prefix.is_empty());
        assert!(with_prefix.into_iter().eq(sorted.iter().filter(|(name, _)| name.starts_with("12"))));
    }

    #[test]
    fn changes_between_two_maps_are_found() {
        let before: SharedMap<usize> = numbers().take(600).map(|number| (name(number), number)).collect();
        let (mut after, mut expected) = (before.clone(), BTreeMap::new());
        for number in numbers().skip(600).take(40) {
            let name = name(number);
            let value = if number % 2 == 0 { after.remove(&name).map(|_| 0) } else { Some(number) };
            if let Some(value) = value.filter(|value| *value > 0) {
                after.insert(Arc::clone(&name), value);
            }
            expected.insert(name, ());
        }
        let differs = |name: &&Arc<str>| before.get(name) != after.get(name);
        let expected: Vec<_> = expected.keys().filter(differs).cloned().collect();
        let found: Vec<_> = after.changed_since(&before, |a, b| a == b).into_iter().cloned().collect();
        assert_eq!(found, expected);
        let back: Vec<_> = before.changed_since(&after, |a, b| a == b).into_iter().cloned().collect();
        assert_eq!(back, expected);
    }

    #[test]
    fn a_change_copies_one_chunk_and_shares_the_others() {
        let before: SharedMap<usize> = (0..1000).map(|number| (name(number), number)).collect();
        let mut after = before.clone();
        after.insert(name(500), 0);
        let shared = after.chunks.iter().zip(&before.chunks).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, before.chunks.len() - 1);
    }
}
