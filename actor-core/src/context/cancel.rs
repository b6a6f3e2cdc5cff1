//! A wish to stop that travels down: who cancels a token cancels all its children, never its
//! parent.
//!
//! A token carries no time. A deadline is a number in the context that shrinks from hop to hop and
//! is compared, which is cheaper than any token; a token is for what cannot be known beforehand
//! (the caller went away, the operator pressed stop). The two are
//! independent: an expired deadline does not cancel the token. `ActorContext::is_cancelled` looks at both.
//!
//! Cancellation is co-operative. Nothing is interrupted: a handler that neither looks at
//! `is_cancelled` nor waits for `cancelled` runs to its end.
//!
//! Costs: a token is one pointer; `new` and `child` allocate once, and `child`, `cancel`
//! and the drop of the last clone lock the parent for a moment; a clone is one reference count;
//! `is_cancelled` takes one uncontended lock. Hence tokens are made when asked for, never for each
//! message. The tree under the newtype is tokio-util's `CancellationToken`, which has had years of
//! loom runs; the newtype keeps its version out of our public interface.

use std::fmt;

use tokio_util::sync::CancellationToken;

/// A wish to stop, shared by all clones and handed down to children.
///
/// # Examples
///
/// ```
/// use actor_core::context::CancelToken;
///
/// let request = CancelToken::new();
/// let lookup = request.child();
/// lookup.cancel();
/// assert!(!request.is_cancelled());
/// let write = request.child();
/// request.cancel();
/// assert!(write.is_cancelled());
/// ```
#[derive(Clone, Default)]
pub struct CancelToken(CancellationToken);

impl CancelToken {
    /// A token that only its holders can cancel.
    pub fn new() -> Self {
        Self(CancellationToken::new())
    }

    /// A token that is cancelled with this one, and can be cancelled alone. The child of a
    /// cancelled token is cancelled from the start.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Cancels this token, its clones and all their children, and wakes who waits for them. Later
    /// calls do nothing.
    ///
    /// Wakers run on the calling thread; the time is linear in the number of children.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether the token is cancelled. Once `true` it stays so.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the token is cancelled; returns at once when it is.
    ///
    /// Needs no tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropping the future forgets nothing.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    /// Cancels the token when the guard goes out of scope, by return, `?`, panic, or because the
    /// future that holds it is dropped.
    #[must_use = "a guard that is dropped at once cancels at once"]
    pub fn cancel_on_drop(self) -> CancelOnDrop {
        CancelOnDrop(Some(self))
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}

/// Cancels its token when dropped, unless [`disarm`](Self::disarm)ed.
///
/// # Examples
///
/// ```
/// use actor_core::context::CancelToken;
///
/// let token = CancelToken::new();
/// let guard = token.clone().cancel_on_drop();
/// drop(guard);
/// assert!(token.is_cancelled());
/// ```
#[derive(Debug)]
pub struct CancelOnDrop(Option<CancelToken>);

impl CancelOnDrop {
    /// Gives the token back uncancelled: the work is done and nobody need stop.
    pub fn disarm(mut self) -> CancelToken {
        self.0.take().unwrap_or_default()
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(token) = &self.0 {
            token.cancel();
        }
    }
}

#[cfg(test)]
mod tests;
