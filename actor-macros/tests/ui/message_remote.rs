//! What can be said about messages that travel.

use actor_core::{Actor, Message, messages};

#[derive(Message)]
#[message(remote = deposit)]
struct WithoutQuotes;

#[derive(Message)]
#[message(remote = "")]
struct Nameless;

#[derive(Message)]
#[message(remote)]
struct Generic<T>(T);

#[derive(Actor)]
struct Store<T>(T);

#[messages]
impl<T: Send + 'static> Store<T> {
    #[message(remote)]
    fn put(&mut self, value: T) {
        self.0 = value;
    }
}

fn main() {}
