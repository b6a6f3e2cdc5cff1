//! How many links there may be, in all and with one peer: counts, and guards that give them back.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A peer: what its links have in common, and where they come from.
type Key = (String, IpAddr);

/// Counts links.
#[derive(Debug)]
pub(crate) struct Quota {
    links_max: usize,
    per_peer: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    of: HashMap<Key, usize>,
}

impl Quota {
    pub(crate) fn new(links_max: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self {
            links_max,
            per_peer,
            counts: Mutex::default(),
        })
    }

    /// A place for a link with this peer; `None` when there is none.
    pub(crate) fn take(self: &Arc<Self>, common: String, ip: IpAddr) -> Option<LinkSlot> {
        let key = (common, ip.to_canonical());
        let mut counts = self.counts();
        if counts.all >= self.links_max {
            return None;
        }
        let of = counts.of.entry(key.clone()).or_default();
        if *of >= self.per_peer {
            return None;
        }
        *of += 1;
        counts.all += 1;
        Some(LinkSlot {
            quota: self.clone(),
            key,
        })
    }

    /// How many links there are.
    pub(crate) fn all(&self) -> usize {
        self.counts().all
    }

    /// Whether there is a place for any link.
    pub(crate) fn has_room(&self) -> bool {
        self.all() < self.links_max
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a link.
#[derive(Debug)]
pub(crate) struct LinkSlot {
    quota: Arc<Quota>,
    key: Key,
}

impl Drop for LinkSlot {
    fn drop(&mut self) {
        let mut counts = self.quota.counts();
        counts.all = counts.all.saturating_sub(1);
        if let Some(of) = counts.of.get_mut(&self.key) {
            *of = of.saturating_sub(1);
            if *of == 0 {
                counts.of.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_peer_and_in_all_and_come_back() {
        let quota = Quota::new(3, 2);
        let at = |n: u8| IpAddr::from([10, 0, 0, n]);
        let a = quota.take("a".into(), at(1)).unwrap();
        let _a2 = quota.take("a".into(), at(1)).unwrap();
        assert!(quota.take("a".into(), at(1)).is_none());
        let _elsewhere = quota.take("a".into(), at(2)).unwrap();
        assert!(quota.take("b".into(), at(3)).is_none());
        assert!(!quota.has_room());
        drop(a);
        assert!(quota.take("a".into(), at(1)).is_some());
        assert_eq!(quota.all(), 2);
    }
}
