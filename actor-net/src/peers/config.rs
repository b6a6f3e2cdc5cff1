//! Who this process is to others, and how much it allows them.

use std::fmt;
use std::time::Duration;

use actor_core::Backoff;
use tokio::runtime::Handle;

use crate::id::{ClusterId, Incarnation, PeerId};
use crate::wire::hello::Versions;
use crate::wire::lane::BATCH;
use crate::wire::limits::{InvalidLimit, LANES_MAX, Limits};
use crate::wire::table::MessageTable;

/// What [`Peers`](super::Peers) starts with.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) cluster: ClusterId,
    pub(crate) peer: PeerId,
    /// Greater than that of every life before.
    pub(crate) incarnation: Incarnation,
    /// This machine's NUMA nodes, by the operating system's numbers; one data lane each.
    pub(crate) numa_nodes: Vec<u8>,
    pub(crate) limits: Limits,
    /// The types of messages that are taken here.
    pub(crate) exports: MessageTable,
    /// A reactor for each NUMA node, in the order of `numa_nodes`; lane `i` is driven on number `i` modulo how
    /// many there are, the control connections on the first. With I/O and time enabled.
    pub(crate) runtimes: Vec<Handle>,
    /// The pauses between dials. From 100 ms, doubling to 10 s.
    pub(crate) redial: Backoff,
    /// For tests: other versions than those that are spoken.
    pub(crate) versions: Option<Versions>,
}

impl Config {
    /// With default limits and times.
    pub(crate) fn new(
        cluster: ClusterId,
        peer: PeerId,
        incarnation: Incarnation,
        runtimes: Vec<Handle>,
    ) -> Self {
        Self {
            cluster,
            peer,
            incarnation,
            numa_nodes: vec![0],
            limits: Limits::default(),
            exports: MessageTable::default(),
            runtimes,
            redial: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            versions: None,
        }
    }

    /// `queue_bytes`: what the transport lets wait on a link.
    pub(crate) fn check(&self, queue_bytes: usize) -> Result<(), InvalidConfig> {
        if self.runtimes.is_empty() {
            return Err(InvalidConfig::NoRuntime);
        }
        let numa_nodes = self.numa_nodes.len();
        if numa_nodes == 0 || numa_nodes > LANES_MAX {
            return Err(InvalidConfig::NumaNodes { numa_nodes });
        }
        self.limits.check().map_err(InvalidConfig::Limit)?;
        // A peer may allow frames of a MiB, but none here is longer than this side's own limits.
        let frame = self.limits.control_frame.max(self.limits.lane_frame);
        let min = usize::try_from(frame)
            .unwrap_or(usize::MAX)
            .saturating_add(2 * BATCH);
        if queue_bytes < min {
            return Err(InvalidConfig::Queue {
                bytes: queue_bytes,
                min,
            });
        }
        Ok(())
    }
}

/// A [`Config`] that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum InvalidConfig {
    NoRuntime,
    NumaNodes {
        numa_nodes: usize,
    },
    Limit(InvalidLimit),
    /// `queue_bytes_max` of the transport: a batch and a frame have to fit.
    Queue {
        bytes: usize,
        min: usize,
    },
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime => {
                f.write_str("no runtime to drive connections on; give one for each NUMA node")
            }
            Self::NumaNodes { numa_nodes } => write!(
                f,
                "{numa_nodes} NUMA nodes; allowed are 1 to {LANES_MAX}, put several into one if there are more"
            ),
            Self::Limit(error) => error.fmt(f),
            Self::Queue { bytes, min } => write!(
                f,
                "queue_bytes_max of the transport is {bytes}; with these limits a batch of {min} has to fit"
            ),
        }
    }
}

impl std::error::Error for InvalidConfig {}
