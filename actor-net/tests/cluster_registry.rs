//! Groups and unique names of whole peers, each with an actor system of its own, over loopback.

use std::time::Duration;

use actor_core::prelude::*;
use actor_net::cluster::{Cluster, ConsensusSettings, Seeds};
use actor_net::membership::{Downing, MemberState, MembershipSettings};
use actor_net::registry::{
    Group, GroupEvent, GroupEvents, Holder, Left, NameError, NameEvent, NameEvents, NoMember,
    UniqueName,
};
use actor_net::remote::Exports;
use serde::{Deserialize, Serialize};

use self::cluster_kit::{PATIENCE, finish, system, until_vote};
use self::cuts::Cuts;

mod cluster_kit;
#[path = "common/cuts.rs"]
mod cuts;

const GRACE: Duration = Duration::from_secs(10);

/// One who knows which peer it is on, and adds up what it is told.
#[derive(Actor)]
struct Worker {
    peer: usize,
    sum: u64,
}

#[derive(Clone, Message, Serialize, Deserialize)]
#[message(remote = "test.who", reply = usize)]
struct Who {}

#[derive(Clone, Message, Serialize, Deserialize)]
#[message(remote = "test.add")]
struct Add {
    amount: u64,
}

#[derive(Clone, Message, Serialize, Deserialize)]
#[message(remote = "test.sum", reply = u64)]
struct Sum {}

impl SyncHandler<Who> for Worker {
    fn handle(&mut self, _: Who, _cx: &mut ActorContext<Self>) -> usize {
        self.peer
    }
}

impl SyncHandler<Add> for Worker {
    fn handle(&mut self, add: Add, _cx: &mut ActorContext<Self>) {
        self.sum += add.amount;
    }
}

impl SyncHandler<Sum> for Worker {
    fn handle(&mut self, _: Sum, _cx: &mut ActorContext<Self>) -> u64 {
        self.sum
    }
}

/// Peers, each with a system of its own.
struct Peers {
    systems: Vec<ActorSystem>,
    clusters: Vec<Cluster>,
}

impl Peers {
    /// All of them up, as each sees it.
    fn new(peers: usize) -> Self {
        Self::start(peers, None)
    }

    /// The same, and their connections can be cut. They notice that soon and decide nothing by themselves; what all
    /// must agree on is given up after half a second.
    fn behind_relays(peers: usize) -> (Self, Cuts) {
        let cuts = Cuts::new((0..peers).map(name_of));
        (Self::start(peers, Some(&cuts)), cuts)
    }

    fn start(peers: usize, cuts: Option<&Cuts>) -> Self {
        let systems: Vec<_> = (0..peers).map(|_| system()).collect();
        let exports = Exports::new()
            .handles::<Worker, Who>()
            .handles::<Worker, Add>()
            .handles::<Worker, Sum>();
        let clusters = systems[0].block_on(async {
            let mut clusters: Vec<Cluster> = Vec::new();
            let mut first = None;
            for (at, system) in systems.iter().enumerate() {
                let name = name_of(at);
                let mut builder = Cluster::builder(system.handle(), "test")
                    .peer(name.clone())
                    .exports(exports.clone())
                    .consensus(patient());
                let relay = match cuts {
                    Some(cuts) => Some(cuts.relay(&name, system.tokio()).await),
                    None => None,
                };
                if let Some(relay) = relay {
                    builder = builder
                        .advertise(relay.into())
                        .membership(watchful())
                        .consensus(hasty());
                }
                if let Some(first) = first.clone() {
                    builder = builder.seeds(Seeds::none().endpoint(first));
                }
                let cluster = builder.start().await.unwrap();
                let addr = cluster.local_addr();
                if let Some(cuts) = cuts {
                    cuts.is_at(&name, addr);
                }
                first.get_or_insert_with(|| relay.unwrap_or(addr).into());
                clusters.push(cluster);
            }
            for cluster in &clusters {
                cluster.until_up(peers, PATIENCE).await.unwrap();
            }
            clusters
        });
        Self { systems, clusters }
    }

    fn worker(&self, peer: usize) -> ActorRef<Worker> {
        self.systems[peer].spawn(Worker { peer, sum: 0 }).unwrap()
    }

