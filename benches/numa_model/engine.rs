//! The simulation: each worker a clock, events in the order of time, one message or send per event.
//!
//! Queues, stealing, sleep and wake, placement and balancing are the runtime's own code
//! (`actor_core::model`); what is here follows `cell::turn`, `mailbox::inbox` and `memory` line by line of
//! cache: which line is touched when, by whom.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use actor_core::Balancing;
use actor_core::model::{self, Beyond, Next, SENDS_BEFORE_EXPOSE, Source, Stepped};

use crate::balance;
use crate::crossing::{Across, Drain};
use crate::lane::{Lane, Message, Queued};
use crate::lines::{Access, Holds, LineId, Lines};
use crate::machine::Machine;
use crate::policy::{Lanes, Placed, Policy, View};
use crate::random::Random;
use crate::result::{Outcome, Tally};
use crate::slab::Slab;
use crate::workload::{Send, Workload};

/// One actor: its cell's two lines, its state, its mailbox.
#[derive(Debug)]
pub(crate) struct Actor {
    /// The socket its memory is on; with `View::Numa` its home.
    pub(crate) home: usize,
    /// Inbox, generation, place, link.
    pub(crate) senders: LineId,
    /// Signals, FIFO, current.
    pub(crate) owners: LineId,
    pub(crate) state: Vec<LineId>,
    pub(crate) inbox: VecDeque<Queued>,
    pub(crate) fifo: VecDeque<Queued>,
    pub(crate) scheduled: bool,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) now: u64,
    pub(crate) phase: Phase,
    /// The number of the event that it waits for; others are of yesterday.
    pub(crate) event: u64,
    /// Since when there has been nothing to do at home. Turns of guests do not count.
    pub(crate) idle_since: u64,
    pub(crate) was_guest: bool,
    /// Both ends of its ring, and the slots.
    pub(crate) ring: LineId,
    pub(crate) slots: LineId,
    /// What it keeps for sending across.
    pub(crate) across: Across,
}

#[derive(Debug)]
pub(crate) enum Phase {
    Look,
    /// Slices of spinning left, and until when the present one lasts.
    Search {
        slices: u32,
        until: Option<u64>,
    },
    Asleep,
    Turn(Turn),
    Drain(Drain),
}

#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) actor: usize,
    pub(crate) guest_of: Option<usize>,
    pub(crate) budget: u32,
    pub(crate) began: u64,
    pub(crate) sends: u32,
    /// The message being handled; whether it is still in the inbox.
    pub(crate) current: Option<(Queued, bool)>,
    pub(crate) out: Vec<Send>,
}

/// What a push has found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pushed {
    pub(crate) was_idle: bool,
    /// Another core was just using the line: here this stands for a lost race.
    pub(crate) waited: bool,
}

/// What the workers of one home share.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) injector: LineId,
    pub(crate) idle: Vec<LineId>,
    /// What lies in the injector, in order.
    pub(crate) injected: VecDeque<usize>,
}

#[derive(Debug)]
pub(crate) struct Engine<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) policy: Policy,
    pub(crate) workload: Workload,
    pub(crate) random: Random,
    pub(crate) lines: Lines,
    pub(crate) slab: Slab,
    pub(crate) stepped: Stepped,
    pub(crate) actors: Vec<Actor>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) homes: Vec<Home>,
    pub(crate) events: BinaryHeap<Reverse<(u64, u64, usize)>>,
    pub(crate) events_so_far: u64,
    pub(crate) limit: u64,
    pub(crate) tally: Tally,
    pub(crate) moves: u64,
}

/// Runs a workload under a policy until so many messages are handled, and then until none is left.
pub(crate) fn run(
    machine: &Machine,
    policy: Policy,
    workload: &Workload,
    messages: u64,
    seed: u64,
) -> Outcome {
    let ends = workload.ends();
    let limit = if ends { u64::MAX } else { messages };
    let mut engine = Engine::new(machine, policy, workload.clone(), limit, seed);
    engine.start();
    if ends {
        engine.mark(0);
    }
    let mut at = 0;
    while let Some(Reverse((now, event, worker))) = engine.events.pop() {
        if event != engine.workers[worker].event {
            continue;
        }
        engine.workers[worker].now = now;
        engine.step(worker);
        if matches!(
            engine.workers[worker].phase,
            Phase::Turn(_) | Phase::Drain(_)
        ) {
            at = at.max(now);
        }
        if !engine.workload.ends() && engine.tally.is_due(engine.limit) {
            engine.mark(now);
        }
    }
    if ends {
        engine.mark(at);
    }
    let queued = engine
        .actors
        .iter()
        .map(|actor| actor.inbox.len() + actor.fifo.len())
        .sum();
    engine.tally.outcome(queued, engine.moves)
}

