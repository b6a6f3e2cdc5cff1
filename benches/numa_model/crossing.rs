//! Messages to another NUMA node: straight, by lanes of linked nodes, or by chunks.
//!
//! A design that is measured here before it is decided on: a lane is used from the third send across on, sooner
//! where others were faster at the mailbox, and as long as it is busy.

use std::collections::VecDeque;

use crate::engine::{Engine, Phase};
use crate::lane::{Chunk, Layout, Message, Queued};
use crate::lines::{Access, LineId};
use crate::policy::Lanes;

/// What a worker keeps for sending across, by NUMA node.
#[derive(Debug)]
pub(crate) struct Across {
    /// How much it sends there just now.
    pressure: Vec<u32>,
    /// The chunk being filled.
    open: Vec<Option<Chunk>>,
    /// Empty ones at hand.
    spare: Vec<Vec<Chunk>>,
}

/// A turn of a lane.
#[derive(Debug)]
pub(crate) struct Drain {
    lane: usize,
    guest_of: Option<usize>,
    batches: usize,
    /// Taken and not looked at yet.
    taken: VecDeque<Queued>,
    /// Rows of messages for one actor each.
    chains: Vec<(usize, Vec<Queued>)>,
    chunks: VecDeque<Chunk>,
    at: usize,
    done: Vec<Chunk>,
}

impl Across {
    pub(crate) fn new(numa_nodes: usize) -> Self {
        Self {
            pressure: vec![0; numa_nodes],
            open: (0..numa_nodes).map(|_| None).collect(),
            spare: (0..numa_nodes).map(|_| Vec::new()).collect(),
        }
    }
}

