//! A connection whose other end must take what it is told.
//!
//! Who asks and then does not read would have its place for ever: the kernel's buffers fill up and nobody is woken
//! again. So a write that waits has two limits: a time without any progress, and, against readers that take a byte now and
//! then, a time for all that is to be written at a stretch. Both begin when the kernel takes no more, so a reader that
//! keeps up never meets them, and neither costs a timer until then.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// A reader that makes progress may take so many times the time without any.
const IN_ALL: u32 = 12;

pub(super) struct Patient {
    stream: TcpStream,
    /// Without progress.
    limit: Duration,
    waits: Option<Waits>,
}

struct Waits {
    /// When all must be out.
    end: Instant,
    /// When something must be.
    timer: Pin<Box<Sleep>>,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            waits: None,
        }
    }

    /// The kernel takes nothing now: whether it is too late.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let now = Instant::now();
        let waits = self.waits.get_or_insert_with(|| Waits {
            end: now + self.limit * IN_ALL,
            timer: Box::pin(sleep_until(now + self.limit)),
        });
        ready!(waits.timer.as_mut().poll(cx));
        Poll::Ready(io::Error::new(
            io::ErrorKind::TimedOut,
            "the other end does not take the answer",
        ))
    }

    /// The kernel has taken something.
    fn progress(&mut self) {
        if let Some(waits) = &mut self.waits {
            let next = (Instant::now() + self.limit).min(waits.end);
            waits.timer.as_mut().reset(next);
        }
    }

    fn written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(written) => {
                self.progress();
                Poll::Ready(written)
            }
            Poll::Pending => self.wait(cx).map(Err),
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// What was to be written at a stretch is the kernel's.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waits = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
