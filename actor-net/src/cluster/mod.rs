//! The front door: a process becomes a peer of a cluster.
//!
//! ```text
//!  Cluster::builder(system, "bank") ── start() ──► Cluster
//!                                                    │ lives: one life after the other
//!                                                    ▼
//!                     Life: Peers, Remote, Consensus, and a Driver with the machines
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `builder`, `error` | what can be set, and what can be wrong with it |
//! | `lives` | one life of this peer after the other |
//! | `life` | all floors of one life, joined |
//! | `machines` | membership and groups of one life, joined: pure |
//! | `driver` | the task that drives them |
//! | `entities`, `shards` | actors by key: as users reach them; what a life does for them |
//! | `seeds` | where to look for the first peers |
//! | `status`, `follow` | how this peer stands, and how that is followed |
//! | `look` | connections and shards, for operators |
//! | `troubles` | what went wrong with connections lately |
//! | `groups`, `names` | groups and unique names, as users see them |
//! | `registered`, `ways` | what is behind these, over all lives; from an address to its actor |

mod builder;
mod driver;
mod entities;
mod error;
mod follow;
mod groups;
mod incarnation;
mod life;
mod lives;
mod look;
mod machines;
mod metrics;
mod name;
mod names;
mod published;
mod registered;
mod seeds;
mod shards;
mod status;
mod troubles;
mod ways;

#[cfg(test)]
mod simulated;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actor_core::{Actor, ActorRef, SystemRef};
use serde::Serialize;
use tokio::sync::{broadcast, oneshot};

pub use builder::ClusterBuilder;
pub use error::ClusterError;
pub use follow::Follow;
pub use groups::Groups;
pub use look::{PeerLink, ShardMapView, ShardPlace};
pub use names::Names;
pub use seeds::{SeedError, Seeds};
pub use status::Status;
pub use troubles::Trouble;

pub use crate::consensus::{Bootstrap, ConsensusSettings, Storage};
pub use crate::peers::LinkSettings;

use self::driver::{Input, Work};
use self::lives::Shared;
use crate::id::{ClusterId, Incarnation, PeerId};
use crate::membership::{MemberEvent, View};
use crate::remote::{LookupError, RemoteSpawnError, RemoteStats};

/// This process as a peer of a cluster. A handle: clones are the same peer.
///
/// It takes part until [`leave`](Self::leave); dropping handles ends nothing. When the actor system is shut down
/// without it, the others notice that it does not answer, which takes seconds.
///
/// # Examples
///
/// Two peers, here in one process:
///
/// ```
/// use actor_core::prelude::*;
/// use actor_net::cluster::{Cluster, Seeds};
/// use actor_net::remote::Exports;
/// use serde::{Deserialize, Serialize};
/// use std::time::Duration;
///
/// #[derive(Actor, Default)]
/// struct Account { cents: i64 }
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[message(remote = "bank.deposit", reply = i64)]
/// struct Deposit { cents: i64 }
///
/// impl SyncHandler<Deposit> for Account {
///     fn handle(&mut self, deposit: Deposit, _cx: &mut ActorContext<Self>) -> i64 {
///         self.cents += deposit.cents;
///         self.cents
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// let exports = Exports::new().handles::<Account, Deposit>();
/// system.block_on(async {
///     let peer = |name: &str| {
///         Cluster::builder(system.handle(), "bank").peer(name).exports(exports.clone())
///     };
///     let one = peer("one").start().await?;
///     one.publish("account", system.spawn(Account::default())?);
///
///     let seeds = Seeds::none().endpoint(one.local_addr().into());
///     let two = peer("two").seeds(seeds).start().await?;
///     two.until_up(2, Duration::from_secs(60)).await?;
///     let account = two.lookup::<Account>(one.peer(), "account").await?;
///     assert_eq!(account.ask(Deposit { cents: 100 }).await?, 100);
///
///     two.leave(Duration::from_secs(5)).await;
///     one.leave(Duration::from_secs(5)).await;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

