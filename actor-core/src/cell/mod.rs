//! One actor.
