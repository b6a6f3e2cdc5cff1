//! The reading half of a link's task.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::task::{Poll, ready};

use rustls::Connection;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use super::{Receiver, Shared, broken};
use crate::transport::link::{Flow, LinkEnd, LinkEvents};

/// Reads until the end, which it returns.
pub(super) async fn read<E: LinkEvents>(
    mut half: OwnedReadHalf,
    receiver: &mut Receiver<E>,
) -> LinkEnd {
    let shared = receiver.shared.clone();
    // What came with the last bytes of the handshake.
    let mut outcome = match shared.tls {
        Some(_) => open(&shared, receiver, &[]),
        None => Ok(Flow::Continue),
    };
    loop {
        match outcome {
            Ok(Flow::Continue) => {}
            Ok(Flow::Pause) => {
                shared.received.pauses.fetch_add(1, Ordering::Relaxed);
                shared.resume.notified().await;
            }
            Ok(Flow::Abort(why)) => return LinkEnd::Refused(why),
            Err(end) => return end,
        }
        let (buffer, n) = match next(&mut half, &shared).await {
            Ok(read) => read,
            Err(error) => return broken(&error),
        };
        shared.received.reads.fetch_add(1, Ordering::Relaxed);
        outcome = match (n, &shared.tls) {
            (0, Some(_)) => Err(LinkEnd::Truncated),
            (0, None) => Err(LinkEnd::ClosedByPeer),
            (n, Some(_)) => open(&shared, receiver, &buffer[..n]),
            (n, None) => receiver.received(&buffer[..n]),
        };
        shared.buffers.put_whole(buffer);
    }
}

/// The next bytes, in a buffer that is taken only when there are some.
async fn next(half: &mut OwnedReadHalf, shared: &Shared) -> io::Result<(Box<[u8]>, usize)> {
    std::future::poll_fn(|cx| {
        ready!(half.as_ref().poll_read_ready(cx))?;
        let mut buffer = shared.buffers.take_whole();
        let mut into = ReadBuf::new(&mut buffer);
        // Rather than `try_read`: it knows that a short read has emptied the socket and saves the second.
        let read = Pin::new(&mut *half).poll_read(cx, &mut into);
        let n = into.filled().len();
        match read {
            Poll::Ready(Ok(())) => Poll::Ready(Ok((buffer, n))),
            Poll::Ready(Err(error)) => {
                shared.buffers.put_whole(buffer);
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                shared.buffers.put_whole(buffer);
                Poll::Pending
            }
        }
    })
    .await
}

/// Decrypts and hands on. The lock is free while the code above runs: it may send.
fn open<E: LinkEvents>(
    shared: &Shared,
    receiver: &mut Receiver<E>,
    mut cipher: &[u8],
) -> Result<Flow, LinkEnd> {
    let Some(tls) = &shared.tls else {
        return Ok(Flow::Continue);
    };
    let mut plain = shared.buffers.take_whole();
    let mut flow = Flow::Continue;
    let outcome = loop {
        let (n, end, wants_write) = {
            let mut tls = tls.lock().unwrap_or_else(PoisonError::into_inner);
            let (n, end) = fill(&mut tls, &mut cipher, &mut plain);
            (n, end, tls.wants_write())
        };
        if wants_write {
            shared.outbox.tls_waits();
        }
        if n > 0 {
            match receiver.received(&plain[..n]) {
                Ok(Flow::Continue) => {}
                Ok(Flow::Pause) => flow = Flow::Pause,
                stop => break stop,
            }
        }
        if let Some(end) = end {
            break Err(end);
        }
        if n < plain.len() {
            break Ok(flow);
        }
    };
    shared.buffers.put_whole(plain);
    outcome
}

/// As much of `cipher` as `plain` holds when decrypted; and the end, if that is it.
fn fill(tls: &mut Connection, cipher: &mut &[u8], plain: &mut [u8]) -> (usize, Option<LinkEnd>) {
    let mut filled = 0;
    loop {
        while filled < plain.len() {
            match tls.reader().read(&mut plain[filled..]) {
                Ok(0) => return (filled, Some(LinkEnd::ClosedByPeer)),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return (filled, Some(LinkEnd::Tls(error.to_string()))),
            }
        }
        if filled == plain.len() || cipher.is_empty() {
            return (filled, None);
        }
        let fed = tls
            .read_tls(cipher)
            .map_err(|error| error.to_string())
            .and_then(|_| tls.process_new_packets().map_err(|error| error.to_string()));
        if let Err(what) = fed {
            return (filled, Some(LinkEnd::Tls(what)));
        }
    }
}
