#![allow(unused_variables, reason = "only the refusals matter here")]

#[path = "../support/mod.rs"]
mod support;

#[derive(actor_macros::Actor)]
#[actor(crate = crate::support::actor_core)]
struct Account;

#[actor_macros::messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    fn deposit(&mut self, cents: i64, note: &str) {}

    #[message]
    fn balance(&self) -> i64 {
        0
    }
}

/// Only the mistakes above are reported: what is right is there, and so are the user's methods.
fn uses(account: support::actor_core::ActorRef<Account>) {
    let _ = account.balance();
    Account.deposit(1, "");
}

fn main() {
    uses(support::start(Account));
}
