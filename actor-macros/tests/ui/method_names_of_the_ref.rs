#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    fn tell(&self) {}

    #[message]
    fn send(&self) {}

    #[message]
    fn ask(&self) {}

    #[message]
    fn stop(&self) {}

    #[message]
    fn terminated(&self) {}

    #[message]
    fn name(&self) {}

    #[message]
    fn clone(&self) {}
}

fn main() {}
