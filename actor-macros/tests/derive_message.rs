//! `#[derive(Message)]`: the reply, and the bounds a message needs.

mod support;

use std::any::TypeId;

use actor_macros::Message;
use support::actor_core::Message;

fn replies_with<M: Message, R: 'static>() -> bool {
    TypeId::of::<M::Reply>() == TypeId::of::<R>()
}

#[derive(Message)]
#[message(crate = crate::support::actor_core)]
struct Tick;

#[derive(Message)]
#[message(crate = crate::support::actor_core, reply = Result<Vec<u8>, std::io::Error>)]
struct Read {
    _path: String,
}

#[derive(Message)]
#[message(reply = Option<&'static str>)]
#[message(crate = crate::support::actor_core)]
enum Ask {
    _One,
    _Two(u8),
}

#[derive(Message)]
#[message(crate = crate::support::actor_core, reply = Option<T>)]
struct Swap<T, const N: usize>
where
    T: Clone,
{
    _values: [T; N],
}

#[test]
fn the_reply_is_nothing_unless_named() {
    assert!(replies_with::<Tick, ()>());
}

#[test]
fn the_reply_is_the_named_type_with_its_commas() {
    assert!(replies_with::<Read, Result<Vec<u8>, std::io::Error>>());
    assert!(replies_with::<Ask, Option<&'static str>>());
}

#[test]
fn type_parameters_get_the_bounds_a_message_needs() {
    fn generic<T: Clone + Send + 'static>() -> bool {
        replies_with::<Swap<T, 2>, Option<T>>()
    }
    assert!(generic::<String>());
}