    fn group(&self, peer: usize, name: &str) -> Group<Worker> {
        self.clusters[peer].groups().group(name).unwrap()
    }

    fn name(&self, peer: usize, name: &str) -> UniqueName<Worker> {
        self.clusters[peer].names().name(name).unwrap()
    }

    fn wait<T>(&self, future: impl Future<Output = T> + Send) -> T {
        let patient = async { tokio::time::timeout(PATIENCE, future).await };
        let done = self.systems[0].block_on(patient);
        done.expect("it comes to an end")
    }

    /// In good order; everything that was accepted is accounted for.
    fn end(self) {
        for cluster in self.clusters.iter().rev() {
            self.wait(cluster.leave(GRACE));
        }
        for system in self.systems {
            finish(system);
        }
    }
}

fn name_of(peer: usize) -> String {
    format!("peer-{peer}")
}

fn watchful() -> MembershipSettings {
    let mut settings = MembershipSettings::default();
    settings.probe_interval = Duration::from_millis(200);
    settings.probe_timeout = Duration::from_millis(80);
    settings.reconnect_grace = Duration::from_millis(50);
    settings.suspicion_min = 1;
    settings.suspicion_max_factor = 1;
    settings.downing = Downing::Manual;
    settings
}

/// On a slow machine an answer may take long.
fn patient() -> ConsensusSettings {
    let mut settings = ConsensusSettings::default();
    settings.deadline = PATIENCE;
    settings
}

fn hasty() -> ConsensusSettings {
    let mut settings = ConsensusSettings::default();
    settings.deadline = Duration::from_millis(500);
    settings
}

/// Until the group has so many members here.
async fn until_members(group: &Group<Worker>, members: usize) {
    let mut events = group.subscribe();
    while group.len() != members {
        events.next().await;
    }
}

/// The next event that is not only about how a peer is seen.
async fn next_change(events: &mut GroupEvents) -> GroupEvent {
    loop {
        match events.next().await {
            GroupEvent::Changed(_) => {}
            event => return event,
        }
    }
}

async fn until_held(events: &mut NameEvents, is_it: impl Fn(&Holder) -> bool) -> Holder {
    loop {
        if let NameEvent::Held(holder) = events.next().await
            && is_it(&holder)
        {
            return holder;
        }
    }
}

async fn until_free(events: &mut NameEvents) {
    while events.next().await != NameEvent::Free {}
}

#[test]
fn members_of_all_peers_are_reached_from_each() {
    let peers = Peers::new(3);
    let groups: Vec<_> = (0..3).map(|at| peers.group(at, "workers")).collect();
    let workers: Vec<_> = (0..6).map(|n| (n % 3, peers.worker(n % 3))).collect();
    for (at, worker) in &workers {
        groups[*at].join(*worker).unwrap();
    }
    peers.wait(async {
        for group in &groups {
            until_members(group, 6).await;
        }
        let ids = |group: &Group<Worker>| -> Vec<_> {
            let members = group.members().into_iter();
            members.map(|member| member.id).collect()
        };
        assert_eq!(ids(&groups[1]), ids(&groups[0]));
        assert_eq!(ids(&groups[2]), ids(&groups[0]));

        // Each in its turn, wherever it lives.
        let mut reached = [0; 3];
        for _ in 0..6 {
            let worker = groups[2].round_robin().unwrap();
            reached[worker.ask(Who {}).await.unwrap()] += 1;
        }
        assert_eq!(reached, [2, 2, 2]);
        let any = groups[0].any().unwrap();
        assert!(any.ask(Who {}).await.unwrap() < 3);
        // In this process there are some.
        for (at, group) in groups.iter().enumerate() {
            let near = group.nearest().unwrap();
            assert_eq!(near.ask(Who {}).await.unwrap(), at);
        }
        // A key is the same member's for all.
        for key in 0..20_u8 {
            let mut owners = Vec::new();
            for group in &groups {
                owners.push(group.by_key([key]).unwrap().ask(Who {}).await.unwrap());
            }
            assert_eq!(owners, [owners[0]; 3]);
        }
        let sent = groups[0].broadcast(Add { amount: 5 });
        assert_eq!((sent.offered, sent.accepted, sent.refused()), (6, 6, 0));
        for member in groups[0].members() {
            // Behind what was told by the same reference.
            let worker = groups[0].actor(&member).unwrap();
            assert_eq!(worker.ask(Sum {}).await.unwrap(), 5);
        }
    });
    assert_eq!(*peers.clusters[1].groups().list()[0], *"workers");
    peers.end();
}

