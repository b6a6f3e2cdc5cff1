//! Messages between NUMA nodes keep every promise, whichever way they go: straight or by batch lane.
//!
//! On a machine with one NUMA node, one with two is pretended; `ACTOR_TOPOLOGY=4x1` makes it four.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::testkit::Simulation;
use actor_core::topology::Topology;
use actor_core::{
    CrossNumaStealing, LaneStats, Lanes, NumaNodeId, Overflow, Restart, SendError, StopMode,
    SystemRef, Terminated,
};
use common::*;

/// A system on several NUMA nodes.
fn several(lanes: Lanes) -> ActorSystem {
    on_several(lanes, false)
}

fn on_several(lanes: Lanes, is_counted: bool) -> ActorSystem {
    let mut topology = Topology::detect().unwrap();
    if topology.numa_nodes().len() < 2 {
        topology = Topology::pretend("2x2").unwrap();
    }
    ActorSystem::builder()
        .topology(topology)
        .lanes(lanes)
        // A thief far away would send from there.
        .cross_numa_stealing(if is_counted {
            CrossNumaStealing::Never
        } else {
            CrossNumaStealing::WhenIdle
        })
        .build()
        .unwrap()
}

/// A system in which it shows who sends from where.
fn counted(lanes: Lanes) -> ActorSystem {
    on_several(lanes, true)
}

fn by_lane(system: &SystemRef) -> u64 {
    system.stats().lanes.iter().map(|lane| lane.by_lane).sum()
}

/// Checks that each sender's numbers come in order and without a gap, over all its lives.
struct Sink(Arc<Log>);

struct Log {
    last: Vec<AtomicU64>,
    notices: AtomicUsize,
    wrong: AtomicUsize,
}

impl Log {
    fn new(senders: usize) -> Arc<Self> {
        Arc::new(Self {
            last: (0..senders).map(|_| AtomicU64::new(0)).collect(),
            notices: AtomicUsize::new(0),
            wrong: AtomicUsize::new(0),
        })
    }

    fn sum(&self) -> u64 {
        self.last
            .iter()
            .map(|last| last.load(Ordering::SeqCst))
            .sum()
    }
}

impl Actor for Sink {
    async fn terminated(&mut self, _: Terminated, _cx: &mut ActorContext<Self>) {
        self.0.notices.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Copy)]
struct Number {
    from: usize,
    number: u64,
    panics: bool,
}
impl Message for Number {
    type Reply = ();
}
impl SyncHandler<Number> for Sink {
    fn handle(&mut self, message: Number, _cx: &mut ActorContext<Self>) {
        let Number {
            from,
            number,
            panics,
        } = message;
        let before = self.0.last[from].swap(number, Ordering::SeqCst);
        if before + 1 != number {
            self.0.wrong.fetch_add(1, Ordering::SeqCst);
        }
        assert!(!panics, "on purpose");
    }
}

struct Sum;
impl Message for Sum {
    type Reply = u64;
}
impl SyncHandler<Sum> for Sink {
    fn handle(&mut self, Sum: Sum, _cx: &mut ActorContext<Self>) -> u64 {
        self.0.sum()
    }
}

struct Watch(ActorRef<Source>);
impl Message for Watch {
    type Reply = ();
}
impl SyncHandler<Watch> for Sink {
    fn handle(&mut self, Watch(actor): Watch, cx: &mut ActorContext<Self>) {
        cx.watch(actor);
    }
}

/// Sends numbers to sinks.
struct Source {
    from: usize,
    sinks: Vec<ActorRef<Sink>>,
    next: u64,
    /// One number in so many makes the sink panic; 0: none.
    panics_every: u64,
}
impl Actor for Source {}

/// So many numbers to each sink, some per turn.
#[derive(Clone, Copy)]
struct Go {
    until: u64,
    per_turn: u64,
}
impl Message for Go {
    type Reply = ();
}
impl SyncHandler<Go> for Source {
    fn handle(&mut self, go: Go, cx: &mut ActorContext<Self>) {
        for _ in 0..go.per_turn {
            if self.next > go.until {
                return;
            }
            let message = Number {
                from: self.from,
                number: self.next,
                panics: self.panics_every > 0 && self.next.is_multiple_of(self.panics_every),
            };
            for sink in &self.sinks {
                sink.tell(message).unwrap();
            }
            self.next += 1;
        }
        cx.actor_ref().tell(go).unwrap();
    }
}

