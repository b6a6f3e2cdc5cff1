#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox = unbounded, overflow = reject)]
struct Both;

fn main() {}
