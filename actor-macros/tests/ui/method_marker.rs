#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message(nam = Put)]
    fn slip(&mut self) {}

    #[message(name = "Put")]
    fn quoted(&mut self) {}

    #[message(name)]
    fn no_value(&mut self) {}

    #[message(derive = Debug)]
    fn no_list(&mut self) {}

    #[message(vis = pub)]
    fn visible(&mut self) {}

    #[message]
    #[message(name = Again)]
    fn twice(&mut self) {}

    #[message[name = Square]]
    fn brackets(&mut self) {}
}

fn main() {}
