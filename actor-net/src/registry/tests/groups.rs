//! Groups as users see them, with several systems in this process as peers, and a network that is a function call.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::remote::Address;
use actor_core::{ActorId, Mailbox, Overflow, StopMode, SystemRef};

use super::super::directory::{Directory, Keys};
use super::super::machine::Config;
use super::super::resolve::{Resolve, ResolveError};
use super::super::{
    Group, GroupEvent, GroupSendError, JoinError, Left, NoMember, PENDING_EVENTS_MAX,
};
use super::peer;
use crate::id::{Incarnation, PeerId};
use crate::membership::MemberState;

struct Worker;
impl Actor for Worker {}

#[derive(Clone, Debug, PartialEq)]
struct Job(u64);
impl Message for Job {
    type Reply = u64;
}

impl SyncHandler<Job> for Worker {
    fn handle(&mut self, Job(number): Job, cx: &mut ActorContext<Self>) -> u64 {
        number ^ cx.id().as_u64()
    }
}

/// What takes a job and does not come back to it.
struct Stuck;
impl Actor for Stuck {}
impl Handler<Job> for Stuck {
    async fn handle(&mut self, _: Job, _: &mut ActorContext<Self>) -> u64 {
        std::future::pending().await
    }
}

/// The way to the actors of all systems, for one of them.
struct Ways {
    own: usize,
    systems: Vec<SystemRef>,
    cut: Arc<Mutex<BTreeSet<PeerId>>>,
    times: BTreeMap<PeerId, Duration>,
}

impl Resolve for Ways {
    fn actor<A: Actor>(&self, address: &Address) -> Result<ActorRef<A>, ResolveError> {
        if self
            .cut
            .lock()
            .unwrap()
            .contains(&PeerId::new(&address.peer).unwrap())
        {
            return Err(ResolveError::Unreachable);
        }
        let at = (0..self.systems.len()).find(|at| *address.peer == *peer(*at).as_str());
        let system = self.systems[at.ok_or(ResolveError::Gone)?];
        assert_eq!(
            address.key,
            address.number ^ address.incarnation,
            "keys come along"
        );
        system.resolve(address.number).ok_or(ResolveError::Gone)
    }

    fn is_local(&self, actor: ActorId) -> bool {
        let own = self.systems[self.own].resolve::<Worker>(actor.as_u64());
        own.is_some()
            || self.systems[self.own]
                .resolve::<Stuck>(actor.as_u64())
                .is_some()
    }

    fn round_trip(&self, peer: &PeerId) -> Option<Duration> {
        self.times.get(peer).copied()
    }
}

struct Cluster {
    systems: Vec<ActorSystem>,
    directories: Vec<Directory>,
    cut: Arc<Mutex<BTreeSet<PeerId>>>,
    now: Instant,
}

impl Cluster {
    fn new(peers: usize) -> Self {
        let systems: Vec<_> = (0..peers).map(|_| ActorSystem::new().unwrap()).collect();
        let directories = systems.iter().enumerate().map(|(at, system)| {
            let config = Config::new(peer(at), Incarnation(1), at as u64);
            Directory::new(config, keys(1), system.tokio().clone())
        });
        let directories: Vec<_> = directories.collect();
        let now = Instant::now();
        let view: Vec<_> = (0..peers).map(peer).collect();
        for directory in &directories {
            directory.drive(|groups| {
                groups.handle_members(view.iter().map(|id| (id, Incarnation(1))), now);
            });
        }
        let cut = Arc::default();
        let cluster = Self {
            systems,
            directories,
            cut,
            now,
        };
        cluster.settle();
        cluster
    }

    fn group<A: Actor>(&self, at: usize, name: &str) -> Group<A> {
        let ways = Ways {
            own: at,
            systems: self.systems.iter().map(|system| **system).collect(),
            cut: Arc::clone(&self.cut),
            // Peer 0 is near, the last one far; of peer 3 nothing is known.
            times: (0..3)
                .map(|at| (peer(at), Duration::from_millis(at as u64)))
                .collect(),
        };
        self.directories[at].group(name, Arc::new(ways)).unwrap()
    }

    fn worker(&self, at: usize) -> ActorRef<Worker> {
        self.systems[at].spawn(|| Worker).unwrap()
    }

