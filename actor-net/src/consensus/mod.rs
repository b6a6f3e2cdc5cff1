//! What all must agree on. Nothing yet.

#[allow(dead_code, reason = "the state that holds it is still to come")]
pub(crate) mod shard_map;
