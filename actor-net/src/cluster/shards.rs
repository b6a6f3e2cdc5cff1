//! What one life does for entities: it tells them what all have agreed on, plans when it leads, hands over what
//! it has before it leaves, and ends them with itself.
//!
//! ```text
//!  routers ── wishes ──► ByConsensus ──► consensus ──► changes ──► the map, to all routers
//!                                           ▲
//!  members, map ── plan (who leads) ────────┘
//! ```
//!
//! Routers live as long as the process. A life that is over has ended its entities before another one begins, and
//! each router begins the next only when the last of its own has ended.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actor_core::{Actor, ActorRef};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::driver::{Input, Work};
use super::error::ClusterError;
use super::life::Life;
use super::lives::{Declare, Plan, Shared};
use crate::consensus::shard_map::ShardCommand;
use crate::consensus::{Change, Command, Consensus, Event, Standing};
use crate::id::Life as LifeId;
use crate::membership::{MemberState, View};
use crate::remote::Remote;
use crate::sharding::{Council, DeclareError, Entities, Host, HostState, Limits, Links, plan_all};

/// How often whoever leads plans without being asked: a wish may have been lost.
const PLAN_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether what is waited for has come.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a peer that leaves waits at most until the others have agreed that it is gone: 3 s.
const AGREE_WITHIN: Duration = Duration::from_secs(3);

/// How long a life that is over waits for its entities to end. What hangs longer ends later; until then its router
/// begins nothing new.
const END_WITHIN: Duration = Duration::from_secs(5);

impl Links for Remote {
    fn publish<A: Actor>(&self, name: &str, actor: ActorRef<A>) -> bool {
        Self::publish(self, name, actor)
    }

    async fn find<A: Actor>(&self, life: &LifeId, name: &str) -> Option<ActorRef<A>> {
        self.lookup_in(life, name).await
    }
}

/// Takes the wishes of routers to all; the same one once at a time.
struct ByConsensus {
    consensus: Consensus,
    runtime: Handle,
    under_way: Arc<Mutex<HashSet<ShardCommand>>>,
}

impl ByConsensus {
    fn of(life: &Life, plan: &Plan) -> Arc<dyn Council> {
        Arc::new(Self {
            consensus: life.consensus.clone(),
            runtime: plan.system.tokio().clone(),
            under_way: Arc::default(),
        })
    }
}

impl Council for ByConsensus {
    fn propose(&self, command: ShardCommand) {
        if !lock(&self.under_way).insert(command.clone()) {
            return;
        }
        let (consensus, under_way) = (self.consensus.clone(), self.under_way.clone());
        self.runtime.spawn(async move {
            let proposed = consensus.propose(Command::Shards(command.clone())).await;
            lock(&under_way).remove(&command);
            if let Err(error) = proposed {
                // What still matters is wished for again.
                tracing::debug!(%error, "a wish about shards was not granted");
            }
        });
    }
}

/// Starts the kinds of entities, in the first life.
pub(super) fn declare(
    life: &Life,
    plan: &Plan,
    declares: Vec<Declare>,
) -> Result<Entities<Remote>, ClusterError> {
    let council = ByConsensus::of(life, plan);
    let own = id_of(life, plan);
    let entities = Entities::new(own, plan.system, council, life.remote.clone());
    for declare in declares {
        declare(&entities).map_err(|error| match error {
            DeclareError::Invalid(error) => ClusterError::Entity(error),
            DeclareError::Spawn(error) => ClusterError::Spawn(error),
        })?;
    }
    Ok(entities)
}

/// Entities go on in another life, with no shards to begin with.
pub(super) async fn begin(entities: &Entities<Remote>, life: &Life, plan: &Plan) {
    let council = ByConsensus::of(life, plan);
    entities
        .begin(id_of(life, plan), council, life.remote.clone())
        .await;
}

