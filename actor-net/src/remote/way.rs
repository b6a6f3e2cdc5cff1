//! What this floor needs of a life of a peer: a narrow view of `peers::Peer`, so that tests can put something
//! else in its place.

use std::task::{Context, Poll};

use crate::datagram::Channel;
use crate::id::{Incarnation, PeerId};
use crate::peers::{Peer, PushError};
use crate::wire::credit::Charge;
use crate::wire::message::Flush;
use crate::wire::outbox::Outgoing;
use crate::wire::signal::{Signal, Undeliverable};
use crate::wire::table::TypeError;

/// One life of one peer. Nothing here blocks.
pub(crate) trait Way: Send + Sync + 'static {
    fn id(&self) -> &PeerId;

    fn incarnation(&self) -> Incarnation;

    /// How many data lanes there are.
    fn lanes(&self) -> usize;

    /// Its NUMA nodes by the operating system's number; the lane of one is its place, of those that have one.
    fn numa_nodes(&self) -> &[u8];

    /// By which number it wants messages of a type.
    fn find_type(&self, name: &str, schema: u64) -> Result<u32, TypeError>;

    #[expect(clippy::result_large_err, reason = "the message comes back")]
    fn push(&self, lane: usize, message: Outgoing) -> Result<(), PushError>;

    /// As `push`, for one that others follow at once: it may stay here until [`send`](Self::send).
    #[expect(clippy::result_large_err, reason = "the message comes back")]
    fn push_ahead(&self, lane: usize, message: Outgoing) -> Result<(), PushError> {
        self.push(lane, message)
    }

    /// As `push_ahead`, for what was collected while there was room: it is taken in any case. Whether there is room
    /// for more.
    #[expect(clippy::result_large_err, reason = "the message comes back")]
    fn push_collected(&self, lane: usize, message: Outgoing) -> Result<bool, PushError>;

    /// Sends what was pushed ahead, so many messages.
    fn send(&self, lane: usize, messages: usize) {
        let _ = (lane, messages);
    }

    /// Whether messages of `sender` may be pushed; otherwise it is woken when they may.
    fn poll_room(&self, lane: usize, sender: u64, cx: &mut Context<'_>) -> Poll<()>;

    /// `sender` is gone.
    fn forget(&self, lane: usize, sender: u64);

    fn cancel_call(&self, lane: usize, pair: u64, call: u64);

    fn flush(&self, lane: usize, pair: u64, flush: Flush);

    fn signal(&self, signal: Signal) -> Result<u64, Undeliverable>;

    fn release(&self, lane: usize, charge: Charge);

    /// Bytes for this floor over there; they may be lost.
    fn datagram(&self, bytes: &[u8]);
}

impl Way for Peer {
    fn id(&self) -> &PeerId {
        self.id()
    }

    fn incarnation(&self) -> Incarnation {
        self.incarnation()
    }

    fn lanes(&self) -> usize {
        self.lanes()
    }

    fn numa_nodes(&self) -> &[u8] {
        &self.introduction().numa_nodes
    }

    fn find_type(&self, name: &str, schema: u64) -> Result<u32, TypeError> {
        self.find_type(name, schema)
    }

    fn push(&self, lane: usize, message: Outgoing) -> Result<(), PushError> {
        self.push(lane, message)
    }

    fn push_ahead(&self, lane: usize, message: Outgoing) -> Result<(), PushError> {
        self.push_ahead(lane, message)
    }

    fn push_collected(&self, lane: usize, message: Outgoing) -> Result<bool, PushError> {
        self.push_collected(lane, message)
    }

    fn send(&self, lane: usize, messages: usize) {
        self.send(lane, messages);
    }

    fn poll_room(&self, lane: usize, sender: u64, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_room(lane, sender, cx)
    }

    fn forget(&self, lane: usize, sender: u64) {
        self.forget_room(lane, sender);
    }

    fn cancel_call(&self, lane: usize, pair: u64, call: u64) {
        self.cancel_call(lane, pair, call);
    }

    fn flush(&self, lane: usize, pair: u64, flush: Flush) {
        self.flush(lane, pair, flush);
    }

    fn signal(&self, signal: Signal) -> Result<u64, Undeliverable> {
        self.signal(signal)
    }

    fn release(&self, lane: usize, charge: Charge) {
        self.release(lane, charge);
    }

    fn datagram(&self, bytes: &[u8]) {
        if let Err(error) = self.datagram(Channel::Remote, bytes) {
            tracing::trace!(peer = %self.id(), ?error, "a datagram was not sent");
        }
    }
}
