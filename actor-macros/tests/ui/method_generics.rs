#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    fn put<T: Send>(&mut self, value: T) {}

    #[message]
    fn sized<const N: usize>(&mut self, value: [u8; N]) {}

    #[message]
    fn named<'a>(&'a mut self, text: &'a str) {}
}

fn main() {}
