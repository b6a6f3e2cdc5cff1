#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    const fn constant(&self) {}

    #[message]
    unsafe fn careful(&self) {}

    #[message]
    extern "C" fn foreign(&self) {}

    #[message]
    const unsafe extern "C" fn all(&self) {}
}

fn main() {}
