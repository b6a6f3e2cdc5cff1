#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox = 8, overflow = rejct)]
struct Slip;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, restart = never)]
struct Other;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, restart = "permanent")]
struct Quoted;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, placement = 3)]
struct Number;

fn main() {}
