//! Which actors to move, from a sample of who talks to whom.
//!
//! ActOp (Newell et al., EuroSys 2016) measured what such moves are worth between servers: up to 75 % less
//! p99 latency, for actors that talk in communities. Three things keep it from doing harm: an actor moves
//! only for a clear majority of many messages; one that has moved stays for a while, twice as long each
//! time it moves again soon; and there is a cap on moves per second.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Tick;
use crate::id::ActorId;
use crate::supervision::InvalidOption;

/// How a system moves actors to the NUMA node that most of their messages come from.
///
/// | setting | default | touch it when |
/// |---|---|---|
/// | `majority` | 75 % | lower moves more actors, for less |
/// | `samples` | 32, each standing for 128 messages | actors with less traffic are worth moving |
/// | `stay` | 10 s | traffic changes its direction more often, or less |
/// | `moves_per_second` | 100 | states are large |
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::Balancing;
///
/// let balancing = Balancing::new().majority(60).stay(Duration::from_secs(60));
/// assert!(balancing.check().is_ok());
/// assert!(Balancing::new().majority(40).check().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balancing {
    pub(crate) majority: u32,
    pub(crate) samples: u32,
    pub(crate) stay: Duration,
    pub(crate) moves_per_second: u32,
}

impl Balancing {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            majority: 75,
            samples: 32,
            stay: Duration::from_secs(10),
            moves_per_second: 100,
        }
    }

    /// The share of an actor's messages that must come from one NUMA node, in percent: 51 to 100.
    #[must_use]
    pub const fn majority(mut self, percent: u32) -> Self {
        self.majority = percent;
        self
    }

    /// How many sampled messages an actor must have had lately, about the last two seconds: 4 or more.
    #[must_use]
    pub const fn samples(mut self, samples: u32) -> Self {
        self.samples = samples;
        self
    }

    /// How long an actor stays after a move, at least; twice as long after each further one, up to 64
    /// times, until it has stayed that long again.
    #[must_use]
    pub const fn stay(mut self, stay: Duration) -> Self {
        self.stay = stay;
        self
    }

    /// The most moves per second: 1 or more.
    #[must_use]
    pub const fn moves_per_second(mut self, moves: u32) -> Self {
        self.moves_per_second = moves;
        self
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    ///
    /// Names the option that does not.
    pub fn check(&self) -> Result<(), InvalidOption> {
        if !(51..=100).contains(&self.majority) {
            return Err(InvalidOption::new(
                "balancing majority",
                format!("{} %", self.majority),
                "51 to 100 %; with less than half an actor would move to and fro",
            ));
        }
        if self.samples < 4 {
            return Err(InvalidOption::new(
                "balancing samples",
                self.samples,
                "4 or more; fewer say nothing about where messages come from",
            ));
        }
        if self.moves_per_second == 0 {
            return Err(InvalidOption::new(
                "balancing moves_per_second",
                0,
                "1 or more; to move nothing leave balancing off",
            ));
        }
        Ok(())
    }
}

impl Default for Balancing {
    /// [`Balancing::new`].
    fn default() -> Self {
        Self::new()
    }
}

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) actor: ActorId,
    /// NUMA indices.
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// The most actors that are kept in mind: those of the latest samples.
const ACTORS_MAX: usize = 65_536;
/// Counts are halved this often, so that they speak of the last two seconds.
const HALF_LIFE: Duration = Duration::from_secs(1);
const STAY_DOUBLINGS_MAX: u32 = 6;

/// What is known, and the rules.
#[derive(Debug)]
pub(crate) struct Balancer {
    options: Balancing,
    numa_nodes: usize,
    actors: HashMap<ActorId, Seen>,
    moved: HashMap<ActorId, Moved>,
    halved: Tick,
    /// Moves that may still be made in this second.
    second: Tick,
    left: u32,
}

#[derive(Debug)]
struct Seen {
    /// By the NUMA index of the sender.
    from: Box<[u32]>,
}

#[derive(Clone, Copy, Debug)]
struct Moved {
    until: Tick,
    doublings: u32,
}

impl Balancer {
    pub(crate) fn new(options: Balancing, numa_nodes: usize, now: Tick) -> Self {
        Self {
            options,
            numa_nodes,
            actors: HashMap::new(),
            moved: HashMap::new(),
            halved: now,
            second: now,
            left: options.moves_per_second,
        }
    }

