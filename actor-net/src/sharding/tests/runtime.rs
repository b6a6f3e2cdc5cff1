//! Real actors: several systems in one process, whose routers reach each other as actors of one system do, and
//! one map that all are told.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actor_core::prelude::*;

use crate::consensus::shard_map::{ShardCommand, ShardMap};
use crate::id::{Incarnation, Life, PeerId};
use crate::sharding::{
    Council, Entities, Entity, EntityContext, EntityKey, EntityRef, Host, HostState, Limits, Links,
    plan_all,
};

/// Who is called what in which life.
type Known = Arc<Mutex<HashMap<(Life, String), Box<dyn Any + Send>>>>;

#[derive(Clone)]
struct Wires {
    own: Life,
    known: Known,
}

impl Links for Wires {
    fn publish<A: Actor>(&self, name: &str, actor: ActorRef<A>) -> bool {
        let key = (self.own.clone(), name.to_owned());
        self.known
            .lock()
            .unwrap()
            .insert(key, Box::new(actor))
            .is_none()
    }

    async fn find<A: Actor>(&self, life: &Life, name: &str) -> Option<ActorRef<A>> {
        let known = self.known.lock().unwrap();
        let found = known.get(&(life.clone(), name.to_owned()))?;
        found.downcast_ref::<ActorRef<A>>().copied()
    }
}

#[derive(Default)]
struct Agreed {
    map: ShardMap,
    version: u64,
    hosts: BTreeMap<Life, HostState>,
    gone: BTreeSet<Life>,
}

struct Table(Mutex<Agreed>);

impl Council for Table {
    fn propose(&self, command: ShardCommand) {
        let agreed = &mut *self.0.lock().unwrap();
        agreed
            .map
            .apply(&command, &|life| agreed.gone.contains(life));
        agreed.version += 1;
    }
}

struct Peer {
    life: Life,
    system: Option<ActorSystem>,
    entities: Entities<Wires>,
}

impl Peer {
    fn system(&self) -> &ActorSystem {
        self.system.as_ref().unwrap()
    }
}

struct Cluster {
    table: Arc<Table>,
    peers: Vec<Peer>,
    known: Known,
    /// Of the driver, which tells everybody of the map.
    told: Arc<Mutex<Vec<Entities<Wires>>>>,
    driver: Option<std::thread::JoinHandle<()>>,
    over: Arc<std::sync::atomic::AtomicBool>,
}

impl Cluster {
    fn new(peers: usize, declare: impl Fn(&Entities<Wires>)) -> Self {
        let table = Arc::new(Table(Mutex::default()));
        let told: Arc<Mutex<Vec<Entities<Wires>>>> = Arc::default();
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let driver = {
            let (table, told, over) = (table.clone(), told.clone(), over.clone());
            std::thread::spawn(move || drive(&table, &told, &over))
        };
        let mut cluster = Self {
            table,
            peers: Vec::new(),
            known: Arc::default(),
            told,
            driver: Some(driver),
            over,
        };
        for n in 0..peers {
            cluster.start(n, 1, &declare);
        }
        cluster
    }

    fn start(&mut self, n: usize, incarnation: u64, declare: impl Fn(&Entities<Wires>)) {
        let life = Life {
            peer: PeerId::new(&format!("peer-{n}")).unwrap(),
            incarnation: Incarnation(incarnation),
        };
        let system = ActorSystem::new().unwrap();
        let wires = Wires {
            own: life.clone(),
            known: self.known.clone(),
        };
        let council: Arc<dyn Council> = self.table.clone();
        let entities = Entities::new(life.clone(), system.handle(), council, wires);
        declare(&entities);
        self.set(&life, HostState::Up);
        self.told.lock().unwrap().push(entities.clone());
        let peer = Peer {
            life,
            system: Some(system),
            entities,
        };
        if n < self.peers.len() {
            self.peers[n] = peer;
        } else {
            self.peers.push(peer);
        }
    }

    fn set(&self, life: &Life, state: HostState) {
        let agreed = &mut *self.table.0.lock().unwrap();
        agreed.hosts.insert(life.clone(), state);
    }

    /// Declared down, or left.
    fn gone(&self, life: &Life) {
        let agreed = &mut *self.table.0.lock().unwrap();
        agreed.hosts.remove(life);
        agreed.gone.insert(life.clone());
        agreed.map.remove(life);
        agreed.version += 1;
    }