/// As `Go`, all at once; the answer comes afterwards.
struct Burst(u64);
impl Message for Burst {
    type Reply = ();
}
impl SyncHandler<Burst> for Source {
    fn handle(&mut self, Burst(count): Burst, _cx: &mut ActorContext<Self>) {
        for _ in 0..count {
            let message = Number {
                from: self.from,
                number: self.next,
                panics: false,
            };
            for sink in &self.sinks {
                sink.tell(message).unwrap();
            }
            self.next += 1;
        }
    }
}

/// A burst, and then the end in that way: of the sink, or of the source itself.
struct BurstAndStop(u64, Option<StopMode>);
impl Message for BurstAndStop {
    type Reply = ();
}
impl SyncHandler<BurstAndStop> for Source {
    fn handle(&mut self, message: BurstAndStop, cx: &mut ActorContext<Self>) {
        let BurstAndStop(count, of_sink) = message;
        SyncHandler::handle(self, Burst(count), cx);
        match of_sink {
            Some(mode) => self.sinks.iter().for_each(|sink| sink.stop_with(mode)),
            None => cx.stop(),
        }
    }
}

/// A burst, and then a question to the same sink.
struct BurstAndAsk(u64);
impl Message for BurstAndAsk {
    type Reply = u64;
}
impl Handler<BurstAndAsk> for Source {
    async fn handle(
        &mut self,
        BurstAndAsk(count): BurstAndAsk,
        cx: &mut ActorContext<Self>,
    ) -> u64 {
        SyncHandler::handle(self, Burst(count), cx);
        self.sinks[0].ask(Sum).await.unwrap()
    }
}

fn source(from: usize, sinks: Vec<ActorRef<Sink>>) -> Source {
    Source {
        from,
        sinks,
        next: 1,
        panics_every: 0,
    }
}

/// A sink on the last NUMA node and a source on the first.
fn apart(system: &SystemRef, mailbox: Mailbox) -> (Arc<Log>, ActorRef<Sink>, ActorRef<Source>) {
    let log = Log::new(1);
    let nodes = system.numa_nodes();
    let (first, last) = (nodes[0], nodes[nodes.len() - 1]);
    let sink = system.actor(Sink(log.clone())).mailbox(mailbox);
    let sink = sink.placement(Placement::Node(last)).spawn().unwrap();
    let source = system.actor(source(0, vec![sink]));
    let source = source.placement(Placement::Node(first)).spawn().unwrap();
    (log, sink, source)
}