    /// A sampled message came from a worker of that NUMA index.
    pub(crate) fn handle_sample(&mut self, target: ActorId, from: usize) {
        if from >= self.numa_nodes {
            return;
        }
        if self.actors.len() >= ACTORS_MAX && !self.actors.contains_key(&target) {
            return;
        }
        let numa_nodes = self.numa_nodes;
        let seen = self.actors.entry(target).or_insert_with(|| Seen {
            from: vec![0; numa_nodes].into(),
        });
        seen.from[from] = seen.from[from].saturating_add(1);
    }

    /// The moves that are due. `home` tells the NUMA index of an actor that is alive.
    pub(crate) fn poll_moves(
        &mut self,
        now: Tick,
        home: impl Fn(ActorId) -> Option<usize>,
    ) -> Vec<Move> {
        if self.second.until(now) >= Duration::from_secs(1) {
            self.second = now;
            self.left = self.options.moves_per_second;
        }
        let candidates = self.candidates(now, home);
        let (mut moves, passed_over) = one_way(candidates);
        // Their partners come to them instead: what was seen so far is of yesterday.
        for Move { actor, .. } in passed_over {
            self.actors.remove(&actor);
        }
        moves.truncate(self.left as usize);
        self.left -= moves.len() as u32;
        for Move { actor, .. } in &moves {
            self.actors.remove(actor);
            self.note_move(*actor, now);
        }
        if self.halved.until(now) >= HALF_LIFE {
            self.halved = now;
            self.forget(now);
        }
        moves
    }

    /// Actors that a clear majority of many messages calls elsewhere, most messages first.
    fn candidates(&self, now: Tick, home: impl Fn(ActorId) -> Option<usize>) -> Vec<Move> {
        let options = self.options;
        let candidate = |(actor, seen): (&ActorId, &Seen)| {
            let (to, most) = strongest(&seen.from)?;
            let total: u32 = seen.from.iter().fold(0, |sum, n| sum.saturating_add(*n));
            let is_clear = u64::from(most) * 100 >= u64::from(total) * u64::from(options.majority);
            let stays = self.moved.get(actor).is_some_and(|moved| now < moved.until);
            if total < options.samples || !is_clear || stays {
                return None;
            }
            let from = home(*actor).filter(|from| *from != to)?;
            let actor = *actor;
            Some((Reverse(most), Move { actor, from, to }))
        };
        let mut candidates: Vec<_> = self.actors.iter().filter_map(candidate).collect();
        // The cap goes to those whose moves are worth most; and the order of a map is nobody's wish.
        candidates.sort_unstable_by_key(|(most, each)| (*most, each.actor));
        candidates.into_iter().map(|(_, each)| each).collect()
    }

    fn note_move(&mut self, actor: ActorId, now: Tick) {
        let stay = self.options.stay;
        // Still in mind means that it has not stayed long enough for `forget`: it goes to and fro.
        let doublings = self
            .moved
            .get(&actor)
            .map_or(0, |moved| (moved.doublings + 1).min(STAY_DOUBLINGS_MAX));
        let until = now.after(stay * (1 << doublings));
        self.moved.insert(actor, Moved { until, doublings });
    }

    /// Halves all counts and drops what they leave at nothing.
    fn forget(&mut self, now: Tick) {
        self.actors.retain(|_, seen| {
            let mut any = false;
            for count in &mut seen.from {
                *count /= 2;
                any |= *count > 0;
            }
            any
        });
        let stay = self.options.stay;
        self.moved
            .retain(|_, moved| moved.until.until(now) < stay * (1 << moved.doublings));
    }
}

/// Of each two NUMA nodes only one gives actors to the other, the one with more to give; second, those
/// passed over. Two partners that both went where the other was would be as far apart as before.
fn one_way(candidates: Vec<Move>) -> (Vec<Move>, Vec<Move>) {
    let mut wish: HashMap<(usize, usize), usize> = HashMap::new();
    for each in &candidates {
        *wish.entry((each.from, each.to)).or_default() += 1;
    }
    let wins = |each: &Move| {
        let there = wish[&(each.from, each.to)];
        let back = wish.get(&(each.to, each.from)).copied().unwrap_or(0);
        there > back || there == back && each.from < each.to
    };
    candidates.into_iter().partition(wins)
}

fn strongest(from: &[u32]) -> Option<(usize, u32)> {
    let most = from.iter().enumerate().max_by_key(|(_, count)| **count);
    most.map(|(index, count)| (index, *count))
}

#[cfg(test)]
#[path = "balancer_tests.rs"]
mod tests;
