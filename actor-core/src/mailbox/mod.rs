//! What travels with a message, and how a message waits.
