//! Names that actors here have for other peers, over the lives of this one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actor_core::{Actor, ActorRef};

use crate::remote::Remote;

type Announce = Box<dyn Fn(&Remote) -> bool + Send>;

/// See the module.
#[derive(Default)]
pub(super) struct Published(Mutex<BTreeMap<String, Announce>>);

impl Published {
    /// Gives an actor a name, in this life and the next ones; whether it was free.
    pub(super) fn publish<A: Actor>(
        &self,
        remote: Option<&Remote>,
        name: &str,
        actor: ActorRef<A>,
    ) -> bool {
        let mut names = self.lock();
        if names.contains_key(name) {
            return false;
        }
        let owned = name.to_owned();
        let announce: Announce = Box::new(move |remote| remote.publish(&owned, actor));
        // One that the exports gave is not in the list.
        let is_free = remote.is_none_or(&announce);
        if is_free {
            names.insert(name.to_owned(), announce);
        }
        is_free
    }

    /// Takes a name back; whether somebody had it.
    pub(super) fn withdraw(&self, remote: Option<&Remote>, name: &str) -> bool {
        let was_listed = self.lock().remove(name).is_some();
        remote.is_some_and(|remote| remote.withdraw(name)) || was_listed
    }

    /// Tells another life all names.
    pub(super) fn announce(&self, remote: &Remote) {
        for announce in self.lock().values() {
            announce(remote);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Announce>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}
