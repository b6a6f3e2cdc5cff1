#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbx = 8)]
struct Slip;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, colour = red, mailbox = 8)]
struct Other;

fn main() {}
