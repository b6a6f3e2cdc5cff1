//! A storm between NUMA nodes while actors move: random moves by hand against a restless balancer, short
//! lives in between. Order per (sender, target) and the books hold, and memory stays where it belongs.
//!
//! On a machine with one NUMA node it is a storm without moves. `tools/numa-test` runs it in emulated
//! machines with several, and CI over pretended ones (`ACTOR_TOPOLOGY=4x1`, `8x2`).

mod common;
mod fallback;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{Balancing, Conservation, NumaNodeId, StopMode, SystemRef};
use common::*;

/// Bursts of one sender, and messages in a burst.
const BURSTS: u64 = if cfg!(debug_assertions) { 12 } else { 60 };
const BURST: u64 = 100;

/// What went wrong, in words: a panic in a handler would be supervised away.
#[derive(Clone, Default)]
struct Faults(Arc<std::sync::Mutex<Vec<String>>>);

impl Faults {
    fn note(&self, fault: String) {
        let mut faults = self.0.lock().unwrap();
        if faults.len() < 20 {
            faults.push(fault);
        }
    }

    #[track_caller]
    fn none(&self) {
        let faults = self.0.lock().unwrap();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

/// Checks that every sender's messages come in order and none is missing.
struct Target {
    name: usize,
    last: Vec<u64>,
    /// The same word many times over: a torn copy of the state shows.
    pattern: [u64; 32],
    seen: Arc<AtomicU64>,
    faults: Faults,
}
impl Actor for Target {}

struct Numbered {
    sender: usize,
    number: u64,
    _token: Token,
}
impl Message for Numbered {
    type Reply = ();
}
impl Handler<Numbered> for Target {
    async fn handle(&mut self, message: Numbered, cx: &mut ActorContext<Self>) {
        let Numbered { sender, number, .. } = message;
        let expected = self.last[sender] + 1;
        if number != expected {
            self.faults.note(format!(
                "target {}: {number} of sender {sender}, not {expected}, on {}",
                self.name,
                cx.numa_node()
            ));
        }
        self.last[sender] = number;
        if self.pattern.iter().any(|word| *word != self.pattern[0]) {
            self.faults
                .note(format!("target {}: torn state", self.name));
        }
        self.pattern = [self.pattern[0] + 1; 32];
        // Some are suspended in the middle, so that moves have to wait for them.
        if number % 97 == 0 {
            tokio::task::yield_now().await;
        }
        self.seen.fetch_add(1, Ordering::Relaxed);
    }
}

struct HowMany;
impl Message for HowMany {
    /// How many have come, by sender.
    type Reply = Vec<u64>;
}
impl SyncHandler<HowMany> for Target {
    fn handle(&mut self, HowMany: HowMany, _cx: &mut ActorContext<Self>) -> Vec<u64> {
        self.last.clone()
    }
}

/// Sends bursts to targets that it chooses, most of them to its favourite, and tells itself to go on: between
/// two bursts it can be moved.
struct Source {
    number: usize,
    targets: Vec<ActorRef<Target>>,
    sent: Vec<u64>,
    shake: Shake,
    tally: Tally,
}
impl Actor for Source {}

struct Burst;
impl Message for Burst {
    type Reply = ();
}
impl Handler<Burst> for Source {
    async fn handle(&mut self, Burst: Burst, _cx: &mut ActorContext<Self>) {
        let favourite = self.number % self.targets.len();
        for _ in 0..BURST {
            let at = match self.shake.below(4) {
                0 => self.shake.below(self.targets.len() as u64) as usize,
                _ => favourite,
            };
            let message = Numbered {
                sender: self.number,
                number: self.sent[at] + 1,
                _token: self.tally.token(),
            };
            // A bounded target makes some of them wait.
            self.targets[at].send(message).await.unwrap();
            self.sent[at] += 1;
        }
    }
}

struct Sent;
impl Message for Sent {
    /// How many went to each target.
    type Reply = Vec<u64>;
}
impl SyncHandler<Sent> for Source {
    fn handle(&mut self, Sent: Sent, _cx: &mut ActorContext<Self>) -> Vec<u64> {
        self.sent.clone()
    }
}

/// Lives for a few messages.
struct Guest(#[expect(dead_code, reason = "its drop is counted")] Token);
impl Actor for Guest {}

fn on<A: Actor>(system: &SystemRef, node: NumaNodeId, mailbox: Mailbox, actor: A) -> ActorRef<A> {
    let spawn = system.actor(actor).placement(Placement::Node(node));
    spawn.mailbox(mailbox).spawn().unwrap()
}

/// Guests come, are moved about and go, in every manner, with messages for them under way.
fn entertain(system: &SystemRef, shake: &mut Shake, tally: &Tally) {
    let nodes = system.numa_nodes();
    let pick = |shake: &mut Shake| nodes[shake.below(nodes.len() as u64) as usize];
    let home = pick(shake);
    let guest = on(system, home, Mailbox::bounded(8), Guest(tally.token()));
    for step in 0..3 {
        // Either has stopped by then, perhaps.
        let _ = guest.tell(Greeting(tally.token()));
        let _ = guest.move_to(pick(shake));
        if step == 1 && shake.below(2) == 0 {
            guest.stop_with(StopMode::Kill);
        }
    }
    guest.stop();
}

struct Greeting(#[expect(dead_code, reason = "its drop is counted")] Token);
impl Message for Greeting {
    type Reply = ();
}
impl SyncHandler<Greeting> for Guest {
    fn handle(&mut self, _: Greeting, _cx: &mut ActorContext<Self>) {}
}

#[test]
fn order_and_books_hold_in_a_storm_between_numa_nodes_while_actors_move() {
    // As restless as it may be: 51 %, few samples, no staying.
    let restless = Balancing::new()
        .majority(51)
        .samples(4)
        .stay(Duration::from_millis(1))
        .moves_per_second(10_000);
    let fallback = fallback::Fallback::begin();
    let system = ActorSystem::builder().balancing(restless).build().unwrap();
    let nodes = system.numa_nodes();
    let (faults, tally) = (Faults::default(), Tally::new());
    let seen = Arc::new(AtomicU64::new(0));
    let senders = (2 * nodes.len()).max(6);

    let targets: Vec<_> = (0..2 * nodes.len())
        .map(|name| {
            let target = Target {
                name,
                last: vec![0; senders],
                pattern: [0; 32],
                seen: seen.clone(),
                faults: faults.clone(),
            };
            let mailbox = match name % 2 {
                0 => Mailbox::bounded(16),
                _ => Mailbox::unbounded(),
            };
            on(&system, nodes[name % nodes.len()], mailbox, target)
        })
        .collect();
    let sources: Vec<_> = (0..senders)
        .map(|number| {
            let source = Source {
                number,
                targets: targets.clone(),
                sent: vec![0; targets.len()],
                shake: Shake::new(number as u64 + 1),
                tally: tally.clone(),
            };
            // Not where its favourite lives.
            let node = nodes[(number + 1) % nodes.len()];
            on(&system, node, Mailbox::unbounded(), source)
        })
        .collect();

    let over = Arc::new(AtomicBool::new(false));
    let mover = std::thread::spawn({
        let (over, system, tally) = (over.clone(), system.handle(), tally.clone());
        let (targets, sources) = (targets.clone(), sources.clone());
        move || {
            let mut shake = Shake::new(99);
            let nodes = system.numa_nodes();
            let mut guests = 0u64;
            while !over.load(Ordering::SeqCst) {
                let node = nodes[shake.below(nodes.len() as u64) as usize];
                let target = targets[shake.below(targets.len() as u64) as usize];
                target.move_to(node).unwrap();
                let source = sources[shake.below(sources.len() as u64) as usize];
                source.move_to(node).unwrap();
                entertain(&system, &mut shake, &tally);
                guests += 1;
                std::thread::sleep(Duration::from_micros(200));
            }
            guests
        }
    });
    for source in &sources {
        for _ in 0..BURSTS {
            source.tell(Burst).unwrap();
        }
    }
    let total = senders as u64 * BURSTS * BURST;
    wait_within(3 * PATIENCE, "all bursts are handled", || {
        seen.load(Ordering::Relaxed) == total
    });
    // The mover may have come late.
    if nodes.len() > 1 {
        wait_until("somebody moved", || system.stats().actors.moves > 0);
    }
    over.store(true, Ordering::SeqCst);
    let guests = mover.join().unwrap();
    settle(&system);

    for (number, source) in sources.iter().enumerate() {
        let sent = source.ask_blocking(Sent).unwrap();
        for (target, sent) in targets.iter().zip(sent) {
            let came = target.ask_blocking(HowMany).unwrap();
            assert_eq!(came[number], sent, "of sender {number}");
        }
    }
    faults.none();
    let stats = system.stats();
    assert_eq!(stats.actors.panics, 0);
    if nodes.len() > 1 {
        assert!(stats.crossing_share().unwrap() > 0.0, "nothing crossed");
    }
    let share = stats.crossing_share().unwrap_or(0.0) * 100.0;
    println!(
        "figure: storm over {} NUMA nodes: {total} messages in order, {} moves, {guests} guests, {share:.0} % crossed",
        nodes.len(),
        stats.actors.moves,
    );
    fallback.tell(&system);
    let books: Conservation = finish(system);
    // The bursts, what they sent, what was asked; and what of the guests' post was not refused.
    let asked = (senders + senders * targets.len()) as u64;
    let least = total + senders as u64 * BURSTS + asked;
    assert!(books.handled >= least, "{books}");
    assert!(books.offered <= least + 3 * guests, "{books}");
    tally.all_dropped();
}
