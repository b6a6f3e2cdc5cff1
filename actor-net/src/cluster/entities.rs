//! Entities by key and singletons, as users reach them.

use actor_core::Actor;

use super::Cluster;
use super::lives::Declare;
use crate::remote::Exports;
use crate::sharding::{Entity, EntityError, EntityKey, EntityRef, InvalidEntity, KindStats};

impl Cluster {
    /// The entity with that key, of the one kind that was [declared](super::ClusterBuilder::entity) on this peer for
    /// actors of type `A`; it is made where it belongs with the first message. A key is a text of 1 to 255 bytes or a
    /// number.
    ///
    /// The reference may be kept: it names a key, over moves and restarts, and costs about a lookup in a table.
    ///
    /// # Errors
    ///
    /// [`EntityError`]: the key is none, no kind was declared for that type, or several were
    /// ([`entity_of`](Self::entity_of) then).
    ///
    /// # Examples
    ///
    /// A single peer, with nothing set:
    ///
    /// ```
    /// use actor_core::prelude::*;
    /// use actor_net::cluster::Cluster;
    /// use actor_net::sharding::Entity;
    /// use serde::{Deserialize, Serialize};
    /// use std::time::Duration;
    ///
    /// #[derive(Actor)]
    /// struct Account { owner: String, cents: i64 }
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
    /// system.block_on(async {
    ///     let accounts = Entity::new("account", |context| Account {
    ///         owner: context.key().to_string(),
    ///         cents: 0,
    ///     });
    ///     let cluster = Cluster::builder(system.handle(), "bank")
    ///         .entity(accounts.handles::<Deposit>())
    ///         .start()
    ///         .await?;
    ///     let anna = cluster.entity::<Account>("anna")?;
    ///     let cents = anna.ask(Deposit { cents: 100 }).within(Duration::from_secs(10)).await?;
    ///     assert_eq!(cents, 100);
    ///     assert_eq!(cluster.entities().await[0].entities, 1);
    ///     cluster.leave(Duration::from_secs(5)).await;
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entity<A: Actor>(
        &self,
        key: impl TryInto<EntityKey, Error: Into<EntityError>>,
    ) -> Result<EntityRef<A>, EntityError> {
        let key = key.try_into().map_err(Into::into)?;
        Ok(self.shared.entities.entity_of(key)?)
    }

    /// The same of the kind of that name: where several kinds have actors of one type.
    ///
    /// # Errors
    ///
    /// [`EntityError`]: the key is none, or no kind was declared on this peer by that name and for that type.
    pub fn entity_of<A: Actor>(
        &self,
        kind: &str,
        key: impl TryInto<EntityKey, Error: Into<EntityError>>,
    ) -> Result<EntityRef<A>, EntityError> {
        let key = key.try_into().map_err(Into::into)?;
        Ok(self.shared.entities.entity(kind, key)?)
    }

    /// The one actor of the cluster that was declared by that name, with [`Entity::singleton`].
    ///
    /// # Errors
    ///
    /// [`EntityError`]: none was declared on this peer by that name and for that type.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    /// use actor_net::cluster::Cluster;
    /// use actor_net::sharding::Entity;
    /// use serde::{Deserialize, Serialize};
    /// use std::time::Duration;
    ///
    /// #[derive(Actor, Default)]
    /// struct Clerk { last: u64 }
    ///
    /// #[derive(Message, Serialize, Deserialize)]
    /// #[message(remote = "bank.next-number", reply = u64)]
    /// struct NextNumber;
    ///
    /// impl SyncHandler<NextNumber> for Clerk {
    ///     fn handle(&mut self, _: NextNumber, _cx: &mut ActorContext<Self>) -> u64 {
    ///         self.last += 1;
    ///         self.last
    ///     }
    /// }
    ///
    /// let system = ActorSystem::new()?;
    /// system.block_on(async {
    ///     let clerk = Entity::singleton("clerk", |_| Clerk::default());
    ///     let cluster = Cluster::builder(system.handle(), "bank")
    ///         .entity(clerk.handles::<NextNumber>())
    ///         .start()
    ///         .await?;
    ///     let clerk = cluster.singleton::<Clerk>("clerk")?;
    ///     assert_eq!(clerk.ask(NextNumber).within(Duration::from_secs(10)).await?, 1);
    ///     cluster.leave(Duration::from_secs(5)).await;
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn singleton<A: Actor>(&self, name: &str) -> Result<EntityRef<A>, EntityError> {
        Ok(self.shared.entities.singleton(name)?)
    }

    /// How each kind of entity and each singleton that this peer has declared is doing here, by name.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn entities(&self) -> Vec<KindStats> {
        self.shared.entities.stats().await.into_values().collect()
    }
}

/// A kind of entity that a peer is to have, without the type of its actors.
pub(super) struct Kind {
    pub(super) check: Result<(), InvalidEntity>,
    /// What all peers call it.
    pub(super) name: Box<str>,
    pub(super) export: Box<dyn Fn(Exports) -> Exports + Send>,
    pub(super) declare: Declare,
}

impl Kind {
    pub(super) fn new<A: Actor>(entity: Entity<A>) -> Self {
        let travels = entity.travels();
        Self {
            check: entity.check(),
            name: entity.kind_name().into(),
            export: Box::new(move |exports| travels.iter().fold(exports, |all, add| add(all))),
            declare: Box::new(move |entities| entities.declare(entity)),
        }
    }
}
