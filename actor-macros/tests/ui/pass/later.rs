//! Methods that answer later, and that wait without keeping others waiting.

#![deny(warnings)]

#[path = "../../support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::hash::Hash;

use actor_macros::{Actor, messages};
use support::actor_core::{ActorContext, Reentrant, Reply};

#[derive(Actor)]
#[actor(crate = crate::support::actor_core)]
pub struct Cache<K, V> {
    values: HashMap<K, V>,
    waiting: HashMap<K, Vec<Reply<V>>>,
}

#[messages(crate = crate::support::actor_core)]
impl<K: Eq + Hash + Clone + Send + Sync + 'static, V: Clone + Send + 'static> Cache<K, V> {
    /// Waits until there is a value.
    #[message(deferred)]
    pub fn get(&mut self, key: K, reply: Reply<V>) {
        match self.values.get(&key) {
            Some(value) => reply.send(value.clone()),
            None => self.waiting.entry(key).or_default().push(reply),
        }
    }

    /// With the context, wherever it stands.
    #[message(deferred, name = Peek)]
    pub fn peek(&self, reply: Reply<usize>, _cx: &mut ActorContext<Self>, least: usize) -> () {
        reply.send(self.values.len().max(least));
    }

    #[message(reentrant, derive(Clone))]
    pub async fn refresh(this: Reentrant<Self>, key: K) -> Option<V> {
        std::future::ready(()).await;
        this.with(|cache, _cx| cache.values.get(&key).cloned())
    }

    #[message(reentrant)]
    async fn forget(this: Reentrant<Self>) {
        this.with(|cache, _| cache.values.clear());
    }
}

fn main() {
    let cache = support::start(Cache::<u64, String> {
        values: HashMap::new(),
        waiting: HashMap::new(),
    });
    let _ = (cache.get(1), cache.peek(2), cache.refresh(3), cache.forget());
}
