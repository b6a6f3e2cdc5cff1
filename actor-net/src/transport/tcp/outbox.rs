//! What waits to be sent on one link, and who sends it.
//!
//! At any time at most one thread writes: the one that holds the *pen*. Whoever queues while another writes
//! adds to the heap, and the writer takes the whole heap next: writes coalesce exactly while one is under
//! way and never wait for company. Small frames are copied into chunks of 64 KiB, since a copy is cheaper
//! than one more entry in a vectored write.
//!
//! ```text
//!            queue                 take the pen             finish
//!   sender ---------> chunks ... ---------------> Batch ---------------> gone, or the next batch
//!                                                   |  the kernel is full
//!                                                   +---------------> handover: the link's task goes on
//! ```
//!
//! The pen is free, with the link's task, with a sender in `flush`, or lies in `handover` for the link's
//! task. One lock guards all of it; it is held for a copy, never for a system call.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use super::buffers::{BUFFER_BYTES, Buffers};
use crate::transport::link::{LinkStats, SendRefused, Unsent};

/// What waits to be sent.
#[derive(Debug)]
pub(super) struct Outbox {
    state: Mutex<State>,
    /// For the link's task.
    wake: Notify,
    /// For those who wait for room.
    room: Notify,
    max: usize,
    buffers: Arc<Buffers>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    chunks: VecDeque<Chunk>,
    /// Of the chunks and the batch under way.
    bytes: usize,
    frames: u64,
    pen: Pen,
    /// TLS has something to say that nobody queued.
    tls_waits: bool,
    /// The link's task has been woken and has not looked yet.
    woken: bool,
    /// How many wait for room.
    waiting: usize,
    /// Gone when the link has ended, so that handles to it hold no socket.
    writer: Option<Arc<Writer>>,
    broken: Option<io::Error>,
    stats: LinkStats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Closing,
    Ended,
}

#[derive(Debug)]
enum Pen {
    Free,
    Taken,
    Handover(Batch),
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    frames: u64,
}

/// What one writer has in hand.
#[derive(Debug)]
pub(super) struct Batch {
    /// What is to be written, from `offset` in the first.
    pub(super) buffers: VecDeque<Vec<u8>>,
    pub(super) offset: usize,
    /// What it stands for in the queue.
    bytes: usize,
    frames: u64,
    /// System calls it took.
    pub(super) writes: u64,
}

/// What the link's task finds.
pub(super) enum Work {
    /// The pen, with a batch that somebody has prepared (`true`) or not.
    Write(Batch, bool),
    /// Nothing to do.
    Wait,
    /// Closing, and all is sent.
    Goodbye,
    /// A sender met an error.
    Broken(io::Error),
}

