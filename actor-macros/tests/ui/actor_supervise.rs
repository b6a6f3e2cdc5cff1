#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, supervise)]
struct NoList;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, supervise = one_for_all)]
struct NotAList;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, supervise(strategy = one_for_al, period = "0s", auto_shutdown = some))]
struct ThreeAtOnce;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, supervise(stratgy = one_for_all, keep_children = maybe))]
struct Slip;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, supervise(intensity = 10001, strategy, intensity = 3))]
struct TooMany;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, supervise(intensity = 3, period = "1s"), period = "2s", intensity = 4)]
struct Twice;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, supervise(intensity = 3), supervise(period = "1s"))]
struct TwoLists;

fn main() {}
