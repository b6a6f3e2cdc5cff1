//! Model in, tokens out.
//!
//! What comes out must hold in any crate: every name is written from its root (`::core::..` or the
//! user's `crate =` path), so that a user's own `Result`, `Send` or `Future` does not get in; every
//! public item has docs; no lint fires on what the user did not write. Where the compiler must
//! complain, it does so under the user's token: what is generated for a method is located at its
//! name.

pub(crate) mod actor;
pub(crate) mod message;
pub(crate) mod messages;

mod generics;
mod reach;
mod remote;
