#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, period = "10")]
struct NoUnit;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, period = "1.5s")]
struct Fraction;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, period = 10)]
struct NotQuoted;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, period = "0s")]
struct Zero;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, period = "99999999999999h")]
struct Endless;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, backoff = "10ms")]
struct NoEnd;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, backoff = "5s..10ms")]
struct Reversed;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, backoff = "0ms..1s")]
struct FromZero;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, backoff = "1ms..2 weeks")]
struct Weeks;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, backoff = 10ms..5s)]
struct Bare;

fn main() {}