impl Engine<'_> {
    fn lane(&self, from: usize, to: usize, target: usize) -> usize {
        let each = self.policy.lanes_per_pair;
        (from * self.machine.sockets + to) * each + target % each
    }

    /// By lane where it pays.
    pub(crate) fn send_across(
        &mut self,
        worker: usize,
        home: usize,
        first_of_turn: bool,
        message: Message,
    ) {
        let lane = self.lane(message.socket, home, message.to);
        let (head, senders) = (self.lanes[lane].head, self.actors[message.to].senders);
        if self.policy.lanes != Lanes::Unseen {
            self.touch(worker, senders, Access::Load);
        }
        self.touch(worker, head, Access::Load);
        let queued = self.lay_down(worker, home, message);
        let idle = !self.lanes[lane].scheduled;
        let alone = first_of_turn && !self.actors[message.to].scheduled;
        let pressure = self.workers[worker].across.pressure[home];
        let wanted = !idle || self.policy.lanes == Lanes::Always || !alone && pressure >= START;
        let limit = (MARGIN / (self.machine.sockets - 1)).clamp(16, 128);
        if wanted && self.lanes[lane].waiting.len() < limit {
            self.touch(worker, head, Access::Rmw);
            self.lanes[lane].waiting.push(queued);
            self.call_lane(worker, lane, home);
            return;
        }
        if !idle {
            self.settle(worker, lane);
        }
        let pushed = self.push(worker, message.to, [queued], self.policy.lifo);
        let pressure = &mut self.workers[worker].across.pressure[home];
        *pressure = if pushed.was_idle && !pushed.waited && first_of_turn {
            0
        } else {
            let more = if pushed.waited { RACE + 1 } else { 1 };
            (*pressure + more).min(PRESSURE_MAX)
        };
    }

    fn call_lane(&mut self, worker: usize, lane: usize, home: usize) {
        if !std::mem::replace(&mut self.lanes[lane].scheduled, true) {
            let task = self.actors.len() + lane;
            self.schedule(worker, task, home, true);
        }
    }

    /// The turn of a guest: what its home has sent by lane is delivered first.
    pub(crate) fn settle_from(&mut self, worker: usize, home: usize) {
        if !matches!(
            self.policy.lanes,
            Lanes::Auto | Lanes::Unseen | Lanes::Always
        ) {
            return;
        }
        let pairs = (0..self.machine.sockets).filter(|to| *to != home);
        let each = 0..self.policy.lanes_per_pair;
        for (to, target) in pairs.flat_map(|to| each.clone().map(move |target| (to, target))) {
            let lane = self.lane(home, to, target);
            {
                let head = self.lanes[lane].head;
                self.touch(worker, head, Access::Scan);
                self.settle(worker, lane);
            }
        }
    }

    /// Whoever needs it empties a lane.
    fn settle(&mut self, worker: usize, lane: usize) {
        if self.lanes[lane].waiting.is_empty() {
            return;
        }
        let (lock, head) = (self.lanes[lane].lock, self.lanes[lane].head);
        self.touch(worker, lock, Access::Rmw);
        self.touch(worker, head, Access::Rmw);
        let batch = std::mem::take(&mut self.lanes[lane].waiting);
        self.tally.flushed(batch.len());
        let mut chains = Vec::new();
        for queued in batch {
            self.link(worker, &mut chains, queued);
        }
        for (to, chain) in chains {
            self.push(worker, to, chain, false);
        }
    }

    /// A message to the end of the row for its actor: its link is read and written.
    fn link(&mut self, worker: usize, chains: &mut Vec<(usize, Vec<Queued>)>, queued: Queued) {
        self.touch(worker, queued.block, Access::Load);
        self.touch(worker, queued.block, Access::Store);
        let to = queued.message.to;
        match chains.iter_mut().find(|(actor, _)| *actor == to) {
            Some((_, chain)) => chain.push(queued),
            None => chains.push((to, vec![queued])),
        }
    }

    pub(crate) fn begin_drain(
        &mut self,
        worker: usize,
        lane: usize,
        guest_of: Option<usize>,
    ) -> Drain {
        let mut drain = Drain {
            lane,
            guest_of,
            batches: 0,
            taken: VecDeque::new(),
            chains: Vec::new(),
            chunks: VecDeque::new(),
            at: 0,
            done: Vec::new(),
        };
        self.take_batch(worker, &mut drain);
        drain
    }

    fn take_batch(&mut self, worker: usize, drain: &mut Drain) {
        let lane = &mut self.lanes[drain.lane];
        let (lock, head) = (lane.lock, lane.head);
        drain.chunks = std::mem::take(&mut lane.published).into();
        drain.taken = std::mem::take(&mut lane.waiting).into();
        drain.batches += 1;
        if !drain.taken.is_empty() {
            self.tally.flushed(drain.taken.len());
            self.touch(worker, lock, Access::Rmw);
        }
        self.touch(worker, head, Access::Rmw);
    }

    /// One step of a lane's turn.
    pub(crate) fn drain(&mut self, worker: usize, mut drain: Drain) {
        if let Lanes::Chunks(layout) = self.policy.lanes {
            return self.drain_chunk(worker, layout, drain);
        }
        if let Some(queued) = drain.taken.pop_front() {
            self.link(worker, &mut drain.chains, queued);
            if drain.chains.len() > CHAINS {
                let (to, chain) = drain.chains.remove(0);
                self.push(worker, to, chain, false);
            }
        } else if let Some((to, chain)) = drain.chains.pop() {
            self.push(worker, to, chain, false);
        } else if !self.lanes[drain.lane].waiting.is_empty() && drain.batches < BATCHES {
            self.take_batch(worker, &mut drain);
        } else {
            return self.rest(worker, &drain);
        }
        self.workers[worker].phase = Phase::Drain(drain);
    }

    /// The lane goes idle, or to the back of the queue.
    fn rest(&mut self, worker: usize, drain: &Drain) {
        let lane = drain.lane;
        let head = self.lanes[lane].head;
        self.touch(worker, head, Access::Rmw);
        if self.lanes[lane].published.is_empty() && self.lanes[lane].waiting.is_empty() {
            self.lanes[lane].scheduled = false;
            return;
        }
        let task = self.actors.len() + lane;
        self.stepped.again(worker, task, drain.guest_of);
        if let Some(home) = drain.guest_of {
            self.homes[home].injected.push_back(task);
        }
        self.collect_woken(worker);
    }

    // Chunks.

    pub(crate) fn append(&mut self, worker: usize, layout: Layout, home: usize, message: Message) {
        let chunk = match self.workers[worker].across.open[home].take() {
            Some(chunk) => chunk,
            None => self.empty_chunk(worker, &layout, home),
        };
        for line in layout.range(chunk.entries.len()) {
            self.touch(worker, chunk.lines[line], Access::Store);
        }
        let mut chunk = chunk;
        chunk.entries.push(message);
        let is_full = chunk.entries.len() == layout.entries;
        self.workers[worker].across.open[home] = Some(chunk);
        if is_full {
            self.flush(worker, home);
        }
    }

    fn empty_chunk(&mut self, worker: usize, layout: &Layout, home: usize) -> Chunk {
        let here = self.machine.socket(worker);
        if self.workers[worker].across.spare[home].is_empty() {
            // All that have come back, at once.
            let lane = self.lane(here, home, 0);
            let returned = self.lanes[lane].returned;
            self.touch(worker, returned, Access::Rmw);
            self.workers[worker].across.spare[home] = std::mem::take(&mut self.lanes[lane].empty);
        }
        match self.workers[worker].across.spare[home].pop() {
            Some(chunk) => chunk,
            None => Chunk::new(layout, &mut self.lines, here),
        }
    }

    pub(crate) fn flush_all(&mut self, worker: usize) {
        for home in 0..self.machine.sockets {
            if self.workers[worker].across.open[home].is_some() {
                self.flush(worker, home);
            }
        }
    }

    fn flush(&mut self, worker: usize, home: usize) {
        let Some(chunk) = self.workers[worker].across.open[home].take() else {
            return;
        };
        let lane = self.lane(self.machine.socket(worker), home, 0);
        self.tally.flushed(chunk.entries.len());
        self.touch(worker, chunk.lines[0], Access::Store);
        let head = self.lanes[lane].head;
        self.touch(worker, head, Access::Rmw);
        self.lanes[lane].published.push(chunk);
        self.call_lane(worker, lane, home);
    }

    /// One run of messages to the same actor.
    fn drain_chunk(&mut self, worker: usize, layout: Layout, mut drain: Drain) {
        let Some(chunk) = drain.chunks.front() else {
            return self.drained(worker, drain);
        };
        let home = drain.lane / self.policy.lanes_per_pair % self.machine.sockets;
        if drain.at == 0 {
            let header = chunk.lines[0];
            self.touch(worker, header, Access::Load);
        }
        let Some(chunk) = drain.chunks.front() else {
            return;
        };
        let to = chunk.entries[drain.at].to;
        let run: Vec<(Message, Vec<LineId>)> = (drain.at..chunk.entries.len())
            .take_while(|at| chunk.entries[*at].to == to)
            .map(|at| {
                let lines = layout.range(at).map(|line| chunk.lines[line]);
                (chunk.entries[at], lines.collect())
            })
            .collect();
        let entries = chunk.entries.len();
        drain.at += run.len();
        let mut chain = Vec::with_capacity(run.len());
        for (message, lines) in run {
            for line in lines {
                self.touch(worker, line, Access::Scan);
            }
            chain.push(self.lay_down(worker, home, message));
        }
        let senders = self.actors[to].senders;
        self.touch(worker, senders, Access::Load);
        self.push(worker, to, chain, false);
        if drain.at == entries {
            drain.at = 0;
            drain.done.extend(drain.chunks.pop_front());
        }
        self.workers[worker].phase = Phase::Drain(drain);
    }

    /// Empty chunks go back, linked through their first lines; then more, or the lane rests.
    fn drained(&mut self, worker: usize, mut drain: Drain) {
        let lane = drain.lane;
        let returned = self.lanes[lane].returned;
        for chunk in &drain.done {
            self.touch(worker, chunk.lines[0], Access::Store);
        }
        self.touch(worker, returned, Access::Rmw);
        let emptied = drain.done.drain(..).map(|mut chunk| {
            chunk.entries.clear();
            chunk
        });
        self.lanes[lane].empty.extend(emptied);
        self.rest(worker, &drain);
    }
}

/// Messages on all lanes to a NUMA node together.
const MARGIN: usize = 256;
/// Sends across from which on a lane is used.
const START: u32 = 2;
/// What a lost race counts for.
const RACE: u32 = 4;
const PRESSURE_MAX: u32 = 16;
/// Batches of one turn of a lane.
const BATCHES: usize = 4;
/// Rows that are collected at a time.
const CHAINS: usize = 8;