impl<'a> Engine<'a> {
    fn new(
        machine: &'a Machine,
        policy: Policy,
        workload: Workload,
        limit: u64,
        seed: u64,
    ) -> Self {
        let mut random = Random::new(seed);
        let mut lines = Lines::new(machine);
        let spawned = place(machine, policy, &workload, &mut random);
        let mut settled = spawned.clone();
        let moves = match policy.balanced {
            Some(majority) => {
                // The cap only stretches the time.
                let options = Balancing::new().majority(majority).moves_per_second(1000);
                balance::settle(machine, &workload, options, &mut settled, &mut random)
            }
            None => 0,
        };
        let actor = |(&spawned, &home): (&usize, &usize)| Actor {
            home,
            senders: lines.add(spawned, Holds::Shared),
            owners: lines.add(spawned, Holds::Other),
            state: (0..workload.state_lines)
                .map(|_| lines.add(home, Holds::Other))
                .collect(),
            inbox: VecDeque::new(),
            fifo: VecDeque::new(),
            scheduled: false,
        };
        let actors: Vec<Actor> = spawned.iter().zip(&settled).map(actor).collect();
        let slab = Slab::new(machine, &mut lines);
        let sockets = machine.sockets;
        let lanes_of_pair = policy.lanes_per_pair;
        let lanes: Vec<Lane> = (0..sockets * sockets * lanes_of_pair)
            .map(|lane| lane / lanes_of_pair)
            .map(|pair| Lane::new(&mut lines, pair / sockets, pair % sockets))
            .collect();
        let worker = |core: usize| Worker {
            now: 0,
            phase: Phase::Look,
            event: 0,
            idle_since: 0,
            was_guest: false,
            ring: lines.add(machine.socket(core), Holds::Shared),
            slots: lines.add(machine.socket(core), Holds::Shared),
            across: Across::new(sockets),
        };
        let workers: Vec<Worker> = (0..machine.cores()).map(worker).collect();
        let (members, distances) = match policy.view {
            View::Numa => (
                vec![machine.cores_per_socket; sockets],
                machine.distances.clone(),
            ),
            View::Flat => (vec![machine.cores()], vec![vec![10]]),
        };
        let home = |(socket, &members): (usize, &usize)| Home {
            injector: lines.add(socket, Holds::Shared),
            idle: (0..members.div_ceil(56))
                .map(|_| lines.add(socket, Holds::Shared))
                .collect(),
            injected: VecDeque::new(),
        };
        let homes: Vec<Home> = members.iter().enumerate().map(home).collect();
        let beyond = if policy.far {
            Beyond::Default
        } else {
            Beyond::Never
        };
        let streak = (!policy.lifo).then_some(0);
        let tasks = actors.len() + lanes.len();
        Self {
            machine,
            policy,
            stepped: Stepped::new(&members, &distances, beyond, streak, tasks),
            workload,
            random,
            lines,
            slab,
            actors,
            lanes,
            workers,
            homes,
            events: BinaryHeap::new(),
            events_so_far: 0,
            limit,
            tally: Tally::new(machine.cores()),
            moves,
        }
    }

    /// The measured part begins or ends.
    fn mark(&mut self, at: u64) {
        let counts = self.stepped.counts();
        self.tally.mark(at, self.lines.crossings, counts);
    }

    /// The first messages lie in the mailboxes, their actors in the injectors, and all workers get up.
    fn start(&mut self) {
        for (to, sort) in self.workload.start(&mut self.random) {
            let home = self.actors[to].home;
            let core = home * self.machine.cores_per_socket;
            let (block, _) = self
                .slab
                .alloc(self.machine, &mut self.lines, 0, core, home);
            let message = Message {
                from: to,
                to,
                sort,
                sent: 0,
                socket: home,
            };
            let actor = &mut self.actors[to];
            actor.inbox.push_back(Queued {
                message,
                block,
                arena: home,
            });
            self.tally.offered += 1;
            if !std::mem::replace(&mut actor.scheduled, true) {
                let home = self.queue_of(home);
                self.homes[home].injected.push_back(to);
                self.stepped.inject(core, to, home);
            }
        }
        for worker in 0..self.workers.len() {
            self.wake_at(worker, 0);
        }
    }

