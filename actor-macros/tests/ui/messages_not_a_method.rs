#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    const LIMIT: u8 = 1;

    #[message]
    fn limit(&self) -> u8 {
        Self::LIMIT
    }
}

fn main() {}
