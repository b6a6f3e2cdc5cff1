#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    fn text(&self) -> &str {
        "text"
    }

    #[message]
    fn later(&self) -> impl Future<Output = u8> {
        async { 1 }
    }

    #[message]
    fn entry(&mut self) -> Option<&mut u8> {
        None
    }
}

fn main() {}
