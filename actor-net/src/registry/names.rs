//! Names that one actor of the whole cluster has at a time.
//!
//! Who has one is decided by what all peers agree on (`consensus`), reached through [`NameStore`]: a peer on the side
//! of a minority is refused rather than given what somebody else may have. This file is what comes before and after:
//! texts are checked, references become addresses and back, and a name is given back when its holder ends.
//!
//! The question to the store runs in a task of its own, so that whoever gives up waiting leaves nothing half done: if
//! the name was given it is held, and given back when the actor ends.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actor_core::{Actor, ActorRef};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::entry::{InvalidName, MemberId, check_name};
use super::name_error::{NameError, NoAnswer};
use super::resolve::{Resolve, ResolveTo, type_name};
use crate::id::{Incarnation, PeerId};

/// Who has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which actor.
    pub actor: MemberId,
    /// The name of its type.
    pub actor_type: Arc<str>,
    /// Grows with each new holder of this name: to tell stores that an earlier holder writes no more (fencing).
    pub epoch: u64,
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

/// What all peers agree on about names. Each call is one decision, in one order for all; each answers within a time
/// of its own, with [`NoAnswer`] if need be. The names of a peer's life are free when that life is down.
pub(crate) trait NameStore: Send + Sync + 'static {
    /// Gives the name to the actor unless another has it.
    fn claim(&self, name: &str, actor: &MemberId, actor_type: &str) -> Answer<Claimed>;

    /// Frees the name if that actor has it; whether it had.
    fn release(&self, name: &str, actor: &MemberId) -> Answer<bool>;

    /// Who has it, as of no earlier than the question.
    fn lookup(&self, name: &str) -> Answer<Option<Holder>>;
}

/// Unique names, as one peer uses them. A handle: clones are the same.
#[derive(Clone)]
pub(crate) struct Names(Arc<Inner>);

struct Inner {
    own: (PeerId, Incarnation),
    store: Arc<dyn NameStore>,
    runtime: Handle,
    /// What waits for the ends of holders, by name and number.
    held: Mutex<BTreeMap<(Arc<str>, u64), AbortHandle>>,
}

impl Names {
    pub(crate) fn new(
        own: PeerId,
        incarnation: Incarnation,
        store: Arc<dyn NameStore>,
        runtime: Handle,
    ) -> Self {
        Self(Arc::new(Inner {
            own: (own, incarnation),
            store,
            runtime,
            held: Mutex::new(BTreeMap::new()),
        }))
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
            .field("held", &self.0.held().len())
            .finish_non_exhaustive()
    }
}

/// A name that one actor of the cluster has at a time, decided by the majority of peers.
///
/// A name is had by an actor, not by a handle. It is free again when the actor stops (a restart is no stop), when it
/// is [released](Self::release), or when its peer is down. In a part of the cluster without a majority nothing is
/// given and nothing found: [`NameError::NoMajority`].
///
/// Cheap to clone.
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
        if !self.resolve.is_local(actor.id()) {
            return Err(NameError::NotLocal);
        }
        if !actor.is_alive() {
            return Err(NameError::Stopped);
        }
        let (say, answer) = oneshot::channel();
        let names = Arc::clone(&self.names);
        let name = Arc::clone(&self.name);
        // It lives no longer than the process's names.
        self.names.runtime.spawn(async move {
            let claimed = names.claim(&name, actor).await;
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
    /// There was no answer ([`NameError::NoMajority`], [`NameError::Unknown`]).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the name may be free or not.
    pub async fn release(&self, actor: ActorRef<A>) -> Result<bool, NameError> {
        let number = actor.id().as_u64();
        let id = self.names.id(number);
        let was_held = self.names.store.release(&self.name, &id).await?;
        self.names.forget(&self.name, number);
        Ok(was_held)
    }

    /// Who has it.
    ///
    /// # Errors
    ///
    /// [`NameError::NotFound`]; others if there was no answer.
    ///
    /// # Cancel safety
    ///
    /// Nothing happens.
    pub async fn holder(&self) -> Result<Holder, NameError> {
        let holder = self.names.store.lookup(&self.name).await?;
        holder.ok_or_else(|| NameError::NotFound {
            name: self.as_str().into(),
        })
    }

    /// The actor that has it.
    ///
    /// # Errors
    ///
    /// As for [`holder`](Self::holder); [`NameError::WrongType`], [`NameError::OutOfReach`].
    ///
    /// # Cancel safety
    ///
    /// Nothing happens.
    pub async fn actor(&self) -> Result<ActorRef<A>, NameError> {
        let holder = self.holder().await?;
        if *holder.actor_type != *type_name::<A>() {
            let wanted = type_name::<A>();
            return Err(NameError::WrongType { holder, wanted });
        }
        let actor = self.resolve.actor(&holder.actor.address());
        actor.map_err(|why| NameError::OutOfReach { holder, why })
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, BTreeMap<(Arc<str>, u64), AbortHandle>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self, number: u64) -> MemberId {
        MemberId {
            peer: self.own.0.clone(),
            incarnation: self.own.1,
            number,
        }
    }

    async fn claim<A: Actor>(
        self: &Arc<Self>,
        name: &Arc<str>,
        actor: ActorRef<A>,
    ) -> Result<Claimed, NoAnswer> {
        let number = actor.id().as_u64();
        let id = self.id(number);
        let claimed = self.store.claim(name, &id, type_name::<A>()).await;
        // Where the outcome is not known it is given back as well.
        if matches!(claimed, Ok(Claimed::Yours { .. }) | Err(NoAnswer::Unknown)) {
            let names = Arc::downgrade(self);
            let mut held = self.held();
            held.entry((Arc::clone(name), number)).or_insert_with(|| {
                let name = Arc::clone(name);
                let end = self.runtime.spawn(async move {
                    actor.terminated().await;
                    let mut pause = RELEASE_PAUSE_MIN;
                    while let Some(names) = names.upgrade() {
                        let released = names.store.release(&name, &id).await;
                        if released.is_ok() {
                            names.held().remove(&(name, number));
                            return;
                        }
                        drop(names);
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(RELEASE_PAUSE_MAX);
                    }
                });
                end.abort_handle()
            });
        }
        claimed
    }

    fn forget(&self, name: &Arc<str>, number: u64) {
        let held = self.held().remove(&(Arc::clone(name), number));
        if let Some(end) = held {
            end.abort();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        held.values().for_each(AbortHandle::abort);
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
