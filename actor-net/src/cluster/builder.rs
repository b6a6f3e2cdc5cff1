//! How a peer is declared: names, addresses, keys, seeds, limits. Everything has a default but the cluster's name,
//! and everything is looked at before a socket is opened.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actor_core::{Actor, SystemRef};

use super::entities::Kind;
use super::error::ClusterError;
use super::name::{host_name, peer_name};
use super::seeds::Seeds;
use super::{Cluster, lives};
use crate::consensus::{Bootstrap, ConsensusSettings};
use crate::id::{ClusterId, PeerId};
use crate::membership::{Lease, MembershipSettings, PeerNumaNode, Profile};
use crate::peers::LinkSettings;
use crate::registry::GroupLimits;
use crate::remote::{Exports, Remote, RemoteSettings};
use crate::sharding::{Entity, InvalidEntity};
use crate::transport::{Endpoint, Mode, Security, TransportSettings};

/// Declares a peer of a cluster; made by [`Cluster::builder`].
///
/// | setting | default |
/// |---|---|
/// | [`peer`](Self::peer) | the host's name with the port, or with the process's number where the port is any |
/// | [`listen`](Self::listen) | a free port of 127.0.0.1 |
/// | [`advertise`](Self::advertise) | the address it listens on |
/// | [`security`](Self::security) | none; then it listens on loopback only |
/// | [`seeds`](Self::seeds) | none: a cluster of one, which others may join |
/// | [`bootstrap`](Self::bootstrap) | alone without seeds, else only join |
/// | [`exports`](Self::exports) | nothing arrives |
/// | [`entity`](Self::entity) | no entities, no singletons |
#[must_use = "a peer begins with start()"]
pub struct ClusterBuilder {
    system: SystemRef,
    cluster: String,
    peer: Option<String>,
    listen: SocketAddr,
    advertise: Vec<Endpoint>,
    security: Security,
    transport: TransportSettings,
    links: LinkSettings,
    seeds: Seeds,
    roles: Vec<String>,
    metadata: Vec<(String, String)>,
    membership: MembershipSettings,
    lease: Option<Arc<dyn Lease>>,
    consensus: ConsensusSettings,
    bootstrap: Option<Bootstrap>,
    exports: Exports,
    remote: RemoteSettings,
    groups: GroupLimits,
    kinds: Vec<Kind>,
}

impl ClusterBuilder {
    pub(super) fn new(system: SystemRef, cluster: &str) -> Self {
        Self {
            system,
            cluster: cluster.to_owned(),
            peer: None,
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            advertise: Vec::new(),
            security: Security::insecure(),
            transport: TransportSettings::default(),
            links: LinkSettings::default(),
            seeds: Seeds::none(),
            roles: Vec::new(),
            metadata: Vec::new(),
            membership: MembershipSettings::default(),
            lease: None,
            consensus: ConsensusSettings::default(),
            bootstrap: None,
            exports: Exports::new(),
            remote: RemoteSettings::default(),
            groups: GroupLimits::default(),
            kinds: Vec::new(),
        }
    }

    /// This peer's name, unique in the cluster and kept over restarts: 1 to 64 of `a-z A-Z 0-9 - _ .`.
    pub fn peer(mut self, name: impl Into<String>) -> Self {
        self.peer = Some(name.into());
        self
    }

