//! A lease from outside: who decides when the cluster cannot.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::id::{ClusterId, PeerId};

/// The answer of a [`Lease`], when it comes.
pub type LeaseFuture = Pin<Box<dyn Future<Output = Result<bool, LeaseError>> + Send>>;

/// Something outside of the cluster that one holder at a time can have: a lease of the Kubernetes API, a row in a
/// database, a lock of etcd. With [`Downing::Lease`](super::Downing::Lease) the side that gets it goes on after a split.
///
/// All peers of one side hold it together: the first of them acquires it, and the others of that side ask too, so
/// `acquire` is answered with true for any peer in `side` while one of that side has it.
pub trait Lease: Send + Sync + 'static {
    /// Whether `side` has it now. `side` is all members that this peer still reaches, itself among them, in the order
    /// of their names.
    ///
    /// # Errors
    ///
    /// [`LeaseError`] when nobody could be asked; that is taken for no.
    fn acquire(&self, cluster: ClusterId, peer: PeerId, side: Vec<PeerId>) -> LeaseFuture;
}

/// The lease could not be asked for.
#[derive(Clone)]
pub struct LeaseError {
    why: Arc<str>,
}

impl LeaseError {
    /// An error with that text.
    pub fn new(why: &str) -> Self {
        Self { why: why.into() }
    }
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the lease could not be asked for: {}; this side gives up, as if it had been refused",
            self.why
        )
    }
}

impl fmt::Debug for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseError({:?})", self.why)
    }
}

impl std::error::Error for LeaseError {}