    /// Waits for it, however long.
    fn until(&self, what: &str, holds: impl Fn(&Agreed) -> bool) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !holds(&self.table.0.lock().unwrap()) {
            assert!(Instant::now() < patience, "{what} does not come about");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn drive(table: &Table, told: &Mutex<Vec<Entities<Wires>>>, over: &std::sync::atomic::AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    while !over.load(Ordering::Relaxed) {
        let (version, map) = {
            let agreed = &mut *table.0.lock().unwrap();
            let hosts = agreed.hosts.iter().map(|(life, state)| Host {
                life: life.clone(),
                weight: 1,
                state: *state,
            });
            let hosts: Vec<_> = hosts.collect();
            for command in plan_all(&agreed.map, &hosts, Limits::default()) {
                agreed
                    .map
                    .apply(&command, &|life| agreed.gone.contains(life));
                agreed.version += 1;
            }
            (agreed.version, agreed.map.clone())
        };
        let all = told.lock().unwrap().clone();
        for entities in all {
            runtime.block_on(entities.handle_map(version, &map));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(driver) = self.driver.take() {
            let ended = driver.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

/// How often each was made, and its state, which survives as in a store: by key.
#[derive(Default)]
struct Store {
    made: AtomicU64,
    alive: Mutex<BTreeSet<(EntityKey, u64)>>,
    sums: Mutex<BTreeMap<EntityKey, (u64, u64)>>,
}

struct Account {
    context: EntityContext,
    store: Arc<Store>,
}

impl Actor for Account {}

impl Account {
    fn new(context: &EntityContext, store: &Arc<Store>) -> Self {
        store.made.fetch_add(1, Ordering::Relaxed);
        let new = (context.key().clone(), context.epoch());
        assert!(
            store.alive.lock().unwrap().insert(new),
            "two of {:?} in one epoch",
            context
        );
        Self {
            context: context.clone(),
            store: store.clone(),
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let me = (self.context.key().clone(), self.context.epoch());
        assert!(self.store.alive.lock().unwrap().remove(&me));
    }
}

/// Adds, and says the sum and the epoch.
struct Add(u64);
impl Message for Add {
    type Reply = (u64, u64);
}

impl SyncHandler<Add> for Account {
    fn handle(&mut self, Add(n): Add, _cx: &mut ActorContext<Self>) -> (u64, u64) {
        let mut sums = self.store.sums.lock().unwrap();
        let (sum, fence) = sums.entry(self.context.key().clone()).or_default();
        assert!(
            self.context.epoch() >= *fence,
            "a write with an epoch that is over"
        );
        *fence = self.context.epoch();
        *sum += n;
        (*sum, *fence)
    }
}

struct Passivate;
impl Message for Passivate {
    type Reply = ();
}

impl SyncHandler<Passivate> for Account {
    fn handle(&mut self, _: Passivate, _cx: &mut ActorContext<Self>) {
        self.context.passivate();
    }
}

/// By itself, without a word to anybody.
struct End;
impl Message for End {
    type Reply = ();
}

impl SyncHandler<End> for Account {
    fn handle(&mut self, _: End, cx: &mut ActorContext<Self>) {
        cx.stop();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

fn accounts(store: &Arc<Store>) -> impl Fn(&Entities<Wires>) + use<> {
    let store = store.clone();
    move |entities| {
        let store = store.clone();
        let kind = Entity::new("account", move |context| Account::new(context, &store)).shards(32);
        entities.declare(kind).unwrap();
    }
}

fn account(peer: &Peer, key: u64) -> EntityRef<Account> {
    peer.entities.entity("account", key.into()).unwrap()
}

#[test]
fn h03_every_peer_reaches_the_one_entity_of_a_key() {
    let store = Arc::new(Store::default());
    let cluster = Cluster::new(3, accounts(&store));
    cluster.until("an even share for each", |agreed| {
        let kind = agreed.map.kind("e:account");
        kind.is_some_and(|kind| {
            let shares = cluster.peers.iter().map(|peer| {
                let settled = kind.slots().filter(|(_, slot)| slot.next.is_none());
                settled
                    .filter(|(_, slot)| slot.owner.as_ref() == Some(&peer.life))
                    .count()
            });
            shares.clone().sum::<usize>() == 32 && shares.clone().all(|share| share >= 10)
        })
    });
    for key in 0..40 {
        for (nth, peer) in cluster.peers.iter().enumerate() {
            let asked = account(peer, key).ask(Add(1)).within(PATIENCE).blocking();
            assert_eq!(asked.unwrap().0, nth as u64 + 1);
        }
    }
    assert_eq!(store.made.load(Ordering::Relaxed), 40);
    let stats = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async {
            let mut all = Vec::new();
            for peer in &cluster.peers {
                all.extend(peer.entities.stats().await.into_values());
            }
            all
        });
    let sum = |of: fn(&crate::sharding::KindStats) -> u64| stats.iter().map(of).sum::<u64>();
    assert_eq!(sum(|stats| stats.delivered), 120);
    assert_eq!(
        sum(|stats| stats.offered),
        120 + sum(|stats| stats.forwarded)
    );
    assert_eq!(sum(|stats| stats.refused + stats.waiting), 0);
    assert_eq!(sum(|stats| stats.entities as u64), 40);
    assert!(stats.iter().all(|stats| stats.shards > 5), "{stats:?}");
}

#[test]
fn h05_peers_restart_one_after_the_other_and_no_ask_fails() {
    let store = Arc::new(Store::default());
    let declare = accounts(&store);
    let mut cluster = Cluster::new(3, &declare);
    let mut asked = 0;
    for n in 0..3 {
        let life = cluster.peers[n].life.clone();
        cluster.set(&life, HostState::Leaving);
        // Asked while its shards move.
        let system = cluster.peers[(n + 1) % 3].system().handle();
        let entities: Vec<_> = (0..60)
            .map(|key| account(&cluster.peers[(n + 1 + key as usize % 2) % 3], key % 20))
            .collect();
        asked += entities.len() as u64;
        let asking: Vec<_> = entities
            .into_iter()
            .map(|entity| {
                system.tokio().spawn(async move {
                    entity
                        .ask(Add(1))
                        .within(PATIENCE)
                        .await
                        .map_err(|error| error.without_message())
                })
            })
            .collect();
        cluster.until("nothing is on a peer that leaves", |agreed| {
            agreed.map.kind("e:account").is_some_and(|kind| {
                kind.slots()
                    .all(|(_, slot)| slot.owner.as_ref().is_some_and(|owner| *owner != life))
            })
        });
        for asking in asking {
            let answer = cluster.peers[(n + 1) % 3]
                .system()
                .block_on(asking)
                .unwrap();
            assert!(answer.is_ok(), "{answer:?}");
        }
        cluster.gone(&life);
        cluster
            .told
            .lock()
            .unwrap()
            .retain(|entities| !format!("{entities:?}").contains(&format!("{:?}", life.peer)));
        let down = cluster.peers[n]
            .system
            .take()
            .unwrap()
            .shutdown_blocking(PATIENCE);
        assert!(down.is_clean(), "{down:?}");
        cluster.start(n, 2, &declare);
    }
    let sums: u64 = store
        .sums
        .lock()
        .unwrap()
        .values()
        .map(|(sum, _)| sum)
        .sum();
    assert_eq!(sums, asked);
}

#[test]
fn what_comes_while_an_entity_ends_is_for_the_next_one() {
    let store = Arc::new(Store::default());
    let cluster = Cluster::new(1, accounts(&store));
    let entity = account(&cluster.peers[0], 1);
    for nth in 1..=50 {
        if nth % 2 == 0 {
            entity.tell(Passivate).unwrap();
        } else {
            entity.ask(End).within(PATIENCE).blocking().unwrap();
        }
        // What has reached the mailbox of one that stops by itself is a dead letter, here as everywhere.
        let sum = loop {
            match entity.ask(Add(1)).within(PATIENCE).blocking() {
                Ok((sum, _)) => break sum,
                Err(AskError::Dead { .. }) if nth % 2 == 1 => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(sum, nth);
    }
    assert!(store.made.load(Ordering::Relaxed) > 10);
}

#[test]
fn h03_a_burst_beyond_an_entitys_mailbox_waits_in_its_order_also_when_it_is_passivated() {
    let store = Arc::new(Store::default());
    let made = store.clone();
    let cluster = Cluster::new(1, move |entities| {
        let store = made.clone();
        let kind = Entity::new("account", move |context| Account::new(context, &store))
            .mailbox(Mailbox::bounded(2));
        entities.declare(kind).unwrap();
    });
    let entity = account(&cluster.peers[0], 1);
    for nth in 1..=500 {
        if nth % 50 == 0 {
            entity.tell(Passivate).unwrap();
        }
        entity.tell(Add(1)).unwrap();
    }
    let asked = entity.ask(Add(1)).within(PATIENCE).blocking();
    assert_eq!(asked.unwrap().0, 501);
    let stats = cluster.peers[0]
        .system()
        .block_on(cluster.peers[0].entities.stats());
    let stats = &stats["e:account"];
    assert_eq!((stats.refused, stats.waiting), (0, 0), "{stats:?}");
    assert_eq!(stats.delivered, 511);
}

#[test]
fn h01_a_singleton_whose_peer_is_gone_comes_back_with_a_later_epoch() {
    let store = Arc::new(Store::default());
    let made = store.clone();
    let cluster = Cluster::new(3, move |entities| {
        let store = made.clone();
        let kind = Entity::singleton("clerk", move |context| Account::new(context, &store));
        entities.declare(kind).unwrap();
    });
    // It is there without being asked for.
    cluster.until("the singleton", |_| store.made.load(Ordering::Relaxed) == 1);
    let owner = |agreed: &Agreed| {
        agreed
            .map
            .kind("s:clerk")
            .and_then(|kind| kind.slot(0)?.owner.clone())
    };
    let first = owner(&cluster.table.0.lock().unwrap()).unwrap();
    let at = cluster
        .peers
        .iter()
        .position(|peer| peer.life == first)
        .unwrap();
    let other = &cluster.peers[(at + 1) % 3];
    let clerk = other.entities.singleton::<Account>("clerk").unwrap();
    let (_, epoch) = clerk.ask(Add(1)).within(PATIENCE).blocking().unwrap();
    cluster.gone(&first);
    cluster.until("another singleton", |agreed| {
        owner(agreed).is_some_and(|life| life != first)
    });
    loop {
        // Of what was on its way to the first, nobody knows what became of it.
        let asked = clerk.ask(Add(1)).within(PATIENCE).blocking();
        if let Ok((_, later)) = asked
            && later > epoch
        {
            break;
        }
    }
}

#[test]
fn h03_who_finds_too_many_waiting_gets_the_message_back() {
    let cluster = Cluster::new(1, |_| ());
    let peer = &cluster.peers[0];
    // Nobody tells these of a map.
    let lonely = Entities::new(
        peer.life.clone(),
        peer.system().handle(),
        cluster.table.clone(),
        Wires {
            own: peer.life.clone(),
            known: Arc::default(),
        },
    );
    let store = Arc::new(Store::default());
    let kind = Entity::new("account", move |context| Account::new(context, &store)).buffer(3);
    lonely.declare(kind).unwrap();
    let entity = lonely.entity::<Account>("account", 7u8.into()).unwrap();
    let mut accepted = 0;
    loop {
        match entity.tell(Add(accepted)) {
            Ok(()) => accepted += 1,
            Err(error) => {
                assert!(error.is_full());
                assert_eq!(error.into_message().0, accepted);
                break;
            }
        }
        // The router has seen it.
        let stats = cluster.peers[0].system().block_on(lonely.stats());
        assert_eq!(stats["e:account"].waiting, accepted.min(3));
    }
    assert_eq!(accepted, 3);
    assert!(matches!(
        entity.ask(Add(0)).blocking(),
        Err(AskError::Full { .. })
    ));
}

#[test]
fn what_was_not_declared_is_refused_with_what_to_do() {
    let cluster = Cluster::new(1, accounts(&Arc::default()));
    let entities = &cluster.peers[0].entities;
    let wrong = entities
        .entity::<Account>("acount", 7u8.into())
        .unwrap_err();
    assert!(
        wrong.to_string().contains("not declared on this peer"),
        "{wrong}"
    );
    struct Other;
    impl Actor for Other {}
    let wrong = entities.entity::<Other>("account", 7u8.into()).unwrap_err();
    assert!(
        wrong.to_string().contains("for another type of actor"),
        "{wrong}"
    );
    for (kind, word) in [
        (Entity::new("", |_: &EntityContext| Other), "1 to 62 bytes"),
        (
            Entity::new("x", |_: &EntityContext| Other).shards(0),
            "1..=1024",
        ),
        (
            Entity::new("account", |_: &EntityContext| Other),
            "declared on this peer already",
        ),
    ] {
        let wrong = entities.declare(kind).unwrap_err();
        assert!(wrong.to_string().contains(word), "{wrong}");
    }
}
