//! Unique names, from the front door.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use actor_core::{Actor, ActorRef};

use super::lives::Shared;
use super::ways::Ways;
use crate::registry::{Holder, InvalidName, NameError, UniqueName};

/// The unique names of a cluster: one actor of all peers has a name at a time. Made by
/// [`Cluster::names`](super::Cluster::names).
///
/// Whose a name is the majority of the peers decides. On the side of a minority nothing is given and nothing found.
/// A peer alone decides for itself. [`UniqueName`] says more, and has the subscription.
///
/// A handle: clones are the same. It stays over the lives of this peer; the names that its actors had do not: they
/// hear of it ([`UniqueName::subscribe`]) and may register again.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_net::cluster::Cluster;
/// use actor_net::registry::NameError;
///
/// #[derive(Actor)]
/// struct Ledger;
///
/// let system = ActorSystem::new()?;
/// system.block_on(async {
///     let cluster = Cluster::builder(system.handle(), "bank").start().await?;
///     let (ledger, other) = (system.spawn(Ledger)?, system.spawn(Ledger)?);
///     cluster.names().register("ledger", ledger).await?;
///     assert_eq!(cluster.names().lookup::<Ledger>("ledger").await?, ledger);
///
///     let taken = cluster.names().register("ledger", other).await;
///     assert!(matches!(taken, Err(NameError::Taken { .. })));
///     assert!(cluster.names().withdraw("ledger", ledger).await?);
///     let nobody = cluster.names().lookup::<Ledger>("ledger").await;
///     assert!(matches!(nobody, Err(NameError::NotFound { .. })));
///     cluster.leave(std::time::Duration::from_secs(5)).await;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Names {
    shared: Arc<Shared>,
}

impl Names {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A name, for actors of one type: 1 to 255 bytes without control characters. Nobody need have it.
    ///
    /// # Errors
    ///
    /// [`InvalidName`]: the text is no name.
    pub fn name<A: Actor>(&self, name: &str) -> Result<UniqueName<A>, InvalidName> {
        let names = &self.shared.registered.names;
        names.name(name, Ways::new(&self.shared))
    }

    /// Gives a name to an actor of this process, until it stops, with the epoch in which it has it; see
    /// [`UniqueName::claim`].
    ///
    /// # Errors
    ///
    /// [`NameError`]: above all [`Taken`](NameError::Taken), with who has it, and [`NoMajority`](NameError::NoMajority).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it goes on by itself. If it succeeds, the actor has the name until it ends or gives it back.
    pub async fn register<A: Actor>(
        &self,
        name: &str,
        actor: ActorRef<A>,
    ) -> Result<u64, NameError> {
        self.name(name)?.claim(actor).await
    }

    /// The actor that has a name, as of no earlier than the question; see [`UniqueName::actor`].
    ///
    /// # Errors
    ///
    /// [`NameError`]: above all [`NotFound`](NameError::NotFound).
    ///
    /// # Cancel safety
    ///
    /// Nothing happens.
    pub async fn lookup<A: Actor>(&self, name: &str) -> Result<ActorRef<A>, NameError> {
        self.name(name)?.actor().await
    }

    /// Frees a name, if that actor of this process has it; whether it had.
    ///
    /// # Errors
    ///
    /// [`NameError`]: there was no answer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the name may be free or not.
    pub async fn withdraw<A: Actor>(
        &self,
        name: &str,
        actor: ActorRef<A>,
    ) -> Result<bool, NameError> {
        self.name(name)?.release(actor).await
    }

    /// All names that somebody had when this peer last heard. Copies them: for display, not for each message.
    pub fn list(&self) -> BTreeMap<String, Holder> {
        self.shared.registered.names.hearsay().all()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Names")
            .field(&self.shared.registered.names)
            .finish()
    }
}
