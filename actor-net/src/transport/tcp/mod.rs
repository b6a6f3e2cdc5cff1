//! A link over TCP, with TLS or without: one task, and any number of senders.
//!
//! The task reads, hands on what came, writes what senders left to it, and is the only one that waits.
//! Senders may write too (`Link::flush`); see `outbox.rs` for how they take turns. TLS is one state machine
//! for both directions behind a lock that is held to encrypt or decrypt, never for a system call, and
//! ciphertext leaves it only in the hands of who holds the pen, so records keep their order.

pub(crate) mod buffers;
mod outbox;
mod reader;
mod writer;

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use rustls::Connection;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use self::buffers::Buffers;
use self::outbox::Outbox;
use super::link::{BoxFuture, Flow, Link, LinkEnd, LinkEvents, LinkStats, Peer, SendRefused};
use super::{quota::LinkSlot, socket};

/// A [`Link`] over TCP.
///
/// A handle: clones are the same link. Dropping all of them does not end it, since its task lives until the
/// connection ends, [`close`](Link::close) or [`abort`](Link::abort), or the transport is shut down.
#[derive(Clone)]
pub struct TcpLink(Arc<Shared>);

pub(super) struct Shared {
    peer: Peer,
    outbox: Outbox,
    tls: Option<Mutex<Connection>>,
    buffers: Arc<Buffers>,
    received: Received,
    resume: tokio::sync::Notify,
    abort: CancellationToken,
    abort_reason: OnceLock<String>,
}

/// Counters of the reading side. Relaxed throughout: numbers to look at, one writer.
#[derive(Default)]
struct Received {
    bytes: AtomicU64,
    reads: AtomicU64,
    pauses: AtomicU64,
}

/// What a link is started with.
pub(crate) struct Parts {
    pub(crate) tcp: TcpStream,
    pub(crate) tls: Option<Connection>,
    pub(crate) peer: Peer,
    pub(crate) slot: LinkSlot,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) queue_bytes_max: usize,
    pub(crate) close_within: Duration,
    /// Ends every link at once.
    pub(crate) abort_all: CancellationToken,
    /// Closes every link in good order.
    pub(crate) close_all: CancellationToken,
}

/// A link and the task that is to be run for it.
pub(crate) fn link<E: LinkEvents>(
    parts: Parts,
    events: impl FnOnce(&TcpLink) -> E,
) -> (TcpLink, impl Future<Output = ()> + Send + 'static) {
    let (reading, writing) = parts.tcp.into_split();
    let link = TcpLink(Arc::new(Shared {
        peer: parts.peer,
        outbox: Outbox::new(writing, parts.queue_bytes_max, parts.buffers.clone()),
        tls: parts.tls.map(|mut tls| {
            // The outbox bounds what waits.
            tls.set_buffer_limit(None);
            Mutex::new(tls)
        }),
        buffers: parts.buffers,
        received: Received::default(),
        resume: tokio::sync::Notify::new(),
        abort: parts.abort_all.child_token(),
        abort_reason: OnceLock::new(),
    }));
    let receiver = Receiver {
        events: Some(events(&link)),
        shared: link.0.clone(),
    };
    let (close_all, close_within) = (parts.close_all, parts.close_within);
    let slot = parts.slot;
    let task = async move {
        let mut receiver = receiver;
        let end = run(reading, &mut receiver, &close_all, close_within).await;
        receiver.end(&end);
        drop(slot);
    };
    (link, task)
}

/// The events, which hear of the end however it comes: also when the task is dropped.
pub(super) struct Receiver<E: LinkEvents> {
    events: Option<E>,
    shared: Arc<Shared>,
}

impl<E: LinkEvents> Receiver<E> {
    /// Hands bytes on. A panic of the code above ends the link and goes no further.
    fn received(&mut self, bytes: &[u8]) -> Result<Flow, LinkEnd> {
        let received = &self.shared.received;
        received
            .bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let Some(events) = &mut self.events else {
            return Err(LinkEnd::RuntimeGone);
        };
        catch_unwind(AssertUnwindSafe(|| events.received(bytes))).map_err(|_| LinkEnd::Panicked)
    }

    fn end(&mut self, end: &LinkEnd) {
        let Some(mut events) = self.events.take() else {
            return;
        };
        if matches!(
            end,
            LinkEnd::Aborted(_)
                | LinkEnd::Refused(_)
                | LinkEnd::Panicked
                | LinkEnd::CloseTimedOut { .. }
        ) && let Some(writer) = self.shared.outbox.writer()
            && let Ok(half) = writer.tcp()
        {
            socket::reset(half.as_ref());
        }
        let unsent = self.shared.outbox.end();
        // A panic here has nothing left to break; dropping what panicked may panic again.
        let told = catch_unwind(AssertUnwindSafe(|| {
            events.closed(end, unsent);
            drop(events);
        }));
        if told.is_err() {
            tracing::error!(peer = %self.shared.peer.addr, "the code that hears of a link's end panicked");
        }
    }
}