/// Everybody to everybody, while the sinks panic and are restarted and all move about.
fn storm(lanes: Lanes, moves: bool) {
    const SOURCES: usize = 8;
    const SINKS: usize = 4;
    const EACH: u64 = 600;
    std::panic::set_hook(Box::new(|_| {}));
    let system = several(lanes);
    let nodes = system.numa_nodes();
    let logs: Vec<_> = (0..SINKS).map(|_| Log::new(SOURCES)).collect();
    let sinks: Vec<ActorRef<Sink>> = logs
        .iter()
        .map(|log| {
            let log = log.clone();
            let sink = system.actor(move || Sink(log.clone()));
            let sink = sink.mailbox(Mailbox::unbounded());
            let sink = sink.restart(Restart::Permanent);
            sink.placement(Placement::Spread).spawn().unwrap()
        })
        .collect();
    let sources: Vec<ActorRef<Source>> = (0..SOURCES)
        .map(|from| {
            let source = Source {
                // Few: each is a restart of every sink.
                panics_every: if from == 0 { 300 } else { 0 },
                ..source(from, sinks.clone())
            };
            let source = system.actor(source);
            source.placement(Placement::Spread).spawn().unwrap()
        })
        .collect();
    let done = Arc::new(AtomicBool::new(false));
    let mover = std::thread::spawn({
        let (done, sinks, sources) = (done.clone(), sinks.clone(), sources.clone());
        move || {
            let mut shake = Shake::new(7);
            while moves && !done.load(Ordering::SeqCst) {
                let node = nodes[shake.below(nodes.len() as u64) as usize];
                if shake.below(2) == 0 {
                    sinks[shake.below(SINKS as u64) as usize]
                        .move_to(node)
                        .unwrap();
                } else {
                    sources[shake.below(SOURCES as u64) as usize]
                        .move_to(node)
                        .unwrap();
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    });
    for (i, source) in sources.iter().enumerate() {
        let per_turn = [1, 3, 40][i % 3];
        source
            .tell(Go {
                until: EACH,
                per_turn,
            })
            .unwrap();
    }
    settle(&system);
    done.store(true, Ordering::SeqCst);
    mover.join().unwrap();
    for log in &logs {
        assert_eq!(log.wrong.load(Ordering::SeqCst), 0, "out of order or lost");
        assert_eq!(log.sum(), SOURCES as u64 * EACH);
    }
    if lanes == Lanes::Always && !moves {
        assert!(by_lane(&system) > 0, "{:?}", system.stats().lanes);
    }
    if lanes == Lanes::Off {
        assert!(system.stats().lanes.is_empty());
    }
    finish(system);
}

#[test]
fn order_and_books_hold_in_a_storm_by_lane() {
    storm(Lanes::Always, false);
}

#[test]
fn order_and_books_hold_in_a_storm_by_lane_with_moves() {
    storm(Lanes::Always, true);
}

#[test]
fn order_and_books_hold_in_a_storm_with_moves_as_it_comes() {
    storm(Lanes::Auto, true);
}

#[test]
fn order_and_books_hold_in_a_storm_without_lanes() {
    storm(Lanes::Off, true);
}

#[test]
fn a_drain_does_not_overtake_what_its_sender_told_before() {
    for _ in 0..20 {
        let system = several(Lanes::Always);
        let (log, sink, source) = apart(&system, Mailbox::unbounded());
        let stop = BurstAndStop(100, Some(StopMode::Drain));
        source.ask_blocking(stop).unwrap();
        wait_until("it has drained", || !sink.is_alive());
        assert_eq!((log.sum(), log.wrong.load(Ordering::SeqCst)), (100, 0));
        finish(system);
    }
}

#[test]
fn the_notice_of_an_end_comes_after_the_last_words() {
    let system = several(Lanes::Always);
    for _ in 0..50 {
        let (log, sink, source) = apart(&system, Mailbox::unbounded());
        sink.ask_blocking(Watch(source)).unwrap();
        source.ask_blocking(BurstAndStop(64, None)).unwrap();
        wait_until("the notice", || log.notices.load(Ordering::SeqCst) == 1);
        assert_eq!((log.sum(), log.wrong.load(Ordering::SeqCst)), (64, 0));
    }
    finish(system);
}

#[test]
fn who_asks_hears_of_all_that_was_told_before() {
    let system = several(Lanes::Always);
    for _ in 0..50 {
        let (_log, sink, source) = apart(&system, Mailbox::unbounded());
        assert_eq!(source.ask_blocking(BurstAndAsk(80)).unwrap(), 80);
        source.ask_blocking(Burst(80)).unwrap();
        // From a thread, which is told by the source that all is sent.
        assert_eq!(sink.ask_blocking(Sum).unwrap(), 160);
    }
    assert!(by_lane(&system) > 0);
    finish(system);
}

#[test]
fn what_is_for_an_actor_that_is_gone_becomes_a_dead_letter() {
    for _ in 0..20 {
        let system = several(Lanes::Always);
        let (log, sink, source) = apart(&system, Mailbox::unbounded());
        source
            .ask_blocking(BurstAndStop(100, Some(StopMode::Kill)))
            .unwrap();
        wait_until("it has stopped", || !sink.is_alive());
        let books = finish(system);
        assert_eq!(log.sum() + books.dead_letters.total(), 100);
    }
}

/// Keeps its sink's worker free and the sink busy.
struct Hold(tokio::sync::oneshot::Receiver<()>);
impl Message for Hold {
    type Reply = ();
}
impl Handler<Hold> for Sink {
    async fn handle(&mut self, Hold(end): Hold, _cx: &mut ActorContext<Self>) {
        // Ended either way.
        let _ = end.await;
    }
}

/// As many as go in.
struct Fill(u64);
impl Message for Fill {
    type Reply = u64;
}
impl SyncHandler<Fill> for Source {
    fn handle(&mut self, Fill(tries): Fill, _cx: &mut ActorContext<Self>) -> u64 {
        let mut accepted = 0;
        for _ in 0..tries {
            let message = Number {
                from: self.from,
                number: self.next,
                panics: false,
            };
            match self.sinks[0].tell(message) {
                Ok(()) => {
                    accepted += 1;
                    self.next += 1;
                }
                Err(SendError::Full { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        accepted
    }
}

#[test]
fn a_bound_holds_and_full_is_told_at_it() {
    let system = several(Lanes::Always);
    for bound in [1, 8, 300, 1024] {
        let mailbox = Mailbox::bounded(bound).overflow(Overflow::Reject);
        let (log, sink, source) = apart(&system, mailbox);
        let (end, ended) = tokio::sync::oneshot::channel();
        let held = {
            let _entered = system.tokio().enter();
            tokio::spawn(sink.ask(Hold(ended)).into_future())
        };
        wait_until("the handler waits", || {
            let seen = system.inspect_blocking(sink.id(), PATIENCE).unwrap();
            seen.handling.is_some()
        });
        // One sender at one mailbox: nobody else fills it in between, so the bound is exact.
        assert_eq!(source.ask_blocking(Fill(2000)).unwrap(), bound as u64);
        drop(end);
        system.block_on(held).unwrap().unwrap();
        // Full until the first of them is handled; what is asked then comes behind them all.
        let mut sum = None;
        wait_until("there is room to ask", || {
            sum = sink.ask_blocking(Sum).ok();
            sum.is_some()
        });
        assert_eq!(sum, Some(bound as u64));
        assert_eq!(log.wrong.load(Ordering::SeqCst), 0);
    }
    finish(system);
}

#[test]
fn what_lies_on_a_lane_at_the_end_has_a_fate() {
    // Few: a system that has ended keeps two or three files open for each of its NUMA nodes.
    for round in 0..6 {
        let system = several(Lanes::Always);
        let (_log, _sink, source) = apart(&system, Mailbox::unbounded());
        let books = system.handle();
        source
            .tell(Go {
                until: 100_000,
                per_turn: 50,
            })
            .unwrap();
        if round % 2 == 0 {
            drop(system);
        } else {
            let report = system.shutdown_blocking(Duration::ZERO);
            assert!(report.conservation.holds_at_rest(), "{report}");
        }
        let books = books.stats().messages;
        assert!(books.holds_at_rest(), "{books}");
    }
}

#[test]
fn a_lone_message_goes_straight_and_a_burst_by_lane() {
    let system = counted(Lanes::Auto);
    let (_log, sink, source) = apart(&system, Mailbox::default());
    for _ in 0..100 {
        source.ask_blocking(Burst(1)).unwrap();
        // Until it is idle again.
        sink.ask_blocking(Sum).unwrap();
        settle(&system);
    }
    let lone = one(&system);
    assert_eq!(lone.direct, 100);
    assert_eq!(lone.by_lane, 0, "{lone:?}");
    source.ask_blocking(Burst(100)).unwrap();
    let burst = one(&system);
    assert!(burst.by_lane > 0, "{burst:?}");
    assert_eq!(burst.direct + burst.by_lane, 200);
    finish(system);
}

/// The one lane that anything was sent on.
fn one(system: &SystemRef) -> LaneStats {
    let lanes = system.stats().lanes;
    assert_eq!(lanes.len(), 1, "{lanes:?}");
    lanes[0]
}

/// 64 senders on all NUMA nodes but the last tell one actor there.
fn fan_in(system: &SystemRef, each: u64, per_turn: u64) -> Arc<Log> {
    const SENDERS: usize = 64;
    let nodes = system.numa_nodes();
    let (last, others) = nodes.split_last().unwrap();
    let log = Log::new(SENDERS);
    let sink = system
        .actor(Sink(log.clone()))
        .mailbox(Mailbox::unbounded());
    let sink = sink.placement(Placement::Node(*last)).spawn().unwrap();
    for from in 0..SENDERS {
        let source = system.actor(source(from, vec![sink]));
        let at = Placement::Node(others[from % others.len()]);
        let source = source.placement(at).spawn().unwrap();
        let until = each;
        source.tell(Go { until, per_turn }).unwrap();
    }
    log
}

fn gain(system: &SystemRef) -> f64 {
    let lanes = system.stats().lanes;
    let now: u64 = lanes.iter().map(LaneStats::line_transfers).sum();
    let direct: u64 = lanes
        .iter()
        .map(|lane| 2 * (lane.direct + lane.by_lane))
        .sum();
    direct as f64 / now as f64
}

#[test]
fn a_storm_of_64_senders_comes_in_order_and_is_counted() {
    for lanes in [Lanes::Always, Lanes::Auto] {
        for per_turn in [1, 16] {
            let system = counted(lanes);
            let log = fan_in(&system, 200, per_turn);
            settle(&system);
            assert_eq!(log.wrong.load(Ordering::SeqCst), 0);
            assert_eq!(log.sum(), 64 * 200);
            let all: u64 = system
                .stats()
                .lanes
                .iter()
                .map(|lane| lane.direct + lane.by_lane)
                .sum();
            assert_eq!(all, 64 * 200);
            // How much is gained depends on the machine; the simulation says what it is at least.
            println!("{lanes:?}, {per_turn} per turn: gain {:.1}", gain(&system));
            finish(system);
        }
    }
}

#[test]
fn in_simulation_a_storm_of_64_senders_moves_less_than_a_fifth_of_the_lines() {
    for (numa_nodes, per_turn) in [(2, 1), (2, 16), (4, 1), (4, 16), (8, 16)] {
        let builder = Simulation::builder(1).numa_nodes(numa_nodes);
        let simulation = builder.lanes(Lanes::Auto).build().unwrap();
        let log = fan_in(&simulation.system(), 100, per_turn);
        simulation.run_until_idle();
        assert_eq!(log.wrong.load(Ordering::SeqCst), 0);
        assert_eq!(log.sum(), 6400);
        let gain = gain(&simulation.system());
        println!("{numa_nodes} NUMA nodes, {per_turn} per turn: gain {gain:.1}");
        assert!(gain >= 5.0, "{gain:.1}");
        assert!(simulation.shutdown(PATIENCE).conservation.holds_at_rest());
    }
}

#[test]
fn in_simulation_order_holds_for_any_schedule_with_moves() {
    for seed in 0..60 {
        let builder = Simulation::builder(seed).numa_nodes(3);
        let lanes = if seed % 2 == 0 {
            Lanes::Always
        } else {
            Lanes::Auto
        };
        let simulation = builder.lanes(lanes).build().unwrap();
        let system = simulation.system();
        let nodes = system.numa_nodes();
        let mut shake = Shake::new(seed);
        let logs: Vec<_> = (0..3).map(|_| Log::new(6)).collect();
        let sinks: Vec<_> = logs
            .iter()
            .map(|log| {
                let sink = system
                    .actor(Sink(log.clone()))
                    .mailbox(Mailbox::unbounded());
                sink.placement(Placement::Spread).spawn().unwrap()
            })
            .collect();
        let sources: Vec<_> = (0..6)
            .map(|from| {
                let source = system.actor(source(from, sinks.clone()));
                source.placement(Placement::Spread).spawn().unwrap()
            })
            .collect();
        for round in 1..=20 {
            for source in &sources {
                let per_turn = 1 + shake.below(4);
                let until = round * 5;
                source.tell(Go { until, per_turn }).unwrap();
            }
            let node = nodes[shake.below(3) as usize];
            if shake.below(2) == 0 {
                sinks[shake.below(3) as usize].move_to(node).unwrap();
            } else {
                sources[shake.below(6) as usize].move_to(node).unwrap();
            }
            if shake.below(3) > 0 {
                simulation.run_until_idle();
            }
        }
        simulation.run_until_idle();
        for log in &logs {
            assert_eq!(log.wrong.load(Ordering::SeqCst), 0, "seed {seed}");
            assert_eq!(log.sum(), 600, "seed {seed}");
        }
        assert!(simulation.shutdown(PATIENCE).conservation.holds_at_rest());
    }
}

#[test]
fn one_numa_node_has_no_lanes() {
    let system = ActorSystem::builder()
        .topology(Topology::pretend("1x2").unwrap())
        .lanes(Lanes::Always)
        .build()
        .unwrap();
    assert!(system.stats().lanes.is_empty());
    assert_eq!(system.numa_nodes(), [NumaNodeId(0)]);
    finish(system);
}
