#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, placement = node)]
struct WithoutANumber;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, placement = node(256))]
struct TooLarge;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, placement = node(0, 1))]
struct Two;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, placement = key("user"))]
struct Text;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, placement = key())]
struct Empty;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, placement = near(other))]
struct Near;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, placement = spred)]
struct Slip;

fn main() {}
