//! The shape of the documentation, as a user writes it.

#![deny(warnings)]

#[path = "../../support/mod.rs"]
mod support;

use actor_macros::{Actor, messages};
use support::actor_core::ActorContext;

#[derive(Actor)]
#[actor(crate = crate::support::actor_core, mailbox = 1024, overflow = wait, restart = transient)]
struct Account {
    balance: i64,
}

#[derive(Debug)]
struct Insufficient;

#[messages(crate = crate::support::actor_core)]
impl Account {
    #[message]
    fn deposit(&mut self, cents: i64) {
        self.balance += cents;
    }

    #[message]
    fn balance(&self) -> i64 {
        self.balance
    }

    #[message]
    async fn withdraw(
        &mut self,
        cents: i64,
        _cx: &mut ActorContext<Self>,
    ) -> Result<i64, Insufficient> {
        if cents > self.balance {
            return Err(Insufficient);
        }
        self.balance -= cents;
        Ok(self.balance)
    }
}

fn main() {
    let account = support::start(Account { balance: 0 });
    support::reply_of(account.ask(Deposit { cents: 500 }));
    assert_eq!(support::reply_of(account.withdraw(200)).unwrap(), 300);
    assert!(support::reply_of(account.withdraw(700)).is_err());
    assert_eq!(support::reply_of(account.balance()), 300);
}