    /// Carries datagrams until there are none.
    fn settle(&self) {
        loop {
            let mut carried = false;
            for (from, directory) in self.directories.iter().enumerate() {
                while let Some(datagram) = directory.drive(|groups| groups.poll_transmit()) {
                    let to = (0..).find(|at| peer(*at) == datagram.to).unwrap();
                    self.directories[to].drive(|groups| {
                        groups.handle_datagram(&peer(from), &datagram.bytes, self.now);
                    });
                    carried = true;
                }
            }
            if !carried {
                return;
            }
        }
    }
}

/// Keys of a life.
fn keys(incarnation: u64) -> Keys {
    Box::new(move |actor| actor.as_u64() ^ incarnation)
}

fn ids<A: Actor>(group: &Group<A>) -> Vec<u64> {
    group
        .members()
        .iter()
        .map(|member| member.id.number)
        .collect()
}

#[test]
fn an_empty_group_hands_the_message_back() {
    let cluster = Cluster::new(1);
    let group = cluster.group::<Worker>(0, "workers");
    assert!(group.is_empty());
    let error = group.tell_any(Job(7)).unwrap_err();
    let GroupSendError::NoMember { why, message } = error else {
        panic!("{error:?}");
    };
    assert_eq!(message, Job(7));
    assert!(
        why.to_string().contains("\"workers\" has no members"),
        "{why}"
    );
    assert_eq!(
        group.tell_by_key("key", Job(8)).unwrap_err().into_message(),
        Job(8)
    );
    assert_eq!(
        group.nearest(),
        Err(NoMember::Empty {
            group: "workers".into()
        })
    );
    assert_eq!(group.broadcast(Job(1)).offered, 0);
    let refused = cluster.directories[0].group::<Worker, Ways>("", ways_of_nobody());
    assert!(refused.unwrap_err().to_string().contains("1 to 255"));
}

fn ways_of_nobody() -> Arc<Ways> {
    Arc::new(Ways {
        own: 0,
        systems: Vec::new(),
        cut: Arc::default(),
        times: BTreeMap::new(),
    })
}

#[test]
fn members_of_all_peers_are_listed_everywhere_and_reached() {
    let cluster = Cluster::new(3);
    let groups: Vec<_> = (0..3)
        .map(|at| cluster.group::<Worker>(at, "workers"))
        .collect();
    for at in [0, 1, 1, 2] {
        groups[at].join(cluster.worker(at)).unwrap();
    }
    cluster.settle();
    let members = groups[0].members();
    assert_eq!(members.len(), 4);
    assert_eq!(groups[1].members(), members);
    assert_eq!(groups[2].members(), members);
    // Each is reached in its turn.
    let mut reached = BTreeSet::new();
    for _ in 0..4 {
        let worker = groups[2].round_robin().unwrap();
        let reply = worker.ask_blocking(Job(0)).unwrap();
        reached.insert(reply);
    }
    let all: BTreeSet<_> = ids(&groups[2]).into_iter().collect();
    assert_eq!(reached, all);
    let sent = groups[1].broadcast(Job(1));
    assert_eq!((sent.offered, sent.accepted, sent.refused()), (4, 4, 0));
    let any = groups[0].any().unwrap();
    assert!(all.contains(&any.id().as_u64()));
}

#[test]
fn the_same_key_is_the_same_member_for_all_peers() {
    let cluster = Cluster::new(2);
    let groups: Vec<_> = (0..2)
        .map(|at| cluster.group::<Worker>(at, "workers"))
        .collect();
    let workers: Vec<_> = (0..6).map(|n| cluster.worker(n % 2)).collect();
    for (n, worker) in workers.iter().enumerate() {
        let weight = NonZeroU16::new(1 + u16::from(n == 0) * 4).unwrap();
        groups[n % 2].join_weighing(*worker, weight).unwrap();
    }
    cluster.settle();
    let owner = |group: &Group<Worker>, key: u32| group.by_key(key.to_le_bytes()).unwrap();
    let before: Vec<_> = (0..500).map(|key| owner(&groups[0], key)).collect();
    for (key, worker) in before.iter().enumerate() {
        assert_eq!(owner(&groups[1], u32::try_from(key).unwrap()), *worker);
    }
    let heavy = before
        .iter()
        .filter(|worker| **worker == workers[0])
        .count();
    assert!((180..320).contains(&heavy), "half are due to it: {heavy}");
    // One goes: its keys alone move.
    assert!(groups[1].leave(workers[1]));
    cluster.settle();
    for (key, worker) in before.iter().enumerate() {
        let now = owner(&groups[0], u32::try_from(key).unwrap());
        assert!(now == *worker || *worker == workers[1]);
        assert_ne!(now, workers[1]);
    }
}

