//! Questions and answers over datagrams, and the engine's network made of them.
//!
//! A question has a number; its answer names it. Who asked waits for so long and no longer, and when nobody waits any
//! more the answer is dropped. An answer counts only from the peer that was asked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::impls::EmptyNode;
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::id::PeerId;

use super::Post;
use super::engine::{RaftId, Types};
use super::log::Log;
use super::message::{self, Call, Message, Reply};

/// Sends messages, and waits for answers.
pub(crate) struct Calls {
    post: Arc<dyn Post>,
    log: Log,
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, (PeerId, oneshot::Sender<Reply>)>>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

/// A question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// It did not go out: no connection, or too large.
    Undeliverable,
    /// No answer came in time. It may have been heard.
    Timeout,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undeliverable => "the peer is not connected",
            Self::Timeout => "no answer in time",
        })
    }
}

impl std::error::Error for CallError {}

/// Takes a question from the list when nobody waits for its answer any more.
struct Waiting<'a> {
    calls: &'a Calls,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.calls.waiting().remove(&self.id);
    }
}

impl Calls {
    pub(crate) fn new(post: Arc<dyn Post>, log: Log) -> Self {
        Self {
            post,
            log,
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
        }
    }

    /// Sends a message. It may be lost.
    pub(crate) fn send(&self, to: &PeerId, message: &Message) -> Result<(), CallError> {
        let bytes = message::encode(message).map_err(|_| CallError::Undeliverable)?;
        // Only to be different, and greater than those before.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let parts = message::parts(number, &bytes).ok_or(CallError::Undeliverable)?;
        for part in parts {
            self.post
                .datagram(to, part)
                .map_err(|_| CallError::Undeliverable)?;
        }
        Ok(())
    }

    /// Asks, and waits for the answer for so long.
    pub(crate) async fn call(
        &self,
        to: &PeerId,
        call: Call,
        patience: Duration,
    ) -> Result<Reply, CallError> {
        let founding = self.log.founding().unwrap_or_default();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting().insert(id, (to.clone(), sender));
        let _waiting = Waiting { calls: self, id };
        let message = Message::Call { id, founding, call };
        self.send(to, &message)?;
        match timeout(patience, answer).await {
            Ok(Ok(reply)) => Ok(reply),
            _ => Err(CallError::Timeout),
        }
    }

    /// An answer came.
    pub(crate) fn answered(&self, from: &PeerId, id: u64, reply: Reply) {
        let mut waiting = self.waiting();
        if waiting.get(&id).is_none_or(|(asked, _)| asked != from) {
            return;
        }
        let sender = waiting.remove(&id);
        drop(waiting);
        if let Some((_, sender)) = sender {
            // Nobody waits any more: dropped, as it would be a moment later.
            let _ = sender.send(reply);
        }
    }

    fn waiting(
        &self,
    ) -> std::sync::MutexGuard<'_, BTreeMap<u64, (PeerId, oneshot::Sender<Reply>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the engine's connections.
#[derive(Debug)]
pub(crate) struct Network(pub(crate) Arc<Calls>);

/// One of the engine's connections.
#[derive(Debug)]
pub(crate) struct Connection {
    calls: Arc<Calls>,
    target: RaftId,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: RaftId, _: &EmptyNode) -> Connection {
        Connection {
            calls: Arc::clone(&self.0),
            target,
        }
    }
}

type RpcError<E> = RPCError<RaftId, EmptyNode, RaftError<RaftId, E>>;

impl Connection {
    async fn ask<E: std::error::Error>(
        &self,
        call: Call,
        patience: Duration,
    ) -> Result<Reply, RpcError<E>> {
        let Some(peer) = self.target.peer() else {
            return Err(unreachable(&CallError::Undeliverable));
        };
        match self.calls.call(&peer, call, patience).await {
            Ok(reply) => Ok(reply),
            Err(error @ CallError::Undeliverable) => Err(unreachable(&error)),
            Err(error @ CallError::Timeout) => Err(RPCError::Network(NetworkError::new(&error))),
        }
    }
}

fn unreachable<E: std::error::Error>(error: &CallError) -> RpcError<E> {
    RPCError::Unreachable(Unreachable::new(error))
}

impl RaftNetwork<Types> for Connection {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<RaftId>, RpcError<openraft::error::Infallible>> {
        let to = self.target;
        let call = Call::Append { to, request };
        match self.ask(call, option.hard_ttl()).await? {
            Reply::Append(response) => Ok(response),
            _ => Err(unreachable(&CallError::Undeliverable)),
        }
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<RaftId>, RpcError<InstallSnapshotError>> {
        let to = self.target;
        let call = Call::Snapshot { to, request };
        match self.ask(call, option.hard_ttl()).await? {
            Reply::Snapshot(response) => Ok(response),
            Reply::SnapshotMismatch(mismatch) => {
                let source = RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch));
                Err(RPCError::RemoteError(RemoteError::new(self.target, source)))
            }
            _ => Err(unreachable(&CallError::Undeliverable)),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<RaftId>,
        option: RPCOption,
    ) -> Result<VoteResponse<RaftId>, RpcError<openraft::error::Infallible>> {
        let to = self.target;
        let call = Call::Vote { to, request };
        match self.ask(call, option.hard_ttl()).await? {
            Reply::Vote(response) => Ok(response),
            _ => Err(unreachable(&CallError::Undeliverable)),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(Duration::from_millis(200)))
    }
}