#[test]
fn a_subscriber_elsewhere_hears_every_change_in_its_order() {
    let peers = Peers::new(2);
    let (here, there) = (peers.group(0, "workers"), peers.group(1, "workers"));
    let (first, second) = (peers.worker(0), peers.worker(0));
    here.join(first).unwrap();
    peers.wait(async {
        until_members(&there, 1).await;
        let mut events = there.subscribe();
        let current = events.next().await;
        assert!(
            matches!(&current, GroupEvent::Current(members) if members.len() == 1),
            "{current:?}"
        );
        here.join(second).unwrap();
        let joined = next_change(&mut events).await;
        assert!(
            matches!(&joined, GroupEvent::Joined(member) if member.id.number == second.id().as_u64()),
            "{joined:?}"
        );
        // Taken out, and ended.
        assert!(here.leave(second));
        let left = next_change(&mut events).await;
        assert!(
            matches!(&left, GroupEvent::Left { member, why: Left::Gone }
                if member.id.number == second.id().as_u64()),
            "{left:?}"
        );
        first.stop();
        let left = next_change(&mut events).await;
        assert!(
            matches!(&left, GroupEvent::Left { member, why: Left::Gone }
                if member.id.number == first.id().as_u64()),
            "{left:?}"
        );
        assert!(matches!(there.any(), Err(NoMember::Empty { .. })));
    });
    peers.end();
}

#[test]
fn g08_the_next_life_of_a_peer_lists_its_members_again() {
    let peers = Peers::new(2);
    let (one, two) = (peers.group(0, "workers"), peers.group(1, "workers"));
    let (near, far) = (peers.worker(0), peers.worker(1));
    one.join(near).unwrap();
    two.join(far).unwrap();
    peers.wait(async {
        until_members(&one, 2).await;
        until_members(&two, 2).await;
        let former = peers.clusters[1].incarnation().unwrap();
        let of_two = |group: &Group<Worker>| {
            let mut members = group.members().into_iter();
            members.find(|member| member.id.peer == *peers.clusters[1].peer())
        };
        let old = of_two(&one).unwrap();
        let reference = one.actor(&old).unwrap();
        assert_eq!(reference.ask(Who {}).await.unwrap(), 1);

        let mut events = one.subscribe();
        assert!(matches!(events.next().await, GroupEvent::Current(_)));
        assert!(peers.clusters[0].declare_down(peers.clusters[1].peer()).await);
        let left = next_change(&mut events).await;
        assert!(
            matches!(&left, GroupEvent::Left { member, why: Left::PeerGone } if member.id == old.id),
            "{left:?}"
        );
        let joined = next_change(&mut events).await;
        let GroupEvent::Joined(new) = joined else {
            panic!("{joined:?}");
        };
        assert_eq!(new.id.peer, old.id.peer);
        assert_eq!(new.id.number, old.id.number, "the actor is the same");
        assert!(new.id.incarnation > former);
        // It is reached by its new address, and not by the old one.
        assert_eq!(one.actor(&new).unwrap().ask(Who {}).await.unwrap(), 1);
        assert!(reference.ask(Who {}).await.is_err());
        assert!(one.actor(&old).is_err());
        // The other way round as well; actors of its own were never away.
        until_members(&two, 2).await;
        assert_eq!(two.actor(&of_two(&two).unwrap()), Ok(far));
        let sent = two.broadcast(Add { amount: 1 });
        assert_eq!((sent.offered, sent.accepted), (2, 2));
    });
    peers.end();
}

