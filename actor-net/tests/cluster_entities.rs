//! Entities by key and singletons, over whole peers with an actor system each: made on demand, passivated, moved when
//! peers come, leave, restart and are declared down. What entities know is in a store that outlives them all, which
//! refuses what a cluster must never do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_net::cluster::{Cluster, ClusterBuilder, ConsensusSettings, Seeds, Status};
use actor_net::membership::MembershipSettings;
use actor_net::sharding::{Entity, EntityContext, EntityRef};
use serde::{Deserialize, Serialize};

use self::cluster_kit::{PATIENCE, finish, system, until_vote};

mod cluster_kit;

const GRACE: Duration = Duration::from_secs(60);
const SHARDS: usize = 16;

/// What outlives entities.
#[derive(Default)]
struct Store(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// By key and epoch: on which peer.
    alive: BTreeMap<(String, u64), String>,
    /// Two of a key at once, in different epochs.
    overlaps: u64,
    made: u64,
    accounts: BTreeMap<String, Row>,
}

#[derive(Default)]
struct Row {
    sum: u64,
    /// The greatest epoch that has written.
    fence: u64,
    /// What was written with an epoch that was over.
    refused: u64,
    /// Of each sender, the last number.
    last: BTreeMap<u32, u64>,
}

impl Store {
    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }
}

impl Kept {
    /// The number after the last of that sender.
    fn next(&self, key: &str, sender: u32) -> u64 {
        let row = self.accounts.get(key);
        row.and_then(|row| row.last.get(&sender))
            .map_or(1, |last| last + 1)
    }
}

struct Account {
    context: EntityContext,
    peer: String,
    store: Arc<Store>,
}

impl Actor for Account {}

impl Account {
    fn new(context: &EntityContext, peer: &str, store: &Arc<Store>) -> Self {
        let mut kept = store.lock();
        let key = context.key().to_string();
        kept.made += 1;
        let others = kept.alive.keys().filter(|(other, _)| *other == key).count();
        kept.overlaps += others as u64;
        let before = kept.alive.insert((key, context.epoch()), peer.to_owned());
        assert_eq!(before, None, "two of {context:?} in one epoch");
        Self {
            context: context.clone(),
            peer: peer.to_owned(),
            store: store.clone(),
        }
    }

    fn me(&self) -> (String, u64) {
        (self.context.key().to_string(), self.context.epoch())
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let me = self.me();
        assert!(self.store.lock().alive.remove(&me).is_some());
    }
}

/// Adds one.
#[derive(Debug, Clone, Message, Serialize, Deserialize)]
#[message(remote = "test.add", reply = Answer)]
struct Add {
    sender: u32,
    /// Counts up from 1, for each sender.
    number: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    sum: u64,
    epoch: u64,
    peer: String,
}

impl SyncHandler<Add> for Account {
    fn handle(&mut self, add: Add, _cx: &mut ActorContext<Self>) -> Answer {
        let epoch = self.context.epoch();
        let mut kept = self.store.lock();
        let row = kept
            .accounts
            .entry(self.context.key().to_string())
            .or_default();
        if epoch < row.fence {
            row.refused += 1;
        } else {
            row.fence = epoch;
            row.sum += 1;
            let last = row.last.insert(add.sender, add.number).unwrap_or(0);
            assert_eq!(
                last + 1,
                add.number,
                "in the order in which it was sent, and all of it"
            );
        }
        Answer {
            sum: row.sum,
            epoch,
            peer: self.peer.clone(),
        }
    }
}

/// A peer, and the system it runs in.
struct Peer {
    system: ActorSystem,
    cluster: Cluster,
}

/// Quick to agree; no slower to notice that a leader is gone than by default, for the machine may be busy.
fn settings() -> ConsensusSettings {
    let mut settings = ConsensusSettings::default();
    settings.heartbeat = Duration::from_millis(50);
    settings
}

