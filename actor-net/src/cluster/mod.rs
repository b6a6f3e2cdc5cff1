//! The front door. Nothing yet.
