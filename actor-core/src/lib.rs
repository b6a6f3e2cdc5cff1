//! A NUMA-aware actor runtime.
//!
//! Read this file top to bottom and you have the architecture: each floor stands on those above
//! it in this list and never imports from those below (`tests/floors.rs` keeps it so).

// Floor 0. Ground: what every floor stands on.
pub(crate) mod clock;
pub mod id;
pub(crate) mod sync;

// Floor 1. What the machine looks like.
#[cfg(not(actor_loom))]
pub mod topology;

// Floor 2. Memory with a home: one arena per NUMA node, recycled blocks.
#[cfg(not(actor_loom))]
pub(crate) mod memory;

// Floor 3. Who runs next, and on which CPU.
pub(crate) mod scheduler;

// Floor 4. What travels with a message, and how a message waits.
pub(crate) mod mailbox;

// Floor 5. One actor.
#[cfg(not(actor_loom))]
pub(crate) mod cell;

// Floor 6. What happens when an actor fails.
#[cfg(not(actor_loom))]
pub mod supervision;

// Floor 7. What user code sees.
#[cfg(not(actor_loom))]
pub mod context;

// Floor 8. What an operator sees.
#[cfg(not(actor_loom))]
pub mod telemetry;

// Floor 9. The front door.
#[cfg(not(actor_loom))]
pub mod system;
