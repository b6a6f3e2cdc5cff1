//! Who runs next, and on which CPU.
