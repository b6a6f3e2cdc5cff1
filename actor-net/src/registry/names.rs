//! Names that one actor of the whole cluster has at a time.
//!
//! Who has one is decided by what all peers agree on (`consensus`), reached through [`NameStore`]: a peer on the side
//! of a minority is refused rather than given what somebody else may have. This file is what comes before and after:
//! texts are checked, references become addresses and back, and a name is given back when its holder ends.
//!
//! The question to the store runs in a task of its own, so that whoever gives up waiting leaves nothing half done: if
//! the name was given it is held, and given back when the actor ends.
//!
//! Names stay over the lives of a peer, the store is that of one life. What a life held is free when that life is
//! over, with no word from here, and is not claimed again by itself: another may have had it meanwhile, so whoever
//! had it must know. It hears so from [`UniqueName::subscribe`].

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actor_core::remote::Address;
use actor_core::{Actor, ActorId, ActorRef};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::entry::{InvalidName, Key, MemberId, check_name};
use super::hearsay::{Hearsay, NameEvent, NameEvents};
use super::name_error::{NameError, NoAnswer};
use super::resolve::{Resolve, ResolveTo, type_name};
use crate::consensus::NameRecord;

/// Who has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which actor.
    pub actor: MemberId,
    /// The name of its type.
    pub actor_type: Arc<str>,
    /// Grows with each new holder of this name: to tell stores that an earlier holder writes no more (fencing).
    pub epoch: u64,
    pub(super) key: Key,
}

impl From<&NameRecord> for Holder {
    fn from(record: &NameRecord) -> Self {
        let NameRecord {
            address,
            actor_type,
            epoch,
        } = record;
        Self {
            actor: MemberId {
                peer: address.life.peer.clone(),
                incarnation: address.life.incarnation,
                number: address.number,
            },
            actor_type: Arc::from(actor_type.as_str()),
            epoch: *epoch,
            key: Key(address.key),
        }
    }
}

/// What the store said to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// The actor has the name; also if it had it before.
    Yours { epoch: u64 },
    /// Another has it.
    Taken(Holder),
}

/// An answer that takes its time.
pub(crate) type Answer<T> = Pin<Box<dyn Future<Output = Result<T, NoAnswer>> + Send>>;

/// What all peers agree on about names, as one life of this peer asks. Each call is one decision, in one order for
/// all; each answers within a time of its own, with [`NoAnswer`] if need be. The names of a peer's life are free when
/// that life is over.
pub(crate) trait NameStore: Send + Sync + 'static {
    /// What an actor of this process is called in this life.
    fn address_of(&self, actor: ActorId) -> Address;

    /// Gives the name to the actor unless another has it.
    fn claim(&self, name: &str, actor: &Address, actor_type: &str) -> Answer<Claimed>;

    /// Frees the name if that actor has it; whether it had.
    fn release(&self, name: &str, actor: &Address) -> Answer<bool>;

    /// Who has it, as of no earlier than the question.
    fn lookup(&self, name: &str) -> Answer<Option<Holder>>;
}

/// Unique names, as one peer uses them. A handle: clones are the same.
#[derive(Clone)]
pub(crate) struct Names(Arc<Inner>);

struct Inner {
    runtime: Handle,
    state: Mutex<State>,
    hearsay: Arc<Hearsay>,
}

#[derive(Default)]
struct State {
    /// That of the present life; none between two, and after the last.
    store: Option<Arc<dyn NameStore>>,
    /// What waits for the ends of holders: by name, life and number.
    held: BTreeMap<(Arc<str>, u64, u64), AbortHandle>,
}

impl Names {
    /// Without a life yet.
    pub(crate) fn new(runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            runtime,
            state: Mutex::default(),
            hearsay: Arc::default(),
        }))
    }

    /// A life begins, with that store.
    pub(crate) fn begin(&self, store: Arc<dyn NameStore>) {
        self.0.state().store = Some(store);
    }

    /// A life is over, and so is what it held.
    pub(crate) fn end(&self) {
        let (store, held) = {
            let mut state = self.0.state();
            (state.store.take(), std::mem::take(&mut state.held))
        };
        held.values().for_each(AbortHandle::abort);
        drop(store);
        self.0.hearsay.end();
    }

    /// What is heard of who has which name.
    pub(crate) fn hearsay(&self) -> &Arc<Hearsay> {
        &self.0.hearsay
    }

    /// A name, for actors of one type; `resolve` makes references.
    pub(crate) fn name<A: Actor, R: Resolve>(
        &self,
        name: &str,
        resolve: Arc<R>,
    ) -> Result<UniqueName<A>, InvalidName> {
        check_name(name)?;
        Ok(UniqueName {
            names: Arc::clone(&self.0),
            name: Arc::from(name),
            resolve: Arc::new(resolve),
        })
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("held", &self.0.state().held.len())
            .finish_non_exhaustive()
    }
}

