//! A value that changes, followed by any number of readers.
//!
//! tokio's `watch` lends the value under a lock, and a reader that keeps what it was lent holds up who writes: here
//! the task that drives the whole peer. So readers get a copy, which is a count of an `Arc` or a few words.

use std::fmt;

use tokio::sync::watch;

/// Follows a value of a [`Cluster`](super::Cluster) that changes: the newest each time, with those between left out.
///
/// Clones follow it on their own, from the same place on.
#[derive(Clone)]
pub struct Follow<T>(watch::Receiver<T>);

impl<T: Clone> Follow<T> {
    pub(super) fn new(value: &watch::Sender<T>) -> Self {
        Self(value.subscribe())
    }

    /// The value as it is now. It then counts as seen.
    pub fn latest(&mut self) -> T {
        self.0.borrow_and_update().clone()
    }

    /// Waits for a value that was not seen yet; `None` when all handles of the peer are gone.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn changed(&mut self) -> Option<T> {
        self.0.changed().await.ok()?;
        Some(self.latest())
    }

    /// Waits until the value is such, or returns at once when it is; `None` when all handles of the peer are gone.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn until(&mut self, mut is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let mut value = Some(self.latest());
        while let Some(now) = value {
            if is_it(&now) {
                return Some(now);
            }
            value = self.changed().await;
        }
        None
    }
}

impl<T: fmt::Debug> fmt::Debug for Follow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Follow").field(&*self.0.borrow()).finish()
    }
}
