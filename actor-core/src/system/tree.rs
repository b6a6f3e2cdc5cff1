//! The tree of all actors, read while they run.

use super::SystemRef;
use crate::telemetry::TreeRequest;

impl SystemRef {
    /// Reads the live tree: who there is, under whom, in which phase, with how many restarts and
    /// messages. Await it, or call [`blocking`](TreeRequest::blocking); print it, or walk its nodes.
    ///
    /// Actors answer between two messages, ahead of their mailboxes, and nobody waits for another, so
    /// a tree can be read in production. It is cut to 1000 actors and 50 children per parent unless
    /// asked otherwise; what was left out is counted. An actor that does not answer within 100 ms is
    /// shown as busy. After the shutdown the tree is empty.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, only the answers are lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// struct Db;
    /// impl Actor for Db {}
    ///
    /// let system = ActorSystem::new()?;
    /// let db = system.actor(Db).name("db").spawn()?;
    /// let tree = system.supervision_tree().blocking();
    /// println!("{tree}");
    /// assert_eq!(tree.find("db").map(|node| node.actor), Some(db.id()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn supervision_tree(&self) -> TreeRequest {
        TreeRequest::new(self.runtime)
    }
}
