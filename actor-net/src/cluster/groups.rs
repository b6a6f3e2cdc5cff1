//! Groups, from the front door.

use std::fmt;
use std::sync::Arc;

use actor_core::{Actor, ActorRef};

use super::lives::Shared;
use super::ways::Ways;
use crate::registry::{Group, InvalidName, JoinError};

/// The groups of a cluster: names that any number of actors are called by, on all its peers. Made by
/// [`Cluster::groups`](super::Cluster::groups).
///
/// What all peers know of them is gossip: quick (a hop), and for a moment different from peer to peer. A
/// [`Group`] has the ways to pick among the members, to tell all of them, and to follow who comes and goes.
///
/// A handle: clones are the same. It stays over the lives of this peer. Between two lives, and after the peer has
/// left, only actors of this process are listed.
///
/// # Examples
///
/// Two peers, here in one process:
///
/// ```
/// use actor_core::prelude::*;
/// use actor_net::cluster::{Cluster, Seeds};
/// use actor_net::registry::GroupEvent;
/// use actor_net::remote::Exports;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Actor)]
/// struct Printer;
///
/// #[derive(Clone, Message, Serialize, Deserialize)]
/// #[message(remote = "office.print", reply = usize)]
/// struct Print { text: String }
///
/// impl SyncHandler<Print> for Printer {
///     fn handle(&mut self, print: Print, _cx: &mut ActorContext<Self>) -> usize {
///         print.text.len()
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// let exports = Exports::new().handles::<Printer, Print>();
/// system.block_on(async {
///     let peer = |name: &str| {
///         Cluster::builder(system.handle(), "office").peer(name).exports(exports.clone())
///     };
///     let one = peer("one").start().await?;
///     let two = peer("two").seeds(Seeds::none().endpoint(one.local_addr().into())).start().await?;
///
///     one.groups().join("printers", system.spawn(Printer)?)?;
///     // The other peer hears of it.
///     let printers = two.groups().group::<Printer>("printers")?;
///     let mut events = printers.subscribe();
///     while printers.is_empty() {
///         events.next().await;
///     }
///     let pages = printers.any()?.ask(Print { text: "hello".into() }).await?;
///     assert_eq!(pages, 5);
///
///     two.leave(std::time::Duration::from_secs(5)).await;
///     one.leave(std::time::Duration::from_secs(5)).await;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Groups {
    shared: Arc<Shared>,
}

impl Groups {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The actors of one type that are called by that name: 1 to 255 bytes without control characters. It need not
    /// have members.
    ///
    /// # Errors
    ///
    /// [`InvalidName`]: the text is no name.
    pub fn group<A: Actor>(&self, name: &str) -> Result<Group<A>, InvalidName> {
        let directory = &self.shared.registered.groups;
        directory.group(name, Ways::new(&self.shared))
    }

    /// Puts an actor of this process into a group, until it stops; see [`Group::join`].
    ///
    /// # Errors
    ///
    /// [`JoinError`]: the text is no name, the actor lives elsewhere or has stopped, or this peer has reached a limit.
    pub fn join<A: Actor>(&self, name: &str, actor: ActorRef<A>) -> Result<(), JoinError> {
        self.group(name)?.join(actor)
    }

    /// Takes an actor of this process out of a group; whether it was in.
    pub fn leave<A: Actor>(&self, name: &str, actor: ActorRef<A>) -> bool {
        self.group(name).is_ok_and(|group| group.leave(actor))
    }

    /// The names of all groups that have members, as this peer knows, in order.
    pub fn list(&self) -> Vec<Arc<str>> {
        self.shared.registered.groups.groups()
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Groups")
            .field(&self.shared.registered.groups)
            .finish()
    }
}
