//! The lives of this peer, one after the other.
//!
//! A life that was declared down never returns: what it knew, its connections, what others hold of it are over.
//! The process goes on as another life, with a greater number, which joins as a new peer would. Actors of the
//! system go on too; what they hold of other peers is gone, as if those had gone.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use actor_core::SystemRef;
use actor_core::metrics::Source;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::driver::{Driver, End, Input};
use super::error::ClusterError;
use super::incarnation::incarnation_at;
use super::life::Life;
use super::seeds::Seeds;
use super::shards::{self, Tending};
use super::status::Status;
use super::troubles::Troubles;
use super::{Cluster, metrics, published::Published, registered::Registered};
use crate::consensus::{Bootstrap, ConsensusSettings};
use crate::id::{ClusterId, Incarnation, PeerId};
use crate::membership::{
    Lease, MemberEvent, MemberState, MembershipSettings, Profile, RestartReason, View,
};
use crate::peers::LinkSettings;
use crate::registry::GroupLimits;
use crate::remote::{Exports, Remote, RemoteSettings};
use crate::sharding::{DeclareError, Entities};
use crate::transport::{Endpoint, Security, TransportSettings};

/// Events that a slow reader may be behind: 1,024.
const EVENTS: usize = 1024;

/// What a life that gives up may still take to say goodbye: 1 s.
const GOODBYE: Duration = Duration::from_secs(1);

/// Before the next life: others must notice that the former one is gone.
const PAUSE: Duration = Duration::from_millis(200);

/// What every life of this peer is made from.
pub(super) struct Plan {
    pub(super) system: SystemRef,
    pub(super) cluster: ClusterId,
    pub(super) peer: PeerId,
    pub(super) listen: SocketAddr,
    pub(super) advertises: bool,
    pub(super) profile: Profile,
    pub(super) security: Security,
    pub(super) transport: TransportSettings,
    pub(super) links: LinkSettings,
    pub(super) seeds: Seeds,
    pub(super) membership: MembershipSettings,
    pub(super) lease: Option<Arc<dyn Lease>>,
    pub(super) consensus: ConsensusSettings,
    pub(super) exports: Exports,
    pub(super) remote: RemoteSettings,
    pub(super) groups: GroupLimits,
    pub(super) troubles: Arc<Troubles>,
}

/// Starts a kind of entities.
pub(super) type Declare = Box<dyn FnOnce(&Entities<Remote>) -> Result<(), DeclareError> + Send>;

/// What users hold, over all lives.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) addr: SocketAddr,
    pub(super) view: watch::Sender<Arc<View>>,
    pub(super) events: broadcast::Sender<MemberEvent>,
    pub(super) status: watch::Sender<Status>,
    pub(super) published: Published,
    pub(super) entities: Entities<Remote>,
    pub(super) registered: Registered,
    /// The first life of this process.
    pub(super) first: Incarnation,
    life: Mutex<Option<Arc<Life>>>,
}

