#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, stash = 1_000_001)]
struct TooMany;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, stash = unbounded)]
struct Word;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, stash)]
struct NoNumber;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, trap_links = yes)]
struct Yes;

fn main() {}
