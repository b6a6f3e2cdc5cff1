//! The boundary between what moves bytes and what knows their meaning.
//!
//! Above it stand state machines that know frames, heartbeats and credits, but no sockets; below it a TCP
//! connection, or a network that is only pretended ([`memory`](super::memory), and the simulation of whole
//! clusters). Bytes go down through [`Link`], which anyone may hold and which never waits; bytes and the end
//! come up through [`LinkEvents`], which one task calls, one call at a time, and the end last.
//!
//! A link carries a stream of bytes. What is queued as one frame stays whole and in order, and that is all
//! it knows of frames: the receiver gets the same bytes in other portions.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use super::security::PeerIdentity;

/// The near end of a connection to a peer that has proven who it is.
pub trait Link: Send + Sync + fmt::Debug {
    /// Puts bytes behind those that wait. They go out at the next [`flush`](Self::flush) or
    /// [`kick`](Self::kick), or with what others send.
    ///
    /// # Errors
    ///
    /// [`SendRefused::Full`] when they do not fit, [`SendRefused::TooLarge`] when they never will,
    /// [`SendRefused::Closed`] when nothing goes out any more. Nothing is queued then.
    fn queue(&self, frame: &[u8]) -> Result<(), SendRefused>;

    /// Sends what is queued on this thread, now, unless somebody is at it already, who then sends this too.
    ///
    /// Never waits: what the kernel does not take goes to the link's own task. Saves the way to that task,
    /// some microseconds, and costs this thread the system call.
    fn flush(&self);

    /// Has the link's own task send what is queued.
    fn kick(&self);

    /// [`queue`](Self::queue), then [`kick`](Self::kick).
    ///
    /// # Errors
    ///
    /// As `queue`.
    fn send(&self, frame: &[u8]) -> Result<(), SendRefused> {
        self.queue(frame)?;
        self.kick();
        Ok(())
    }

    /// Until so many bytes are likely to fit; others may be faster.
    ///
    /// # Errors
    ///
    /// [`SendRefused::TooLarge`] and [`SendRefused::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is reserved, so nothing is lost.
    fn room(&self, bytes: usize) -> BoxFuture<'_, Result<(), SendRefused>>;

    /// Goes on reading after [`Flow::Pause`].
    ///
    /// Called without need, it may undo the next pause.
    fn resume(&self);

    /// Takes nothing more, sends what is queued, says goodbye and ends: [`LinkEnd::ClosedHere`].
    fn close(&self);

    /// Ends now, whatever is queued: [`LinkEnd::Aborted`]. The other end sees a reset.
    fn abort(&self, why: &str);

    /// Who is at the other end.
    fn peer(&self) -> &Peer;

    /// What went over it so far.
    fn stats(&self) -> LinkStats;
}

/// What comes up from a link. Called by one task, one call at a time.
///
/// A panic in it ends the link, and nothing else.
pub trait LinkEvents: Send + 'static {
    /// Bytes came, at least one. The slice is used again for the next: what is needed later is copied.
    fn received(&mut self, bytes: &[u8]) -> Flow;

    /// The link has ended. Called once, and nothing after it.
    ///
    /// `unsent` is what was queued and not handed to the kernel in full; what was handed over may have
    /// arrived or not.
    fn closed(&mut self, end: &LinkEnd, unsent: Unsent);
}

/// What to do after bytes were received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Read on.
    Continue,
    /// Read no more until [`Link::resume`]. What has been read already, 64 KiB at most, is still delivered.
    Pause,
    /// End the link: the bytes were not what they should be.
    Abort(String),
}

/// What was queued and did not go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// How many frames.
    pub frames: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Why a link takes no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendRefused {
    /// Too much waits already.
    Full {
        /// How many bytes wait.
        queued: usize,
        /// `queue_bytes_max`.
        max: usize,
    },
    /// The frame is larger than the whole queue may be.
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// `queue_bytes_max`.
        max: usize,
    },
    /// The link is closing or has ended.
    Closed,
}

impl fmt::Display for SendRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { queued, max } => write!(
                f,
                "{queued} of {max} bytes wait to be sent already; wait for room, or raise queue_bytes_max"
            ),
            Self::TooLarge { bytes, max } => write!(
                f,
                "a frame of {bytes} bytes exceeds queue_bytes_max, {max}; fragment it, or raise the limit"
            ),
            Self::Closed => f.write_str("the link is closing or has ended"),
        }
    }
}

impl std::error::Error for SendRefused {}

/// How a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEnd {
    /// This side closed it, and all that was queued went out.
    ClosedHere,
    /// The other side closed it.
    ClosedByPeer,
    /// The connection ended without the goodbye of TLS: the peer died, or somebody cut it.
    Truncated,
    /// This side gave it up, for this reason.
    Aborted(String),
    /// What came was not acceptable, for this reason.
    Refused(String),
    /// It was closing, and the peer did not take what was queued in time.
    CloseTimedOut {
        /// `close_within`.
        after: Duration,
    },
    /// The connection broke. `TimedOut` means that the peer did not acknowledge for `user_timeout`.
    Io {
        /// What kind of error it was.
        kind: io::ErrorKind,
        /// What the system says.
        text: String,
    },
    /// What came was not encrypted as agreed.
    Tls(String),
    /// The code that receives panicked.
    Panicked,
    /// The runtime of the link went away.
    RuntimeGone,
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedHere => f.write_str("closed by this side"),
            Self::ClosedByPeer => f.write_str("closed by the peer"),
            Self::Truncated => f.write_str("cut off without a goodbye"),
            Self::Aborted(why) => write!(f, "given up: {why}"),
            Self::Refused(why) => write!(f, "the peer sent what is not acceptable: {why}"),
            Self::CloseTimedOut { after } => {
                write!(f, "the peer did not take what was queued within {after:?}")
            }
            Self::Io {
                kind: io::ErrorKind::TimedOut,
                ..
            } => f.write_str("the peer did not acknowledge in time (user_timeout); it is gone, or the network is"),
            Self::Io { text, .. } => write!(f, "the connection broke: {text}"),
            Self::Tls(what) => write!(f, "TLS failed: {what}"),
            Self::Panicked => f.write_str("the code that receives panicked"),
            Self::RuntimeGone => f.write_str("its runtime was shut down"),
        }
    }
}

/// Who is at the other end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it has proven.
    pub identity: PeerIdentity,
    /// Its address.
    pub addr: SocketAddr,
    /// This side's address.
    pub local: SocketAddr,
    /// Whether this side dialled.
    pub dialled: bool,
    /// 32 bytes that the two ends of this TLS session know, and nobody else: what a handshake above signs
    /// or checks cannot be carried to another session. `None` without TLS.
    pub binding: Option<[u8; 32]>,
}

/// What went over a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Frames queued.
    pub frames_queued: u64,
    /// Frames handed to the kernel.
    pub frames_sent: u64,
    /// Their bytes, before encryption.
    pub bytes_sent: u64,
    /// System calls that wrote; `frames_sent / writes` is how well writes were coalesced.
    pub writes: u64,
    /// Of these, on threads of senders ([`Link::flush`]).
    pub writes_by_senders: u64,
    /// Bytes received, after decryption.
    pub bytes_received: u64,
    /// Reads that brought bytes.
    pub reads: u64,
    /// Bytes that wait to be sent.
    pub bytes_queued: u64,
    /// How often reading paused.
    pub pauses: u64,
}

/// A future in a box.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
