//! Where actors should live, seen from who talks to whom: pure decisions.
//!
//! - `traffic`: messages between NUMA nodes, counted by the workers that send them, and a sample of whom
//!   they were for;
//! - `placement`: the words for where an actor wants to live;
//! - `lanes`: how messages may travel between them, and how they did;
//! - `balancer`: samples in, moves out. It knows no actor and no clock.
//!
//! The floors above do the sending and the moving.

mod balancer;
mod lanes;
mod placement;
mod traffic;

pub use balancer::Balancing;
pub use lanes::{LaneStats, Lanes};
pub use placement::Placement;
pub use traffic::Edge;

pub(crate) use balancer::Balancer;
pub(crate) use traffic::{Row, SAMPLE_EVERY, Traffic};
