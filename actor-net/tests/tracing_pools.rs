//! One trace over pools whose members live on several peers: groups, and entities behind their routers. The spans are
//! read back from all peers and put together, as a collector would: each has its parent among them, whoever picked
//! the worker.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{SpanId, SpanKind, SpanRecord, TraceContext};
use actor_net::cluster::{Cluster, Seeds};
use actor_net::registry::Group;
use actor_net::remote::Exports;
use actor_net::sharding::{Entity, EntityRef};
use serde::{Deserialize, Serialize};

use self::cluster_kit::{PATIENCE, finish, system};

mod cluster_kit;

const GRACE: Duration = Duration::from_secs(60);
const SHARDS: usize = 16;

/// Does its part of a job, and tells its neighbour of it.
#[derive(Actor)]
struct Worker {
    peer: String,
    log: ActorRef<Log>,
}

#[derive(Clone, Message, Serialize, Deserialize)]
#[message(remote = "test.job", reply = String)]
struct Job {}

impl SyncHandler<Job> for Worker {
    fn handle(&mut self, _: Job, _cx: &mut ActorContext<Self>) -> String {
        self.log.tell(Note {}).expect("it lives");
        self.peer.clone()
    }
}

#[derive(Actor)]
struct Log;

#[derive(Message)]
struct Note {}

impl SyncHandler<Note> for Log {
    fn handle(&mut self, _: Note, _cx: &mut ActorContext<Self>) {}
}

struct Peer {
    system: ActorSystem,
    cluster: Cluster,
}

impl Peer {
    fn start(name: &str, seeds: Seeds) -> Self {
        let system = system();
        let log = system.spawn(Log).unwrap();
        let of = name.to_owned();
        let made = move |_: &_| Worker {
            peer: of.clone(),
            log,
        };
        let entity = Entity::new("worker", made)
            .shards(SHARDS as u16)
            .patience(PATIENCE);
        let cluster = Cluster::builder(system.handle(), "pools")
            .peer(name)
            .exports(Exports::new().handles::<Worker, Job>())
            .entity(entity.handles::<Job>())
            .seeds(seeds);
        let cluster = system.block_on(cluster.start()).unwrap();
        Self { system, cluster }
    }

    /// Two that know each other.
    fn pair() -> [Self; 2] {
        let one = Self::start("one", Seeds::none());
        let seeds = Seeds::none().endpoint(one.cluster.local_addr().into());
        let two = Self::start("two", seeds);
        for peer in [&one, &two] {
            let up = peer.cluster.until_up(2, PATIENCE);
            peer.system.block_on(up).unwrap();
        }
        [one, two]
    }

    fn worker(&self) -> Worker {
        Worker {
            peer: self.cluster.peer().to_string(),
            log: self.system.spawn(Log).unwrap(),
        }
    }
}

fn end(peers: [Peer; 2]) {
    for peer in peers.iter().rev() {
        peer.system.block_on(peer.cluster.leave(GRACE));
    }
    for peer in peers {
        finish(peer.system);
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < patience, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(2));
    }
}

type Spans = HashMap<SpanId, SpanRecord>;

/// A trace as all peers have it together.
struct Whole {
    root: SpanId,
    spans: Spans,
}

impl Whole {
    /// When so many spans of it have ended.
    fn of(peers: &[Peer], root: &TraceContext, spans: usize) -> Self {
        let whole = Self::when(peers, root, |found| found.len() >= spans);
        assert_eq!(whole.spans.len(), spans, "{:#?}", whole.spans);
        whole
    }

    /// When these are all that there are.
    fn when(peers: &[Peer], root: &TraceContext, mut all: impl FnMut(&Spans) -> bool) -> Self {
        let mut found = HashMap::new();
        until("all of the trace", || {
            let traces = peers
                .iter()
                .filter_map(|peer| peer.system.trace(root.trace_id()));
            let spans = traces.flat_map(|trace| trace.spans);
            found = spans
                .map(|span| (span.span_id(), (*span).clone()))
                .collect();
            all(&found)
        });
        for span in found.values() {
            assert_eq!(span.trace_id(), root.trace_id());
            assert!(!span.is_error(), "{span:#?}");
            assert!(
                way_to(&found, root.span_id(), span).is_some(),
                "{span:#?} hangs in the air"
            );
        }
        Self {
            root: root.span_id(),
            spans: found,
        }
    }

    /// Kinds of what handlers of this message are below, from the root down to each of them.
    fn ways_to(&self, message: &str) -> Vec<Vec<SpanKind>> {
        let handled = self
            .spans
            .values()
            .filter(|span| span.kind == SpanKind::Handle && span.message.ends_with(message));
        let ways = handled.map(|span| way_to(&self.spans, self.root, span));
        let mut ways: Vec<_> = ways.map(|way| way.expect("looked at")).collect();
        ways.sort_by_key(Vec::len);
        ways
    }
}

/// The kinds from the root down to that span; `None`: one of them is not there.
fn way_to(spans: &Spans, root: SpanId, span: &SpanRecord) -> Option<Vec<SpanKind>> {
    let mut way = vec![span.kind];
    let mut parent = span.parent?;
    while parent != root {
        let span = spans.get(&parent)?;
        way.push(span.kind);
        parent = span.parent?;
    }
    way.reverse();
    Some(way)
}

