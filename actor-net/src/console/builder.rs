//! What can be set of a console, and the checks.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actor_core::SystemRef;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::ConsoleError;
use super::gate::{Gate, check_host, check_token};
use super::recent::Recent;
use super::walks::Walks;
use super::{Console, Shared, server, views};
use crate::cluster::Cluster;

/// Where it listens if nothing is said: 127.0.0.1:9600.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9600);

/// How long a reader may take nothing if nothing is said.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A [`Console`] to be: set what is to differ from the defaults, then [`start`](Self::start) it.
///
/// | option | default | |
/// |---|---|---|
/// | `listen` | 127.0.0.1:9600 | port 0 takes a free one; a port in use is an error, no other is taken |
/// | `token`, `token_file` | none | needed beyond loopback |
/// | `host` | none | names it is reached by, beside addresses, `localhost` and this machine's name |
/// | `cluster` | none | shows the cluster as well |
/// | `name` | the program's name | what the page is called |
/// | `allow_actions` | no | stop actors, switch the balancer, declare peers down |
/// | `overloaded_above` | no bound | messages that wait, above which `/readyz` says no |
/// | `connections_max` | 64 | more wait in the kernel's queue |
/// | `write_timeout` | 10 s | who takes nothing of an answer for so long is cut off |
///
/// Fixed: requests of up to 16 KiB of head and 16 KiB of body, whose head is here after 10 s, and which are answered
/// within 10 s; 10 minutes of history; 100 stalls and events.
#[must_use = "a console does nothing before it is started"]
pub struct ConsoleBuilder {
    system: SystemRef,
    cluster: Option<Cluster>,
    listen: SocketAddr,
    name: Option<String>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    hosts: Vec<String>,
    allow_actions: bool,
    overloaded_above: Option<u64>,
    connections_max: usize,
    write_timeout: Duration,
}

impl ConsoleBuilder {
    pub(super) fn new(system: SystemRef) -> Self {
        Self {
            system,
            cluster: None,
            listen: LISTEN,
            name: None,
            token: None,
            token_file: None,
            hosts: Vec::new(),
            allow_actions: false,
            overloaded_above: None,
            connections_max: 64,
            write_timeout: WRITE_TIMEOUT,
        }
    }

    /// Shows this peer's cluster as well.
    pub fn cluster(mut self, cluster: &Cluster) -> Self {
        self.cluster = Some(cluster.clone());
        self
    }