    fn wake_at(&mut self, worker: usize, at: u64) {
        self.events_so_far += 1;
        self.workers[worker].event = self.events_so_far;
        self.events.push(Reverse((at, self.events_so_far, worker)));
    }

    /// One event of a worker.
    fn step(&mut self, worker: usize) {
        match std::mem::replace(&mut self.workers[worker].phase, Phase::Look) {
            Phase::Look => self.look(worker),
            Phase::Search { slices, until } => self.search(worker, slices, until),
            Phase::Asleep => self.get_up(worker),
            Phase::Turn(turn) => self.turn(worker, turn),
            Phase::Drain(drain) => self.drain(worker, drain),
        }
        let state = &self.workers[worker];
        if !matches!(state.phase, Phase::Asleep) {
            self.wake_at(worker, state.now);
        }
    }

    /// A worker touches a line, and its clock goes on.
    pub(crate) fn touch(&mut self, worker: usize, line: LineId, access: Access) {
        let state = &mut self.workers[worker];
        state.now += self
            .lines
            .access(self.machine, state.now, worker, line, access);
    }

    pub(crate) fn spend(&mut self, worker: usize, nanos: u64) {
        self.workers[worker].now += nanos;
    }

    /// The scheduler's home for what lives on that socket.
    pub(crate) fn queue_of(&self, socket: usize) -> usize {
        match self.policy.view {
            View::Numa => socket,
            View::Flat => 0,
        }
    }

    pub(crate) fn home_of_worker(&self, worker: usize) -> usize {
        self.queue_of(self.machine.socket(worker))
    }

    /// The line that links a task into queues.
    fn link_of(&self, task: usize) -> LineId {
        match self.actors.get(task) {
            Some(actor) => actor.senders,
            None => self.lanes[task - self.actors.len()].head,
        }
    }

    // Finding work.

    fn look(&mut self, worker: usize) {
        let home = self.home_of_worker(worker);
        let injector = self.homes[home].injector;
        if let Some(next) = self.stepped.next(worker) {
            self.collect_woken(worker);
            return self.begin(worker, next);
        }
        let state = &mut self.workers[worker];
        if !std::mem::take(&mut state.was_guest) {
            state.idle_since = state.now;
        }
        self.touch(worker, injector, Access::Load);
        let idle = self.idle_line(worker);
        self.touch(worker, idle, Access::Rmw);
        if self.stepped.start_searching(worker) {
            self.workers[worker].phase = Phase::Search {
                slices: Stepped::spin().1,
                until: None,
            };
        } else {
            self.sleep(worker);
        }
    }

    fn idle_line(&self, worker: usize) -> LineId {
        let home = self.home_of_worker(worker);
        let slot = match self.policy.view {
            View::Numa => worker % self.machine.cores_per_socket,
            View::Flat => worker,
        };
        self.homes[home].idle[slot / 56]
    }

    fn search(&mut self, worker: usize, slices: u32, until: Option<u64>) {
        let (spin, all_slices) = Stepped::spin();
        let first = slices == all_slices;
        let home = self.home_of_worker(worker);
        if let Some(until) = until
            && self.workers[worker].now < until
            && !self.stepped.sees_work(worker, slices + 1 == all_slices)
        {
            let injector = self.homes[home].injector;
            self.touch(worker, injector, Access::Load);
            self.spend(worker, SPIN_STEP);
            self.workers[worker].phase = Phase::Search {
                slices,
                until: Some(until),
            };
            return;
        }
        self.spend(worker, self.machine.costs.search);
        let injector = self.homes[home].injector;
        self.touch(worker, injector, Access::Load);
        let idle_for = self.idle_for(worker);
        let found = self.stepped.search(worker, first, idle_for);
        self.look_into_rings(worker, home, found.as_ref());
        self.collect_woken(worker);
        match found {
            Some(next) => {
                let idle = self.idle_line(worker);
                self.touch(worker, idle, Access::Rmw);
                self.begin(worker, next);
            }
            None if slices > 0 => {
                let slice = spin.as_nanos() as u64 / u64::from(all_slices);
                let until = Some(self.workers[worker].now + slice);
                self.workers[worker].phase = Phase::Search {
                    slices: slices - 1,
                    until,
                };
            }
            None => self.sleep(worker),
        }
    }

