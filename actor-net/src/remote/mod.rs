//! Actors over there: how messages are written down. The forwarding itself is being built.

mod export;

pub use export::export;