impl<E: LinkEvents> Drop for Receiver<E> {
    fn drop(&mut self) {
        self.end(&LinkEnd::RuntimeGone);
    }
}

/// The life of a link.
async fn run<E: LinkEvents>(
    reading: OwnedReadHalf,
    receiver: &mut Receiver<E>,
    close_all: &CancellationToken,
    close_within: Duration,
) -> LinkEnd {
    let shared = receiver.shared.clone();
    let mut reading = pin!(reader::read(reading, receiver));
    let mut writing = pin!(writer::write(&shared));
    let mut aborted = pin!(shared.abort.cancelled());
    let mut closed_all = pin!(close_all.cancelled());
    let mut grace: Option<Pin<Box<Sleep>>> = None;
    let (mut written, mut told_to_close) = (false, false);
    std::future::poll_fn(|cx| {
        if aborted.as_mut().poll(cx).is_ready() {
            let why = shared.abort_reason.get().cloned();
            return Poll::Ready(LinkEnd::Aborted(
                why.unwrap_or_else(|| "the transport is shut down".to_owned()),
            ));
        }
        if !told_to_close && closed_all.as_mut().poll(cx).is_ready() {
            told_to_close = true;
            shared.outbox.close();
        }
        // Reading first: what it answers goes out in the same round.
        if let Poll::Ready(end) = reading.as_mut().poll(cx) {
            // After this side's goodbye the other may end it as it likes.
            let ours = written
                && matches!(
                    end,
                    LinkEnd::ClosedByPeer | LinkEnd::Truncated | LinkEnd::Io { .. }
                );
            return Poll::Ready(if ours { LinkEnd::ClosedHere } else { end });
        }
        if !written {
            match writing.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => written = true,
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => {}
            }
        }
        if grace.is_none() && shared.outbox.is_closing() {
            grace = Some(Box::pin(tokio::time::sleep(close_within)));
        }
        if let Some(grace) = &mut grace
            && grace.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(LinkEnd::CloseTimedOut {
                after: close_within,
            });
        }
        Poll::Pending
    })
    .await
}

impl Link for TcpLink {
    fn queue(&self, frame: &[u8]) -> Result<(), SendRefused> {
        self.0.outbox.queue(frame)
    }

    fn flush(&self) {
        writer::write_here(&self.0);
    }

    fn kick(&self) {
        self.0.outbox.kick();
    }

    fn room(&self, bytes: usize) -> BoxFuture<'_, Result<(), SendRefused>> {
        Box::pin(self.0.outbox.wait_for_room(bytes))
    }

    fn resume(&self) {
        self.0.resume.notify_one();
    }

    fn close(&self) {
        self.0.outbox.close();
    }

    fn abort(&self, why: &str) {
        // The first reason stays.
        let _ = self.0.abort_reason.set(why.to_owned());
        self.0.abort.cancel();
    }

    fn peer(&self) -> &Peer {
        &self.0.peer
    }

    fn stats(&self) -> LinkStats {
        let received = &self.0.received;
        LinkStats {
            bytes_received: received.bytes.load(Ordering::Relaxed),
            reads: received.reads.load(Ordering::Relaxed),
            pauses: received.pauses.load(Ordering::Relaxed),
            ..self.0.outbox.stats()
        }
    }
}

impl TcpLink {
    /// How many bytes may wait to be sent.
    pub(crate) fn queue_bytes_max(&self) -> usize {
        self.0.outbox.max()
    }

    /// Sends a frame when there is room for it, by the link's own task.
    ///
    /// # Errors
    ///
    /// [`SendRefused::TooLarge`] and [`SendRefused::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Either the frame is queued and this returns, or nothing has happened. Those who wait are served as
    /// they come by: only frames of one sender, sent one after the other, are sure to keep their order.
    pub async fn send_when_room(&self, frame: &[u8]) -> Result<(), SendRefused> {
        loop {
            match self.send(frame) {
                Err(SendRefused::Full { .. }) => self.0.outbox.wait_for_room(frame.len()).await?,
                done => return done,
            }
        }
    }
}

impl fmt::Debug for TcpLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpLink")
            .field("peer", &self.0.peer.addr)
            .field("names", &self.0.peer.identity.names())
            .field("stats", &self.stats())
            .finish()
    }
}

fn broken(error: &io::Error) -> LinkEnd {
    LinkEnd::Io {
        kind: error.kind(),
        text: error.to_string(),
    }
}
