//! Buffers that go round: a link that is idle holds none.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The size of a buffer. A TLS record has 16 KiB, a full socket buffer often more.
pub(crate) const BUFFER_BYTES: usize = 64 << 10;

/// Buffers of one transport.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// Empty, to append to.
    empty: Mutex<Vec<Vec<u8>>>,
    /// Initialised, to read into.
    whole: Mutex<Vec<Box<[u8]>>>,
}

impl Buffers {
    /// An empty buffer with room for `BUFFER_BYTES`.
    pub(crate) fn take_empty(&self) -> Vec<u8> {
        let kept = lock(&self.empty).pop();
        kept.unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    pub(crate) fn put_empty(&self, mut buffer: Vec<u8>) {
        // One that has grown would make every later one large.
        if buffer.capacity() < BUFFER_BYTES || buffer.capacity() > 2 * BUFFER_BYTES {
            return;
        }
        buffer.clear();
        let mut kept = lock(&self.empty);
        if kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    }

    /// `BUFFER_BYTES` bytes of any value.
    pub(crate) fn take_whole(&self) -> Box<[u8]> {
        let kept = lock(&self.whole).pop();
        kept.unwrap_or_else(|| vec![0; BUFFER_BYTES].into())
    }

    pub(crate) fn put_whole(&self, buffer: Box<[u8]>) {
        let mut kept = lock(&self.whole);
        if kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many are kept of each: as many as reactor threads use at once, and some for queues; 2 MiB.
const KEPT_MAX: usize = 32;
