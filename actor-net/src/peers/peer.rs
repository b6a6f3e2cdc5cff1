//! One life of one peer, seen from here.

use std::fmt;
use std::task::{Context, Poll};

use super::error::PushError;
use crate::datagram::Channel;
use crate::id::{Incarnation, PeerId};
use crate::wire::control::DatagramError;
use crate::wire::credit::Charge;
use crate::wire::hello::Introduction;
use crate::wire::message::Flush;
use crate::wire::outbox::Outgoing;
use crate::wire::signal::{Signal, Undeliverable};
use crate::wire::table::TypeError;

/// See the module. It outlives its connections; once lost, it takes nothing more.
pub(crate) struct Peer {
    introduction: Introduction,
    lanes: usize,
}

impl Peer {
    pub(crate) fn id(&self) -> &PeerId {
        &self.introduction.peer
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.introduction.incarnation
    }

    /// What it said of itself when it was met first.
    pub(crate) fn introduction(&self) -> &Introduction {
        &self.introduction
    }

    /// Whether there is a control connection now.
    pub(crate) fn is_connected(&self) -> bool {
        false
    }

    /// Whether this life is over.
    pub(crate) fn is_lost(&self) -> bool {
        true
    }

    /// How many data lanes there are, counted from 0. One that is not there stands for its rest by this.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    /// The number by which the peer wants a type of message.
    pub(crate) fn find_type(&self, name: &str, schema: u64) -> Result<u32, TypeError> {
        let _ = schema;
        Err(TypeError::NotExported {
            name: name.to_owned(),
        })
    }

    /// Takes a message to be sent over a lane, and sends it unless a write is under way, which then is
    /// followed by one for all that came meanwhile. Never waits.
    #[expect(clippy::result_large_err, reason = "the message comes back")]
    pub(crate) fn push(&self, lane: usize, message: Outgoing) -> Result<(), PushError> {
        let _ = lane;
        Err(PushError::Lost(message))
    }

    /// Whether a lane takes a message of `sender`, any number; the waker is woken when it does again, first
    /// come first. Ready, too, when this life is over.
    pub(crate) fn poll_room(&self, lane: usize, sender: u64, cx: &mut Context<'_>) -> Poll<()> {
        let _ = (lane, sender, cx);
        Poll::Ready(())
    }

    /// `sender` does not wait for room any more.
    pub(crate) fn forget_room(&self, lane: usize, sender: u64) {
        let _ = (lane, sender);
    }

    /// Nobody waits for the answer to this call any more.
    pub(crate) fn cancel_call(&self, lane: usize, pair: u64, call: u64) {
        let _ = (lane, pair, call);
    }

    /// A scope is cancelled: the peer is to stop what came of it over this lane.
    pub(crate) fn cancel_scope(&self, lane: usize, scope: u64) {
        let _ = (lane, scope);
    }

    /// Marks that all of `pair` that was pushed before is before it: of a marked signal, which see.
    pub(crate) fn flush(&self, lane: usize, pair: u64, flush: Flush) {
        let _ = (lane, pair, flush);
    }

    /// Sends a lifecycle signal, once and surely as long as this life lasts, and says its number.
    pub(crate) fn signal(&self, signal: Signal) -> Result<u64, Undeliverable> {
        let _ = signal;
        Err(Undeliverable::TooMany { max: 0 })
    }

    /// A message that came over this lane has left the wire's hands: its room is the peer's again.
    pub(crate) fn release(&self, lane: usize, charge: Charge) {
        let _ = (lane, charge);
    }

    /// Sends bytes of a floor above; they may be lost with the connection.
    pub(crate) fn datagram(&self, channel: Channel, bytes: &[u8]) -> Result<(), DatagramError> {
        let _ = (channel, bytes);
        Err(DatagramError::NotConnected)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("id", self.id())
            .field("incarnation", &self.incarnation())
            .finish_non_exhaustive()
    }
}
