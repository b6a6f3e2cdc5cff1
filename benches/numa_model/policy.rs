//! What is compared: ours, ours with one part less, and what a runtime does that knows nothing of NUMA.

use crate::lane::Layout;

/// How actors are placed, scheduled and reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) placement: Placed,
    pub(crate) view: View,
    /// How messages go to another NUMA node.
    pub(crate) lanes: Lanes,
    /// Lanes of each ordered pair of NUMA nodes; a target is always reached by the same.
    pub(crate) lanes_per_pair: usize,
    /// The balancer has moved what it wants to move before the run is measured, with this majority in percent.
    pub(crate) balanced: Option<u32>,
    /// Whether workers look beyond their NUMA node at all.
    pub(crate) far: bool,
    /// The LIFO slot is used.
    pub(crate) lifo: bool,
    /// All tasks go through one queue.
    pub(crate) global_queue: bool,
}

/// Where actors are spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// A group where its parent is; parents in turn, or by key.
    ByGroup,
    /// Anywhere.
    Anywhere,
}

/// How messages go to another NUMA node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// Each straight into its mailbox.
    Off,
    /// By batch lane where it pays, by the rule of `crossing`.
    Auto,
    /// The same, by senders that do not look at the target's cell. Not built.
    Unseen,
    /// All of them.
    Always,
    /// Payloads are copied into chunks, which travel at the end of a turn.
    Chunks(Layout),
}

/// What the scheduler knows of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// One home per NUMA node.
    Numa,
    /// One home for all workers: an actor runs on any core, and thieves steal anywhere.
    Flat,
}

pub(crate) const OURS: Policy = Policy {
    name: "ours",
    about: "placement by group, near-first stealing, lanes where they pay, LIFO slot",
    placement: Placed::ByGroup,
    view: View::Numa,
    lanes: Lanes::Auto,
    lanes_per_pair: 1,
    balanced: None,
    far: true,
    lifo: true,
    global_queue: false,
};

/// The one the others are compared with.
pub(crate) const NAIVE: Policy = Policy {
    name: "random stealing",
    about: "no affinity: any core runs any actor, thieves steal anywhere, direct pushes",
    placement: Placed::Anywhere,
    view: View::Flat,
    lanes: Lanes::Off,
    ..OURS
};

/// Ours first.
pub(crate) const ALL: [Policy; 11] = [
    OURS,
    Policy {
        name: "ours, direct push",
        about: "without lanes",
        lanes: Lanes::Off,
        ..OURS
    },
    Policy {
        name: "ours, 4 lanes a pair",
        about: "four lanes per pair of NUMA nodes instead of one, chosen by the target; not built",
        lanes_per_pair: 4,
        ..OURS
    },
    Policy {
        name: "ours, no LIFO slot",
        about: "every task through the ring",
        lifo: false,
        ..OURS
    },
    Policy {
        name: "ours, never far",
        about: "no stealing between NUMA nodes",
        far: false,
        ..OURS
    },
    Policy {
        name: "ours, placed anywhere",
        about: "actors at random NUMA nodes, and staying there",
        placement: Placed::Anywhere,
        ..OURS
    },
    Policy {
        name: "anywhere, balanced",
        about: "placed at random, then moved by the balancer before the measurement (default: 75 % majority)",
        placement: Placed::Anywhere,
        balanced: Some(75),
        ..OURS
    },
    Policy {
        name: "anywhere, balanced at 51 %",
        about: "the same with the lowest majority that can be chosen",
        placement: Placed::Anywhere,
        balanced: Some(51),
        ..OURS
    },
    NAIVE,
    Policy {
        name: "random homes, direct push",
        about: "actors at random NUMA nodes, direct pushes",
        placement: Placed::Anywhere,
        lanes: Lanes::Off,
        ..OURS
    },
    Policy {
        name: "one global queue",
        about: "no affinity, every task through one locked queue",
        lifo: false,
        global_queue: true,
        ..NAIVE
    },
];

impl Policy {
    /// That one with each message straight into its mailbox.
    pub(crate) const fn direct(self) -> Self {
        Self {
            lanes: Lanes::Off,
            ..self
        }
    }
}
