//! The types that openraft is told to use. They stay below this floor's front door.

use std::fmt;
use std::future::Future;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::async_runtime::{AsyncRuntime, TokioRuntime};
use openraft::impls::{EmptyNode, OneshotResponder};
use openraft::{Entry, OptionalSend, RaftTypeConfig};
use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, NAME_BYTES_MAX, PeerId};

use super::command::Request;
use super::machine::Outcome;

/// Who takes part in the consensus: a peer, and the incarnation that made its store.
///
/// What a voter said must not be forgotten. One that keeps its log and its vote in memory forgets with its life, so
/// the next life is another voter, under another number. One that keeps them on disk is the same voter in each
/// life, for as long as the disk keeps them.
///
/// The engine copies it about, so the name is in it and not behind a pointer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(
    into = "(Option<PeerId>, Incarnation)",
    from = "(Option<PeerId>, Incarnation)"
)]
pub(crate) struct RaftId {
    /// The peer's name, and zeros: names have none. All zeros only in the value that the engine asks for before
    /// there is one.
    name: [u8; NAME_BYTES_MAX],
    store: Incarnation,
}

impl RaftId {
    pub(crate) fn new(peer: &PeerId, store: Incarnation) -> Self {
        let mut name = [0; NAME_BYTES_MAX];
        for (to, from) in name.iter_mut().zip(peer.as_str().bytes()) {
            *to = from;
        }
        Self { name, store }
    }

    pub(crate) fn peer(&self) -> Option<PeerId> {
        PeerId::new(self.name()).ok()
    }

    pub(crate) const fn store(&self) -> Incarnation {
        self.store
    }

    pub(crate) fn is_of(&self, peer: &PeerId) -> bool {
        self.name() == peer.as_str()
    }

    fn name(&self) -> &str {
        let bytes = self.name.split(|byte| *byte == 0).next();
        std::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    }
}

impl Default for RaftId {
    fn default() -> Self {
        Self {
            name: [0; NAME_BYTES_MAX],
            store: Incarnation(0),
        }
    }
}

impl From<RaftId> for (Option<PeerId>, Incarnation) {
    fn from(id: RaftId) -> Self {
        (id.peer(), id.store)
    }
}

impl From<(Option<PeerId>, Incarnation)> for RaftId {
    fn from((peer, store): (Option<PeerId>, Incarnation)) -> Self {
        match peer {
            Some(peer) => Self::new(&peer, store),
            None => Self {
                store,
                ..Self::default()
            },
        }
    }
}

impl fmt::Display for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name(), self.store.0)
    }
}

impl fmt::Debug for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What became of an entry of the log; nothing for those that carry no request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer(pub(crate) Option<Outcome>);

/// Tells openraft its types.
#[derive(Debug, Clone, Copy, Default, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) struct Types;

impl RaftTypeConfig for Types {
    type D = Request;
    type R = Answer;
    type NodeId = RaftId;
    type Node = EmptyNode;
    type Entry = Entry<Self>;
    type SnapshotData = Cursor<Vec<u8>>;
    type AsyncRuntime = Watched;
    type Responder = OneshotResponder<Self>;
}

pub(crate) type Raft = openraft::Raft<Types>;
pub(crate) type Metrics = openraft::RaftMetrics<RaftId, EmptyNode>;
pub(crate) type LogId = openraft::LogId<RaftId>;
pub(crate) type Vote = openraft::Vote<RaftId>;
pub(crate) type RaftEntry = Entry<Types>;
pub(crate) type Stored = openraft::StoredMembership<RaftId, EmptyNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<RaftId, EmptyNode>;

/// Set when a task of one engine has panicked.
pub(crate) type Panicked = Arc<AtomicBool>;

tokio::task_local! {
    /// Which engine the running task is of. Tasks that it spawns are of the same.
    pub(crate) static ENGINE: Panicked;
}

/// Tokio, with an eye on panics. The engine has more tasks than the one whose end it reports; when one
/// of the others panics the rest would wait for it for ever.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched;

impl AsyncRuntime for Watched {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> =
        <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;
    type OneshotSender<T: OptionalSend> = <TokioRuntime as AsyncRuntime>::OneshotSender<T>;
    type OneshotReceiver<T: OptionalSend> = <TokioRuntime as AsyncRuntime>::OneshotReceiver<T>;
    type OneshotReceiverError = <TokioRuntime as AsyncRuntime>::OneshotReceiverError;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        match ENGINE.try_with(Arc::clone) {
            Ok(panicked) => {
                let eye = Eye(Arc::clone(&panicked));
                TokioRuntime::spawn(ENGINE.scope(panicked, async move {
                    let _eye = eye;
                    future.await
                }))
            }
            Err(_) => TokioRuntime::spawn(future),
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        TokioRuntime::thread_rng()
    }

    fn oneshot<T>() -> (Self::OneshotSender<T>, Self::OneshotReceiver<T>)
    where
        T: OptionalSend,
    {
        TokioRuntime::oneshot()
    }
}

/// Dropped with a task; while the thread unwinds if the task panicked.
struct Eye(Panicked);

impl Drop for Eye {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Read by whoever looks after the engine; nothing else is published with it.
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