fn build(system: &ActorSystem, name: &str, store: &Arc<Store>) -> ClusterBuilder {
    let made = |store: &Arc<Store>| {
        let (peer, store) = (name.to_owned(), store.clone());
        move |context: &EntityContext| Account::new(context, &peer, &store)
    };
    Cluster::builder(system.handle(), "bank")
        .peer(name)
        .consensus(settings())
        .entity(
            Entity::new("account", made(store))
                .shards(SHARDS as u16)
                .patience(PATIENCE)
                .handles::<Add>(),
        )
        .entity(Entity::singleton("clerk", made(store)).handles::<Add>())
}

impl Peer {
    fn start(name: &str, store: &Arc<Store>, seeds: Seeds) -> Self {
        let system = system();
        let builder = build(&system, name, store).seeds(seeds);
        let cluster = system.block_on(builder.start()).unwrap();
        Self { system, cluster }
    }

    fn first(name: &str, store: &Arc<Store>) -> Self {
        Self::start(name, store, Seeds::none())
    }

    fn join(name: &str, store: &Arc<Store>, to: &Self) -> Self {
        let seeds = Seeds::none().endpoint(to.cluster.local_addr().into());
        Self::start(name, store, seeds)
    }

    fn account(&self, key: &str) -> EntityRef<Account> {
        self.cluster.entity(key).unwrap()
    }

    fn clerk(&self) -> EntityRef<Account> {
        self.cluster.singleton("clerk").unwrap()
    }

    fn ask(&self, entity: &EntityRef<Account>, sender: u32, number: u64) -> Answer {
        let add = Add { sender, number };
        entity.ask(add).within(PATIENCE).blocking().unwrap()
    }

    /// Shards and entities of accounts.
    fn has(&self) -> (usize, usize) {
        let stats = self.system.block_on(self.cluster.entities());
        let stats = stats.iter().find(|kind| !kind.is_singleton).unwrap();
        (stats.shards, stats.entities)
    }

    /// In good order, with its books closed.
    fn leave(self) {
        self.system.block_on(self.cluster.leave(GRACE));
        assert_eq!(self.cluster.status(), Status::Left);
        finish(self.system);
    }
}

/// Waits for it, however long.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < patience, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Until each has its share, and nobody else any.
fn until_even(peers: &[&Peer]) {
    until("an even share for each", || {
        let shares: Vec<_> = peers.iter().map(|peer| peer.has().0).collect();
        let floor = SHARDS / peers.len();
        shares.iter().sum::<usize>() == SHARDS && shares.iter().all(|share| *share >= floor)
    });
}

#[test]
fn h03_a_single_peer_makes_entities_when_they_are_needed_and_ends_them_when_they_are_not() {
    let store = Arc::new(Store::default());
    let system = system();
    let made = store.clone();
    // Nothing is set but what the test wants to see.
    let cluster = Cluster::builder(system.handle(), "bank").entity(
        Entity::new("account", move |context| {
            Account::new(context, "one", &made)
        })
        .passivate_after(Some(Duration::from_millis(1))),
    );
    let cluster = system.block_on(cluster.start()).unwrap();
    let anna: EntityRef<Account> = cluster.entity("anna").unwrap();
    let peer = Peer { system, cluster };
    let first = peer.ask(&anna, 1, 1);
    assert_eq!((first.sum, first.epoch), (1, 1));
    until("anna is passivated", || peer.has().1 == 0);
    let again = peer.ask(&anna, 1, 2);
    assert_eq!(
        (again.sum, again.epoch),
        (2, 1),
        "the same owner, the same epoch"
    );
    assert!(store.lock().made >= 2);

    let refused = peer.cluster.entity::<Account>("").unwrap_err();
    assert!(refused.to_string().contains("0 bytes"), "{refused}");
    let refused = peer.cluster.entity_of::<Account>("acount", 7).unwrap_err();
    assert!(
        refused.to_string().contains("not declared on this peer"),
        "{refused}"
    );
    let refused = peer.cluster.singleton::<Account>("account").unwrap_err();
    assert!(
        refused.to_string().contains("not declared on this peer"),
        "{refused}"
    );
    let cluster = peer.cluster.clone();
    peer.leave();
    // Nothing is taken any more, and the message comes back.
    let anna: EntityRef<Account> = cluster.entity("anna").unwrap();
    let refused = anna
        .tell(Add {
            sender: 1,
            number: 3,
        })
        .unwrap_err();
    assert!(refused.is_dead());
    assert_eq!(refused.into_message().number, 3);
    assert_eq!(store.lock().alive.len(), 0);
}