#[test]
fn members_of_a_peer_that_does_not_answer_are_marked_and_go_when_it_is_down() {
    let (peers, cuts) = Peers::behind_relays(2);
    let (group, there) = (peers.group(0, "workers"), peers.group(1, "workers"));
    let (near, far) = (peers.worker(0), peers.worker(1));
    group.join(near).unwrap();
    there.join(far).unwrap();
    let cut_off = peers.clusters[1].peer();
    peers.wait(async {
        let mut events = group.subscribe();
        until_members(&group, 2).await;
        // From here on every change is heard by itself.
        assert!(matches!(events.next().await, GroupEvent::Current(_)));
        cuts.isolate(cut_off.as_str());
        loop {
            if let GroupEvent::Changed(member) = events.next().await
                && member.id.peer == *cut_off
                && member.peer_state == MemberState::Unreachable
            {
                break;
            }
        }
        // It is a member, and nobody is sent there who can be sent elsewhere.
        assert_eq!(group.len(), 2);
        for _ in 0..10 {
            assert_eq!(group.any(), Ok(near));
            assert_eq!(group.round_robin(), Ok(near));
        }
        let sent = group.broadcast(Add { amount: 1 });
        assert_eq!((sent.offered, sent.accepted, sent.unreachable), (2, 1, 1));
        assert!(peers.clusters[0].declare_down(cut_off).await);
        let left = next_change(&mut events).await;
        assert!(
            matches!(&left, GroupEvent::Left { member, why: Left::PeerGone } if member.id.peer == *cut_off),
            "{left:?}"
        );
        assert_eq!(group.len(), 1);
        // It learns that, and its members are back with its next life.
        cuts.mend();
        let joined = next_change(&mut events).await;
        assert!(
            matches!(&joined, GroupEvent::Joined(member) if member.id.peer == *cut_off),
            "{joined:?}"
        );
        until_members(&there, 2).await;
    });
    peers.end();
}

#[test]
fn w11_of_peers_that_register_one_name_at_once_one_has_it() {
    let peers = Peers::new(3);
    let workers: Vec<_> = (0..3).map(|at| peers.worker(at)).collect();
    peers.wait(async {
        for round in 0..30 {
            let names: Vec<_> = (0..3)
                .map(|at| peers.name(at, &format!("leader-{round}")))
                .collect();
            let (first, second, third) = tokio::join!(
                names[0].claim(workers[0]),
                names[1].claim(workers[1]),
                names[2].claim(workers[2]),
            );
            let outcomes = [first, second, third];
            let winner = outcomes.iter().position(Result::is_ok).expect("one has it");
            let epoch = outcomes[winner].clone().unwrap();
            for (at, outcome) in outcomes.iter().enumerate() {
                match outcome {
                    Ok(_) => assert_eq!(at, winner, "round {round}: {outcomes:?}"),
                    Err(NameError::Taken { holder, .. }) => {
                        assert_eq!(holder.actor.peer, *peers.clusters[winner].peer());
                        assert_eq!(holder.epoch, epoch);
                    }
                    Err(other) => panic!("round {round}: {other}"),
                }
            }
            // Whoever asks reaches it, from wherever.
            for name in &names {
                let leader = name.actor().await.unwrap();
                assert_eq!(leader.ask(Who {}).await.unwrap(), winner);
            }
        }
    });
    peers.end();
}

#[test]
fn w06_a_name_is_free_when_its_actor_has_ended_and_the_next_gets_nothing_of_its() {
    let peers = Peers::new(2);
    let (first, second) = (peers.worker(0), peers.worker(1));
    let (here, there) = (peers.name(0, "leader"), peers.name(1, "leader"));
    peers.wait(async {
        let epoch = here.claim(first).await.unwrap();
        assert_eq!(here.claim(first).await, Ok(epoch), "it has it already");
        let mut events = there.subscribe();
        let holder = until_held(&mut events, |_| true).await;
        assert_eq!(holder.epoch, epoch);
        let old = there.reference(holder).unwrap();
        assert_eq!(old.ask(Who {}).await.unwrap(), 0);
        assert!(matches!(
            there.claim(second).await,
            Err(NameError::Taken { .. })
        ));
        first.stop();
        assert_eq!(here.until_lost(epoch).await, NameEvent::Free);
        until_free(&mut events).await;
        assert!(there.claim(second).await.unwrap() > epoch);
        assert!(old.ask(Who {}).await.is_err(), "it was the first's");
        assert_eq!(here.actor().await.unwrap().ask(Who {}).await.unwrap(), 1);
        // Given back, and gone.
        assert_eq!(here.release(first).await, Ok(false));
        assert_eq!(there.release(second).await, Ok(true));
        let nobody = here.actor().await;
        assert!(
            matches!(nobody, Err(NameError::NotFound { .. })),
            "{nobody:?}"
        );
    });
    peers.end();
}

