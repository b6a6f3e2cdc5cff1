//! Bytes from here to there: authenticated, bounded, and without a meaning yet.
//!
//! A [`Transport`] has keys ([`Security`]), numbers ([`TransportSettings`]) and a runtime. It listens and
//! dials; either way an [`Established`] connection comes out, of a peer that has proven who it is. The
//! handshake of the floor above talks over that and makes a [`TcpLink`] of it, on the runtime of the NUMA
//! node that the link serves. [`Link`] and [`LinkEvents`] are all that the floors above know of it; what
//! pretends to be a network implements the same ([`memory`]).
//!
//! ```text
//!             gate            TLS 1.3        admission             handshake above          start
//!  arrives ----------> Session -------> Session -------> Established ---------------> TcpLink
//!           turned away         alert            answer
//! ```
//!
//! Before a peer is known, everything is counted and little is granted: a few connections, a few KiB, a
//! few seconds (`gate.rs`, `session.rs`). Every task is counted, and ends with the transport.

// Bottom up: what stands further down uses what stands above it.
mod endpoint;
mod gate;
mod quota;
mod settings;
mod tasks;

mod security;

mod admission;
mod session;
mod socket;

mod handshake;

mod error;
mod link;

mod tcp;

mod established;
mod state;

mod dial;
mod listener;

pub mod memory;
mod redial;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;

pub use self::state::{TransportObserver, TransportStats};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::{DialError, DialFailure, ListenError, StartError};
pub use established::Established;
pub use gate::TurnedAway;
pub use link::{BoxFuture, Flow, Link, LinkEnd, LinkEvents, LinkStats, Peer, SendRefused, Unsent};
pub use listener::Listener;
pub use redial::Redial;
pub use security::{
    Fingerprint, HandshakeFailure, InvalidFingerprint, KeyError, Mode, Mtls, PeerIdentity,
    PinnedKeys, Security, SharedKey, Verdict,
};
pub use settings::{InvalidSetting, TransportSettings};
pub use tcp::TcpLink;

use self::state::Core;
use security::{Keyring, Utc};

/// Listens and dials with one set of keys.
///
/// A handle: clones are the same transport. It works until [`shutdown`](Self::shutdown); dropping handles
/// ends nothing.
///
/// # Examples
///
/// ```
/// use actor_net::transport::{Security, SharedKey, Transport, TransportSettings};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let key = SharedKey::from_hex("8f1d0f6a3c5be2974ad6105e7bb3c2984411f0a9d6c7e85b2f3a90d14c6e7b25")?;
/// let runtime = tokio::runtime::Handle::current();
/// let start = |security| Transport::start(TransportSettings::default(), security, &runtime);
///
/// let (here, there) = (start(Security::shared_key(key.clone()))?, start(Security::shared_key(key))?);
/// let mut listener = there.listen("127.0.0.1:0".parse()?)?;
/// let dialled = here.dial(&listener.local_addr().into()).await?;
/// let accepted = listener.accept().await.expect("the transport is up");
/// assert_eq!(dialled.peer().binding, accepted.peer().binding);
///
/// // Without authentication it does not listen beyond loopback.
/// let refused = start(Security::insecure())?.listen("0.0.0.0:0".parse()?).unwrap_err();
/// assert!(refused.to_string().contains("without authentication"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Transport(Arc<Core>);

impl Transport {
    /// Checks the settings and the keys; opens nothing yet.
    ///
    /// Handshakes run on `runtime`, which must have its I/O and time drivers enabled.
    ///
    /// # Errors
    ///
    /// When a setting is out of its bounds, or certificates and keys are not usable: also when this side's
    /// own certificate has expired, so that it is found out here and not by the first peer.
    pub fn start(
        settings: TransportSettings,
        security: Security,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        Self::start_observed(settings, security, runtime, None)
    }

    /// The same, with somebody who hears of those who did not get in.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_observed(
        settings: TransportSettings,
        security: Security,
        runtime: &Handle,
        observer: Option<Arc<dyn TransportObserver>>,
    ) -> Result<Self, StartError> {
        settings.check()?;
        let keyring = Keyring::load(security)?;
        let core = Arc::new(Core::new(settings, keyring, runtime.clone(), observer));
        if core.keyring.has_files() {
            core.tasks.spawn(runtime, watch_files(core.clone()));
        }
        Ok(Self(core))
    }

    /// Listens on an address of this machine; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the address is in use, is not this machine's or not allowed; and always for an address beyond
    /// loopback when the security mode authenticates nobody.
    pub fn listen(&self, addr: SocketAddr) -> Result<Listener, ListenError> {
        Listener::open(&self.0, addr)
    }

    /// Connects to a peer, trying each address of its name.
    ///
    /// # Errors
    ///
    /// Why the last address did not work; [`DialError::tried`] has all.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the connection.
    pub async fn dial(&self, to: &Endpoint) -> Result<Established, DialError> {
        dial::dial(&self.0, to, None).await
    }

    /// Connects to the one of a name's addresses where a peer was found.
    pub(crate) async fn dial_at(
        &self,
        to: &Endpoint,
        addr: SocketAddr,
    ) -> Result<Established, DialError> {
        dial::dial(&self.0, to, Some(addr)).await
    }

    pub(crate) fn queue_bytes_max(&self) -> usize {
        self.0.settings.queue_bytes_max
    }

    /// Runs a task that the transport's end waits for.
    pub(crate) fn spawn(&self, on: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(on, task);
    }

    /// Reads changed files with keys now, rather than at the next look; whether there were any.
    ///
    /// New connections use the new ones; links stay as they are.
    ///
    /// # Errors
    ///
    /// When they are not usable; the old ones stay in use.
    pub fn reload_keys(&self) -> Result<bool, KeyError> {
        self.0.reload()
    }

    /// When this side's certificate expires; `None` without one.
    pub fn certificate_expires(&self) -> Option<SystemTime> {
        self.0.keyring.loaded().expires()
    }

    /// What it has done, and does.
    pub fn stats(&self) -> TransportStats {
        self.0.stats()
    }

    /// Accepts and dials no more, closes links in good order, and returns when no task is left; what is not
    /// done within `grace` is cut off. `true` when nothing had to be.
    ///
    /// Everybody who calls it gets an answer.
    ///
    /// # Cancel safety
    ///
    /// What has begun to close goes on closing; call it again to wait for the end.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.0.closing.cancel();
        let in_time = tokio::time::timeout(grace, self.0.tasks.idle()).await;
        self.0.abort.cancel();
        self.0.tasks.idle().await;
        in_time.is_ok()
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Looks at files with keys, and at the end of this side's certificate.
async fn watch_files(core: Arc<Core>) {
    let mut warned = None;
    loop {
        let pause = tokio::time::sleep(core.settings.reload_every);
        if core.closing.run_until_cancelled(pause).await.is_none() {
            return;
        }
        // A file system may hang; the reactor must not.
        let reading = core.clone();
        let read = core.runtime.spawn_blocking(move || reading.reload());
        if core.closing.run_until_cancelled(read).await.is_none() {
            return;
        }
        let expires = core.keyring.loaded().expires();
        if let Some(at) = expires
            && warned != expires
            && at < SystemTime::now() + EXPIRY_WARNING
        {
            warned = expires;
            let expires = Utc(at);
            tracing::warn!(%expires, "this side's certificate expires soon; renew it");
        }
    }
}

/// How long before its end a certificate is complained of. Short-lived ones are renewed at two thirds.
const EXPIRY_WARNING: Duration = Duration::from_secs(3600);
