#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox = 0)]
struct Zero;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox = 60001)]
struct TooLarge;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox = 99999999999999999999999)]
struct Huge;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox = -1)]
struct Negative;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox = "1024")]
struct Quoted;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox = 1.5)]
struct Fraction;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox = bounded)]
struct Word;

fn main() {}