#[test]
fn h06_a_holder_that_was_declared_down_hears_of_it_and_the_next_has_a_greater_epoch() {
    let peers = Peers::new(3);
    let (old, new) = (peers.worker(1), peers.worker(0));
    let (here, there) = (peers.name(0, "leader"), peers.name(1, "leader"));
    peers.wait(async {
        let epoch = there.claim(old).await.unwrap();
        let former = peers.clusters[1].incarnation().unwrap();
        let mut heard = there.subscribe();
        let own = until_held(&mut heard, |_| true).await;
        assert_eq!(own.epoch, epoch);
        let mut events = here.subscribe();
        until_held(&mut events, |holder| holder.epoch == epoch).await;

        assert!(
            peers.clusters[0]
                .declare_down(peers.clusters[1].peer())
                .await
        );
        until_free(&mut events).await;
        let next = here.claim(new).await.unwrap();
        assert!(next > epoch);
        // Whoever had it hears that it has it no longer, and in the end who has.
        let lost = heard.next().await;
        assert_ne!(lost, NameEvent::Held(own));
        if lost == NameEvent::Unknown || lost == NameEvent::Free {
            until_held(&mut heard, |holder| holder.epoch == next).await;
        }
        assert!(peers.clusters[1].incarnation().unwrap() > former);
        let taken = there.claim(old).await;
        assert!(
            matches!(&taken, Err(NameError::Taken { holder, .. }) if holder.epoch == next),
            "{taken:?}"
        );
        let leader = there.actor().await.unwrap();
        assert_eq!(leader.ask(Who {}).await.unwrap(), 0);
    });
    peers.end();
}

#[test]
fn b01_a_side_without_a_majority_gives_no_names_and_the_other_does() {
    let (peers, cuts) = Peers::behind_relays(3);
    let workers: Vec<_> = (0..3).map(|at| peers.worker(at)).collect();
    peers.wait(async {
        until_vote(3, &peers.clusters).await;
        let old = peers.name(2, "old");
        let epoch = surely(|| old.claim(workers[2])).await.unwrap();
        cuts.isolate(peers.clusters[2].peer().as_str());
        // The smaller side finds nothing and gives nothing, whoever led before.
        let (few, many) = (peers.name(2, "new"), peers.name(0, "new"));
        for _ in 0..2 {
            let refused = few.claim(workers[2]).await;
            assert!(is_no_answer(&refused), "{refused:?}");
            let unseen = old.holder().await;
            assert!(is_no_answer(&unseen), "{unseen:?}");
        }
        let new = surely(|| many.claim(workers[0])).await.unwrap();
        // Unreachable is not down: it has its name still.
        let kept = peers.name(1, "old");
        let holder = surely(|| kept.holder()).await.unwrap();
        assert_eq!(
            (holder.epoch, &holder.actor.peer),
            (epoch, peers.clusters[2].peer())
        );
        cuts.mend();
        // Mended, all know the same, and nobody was ended.
        let taken = surely(|| few.claim(workers[2])).await;
        assert!(
            matches!(&taken, Err(NameError::Taken { holder, .. }) if holder.epoch == new),
            "{taken:?}"
        );
        assert_eq!(surely(|| old.claim(workers[2])).await, Ok(epoch));
        let leader = surely(|| few.actor()).await.unwrap();
        assert_eq!(leader.ask(Who {}).await.unwrap(), 0);
    });
    peers.end();
}

