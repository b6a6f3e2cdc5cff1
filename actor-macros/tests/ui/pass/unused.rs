//! Messages nobody sends, in an actor nobody starts but here, warn about nothing.

#![deny(warnings)]

#[path = "../../support/mod.rs"]
mod support;

use actor_macros::{Actor, Message, messages};

#[derive(Actor)]
#[actor(crate = crate::support::actor_core)]
pub struct Store<T>(Vec<T>);

struct Private;

#[messages(crate = crate::support::actor_core)]
impl<T> Store<T> {
    #[message]
    pub fn put(&mut self, value: T) {
        self.0.push(value);
    }

    #[message]
    pub fn last(&mut self) -> Option<T> {
        self.0.pop()
    }

    #[message]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[message]
    async fn hide(&mut self, _secret: Private) -> Private {
        Private
    }
}

#[derive(Message)]
#[message(crate = crate::support::actor_core)]
pub struct Tick;

fn main() {
    let _ = (Store(vec![1]), Tick, Private);
}
