#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor = "mailbox"]
#[actor(crate = crate::support::actor_core)]
struct NotAList;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox, restart = , period("10s"))]
struct NoValues;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, mailbox = 8 restart = permanent)]
struct NoComma;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, 1024)]
struct NoKey;

#[derive(actor_macros::Actor)]
#[actor(crate = "support")]
struct QuotedCrate;

fn main() {}