impl Cluster {
    /// Declares a peer of the cluster of that name: 1 to 64 of `a-z A-Z 0-9 - _ .`. Peers of clusters with other
    /// names are refused.
    pub fn builder(system: SystemRef, cluster: &str) -> ClusterBuilder {
        ClusterBuilder::new(system, cluster)
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &ClusterId {
        &self.shared.plan.cluster
    }

    /// This peer's name.
    pub fn peer(&self) -> &PeerId {
        &self.shared.plan.peer
    }

    /// Which of its lives it is in; `None` between two, and after the last.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.shared.life().map(|life| life.incarnation)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }

    /// Follows how it stands.
    pub fn statuses(&self) -> Follow<Status> {
        Follow::new(&self.shared.status)
    }

    /// Who is there, as this peer sees it now.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.borrow().clone()
    }

    /// Follows who is there.
    pub fn views(&self) -> Follow<Arc<View>> {
        Follow::new(&self.shared.view)
    }

    /// The peers that decide, by majority, what all must agree on, as this peer knows now. While that changes, those that
    /// did before: nothing is decided without most of them until the change is finished. None while it looks for others,
    /// between two lives, and after it has left.
    pub fn voters(&self) -> BTreeSet<PeerId> {
        let life = self.shared.life();
        life.map_or_else(BTreeSet::new, |life| life.consensus.voters())
    }

    /// The peer that leads what all must agree on, if this one has heard from it within two of the longest elections (2 s
    /// unless [`ConsensusSettings::election`] says otherwise). While there is none, who is a member, and who has which shard
    /// or unique name, stays as it is; when that lasts for 10 s (ten of the longest elections) the log says so, with the
    /// voters that are gone. None also while this peer looks for others, between two lives, and after it has left.
    pub fn leader(&self) -> Option<PeerId> {
        self.shared.life()?.consensus.leader()
    }

