#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, intensity = -1)]
struct Negative;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, intensity = 5000000000)]
struct Large;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, intensity = many)]
struct Word;

fn main() {}
