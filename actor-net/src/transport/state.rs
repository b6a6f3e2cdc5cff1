//! What the parts of one transport share, and what they report.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::gate::{Gate, GateLimits, Place, TurnedAway};
use super::quota::{LinkSlot, Quota};
use super::security::{HandshakeFailure, KeyError, Keyring, PeerIdentity};
use super::settings::TransportSettings;
use super::tasks::Tasks;
use super::tcp::buffers::Buffers;

/// Hears what happens before there is a link. Called from the transport's tasks: it must not wait.
///
/// A storm of strangers is a storm of calls; what is logged by itself is limited to a line a second.
pub trait TransportObserver: Send + Sync + 'static {
    /// A connection was closed before a byte was read.
    fn turned_away(&self, from: SocketAddr, why: TurnedAway) {
        let _ = (from, why);
    }

    /// Somebody came and did not get in.
    fn refused(&self, from: SocketAddr, why: &HandshakeFailure) {
        let _ = (from, why);
    }

    /// Files with keys have changed and are in use.
    fn reloaded(&self) {}

    /// Files with keys have changed and are not usable; the old ones stay in use.
    fn not_reloaded(&self, why: &KeyError) {
        let _ = why;
    }
}

/// What a transport has done, and does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportStats {
    /// Connections that came.
    pub arrived: u64,
    /// Of these, closed before a byte was read.
    pub turned_away: u64,
    /// Of these, that did not get in.
    pub refused: u64,
    /// Of these, that became links.
    pub admitted: u64,
    /// Dials that became links.
    pub dialled: u64,
    /// Dials that did not.
    pub dials_failed: u64,
    /// Errors of the system in accepting; the listener goes on.
    pub accept_errors: u64,
    /// Times that changed keys were taken into use.
    pub reloads: u64,
    /// Times that they were not usable.
    pub reloads_failed: u64,
    /// Connections that are not yet authenticated.
    pub unauthenticated: usize,
    /// Links that are open.
    pub links: usize,
    /// Tasks that run.
    pub tasks: usize,
}

pub(crate) struct Core {
    pub(crate) settings: TransportSettings,
    pub(crate) keyring: Keyring,
    pub(crate) quota: Arc<Quota>,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) tasks: Tasks,
    pub(crate) runtime: Handle,
    /// No more connections, in or out, and links close in good order.
    pub(crate) closing: CancellationToken,
    /// Everything ends now.
    pub(crate) abort: CancellationToken,
    pub(crate) counters: Counters,
    gate: Mutex<Gate>,
    observer: Option<Arc<dyn TransportObserver>>,
    last_line: Mutex<LastLine>,
}

/// Relaxed throughout: numbers to look at.
#[derive(Default)]
pub(crate) struct Counters {
    arrived: AtomicU64,
    turned_away: AtomicU64,
    refused: AtomicU64,
    pub(crate) admitted: AtomicU64,
    pub(crate) dialled: AtomicU64,
    pub(crate) dials_failed: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    reloads: AtomicU64,
    reloads_failed: AtomicU64,
}

/// When strangers were last logged, and how many were not since.
#[derive(Default)]
struct LastLine {
    at: Option<Instant>,
    kept_quiet: u64,
}

impl Core {
    pub(crate) fn new(
        settings: TransportSettings,
        keyring: Keyring,
        runtime: Handle,
        observer: Option<Arc<dyn TransportObserver>>,
    ) -> Self {
        let limits = GateLimits {
            open_max: settings.unauthenticated_max,
            open_per_source: settings.unauthenticated_per_source,
            arrivals_per_second: settings.arrivals_per_second,
        };
        Self {
            quota: Quota::new(settings.links_max, settings.links_per_peer),
            settings,
            keyring,
            buffers: Arc::default(),
            tasks: Tasks::default(),
            runtime,
            closing: CancellationToken::new(),
            abort: CancellationToken::new(),
            counters: Counters::default(),
            gate: Mutex::new(Gate::new(limits)),
            observer,
            last_line: Mutex::default(),
        }
    }

    /// A connection came; a place before authentication, or the reason why there is none.
    pub(crate) fn arrive(self: &Arc<Self>, from: SocketAddr) -> Option<Visitor> {
        bump(&self.counters.arrived);
        let now = tokio::time::Instant::now().into_std();
        let arrival = if self.quota.has_room() {
            self.gate().arrive(from.ip(), now)
        } else {
            Err(TurnedAway::TooManyLinks)
        };
        match arrival {
            Ok(place) => Some(Visitor {
                core: self.clone(),
                place: Some(place),
            }),
            Err(why) => {
                bump(&self.counters.turned_away);
                if let Some(quiet) = self.may_log(now) {
                    tracing::warn!(%from, %why, not_logged = quiet, "connection turned away");
                }
                if let Some(observer) = &self.observer {
                    observer.turned_away(from, why);
                }
                None
            }
        }
    }

    pub(crate) fn refuse(&self, from: SocketAddr, why: &HandshakeFailure) {
        bump(&self.counters.refused);
        let now = tokio::time::Instant::now().into_std();
        if let Some(quiet) = self.may_log(now) {
            tracing::warn!(%from, %why, not_logged = quiet, "connection refused");
        }
        if let Some(observer) = &self.observer {
            observer.refused(from, why);
        }
    }

    pub(crate) fn slot(&self, identity: &PeerIdentity, addr: SocketAddr) -> Option<LinkSlot> {
        self.quota.take(identity.common(), addr.ip())
    }

    /// Reads the files with keys; whether new ones are in use.
    pub(crate) fn reload(&self) -> Result<bool, KeyError> {
        let result = self.keyring.reload();
        match &result {
            Ok(false) => {}
            Ok(true) => {
                bump(&self.counters.reloads);
                tracing::info!("changed keys are in use");
                if let Some(observer) = &self.observer {
                    observer.reloaded();
                }
            }
            Err(error) => {
                bump(&self.counters.reloads_failed);
                tracing::error!(%error, "changed keys are not usable; the old ones stay in use");
                if let Some(observer) = &self.observer {
                    observer.not_reloaded(error);
                }
            }
        }
        result
    }

    pub(crate) fn stats(&self) -> TransportStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.counters;
        TransportStats {
            arrived: read(&c.arrived),
            turned_away: read(&c.turned_away),
            refused: read(&c.refused),
            admitted: read(&c.admitted),
            dialled: read(&c.dialled),
            dials_failed: read(&c.dials_failed),
            accept_errors: read(&c.accept_errors),
            reloads: read(&c.reloads),
            reloads_failed: read(&c.reloads_failed),
            unauthenticated: self.gate().open(),
            links: self.quota.all(),
            tasks: self.tasks.running(),
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a line about strangers may be logged, and how many were not.
    fn may_log(&self, now: Instant) -> Option<u64> {
        let mut last = self
            .last_line
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let soon = last
            .at
            .is_some_and(|at| now.saturating_duration_since(at).as_secs() < 1);
        if soon {
            last.kept_quiet += 1;
            return None;
        }
        last.at = Some(now);
        Some(std::mem::take(&mut last.kept_quiet))
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("keys", &self.keyring)
            .field("stats", &self.stats())
            .finish()
    }
}

pub(crate) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The place of somebody who is not yet known.
#[derive(Debug)]
pub(crate) struct Visitor {
    core: Arc<Core>,
    place: Option<Place>,
}

impl Drop for Visitor {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.core.gate().leave(place);
        }
    }
}
