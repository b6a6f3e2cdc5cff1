#[path = "../support/mod.rs"]
mod support;

trait Speaks {
    fn speak(&self) {}
}

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Speaks for Account {
    #[message]
    fn speak(&self) {}
}

#[actor_macros::messages(crate = crate::support::actor_core)]
fn deposit() {}

#[actor_macros::messages(crate = crate::support::actor_core)]
impl dyn Speaks {
    #[message]
    fn loudly(&self) {}
}

fn main() {}
