//! What a kind of entity is: its name, how one is made, and how they are run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actor_core::{Actor, Handler, Mailbox, Message, Recipient};

use super::key::EntityKey;
use super::keyed::Keyed;
use super::region::Settings;
use super::router::{Between, Passivate, Router};
use crate::consensus::shard_map::{KIND_NAME_MAX, SHARDS_MAX};
use crate::remote::Exports;

/// A kind of entity, to be declared on every peer that uses it: actors of type `A`, one for each key that
/// somebody sends a message to.
///
/// | option | default | touch it when |
/// |---|---|---|
/// | [`shards`](Self::shards) | 256 | there are to be more than 50 peers: about ten shards or more for each |
/// | [`hosts`](Self::hosts) | yes | this peer is to send only |
/// | [`passivate_after`](Self::passivate_after) | 2 min | state is dear to load, or memory scarce |
/// | [`mailbox`](Self::mailbox) | that of `A` | |
/// | [`buffer`](Self::buffer) | 10,000 messages | bursts are larger than what a move of a shard takes |
/// | [`patience`](Self::patience) | 60 s | |
///
/// [`handles`](Self::handles) lists the messages that other peers may send.
pub struct Entity<A: Actor> {
    pub(super) kind: Box<str>,
    pub(super) create: Create<A>,
    pub(super) settings: Settings,
    pub(super) mailbox: Option<Mailbox>,
    travels: Vec<fn(Exports) -> Exports>,
}

pub(super) type Create<A> = Arc<dyn Fn(&EntityContext) -> A + Send + Sync>;

impl<A: Actor> Entity<A> {
    /// A kind with that name, the same on all peers: 1 to 62 bytes. `create` makes an entity when it is first
    /// needed, and after each failure; it runs where the entity is to live, and must not block: what is to be
    /// loaded is loaded in `started`.
    pub fn new(kind: &str, create: impl Fn(&EntityContext) -> A + Send + Sync + 'static) -> Self {
        Self {
            kind: format!("e:{kind}").into(),
            create: Arc::new(create),
            settings: Settings::new(256),
            mailbox: None,
            travels: Vec::new(),
        }
    }

    /// One actor for the whole cluster, which is there without being asked for, on one of the peers that
    /// declare it. It is never passivated, and moves when its peer leaves or is down.
    pub fn singleton(
        name: &str,
        create: impl Fn(&EntityContext) -> A + Send + Sync + 'static,
    ) -> Self {
        let settings = Settings {
            eager: true,
            passivate_after: None,
            ..Settings::new(1)
        };
        Self {
            kind: format!("s:{name}").into(),
            settings,
            ..Self::new("", create)
        }
    }

    /// Messages of type `M` reach entities of this kind also from other peers. All peers say the same.
    ///
    /// That `M` is marked `#[message(remote)]` is checked when this is compiled. A message that is not listed
    /// reaches only entities that live on its sender's peer.
    #[must_use]
    pub fn handles<M: Message>(mut self) -> Self
    where
        A: Handler<M>,
    {
        self.travels
            .push(|exports| exports.handles::<Router<A>, Keyed<M>>());
        self
    }

    /// What this kind takes from other peers, to be added to the exports.
    pub(crate) fn travels(&self) -> Vec<fn(Exports) -> Exports> {
        let mut travels = self.travels.clone();
        travels.push(|exports| exports.handles::<Router<A>, Between>());
        travels
    }

    /// What all peers call it: a kind of entities and a singleton may have one name.
    pub(crate) fn kind_name(&self) -> &str {
        &self.kind
    }

    /// Into how many parts the keys are cut that move as one: 1 to 1024, the same on all peers, and for as long
    /// as the cluster lives.
    #[must_use]
    pub fn shards(mut self, shards: u16) -> Self {
        if !self.settings.eager {
            self.settings.shards = shards;
        }
        self
    }

    /// Whether this peer takes shards. Default: yes.
    #[must_use]
    pub fn hosts(mut self, hosts: bool) -> Self {
        self.settings.hosts = hosts;
        self
    }

