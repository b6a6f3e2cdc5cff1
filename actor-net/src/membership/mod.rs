//! Who is there. Nothing yet.
