//! Where actors should live, seen from who talks to whom: pure decisions.
//!
//! - `traffic`: messages between NUMA nodes, counted by the workers that send them, and a sample of whom
//!   they were for;
//! - `placement`: the words for where an actor wants to live;
//! - `balancer`: samples in, moves out. It knows no actor and no clock.
//!
//! The floors above do the sending and the moving.

mod balancer;
mod placement;
mod traffic;

pub use balancer::Balancing;
pub use placement::Placement;
pub use traffic::Edge;

pub(crate) use balancer::Balancer;
pub(crate) use traffic::{Row, SAMPLE_EVERY, Traffic};