/// A name that one actor of the cluster has at a time, decided by the majority of peers.
///
/// A name is had by an actor, not by a handle. It is free again when the actor stops (a restart is no stop), when it
/// is [released](Self::release), or when that life of its peer is over. In a part of the cluster without a majority
/// nothing is given and nothing found: [`NameError::NoMajority`] or [`NameError::Unknown`].
///
/// An actor that was cut off with its peer does not know yet that its name went to another. Hence the epoch that
/// [`claim`](Self::claim) answers with: hand it to whatever the actor writes to, and let that refuse a smaller one.
///
/// Cheap to clone. Made by [`Names::name`](crate::cluster::Names::name).
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_net::cluster::Cluster;
/// use actor_net::registry::{NameError, NameEvent, UniqueName};
///
/// #[derive(Actor)]
/// struct Leader;
///
/// let system = ActorSystem::new()?;
/// system.block_on(async {
///     // One peer without any settings is a cluster.
///     let cluster = Cluster::builder(system.handle(), "orders").start().await?;
///     let name: UniqueName<Leader> = cluster.names().name("leader")?;
///     let (first, second) = (system.spawn(Leader)?, system.spawn(Leader)?);
///     let epoch = name.claim(first).await?;
///     assert!(matches!(name.claim(second).await, Err(NameError::Taken { .. })));
///     assert_eq!(name.actor().await?, first);
///
///     let mut events = name.subscribe();
///     name.release(first).await?;
///     while events.next().await != NameEvent::Free {}
///     assert!(name.claim(second).await? > epoch);
///     cluster.leave(std::time::Duration::from_secs(5)).await;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UniqueName<A: Actor> {
    names: Arc<Inner>,
    name: Arc<str>,
    resolve: Arc<dyn ResolveTo<A>>,
}

impl<A: Actor> UniqueName<A> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Gives the name to an actor of this process, until it stops. The epoch it has it in comes back; one that has
    /// it already keeps it, and its epoch.
    ///
    /// # Errors
    ///
    /// [`NameError::Taken`] with who has it; others if the actor is none of ours or has stopped, or if there was no
    /// answer. After [`NameError::Unknown`] the actor may have it: ask again, or release it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the claim goes on by itself. If it succeeds, the actor has the name until it ends or releases it.
    pub async fn claim(&self, actor: ActorRef<A>) -> Result<u64, NameError> {
        if !actor.is_alive() {
            return Err(NameError::Stopped);
        }
        if !self.resolve.is_local(actor.id()) {
            return Err(NameError::NotLocal);
        }
        let store = self.names.store()?;
        let (say, answer) = oneshot::channel();
        let names = Arc::clone(&self.names);
        let name = Arc::clone(&self.name);
        self.names.runtime.spawn(async move {
            let claimed = names.claim(&*store, &name, actor).await;
            // Nobody may be waiting any more.
            let _ = say.send(claimed);
        });
        match answer.await {
            Ok(Ok(Claimed::Yours { epoch })) => Ok(epoch),
            Ok(Ok(Claimed::Taken(holder))) => Err(NameError::Taken {
                name: self.as_str().into(),
                holder,
            }),
            Ok(Err(no)) => Err(no.into()),
            // The runtime shuts down.
            Err(_) => Err(NameError::Unknown),
        }
    }

    /// Frees the name, if that actor of this process has it; whether it had.
    ///
    /// # Errors
    ///
    /// There was no answer ([`NameError::NoMajority`], [`NameError::Unknown`]), or this peer takes part in no cluster
    /// now ([`NameError::NotAMember`]).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the name may be free or not.
    pub async fn release(&self, actor: ActorRef<A>) -> Result<bool, NameError> {
        let store = self.names.store()?;
        let address = store.address_of(actor.id());
        let was_held = store.release(&self.name, &address).await?;
        self.names.forget(&self.name, &address);
        Ok(was_held)
    }

    /// Who has it, as of no earlier than the question: a majority is asked.
    ///
    /// # Errors
    ///
    /// [`NameError::NotFound`]; others if there was no answer.
    ///
    /// # Cancel safety
    ///
    /// Nothing happens.
    pub async fn holder(&self) -> Result<Holder, NameError> {
        let store = self.names.store()?;
        let holder = store.lookup(&self.name).await?;
        holder.ok_or_else(|| NameError::NotFound {
            name: self.as_str().into(),
        })
    }

    /// Who had it when this peer last heard, which takes no time and no majority; `None` if it was nobody, or this
    /// peer takes part in no cluster now.
    pub fn last_heard(&self) -> Option<Holder> {
        self.names.hearsay.holder(&self.name)
    }

    /// The actor that has it, as of no earlier than the question: a majority is asked. What is sent to one whose peer
    /// is unreachable waits for it.
    ///
    /// # Errors
    ///
    /// As for [`holder`](Self::holder); [`NameError::WrongType`], [`NameError::OutOfReach`].
    ///
    /// # Cancel safety
    ///
    /// Nothing happens.
    pub async fn actor(&self) -> Result<ActorRef<A>, NameError> {
        self.reference(self.holder().await?)
    }

    /// A reference to a holder of the name.
    ///
    /// # Errors
    ///
    /// [`NameError::WrongType`], [`NameError::OutOfReach`].
    pub fn reference(&self, holder: Holder) -> Result<ActorRef<A>, NameError> {
        if *holder.actor_type != *type_name::<A>() {
            let wanted = type_name::<A>();
            return Err(NameError::WrongType { holder, wanted });
        }
        let actor = self.resolve.actor(&holder.actor.address(holder.key));
        actor.map_err(|why| NameError::OutOfReach { holder, why })
    }

    /// Who gets it and who loses it, as this peer hears of it; first who has it. See
    /// [`NameEvent`](super::NameEvent).
    pub fn subscribe(&self) -> NameEvents {
        self.names.hearsay.subscribe(&self.name)
    }
}

