#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    fn close(self) {}

    #[message]
    fn take(mut self: Self) {
        self = Self;
        drop(self);
    }

    #[message]
    fn boxed(self: Box<Self>) {}

    #[message]
    fn open(id: u64) -> Self {
        let _ = id;
        Self
    }
}

fn main() {}