#[test]
fn h01_a_singleton_is_there_once_and_moves_when_its_peer_leaves() {
    let store = Arc::new(Store::default());
    let one = Peer::first("one", &store);
    // It is there without being asked for.
    until("the clerk", || store.lock().made == 1);
    let two = Peer::join("two", &store, &one);
    let first = two.ask(&two.clerk(), 1, 1);
    assert_eq!(first.peer, "one");
    one.leave();
    let second = two.ask(&two.clerk(), 1, 2);
    assert_eq!((second.peer.as_str(), second.sum), ("two", 2));
    assert!(second.epoch > first.epoch);
    two.leave();
    assert_eq!(store.lock().overlaps, 0);
}

#[test]
fn x01_what_was_taken_before_the_last_peer_leaves_is_handled() {
    let store = Arc::new(Store::default());
    let one = Peer::first("one", &store);
    let anna = one.account("anna");
    // By then it has an owner, which there will be none for once this peer leaves.
    one.ask(&anna, 1, 1);
    for number in 2..=1000 {
        one.system
            .block_on(anna.send(Add { sender: 1, number }))
            .unwrap();
    }
    one.leave();
    assert_eq!(store.lock().accounts["anna"].sum, 1000);
}

#[test]
fn h03_shards_move_to_those_who_come_and_go_in_order_and_without_loss() {
    let store = Arc::new(Store::default());
    let one = Peer::first("one", &store);
    let keys: Vec<_> = (0..40).map(|key| format!("account {key}")).collect();
    let refs: Vec<_> = keys.iter().map(|key| one.account(key)).collect();
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = over.clone();
    // Tells to every account in turn, all the time; now and then an ask, for an account has room for a thousand.
    let telling = one.system.tokio().spawn(async move {
        let mut number = 0;
        let mut is_over = false;
        while !is_over {
            is_over = stop.load(std::sync::atomic::Ordering::Relaxed);
            for _ in 0..100 {
                number += 1;
                for account in &refs {
                    account.send(Add { sender: 1, number }).await.unwrap();
                }
            }
            number += 1;
            for account in &refs {
                // By the same way: what it finds there is all that was told.
                let answer = account
                    .ask(Add { sender: 1, number })
                    .within(PATIENCE)
                    .await;
                assert_eq!(answer.unwrap().sum, number);
            }
        }
    });
    let two = Peer::join("two", &store, &one);
    until_even(&[&one, &two]);
    let three = Peer::join("three", &store, &two);
    until_even(&[&one, &two, &three]);
    two.leave();
    until_even(&[&one, &three]);
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    one.system.block_on(telling).unwrap();
    assert_eq!(store.lock().overlaps, 0, "who moves is never in two places");
    three.leave();
    one.leave();
}

/// Asks accounts, one after the other, until told to stop or until this peer takes no more; how many were answered.
async fn load(
    sender: u32,
    accounts: Vec<EntityRef<Account>>,
    over: Arc<std::sync::atomic::AtomicBool>,
) -> u64 {
    let mut answered = 0;
    for number in 1.. {
        for account in &accounts {
            let asked = account.ask(Add { sender, number }).within(PATIENCE).await;
            match asked {
                Ok(_) => answered += 1,
                // Not accepted: the message is back.
                Err(AskError::Dead { .. }) => return answered,
                Err(error) => panic!("an ask that was accepted is lost: {error}"),
            }
        }
        if over.load(std::sync::atomic::Ordering::Relaxed) {
            break;
        }
    }
    answered
}

