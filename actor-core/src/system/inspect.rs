//! A look at one actor from outside: what it is, where it is in its life, whom it waits behind.
//!
//! The actor's own worker answers (see `cell::inspect`), so the answer is exact, and an actor that
//! blocks its worker does not give one: that is told as [`InspectError::Busy`].

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use super::SystemRef;
use crate::cell::observe;
use crate::cell::{ActorSnapshot, CellRef, Inspection};
use crate::id::ActorId;

/// How many children a look names unless more are asked for.
const CHILDREN_MAX: usize = 1000;

/// Why there is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InspectError {
    /// It has stopped.
    Gone {
        /// The actor.
        actor: ActorId,
    },
    /// It did not answer in time: its handler neither returns nor awaits, or its worker is behind.
    Busy {
        /// The actor.
        actor: ActorId,
        /// How long the answer was waited for.
        waited: Duration,
    },
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { actor } => write!(f, "{actor} has stopped"),
            Self::Busy { actor, waited } => write!(
                f,
                "{actor} did not answer within {waited:?}: its handler neither returns nor awaits, \
                 or its worker is busy with others"
            ),
        }
    }
}

impl std::error::Error for InspectError {}

impl SystemRef {
    /// A look at one actor: its phase, children, mailbox and restarts, as its owner sees them between
    /// two messages. Overtakes the mailbox; waits at most `limit`.
    ///
    /// # Errors
    ///
    /// [`InspectError::Gone`] if it has stopped, [`InspectError::Busy`] if it does not answer in time.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when dropped but the answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use actor_core::{ActorPhase, prelude::*};
    ///
    /// struct Idle;
    /// impl Actor for Idle {}
    ///
    /// let system = ActorSystem::new()?;
    /// let idle = system.actor(Idle).name("idle").spawn()?;
    /// let seen = system.block_on(system.inspect(idle.id(), Duration::from_secs(5)))?;
    /// assert_eq!(seen.name.as_deref(), Some("idle"));
    /// assert_eq!(seen.queued, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn inspect(
        &self,
        actor: ActorId,
        limit: Duration,
    ) -> Result<ActorSnapshot, InspectError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        // Nobody listens any more if the caller gave up.
        look(actor, move |seen| drop(tell.send(seen)));
        let answer = {
            // The system's own tokio keeps the time, whatever runtime the caller is on.
            let _entered = self.tokio().enter();
            tokio::time::timeout(limit, told)
        };
        match answer.await {
            Ok(Ok(Some(seen))) => Ok(seen),
            // Dropped untold only with the cell's whole system.
            Ok(Ok(None) | Err(_)) => Err(InspectError::Gone { actor }),
            Err(_) => Err(InspectError::Busy {
                actor,
                waited: limit,
            }),
        }
    }

    /// As [`inspect`](Self::inspect), from a plain thread.
    ///
    /// # Errors
    ///
    /// As [`inspect`](Self::inspect). From a handler an actor cannot be seen that runs on the same
    /// worker, its own above all: that is [`InspectError::Busy`].
    pub fn inspect_blocking(
        &self,
        actor: ActorId,
        limit: Duration,
    ) -> Result<ActorSnapshot, InspectError> {
        let (tell, told) = mpsc::sync_channel(1);
        look(actor, move |seen| drop(tell.send(seen)));
        observe::run_now();
        match told.recv_timeout(limit) {
            Ok(Some(seen)) => Ok(seen),
            Ok(None) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(InspectError::Gone { actor })
            }
            Err(mpsc::RecvTimeoutError::Timeout) => Err(InspectError::Busy {
                actor,
                waited: limit,
            }),
        }
    }
}

/// Asks the owner of an actor's cell.
fn look(actor: ActorId, tell: impl FnOnce(Option<ActorSnapshot>) + Send + 'static) {
    let inspection = Inspection {
        children_max: CHILDREN_MAX,
        tell: Box::new(tell),
    };
    CellRef::of(actor).inspect(actor.generation(), inspection);
}