    /// Connections to other peers that did not come about or broke in the last minute, the latest last, at most 16 that
    /// differ: where to look when a peer is alone. The log has them all.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.shared.plan.troubles.lately()
    }

    /// What happens to members from now on, one after the other. A reader that is more than 1,024 behind is told how
    /// many it missed, and looks at the [`view`](Self::view).
    pub fn events(&self) -> broadcast::Receiver<MemberEvent> {
        self.shared.events.subscribe()
    }

    /// Waits until this peer sees so many that are up, itself among them.
    ///
    /// # Errors
    ///
    /// [`NotUp`] after `patience`, or when this peer has left.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn until_up(&self, peers: usize, patience: Duration) -> Result<(), NotUp> {
        let mut views = self.views();
        let enough = views.until(|view| view.up().count() >= peers);
        match tokio::time::timeout(patience, enough).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => Err(NotUp {
                wanted: peers,
                view: self.view(),
                troubles: self.troubles(),
            }),
        }
    }

    /// The actor that a peer, or this one, has published under a name.
    ///
    /// # Errors
    ///
    /// [`LookupError`]: the peer is not known, it has no such name, or it did not answer.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn lookup<A: Actor>(
        &self,
        peer: &PeerId,
        name: &str,
    ) -> Result<ActorRef<A>, LookupError> {
        match self.shared.life() {
            Some(life) => life.remote.lookup(peer, name).await,
            None => Err(LookupError::Unknown {
                peer: peer.to_string(),
            }),
        }
    }

    /// Spawns an actor on a peer, of what that [lets be spawned](crate::remote::Exports::spawns).
    ///
    /// # Errors
    ///
    /// [`RemoteSpawnError`]: the peer is not known, does not let that be spawned, or it did not work there.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves it open whether the actor is spawned.
    pub async fn spawn_on<A: Actor>(
        &self,
        peer: &PeerId,
        name: &str,
        arguments: &impl Serialize,
    ) -> Result<ActorRef<A>, RemoteSpawnError> {
        match self.shared.life() {
            Some(life) => life.remote.spawn(peer, name, arguments).await,
            None => Err(RemoteSpawnError::Unknown {
                peer: peer.to_string(),
            }),
        }
    }

    /// Gives an actor of this process a name that peers find it by, 1 to 255 bytes; whether it was free.
    ///
    /// The name stays when the actor ends, until [`withdraw`](Self::withdraw).
    pub fn publish<A: Actor>(&self, name: &str, actor: ActorRef<A>) -> bool {
        let life = self.shared.life();
        let remote = life.as_ref().map(|life| &life.remote);
        self.shared.published.publish(remote, name, actor)
    }

    /// Takes such a name back; whether somebody had it.
    pub fn withdraw(&self, name: &str) -> bool {
        let life = self.shared.life();
        let remote = life.as_ref().map(|life| &life.remote);
        self.shared.published.withdraw(remote, name)
    }

    /// Names that any number of actors are called by, on all peers.
    pub fn groups(&self) -> Groups {
        Groups::new(self.shared.clone())
    }

    /// Names that one actor of the cluster has at a time.
    pub fn names(&self) -> Names {
        Names::new(self.shared.clone())
    }

    /// What became of messages to and from other peers, in this life; `None` between two.
    pub fn stats(&self) -> Option<RemoteStats> {
        self.shared.life().map(|life| life.remote.stats())
    }

    /// Declares a member down, now, whatever the strategy says: for [`Downing::Manual`](crate::membership::Downing), and
    /// for a person who knows that a peer will not come back. Its present life never returns; the process, if there is
    /// one, goes on as another. Whether there was such a member to declare down.
    ///
    /// # Cancel safety
    ///
    /// It is done all the same.
    pub async fn declare_down(&self, peer: &PeerId) -> bool {
        let Some(life) = self.shared.life() else {
            return false;
        };
        let (tell, told) = oneshot::channel();
        let peer = peer.clone();
        let work: Work = Box::new(move |machines, now| {
            // Nobody may wait any more.
            let _ = tell.send(machines.membership.declare_down(&peer, now));
        });
        // Without a driver this life is over.
        life.inputs.send(Input::Do(work)).is_ok() && told.await.unwrap_or(false)
    }

    /// Leaves in good order: what [entities](Self::entity) this peer has are handed over, others hear of it and take over,
    /// and all connections are closed; within `grace`, of which up to 3 s are given to the others to agree. Returns when
    /// it is done, also to who calls it again.
    ///
    /// First all shards of this peer go to others, and each entity finishes what it has. Then messages for entities are
    /// taken no more from this process (`Dead`), and what it has asked of them is waited for. So no ask of an entity
    /// that was accepted here or elsewhere is lost, if `grace` is long enough. Where there is nobody who takes shards,
    /// entities finish what they have and end.
    ///
    /// Actors of other peers are gone for this one then, and the other way round.
    ///
    /// # Cancel safety
    ///
    /// It goes on.
    pub async fn leave(&self, grace: Duration) {
        let mut statuses = self.statuses();
        while !statuses.latest().is_final() {
            if let Some(life) = self.shared.life() {
                let (done, left) = oneshot::channel();
                // Dropped when somebody else has asked first, or when this life ends another way: the status tells.
                let _ = life.inputs.send(Input::Leave { grace, done });
                drop(life);
                if left.await.is_ok() {
                    return;
                }
            }
            // Never `None`: this handle is one.
            let _ = statuses.changed().await;
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("cluster", self.cluster())
            .field("peer", self.peer())
            .field("addr", &self.local_addr())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// Not as many peers are up as were waited for.
#[derive(Clone, Debug)]
pub struct NotUp {
    wanted: usize,
    view: Arc<View>,
    troubles: Vec<Trouble>,
}

impl NotUp {
    /// What went wrong with connections in the minute before.
    pub fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }
}

impl fmt::Display for NotUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} peers are up; are the others started, with the same seeds, keys and cluster name? {}",
            self.view.up().count(),
            self.wanted,
            self.view
        )?;
        for (at, trouble) in self.troubles.iter().enumerate() {
            let before = if at == 0 { "; lately: " } else { "; " };
            write!(f, "{before}{trouble}")?;
        }
        Ok(())
    }
}

impl std::error::Error for NotUp {}
