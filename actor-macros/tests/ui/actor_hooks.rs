#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, started = "on_start")]
struct Quoted;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, stopped = Self::on_stop)]
struct Path;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core, terminated = on_end())]
struct Called;

fn main() {}