    /// A search reads the ends of the rings it passes, half of them if it ends at one of them, and the
    /// words of the other homes if it looks there.
    fn look_into_rings(&mut self, worker: usize, home: usize, found: Option<&Next>) {
        let cores = match self.policy.view {
            View::Numa => {
                let first = home * self.machine.cores_per_socket;
                first..first + self.machine.cores_per_socket
            }
            View::Flat => 0..self.workers.len(),
        };
        let seats = cores.len();
        let passed = match found.map(|next| next.source) {
            Some(Source::Theft(..)) if found.is_some_and(|next| next.guest_of.is_none()) => {
                seats / 2
            }
            Some(Source::Injector(_)) => 0,
            _ => seats,
        };
        let start = cores.start;
        for step in 0..passed {
            let other = start + (worker - start + 1 + step) % seats;
            let ring = self.workers[other].ring;
            self.touch(worker, ring, Access::Scan);
        }
        let looked_far = found.is_none_or(|next| next.guest_of.is_some());
        if looked_far && self.policy.far {
            for other in 0..self.homes.len() {
                if other != home {
                    let idle = self.homes[other].idle[0];
                    self.touch(worker, idle, Access::Scan);
                }
            }
        }
    }

    fn sleep(&mut self, worker: usize) {
        let idle = self.idle_line(worker);
        self.touch(worker, idle, Access::Rmw);
        self.workers[worker].phase = if self.stepped.sleep(worker) {
            if let Some(far_in) = self.stepped.far_in(worker) {
                let at = self.workers[worker].now + far_in.as_nanos() as u64;
                self.wake_at(worker, at);
            }
            Phase::Asleep
        } else {
            Phase::Search {
                slices: Stepped::spin().1,
                until: None,
            }
        };
    }

    /// A sleeper's time is over: work waits elsewhere.
    fn get_up(&mut self, worker: usize) {
        let idle = self.idle_line(worker);
        self.touch(worker, idle, Access::Rmw);
        let idle_for = self.idle_for(worker);
        let found = self.stepped.search_in_time(worker, idle_for);
        self.collect_woken(worker);
        match found {
            Some(next) => self.begin(worker, next),
            None => self.sleep(worker),
        }
    }

    fn idle_for(&self, worker: usize) -> Duration {
        let state = &self.workers[worker];
        Duration::from_nanos(state.now - state.idle_since)
    }

    /// Whom the last step has woken: it costs the waker, and they search after a while.
    pub(crate) fn collect_woken(&mut self, waker: usize) {
        for woken in self.stepped.take_woken() {
            let at = self.workers[waker].now;
            let idle = self.idle_line(woken);
            self.touch(waker, idle, Access::Rmw);
            self.spend(waker, self.machine.costs.wake);
            let state = &mut self.workers[woken];
            state.phase = Phase::Search {
                slices: Stepped::spin().1,
                until: None,
            };
            state.now = at + self.machine.costs.woken;
            let at = state.now;
            self.wake_at(woken, at);
        }
    }

    /// The lines of taking a task out of where it lay; then its turn.
    fn begin(&mut self, worker: usize, next: Next) {
        let own_home = self.home_of_worker(worker);
        self.workers[worker].was_guest = next.guest_of.is_some();
        match next.source {
            Source::Lifo => {}
            Source::Ring => {
                let ring = self.workers[worker].ring;
                self.touch(worker, ring, Access::Rmw);
            }
            Source::Injector(tasks) => {
                let home = next.guest_of.unwrap_or(own_home);
                let injector = self.homes[home].injector;
                self.touch(worker, injector, Access::Rmw);
                for _ in 0..tasks {
                    if let Some(task) = self.homes[home].injected.pop_front() {
                        let link = self.link_of(task);
                        self.touch(worker, link, Access::Load);
                    }
                }
            }
            Source::Theft(victim, _) => {
                let (ring, slots) = (self.workers[victim].ring, self.workers[victim].slots);
                self.touch(worker, ring, Access::Rmw);
                self.touch(worker, slots, Access::Load);
                self.touch(worker, ring, Access::Rmw);
                let own = self.workers[worker].ring;
                self.touch(worker, own, Access::Store);
            }
        }
        self.spend(worker, self.machine.costs.turn);
        let began = self.workers[worker].now;
        self.workers[worker].phase = match next.task.checked_sub(self.actors.len()) {
            None => {
                if let Some(home) = next.guest_of {
                    self.settle_from(worker, home);
                }
                let owners = self.actors[next.task].owners;
                self.touch(worker, owners, Access::Load);
                Phase::Turn(Turn {
                    actor: next.task,
                    guest_of: next.guest_of,
                    budget: model::MESSAGES_PER_TURN,
                    began,
                    sends: 0,
                    current: None,
                    out: Vec::new(),
                })
            }
            Some(lane) => Phase::Drain(self.begin_drain(worker, lane, next.guest_of)),
        };
    }

