#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    fn put(&mut self) {}

    #[message(name = Put)]
    fn set(&mut self) {}

    #[message]
    fn account(&mut self) {}

    #[message(name = AccountApi)]
    fn api(&mut self) {}

    #[message]
    fn _1(&mut self) {}
}

fn main() {}
