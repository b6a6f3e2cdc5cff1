//! Names, from outside of actors. The rules: `context::naming`.

use super::SystemRef;
use crate::context::{
    Actor, ActorRef, LookupError, RegisterError, RegisteredName, lookup, register, registered,
    unregister,
};
use crate::id::ActorId;

impl SystemRef {
    /// The actor of that name.
    ///
    /// # Errors
    ///
    /// [`LookupError::NotRegistered`] if no live actor has it, [`LookupError::WrongType`] if its holder
    /// is not an `A`.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    /// # struct Cache;
    /// # impl Actor for Cache {}
    /// # struct Size;
    /// # impl Message for Size { type Reply = usize; }
    /// # impl SyncHandler<Size> for Cache {
    /// #     fn handle(&mut self, _: Size, _cx: &mut ActorContext<Self>) -> usize { 0 }
    /// # }
    ///
    /// let system = ActorSystem::new()?;
    /// system.actor(|| Cache).registered("cache").spawn()?;
    /// let cache = system.lookup::<Cache>("cache")?;
    /// assert_eq!(cache.ask_blocking(Size)?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lookup<A: Actor>(&self, name: &str) -> Result<ActorRef<A>, LookupError> {
        lookup(self.runtime, name)
    }

    /// Gives a living actor a name. It keeps it over restarts, until it ends or the name is taken away
    /// by [`unregister`](Self::unregister). An actor may have several names; giving it one that it has
    /// already does nothing.
    ///
    /// To have the name before anything else happens, use
    /// [`SpawnBuilder::registered`](crate::SpawnBuilder::registered).
    ///
    /// # Errors
    ///
    /// See [`RegisterError`]. Of two that register one name at once, one gets it and the other is told
    /// who.
    pub fn register<A: Actor>(&self, name: &str, actor: ActorRef<A>) -> Result<(), RegisterError> {
        register(self.runtime, name, actor)
    }

    /// Frees a name; the answer is who held it. The actor lives on.
    pub fn unregister(&self, name: &str) -> Option<ActorId> {
        unregister(self.runtime, name)
    }

    /// All names that are held, in alphabetical order. Shard by shard: names that come and go meanwhile
    /// may be on it or not.
    pub fn registered(&self) -> Vec<RegisteredName> {
        registered(self.runtime)
    }
}
