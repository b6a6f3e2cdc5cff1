#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    fn text(&mut self, text: &str) {}

    #[message]
    fn bytes(&mut self, bytes: &mut [u8], more: Vec<&u8>) {}

    #[message]
    fn cow(&mut self, text: std::borrow::Cow<'_, str>) {}

    #[message]
    fn items(&mut self, items: impl Iterator<Item = u8>) {}
}

fn main() {}