impl Shared {
    /// The present life; none between two, and after the last.
    pub(super) fn life(&self) -> Option<Arc<Life>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Life>>> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the first life, and what makes the next.
pub(super) async fn begin(mut plan: Plan, declares: Vec<Declare>) -> Result<Cluster, ClusterError> {
    let incarnation = incarnation_at(SystemTime::now(), None);
    let (inputs, received) = mpsc::unbounded_channel();
    let bootstrap = plan.consensus.bootstrap;
    let opened = Life::open(&plan, incarnation, bootstrap, plan.listen, inputs).await?;
    let entities = match shards::declare(&opened.life, &plan, declares) {
        Ok(entities) => entities,
        Err(error) => {
            opened.life.close(Duration::ZERO).await;
            return Err(error);
        }
    };
    let addr = opened.life.addr;
    // A later life listens where this one does.
    plan.listen = addr;
    if !plan.advertises {
        plan.profile = plan.profile.with_endpoint(addr.into())?;
    }
    let registered = Registered::new(&plan, &opened);
    let groups = registered.groups.clone();
    let (life, mut driver) = opened.drive(&plan, groups, received);
    let shared = Arc::new(Shared {
        addr,
        view: watch::Sender::new(driver.view()),
        events: broadcast::Sender::new(EVENTS),
        status: watch::Sender::new(Status::Running { incarnation }),
        published: Published::default(),
        entities,
        registered,
        first: incarnation,
        life: Mutex::new(Some(life)),
        plan,
    });
    let runtime = shared.plan.system.tokio();
    let figures = metrics::add(&shared);
    runtime.spawn(live(shared.clone(), driver, figures));
    Ok(Cluster { shared })
}

/// One life after the other. The figures are there until this peer has left.
async fn live(shared: Arc<Shared>, mut driver: Driver, figures: Source) {
    loop {
        let seeds = tokio::spawn(look_for_seeds(shared.clone(), driver.inputs()));
        let tending = Tending::start(&driver.life(), &shared);
        let end = driver.run(&shared).await;
        seeds.abort();
        tending.stop().await;
        let life = shared.lock().take();
        shared.registered.end();
        let (why, above) = match end {
            End::Left { done, grace } => {
                shared.entities.end(true).await;
                if let Some(life) = life {
                    life.close(grace).await;
                }
                shared.status.send_replace(Status::Left);
                drop(figures);
                // Nobody may wait any more.
                let _ = done.map(|done: oneshot::Sender<()>| done.send(()));
                return;
            }
            End::Restart { why, above } => (why, above),
        };
        // Two processes with one name would end each other for ever.
        let is_last = matches!(why, RestartReason::Replaced { .. });
        shards::end(&shared.entities, is_last).await;
        if let Some(life) = life {
            life.close(GOODBYE).await;
        }
        tracing::error!(
            cluster = %shared.plan.cluster, peer = %shared.plan.peer, %why,
            "this life of the peer is over; references to actors of other peers are, too"
        );
        if is_last {
            shared.status.send_replace(Status::Ended { why });
            // Whoever watches them is to see that this peer takes no part.
            figures.forever();
            return;
        }
        shared
            .status
            .send_replace(Status::Restarting { why: why.clone() });
        match next_life(&shared, above).await {
            Some(next) => driver = next,
            None => {
                shared.entities.end(true).await;
                shared.status.send_replace(Status::Ended { why });
                figures.forever();
                return;
            }
        }
    }
}

/// The next life: until it can be opened, or the system is shut down.
async fn next_life(shared: &Arc<Shared>, above: Incarnation) -> Option<Driver> {
    let plan = &shared.plan;
    loop {
        tokio::time::sleep(PAUSE).await;
        if plan.system.is_shutting_down() {
            return None;
        }
        let incarnation = incarnation_at(SystemTime::now(), Some(above));
        let (inputs, received) = mpsc::unbounded_channel();
        // Whoever was down was in a cluster: it never founds another.
        let opened = Life::open(plan, incarnation, Bootstrap::Join, plan.listen, inputs).await;
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, "the next life of the peer does not start; trying again");
                continue;
            }
        };
        let known = endpoints_of(&shared.view.borrow(), &plan.peer);
        shared.registered.begin(plan, &opened);
        let groups = shared.registered.groups.clone();
        let (life, mut driver) = opened.drive(plan, groups, received);
        driver.join(known);
        shared.published.announce(&life.remote);
        shards::begin(&shared.entities, &life, plan).await;
        *shared.lock() = Some(life);
        shared.view.send_replace(driver.view());
        shared.status.send_replace(Status::Running { incarnation });
        return Some(driver);
    }
}

/// Where the members of a view are dialled.
fn endpoints_of(view: &View, own: &PeerId) -> BTreeSet<Endpoint> {
    view.members()
        .iter()
        .filter(|member| member.peer() != own && member.state() != MemberState::Left)
        .filter_map(|member| member.profile())
        .flat_map(|profile| profile.endpoints().iter().cloned())
        .collect()
}

/// Looks at the seeds: often while this peer is alone, seldom afterwards.
async fn look_for_seeds(shared: Arc<Shared>, inputs: mpsc::UnboundedSender<Input>) {
    const ALONE: Duration = Duration::from_secs(2);
    const AMONG_OTHERS: Duration = Duration::from_secs(60);
    let seeds = &shared.plan.seeds;
    let mut complained: Option<Instant> = None;
    while !seeds.is_none() {
        let (mut found, wrong) = seeds.look().await;
        // The same seeds everywhere, and the DNS, name this peer too.
        for own in shared.plan.profile.endpoints() {
            found.remove(own);
        }
        let may_complain = complained.is_none_or(|last| last.elapsed() > AMONG_OTHERS);
        if may_complain && !wrong.is_empty() {
            complained = Some(Instant::now());
            for error in wrong {
                tracing::warn!(%error, "a source of seeds names nobody");
            }
        }
        if inputs.send(Input::Seeds(found)).is_err() {
            return;
        }
        let others = shared.view.borrow().up().count() > 1;
        tokio::time::sleep(if others { AMONG_OTHERS } else { ALONE }).await;
    }
}
