//! Actors by key. Nothing yet.
