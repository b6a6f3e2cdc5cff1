#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

use support::actor_core::{ActorContext, Reentrant, Reply};

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Cache;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Cache {
    #[message(deferred)]
    fn without(&mut self, key: u64) {}

    #[message(deferred)]
    async fn awaits(&mut self, reply: Reply<u64>) {}

    #[message(deferred)]
    fn returns(&mut self, reply: Reply<u64>) -> u64 {
        7
    }

    #[message(deferred)]
    fn two(&mut self, reply: Reply<u64>, other: Reply<u64>) {}

    #[message(deferred)]
    fn borrowed(&mut self, reply: &mut Reply<u64>) {}

    #[message(deferred)]
    fn lends(&mut self, reply: Reply<&str>) {}

    #[message(reentrant)]
    async fn with_self(&mut self, key: u64) {}

    #[message(reentrant)]
    fn plain(this: Reentrant<Self>) {}

    #[message(reentrant)]
    async fn alone(key: u64) {}

    #[message(reentrant)]
    async fn context(this: Reentrant<Self>, cx: &mut ActorContext<Self>) {}

    #[message(deferred, reentrant)]
    fn both(&mut self, reply: Reply<u64>) {}

    #[message(defered)]
    fn misspelt(&mut self) {}
}

fn main() {}
