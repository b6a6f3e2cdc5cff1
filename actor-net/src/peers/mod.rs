//! One association with every peer. Nothing yet.
