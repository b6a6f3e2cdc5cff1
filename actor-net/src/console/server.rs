//! Connections: how many at a time, how long they may take, and how they end.
//!
//! A task accepts, on the reactor of the system; each connection is a task beside it, and is held to its times by hyper (the
//! head of a request) and by us (its answer, and that it is taken: `patience`). Who comes when all places are taken waits in the kernel's queue, so the
//! worst that a stranger can do is to keep others off the console, never memory or workers.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::answer::{Answer, Wrong, harden};
use super::patience::Patient;
use super::{Shared, route};

/// How long the head of a request may take to come, and a connection lie idle.
const HEAD: Duration = Duration::from_secs(10);
/// The bytes of a head.
const HEAD_BYTES: usize = 16 * 1024;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// After a failure of the kernel to accept, such as without file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections are held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connections_max: usize,
    /// How long an answer may wait for a reader that takes nothing.
    pub(super) write_timeout: Duration,
}

pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener, limits: Limits) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let next = tokio::select! {
            biased;
            () = shared.closing.cancelled() => break,
            // A place first: who is not served is not taken.
            next = accept(&listener, &places) => next,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection of the console has failed");
                }
                continue;
            }
        };
        match next {
            Ok((stream, place)) => {
                let stream = Patient::new(stream, limits.write_timeout);
                connections.spawn(connection(shared.clone(), stream, place));
            }
            Err(error) => {
                tracing::warn!(%error, "the console cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let grace = *shared.grace.borrow();
    let all = async { while connections.join_next().await.is_some() {} };
    // What is left is cut off when the set is dropped.
    let _ = tokio::time::timeout(grace, all).await;
    drop(connections);
    shared.ended.send_replace(true);
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let Ok(place) = places.clone().acquire_owned().await else {
        // Nobody closes it.
        return Err(io::Error::other("no places any more"));
    };
    let (stream, _) = listener.accept().await?;
    // Answers are small and at once.
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn connection(shared: Arc<Shared>, stream: Patient, place: OwnedSemaphorePermit) {
    let closing = shared.closing.clone();
    let service = service_fn(move |request| answer(shared.clone(), request));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES);
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = closing.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        // Somebody went away, or sent what is no HTTP.
        tracing::debug!(%error, "a connection of the console has ended");
    }
    drop(place);
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let routed = tokio::time::timeout(ANSWER, route::route(&shared, request)).await;
    let mut answer: Response<_> = match routed {
        Ok(Ok(answer)) => answer,
        Ok(Err(wrong)) => wrong.answer(),
        Err(_) => Wrong::unavailable(
            format!("no answer within {ANSWER:?}"),
            "the process is busy; ask again, or for less",
        )
        .answer(),
    };
    harden(&mut answer);
    Ok(answer)
}