#[test]
fn h06_of_a_holder_on_each_side_of_a_cut_one_remains_and_the_other_hears_of_it() {
    let (peers, cuts) = Peers::behind_relays(3);
    let (old, new) = (peers.worker(2), peers.worker(0));
    peers.wait(async {
        until_vote(3, &peers.clusters).await;
        let (here, there) = (peers.name(0, "leader"), peers.name(2, "leader"));
        let epoch = surely(|| there.claim(old)).await.unwrap();
        let mut heard = there.subscribe();
        let own = until_held(&mut heard, |_| true).await;
        assert_eq!(own.epoch, epoch);
        let cut_off = peers.clusters[2].peer();
        let former = peers.clusters[2].incarnation().unwrap();
        cuts.isolate(cut_off.as_str());
        assert!(peers.clusters[0].declare_down(cut_off).await);
        let next = loop {
            match surely(|| here.claim(new)).await {
                Ok(epoch) => break epoch,
                // The others have not agreed yet that it is down.
                Err(NameError::Taken { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        };
        // Two believe that they have it: this is what the epoch is for.
        assert!(next > epoch);
        assert_eq!(there.last_heard(), Some(own));
        cuts.mend();
        let lost = there.until_lost(epoch).await;
        assert!(
            match &lost {
                NameEvent::Held(holder) => holder.epoch == next,
                lost => *lost == NameEvent::Unknown,
            },
            "{lost:?}"
        );
        until_held(&mut heard, |holder| holder.epoch == next).await;
        assert!(peers.clusters[2].incarnation().unwrap() > former);
        let taken = surely(|| there.claim(old)).await;
        assert!(
            matches!(&taken, Err(NameError::Taken { holder, .. }) if holder.epoch == next),
            "{taken:?}"
        );
    });
    peers.end();
}

fn is_no_answer<T>(outcome: &Result<T, NameError>) -> bool {
    matches!(outcome, Err(NameError::NoMajority | NameError::Unknown))
}

/// Asked until there is an answer: with half a second for each a slow machine may need several, and so may a side
/// that has lost its leader.
async fn surely<T, F>(mut ask: impl FnMut() -> F) -> Result<T, NameError>
where
    F: Future<Output = Result<T, NameError>>,
{
    loop {
        match ask().await {
            Err(NameError::NoMajority | NameError::Unknown | NameError::NotAMember) => {}
            answer => return answer,
        }
    }
}

#[test]
fn one_peer_alone_uses_groups_and_names_at_once() {
    let system = system();
    system.block_on(async {
        let cluster = Cluster::builder(system.handle(), "alone")
            .start()
            .await
            .unwrap();
        let worker = system.spawn(Worker { peer: 0, sum: 0 }).unwrap();
        let names = cluster.names();
        names.register("leader", worker).await.unwrap();
        assert_eq!(names.lookup::<Worker>("leader").await, Ok(worker));
        assert_eq!(names.list().len(), 1);
        let wrong = names.lookup::<Other>("leader").await;
        assert!(
            matches!(wrong, Err(NameError::WrongType { .. })),
            "{wrong:?}"
        );
        for text in ["", "a\nb", &"x".repeat(256)] {
            let wrong = names.register(text, worker).await;
            assert!(matches!(wrong, Err(NameError::Name(_))), "{wrong:?}");
            assert!(cluster.groups().join(text, worker).is_err());
        }
        let groups = cluster.groups();
        groups.join("workers", worker).unwrap();
        let group = groups.group::<Worker>("workers").unwrap();
        group.tell_nearest(Add { amount: 3 }).unwrap();
        assert_eq!(worker.ask(Sum {}).await.unwrap(), 3);

        // Without a cluster its own are still there, and names are nobody's.
        let mut events = names.name::<Worker>("leader").unwrap().subscribe();
        assert!(matches!(events.next().await, NameEvent::Held(_)));
        cluster.leave(GRACE).await;
        while events.next().await != NameEvent::Unknown {}
        assert_eq!(group.any(), Ok(worker));
        let refused = names.register("leader", worker).await;
        assert_eq!(refused, Err(NameError::NotAMember));
        assert!(names.list().is_empty());
        assert!(groups.leave("workers", worker));
        assert!(!groups.leave("workers", worker));
    });
    finish(system);
}

#[derive(Actor)]
struct Other;
