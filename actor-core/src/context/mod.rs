//! What user code sees.
