//! What the fuzzer calls (`fuzz/`), and `cargo test` with all that it has found: the decoders and machines of all
//! floors that take bytes of other peers, by name. None may panic, and none may hold more than it says.

use crate::wire::fuzz::Target;

/// All of them.
pub(crate) fn targets() -> impl Iterator<Item = (&'static str, Target)> {
    let floors = [
        crate::wire::fuzz::TARGETS,
        crate::membership::fuzz::TARGETS,
        crate::consensus::fuzz::TARGETS,
        crate::remote::fuzz::TARGETS,
        crate::registry::fuzz::TARGETS,
    ];
    floors.into_iter().flatten().copied()
}

#[cfg(test)]
mod tests;