    /// Where it listens. Beyond loopback only with [`security`](Self::security).
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        self
    }

    /// Where others dial it, if that is not where it listens (behind a service, a NAT). The first is told in all
    /// gossip; up to 8. Who listens on `0.0.0.0` or `[::]` must say it.
    pub fn advertise(mut self, endpoint: Endpoint) -> Self {
        self.advertise.push(endpoint);
        self
    }

    /// Who may connect.
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// Limits and times of connections.
    pub fn transport(mut self, settings: TransportSettings) -> Self {
        self.transport = settings;
        self
    }

    /// How much peers may have under way here, and when a silent one counts as gone.
    pub fn links(mut self, settings: LinkSettings) -> Self {
        self.links = settings;
        self
    }

    /// Whom it asks first.
    pub fn seeds(mut self, seeds: Seeds) -> Self {
        self.seeds = seeds;
        self
    }

    /// What it is good for, for others to see; may be said several times.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Something else that others see.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// How members are watched, and what is done about those that do not answer.
    pub fn membership(mut self, settings: MembershipSettings) -> Self {
        self.membership = settings;
        self
    }

    /// The lease for [`Downing::Lease`](crate::membership::Downing::Lease).
    pub fn lease(mut self, lease: impl Lease) -> Self {
        self.lease = Some(Arc::new(lease));
        self
    }

    /// How peers agree, and where that is kept. Its `bootstrap` is not looked at: see
    /// [`bootstrap`](Self::bootstrap).
    pub fn consensus(mut self, settings: ConsensusSettings) -> Self {
        self.consensus = settings;
        self
    }

    /// When a first cluster is founded. With the same seeds everywhere, say [`Bootstrap::Expect`] with the number of
    /// peers that are started first.
    pub fn bootstrap(mut self, bootstrap: Bootstrap) -> Self {
        self.bootstrap = Some(bootstrap);
        self
    }

    /// What peers may send here.
    pub fn exports(mut self, exports: Exports) -> Self {
        self.exports = exports;
        self
    }

    /// A kind of entities, or a singleton, that this peer runs, or with
    /// [`hosts(false)`](crate::sharding::Entity::hosts) only sends to; may be said several times. What entities take
    /// from other peers is said with the kind ([`Entity::handles`]), and not in the exports.
    pub fn entity<A: Actor>(mut self, entity: Entity<A>) -> Self {
        self.kinds.push(Kind::new(entity));
        self
    }

    /// What else peers may do here, and how much is kept for them.
    pub fn remote(mut self, settings: RemoteSettings) -> Self {
        self.remote = settings;
        self
    }

    /// How much groups may hold.
    pub fn groups(mut self, limits: GroupLimits) -> Self {
        self.groups = limits;
        self
    }

    /// Starts the peer: it listens when this returns, and looks for its seeds from then on.
    ///
    /// # Errors
    ///
    /// When something of it cannot be; nothing is left running then. A seed that cannot be reached is no error: it is
    /// dialled again, and a warning says so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the start up; what it had opened is closed.
    pub async fn start(self) -> Result<Cluster, ClusterError> {
        let cluster = ClusterId::new(&self.cluster)?;
        let peer = match &self.peer {
            Some(name) => PeerId::new(name)?,
            None => {
                let port = u32::from(self.listen.port());
                let number = if port == 0 { std::process::id() } else { port };
                peer_name(host_name().as_deref(), number)
            }
        };
        // Without security it is refused for what is worse.
        let is_everywhere = self.listen.ip().is_unspecified() && self.advertise.is_empty();
        if is_everywhere && self.security.mode() != Mode::Insecure {
            return Err(ClusterError::NotAdvertised { addr: self.listen });
        }
        self.membership.check()?;
        check_kinds(&self.kinds)?;
        let exports = self
            .kinds
            .iter()
            .fold(self.exports, |exports, kind| (kind.export)(exports));
        let exports = Remote::with_own(exports);
        exports.check().map_err(ClusterError::Exports)?;
        let profile = profile(&self.system, &self.advertise, &self.roles, &self.metadata)?;
        let alone = if self.seeds.is_none() {
            Bootstrap::Alone
        } else {
            Bootstrap::Join
        };
        let plan = lives::Plan {
            system: self.system,
            cluster,
            peer,
            listen: self.listen,
            advertises: !self.advertise.is_empty(),
            profile,
            security: self.security,
            transport: self.transport,
            links: self.links,
            seeds: self.seeds,
            membership: self.membership,
            lease: self.lease,
            consensus: ConsensusSettings {
                bootstrap: self.bootstrap.unwrap_or(alone),
                ..self.consensus
            },
            exports,
            remote: self.remote,
            groups: self.groups,
            troubles: Arc::default(),
        };
        let declares = self.kinds.into_iter().map(|kind| kind.declare).collect();
        lives::begin(plan, declares).await
    }
}

impl std::fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterBuilder")
            .field("cluster", &self.cluster)
            .field("peer", &self.peer)
            .field("listen", &self.listen)
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}

fn check_kinds(kinds: &[Kind]) -> Result<(), ClusterError> {
    let mut names = BTreeSet::new();
    for kind in kinds {
        kind.check.clone().map_err(ClusterError::Entity)?;
        if !names.insert(&kind.name) {
            let name = kind.name.get(2..).unwrap_or_default().into();
            return Err(ClusterError::Entity(InvalidEntity::Declared { name }));
        }
    }
    Ok(())
}

fn profile(
    system: &SystemRef,
    advertise: &[Endpoint],
    roles: &[String],
    metadata: &[(String, String)],
) -> Result<Profile, ClusterError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let started_ms = since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    let mut profile = Profile::new(started_ms);
    for endpoint in advertise {
        profile = profile.with_endpoint(endpoint.clone())?;
    }
    for role in roles {
        profile = profile.with_role(role)?;
    }
    for (key, value) in metadata {
        profile = profile.with_metadata(key, value)?;
    }
    let topology = system.topology();
    for id in system.numa_nodes() {
        let node = topology.numa_node(id);
        let cpus = node.map_or(0, |node| node.cpus.len());
        profile = profile.with_numa_node(PeerNumaNode {
            id: u32::from(id.0),
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            bytes: node.and_then(|node| node.memory_bytes).unwrap_or(0),
        })?;
    }
    Ok(profile)
}