#[test]
fn near_is_in_this_process_and_then_by_round_trip() {
    let cluster = Cluster::new(4);
    let groups: Vec<_> = (0..4)
        .map(|at| cluster.group::<Worker>(at, "workers"))
        .collect();
    let workers: Vec<_> = (0..4).map(|at| cluster.worker(at)).collect();
    for at in 0..4 {
        groups[at].join(workers[at]).unwrap();
    }
    cluster.settle();
    for at in 0..4 {
        assert_eq!(groups[at].nearest(), Ok(workers[at]));
    }
    groups[3].leave(workers[3]);
    assert_eq!(groups[3].nearest(), Ok(workers[0]), "peer-0 is closest");
    cluster.cut.lock().unwrap().insert(peer(0));
    let fresh = cluster.group::<Worker>(3, "workers");
    assert_eq!(fresh.nearest(), Ok(workers[1]));
    groups[0].leave(workers[0]);
    groups[1].leave(workers[1]);
    cluster.settle();
    assert_eq!(groups[3].nearest(), Ok(workers[2]));
}

#[test]
fn who_is_out_of_reach_is_passed_over_but_keeps_its_keys() {
    let cluster = Cluster::new(2);
    let groups: Vec<_> = (0..2)
        .map(|at| cluster.group::<Worker>(at, "workers"))
        .collect();
    let (near, far) = (cluster.worker(0), cluster.worker(1));
    groups[0].join(near).unwrap();
    groups[1].join(far).unwrap();
    cluster.settle();
    cluster.cut.lock().unwrap().insert(peer(1));
    let group = cluster.group::<Worker>(0, "workers");
    for _ in 0..10 {
        assert_eq!(group.any(), Ok(near));
        assert_eq!(group.round_robin(), Ok(near));
    }
    let keys = (0..50u8).map(|key| group.by_key([key]));
    let refused = keys.filter(|picked| match picked {
        Ok(worker) => *worker != near,
        Err(NoMember::OutOfReach { member, .. }) => member.peer == peer(1),
        Err(_) => false,
    });
    assert!(refused.count() > 10);
    let sent = group.broadcast(Job(1));
    assert_eq!((sent.offered, sent.accepted, sent.unreachable), (2, 1, 1));
}

#[test]
fn g08_another_life_lists_its_own_again_and_the_others_when_they_tell() {
    let cluster = Cluster::new(2);
    let (here, there) = (
        cluster.group::<Worker>(0, "workers"),
        cluster.group::<Worker>(1, "workers"),
    );
    let (near, far) = (cluster.worker(0), cluster.worker(1));
    here.join(near).unwrap();
    there.join(far).unwrap();
    cluster.settle();
    let (before, mut events) = (here.members(), there.subscribe());
    assert!(matches!(events.try_next(), Some(GroupEvent::Current(_))));
    // The first peer's life ends. It keeps its own, knows of no other, and is forgotten by the other.
    cluster.directories[0].end();
    assert_eq!(here.any(), Ok(near));
    assert_eq!(here.len(), 1);
    let second = Incarnation(2);
    cluster.directories[0].begin(Config::new(peer(0), second, 7), keys(2));
    let own = here.members();
    assert_eq!((own.len(), own[0].id.incarnation), (1, second));
    assert_eq!(own[0].id.number, before[0].id.number);
    cluster.directories[0].drive(|groups| {
        groups.handle_members([(&peer(1), Incarnation(1))], cluster.now);
    });
    cluster.directories[1].drive(|groups| {
        groups.handle_members([(&peer(0), second)], cluster.now);
    });
    cluster.settle();
    assert_eq!(here.members(), there.members());
    assert_eq!(here.len(), 2);
    assert_eq!(there.actor(&own[0]), Ok(near));
    let heard: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    assert!(
        matches!(
            &heard[..],
            [
                GroupEvent::Left { member: old, why: Left::PeerGone },
                GroupEvent::Joined(new)
            ] if *old == before[0] && *new == own[0]
        ),
        "{heard:?}"
    );
    // Its end is still waited for.
    let mut events = here.subscribe();
    assert!(matches!(events.try_next(), Some(GroupEvent::Current(_))));
    near.stop();
    let left = cluster.systems[0].block_on(events.next());
    assert!(
        matches!(&left, GroupEvent::Left { member, .. } if *member == own[0]),
        "{left:?}"
    );
}

