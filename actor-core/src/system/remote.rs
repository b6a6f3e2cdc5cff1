//! What a network layer asks of a system: proxies for actors elsewhere, and actors for addresses that
//! came from elsewhere.

use std::any::TypeId;

use super::SystemRef;
use crate::context::{
    Actor, ActorRef, Anyone, Gateway, ProxyHandle, SpawnError, resolve, resolve_anyone,
    resolve_kind, resolve_or_gone, spawn_proxy, waits_for,
};
use crate::id::ActorId;
use crate::mailbox::Mailbox;

/// Runs `work`, which sends messages to actors here, on a thread that is no worker: workers that have to be woken
/// for them are woken at its end, once for all, and not for each message.
///
/// For a batch that came over the network. It should be short, and must not wait for any of these actors.
/// On a worker, and inside of another batch, it is `work()`.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_core::remote;
///
/// #[derive(Actor)]
/// struct Sum(u64);
///
/// #[messages]
/// impl Sum {
///     #[message]
///     fn add(&mut self, n: u64) -> u64 { self.0 += n; self.0 }
/// }
///
/// let system = ActorSystem::new()?;
/// let sum = system.spawn(Sum(0))?;
/// remote::gather(|| (1..=64).try_for_each(|n| sum.tell(Add { n })))?;
/// assert_eq!(sum.ask_blocking(Add { n: 0 })?, 64 * 65 / 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn gather<T>(work: impl FnOnce() -> T) -> T {
    crate::scheduler::gather(work)
}

impl SystemRef {
    /// Makes an actor that stands for one elsewhere: what it is sent goes to `gateway`. `name` is its label
    /// in reports.
    ///
    /// It is an actor under the root, and lives until [`ProxyHandle::end`] is called or the system shuts
    /// down: addresses are copied freely, so nobody can know when it is of no use any more.
    ///
    /// # Errors
    ///
    /// As [`SpawnBuilder::spawn`](crate::SpawnBuilder::spawn).
    pub fn proxy<A: Actor>(
        &self,
        name: &str,
        mailbox: Mailbox,
        gateway: impl Gateway,
    ) -> Result<(ActorRef<A>, ProxyHandle), SpawnError> {
        spawn_proxy(self.runtime, name, mailbox, Box::new(gateway))
    }

    /// The actor of this system whose [`ActorId::as_u64`](crate::ActorId::as_u64) is `number`, if it lives
    /// and is an `A`. For numbers that come from elsewhere: any number may be asked for.
    pub fn resolve<A: Actor>(&self, number: u64) -> Option<ActorRef<A>> {
        resolve(self.runtime, number)
    }

    /// As [`resolve`](Self::resolve), for a type that only its `TypeId` is known of.
    pub fn resolve_type(&self, number: u64, actor_type: TypeId) -> Option<ActorId> {
        resolve_kind(self.runtime, number, actor_type)
    }

    /// As [`resolve_type`](Self::resolve_type), and also an actor that has ended: a reference to it is
    /// refused, as it would be had it never left this process.
    pub fn resolve_type_or_gone(&self, number: u64, actor_type: TypeId) -> Option<ActorId> {
        resolve_or_gone(self.runtime, number, actor_type)
    }

    /// The actor of this system with that number, if it lives, of whatever type: to be watched or stopped
    /// for somebody elsewhere. A proxy is none.
    pub fn resolve_anyone(&self, number: u64) -> Option<ActorRef<Anyone>> {
        resolve_anyone(self.runtime, number)
    }

    /// The actor that a handler of this one waits for by an ask, at this moment: one of this system, or a proxy
    /// that the ask has not left yet. For finding circles that go over several peers.
    pub fn waits_for(&self, actor: ActorId) -> Option<ActorId> {
        waits_for(actor)
    }
}
