//! Two peers joined by a network that breaks anywhere: handshakes, a control connection and a lane, in virtual
//! time, by a seed.
//!
//! The law: what a lane has taken is delivered exactly once and in its pair's order, or its sender is told
//! that it is lost (it may then have arrived, once) or was not sent. Signals arrive exactly once and in order.
//! After `Terminated` of an actor nothing comes from it any more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::super::control::{Control, ControlEvent, Resumed};
use super::super::handshake::{Admission, Dial, Handshake, HandshakeEvent, SessionAuth};
use super::super::hello::ConnectionKind;
use super::super::lane::{Lane, LaneEvent};
use super::super::limits::Limits;
use super::super::message::{Address, Flush};
use super::super::signal::{End, Signal, SignalKind};
use super::super::table::MessageTable;
use super::super::test_kit::{dial, own, small_limits};
use super::tell;

struct Random(u64);

impl Random {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What stands at one end of one connection.
enum Port {
    Down,
    Shaking(Box<Handshake>),
    Up,
}

const PAIRS: u64 = 6;

struct Peer {
    control: Control,
    lane: Lane,
    /// By connection: 0 the control connection, 1 the lane.
    ports: [Port; 2],
    epochs: [u32; 2],
    next_message: u64,
    next_signal: u64,
    /// Pairs whose sender has ended.
    ended: BTreeSet<u64>,
    /// Messages that the lane has taken, by their number (which is their token), and their pairs.
    taken: BTreeMap<u64, u64>,
    delivered: BTreeSet<u64>,
    lost: BTreeSet<u64>,
    dropped: BTreeSet<u64>,
    /// What came from the other side: numbers by pair; signals; ends.
    got: BTreeMap<u64, Vec<u64>>,
    got_signals: Vec<u64>,
    got_ends: BTreeSet<u64>,
    /// Messages that were taken out late; their room.
    kept: VecDeque<super::super::credit::Charge>,
}

/// Bytes on their way: when they arrive, to which side, on which connection.
#[derive(Default)]
struct Pipe {
    flying: VecDeque<(u64, Vec<u8>)>,
}

struct World {
    random: Random,
    start: Instant,
    millis: u64,
    peers: [Peer; 2],
    /// `pipes[connection][to]`.
    pipes: [[Pipe; 2]; 2],
    redial_at: [u64; 2],
    breaks: u64,
    trace: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let limits = small_limits();
        let peer = |name: &str| Peer {
            control: Control::new(limits.clone(), MessageTable::new([(name, 1)])),
            lane: Lane::new(limits.clone()),
            ports: [Port::Down, Port::Down],
            epochs: [0; 2],
            next_message: 0,
            next_signal: 0,
            ended: BTreeSet::new(),
            taken: BTreeMap::new(),
            delivered: BTreeSet::new(),
            lost: BTreeSet::new(),
            dropped: BTreeSet::new(),
            got: BTreeMap::new(),
            got_signals: Vec::new(),
            got_ends: BTreeSet::new(),
            kept: VecDeque::new(),
        };
        Self {
            random: Random(seed),
            start: Instant::now(),
            millis: 0,
            peers: [peer("a"), peer("b")],
            pipes: Default::default(),
            redial_at: [0; 2],
            breaks: 0,
            trace: 0,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.millis)
    }

    fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what).wrapping_mul(0x0100_0000_01b3);
    }

    /// Peer 0 dials; peer 1 throws away what it had.
    fn redial(&mut self, connection: usize) {
        let now = self.now();
        for side in 0..2 {
            self.down(connection, side);
            self.pipes[connection][side].flying.clear();
        }
        let kind = match connection {
            0 => ConnectionKind::Control,
            _ => ConnectionKind::Lane {
                index: 0,
                session: 5,
            },
        };
        let schema = |table: &str| MessageTable::new([(table, 1)]).hash();
        let mut sides = [own("a", 1), own("b", 1)];
        for (side, name) in sides.iter_mut().zip(["a", "b"]) {
            side.limits = small_limits();
            side.who.limits = small_limits().promised();
            side.who.schema = schema(name);
        }
        let [a, b] = sides;
        let dial = Dial {
            kind,
            last_epoch: self.peers[0].epochs[connection],
            received_through: self.peers[0].control.received_through(),
            ..dial()
        };
        let auth = SessionAuth::default;
        let dialler = Handshake::dial(a, auth(), dial, now);
        let acceptor = Handshake::accept(b, auth(), now);
        self.peers[0].ports[connection] = Port::Shaking(Box::new(dialler));
        self.peers[1].ports[connection] = Port::Shaking(Box::new(acceptor));
    }

    fn down(&mut self, connection: usize, side: usize) {
        let peer = &mut self.peers[side];
        if let Port::Up = std::mem::replace(&mut peer.ports[connection], Port::Down) {
            if connection == 0 {
                peer.control.disconnect();
            } else {
                peer.lane.disconnect();
                peer.kept.clear();
            }
        }
    }

    /// The connection breaks: of what is under way a part still arrives, cut at any byte.
    fn break_up(&mut self, connection: usize) {
        self.breaks += 1;
        for side in 0..2 {
            let flying = &mut self.pipes[connection][side].flying;
            let keep = self.random.below(flying.len() as u64 + 1) as usize;
            flying.truncate(keep);
            let mut rest: Vec<_> = flying.drain(..).collect();
            if let Some((_, bytes)) = rest.last_mut() {
                let cut = self.random.below(bytes.len() as u64 + 1) as usize;
                bytes.truncate(cut);
            }
            for (_, bytes) in rest {
                self.arrive(connection, side, &bytes);
            }
            self.down(connection, side);
        }
        self.redial_at[connection] = self.millis + self.random.below(50);
    }

    fn arrive(&mut self, connection: usize, side: usize, bytes: &[u8]) {
        let now = self.now();
        let received = self.peers[side].control.received_through();
        let epoch = self.peers[side].epochs[connection];
        let peer = &mut self.peers[side];
        let established = match &mut peer.ports[connection] {
            Port::Down => return,
            Port::Up if connection == 0 => {
                peer.control.receive(bytes, now).expect("an honest peer");
                return;
            }
            Port::Up => {
                peer.lane.receive(bytes, now).expect("an honest peer");
                return;
            }
            Port::Shaking(handshake) => {
                handshake.receive(bytes);
                match handshake.poll_event() {
                    None => return,
                    Some(HandshakeEvent::Greeted(hello)) => {
                        handshake.admit(Admission {
                            session: 5,
                            epoch: hello.last_epoch.max(epoch) + 1,
                            received_through: received,
                        });
                        match handshake.poll_event() {
                            None => return,
                            other => panic!("{other:?}"),
                        }
                    }
                    Some(HandshakeEvent::Established(established)) => established,
                    Some(HandshakeEvent::Failed(error)) => panic!("{error}"),
                }
            }
        };
        // What this side has still to say of the handshake (its confirmation) goes first.
        let mut out = Vec::new();
        if let Port::Shaking(handshake) = &mut peer.ports[connection] {
            handshake.transmit(&mut out);
        }
        peer.ports[connection] = Port::Up;
        peer.epochs[connection] = established.epoch;
        let limits = established.peer.limits;
        if connection == 0 {
            let resumed = Resumed {
                limits,
                received_through: established.received_through,
                schema: established.peer.schema,
            };
            peer.control
                .connect(established.decoder, resumed, now)
                .expect("what was acknowledged was sent");
            peer.control.receive(&[], now).expect("an honest peer");
        } else {
            peer.lane.connect(established.decoder, limits, now);
            peer.lane.receive(&[], now).expect("an honest peer");
        }
        self.send(connection, side, out);
    }

    fn send(&mut self, connection: usize, side: usize, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let pipe = &self.pipes[connection][1 - side];
        let earliest = pipe.flying.back().map_or(0, |(at, _)| *at);
        let at = (self.millis + self.random.below(8)).max(earliest);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let cut = 1 + self.random.below(rest.len() as u64) as usize;
            let (piece, more) = rest.split_at(cut);
            rest = more;
            self.pipes[connection][1 - side]
                .flying
                .push_back((at, piece.to_vec()));
        }
    }

    fn act(&mut self, side: usize) {
        let now = self.now();
        for _ in 0..self.random.below(4) {
            let pair = self.random.below(PAIRS);
            let size = match self.random.below(10) {
                0 => self.random.below(20_000),
                _ => self.random.below(200),
            };
            let peer = &mut self.peers[side];
            if peer.ended.contains(&pair) {
                continue;
            }
            let number = peer.next_message + 1;
            let mut payload = number.to_le_bytes().to_vec();
            payload.resize(8 + size as usize, 0);
            if peer.lane.push(tell(pair, number, payload)).is_ok() {
                peer.next_message = number;
                peer.taken.insert(number, pair);
            }
        }
        if self.random.chance(20) {
            let peer = &mut self.peers[side];
            let number = peer.next_signal;
            let signal = Signal {
                from: Address { id: number, key: 0 },
                to: Address { id: 0, key: 0 },
                kind: SignalKind::Watch,
            };
            peer.control.signal(signal, now).expect("room");
            peer.next_signal += 1;
        }
        if self.random.chance(1) {
            let pair = self.random.below(PAIRS);
            let peer = &mut self.peers[side];
            if peer.ended.insert(pair) {
                let kind = SignalKind::Terminated(End {
                    reason: 0,
                    detail: String::new(),
                    marked: true,
                });
                let signal = Signal {
                    from: Address { id: pair, key: 0 },
                    to: Address { id: 0, key: 0 },
                    kind,
                };
                let number = peer.control.signal(signal, now).expect("room");
                let flush = Flush {
                    watcher: 0,
                    signal: number,
                };
                peer.lane.flush(pair, flush);
            }
        }
    }

    fn listen(&mut self, side: usize) {
        let now = self.now();
        while let Some(event) = self.peers[side].lane.poll_event() {
            let peer = &mut self.peers[side];
            match event {
                LaneEvent::Message(message) => {
                    let number = u64::from_le_bytes(message.payload[..8].try_into().unwrap());
                    let pair = self.peers[1 - side].taken[&number];
                    self.note(number);
                    let peer = &mut self.peers[side];
                    assert!(
                        !peer.got_ends.contains(&pair),
                        "message {number} of pair {pair} after its end"
                    );
                    peer.got.entry(pair).or_default().push(number);
                    peer.kept.push_back(message.charge);
                }
                LaneEvent::Flush(flush) => peer.control.flushed(flush.signal),
                LaneEvent::Delivered { token } => assert!(peer.delivered.insert(token)),
                LaneEvent::Lost { token, .. } => assert!(peer.lost.insert(token)),
                LaneEvent::Dropped { message, .. } => assert!(peer.dropped.insert(message.token)),
                other => panic!("{other:?}"),
            }
        }
        while let Some(event) = self.peers[side].control.poll_event() {
            let peer = &mut self.peers[side];
            match event {
                ControlEvent::Signal(signal) => match signal.kind {
                    SignalKind::Watch => peer.got_signals.push(signal.from.id),
                    SignalKind::Terminated(_) => {
                        assert!(peer.got_ends.insert(signal.from.id), "an end twice");
                    }
                    other => panic!("{other:?}"),
                },
                ControlEvent::Table(table) => assert_eq!(table.len(), 1),
                other => panic!("{other:?}"),
            }
        }
        // Some mailboxes are full for a while.
        for _ in 0..self.random.below(6) {
            let peer = &mut self.peers[side];
            let Some(charge) = peer.kept.pop_front() else {
                break;
            };
            peer.lane.release(charge, now);
        }
    }

    /// A millisecond of everything.
    fn step(&mut self, busy: bool) {
        self.millis += 1;
        let now = self.now();
        for connection in 0..2 {
            let is_down = |port: &Port| matches!(port, Port::Down);
            let down = (0..2).any(|side| is_down(&self.peers[side].ports[connection]));
            if down && self.millis >= self.redial_at[connection] {
                self.redial(connection);
            } else if busy && self.random.chance(2) {
                self.break_up(connection);
            }
        }
        for side in 0..2 {
            if busy {
                self.act(side);
            }
            for connection in 0..2 {
                while let Some((at, _)) = self.pipes[connection][side].flying.front()
                    && *at <= self.millis
                {
                    let Some((_, bytes)) = self.pipes[connection][side].flying.pop_front() else {
                        break;
                    };
                    self.arrive(connection, side, &bytes);
                }
                // A batch only while none is under way, as a driver does.
                if self.pipes[connection][1 - side].flying.is_empty() {
                    let peer = &mut self.peers[side];
                    let mut out = Vec::new();
                    match &mut peer.ports[connection] {
                        Port::Down => {}
                        Port::Shaking(handshake) => handshake.transmit(&mut out),
                        Port::Up if connection == 0 => peer.control.transmit(now, &mut out, 4096),
                        Port::Up => peer.lane.transmit(now, &mut out, 4096),
                    }
                    self.send(connection, side, out);
                }
            }
            let peer = &mut self.peers[side];
            peer.lane.tick(now).expect("the peer is not silent");
            peer.control.tick(now).expect("the peer is not silent");
            assert!(peer.lane.memory() <= memory_max(), "{}", peer.lane.memory());
            self.listen(side);
        }
    }

    fn is_quiet(&self) -> bool {
        (0..2).all(|side| {
            let peer = &self.peers[side];
            let known = peer.delivered.len() + peer.lost.len() + peer.dropped.len();
            known == peer.taken.len()
                && peer.control.signals() == (0, 0)
                && peer.ended == self.peers[1 - side].got_ends
        })
    }

    fn check(&self) {
        for side in 0..2 {
            let (from, to) = (&self.peers[side], &self.peers[1 - side]);
            let mut got = BTreeSet::new();
            for (pair, numbers) in &to.got {
                assert!(
                    numbers.windows(2).all(|two| two[0] < two[1]),
                    "pair {pair} out of order or twice: {numbers:?}"
                );
                got.extend(numbers.iter().copied());
            }
            for number in from.taken.keys() {
                let fates = [&from.delivered, &from.lost, &from.dropped];
                let fate: Vec<_> = (0..3).filter(|at| fates[*at].contains(number)).collect();
                match (fate[..].first(), fate.len()) {
                    (Some(0), 1) => assert!(got.contains(number), "{number} never came"),
                    (Some(1), 1) => {}
                    (Some(2), 1) => assert!(!got.contains(number), "{number} was not sent"),
                    _ => panic!("message {number} has the fates {fate:?}"),
                }
            }
            let all: Vec<_> = (0..from.next_signal).collect();
            assert_eq!(to.got_signals, all, "signals once and in order");
            assert_eq!(from.ended, to.got_ends);
        }
    }
}