/// A life is over, and its entities with it.
pub(super) async fn end(entities: &Entities<Remote>, is_last: bool) {
    entities.end(is_last).await;
    let until = Instant::now() + END_WITHIN;
    while living(entities).await > 0 {
        if Instant::now() >= until {
            tracing::warn!("entities of a life that is over have not ended yet");
            return;
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn living(entities: &Entities<Remote>) -> usize {
    let stats = entities.stats().await;
    stats.values().map(|kind| kind.entities).sum()
}

/// The tasks of a life.
pub(super) struct Tending(Vec<JoinHandle<()>>);

impl Tending {
    pub(super) fn start(life: &Arc<Life>, shared: &Arc<Shared>) -> Self {
        let consensus = life.consensus.clone();
        let own = id_of(life, &shared.plan);
        let views = shared.view.subscribe();
        Self(vec![
            tokio::spawn(tell_maps(consensus.clone(), shared.entities.clone())),
            tokio::spawn(plan(consensus, own, views)),
        ])
    }

    /// When this returns nothing is told any more.
    pub(super) async fn stop(self) {
        for task in self.0 {
            task.abort();
            // Aborted, or it has panicked, which is told by the panic.
            let _ = task.await;
        }
    }
}

/// Tells the entities the map, now and after each change.
async fn tell_maps(consensus: Consensus, entities: Entities<Remote>) {
    let mut changes = consensus.changes();
    loop {
        // The newest: what lies between two of them is not needed.
        let authority = consensus.authority();
        entities
            .handle_map(authority.version(), authority.shards())
            .await;
        loop {
            match changes.next().await {
                Some(change) if change.authority.version() <= authority.version() => {}
                Some(change) if is_about_shards(&change) => break,
                Some(_) => {}
                None => return,
            }
        }
    }
}

fn is_about_shards(change: &Change) -> bool {
    change
        .events
        .iter()
        .any(|event| matches!(event, Event::Shards { .. } | Event::Replaced))
}

/// As long as this peer leads: proposes who should have which shard.
async fn plan(consensus: Consensus, own: LifeId, mut views: watch::Receiver<Arc<View>>) {
    let mut changes = consensus.changes();
    let mut ticks = interval(PLAN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut planned = None;
    loop {
        let is_tick = tokio::select! {
            change = changes.next() => match change {
                Some(_) => false,
                None => return,
            },
            view = views.changed() => match view {
                Ok(()) => false,
                Err(_) => return,
            },
            _ = ticks.tick() => true,
        };
        let leads = matches!(
            consensus.standing(),
            Standing::Member { leader: Some(leader) } if leader == own.peer
        );
        if !leads {
            planned = None;
            continue;
        }
        let authority = consensus.authority();
        let view = views.borrow_and_update().clone();
        let about = Some((authority.version(), view.version()));
        if !is_tick && planned == about {
            continue;
        }
        planned = about;
        for command in plan_all(authority.shards(), &hosts(&view), Limits::default()) {
            if let Err(error) = consensus.propose(Command::Shards(command)).await {
                tracing::debug!(%error, "a plan for shards was not agreed on; there will be another");
                break;
            }
        }
    }
}

/// Who takes shards, as membership sees it.
pub(super) fn hosts(view: &View) -> Vec<Host> {
    let host = |member: &crate::membership::Member| {
        let state = match member.state() {
            MemberState::Up => HostState::Up,
            MemberState::Unreachable => HostState::Unreachable,
            MemberState::Leaving => HostState::Leaving,
            MemberState::Joining | MemberState::Down | MemberState::Left => return None,
        };
        let life = LifeId {
            peer: member.peer().clone(),
            incarnation: member.incarnation(),
        };
        let weight = 1;
        Some(Host {
            life,
            weight,
            state,
        })
    };
    view.members().iter().filter_map(host).collect()
}

/// What a peer does that has said that it leaves; at the end it is gone from the members. Nothing of it is waited for
/// beyond `until`.
pub(super) async fn leave(life: Arc<Life>, shared: Arc<Shared>, until: Instant) {
    let time = until.saturating_duration_since(Instant::now());
    let agree = AGREE_WITHIN.min(time / 2);
    hand_over(&life, &shared, until - agree).await;
    // What was told before this peer left is to arrive; once it is gone nobody takes it any more.
    let all_said = async {
        life.remote.all_sent().await;
        life.peers.all_said().await;
    };
    let time = (until - agree).saturating_duration_since(Instant::now());
    if tokio::time::timeout(time, all_said).await.is_err() {
        tracing::warn!("leaving before all that was sent has arrived");
    }
    if shared.view.borrow().up().count() > 0 {
        let agree = agree.min(until.saturating_duration_since(Instant::now()));
        if !life.consensus.leave(agree).await {
            tracing::warn!("leaving before the others have agreed on it; they will notice");
        }
    }
    let depart: Work = Box::new(|machines, _| machines.handle_let_go());
    // This life may have ended another way.
    let _ = life.inputs.send(Input::Do(depart));
}

/// Gives what entities are here to others, and lets them finish what they have.
async fn hand_over(life: &Life, shared: &Shared, until: Instant) {
    let (own, entities) = (id_of(life, &shared.plan), &shared.entities);
    let mut is_closed = false;
    loop {
        let stats = entities.stats().await;
        if !is_closed {
            let authority = life.consensus.authority();
            let view = shared.view.borrow().clone();
            let waits = stats.iter().any(|(name, stats)| {
                let Some(kind) = authority.shards().kind(name) else {
                    return false;
                };
                let mut slots = kind.slots();
                let is_here = stats.shards + stats.entities > 0
                    || stats.waiting > 0
                    || slots.any(|(_, slot)| slot.owner.as_ref() == Some(&own));
                // Who else could have it.
                is_here
                    && kind
                        .hosts()
                        .iter()
                        .any(|host| **host != own && is_up(&view, host))
            });
            if !waits || Instant::now() >= until {
                is_closed = true;
                entities.close().await;
                continue;
            }
        } else if entities.asks() == 0 && stats.values().all(|kind| kind.entities == 0) {
            return;
        }
        if is_closed && Instant::now() >= until {
            tracing::warn!(?stats, "leaving before all entities have ended");
            return;
        }
        sleep(LOOK_EVERY).await;
    }
}

fn is_up(view: &View, life: &LifeId) -> bool {
    view.get(&life.peer).is_some_and(|member| {
        member.state() == MemberState::Up && member.incarnation() == life.incarnation
    })
}

fn id_of(life: &Life, plan: &Plan) -> LifeId {
    LifeId {
        peer: plan.peer.clone(),
        incarnation: life.incarnation,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
