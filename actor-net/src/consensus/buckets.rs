//! A map of names that is cheap to keep an old copy of.
//!
//! Readers get the agreed state as a whole, at some version, for as long as they like. A plain map would be copied
//! whole for each change; here it is in 256 parts that copies share, and a change copies the one part it touches.

use std::collections::BTreeMap;
use std::sync::Arc;

const PARTS: usize = 256;

/// Names to values.
#[derive(Clone, Debug)]
pub(crate) struct Buckets<V> {
    parts: Arc<Vec<Arc<BTreeMap<String, V>>>>,
    len: usize,
}

impl<V> Default for Buckets<V> {
    fn default() -> Self {
        let empty = Arc::new(BTreeMap::new());
        Self {
            parts: Arc::new(vec![empty; PARTS]),
            len: 0,
        }
    }
}

impl<V: Clone> Buckets<V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, name: &str) -> Option<&V> {
        self.parts[part_of(name)].get(name)
    }

    pub(crate) fn insert(&mut self, name: String, value: V) -> Option<V> {
        let before = self.part(&name).insert(name, value);
        self.len += usize::from(before.is_none());
        before
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<V> {
        self.get(name)?;
        let before = self.part(name).remove(name);
        self.len -= usize::from(before.is_some());
        before
    }

    /// All, in the same order wherever the same changes were made.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &V)> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    fn part(&mut self, name: &str) -> &mut BTreeMap<String, V> {
        let parts = Arc::make_mut(&mut self.parts);
        Arc::make_mut(&mut parts[part_of(name)])
    }
}

impl<V: Clone> FromIterator<(String, V)> for Buckets<V> {
    fn from_iter<I: IntoIterator<Item = (String, V)>>(values: I) -> Self {
        let mut buckets = Self::default();
        for (name, value) in values {
            buckets.insert(name, value);
        }
        buckets
    }
}

/// FNV-1a, folded: the same on every machine, so that every peer lists the names in the same order.
fn part_of(name: &str) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash >> 32) ^ hash) as usize % PARTS
}
