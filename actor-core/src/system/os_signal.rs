//! The operating system's wish that the process end: SIGTERM from a service manager, Ctrl-C from a
//! person.
//!
//! This file only reports the wish. What it starts, how long that may take, and that a *second*
//! signal cuts it short is the system's business; for the latter it keeps one `Termination`, which
//! misses no signal between two calls.
//!
//! Once asked for, a signal stays ours: tokio never gives the default action back, so from the
//! first call on the process ends only if somebody ends it. tokio's runtime carries the handler's
//! one write over a socket pair, hence the need for a runtime with its I/O driver enabled.

use std::fmt;
use std::io;

/// Resolves at the next SIGTERM or SIGINT (Ctrl-C); elsewhere than on Unix, at Ctrl-C.
///
/// Counts signals that arrive after the first poll. Until then the default action stands, and the
/// process dies of them.
///
/// # Errors
///
/// When polled outside a tokio runtime, or when the handler cannot be installed.
///
/// # Panics
///
/// When the tokio runtime was built without `enable_io`.
///
/// # Cancel safety
///
/// Safe to drop, but a signal that arrives while no such future waits is not reported later.
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// let signal = actor_core::system::termination().await?;
/// println!("stopping on {signal}");
/// # Ok(())
/// # }
/// ```
pub async fn termination() -> io::Result<OsSignal> {
    Termination::listen()?.next().await
}

/// Which signal asked the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OsSignal {
    /// SIGTERM: a service manager, `kill`, an orchestrator.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
}

impl fmt::Display for OsSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT (Ctrl-C)",
        })
    }
}

/// Signals from the moment of `listen` on. Two of one kind that arrive before `next` is polled
/// count as one, as everywhere in Unix.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Termination {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Termination {
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        need_runtime()?;
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) -> io::Result<OsSignal> {
        use std::task::Poll;

        let next = std::future::poll_fn(|cx| {
            if let Poll::Ready(found) = self.terminate.poll_recv(cx) {
                return Poll::Ready(found.map(|()| OsSignal::Terminate));
            }
            self.interrupt
                .poll_recv(cx)
                .map(|found| found.map(|()| OsSignal::Interrupt))
        });
        next.await
            .ok_or_else(|| io::Error::other("the tokio runtime that delivers signals has stopped"))
    }
}

/// Elsewhere tokio offers Ctrl-C only, and only from one `next` to its end.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Termination(());

#[cfg(not(unix))]
impl Termination {
    pub(crate) fn listen() -> io::Result<Self> {
        need_runtime()?;
        Ok(Self(()))
    }

    pub(crate) async fn next(&mut self) -> io::Result<OsSignal> {
        tokio::signal::ctrl_c().await?;
        Ok(OsSignal::Interrupt)
    }
}

/// tokio panics without a runtime; a program that is about to stop deserves an error instead.
fn need_runtime() -> io::Result<()> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(()),
        Err(_) => Err(io::Error::other(
            "waiting for a termination signal needs a tokio runtime: call it from a task or under \
             Handle::enter",
        )),
    }
}

#[cfg(all(test, unix))]
mod tests;
