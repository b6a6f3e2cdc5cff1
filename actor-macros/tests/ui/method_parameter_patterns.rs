#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    fn pair(&mut self, (left, right): (u8, u8)) {}

    #[message]
    fn ignored(&mut self, _: u8) {}

    #[message]
    fn by_ref(&mut self, ref text: String) {}

    #[message]
    fn configured(&mut self, #[cfg(unix)] path: String) {}
}

fn main() {}