fn memory_max() -> usize {
    let limits: Limits = small_limits();
    (limits.lane_frame + limits.window_large) as usize + (64 << 10) + 6
}

/// Runs a seed, and gives a number that says what happened, messages and breaks.
fn run(seed: u64, millis: u64) -> (u64, usize, u64) {
    let mut world = World::new(seed);
    for _ in 0..millis {
        world.step(true);
    }
    let mut rest = 0;
    while !world.is_quiet() {
        world.step(false);
        rest += 1;
        assert!(rest < 20_000, "seed {seed}: it does not come to rest");
    }
    world.check();
    let taken = world.peers.iter().map(|peer| peer.taken.len()).sum();
    (world.trace, taken, world.breaks)
}

#[test]
fn everything_is_delivered_once_in_order_or_told_to_be_lost() {
    let (mut messages, mut breaks) = (0, 0);
    let seeds = match std::env::var("WIRE_SEED") {
        Ok(seed) => vec![seed.parse().expect("WIRE_SEED is a number")],
        Err(_) => (0..40).collect(),
    };
    let many = seeds.len() > 1;
    for seed in seeds {
        println!("seed {seed} (WIRE_SEED={seed} runs it alone)");
        let (_, taken, broken) = run(seed, 300);
        messages += taken;
        breaks += broken;
    }
    if many {
        assert!(messages > 5_000, "{messages} messages");
        assert!(breaks > 200, "{breaks} breaks");
    }
}

#[test]
fn the_same_seed_is_the_same_story() {
    assert_eq!(run(77, 200), run(77, 200));
    assert_ne!(run(77, 200).0, run(78, 200).0);
}
