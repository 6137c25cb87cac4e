//! A hash table by name, in shards that clones share. A lookup costs the same among ten and ten thousand names, and a
//! change copies one shard.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// A power of two. With ten thousand names, a shard holds about forty.
const SHARDS: usize = 256;

/// An item with a name.
pub(crate) trait Named {
    fn name(&self) -> &str;
}

/// Items by name, in no order.
#[derive(Debug)]
pub(crate) struct NameTable<T> {
    shards: Vec<Arc<HashTable<Arc<T>>>>,
}

impl<T: Named> NameTable<T> {
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        let hash = hash(name);
        let shard = self.shards.get(shard_of(hash))?;
        shard.find(hash, |item| item.name() == name).map(|item| &**item)
    }

    /// Returns all items, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// Returns the items of the shards that `other` does not share, in no order.
    pub(crate) fn apart_from<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Arc<T>> {
        let shards = self.shards.iter().zip(&other.shards).filter(|(one, other)| !Arc::ptr_eq(one, other));
        shards.flat_map(|(shard, _)| shard.iter())
    }

    pub(crate) fn insert(&mut self, item: T) {
        let hash = hash(item.name());
        let Some(shard) = self.shards.get_mut(shard_of(hash)).map(Arc::make_mut) else { return };
        match shard.find_mut(hash, |known| known.name() == item.name()) {
            Some(known) => *known = Arc::new(item),
            None => drop(shard.insert_unique(hash, Arc::new(item), |known| crate::compile::table::hash(known.name()))),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        let hash = hash(name);
        let Some(shard) = self.shards.get_mut(shard_of(hash)).map(Arc::make_mut) else { return };
        if let Ok(entry) = shard.find_entry(hash, |known| known.name() == name) {
            entry.remove();
        }
    }
}

impl<T> Default for NameTable<T> {
    fn default() -> Self {
        let empty = Arc::new(HashTable::new());
        Self { shards: std::iter::repeat_n(empty, SHARDS).collect() }
    }
}

impl<T> Clone for NameTable<T> {
    fn clone(&self) -> Self {
        Self { shards: self.shards.clone() }
    }
}

/// Returns a hash with a fixed seed: the names come from a reviewed workspace, not from an attacker.
fn hash(name: &str) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(name.as_bytes());
    hasher.finish()
}

/// Returns the shard of a hash. The table in a shard uses the first and the last bits, so this uses bits between them.
fn shard_of(hash: u64) -> usize {
    usize::try_from(hash >> 32).unwrap_or_default() % SHARDS
}