    /// Where it listens. Default: 127.0.0.1:9600. Port 0 takes a free one, which
    /// [`Console::local_addr`] tells. Beyond loopback it needs a token, and a network that nobody else reads: there is
    /// no TLS.
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        self
    }

    /// What the page and the answers call this process. Default: the program's name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Lets in only who has this token: 16 to 512 visible ASCII characters.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The same with the token in a file, whose first line it is. It is read once, at the start.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token_file = Some(path.into());
        self
    }

    /// A name that the console is reached by, such as `console.example.com`. Requests that a browser sends to other names are
    /// refused: a page of somebody else's could have its own name point here (DNS rebinding).
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Whether the console may change something: stop actors, switch the balancer, say that the process is not ready, declare
    /// peers down. Default: no. Where anybody on this machine may connect, anybody may do it: set a token as well.
    pub fn allow_actions(mut self, allow: bool) -> Self {
        self.allow_actions = allow;
        self
    }

    /// From how many messages that wait, in all mailboxes together, `/readyz` says that the process is overloaded. Default: no
    /// bound. Messages refused for the memory limit say so in any case.
    pub fn overloaded_above(mut self, queued: u64) -> Self {
        self.overloaded_above = Some(queued);
        self
    }

    /// The most connections at a time: 1 to 4096. Default: 64. More wait until one is closed.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// How long an answer waits for a reader that takes nothing of it, before the connection is cut off and its place is
    /// another's: 100 ms to 10 minutes. Default: 10 s. A reader that takes some now and then has twelve times as long for all
    /// of it.
    pub fn write_timeout(mut self, limit: Duration) -> Self {
        self.write_timeout = limit;
        self
    }

    /// Listens, and serves from now on. Needs no tokio around it.
    ///
    /// # Errors
    ///
    /// See [`ConsoleError`].
    pub fn start(self) -> Result<Console, ConsoleError> {
        let token = self.check()?;
        let Self {
            system,
            cluster,
            listen,
            name,
            hosts,
            allow_actions,
            overloaded_above,
            connections_max,
            write_timeout,
            ..
        } = self;
        if system.is_shutting_down() {
            return Err(ConsoleError::SystemEnded);
        }
        let failed = |error| ConsoleError::Listen {
            addr: listen,
            error,
        };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let listener = {
            let _entered = system.tokio().enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let hostname = hostname();
        let gate = Gate::new(token, hosts.into_iter().chain(hostname.clone()))
            .ok_or(ConsoleError::NoRandom)?;
        let closing = CancellationToken::new();
        let recent = Recent::start(system, cluster.clone(), &closing);
        let shared = Arc::new(Shared {
            system,
            cluster,
            name: name.unwrap_or_else(program),
            hostname,
            addr,
            gate,
            allow_actions,
            overloaded_above,
            started: Instant::now(),
            started_at: SystemTime::now(),
            recent,
            walks: Walks::new(system),
            leaks: views::LeaksKept::default(),
            residency: views::ResidencyKept::default(),
            closing,
            grace: watch::Sender::new(Duration::ZERO),
            ended: watch::Sender::new(false),
        });
        let limits = server::Limits {
            connections_max,
            write_timeout,
        };
        let serving = server::serve(shared.clone(), listener, limits);
        system.tokio().spawn(serving);
        Ok(Console { shared })
    }

    /// The token, if there is one.
    fn check(&self) -> Result<Option<String>, ConsoleError> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => {
                let text = fs::read_to_string(path).map_err(|error| ConsoleError::TokenFile {
                    path: path.clone(),
                    error,
                })?;
                Some(text.lines().next().unwrap_or_default().trim().to_owned())
            }
            (None, None) => None,
        };
        if let Some(token) = &token {
            check_token(token).map_err(|why| ConsoleError::Token { why })?;
        } else if !self.listen.ip().to_canonical().is_loopback() {
            return Err(ConsoleError::NoToken { addr: self.listen });
        }
        if let Some(host) = self.hosts.iter().find(|host| !check_host(host)) {
            return Err(ConsoleError::Host { host: host.clone() });
        }
        if !(1..=4096).contains(&self.connections_max) {
            return Err(ConsoleError::Setting {
                setting: "connections_max",
                asked: self.connections_max.to_string(),
                allowed: "1 to 4096",
            });
        }
        let allowed = Duration::from_millis(100)..=Duration::from_secs(600);
        if !allowed.contains(&self.write_timeout) {
            return Err(ConsoleError::Setting {
                setting: "write_timeout",
                asked: format!("{:?}", self.write_timeout),
                allowed: "100 ms to 10 minutes",
            });
        }
        Ok(token)
    }
}

impl fmt::Debug for ConsoleBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleBuilder")
            .field("listen", &self.listen)
            // Not the token itself.
            .field(
                "has_token",
                &(self.token.is_some() || self.token_file.is_some()),
            )
            .field("hosts", &self.hosts)
            .field("allow_actions", &self.allow_actions)
            .field("overloaded_above", &self.overloaded_above)
            .field("connections_max", &self.connections_max)
            .field("write_timeout", &self.write_timeout)
            .finish_non_exhaustive()
    }
}

fn program() -> String {
    let path = std::env::current_exe().ok();
    let name = path.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| "actors".to_owned())
}

fn hostname() -> Option<String> {
    let told = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = told.trim().to_owned();
    check_host(&name).then_some(name)
}