impl<A: Actor> UniqueName<A> {
    /// Waits until this peer hears that whoever got the name in that epoch has it no more, with what it hears instead.
    /// For a holder that has to stop what it does by that name: one that is cut off hears it late, so let what it
    /// writes to compare epochs.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn until_lost(&self, epoch: u64) -> NameEvent {
        self.subscribe().until_lost(epoch).await
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> Result<Arc<dyn NameStore>, NameError> {
        self.state().store.clone().ok_or(NameError::NotAMember)
    }

    async fn claim<A: Actor>(
        self: &Arc<Self>,
        store: &dyn NameStore,
        name: &Arc<str>,
        actor: ActorRef<A>,
    ) -> Result<Claimed, NoAnswer> {
        let address = store.address_of(actor.id());
        let claimed = store.claim(name, &address, type_name::<A>()).await;
        // Where the outcome is not known it is given back as well.
        if matches!(claimed, Ok(Claimed::Yours { .. }) | Err(NoAnswer::Unknown)) {
            let names = Arc::downgrade(self);
            let held = (Arc::clone(name), address.incarnation, address.number);
            let mut state = self.state();
            state.held.entry(held.clone()).or_insert_with(|| {
                let end = self.runtime.spawn(async move {
                    actor.terminated().await;
                    let mut pause = RELEASE_PAUSE_MIN;
                    while let Some(names) = names.upgrade() {
                        // Without a store this life is over, or about to be: the name is free.
                        let Ok(store) = names.store() else {
                            return;
                        };
                        let released = store.release(&held.0, &address).await;
                        if released.is_ok() {
                            names.state().held.remove(&held);
                            return;
                        }
                        drop((store, names));
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(RELEASE_PAUSE_MAX);
                    }
                });
                end.abort_handle()
            });
        }
        claimed
    }

    fn forget(&self, name: &Arc<str>, address: &Address) {
        let held = (Arc::clone(name), address.incarnation, address.number);
        let held = self.state().held.remove(&held);
        if let Some(end) = held {
            end.abort();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.held.values().for_each(AbortHandle::abort);
    }
}

// By hand: a derive would ask the same of `A`.
impl<A: Actor> Clone for UniqueName<A> {
    fn clone(&self) -> Self {
        Self {
            names: Arc::clone(&self.names),
            name: Arc::clone(&self.name),
            resolve: Arc::clone(&self.resolve),
        }
    }
}

impl<A: Actor> fmt::Debug for UniqueName<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UniqueName").field(&self.name).finish()
    }
}

/// The name of an actor that has ended is given back as often as it takes, with pauses from this
const RELEASE_PAUSE_MIN: Duration = Duration::from_millis(100);
/// to this: while this peer is with a minority there is no answer.
const RELEASE_PAUSE_MAX: Duration = Duration::from_secs(5);
