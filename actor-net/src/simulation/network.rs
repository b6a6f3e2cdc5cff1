//! The network: peers, connections between them, what is under way, and the one clock.
//!
//! A pair of peers has a connection or none. One is made when either sends (or by [`Network::connect`]), if
//! both run and neither direction is cut; both are told. From then on it is wanted: when it breaks (it was
//! cut or a side paused for the time of silence, or a peer crashed, or the test breaks it), both are told, and
//! it is dialled again until it stands. What a paused peer is sent waits for it, as in its socket's buffer.

mod connections;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::{Machine, Random, Weather};
use crate::id::{Incarnation, PeerId};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Run {
    Running,
    Paused,
    Crashed,
}

struct Seat<M: Machine> {
    peer: PeerId,
    incarnation: Incarnation,
    /// Which machine sits here, counted: what was meant for another is not handed over.
    life: u64,
    run: Run,
    machine: M,
    /// Nanoseconds of its clock for 1,000,000 of the network's.
    rate: u64,
    /// When it is to be woken, in the network's time.
    wake: Option<u64>,
    /// What came while it was paused.
    backlog: VecDeque<Arrival>,
    events: Vec<(Duration, M::Event)>,
}

/// Something for the machine at a seat.
#[derive(Clone, Debug)]
enum Arrival {
    Datagram {
        from: usize,
        bytes: Vec<u8>,
    },
    Connected {
        peer: usize,
        incarnation: Incarnation,
    },
    Disconnected {
        peer: usize,
    },
}

#[derive(Debug)]
enum Due {
    Arrival {
        at: usize,
        life: u64,
        /// The connection it came over, and the life of its sender.
        over: Option<(u64, u64)>,
        what: Arrival,
    },
    /// Has that connection been silent all the time?
    Silence {
        pair: (usize, usize),
        number: u64,
    },
    Redial {
        pair: (usize, usize),
    },
}

#[derive(Debug, Default)]
struct Connection {
    /// Its number if it stands: each new one has another.
    up: Option<u64>,
    /// Whether it is dialled again when it breaks.
    wanted: bool,
    redialling: bool,
    /// When the last datagram arrives, by direction: low to high, high to low.
    last: [u64; 2],
}

/// What became of the datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) bytes: u64,
}

pub(crate) struct Network<M: Machine> {
    weather: Weather,
    random: Random,
    start: Instant,
    nanos: u64,
    next: u64,
    seats: Vec<Seat<M>>,
    names: BTreeMap<PeerId, usize>,
    connections: BTreeMap<(usize, usize), Connection>,
    /// Directions in which nothing passes.
    cuts: BTreeSet<(usize, usize)>,
    due: BTreeMap<(u64, u64), Due>,
    wakes: BTreeSet<(u64, usize)>,
    counts: Counts,
    trace: u64,
    /// Things that happened without time passing.
    standstill: u64,
}

