//! Answers to what other peers ask, and to what this one asks itself when it leads.
//!
//! What comes from a peer is looked at before the engine sees it: the engine trusts its callers and would panic on
//! some of what a broken peer may send.

use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::error::{ClientWriteError, InstallSnapshotError, RaftError};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest};
use tokio::time::{Instant, timeout};

use crate::id::PeerId;

use super::command::Request;
use super::engine::{LogId, RaftId, Types, Vote};
use super::front::{COMMAND_BYTES_MAX, Shared};
use super::message::{self, Call, Message, Reply};

/// Bytes of a snapshot that is being received: 256 MiB.
const SNAPSHOT_BYTES_MAX: u64 = 256 << 20;

/// Answers a call of a peer.
pub(super) async fn answer(shared: &Shared, from: &PeerId, id: u64, founding: RaftId, call: Call) {
    let reply = reply(shared, from, founding, call).await;
    // Lost like any other datagram may be: it is asked again.
    let _ = shared.calls.send(from, &Message::Reply { id, reply });
}

async fn reply(shared: &Shared, from: &PeerId, founding: RaftId, call: Call) -> Reply {
    if !is_ours(shared, &founding).await {
        return Reply::NotMe;
    }
    match call {
        Call::Append { to, .. } | Call::Vote { to, .. } | Call::Snapshot { to, .. }
            if to != shared.id =>
        {
            Reply::NotMe
        }
        Call::Append { request, .. } => {
            if !is_from(&request.vote, from) || !is_whole(&request) {
                return Reply::Failed;
            }
            match shared.raft.append_entries(request).await {
                Ok(response) => {
                    // Otherwise it leads no more, and does not know yet.
                    if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
                        shared.contact().handle_leader(Instant::now());
                    }
                    Reply::Append(response)
                }
                Err(_) => Reply::Failed,
            }
        }
        Call::Vote { request, .. } => {
            if !is_from(&request.vote, from) {
                return Reply::Failed;
            }
            match shared.raft.vote(request).await {
                Ok(response) => Reply::Vote(response),
                Err(_) => Reply::Failed,
            }
        }
        Call::Snapshot { request, .. } => {
            if !is_from(&request.vote, from) || !is_bounded(&request) {
                return Reply::Failed;
            }
            match shared.raft.install_snapshot(request).await {
                Ok(response) => Reply::Snapshot(response),
                Err(RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch))) => {
                    Reply::SnapshotMismatch(mismatch)
                }
                Err(RaftError::Fatal(_)) => Reply::Failed,
            }
        }
        Call::Propose(request) => {
            // Nobody speaks for another peer.
            if request.by.peer != *from || !is_small(&request) {
                return Reply::Failed;
            }
            lead(shared, Call::Propose(request), shared.settings.deadline / 2).await
        }
        Call::Read => lead(shared, Call::Read, shared.settings.deadline / 2).await,
    }
}

/// Does what a leader does, or says who leads.
pub(super) async fn lead(shared: &Shared, call: Call, patience: Duration) -> Reply {
    match call {
        Call::Read => read(shared, patience).await,
        Call::Propose(request) => {
            // What is added to the log of a leader that nobody follows stays there, and more of it each time.
            if shared.doubtful.load(Ordering::Relaxed) {
                let reply = read(shared, patience).await;
                if !matches!(reply, Reply::ReadAt(_)) {
                    return reply;
                }
                shared.doubtful.store(false, Ordering::Relaxed);
            }
            write(shared, request, patience).await
        }
        _ => Reply::Failed,
    }
}

async fn read(shared: &Shared, patience: Duration) -> Reply {
    match timeout(patience, shared.raft.get_read_log_id()).await {
        Ok(Ok((upto, _))) => Reply::ReadAt(upto),
        Ok(Err(RaftError::APIError(error))) => {
            use openraft::error::CheckIsLeaderError::{ForwardToLeader, QuorumNotEnough};
            match error {
                ForwardToLeader(to) => Reply::NotLeader(to.leader_id),
                QuorumNotEnough(_) => Reply::NoQuorum { uncertain: false },
            }
        }
        Ok(Err(RaftError::Fatal(_))) => Reply::Failed,
        Err(_) => Reply::NoQuorum { uncertain: false },
    }
}

async fn write(shared: &Shared, request: Request, patience: Duration) -> Reply {
    match timeout(patience, shared.raft.client_write(request)).await {
        Ok(Ok(written)) => match written.data.0 {
            Some(outcome) => Reply::Outcome(outcome),
            None => Reply::Failed,
        },
        Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to)))) => {
            Reply::NotLeader(to.leader_id)
        }
        Ok(Err(_)) => Reply::Failed,
        Err(_) => {
            shared.doubtful.store(true, Ordering::Relaxed);
            Reply::NoQuorum { uncertain: true }
        }
    }
}

/// Whether the sender holds to the founding that this peer holds to; one that holds to none yet holds to the first
/// it hears of.
async fn is_ours(shared: &Shared, founding: &RaftId) -> bool {
    match shared.log.founding() {
        Some(ours) => ours == *founding,
        None if founding.peer().is_some() => shared.log.set_founding(Some(*founding)).await.is_ok(),
        None => false,
    }
}

/// The engine's requests are made by the one that they say leads, or wants to.
fn is_from(vote: &Vote, from: &PeerId) -> bool {
    vote.leader_id.node_id.is_of(from)
}

/// The entries follow each other, and what they follow.
fn is_whole(request: &AppendEntriesRequest<Types>) -> bool {
    let mut before: Option<&LogId> = request.prev_log_id.as_ref();
    request.entries.iter().all(|entry| {
        let expected = match before {
            Some(before) => before.index.checked_add(1),
            None => Some(0),
        };
        let grows = before.is_none_or(|before| before.leader_id <= entry.log_id.leader_id);
        before = Some(&entry.log_id);
        Some(entry.log_id.index) == expected
            && grows
            && entry.log_id.leader_id <= request.vote.leader_id
    })
}

/// The engine makes room up to where a part of a snapshot says it belongs.
fn is_bounded(request: &InstallSnapshotRequest<Types>) -> bool {
    let end = request.offset.checked_add(request.data.len() as u64);
    end.is_some_and(|end| end <= SNAPSHOT_BYTES_MAX)
}

fn is_small(request: &Request) -> bool {
    message::encode(&request.command).is_ok_and(|bytes| bytes.len() <= COMMAND_BYTES_MAX)
}
