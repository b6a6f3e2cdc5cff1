#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox = 8, mailbox = 9)]
#[actor(crate = crate::support::actor_core)]
struct Twice;

fn main() {}
