//! Who is called what. Nothing yet.
