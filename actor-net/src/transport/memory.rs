//! A link without a network: two ends and a pipe between, in which nothing moves by itself.
//!
//! Who holds the [`Pipe`] decides when bytes arrive, and how many at once: a simulation delivers by its
//! clock and its seed, a test byte by byte. There are no tasks, no clock and no chance in here, so the same
//! calls do the same. What crosses is a stream, as with TCP; loss and reordering are for who stands between
//! pipes and cuts one, since TCP does neither within a connection.
//!
//! # Examples
//!
//! ```
//! use actor_net::transport::memory::{self, Side};
//! use actor_net::transport::{Flow, Link, LinkEnd, LinkEvents, Unsent};
//!
//! struct Print;
//! impl LinkEvents for Print {
//!     fn received(&mut self, bytes: &[u8]) -> Flow {
//!         println!("{} bytes", bytes.len());
//!         Flow::Continue
//!     }
//!     fn closed(&mut self, end: &LinkEnd, _: Unsent) {
//!         println!("{end}");
//!     }
//! }
//!
//! let (left, _right, mut pipe) = memory::pipe(1 << 20);
//! pipe.attach(Side::Left, Print);
//! pipe.attach(Side::Right, Print);
//! left.send(b"hello")?;
//! assert_eq!(pipe.deliver(Side::Right, 2), 2); // "he"
//! assert_eq!(pipe.deliver(Side::Right, usize::MAX), 3);
//! # Ok::<(), actor_net::transport::SendRefused>(())
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::link::{
    BoxFuture, Flow, Link, LinkEnd, LinkEvents, LinkStats, Peer, SendRefused, Unsent,
};
use super::security::{Mode, PeerIdentity};

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one that dialled.
    Left,
    /// The one that listened.
    Right,
}

impl Side {
    /// The opposite end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    fn index(self) -> usize {
        usize::from(self == Self::Right)
    }
}

/// Two ends and the pipe between, each end with room for `queue_bytes_max` bytes that wait to be delivered.
pub fn pipe(queue_bytes_max: usize) -> (MemoryLink, MemoryLink, Pipe) {
    let shared = Arc::new(Shared {
        ends: Mutex::default(),
        room: [Notify::new(), Notify::new()],
        max: queue_bytes_max,
    });
    let end = |side| MemoryLink {
        side,
        peer: peer(side),
        shared: shared.clone(),
    };
    let (left, right) = (end(Side::Left), end(Side::Right));
    let pipe = Pipe {
        shared,
        events: [None, None],
    };
    (left, right, pipe)
}

/// One end of a [`pipe`].
#[derive(Clone)]
pub struct MemoryLink {
    side: Side,
    peer: Peer,
    shared: Arc<Shared>,
}

struct Shared {
    ends: Mutex<[End; 2]>,
    room: [Notify; 2],
    max: usize,
}

#[derive(Default)]
struct End {
    /// What this end has sent and the other has not got.
    out: VecDeque<u8>,
    /// Of these, from the front, those that were flushed.
    flushed: usize,
    /// Frames that wait, by their lengths.
    frames: VecDeque<usize>,
    closing: bool,
    aborted: Option<LinkEnd>,
    ended: bool,
    paused: bool,
    stats: LinkStats,
}

impl Shared {
    fn ends(&self) -> MutexGuard<'_, [End; 2]> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fits(&self, end: &End, bytes: usize) -> Result<(), SendRefused> {
        let (queued, max) = (end.out.len(), self.max);
        if end.closing || end.ended || end.aborted.is_some() {
            return Err(SendRefused::Closed);
        }
        if bytes > max {
            return Err(SendRefused::TooLarge { bytes, max });
        }
        if queued + bytes > max {
            return Err(SendRefused::Full { queued, max });
        }
        Ok(())
    }
}

impl Link for MemoryLink {
    fn queue(&self, frame: &[u8]) -> Result<(), SendRefused> {
        let mut ends = self.shared.ends();
        let end = &mut ends[self.side.index()];
        self.shared.fits(end, frame.len())?;
        end.out.extend(frame);
        end.frames.push_back(frame.len());
        end.stats.frames_queued += 1;
        Ok(())
    }

    fn flush(&self) {
        let mut ends = self.shared.ends();
        let end = &mut ends[self.side.index()];
        if end.flushed < end.out.len() {
            end.flushed = end.out.len();
            end.stats.writes += 1;
        }
    }

    fn kick(&self) {
        self.flush();
    }

    fn room(&self, bytes: usize) -> BoxFuture<'_, Result<(), SendRefused>> {
        Box::pin(async move {
            loop {
                let room = self.shared.room[self.side.index()].notified();
                tokio::pin!(room);
                // Before the look, so that room made after it is noticed.
                room.as_mut().enable();
                let fits = {
                    let ends = self.shared.ends();
                    self.shared.fits(&ends[self.side.index()], bytes)
                };
                match fits {
                    Err(SendRefused::Full { .. }) => room.await,
                    done => return done,
                }
            }
        })
    }

    fn resume(&self) {
        self.shared.ends()[self.side.index()].paused = false;
    }

    fn close(&self) {
        self.flush();
        self.shared.ends()[self.side.index()].closing = true;
        self.shared.room[self.side.index()].notify_waiters();
    }

    fn abort(&self, why: &str) {
        let mut ends = self.shared.ends();
        let end = &mut ends[self.side.index()];
        if !end.ended && end.aborted.is_none() {
            end.aborted = Some(LinkEnd::Aborted(why.to_owned()));
        }
        drop(ends);
        self.shared.room[self.side.index()].notify_waiters();
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn stats(&self) -> LinkStats {
        let end = &self.shared.ends()[self.side.index()];
        LinkStats {
            bytes_queued: end.out.len() as u64,
            ..end.stats
        }
    }
}