impl Outbox {
    pub(super) fn new(writer: OwnedWriteHalf, max: usize, buffers: Arc<Buffers>) -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Open,
                chunks: VecDeque::new(),
                bytes: 0,
                frames: 0,
                pen: Pen::Free,
                tls_waits: false,
                woken: false,
                waiting: 0,
                writer: Some(Arc::new(Writer(Some(writer)))),
                broken: None,
                stats: LinkStats::default(),
            }),
            wake: Notify::new(),
            room: Notify::new(),
            max,
            buffers,
        }
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn queue(&self, frame: &[u8]) -> Result<(), SendRefused> {
        let mut state = self.state();
        state.fits(frame.len(), self.max)?;
        match state.chunks.back_mut() {
            Some(chunk) if chunk.bytes.len() + frame.len() <= BUFFER_BYTES => {
                chunk.bytes.extend_from_slice(frame);
                chunk.frames += 1;
            }
            _ => {
                let mut bytes = self.buffers.take_empty();
                bytes.extend_from_slice(frame);
                state.chunks.push_back(Chunk { bytes, frames: 1 });
            }
        }
        state.bytes += frame.len();
        state.frames += 1;
        state.stats.frames_queued += 1;
        Ok(())
    }

    /// Wakes the link's task, if there is something that nobody is at.
    pub(super) fn kick(&self) {
        let mut state = self.state();
        if matches!(state.pen, Pen::Free) && state.has_output() && !state.woken {
            state.woken = true;
            drop(state);
            self.wake.notify_one();
        }
    }

    /// The pen for a sender, if it is free and there is something to write.
    pub(super) fn take_pen(&self) -> Option<(Batch, Arc<Writer>)> {
        let mut state = self.state();
        let writer = state.writer.clone()?;
        if !matches!(state.pen, Pen::Free) || !state.has_output() {
            return None;
        }
        state.pen = Pen::Taken;
        Some((state.next_batch(), writer))
    }

    /// A sender has written its batch; what came meanwhile is for the link's task, so that nobody's thread
    /// is kept.
    pub(super) fn leave(&self, batch: Batch) {
        let mut state = self.state();
        state.stats.writes_by_senders += batch.writes;
        let room = state.sent(batch, &self.buffers, self.max);
        state.pen = Pen::Free;
        let wake = state.has_output() || state.phase != Phase::Open;
        state.woken |= wake;
        drop(state);
        self.tell(room, wake);
    }

    /// A sender met a full kernel, or an error.
    pub(super) fn hand_over(&self, batch: Batch, broken: Option<io::Error>) {
        let mut state = self.state();
        state.stats.writes_by_senders += batch.writes;
        state.pen = Pen::Handover(Batch { writes: 0, ..batch });
        state.broken = broken;
        state.woken = true;
        drop(state);
        self.wake.notify_one();
    }

    /// What there is to do for the link's task, which then has the pen.
    pub(super) fn work(&self) -> Work {
        let mut state = self.state();
        state.woken = false;
        if let Some(error) = state.broken.take() {
            return Work::Broken(error);
        }
        match std::mem::replace(&mut state.pen, Pen::Taken) {
            Pen::Handover(batch) => Work::Write(batch, true),
            Pen::Taken => Work::Wait,
            Pen::Free if state.has_output() => Work::Write(state.next_batch(), false),
            // The pen stays taken: nobody writes after the goodbye.
            Pen::Free if state.phase == Phase::Closing => Work::Goodbye,
            Pen::Free => {
                state.pen = Pen::Free;
                Work::Wait
            }
        }
    }

    /// The link's task has written its batch; the next one, or the pen is free.
    pub(super) fn finish(&self, batch: Batch) -> Option<Batch> {
        let mut state = self.state();
        let room = state.sent(batch, &self.buffers, self.max);
        let next = state.has_output().then(|| state.next_batch());
        if next.is_none() {
            state.pen = Pen::Free;
        }
        drop(state);
        self.tell(room, false);
        next
    }

    /// Until there may be something for the link's task.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// TLS has something to say.
    pub(super) fn tls_waits(&self) {
        self.state().tls_waits = true;
        self.kick();
    }

    /// Until `bytes` may fit.
    pub(super) async fn wait_for_room(&self, bytes: usize) -> Result<(), SendRefused> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Before the look, so that room made after it is noticed.
            room.as_mut().enable();
            {
                let mut state = self.state();
                match state.fits(bytes, self.max) {
                    Err(SendRefused::Full { .. }) => state.waiting += 1,
                    done => return done,
                }
            }
            let _waiting = Waiting(self);
            room.await;
        }
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
            state.woken = true;
            drop(state);
            self.tell(true, true);
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state().phase != Phase::Open
    }

    /// The link has ended; what was not sent.
    pub(super) fn end(&self) -> Unsent {
        let mut state = self.state();
        state.phase = Phase::Ended;
        state.writer = None;
        state.chunks.clear();
        let unsent = Unsent {
            frames: state.frames,
            bytes: state.bytes as u64,
        };
        (state.frames, state.bytes, state.tls_waits) = (0, 0, false);
        if let Pen::Handover(_) = state.pen {
            state.pen = Pen::Taken;
        }
        drop(state);
        self.room.notify_waiters();
        unsent
    }

    pub(super) fn writer(&self) -> Option<Arc<Writer>> {
        self.state().writer.clone()
    }

    pub(super) fn stats(&self) -> LinkStats {
        let state = self.state();
        LinkStats {
            bytes_queued: state.bytes as u64,
            ..state.stats
        }
    }

    fn tell(&self, room: bool, wake: bool) {
        if room {
            self.room.notify_waiters();
        }
        if wake {
            self.wake.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fits(&self, bytes: usize, max: usize) -> Result<(), SendRefused> {
        if self.phase != Phase::Open {
            return Err(SendRefused::Closed);
        }
        if bytes > max {
            return Err(SendRefused::TooLarge { bytes, max });
        }
        if self.bytes + bytes > max {
            return Err(SendRefused::Full {
                queued: self.bytes,
                max,
            });
        }
        Ok(())
    }

    fn has_output(&self) -> bool {
        self.phase != Phase::Ended && (self.tls_waits || !self.chunks.is_empty())
    }

    fn next_batch(&mut self) -> Batch {
        self.tls_waits = false;
        let mut batch = Batch {
            buffers: VecDeque::new(),
            offset: 0,
            bytes: 0,
            frames: 0,
            writes: 0,
        };
        while let Some(chunk) = self.chunks.front() {
            if batch.bytes > 0 && batch.bytes + chunk.bytes.len() > BATCH_BYTES_MAX {
                break;
            }
            batch.bytes += chunk.bytes.len();
            batch.frames += chunk.frames;
            batch
                .buffers
                .extend(self.chunks.pop_front().map(|c| c.bytes));
        }
        batch
    }

    /// Books a batch as sent; whether those who wait for room should look.
    fn sent(&mut self, batch: Batch, buffers: &Buffers, max: usize) -> bool {
        batch.buffers.into_iter().for_each(|b| buffers.put_empty(b));
        self.stats.writes += batch.writes;
        self.stats.frames_sent += batch.frames;
        self.stats.bytes_sent += batch.bytes as u64;
        // After the end all of it was counted as unsent.
        self.bytes = self.bytes.saturating_sub(batch.bytes);
        self.frames = self.frames.saturating_sub(batch.frames);
        self.waiting > 0 && self.bytes <= max / 2
    }
}

/// The half of the socket that is written to, which says nothing when it is dropped: tokio's would send the
/// end of the stream, and an aborted link must not look as if it had been closed.
#[derive(Debug)]
pub(super) struct Writer(Option<OwnedWriteHalf>);

impl Writer {
    pub(super) fn tcp(&self) -> io::Result<&OwnedWriteHalf> {
        self.0
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(half) = self.0.take() {
            half.forget();
        }
    }
}

/// Somebody waits for room.
struct Waiting<'a>(&'a Outbox);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting = state.waiting.saturating_sub(1);
    }
}

/// How much one writer takes at once.
const BATCH_BYTES_MAX: usize = 4 * BUFFER_BYTES;