#[test]
fn who_is_unreachable_or_leaving_is_marked_and_passed_over() {
    let cluster = Cluster::new(3);
    let groups: Vec<_> = (0..3)
        .map(|at| cluster.group::<Worker>(at, "workers"))
        .collect();
    let workers: Vec<_> = (0..3).map(|at| cluster.worker(at)).collect();
    for at in 1..3 {
        groups[at].join(workers[at]).unwrap();
    }
    cluster.settle();
    let group = &groups[0];
    let see = |at: usize, state| {
        cluster.directories[0].drive(|groups| groups.handle_state(&peer(at), state));
    };
    // References are there already; they are not used.
    let sent = group.broadcast(Job(0));
    assert_eq!(sent.accepted, 2);
    let mut events = group.subscribe();
    assert!(matches!(events.try_next(), Some(GroupEvent::Current(_))));
    see(1, MemberState::Unreachable);
    let changed = events.try_next();
    assert!(
        matches!(&changed, Some(GroupEvent::Changed(member))
            if member.peer_state == MemberState::Unreachable && member.id.peer == peer(1)),
        "{changed:?}"
    );
    assert_eq!(group.len(), 2, "it is still a member");
    for _ in 0..10 {
        assert_eq!(group.any(), Ok(workers[2]));
        assert_eq!(group.round_robin(), Ok(workers[2]));
        assert_eq!(group.nearest(), Ok(workers[2]));
    }
    let sent = group.broadcast(Job(0));
    assert_eq!((sent.offered, sent.accepted, sent.unreachable), (2, 1, 1));
    // Where there is nobody else, one that is leaving is better than none.
    see(2, MemberState::Leaving);
    assert_eq!(group.any(), Ok(workers[2]));
    see(1, MemberState::Up);
    for _ in 0..10 {
        assert_eq!(group.any(), Ok(workers[1]));
    }
    let keys = (0..50u8).map(|key| group.by_key([key]));
    assert!(keys.filter(|to| *to == Ok(workers[2])).count() > 10);
    see(1, MemberState::Unreachable);
    see(2, MemberState::Unreachable);
    for none in [group.any(), group.round_robin(), group.nearest()] {
        assert!(matches!(none, Err(NoMember::OutOfReach { .. })), "{none:?}");
    }
}

#[test]
fn a_broadcast_counts_who_did_not_take_it() {
    let cluster = Cluster::new(1);
    let group = cluster.group::<Stuck>(0, "stuck");
    let spawn = || {
        let actor = cluster.systems[0].actor(|| Stuck);
        let actor = actor.mailbox(Mailbox::bounded(1).overflow(Overflow::Reject));
        actor.spawn().unwrap()
    };
    let stuck = [spawn(), spawn()];
    for actor in stuck {
        group.join(actor).unwrap();
    }
    // Each takes one in hand and has room for one, and then for none.
    let refused = (0..1000).any(|number| {
        let sent = group.broadcast(Job(number));
        assert_eq!(sent.offered, 2);
        assert_eq!(sent.accepted + sent.full, 2);
        assert_eq!(sent.refused(), sent.full);
        sent.full == 2
    });
    assert!(refused);
    let ends = stuck.map(|actor| {
        actor.stop_with(StopMode::Kill);
        actor.terminated()
    });
    for end in ends {
        cluster.systems[0].block_on(end);
    }
    // They may not have left the group yet.
    let sent = group.broadcast(Job(0));
    assert_eq!(sent.dead, sent.offered);
}

#[test]
fn members_of_another_type_are_as_if_not_there() {
    let cluster = Cluster::new(1);
    let (workers, stuck) = (
        cluster.group::<Worker>(0, "all"),
        cluster.group::<Stuck>(0, "all"),
    );
    let mut events = stuck.subscribe();
    assert_eq!(events.try_next(), Some(GroupEvent::Current(vec![])));
    workers.join(cluster.worker(0)).unwrap();
    assert_eq!((workers.len(), stuck.len()), (1, 0));
    assert_eq!(events.try_next(), None);
    assert!(stuck.any().is_err());
}