#[test]
fn h05_a_rolling_restart_of_every_peer_under_load_loses_no_ask() {
    let store = Arc::new(Store::default());
    let keys: Vec<_> = (0..20).map(|key| format!("account {key}")).collect();
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut loads = Vec::new();
    let mut senders = 0;
    let mut put_under_load = |peer: &Peer| {
        senders += 1;
        let accounts = keys.iter().map(|key| peer.account(key)).collect();
        let load = load(senders, accounts, over.clone());
        loads.push(std::thread::spawn({
            let system = peer.system.handle();
            move || system.tokio().block_on(load)
        }));
    };
    let one = Peer::first("one", &store);
    let two = Peer::join("two", &store, &one);
    let three = Peer::join("three", &store, &one);
    let mut peers = vec![one, two, three];
    until_even(&peers.iter().collect::<Vec<_>>());
    peers.iter().for_each(&mut put_under_load);
    for fresh in ["four", "five", "six"] {
        // The oldest of them, the first to begin with: it leads.
        peers.remove(0).leave();
        let fresh = Peer::join(fresh, &store, &peers[0]);
        put_under_load(&fresh);
        peers.push(fresh);
        until_even(&peers.iter().collect::<Vec<_>>());
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    let answered: u64 = loads.into_iter().map(|load| load.join().unwrap()).sum();
    peers.into_iter().for_each(Peer::leave);
    let kept = store.lock();
    let handled: u64 = kept.accounts.values().map(|row| row.sum).sum();
    assert_eq!(
        handled, answered,
        "each that was accepted was handled, once, and answered"
    );
    assert_eq!(kept.overlaps, 0);
    assert_eq!(kept.alive.len(), 0);
}

#[test]
fn h04_what_the_peer_had_that_leads_and_is_declared_down_comes_up_elsewhere_in_a_later_epoch() {
    let store = Arc::new(Store::default());
    let one = Peer::first("one", &store);
    let two = Peer::join("two", &store, &one);
    let three = Peer::join("three", &store, &one);
    until_even(&[&one, &two, &three]);
    // The others are to go on without the one that leads.
    let others = [&two.cluster, &three.cluster];
    two.system.block_on(until_vote(3, others));
    let keys: Vec<_> = (0..40).map(|key| format!("account {key}")).collect();
    let mut before: BTreeMap<_, _> = keys
        .iter()
        .map(|key| (key.clone(), two.ask(&two.account(key), 1, 1)))
        .collect();
    before.retain(|_, answer| answer.peer == "one");
    assert!(!before.is_empty());
    let clerk = two.ask(&two.clerk(), 1, 1);
    assert_eq!(clerk.peer, "one", "it is where it was made");
    let former = one.cluster.incarnation().unwrap();
    let old: BTreeSet<_> = {
        let kept = store.lock();
        let alive = kept.alive.iter().filter(|(_, peer)| *peer == "one");
        alive.map(|(who, _)| who.clone()).collect()
    };

    let mut statuses = one.cluster.statuses();
    assert!(
        two.system
            .block_on(two.cluster.declare_down(one.cluster.peer()))
    );
    // Another life of it, in which nothing of the former one is left.
    let again = one.system.block_on(async {
        let again = statuses.until(
            |status| matches!(status, Status::Running { incarnation } if *incarnation > former),
        );
        tokio::time::timeout(PATIENCE, again).await
    });
    assert!(matches!(again, Ok(Some(_))), "{}", one.cluster.status());
    {
        let kept = store.lock();
        let left: Vec<_> = old
            .iter()
            .filter(|who| kept.alive.contains_key(who))
            .collect();
        assert!(left.is_empty(), "of the former life: {left:?}");
    }
    // Nobody knows what became of what was on its way to that life, so a number may be used twice.
    for (key, before) in before {
        let account = three.account(&key);
        let mut number = 0;
        until("an answer of a later owner", || {
            number += 1;
            let add = Add { sender: 2, number };
            match account.ask(add).within(PATIENCE).blocking() {
                Ok(answer) => {
                    assert!(answer.epoch > before.epoch, "{answer:?} after {before:?}");
                    true
                }
                Err(AskError::PeerGone { .. }) => {
                    number -= 1;
                    false
                }
                Err(error) => panic!("{error}"),
            }
        });
    }
    let later = three.ask(&three.clerk(), 1, 2);
    assert!(later.epoch > clerk.epoch, "{later:?} after {clerk:?}");
    // And it gets its share again.
    until_even(&[&one, &two, &three]);
    for peer in [one, two, three] {
        peer.leave();
    }
}

#[test]
fn b01_a_side_that_has_lost_ends_its_entities_and_makes_none() {
    let store = Arc::new(Store::default());
    // The first alone votes, for good: whoever loses it has lost. Of three that vote two could go on without it, and make
    // the last one the only one that votes, before the second ends, too.
    let mut first_votes = settings();
    first_votes.voters_max = 1;
    let start = |name: &str, seeds: Seeds| {
        let system = system();
        let builder = build(&system, name, &store).seeds(seeds);
        let starting = builder.consensus(first_votes.clone()).start();
        let cluster = system.block_on(starting).unwrap();
        Peer { system, cluster }
    };
    let one = start("one", Seeds::none());
    let two = start(
        "two",
        Seeds::none().endpoint(one.cluster.local_addr().into()),
    );
    let system = system();
    let mut quick = MembershipSettings::default();
    quick.probe_interval = Duration::from_millis(200);
    quick.probe_timeout = Duration::from_millis(100);
    quick.reconnect_grace = Duration::from_millis(100);
    quick.stable_after = Duration::from_millis(300);
    let zoe = build(&system, "zoe", &store)
        .membership(quick)
        .consensus(first_votes.clone())
        .seeds(Seeds::none().endpoint(one.cluster.local_addr().into()));
    let cluster = system.block_on(zoe.start()).unwrap();
    let zoe = Peer { system, cluster };
    until("entities there", || {
        for key in 0..40 {
            let account: EntityRef<Account> = zoe.cluster.entity(key).unwrap();
            // On a slow machine it may have been declared down meanwhile.
            let number = store.lock().next(&key.to_string(), 1);
            _ = account
                .ask(Add { sender: 1, number })
                .within(PATIENCE)
                .blocking();
        }
        zoe.has().1 > 0
    });

    // The others end without a word, one after the other.
    for other in [one, two] {
        other.system.shutdown_blocking(GRACE);
    }
    until("nothing is left of any of them", || {
        store.lock().alive.is_empty() && zoe.has().0 == 0
    });
    let made = store.lock().made;
    let account = zoe.account("another");
    account
        .tell(Add {
            sender: 1,
            number: 1,
        })
        .unwrap();
    let stats = zoe.system.block_on(zoe.cluster.entities());
    let accounts = stats.iter().find(|kind| !kind.is_singleton).unwrap();
    assert_eq!(
        (accounts.waiting, accounts.entities),
        (1, 0),
        "{accounts:?}"
    );
    assert_eq!(store.lock().made, made);
    finish(zoe.system);
}

#[test]
fn what_cannot_be_declared_says_why() {
    let system = system();
    let store = Arc::new(Store::default());
    let accounts = |name: &str| {
        let store = store.clone();
        Entity::new(name, move |context| Account::new(context, "one", &store))
    };
    let refused = |builder: ClusterBuilder| {
        let refused = system.block_on(builder.start());
        refused.expect_err("it cannot start").to_string()
    };
    let builder = || Cluster::builder(system.handle(), "bank");
    let error = refused(builder().entity(accounts("")));
    assert!(error.contains("1 to 62 bytes"), "{error}");
    let error = refused(builder().entity(accounts("a").shards(0)));
    assert!(error.contains("1..=1024"), "{error}");
    let error = refused(builder().entity(accounts("a")).entity(accounts("a")));
    assert!(error.contains("declared on this peer already"), "{error}");

    // Two kinds of one type: which is meant?
    let both = builder().entity(accounts("a")).entity(accounts("b"));
    let cluster = system.block_on(both.start()).unwrap();
    let error = cluster.entity::<Account>("anna").unwrap_err().to_string();
    assert!(error.contains("say which"), "{error}");
    assert!(cluster.entity_of::<Account>("b", "anna").is_ok());
    system.block_on(cluster.leave(GRACE));
    finish(system);
}
