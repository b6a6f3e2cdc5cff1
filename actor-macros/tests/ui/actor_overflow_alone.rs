#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, overflow = reject)]
struct Alone;

fn main() {}
