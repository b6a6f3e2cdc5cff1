#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Message)]
#[message(crate = crate::support::actor_core, reply = &str)]
struct Borrow;

#[derive(actor_macros::Message)]
#[message(crate = crate::support::actor_core, reply = Result<Vec<u8>, std::borrow::Cow<'_, str>>)]
struct DeepBorrow;

#[derive(actor_macros::Message)]
#[message(crate = crate::support::actor_core, reply = impl Iterator<Item = u8>)]
struct Opaque;

#[derive(actor_macros::Message)]
#[message(crate = crate::support::actor_core, reply = Vec<_>)]
struct LeftOut;

fn main() {}