    /// After which time without messages an entity is stopped, until it is needed again; `None`: never.
    /// Zero is one millisecond. What comes while it stops is for the next one.
    #[must_use]
    pub fn passivate_after(mut self, after: Option<Duration>) -> Self {
        self.settings.passivate_after = after.map(|after| after.max(Duration::from_millis(1)));
        self
    }

    /// How many messages may wait for one entity. What finds its mailbox full waits before it, in its order, as many as
    /// [`buffer`](Self::buffer) says; an ask beyond that gets [`NoReply`](actor_core::AskError::NoReply).
    #[must_use]
    pub fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.mailbox = Some(mailbox);
        self
    }

    /// How many messages may wait here, in each of eight parts, while their shards move or have no owner; and as many
    /// again for room in the mailboxes of entities.
    #[must_use]
    pub fn buffer(mut self, messages: usize) -> Self {
        self.settings.buffer = messages;
        self
    }

    /// How long a message may wait for an owner of its shard.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.settings.patience = patience;
        self
    }

    pub(crate) fn check(&self) -> Result<(), InvalidEntity> {
        let name = self.kind.get(2..).unwrap_or_default();
        let bytes = name.len();
        let shards = self.settings.shards;
        if !(1..=KIND_NAME_MAX - 2).contains(&bytes) || name.chars().any(char::is_control) {
            Err(InvalidEntity::Name { name: name.into() })
        } else if !(1..=SHARDS_MAX).contains(&shards) {
            Err(InvalidEntity::Shards { shards })
        } else {
            Ok(())
        }
    }
}

impl<A: Actor> fmt::Debug for Entity<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entity")
            .field("kind", &self.kind)
            .field("actor", &format_args!("{}", std::any::type_name::<A>()))
            .field("shards", &self.settings.shards)
            .field("hosts", &self.settings.hosts)
            .finish_non_exhaustive()
    }
}

/// A kind of entity that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidEntity {
    /// Its name is empty, too long, or has control characters.
    Name {
        /// The name.
        name: Box<str>,
    },
    /// A number of shards that is not allowed.
    Shards {
        /// The number.
        shards: u16,
    },
    /// This peer has declared a kind of that name before.
    Declared {
        /// The name.
        name: Box<str>,
    },
}

impl fmt::Display for InvalidEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name } => write!(
                f,
                "{name:?} cannot be the name of a kind of entities; give it 1 to {} bytes without control \
                 characters",
                KIND_NAME_MAX - 2
            ),
            Self::Shards { shards } => write!(
                f,
                "{shards} shards are not within 1..={SHARDS_MAX}; 256 are good for up to 50 peers"
            ),
            Self::Declared { name } => write!(
                f,
                "{name:?} is declared on this peer already; give the other kind another name"
            ),
        }
    }
}

impl std::error::Error for InvalidEntity {}

/// What an entity is told when it is made.
#[derive(Clone)]
pub struct EntityContext {
    pub(super) key: EntityKey,
    pub(super) epoch: u64,
    pub(super) shard: u16,
    pub(super) router: Recipient<Passivate>,
}

impl EntityContext {
    /// Its key.
    pub fn key(&self) -> &EntityKey {
        &self.key
    }

    /// Which owner of its shard this peer is, counted over all that there were: the *fencing token*. Two
    /// entities of one key never live in one epoch, and a later one has a greater epoch. A peer that was
    /// cut off may run one for a while after another peer was given the shard: hand the epoch on with
    /// every write to a store, and let the store refuse one that is less than what it has seen.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Its shard.
    pub fn shard(&self) -> u16 {
        self.shard
    }

    /// The entity has nothing more to do: it is stopped as if it had been idle for long. Nothing is lost;
    /// the next message makes it again. To stop by itself ([`ActorContext::stop`](actor_core::ActorContext::stop))
    /// makes dead letters of what waits in its mailbox.
    pub fn passivate(&self) {
        // A router that does not listen any more has stopped, and its entities with it; one that is full is
        // told again or finds it idle.
        _ = self.router.tell(Passivate {
            key: self.key.clone(),
            epoch: self.epoch,
        });
    }
}

impl fmt::Debug for EntityContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntityContext")
            .field("key", &self.key)
            .field("epoch", &self.epoch)
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}
