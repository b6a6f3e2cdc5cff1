//! A map by actor that is a short list until it is not.
//!
//! Most actors watch nobody, some a handful, a hub 10^5. A list of up to [`FEW`] entries is looked
//! through, which beats hashing; a longer one gets an index beside it, so that entering and leaving stay
//! constant work and 10^5 watchers that come and go are not 10^10 steps.
//!
//! The list is the order of iteration in both shapes, so that a run depends on no hasher's seed.

use std::collections::HashMap;

use crate::id::ActorId;

/// Entries that are looked through one by one.
const FEW: usize = 16;

#[derive(Debug)]
pub(super) struct Few<V> {
    list: Vec<(ActorId, V)>,
    /// Where each stands, if they are many.
    #[expect(clippy::box_collection, reason = "8 bytes in each short list, not 48")]
    index: Option<Box<HashMap<ActorId, u32>>>,
}

impl<V> Default for Few<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Few<V> {
    pub(super) const fn new() -> Self {
        Self {
            list: Vec::new(),
            index: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get_mut(&mut self, actor: ActorId) -> Option<&mut V> {
        let at = self.position(actor)?;
        Some(&mut self.list[at].1)
    }

    /// Sets the value of an actor; returns the one it had.
    pub(super) fn insert(&mut self, actor: ActorId, value: V) -> Option<V> {
        if let Some(at) = self.position(actor) {
            return Some(std::mem::replace(&mut self.list[at].1, value));
        }
        let at = self.list.len() as u32;
        self.list.push((actor, value));
        if let Some(index) = &mut self.index {
            index.insert(actor, at);
        } else if self.list.len() > FEW {
            let index = self.list.iter().zip(0..);
            let index = index.map(|((actor, _), at)| (*actor, at)).collect();
            self.index = Some(Box::new(index));
        }
        None
    }

    pub(super) fn remove(&mut self, actor: ActorId) -> Option<V> {
        let at = self.position(actor)?;
        let (_, value) = self.list.swap_remove(at);
        if let Some(index) = &mut self.index {
            index.remove(&actor);
            if let Some((moved, _)) = self.list.get(at) {
                index.insert(*moved, at as u32);
            }
        }
        // Not at `FEW` already: a list at the border would build its index again and again.
        if self.list.is_empty() {
            *self = Self::new();
        }
        Some(value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ActorId, &V)> {
        self.list.iter().map(|(actor, value)| (*actor, value))
    }

    /// All of it, leaving nothing.
    pub(super) fn take(&mut self) -> Vec<(ActorId, V)> {
        std::mem::take(self).list
    }

    fn position(&self, actor: ActorId) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&actor).map(|at| *at as usize),
            None => self.list.iter().position(|(each, _)| *each == actor),
        }
    }
}

#[cfg(test)]
mod tests;
