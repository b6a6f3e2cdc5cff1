#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(
    crate = crate::support::actor_core,
    mailbox = 0,
    overflw = wait,
    restart = always,
    backoff = "5s..1s",
    period = "soon",
)]
struct Hasty<'a>(&'a str);

fn main() {}
