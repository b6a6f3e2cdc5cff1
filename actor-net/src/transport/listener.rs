//! Lets peers in.
//!
//! The loop that accepts never ends by an error: what is wrong with one connection is no matter of the
//! next, and when the process has no file descriptors left it waits a little and tries again. Each
//! connection has a task of its own for the handshake, within limits that hold before anybody is known
//! (`gate.rs`), and is handed over when it has become one of a peer.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::error::ListenError;
use super::established::Established;
use super::handshake;
use super::link::Peer;
use super::security::{HandshakeFailure, Mode, Verdict};
use super::session::Session;
use super::socket;
use super::state::{Core, Visitor, bump};

/// A port that peers dial. Dropping it closes the port; links that came of it stay.
pub struct Listener {
    addr: SocketAddr,
    arrivals: mpsc::Receiver<Established>,
    stop: CancellationToken,
}

impl Listener {
    pub(crate) fn open(core: &Arc<Core>, addr: SocketAddr) -> Result<Self, ListenError> {
        if core.keyring.loaded().mode() == Mode::Insecure && !addr.ip().to_canonical().is_loopback()
        {
            return Err(ListenError::InsecureBeyondLoopback { addr });
        }
        if core.closing.is_cancelled() {
            return Err(ListenError::ShutDown);
        }
        let listening = {
            let _on = core.runtime.enter();
            socket::listen(addr, core.settings.backlog)
                .map_err(|error| ListenError::of(addr, error))?
        };
        let addr = listening
            .local_addr()
            .map_err(|error| ListenError::of(addr, error))?;
        let (hand_over, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let stop = core.closing.child_token();
        let task = run(core.clone(), listening, hand_over, stop.clone());
        core.tasks.spawn(&core.runtime, task);
        Ok(Self {
            addr,
            arrivals,
            stop,
        })
    }

    /// Where it listens; with the real port, if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next peer that has come in; `None` when the transport is shut down.
    ///
    /// # Cancel safety
    ///
    /// Nobody is lost.
    pub async fn accept(&mut self) -> Option<Established> {
        self.arrivals.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.addr)
    }
}

async fn run(
    core: Arc<Core>,
    listening: TcpListener,
    hand_over: mpsc::Sender<Established>,
    stop: CancellationToken,
) {
    while let Some(accepted) = stop.run_until_cancelled(listening.accept()).await {
        match accepted {
            Ok((tcp, from)) => match core.arrive(from) {
                Some(visitor) => {
                    let meeting = meet(
                        core.clone(),
                        tcp,
                        from,
                        visitor,
                        hand_over.clone(),
                        stop.clone(),
                    );
                    core.tasks.spawn(&core.runtime, meeting);
                }
                None => socket::reset(&tcp),
            },
            Err(error) => {
                bump(&core.counters.accept_errors);
                if !is_of_one_connection(&error) {
                    tracing::error!(%error, "cannot accept connections; trying again");
                    stop.run_until_cancelled(tokio::time::sleep(AFTER_ERROR))
                        .await;
                }
            }
        }
    }
}

/// One visitor, from the first byte to the hand-over.
async fn meet(
    core: Arc<Core>,
    tcp: TcpStream,
    from: SocketAddr,
    visitor: Visitor,
    hand_over: mpsc::Sender<Established>,
    stop: CancellationToken,
) {
    let all = async {
        match greet(&core, tcp, from).await {
            Ok(established) => {
                // Known now: the place before authentication is free for the next.
                drop(visitor);
                bump(&core.counters.admitted);
                // When nobody takes it any more, it is closed.
                let _ = hand_over.send(established).await;
            }
            Err((failure, session)) => {
                core.refuse(from, &failure);
                // Still within its place: lingering, too, is limited.
                session.linger().await;
                drop(visitor);
            }
        }
    };
    stop.run_until_cancelled(all).await;
}

async fn greet(
    core: &Arc<Core>,
    tcp: TcpStream,
    from: SocketAddr,
) -> Result<Established, (HandshakeFailure, Session)> {
    let settings = &core.settings;
    let keys = core.keyring.loaded();
    let mut session = Session::new(tcp, keys.mode(), settings.handshake_bytes_max);
    let prepared = socket::prepare(&session.tcp, settings);
    let local = session.tcp.local_addr();
    let shaken = async {
        prepared?;
        handshake::accept(&mut session, &keys, |identity| {
            core.slot(identity, from).ok_or(Verdict::TooManyLinks)
        })
        .await
    };
    let after = settings.handshake_within;
    let result = tokio::time::timeout(after, shaken)
        .await
        .unwrap_or(Err(HandshakeFailure::TimedOut { after }));
    match (result, local) {
        (Ok((proven, slot)), Ok(local)) => {
            let peer = Peer {
                identity: proven.identity,
                addr: from,
                local,
                dialled: false,
                binding: proven.binding,
            };
            Ok(Established::new(session, peer, slot, core.clone()))
        }
        (Err(failure), _) => Err((failure, session)),
        (_, Err(error)) => Err((error.into(), session)),
    }
}

/// Whether the next connection may fare better at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// How many peers may have come in and wait to be taken.
const ARRIVALS_MAX: usize = 64;

/// How long to wait when the system accepts nothing: out of file descriptors, mostly.
const AFTER_ERROR: Duration = Duration::from_millis(50);