impl fmt::Debug for MemoryLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLink")
            .field("side", &self.side)
            .field("stats", &self.stats())
            .finish()
    }
}

/// What is between two [`MemoryLink`]s: moves bytes when told to.
pub struct Pipe {
    shared: Arc<Shared>,
    events: [Option<Box<dyn LinkEvents>>; 2],
}

impl Pipe {
    /// Who hears what arrives at one end. Replaces whoever did.
    pub fn attach(&mut self, side: Side, events: impl LinkEvents) {
        self.events[side.index()] = Some(Box::new(events));
    }

    /// How many bytes could arrive at this end now.
    pub fn in_flight(&self, to: Side) -> usize {
        self.shared.ends()[to.other().index()].flushed
    }

    /// Whether this end has ended.
    pub fn has_ended(&self, side: Side) -> bool {
        self.shared.ends()[side.index()].ended
    }

    /// Delivers up to `bytes_max` bytes to one end, in one piece, and the other end's goodbye after its
    /// last byte; how many bytes. An end that was aborted, by either side, learns it here.
    ///
    /// Nothing arrives at an end that has paused, that has ended, or that nobody is attached to.
    pub fn deliver(&mut self, to: Side, bytes_max: usize) -> usize {
        let (here, there) = (to.index(), to.other().index());
        if self.events[here].is_none() {
            return 0;
        }
        let (bytes, end) = {
            let mut ends = self.shared.ends();
            if ends[here].ended {
                return 0;
            }
            if let Some(why) = ends[here].aborted.clone() {
                (Vec::new(), Some(why))
            } else if ends[there].aborted.is_some() {
                (Vec::new(), Some(reset()))
            } else if ends[here].paused {
                return 0;
            } else {
                let from = &mut ends[there];
                let n = from.flushed.min(bytes_max);
                let bytes: Vec<u8> = from.out.drain(..n).collect();
                from.flushed -= n;
                from.stats.bytes_sent += n as u64;
                from.arrived(n);
                let last = from.closing && from.out.is_empty();
                ends[here].stats.bytes_received += n as u64;
                ends[here].stats.reads += u64::from(n > 0);
                (bytes, last.then_some(LinkEnd::ClosedByPeer))
            }
        };
        self.shared.room[there].notify_waiters();
        let mut end = end;
        if !bytes.is_empty()
            && let Some(stop) = self.received(here, &bytes)
        {
            end = Some(stop);
        }
        if let Some(end) = end {
            let goodbye = end == LinkEnd::ClosedByPeer;
            self.end(to, &end);
            if goodbye {
                // The closing end's part is done, too.
                self.end(to.other(), &LinkEnd::ClosedHere);
            }
        }
        bytes.len()
    }

    /// Breaks the connection for one end, as a network does that is cut: it sees a time-out. The other end
    /// is not told.
    pub fn cut(&mut self, side: Side) {
        let end = LinkEnd::Io {
            kind: std::io::ErrorKind::TimedOut,
            text: "cut".to_owned(),
        };
        self.end(side, &end);
    }

    /// Hands bytes on; why the link must end, if it must.
    fn received(&mut self, here: usize, bytes: &[u8]) -> Option<LinkEnd> {
        let events = self.events[here].as_mut()?;
        match catch_unwind(AssertUnwindSafe(|| events.received(bytes))) {
            Ok(Flow::Continue) => None,
            Ok(Flow::Pause) => {
                let end = &mut self.shared.ends()[here];
                end.paused = true;
                end.stats.pauses += 1;
                None
            }
            Ok(Flow::Abort(why)) => {
                self.shared.ends()[here].aborted = Some(LinkEnd::Refused(why.clone()));
                Some(LinkEnd::Refused(why))
            }
            Err(_) => {
                self.shared.ends()[here].aborted = Some(LinkEnd::Panicked);
                Some(LinkEnd::Panicked)
            }
        }
    }

    fn end(&mut self, side: Side, why: &LinkEnd) {
        let unsent = {
            let end = &mut self.shared.ends()[side.index()];
            if std::mem::replace(&mut end.ended, true) {
                return;
            }
            Unsent {
                frames: end.frames.len() as u64,
                bytes: end.out.len() as u64,
            }
        };
        self.shared.room[side.index()].notify_waiters();
        if let Some(mut events) = self.events[side.index()].take() {
            // A panic here has nothing left to break.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                events.closed(why, unsent);
                drop(events);
            }));
        }
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe")
            .field("to_left", &self.in_flight(Side::Left))
            .field("to_right", &self.in_flight(Side::Right))
            .finish()
    }
}

impl End {
    /// Books `n` delivered bytes against the frames that they are of.
    fn arrived(&mut self, mut n: usize) {
        while let Some(first) = self.frames.front_mut() {
            if *first > n {
                *first -= n;
                return;
            }
            n -= *first;
            self.frames.pop_front();
            self.stats.frames_sent += 1;
        }
    }
}

fn reset() -> LinkEnd {
    LinkEnd::Io {
        kind: std::io::ErrorKind::ConnectionReset,
        text: "reset by the other end".to_owned(),
    }
}

fn peer(side: Side) -> Peer {
    let addr = |side: Side| SocketAddr::from((Ipv4Addr::LOCALHOST, side.index() as u16 + 1));
    Peer {
        identity: PeerIdentity {
            mode: Mode::Insecure,
            names: Vec::new(),
            key: None,
        },
        addr: addr(side.other()),
        local: addr(side),
        dialled: side == Side::Left,
        binding: None,
    }
}

#[cfg(test)]
mod tests;