impl<M: Machine> Network<M> {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        Self {
            weather,
            random: Random::new(seed ^ 0x6e65_7477_6f72_6b00),
            start: Instant::now() + Duration::from_secs(1),
            nanos: 0,
            next: 0,
            seats: Vec::new(),
            names: BTreeMap::new(),
            connections: BTreeMap::new(),
            cuts: BTreeSet::new(),
            due: BTreeMap::new(),
            wakes: BTreeSet::new(),
            counts: Counts::default(),
            trace: 0xcbf2_9ce4_8422_2325,
            standstill: 0,
        }
    }

    // ---- Peers

    /// What the clock of a peer that begins now shows; machines are made with it.
    pub(crate) fn start(&self) -> Instant {
        self.start + self.now()
    }

    /// A peer begins.
    pub(crate) fn add(&mut self, peer: PeerId, incarnation: Incarnation, machine: M) {
        let at = self.seats.len();
        let known = self.names.insert(peer.clone(), at);
        assert!(known.is_none(), "{peer} is there already: restart it");
        self.seats.push(Seat {
            peer,
            incarnation,
            life: 0,
            run: Run::Running,
            machine,
            rate: 1_000_000,
            wake: None,
            backlog: VecDeque::new(),
            events: Vec::new(),
        });
        self.drain(at);
    }

    /// Another life of a peer takes the seat of the one before, crashed or not; its events are kept.
    pub(crate) fn restart(&mut self, peer: &PeerId, incarnation: Incarnation, machine: M) -> M {
        self.crash(peer);
        let at = self.at(peer);
        let seat = &mut self.seats[at];
        seat.incarnation = incarnation;
        seat.run = Run::Running;
        let before = std::mem::replace(&mut seat.machine, machine);
        self.note(&[2, at as u64, incarnation.0]);
        self.redial_all(at);
        self.drain(at);
        before
    }

    /// The process is no more. Its connections break at once, as the system closes its sockets.
    pub(crate) fn crash(&mut self, peer: &PeerId) {
        let at = self.at(peer);
        self.note(&[3, at as u64]);
        for pair in self.pairs_of(at) {
            self.break_pair(pair);
        }
        let seat = &mut self.seats[at];
        seat.run = Run::Crashed;
        seat.life += 1;
        seat.backlog.clear();
        if let Some(wake) = seat.wake.take() {
            self.wakes.remove(&(wake, at));
        }
    }

    /// The process stands still (SIGSTOP, a long collection of its host): nothing happens to it until `resume`.
    pub(crate) fn pause(&mut self, peer: &PeerId) {
        let at = self.at(peer);
        self.note(&[4, at as u64]);
        if self.seats[at].run == Run::Running {
            self.seats[at].run = Run::Paused;
            for pair in self.pairs_of(at) {
                self.watch_silence(pair);
            }
        }
    }

    /// It goes on: first with what has come meanwhile, then with its timers.
    pub(crate) fn resume(&mut self, peer: &PeerId) {
        let at = self.at(peer);
        self.note(&[5, at as u64]);
        if self.seats[at].run != Run::Paused {
            return;
        }
        self.seats[at].run = Run::Running;
        while let Some(what) = self.seats[at].backlog.pop_front() {
            self.hand_over(at, what);
        }
        if let Some(wake) = self.seats[at].wake {
            self.wakes.insert((wake, at));
        }
        self.redial_all(at);
    }

    pub(crate) fn is_running(&self, peer: &PeerId) -> bool {
        self.seats[self.at(peer)].run == Run::Running
    }

    pub(crate) fn is_crashed(&self, peer: &PeerId) -> bool {
        self.seats[self.at(peer)].run == Run::Crashed
    }

    pub(crate) fn incarnation(&self, peer: &PeerId) -> Incarnation {
        self.seats[self.at(peer)].incarnation
    }

    pub(crate) fn peers(&self) -> Vec<PeerId> {
        self.names.keys().cloned().collect()
    }

    /// Its clock gains (or loses) so many millionths, from the beginning on: at most half.
    pub(crate) fn skew(&mut self, peer: &PeerId, millionths: i32) {
        assert!(millionths.abs() <= 500_000, "a clock, not a random number");
        let at = self.at(peer);
        self.seats[at].rate = u64::try_from(1_000_000 + i64::from(millionths)).expect("positive");
        self.rearm(at);
    }

    pub(crate) fn machine(&self, peer: &PeerId) -> &M {
        &self.seats[self.at(peer)].machine
    }

    /// Calls a machine as its owner would; what it then wants to send is sent.
    pub(crate) fn with<R>(&mut self, peer: &PeerId, call: impl FnOnce(&mut M, Instant) -> R) -> R {
        let at = self.at(peer);
        let now = self.clock(at);
        let result = call(&mut self.seats[at].machine, now);
        self.drain(at);
        result
    }

    /// What a peer's machines have said since the last call, and when.
    pub(crate) fn events(&mut self, peer: &PeerId) -> Vec<(Duration, M::Event)> {
        let at = self.at(peer);
        std::mem::take(&mut self.seats[at].events)
    }

    // ---- Connections and cuts

    /// Makes a connection, and keeps it up from now on.
    pub(crate) fn connect(&mut self, a: &PeerId, b: &PeerId) {
        let pair = pair(self.at(a), self.at(b));
        self.connections.entry(pair).or_default().wanted = true;
        self.dial(pair);
    }

    /// Makes all connections.
    pub(crate) fn connect_all(&mut self) {
        for a in 0..self.seats.len() {
            for b in a + 1..self.seats.len() {
                self.connections.entry((a, b)).or_default().wanted = true;
                self.dial((a, b));
            }
        }
    }

    /// Breaks a connection; it is dialled again.
    pub(crate) fn break_connection(&mut self, a: &PeerId, b: &PeerId) {
        let pair = pair(self.at(a), self.at(b));
        self.break_pair(pair);
    }

    pub(crate) fn is_connected(&self, a: &PeerId, b: &PeerId) -> bool {
        let pair = pair(self.at(a), self.at(b));
        self.connections.get(&pair).is_some_and(|c| c.up.is_some())
    }

    /// From now on nothing passes from one to the other; the other way it does.
    pub(crate) fn cut(&mut self, from: &PeerId, to: &PeerId) {
        let (from, to) = (self.at(from), self.at(to));
        self.note(&[6, from as u64, to as u64]);
        if self.cuts.insert((from, to)) {
            self.watch_silence(pair(from, to));
        }
    }

    /// Cuts both ways between any two of different groups. Who is in no group is a group of its own.
    pub(crate) fn partition(&mut self, groups: &[Vec<PeerId>]) {
        let group = |peer: &PeerId| groups.iter().position(|group| group.contains(peer));
        let peers = self.peers();
        for a in &peers {
            for b in &peers {
                let together = group(a).is_some() && group(a) == group(b);
                if a != b && !together {
                    self.cut(a, b);
                }
            }
        }
    }

    /// Everything passes everywhere.
    pub(crate) fn heal(&mut self) {
        self.note(&[7]);
        self.cuts.clear();
        for at in 0..self.seats.len() {
            self.redial_all(at);
        }
    }

    pub(crate) fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    // ---- Time

    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.nanos + nanos(time);
        while self.step_until(end) {}
        self.nanos = end;
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        let due = self.due.first_key_value().map(|(&(time, _), _)| time);
        let wake = self.wakes.first().map(|&(time, _)| time);
        let next = due.into_iter().chain(wake).min();
        next.map(Duration::from_nanos)
    }

    /// Runs to that time.
    pub(crate) fn run_to(&mut self, time: Duration) {
        self.run_for(time.saturating_sub(self.now()));
    }

    /// Runs until something holds, for so long at most; whether it then holds. Looked at every `every`.
    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        every: Duration,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let end = self.now() + limit;
        loop {
            if holds(self) {
                return true;
            }
            if self.now() >= end {
                return false;
            }
            self.run_for(every.min(end - self.now()));
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// All that happened, as one number: two runs of one seed have the same.
    pub(crate) fn trace(&self) -> u64 {
        self.trace
    }

    /// Chance of the same seed, for tests that choose what happens next.
    pub(crate) fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    // ---- Inside

    fn at(&self, peer: &PeerId) -> usize {
        match self.names.get(peer) {
            Some(at) => *at,
            None => panic!("no peer {peer} in this network"),
        }
    }

    fn note(&mut self, what: &[u64]) {
        for word in what.iter().chain([&self.nanos]) {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn schedule(&mut self, at: u64, what: Due) {
        self.next += 1;
        self.due.insert((at.max(self.nanos), self.next), what);
    }

    /// What a peer's clock shows.
    fn clock(&self, at: usize) -> Instant {
        self.start + Duration::from_nanos(scale(self.nanos, self.seats[at].rate, 1_000_000))
    }

    fn step_until(&mut self, end: u64) -> bool {
        let due = self.due.first_key_value().map(|(&(time, _), _)| time);
        let wake = self.wakes.first().map(|&(time, _)| time);
        // Of two at one time arrivals come first: a timer looks at what is there.
        let time = match (due, wake) {
            (Some(due), Some(wake)) => due.min(wake),
            (Some(time), None) | (None, Some(time)) => time,
            (None, None) => return false,
        };
        if time > end {
            return false;
        }
        if time > self.nanos {
            self.standstill = 0;
        }
        self.standstill += 1;
        assert!(
            self.standstill < 1_000_000,
            "a million things happened at {:?}: does a machine set a timer that is over?",
            self.now()
        );
        self.nanos = time.max(self.nanos);
        if due == Some(time) {
            let (_, what) = self.due.pop_first().expect("just seen");
            self.happen(what);
        } else {
            let (_, at) = self.wakes.pop_first().expect("just seen");
            self.note(&[8, at as u64]);
            let now = self.clock(at);
            self.seats[at].wake = None;
            self.seats[at].machine.handle_timeout(now);
            self.drain(at);
        }
        true
    }

    fn happen(&mut self, what: Due) {
        match what {
            Due::Arrival {
                at,
                life,
                over,
                what,
            } => {
                let datagram = matches!(what, Arrival::Datagram { .. });
                if self.seats[at].life != life || !self.still_comes(at, over, &what) {
                    self.counts.lost += u64::from(datagram);
                    return;
                }
                self.counts.delivered += u64::from(datagram);
                match self.seats[at].run {
                    Run::Running => self.hand_over(at, what),
                    Run::Paused => self.seats[at].backlog.push_back(what),
                    Run::Crashed => {}
                }
            }
            Due::Silence { pair, number } => {
                let up = self.connections.get(&pair).and_then(|c| c.up);
                if up == Some(number) && !self.passes(pair) {
                    self.break_pair(pair);
                }
            }
            Due::Redial { pair } => {
                let connection = self.connections.entry(pair).or_default();
                connection.redialling = false;
                if connection.wanted && connection.up.is_none() {
                    self.dial(pair);
                }
            }
        }
    }

    /// Whether a datagram under way arrives: its connection stands, or it is one of the late ones.
    fn still_comes(&mut self, at: usize, over: Option<(u64, u64)>, what: &Arrival) -> bool {
        let (Some((number, life)), Arrival::Datagram { from, .. }) = (over, what) else {
            return true;
        };
        if self.cuts.contains(&(*from, at)) || self.seats[*from].life != life {
            return false;
        }
        let up = self.connections.get(&pair(*from, at)).and_then(|c| c.up);
        up == Some(number) || self.random.chance(self.weather.late)
    }

    fn hand_over(&mut self, at: usize, what: Arrival) {
        let now = self.clock(at);
        match what {
            Arrival::Datagram { from, bytes } => {
                self.note(&[1, at as u64, from as u64, hash(&bytes)]);
                let from = self.seats[from].peer.clone();
                self.seats[at].machine.handle_datagram(&from, &bytes, now);
            }
            Arrival::Connected { peer, incarnation } => {
                self.note(&[9, at as u64, peer as u64]);
                let peer = self.seats[peer].peer.clone();
                self.seats[at]
                    .machine
                    .handle_connected(&peer, incarnation, now);
            }
            Arrival::Disconnected { peer } => {
                self.note(&[10, at as u64, peer as u64]);
                let peer = self.seats[peer].peer.clone();
                self.seats[at].machine.handle_disconnected(&peer, now);
            }
        }
        self.drain(at);
    }

    /// Takes out of a machine what it has to give.
    fn drain(&mut self, at: usize) {
        while let Some(datagram) = self.seats[at].machine.poll_transmit() {
            self.counts.sent += 1;
            self.counts.bytes += datagram.bytes.len() as u64;
            match self.names.get(&datagram.to) {
                Some(&to) if to != at => self.send(at, to, datagram.bytes),
                _ => self.counts.lost += 1,
            }
        }
        let now = self.now();
        while let Some(event) = self.seats[at].machine.poll_event() {
            self.note(&[11, at as u64, hash(format!("{event:?}").as_bytes())]);
            self.seats[at].events.push((now, event));
        }
        self.rearm(at);
    }

    fn rearm(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        let wake = seat.machine.poll_timeout().map(|when| {
            let local = nanos(when.saturating_duration_since(self.start));
            // Rounded up, or it would be woken before its time.
            scale(local, 1_000_000, seat.rate).max(self.nanos) + u64::from(seat.rate != 1_000_000)
        });
        if wake == seat.wake && seat.run == Run::Running {
            if let Some(wake) = wake {
                self.wakes.insert((wake, at));
            }
            return;
        }
        if let Some(before) = seat.wake {
            self.wakes.remove(&(before, at));
        }
        seat.wake = wake;
        if let (Some(wake), Run::Running) = (wake, seat.run) {
            self.wakes.insert((wake, at));
        }
    }

    fn pairs_of(&self, at: usize) -> Vec<(usize, usize)> {
        let pairs = self.connections.keys();
        pairs
            .filter(|(a, b)| *a == at || *b == at)
            .copied()
            .collect()
    }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}

/// `value * times / by`, which may be more than fits in between.
fn scale(value: u64, times: u64, by: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(times) / u128::from(by)).unwrap_or(u64::MAX / 4)
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
