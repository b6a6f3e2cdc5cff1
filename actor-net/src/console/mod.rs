//! The console: a page that shows the machine, the JSON it is made of, metrics for Prometheus, and answers for an
//! orchestrator, over HTTP.
//!
//! ```text
//!  Console::builder(&system) ── start() ──► Console
//!                                             │ server: accepts, limits, says goodbye
//!                                             ▼
//!                        gate (who may?) ─► route ─► views ─► api (types of the answers)
//!                                                      │
//!              recent: a sample a second, stalls, events ┤  walks: at most one at a time, off the reactor
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `builder`, `error` | what can be set, and what can be wrong with it |
//! | `server`, `patience` | connections: how many, how long, how they end, and that answers are taken |
//! | `gate` | tokens, cookies, hosts, and what a page may not do |
//! | `route`, `query`, `answer` | from a request to a view and back |
//! | `views` | what each path tells |
//! | `recent`, `cpu`, `latency` | what must be remembered to tell it: history, rates, stalls, events of members |
//! | `walks` | walks over all actors, bounded and shared |
//! | `metrics` | the text that Prometheus reads |
//! | `page` | the files of the page |
//! | `api` | the answers as types |
//!
//! It runs on the system's tokio, never on workers; what takes longer than a moment is a blocking thread's. Docs:
//! docs/console-api.md.

mod actions;
mod answer;
pub mod api;
mod builder;
mod cpu;
mod error;
mod gate;
mod latency;
mod metrics;
mod page;
mod patience;
mod query;
mod recent;
mod route;
mod server;
mod views;
mod walks;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actor_core::SystemRef;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use builder::ConsoleBuilder;
pub use error::ConsoleError;

use self::gate::Gate;
use self::recent::Recent;
use self::walks::Walks;
use crate::cluster::Cluster;

/// A console that serves. A handle: clones are the same console.
///
/// It serves until [`shutdown`](Self::shutdown), or until the actor system has ended; dropping handles ends nothing. While
/// the system shuts down it goes on, so that `/readyz` can say so.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_net::console::Console;
/// use std::time::Duration;
///
/// let system = ActorSystem::new()?;
/// let listen = "127.0.0.1:0".parse()?; // 127.0.0.1:9600 if nothing is said
/// let console = Console::builder(&system).listen(listen).start()?;
/// println!("console: {}", console.url());
/// system.block_on(console.shutdown(Duration::from_secs(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Console {
    shared: Arc<Shared>,
}

impl Console {
    /// Declares a console for a system.
    pub fn builder(system: &SystemRef) -> ConsoleBuilder {
        ConsoleBuilder::new(*system)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// The page's address, for people. One that listens on all addresses is told by the loopback one.
    pub fn url(&self) -> String {
        let mut addr = self.shared.addr;
        if addr.ip().is_unspecified() {
            addr.set_ip(match addr {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{addr}/")
    }

    /// Takes no more connections, lets the requests under way end, and cuts off what is left after `grace`.
    ///
    /// # Cancel safety
    ///
    /// It goes on.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.grace.send_replace(grace);
        self.shared.closing.cancel();
        let mut ended = self.shared.ended.subscribe();
        // The sending half is ours.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("addr", &self.shared.addr)
            .field("closing", &self.shared.closing.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// What all requests share.
struct Shared {
    system: SystemRef,
    cluster: Option<Cluster>,
    name: String,
    hostname: Option<String>,
    addr: SocketAddr,
    gate: Gate,
    allow_actions: bool,
    overloaded_above: Option<u64>,
    started: Instant,
    /// The same moment, as people tell it.
    started_at: SystemTime,
    recent: Arc<Recent>,
    walks: Walks,
    leaks: views::LeaksKept,
    residency: views::ResidencyKept,
    closing: CancellationToken,
    grace: watch::Sender<Duration>,
    ended: watch::Sender<bool>,
}
