//! Connections: made, broken, dialled again; and what is sent over them.

use std::time::Duration;

use super::{Arrival, Due, Network, Run, nanos, pair};
use crate::simulation::Machine;

impl<M: Machine> Network<M> {
    pub(super) fn send(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        let between = pair(from, to);
        let connection = self.connections.entry(between).or_default();
        connection.wanted = true;
        if connection.up.is_none() {
            self.dial(between);
        }
        let connection = &self.connections[&between];
        let Some(number) = connection.up else {
            self.counts.lost += 1;
            return;
        };
        if self.cuts.contains(&(from, to)) || self.random.chance(self.weather.loss) {
            self.counts.lost += 1;
            return;
        }
        let copies = 1 + u64::from(self.random.chance(self.weather.duplication));
        self.counts.sent += copies - 1;
        for _ in 0..copies {
            let arrival = self.arrival(from, to);
            let what = Due::Arrival {
                at: to,
                life: self.seats[to].life,
                over: Some((number, self.seats[from].life)),
                what: Arrival::Datagram {
                    from,
                    bytes: bytes.clone(),
                },
            };
            self.schedule(arrival, what);
        }
    }

    /// When something sent now arrives: not before what was sent before, unless the weather is bad.
    pub(super) fn arrival(&mut self, from: usize, to: usize) -> u64 {
        let delay = self
            .random
            .between(self.weather.delay_min, self.weather.delay_max);
        let arrival = self.nanos + nanos(delay);
        if self.weather.reorder {
            return arrival;
        }
        let connection = self.connections.entry(pair(from, to)).or_default();
        let last = &mut connection.last[usize::from(from > to)];
        *last = arrival.max(*last);
        *last
    }

    pub(super) fn passes(&self, (a, b): (usize, usize)) -> bool {
        let running = |at: usize| self.seats[at].run == Run::Running;
        running(a) && running(b) && !self.cuts.contains(&(a, b)) && !self.cuts.contains(&(b, a))
    }

    /// Makes the connection if that can be done now, or tries again later.
    pub(super) fn dial(&mut self, pair: (usize, usize)) {
        let up = self.connections.entry(pair).or_default().up;
        if up.is_some() {
            return;
        }
        if !self.passes(pair) {
            self.redial(pair);
            return;
        }
        self.next += 1;
        let number = self.next;
        let connection = self.connections.entry(pair).or_default();
        connection.up = Some(number);
        connection.last = [self.nanos; 2];
        let (a, b) = pair;
        for (at, peer) in [(a, b), (b, a)] {
            let what = Due::Arrival {
                at,
                life: self.seats[at].life,
                over: None,
                what: Arrival::Connected {
                    peer,
                    incarnation: self.seats[peer].incarnation,
                },
            };
            self.schedule(self.nanos, what);
        }
    }

    pub(super) fn redial(&mut self, pair: (usize, usize)) {
        let crashed = |at: usize| self.seats[at].run == Run::Crashed;
        // Who crashed dials when it is back.
        if crashed(pair.0) || crashed(pair.1) {
            return;
        }
        let connection = self.connections.entry(pair).or_default();
        if connection.wanted && !connection.redialling {
            connection.redialling = true;
            let jitter = self.random.between(Duration::ZERO, self.weather.redial / 2);
            let at = self.nanos + nanos(self.weather.redial + jitter);
            self.schedule(at, Due::Redial { pair });
        }
    }

    pub(super) fn redial_all(&mut self, at: usize) {
        for pair in self.pairs_of(at) {
            if self.connections[&pair].up.is_none() {
                self.redial(pair);
            }
        }
    }

    pub(super) fn break_pair(&mut self, pair: (usize, usize)) {
        let Some(connection) = self.connections.get_mut(&pair) else {
            return;
        };
        if connection.up.take().is_none() {
            return;
        }
        let (a, b) = pair;
        for (at, peer) in [(a, b), (b, a)] {
            let what = Due::Arrival {
                at,
                life: self.seats[at].life,
                over: None,
                what: Arrival::Disconnected { peer },
            };
            self.schedule(self.nanos, what);
        }
        self.redial(pair);
    }

    /// Looks after the time of silence whether the connection is still cut; it is then given up.
    pub(super) fn watch_silence(&mut self, pair: (usize, usize)) {
        if let Some(number) = self.connections.get(&pair).and_then(|c| c.up) {
            let at = self.nanos + nanos(self.weather.silence);
            self.schedule(at, Due::Silence { pair, number });
        }
    }
}
