//! Where an actor wants to live: the words for it. What they mean on a machine is the spawn's to say.

use crate::id::{ActorId, NumaNodeId};

/// On which NUMA node an actor lives: for its whole life, restarts included, unless it is moved
/// ([`ActorRef::move_to`](crate::ActorRef::move_to)). Its children follow it unless they say otherwise, so
/// placing a parent places its subtree.
///
/// | choose | for actors that |
/// |---|---|
/// | `Inherit` | talk to their spawner most |
/// | `Near` | talk to some other actor most |
/// | `Key` | share data by a key: equal keys live together |
/// | `Spread` | have no favourite, and are many |
/// | `LeastLoaded` | have no favourite, are few, and work hard from their first message on |
/// | `Node` | serve a device or a memory of that NUMA node |
/// | `Dedicated` | compute for long, or must not wait for others |
///
/// Said per type (`#[actor(placement = ..)]`, [`Actor::options`](crate::Actor::options)), per spawn
/// ([`SpawnBuilder::placement`](crate::SpawnBuilder::placement), which wins), and for a whole subtree
/// ([`SpawnBuilder::children_placement`](crate::SpawnBuilder::children_placement)), which holds for those that
/// say nothing themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Placement {
    /// The spawner's NUMA node; from outside of actors, the same as `Spread`. The default.
    #[default]
    Inherit,
    /// NUMA nodes that have workers, in turn.
    Spread,
    /// The NUMA node with the least to do per worker now: queued actors and busy workers are counted.
    /// In turn where they are equal. The spawn looks at every worker's queue, some 100 ns each.
    LeastLoaded,
    /// That NUMA node, which must have workers.
    Node(NumaNodeId),
    /// The NUMA node that is that actor's home now; if it has stopped, the one it was spawned on.
    Near(ActorId),
    /// The NUMA node that the key falls on: the same for equal keys as long as the NUMA nodes with workers
    /// are the same ones; with one NUMA node more or less, most keys stay where they were (rendezvous
    /// hashing: Thaler and Ravishankar, 1998).
    Key(u64),
    /// The NUMA node of `Inherit`, on a thread of its own; see
    /// [`SpawnBuilder::dedicated`](crate::SpawnBuilder::dedicated), which goes with any other placement, too.
    Dedicated,
}