#[test]
fn who_cannot_join_is_told_why() {
    let cluster = Cluster::new(2);
    let group = cluster.group::<Worker>(0, "workers");
    assert_eq!(group.join(cluster.worker(1)), Err(JoinError::NotLocal));
    let worker = cluster.worker(0);
    let end = worker.terminated();
    worker.stop();
    cluster.systems[0].block_on(end);
    assert_eq!(group.join(worker), Err(JoinError::Stopped));
    assert!(!group.leave(worker));
}

#[test]
fn a_subscriber_hears_who_is_there_and_then_every_change() {
    let cluster = Cluster::new(2);
    let (here, there) = (
        cluster.group::<Worker>(0, "workers"),
        cluster.group::<Worker>(1, "workers"),
    );
    let first = cluster.worker(0);
    here.join(first).unwrap();
    cluster.settle();
    let mut events = there.subscribe();
    let second = cluster.worker(1);
    there.join(second).unwrap();
    // It began after the second had joined: nothing is told twice.
    let GroupEvent::Current(members) = events.try_next().unwrap() else {
        panic!("what there is comes first");
    };
    assert_eq!(members.len(), 2);
    assert_eq!(events.try_next(), None);
    here.leave(first);
    cluster.settle();
    let left = events.try_next();
    assert!(
        matches!(
            left,
            Some(GroupEvent::Left {
                why: Left::Gone,
                ..
            })
        ),
        "{left:?}"
    );
    // An actor that ends leaves by itself.
    second.stop();
    let left = cluster.systems[1].block_on(events.next());
    assert!(
        matches!(&left, GroupEvent::Left { member, .. } if member.id.number == second.id().as_u64())
    );
    assert!(there.is_empty());
}

#[test]
fn a_subscriber_that_falls_behind_begins_again_with_what_there_is() {
    let cluster = Cluster::new(1);
    let group = cluster.group::<Worker>(0, "workers");
    let mut events = group.subscribe();
    assert_eq!(events.try_next(), Some(GroupEvent::Current(vec![])));
    let (stays, worker) = (cluster.worker(0), cluster.worker(0));
    group.join(stays).unwrap();
    for _ in 0..PENDING_EVENTS_MAX {
        group.join(worker).unwrap();
        assert!(group.leave(worker));
    }
    let Some(GroupEvent::Current(members)) = events.try_next() else {
        panic!("too many changes wait");
    };
    assert_eq!(members, group.members());
    assert_eq!(members.len(), 1);
    assert_eq!(events.try_next(), None);
    group.join(worker).unwrap();
    assert!(matches!(events.try_next(), Some(GroupEvent::Joined(_))));
}

/// Subscribers that come while others join and leave: what each has heard adds up to what there is in the end.
#[test]
fn nothing_is_missed_between_who_is_there_and_the_first_change() {
    let cluster = Cluster::new(1);
    let group = cluster.group::<Worker>(0, "workers");
    let workers: Vec<_> = (0..20).map(|_| cluster.worker(0)).collect();
    std::thread::scope(|scope| {
        for half in workers.chunks(10) {
            let group = &group;
            scope.spawn(move || {
                for round in 0..30 {
                    for worker in half {
                        group.join(*worker).unwrap();
                    }
                    // In the last round they stay.
                    for worker in half.iter().filter(|_| round < 29) {
                        assert!(group.leave(*worker));
                    }
                }
            });
        }
        for _ in 0..3 {
            let (group, workers) = (&group, &workers);
            scope.spawn(move || {
                for _ in 0..10 {
                    let mut events = group.subscribe();
                    let mut heard = BTreeSet::new();
                    for _ in 0..50 {
                        while let Some(event) = events.try_next() {
                            hear(&mut heard, event);
                        }
                        std::thread::yield_now();
                    }
                }
                let mut events = group.subscribe();
                let mut heard = BTreeSet::new();
                while heard.len() < workers.len() {
                    match events.try_next() {
                        Some(event) => hear(&mut heard, event),
                        None => std::thread::yield_now(),
                    }
                }
            });
        }
    });
    assert_eq!(group.len(), 20);
}

fn hear(heard: &mut BTreeSet<u64>, event: GroupEvent) {
    match event {
        GroupEvent::Current(members) => {
            *heard = members.iter().map(|member| member.id.number).collect();
        }
        GroupEvent::Joined(member) => assert!(heard.insert(member.id.number), "joined twice"),
        GroupEvent::Left { member, .. } => assert!(heard.remove(&member.id.number), "was not in"),
        other => panic!("{other:?}"),
    }
}
