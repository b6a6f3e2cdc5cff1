#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, significant, restart = permanent)]
struct NeverEnds;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, significant = 1)]
struct Number;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, significant())]
struct List;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, shutdown = "0s")]
struct NoTime;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, shutdown = 5)]
struct NoUnit;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, shutdown = "5")]
struct NoUnitInQuotes;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, shutdown = infinite)]
struct Slip;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, on_panic = ignore)]
struct Ignore;

fn main() {}
