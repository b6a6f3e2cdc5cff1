#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Message)]
#[message(crate = crate::support::actor_core, replies = u8)]
struct Slip;

#[derive(actor_macros::Message)]
#[message(crate = crate::support::actor_core, reply = u8, reply = u8)]
struct Twice;

#[derive(actor_macros::Message)]
#[message(crate = crate::support::actor_core, reply)]
struct NoValue;

#[derive(actor_macros::Message)]
#[message(crate = crate::support::actor_core, reply = "u8")]
struct Quoted;

fn main() {}