/// A trace of its own.
fn traced() -> (TraceContext, Context) {
    let root = TraceContext::new_root(true);
    (root.clone(), Context::empty().with_trace(root))
}

#[test]
fn a_trace_goes_over_a_group_to_members_on_all_peers() {
    use SpanKind::{Ask, Forward, Handle};
    let peers = Peer::pair();
    let groups: Vec<Group<Worker>> = peers
        .iter()
        .map(|peer| peer.cluster.groups().group("workers").unwrap())
        .collect();
    for (peer, group) in peers.iter().zip(&groups) {
        for _ in 0..2 {
            let worker = peer.system.spawn(peer.worker()).unwrap();
            group.join(worker).unwrap();
        }
    }
    for group in &groups {
        until("all members", || group.len() == 4);
    }
    // Picked one after the other: what is on the same peer is handled, what is not goes out first.
    let mut reached = [0, 0];
    for _ in 0..4 {
        let (root, context) = traced();
        let worker = groups[0].round_robin().unwrap();
        let asked = worker.ask(Job {}).context(context).blocking().unwrap();
        let (at, way) = match asked.as_str() {
            "one" => (0, vec![Ask, Handle]),
            _ => (1, vec![Ask, Forward, Handle]),
        };
        reached[at] += 1;
        let whole = Whole::of(&peers, &root, way.len() + 1);
        assert_eq!(whole.ways_to("Job"), std::slice::from_ref(&way));
        let told = [way, vec![Handle]].concat();
        assert_eq!(whole.ways_to("Note"), [told]);
    }
    assert_eq!(reached, [2, 2]);
    // All at once, in one trace: four workers, two of them a way further, and what each has told.
    let (root, context) = traced();
    let sent = context.run(|| groups[0].broadcast(Job {}));
    assert_eq!((sent.offered, sent.accepted), (4, 4));
    let whole = Whole::of(&peers, &root, 4 + 2 + 4);
    let (near, far) = (vec![Handle], vec![Forward, Handle]);
    let ways = [near.clone(), near, far.clone(), far];
    assert_eq!(whole.ways_to("Job"), ways);
    let told = ways.map(|way| [way, vec![Handle]].concat());
    assert_eq!(whole.ways_to("Note"), told);
    end(peers);
}

/// From what an entity has told up to what was sent by the root: the entity, its router, and for each hop between peers
/// the way out and the router before it. Hops: one, if the entity is elsewhere, and more while shards move.
fn hops_of(way: &[SpanKind], first: &[SpanKind]) -> usize {
    use SpanKind::{Forward, Handle};
    let rest = way
        .strip_prefix(first)
        .and_then(|way| way.strip_prefix(&[Handle]));
    let rest = rest.and_then(|way| way.strip_suffix(&[Handle, Handle]));
    let hops = rest.unwrap_or_else(|| panic!("{way:?}"));
    assert!(
        hops.chunks(2).all(|hop| hop == [Forward, Handle]),
        "{way:?}"
    );
    hops.len() / 2
}

#[test]
fn a_trace_goes_by_the_routers_to_entities_wherever_they_are() {
    let peers = Peer::pair();
    until("an even share for each", || {
        peers.iter().all(|peer| {
            let kinds = peer.system.block_on(peer.cluster.entities());
            kinds.iter().any(|kind| kind.shards == SHARDS / 2)
        })
    });
    // Who makes an entity does it in the trace of the message, or by itself when it hears that the shard is its.
    let no_hook = |span: &&SpanRecord| span.kind != SpanKind::Started;
    let follow = |root: &TraceContext, first: &[SpanKind]| {
        let told = |span: &&SpanRecord| span.message.ends_with("Note");
        let mut hops = None;
        let whole = Whole::when(&peers, root, |found| {
            let told = found.values().find(told);
            let way = told.and_then(|told| way_to(found, root.span_id(), told));
            hops = way.map(|way| (hops_of(&way, first), way.len()));
            hops.is_some()
        });
        let (hops, spans) = hops.expect("waited for");
        let messages = whole.spans.values().filter(no_hook).count();
        assert_eq!(messages, spans, "no other: {:#?}", whole.spans);
        hops
    };
    let mut reached = [0, 0];
    // Enough keys for both peers, each twice: what comes before its entity is there is kept meanwhile.
    for key in 0..40_u32 {
        let entity: EntityRef<Worker> = peers[0].cluster.entity(key).unwrap();
        for _ in 0..2 {
            let (root, context) = traced();
            let asked = entity.ask(Job {}).context(context).within(PATIENCE);
            let is_far = asked.blocking().unwrap() != "one";
            let hops = follow(&root, &[SpanKind::Ask]);
            assert!(hops > 0 || !is_far, "{hops} hops, {is_far}");
            reached[usize::from(is_far)] += 1;
        }
        let (root, context) = traced();
        context.run(|| entity.tell(Job {})).unwrap();
        follow(&root, &[]);
    }
    assert!(reached.iter().all(|times| *times > 0), "{reached:?}");
    end(peers);
}
