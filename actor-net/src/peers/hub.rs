//! What everything of this floor stands around: who we are, the book, the events, the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::book::{Book, Taken};
use super::config::Config;
use super::error::{ConnectError, PeerLost};
use super::events::{Contact, PeerEvents};
use super::peer::Peer;
use super::port::{Ears, now, pump};
use super::shake::Shaken;
use crate::id::PeerId;
use crate::transport::{Endpoint, Transport};
use crate::wire::control::{Control, Resumed};
use crate::wire::handshake::{LANES_SLEEP, Own, VERSIONS};
use crate::wire::hello::Introduction;
use crate::wire::lane::Lane;

/// See the module.
pub(super) struct Hub {
    pub(super) config: Config,
    pub(super) transport: Transport,
    pub(super) events: Arc<dyn PeerEvents>,
    /// Nobody is let in or dialled any more.
    pub(super) closing: CancellationToken,
    /// The same of lanes: what was to be said is said, or there is no more time.
    pub(super) over: CancellationToken,
    book: Mutex<Book<Peer>>,
    dials: Mutex<BTreeMap<Endpoint, Dialled>>,
    random: SystemRandom,
    quiet: Mutex<Quiet>,
}

/// An endpoint that is dialled whenever there is no connection.
pub(super) struct Dialled {
    pub(super) cancel: CancellationToken,
    /// Who is wanted, or was found.
    pub(super) peer: Option<PeerId>,
}

/// When the last line about refusals was logged, and how many were not since.
#[derive(Default)]
struct Quiet {
    at: Option<Instant>,
    kept: u64,
}

impl Hub {
    pub(super) fn new(config: Config, transport: Transport, events: Arc<dyn PeerEvents>) -> Self {
        Self {
            book: Mutex::new(Book::new(config.peer.clone())),
            dials: Mutex::default(),
            random: SystemRandom::new(),
            quiet: Mutex::default(),
            closing: CancellationToken::new(),
            over: CancellationToken::new(),
            config,
            transport,
            events,
        }
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book<Peer>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dials(&self) -> MutexGuard<'_, BTreeMap<Endpoint, Dialled>> {
        self.dials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where control connections live.
    pub(super) fn reactor(&self) -> &Handle {
        self.reactor_of(0)
    }

    /// Where this lane lives.
    pub(super) fn reactor_of(&self, lane: usize) -> &Handle {
        let runtimes = &self.config.runtimes;
        &runtimes[lane % runtimes.len()]
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.transport.spawn(self.reactor(), task);
    }

    /// Random bytes; `None` when the system has none.
    pub(super) fn random<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).ok()?;
        Some(bytes)
    }

    /// What this side brings to a handshake.
    pub(super) fn own(&self) -> Own {
        let config = &self.config;
        let timeout = config.limits.heartbeat_timeout.as_millis();
        Own {
            versions: config.versions.unwrap_or(VERSIONS),
            features: LANES_SLEEP,
            required: 0,
            who: Introduction {
                cluster: config.cluster.clone(),
                peer: config.peer.clone(),
                incarnation: config.incarnation,
                // Against replays where TLS does not see to that: an all-zero one is as good as none.
                nonce: self.random().unwrap_or_default(),
                numa_nodes: config.numa_nodes.clone(),
                limits: config.limits.promised(),
                heartbeat_timeout_ms: u32::try_from(timeout).unwrap_or(u32::MAX),
                schema: config.exports.hash(),
            },
            limits: config.limits.clone(),
        }
    }

    /// A new life, whose pumps run.
    pub(super) fn new_life(self: &Arc<Self>, who: &Introduction) -> Arc<Peer> {
        let peer = Arc::new(Peer::new(self, who.clone()));
        self.transport
            .spawn(self.reactor(), pump::<Control>(peer.clone(), 0));
        for lane in 0..peer.lanes() {
            let runtime = self.reactor_of(lane);
            self.transport
                .spawn(runtime, pump::<Lane>(peer.clone(), lane));
        }
        peer
    }

    /// A control connection that both sides agree on becomes the peer's.
    pub(super) fn attach_control(
        &self,
        taken: Taken<Peer>,
        shaken: Shaken,
    ) -> Result<Arc<Peer>, ConnectError> {
        let Taken { life, fresh, ended } = taken;
        if let Some(ended) = ended {
            let incarnation = life.incarnation();
            ended.end(PeerLost::Restarted { incarnation });
        }
        let Shaken {
            session,
            wire,
            rest,
        } = shaken;
        let resumed = Resumed {
            limits: wire.peer.limits,
            // What the other side counts is of another life of ours or its own, if this one is new.
            received_through: if fresh { 0 } else { wire.received_through },
            schema: wire.peer.schema,
        };
        let id = (wire.session, wire.epoch);
        let peer = life.clone();
        let decoder = wire.decoder;
        let started = session.start(self.reactor(), |link| {
            let number = peer.control.attach(link, id, &rest, |machine, now| {
                // Under the port's lock: of two that come at once the later one's session counts, too.
                peer.begin_session(id.0);
                machine.connect(decoder, resumed, now)
            });
            Ears::<Control> {
                peer,
                at: 0,
                number,
                of: std::marker::PhantomData,
            }
        });
        match started {
            Ok(_) => Ok(life),
            Err(error) => {
                self.book().disconnected(life.id(), id.0);
                Err(ConnectError::Io(error.to_string()))
            }
        }
    }

    /// The same of a lane.
    pub(super) fn attach_lane(
        &self,
        life: &Arc<Peer>,
        at: usize,
        shaken: Shaken,
    ) -> Result<(), ConnectError> {
        let Shaken {
            session,
            wire,
            rest,
        } = shaken;
        let id = (wire.session, wire.epoch);
        let limits = wire.peer.limits;
        let decoder = wire.decoder;
        let peer = life.clone();
        let started = session.start(self.reactor_of(at), |link| {
            let port = peer.lane_port(at);
            let number = port.attach(link, id, &rest, |machine, now| {
                machine.connect(decoder, limits, now);
                Ok(())
            });
            Ears::<Lane> {
                peer,
                at,
                number,
                of: std::marker::PhantomData,
            }
        });
        match started {
            Ok(_) => Ok(()),
            Err(error) => Err(ConnectError::Io(error.to_string())),
        }
    }

    /// A life is over.
    pub(super) fn lose(&self, peer: &Peer, why: PeerLost) {
        let _ = self.book().bury(peer.id(), peer.incarnation());
        peer.end(why);
    }

    /// Says that a connection did not come about.
    pub(super) fn refused(&self, who: &Contact, error: &ConnectError) {
        let now = now();
        let may_log = {
            let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
            let soon = quiet
                .at
                .is_some_and(|at| now.saturating_duration_since(at).as_secs() < 1);
            if soon {
                quiet.kept += 1;
                None
            } else {
                quiet.at = Some(now);
                Some(std::mem::take(&mut quiet.kept))
            }
        };
        match may_log {
            Some(not_logged) if !error.is_passing() => {
                tracing::warn!(peer = %who, %error, not_logged, "no connection to a peer");
            }
            _ => tracing::debug!(peer = %who, %error, "no connection to a peer"),
        }
        self.events.refused(who, error);
    }
}
