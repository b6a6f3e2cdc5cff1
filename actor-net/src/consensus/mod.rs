//! What all must agree on. Nothing yet.