    // A turn.

    fn turn(&mut self, worker: usize, mut turn: Turn) {
        if let Some((to, sort)) = turn.out.pop() {
            let message = Message {
                from: turn.actor,
                to,
                sort,
                sent: self.workers[worker].now,
                socket: self.machine.socket(worker),
            };
            self.send(worker, &turn, message);
            turn.sends += 1;
            if turn.sends == SENDS_BEFORE_EXPOSE {
                turn.sends = 0;
                self.stepped.expose(worker);
                self.collect_woken(worker);
            }
            self.workers[worker].phase = Phase::Turn(turn);
            return;
        }
        if let Some((queued, in_place)) = turn.current.take()
            && self.finish(worker, turn.actor, queued, in_place)
        {
            return self.flush_all(worker);
        }
        let late = turn.budget.is_multiple_of(model::CLOCK_EVERY)
            && u128::from(self.workers[worker].now - turn.began) > model::TURN_TIME.as_nanos();
        if turn.budget == 0 || late {
            let senders = self.actors[turn.actor].senders;
            self.touch(worker, senders, Access::Store);
            self.flush_all(worker);
            self.stepped.again(worker, turn.actor, turn.guest_of);
            if let Some(home) = turn.guest_of {
                self.homes[home].injected.push_back(turn.actor);
            }
            return self.collect_woken(worker);
        }
        let Some((queued, in_place)) = self.take(worker, turn.actor) else {
            return self.flush_all(worker);
        };
        turn.budget -= 1;
        self.handle(worker, turn.actor, queued, &mut turn.out);
        turn.current = Some((queued, in_place));
        self.workers[worker].phase = Phase::Turn(turn);
    }

    /// The next message, and whether it is still in the inbox. `None`: the actor has gone idle.
    fn take(&mut self, worker: usize, actor: usize) -> Option<(Queued, bool)> {
        if let Some(queued) = self.actors[actor].fifo.pop_front() {
            return Some((queued, false));
        }
        let senders = self.actors[actor].senders;
        self.touch(worker, senders, Access::Load);
        match self.actors[actor].inbox.len() {
            0 => {
                self.touch(worker, senders, Access::Rmw);
                self.actors[actor].scheduled = false;
                None
            }
            1 => self.actors[actor]
                .inbox
                .front()
                .map(|queued| (*queued, true)),
            _ => {
                self.take_all(worker, actor);
                let queued = self.actors[actor].fifo.pop_front();
                queued.map(|queued| (queued, false))
            }
        }
    }

    /// The stack is taken and turned round: each node is read, and its link written.
    fn take_all(&mut self, worker: usize, actor: usize) {
        let senders = self.actors[actor].senders;
        self.touch(worker, senders, Access::Rmw);
        let taken = std::mem::take(&mut self.actors[actor].inbox);
        for queued in taken.iter().rev() {
            self.touch(worker, queued.block, Access::Load);
            self.touch(worker, queued.block, Access::Store);
        }
        self.actors[actor].fifo.extend(taken);
    }

    fn handle(&mut self, worker: usize, actor: usize, queued: Queued, out: &mut Vec<Send>) {
        let now = self.workers[worker].now;
        self.tally
            .handled(&queued.message, now, self.machine.socket(worker));
        self.touch(worker, queued.block, Access::Load);
        let owners = self.actors[actor].owners;
        self.touch(worker, owners, Access::Store);
        for at in 0..self.actors[actor].state.len() {
            let line = self.actors[actor].state[at];
            let access = if at == 0 { Access::Load } else { Access::Scan };
            self.touch(worker, line, access);
            if at % 4 == 0 {
                self.touch(worker, line, Access::Store);
            }
        }
        self.spend(worker, self.machine.costs.message + self.workload.work);
        if self.tally.handled_all < self.limit {
            let Message { from, sort, .. } = queued.message;
            let random = &mut self.random;
            self.workload.handle(random, actor, from, sort, out);
            out.reverse();
        }
    }

    /// The end of a message; `true`: the actor went idle with it.
    fn finish(&mut self, worker: usize, actor: usize, queued: Queued, in_place: bool) -> bool {
        let mut idle = false;
        if in_place {
            let senders = self.actors[actor].senders;
            self.touch(worker, senders, Access::Rmw);
            self.actors[actor].inbox.pop_front();
            idle = self.actors[actor].inbox.is_empty();
            if idle {
                self.actors[actor].scheduled = false;
            } else {
                self.take_all(worker, actor);
            }
        }
        self.free(worker, queued);
        idle
    }

    fn free(&mut self, worker: usize, queued: Queued) {
        let now = self.workers[worker].now;
        let cost = self.slab.free(
            self.machine,
            &mut self.lines,
            now,
            worker,
            queued.arena,
            queued.block,
        );
        self.spend(worker, cost);
    }

    // Sending.

    fn send(&mut self, worker: usize, turn: &Turn, message: Message) {
        self.tally.offered += 1;
        let here = self.machine.socket(worker);
        let home = self.actors[message.to].home;
        let by_lane = home != here && turn.guest_of.is_none();
        match self.policy.lanes {
            Lanes::Chunks(layout) if by_lane => self.append(worker, layout, home, message),
            Lanes::Auto | Lanes::Unseen | Lanes::Always if by_lane => {
                self.send_across(worker, home, turn.sends == 0, message);
            }
            _ => {
                let arena = match self.policy.view {
                    View::Numa => home,
                    View::Flat => here,
                };
                let senders = self.actors[message.to].senders;
                self.touch(worker, senders, Access::Load);
                let queued = self.lay_down(worker, arena, message);
                self.push(worker, message.to, [queued], self.policy.lifo);
            }
        }
    }

    /// A message into a block of that arena.
    pub(crate) fn lay_down(&mut self, worker: usize, arena: usize, message: Message) -> Queued {
        let now = self.workers[worker].now;
        let (block, cost) = self
            .slab
            .alloc(self.machine, &mut self.lines, now, worker, arena);
        self.spend(worker, cost);
        self.touch(worker, block, Access::Store);
        Queued {
            message,
            block,
            arena,
        }
    }

    /// One CAS for a chain of messages to one actor.
    pub(crate) fn push(
        &mut self,
        worker: usize,
        to: usize,
        chain: impl IntoIterator<Item = Queued>,
        next: bool,
    ) -> Pushed {
        let senders = self.actors[to].senders;
        let waited = self
            .lines
            .is_wanted_elsewhere(senders, self.workers[worker].now);
        self.touch(worker, senders, Access::Rmw);
        let actor = &mut self.actors[to];
        actor.inbox.extend(chain);
        let was_idle = !std::mem::replace(&mut actor.scheduled, true);
        if was_idle {
            let home = actor.home;
            self.schedule(worker, to, home, next);
        }
        Pushed { was_idle, waited }
    }

    pub(crate) fn schedule(&mut self, worker: usize, task: usize, socket: usize, next: bool) {
        let home = self.queue_of(socket);
        let local = home == self.home_of_worker(worker) && !self.policy.global_queue;
        if local {
            let before = self.stepped.ring_len(worker);
            self.stepped.schedule(worker, task, home, next);
            if self.stepped.ring_len(worker) != before {
                let (ring, slots) = (self.workers[worker].ring, self.workers[worker].slots);
                self.touch(worker, slots, Access::Store);
                self.touch(worker, ring, Access::Store);
                self.look_for_sleepers(worker, home);
            }
        } else {
            let injector = self.homes[home].injector;
            self.touch(worker, injector, Access::Rmw);
            if let Some(&tail) = self.homes[home].injected.back() {
                let link = self.link_of(tail);
                self.touch(worker, link, Access::Store);
            }
            self.homes[home].injected.push_back(task);
            self.stepped.inject(worker, task, home);
            self.look_for_sleepers(worker, home);
        }
        self.collect_woken(worker);
    }

    fn look_for_sleepers(&mut self, worker: usize, home: usize) {
        for word in 0..self.homes[home].idle.len() {
            let line = self.homes[home].idle[word];
            self.touch(worker, line, Access::Scan);
        }
    }
}

/// The home of each actor when it is spawned.
fn place(
    machine: &Machine,
    policy: Policy,
    workload: &Workload,
    random: &mut Random,
) -> Vec<usize> {
    let sockets = machine.sockets;
    let home = |group: &u32| match policy.placement {
        Placed::Anywhere => random.below(sockets),
        Placed::ByGroup if workload.by_key => model::by_key(u64::from(*group), sockets),
        Placed::ByGroup => *group as usize % sockets,
    };
    workload.group.iter().map(home).collect()
}

/// Nanoseconds between two looks of a spinning worker. The runtime looks every 0.3 us.
const SPIN_STEP: u64 = 500;
