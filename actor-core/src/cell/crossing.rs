//! Messages from one NUMA node to another: straight into the mailbox, or by batch lane.
//!
//! One lane per ordered pair of NUMA nodes (`mailbox::batch`), in the memory of the one it leads to. Its turn is
//! a task like any other: the header of a cell with `Phase::Lane`, that the first push schedules at its
//! destination, which wakes a worker there if need be. So what lies on a lane is seen by whatever looks for
//! work: the idle workers, the sweep at the end of a system, the test kit's simulation.
//!
//! ```text
//!   send --- home here, never moved ------------------------------> inbox          (no lane involved)
//!     |----- lane busy, or much is sent there: lane.push ---------> lane ~~> chains ~~> inboxes
//!     +----- lane idle (or settled first) ------------------------> inbox
//! ```
//!
//! # Order per sender and target
//!
//! A message goes past a lane only when all that its sender may have put there is in the inboxes:
//!
//! - C1: the lane of a message is that from the NUMA node of the sender's home to that where the target was
//!   spawned. While neither moves, it is always the same one; `send` goes past it when it is idle or settled.
//! - C2: a target that has moved gets nothing by lane any more, but the lane to where it was is still
//!   looked at (`MOVED` in its place word makes it differ from all homes).
//! - C3: a sender that moves settles the lanes from its old home first (`rehome`); so does a guest, whose turn is
//!   on a worker of another NUMA node, and it sends nothing by lane.
//! - C4: who is no actor in its turn (a thread, a task; a handler lent to the blocking pool) settles all
//!   lanes to where the target was spawned. So do signals and notices: a `Drain` must not
//!   stop an actor before what its sender told it, nor a `Terminated` come before the last words.
//!
//! # Bounds
//!
//! A lane holds at most `limit` messages (a sender more or less, if many push at once): a sender that finds it full
//! settles it, and goes straight. A bounded mailbox gets something by lane only while it has more room than all
//! lanes to its NUMA node hold together (`margin`, at most 256); with less, the lane is settled and the mailbox
//! asked as ever. So `Full` is told exactly, and what others fill in between is exceeded by `margin` at most.

use std::alloc::Layout;
use std::ptr::NonNull;

use super::header::{CellHeader, CellRef, mark_of_home};
use super::local::Local;
use super::observe::{self, Event};
use super::runtime::Runtime;
use super::spanning;
use crate::id::{ActorId, NumaNodeId};
use crate::locality::{LaneStats, Lanes};
use crate::mailbox::batch::{Batch, BatchLane};
use crate::mailbox::inbox::{Look, Pushed};
use crate::mailbox::node::{End, Fate, Node};
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};
use crate::scheduler::{After, Hint};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::cache_padded::CachePadded;

/// What all lanes to one NUMA node hold together at most.
const MARGIN: usize = 256;

/// Messages on one lane, for the fewest and the most NUMA nodes.
const LIMIT: std::ops::RangeInclusive<usize> = 16..=128;

/// Sends across from which on a lane is used; see [`Crossings::push_direct`].
const START: u32 = 2;

/// What a lost race counts for.
const RACE: u32 = 4;

/// A worker remembers no more pressure than this.
const PRESSURE_MAX: u32 = 16;

/// Batches of one turn of a lane.
const BATCHES: usize = 4;

/// Chains for different actors that are collected at a time.
const CHAINS: usize = 8;

/// All lanes of one system.
#[derive(Debug)]
pub(crate) struct Crossings {
    numa_nodes: usize,
    /// From `i / numa_nodes` to `i % numa_nodes`; none from one to itself.
    lanes: Box<[Option<&'static Crossing>]>,
    /// Pressure from which on a lane is used that is idle.
    start: u32,
    limit: u64,
    margin: u32,
}

/// One lane. Leaked with its runtime.
#[repr(C)]
struct Crossing {
    /// First: a pointer to the turn is one to the whole.
    turn: CellHeader,
    lane: BatchLane,
    counts: CachePadded<Counts>,
    runtime: &'static Runtime,
    /// Where its targets' cells are.
    arena: u8,
    from: usize,
    to: usize,
}

/// Written under the lane's lock.
#[derive(Debug, Default)]
struct Counts {
    batches: AtomicU64,
    settled: AtomicU64,
    chains: AtomicU64,
    settled_chains: AtomicU64,
}

// SAFETY: the header is made of atomics but for what belongs to the owner of its turn (H2), who alone touches
// it; all else is atomic, locked or never written again.
unsafe impl Sync for Crossing {}
// SAFETY: as above.
unsafe impl Send for Crossing {}

impl std::fmt::Debug for Crossing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crossing")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

const LAYOUT: Layout = Layout::new::<Crossing>();
const CLASS: Class = class_for(LAYOUT);

/// A row of messages for one actor: `newest` leads to `oldest` by `next`.
struct Chain {
    cell: CellRef,
    newest: NonNull<Node>,
    oldest: NonNull<Node>,
    count: u32,
}

/// What is left to do when the lock is given back.
#[derive(Default)]
struct Afterwards {
    schedule: Vec<CellRef>,
    /// Messages for actors that are gone.
    late: Vec<(ActorId, NonNull<Node>)>,
}

impl Crossings {
    /// `None` where there is nothing to cross or it is not wanted.
    pub(super) fn lay(runtime: &'static Runtime, lanes: Lanes) -> Option<Self> {
        let numa_nodes = runtime.numa_nodes().count();
        if numa_nodes < 2 || lanes == Lanes::Off {
            return None;
        }
        let limit = (MARGIN / (numa_nodes - 1)).clamp(*LIMIT.start(), *LIMIT.end());
        let lay = |i: usize| {
            let (from, to) = (i / numa_nodes, i % numa_nodes);
            (from != to).then(|| Crossing::lay(runtime, from, to))
        };
        Some(Self {
            numa_nodes,
            lanes: (0..numa_nodes * numa_nodes).map(lay).collect(),
            start: if lanes == Lanes::Always { 0 } else { START },
            limit: limit as u64,
            margin: (limit * (numa_nodes - 1)) as u32,
        })
    }

    fn lane(&self, from: usize, to: usize) -> Option<&'static Crossing> {
        self.lanes[from * self.numa_nodes + to]
    }

    /// All that lies on any lane is in the inboxes afterwards.
    pub(super) fn settle_all(&self) {
        self.lanes
            .iter()
            .flatten()
            .for_each(|lane| _ = lane.settle());
    }

    /// Settles the lanes that lead there. Whether there was anything.
    fn settle_towards(&self, to: usize) -> bool {
        let lanes = (0..self.numa_nodes).filter_map(|from| self.lane(from, to));
        let mut any = false;
        for lane in lanes {
            any |= lane.settle();
        }
        any
    }

    /// Settles the lanes that lead away from there.
    fn settle_from(&self, from: usize) {
        let lanes = (0..self.numa_nodes).filter_map(|to| self.lane(from, to));
        lanes.for_each(|lane| _ = lane.settle());
    }

    /// # Safety
    ///
    /// As for [`send`]; the turn is no guest's.
    unsafe fn send(&self, local: &Local, target: ActorId, node: NonNull<Node>) -> Pushed {
        let cell = CellRef::of(target);
        let runtime = local.runtime();
        // One look: what is decided below is decided of this.
        let (mark, from) = (cell.home_mark(), local.numa_index());
        let home = home_of(mark);
        let moved = mark != mark_of_home(home) || runtime.arena(home) != target.numa_node().0;
        let to = if moved {
            runtime.numa_index_of(target.numa_node())
        } else {
            Some(home)
        };
        let Some(crossing) = to.and_then(|to| self.lane(from, to)) else {
            // SAFETY: by the caller.
            return unsafe { push_direct(local, cell, home, node) };
        };
        let view = crossing.lane.look();
        let wanted = !view.idle || self.is_wanted(local, cell, crossing.to);
        if wanted && !moved && view.waiting < self.limit && self.has_room(cell) {
            local.traffic().count_by_lane(crossing.to);
            // SAFETY: by the caller; the node is a user's message.
            unsafe { crossing.push(target.index(), node) };
            return if cell.inbox().is_crowded() {
                Pushed::Crowded
            } else {
                Pushed::Queued
            };
        }
        if !view.idle {
            // C1, C2.
            crossing.settle();
        }
        // SAFETY: by the caller.
        unsafe { push_direct(local, cell, crossing.to, node) }
    }

    /// Whether a message is to go by lane although the lane is idle.
    fn is_wanted(&self, local: &Local, cell: CellRef, to: usize) -> bool {
        if self.start == 0 {
            return true;
        }
        // A lone message to an actor that has nothing to do: it should hear of it at once.
        let alone = local.is_first_send() && cell.inbox().is_idle();
        !alone && local.pressure(to).get() >= self.start
    }

    /// Whether a message by lane finds room when it comes, whatever else is under way.
    fn has_room(&self, cell: CellRef) -> bool {
        let inbox = cell.inbox();
        let capacity = inbox.capacity();
        capacity == 0 || inbox.len().saturating_add(self.margin) < capacity
    }
}

impl Crossing {
    fn lay(runtime: &'static Runtime, from: usize, to: usize) -> &'static Self {
        let arena = runtime.arena(to);
        let block = memory::alloc(arena, CLASS, LAYOUT, Purpose::Runtime)
            .unwrap_or_else(|| std::alloc::handle_alloc_error(LAYOUT))
            .cast::<Self>();
        // SAFETY: a block of this layout, ours for ever; a zeroed header is valid (H1).
        unsafe {
            let at = block.as_ptr();
            (&raw mut (*at).turn).write_bytes(0, 1);
            (&raw mut (*at).lane).write(BatchLane::new());
            (&raw mut (*at).counts).write(CachePadded::default());
            (&raw mut (*at).runtime).write(runtime);
            (&raw mut (*at).arena).write(arena);
            (&raw mut (*at).from).write(from);
            (&raw mut (*at).to).write(to);
            CellRef::from_raw(block.cast()).occupy_as_lane(runtime, arena, to);
            block.as_ref()
        }
    }

    fn turn(&'static self) -> CellRef {
        CellRef::from_raw(NonNull::from(self).cast())
    }

    /// The lane whose turn that is.
    ///
    /// # Safety
    ///
    /// The cell's phase is `Lane`.
    unsafe fn of(cell: CellRef) -> &'static Self {
        // SAFETY: by the caller it is the first field of a `Crossing` that is never freed.
        unsafe { cell.as_raw().cast::<Self>().as_ref() }
    }

    /// # Safety
    ///
    /// As for [`send`].
    unsafe fn push(&'static self, index: u32, node: NonNull<Node>) {
        // SAFETY: by the caller.
        let first = unsafe {
            Node::address_to(node, index);
            self.lane.push(node)
        };
        if first {
            self.turn().schedule(Hint::Next);
        }
    }

    /// Whether there was anything.
    fn settle(&'static self) -> bool {
        if self.lane.look().idle {
            return false;
        }
        let mut after = Afterwards::default();
        // SAFETY: what `deliver` is given, it owns.
        unsafe {
            self.lane
                .settle(|batch| self.deliver(&batch, &mut after, true));
        }
        after.see_to(self.runtime);
        true
    }

    /// # Safety
    ///
    /// The caller has the lane's turn. On `true` no longer.
    unsafe fn drain(&'static self, batches: usize) -> bool {
        let mut after = Afterwards::default();
        // SAFETY: by the caller; what `deliver` is given, it owns.
        let idle = unsafe {
            self.lane
                .drain(batches, |batch| self.deliver(&batch, &mut after, false))
        };
        after.see_to(self.runtime);
        idle
    }

    /// Puts the messages of a batch into the inboxes of those they are for, in order. Under the lock.
    ///
    /// # Safety
    ///
    /// The caller owns the batch.
    unsafe fn deliver(&self, batch: &Batch, after: &mut Afterwards, settled: bool) {
        let mut chains: [Option<Chain>; CHAINS] = [const { None }; CHAINS];
        let (mut pushed, mut turn) = (0, 0);
        let mut at = Some(batch.first);
        // SAFETY: D1: the nodes are ours, each until its chain is pushed; `next` is read before that.
        unsafe {
            while let Some(node) = at {
                at = NonNull::new(Node::next(node));
                let index = Node::whom(node);
                let generation = node.as_ref().generation;
                let id = ActorId::new(self.arena, index, generation);
                let cell = CellRef::of(id);
                if cell.generation() != generation {
                    after.late.push((id, node));
                    continue;
                }
                let slot = chains
                    .iter()
                    .position(|chain| chain.as_ref().is_some_and(|chain| chain.cell == cell))
                    .or_else(|| chains.iter().position(Option::is_none))
                    .unwrap_or_else(|| {
                        turn = (turn + 1) % CHAINS;
                        turn
                    });
                let older = match chains[slot].take() {
                    Some(chain) if chain.cell == cell => Some(chain),
                    Some(other) => {
                        // What comes for it later in the batch makes another chain, after this one.
                        pushed += 1;
                        other.push(after);
                        None
                    }
                    None => None,
                };
                chains[slot] = Some(Chain::add(older, cell, node));
            }
            for chain in chains.into_iter().flatten() {
                pushed += 1;
                chain.push(after);
            }
        }
        self.counts.note(pushed, settled);
    }

    fn stats(&self, direct: u64, by_lane: u64, lost_races: u64) -> LaneStats {
        let numa_node = |index| NumaNodeId(self.runtime.arena(index));
        // Relaxed: figures for people.
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LaneStats {
            from: numa_node(self.from),
            to: numa_node(self.to),
            direct,
            lost_races,
            by_lane,
            batches: read(&self.counts.batches),
            settled: read(&self.counts.settled),
            chains: read(&self.counts.chains),
            settled_chains: read(&self.counts.settled_chains),
        }
    }
}

impl Counts {
    fn note(&self, chains: u64, settled: bool) {
        let add = |count: &AtomicU64, n| {
            // Relaxed: one writer at a time, by the lane's lock; readers only look.
            count.store(count.load(Ordering::Relaxed) + n, Ordering::Relaxed);
        };
        add(&self.batches, 1);
        add(&self.chains, chains);
        if settled {
            add(&self.settled, 1);
            add(&self.settled_chains, chains);
        }
    }
}

impl Chain {
    /// # Safety
    ///
    /// The node and the chain are the caller's.
    unsafe fn add(older: Option<Self>, cell: CellRef, node: NonNull<Node>) -> Self {
        let Some(mut chain) = older else {
            return Self {
                cell,
                newest: node,
                oldest: node,
                count: 1,
            };
        };
        // SAFETY: by the caller.
        unsafe { Node::set_next(node, chain.newest.as_ptr()) };
        chain.newest = node;
        chain.count += 1;
        chain
    }

    /// # Safety
    ///
    /// As for `add`; the nodes are of the type of the cell's actor, or of another generation.
    unsafe fn push(self, after: &mut Afterwards) {
        let inbox = self.cell.inbox();
        // SAFETY: by the caller.
        if unsafe { inbox.push_chain(self.newest, self.oldest, self.count) } == Pushed::Schedule {
            after.schedule.push(self.cell);
        }
    }
}

impl Afterwards {
    fn see_to(self, runtime: &'static Runtime) {
        for cell in self.schedule {
            cell.schedule(Hint::Back);
        }
        for (target, node) in self.late {
            // In the books they were accepted in: the cell may be another system's by now.
            // SAFETY: nobody else has the node, and the message is in it.
            unsafe {
                let vtable = node.as_ref().vtable;
                let message = (vtable.message)();
                let fate = Fate::ActorStopped;
                if !node.as_ref().context.is_null() {
                    spanning::ended(runtime, target, node, End::Unhandled(fate));
                }
                let trace = spanning::trace_of(CellRef::of(target), node);
                runtime.record_fate(fate, target, message, trace);
                observe::see(runtime, || Event::Unhandled {
                    actor: target,
                    message,
                    fate,
                });
                (vtable.finish)(node, End::Unhandled(fate));
            }
        }
    }
}

/// Sends a message of the turn on this worker to an actor of the same system that does not live here, or has
/// moved.
///
/// # Safety
///
/// The node is the caller's and a user's message of the target's type; unless the answer is `Full` it is given
/// up.
#[inline(never)]
pub(crate) unsafe fn send(local: &Local, target: ActorId, node: NonNull<Node>) -> Pushed {
    let home = home_of(CellRef::of(target).home_mark());
    // SAFETY: by the caller.
    let pushed = unsafe {
        match local.crossings() {
            // C3: its lanes were settled when the turn began.
            Some(crossings) if !local.is_guest() => crossings.send(local, target, node),
            _ => push_direct(local, CellRef::of(target), home, node),
        }
    };
    if home != local.numa_index() && pushed != Pushed::Full {
        local.traffic().count_across(home);
    }
    pushed
}

/// Straight into the mailbox, noting how crowded the way is: by itself, a message that is the first of its turn and
/// finds its target idle, is none; each other counts, and lost races more.
///
/// # Safety
///
/// As for [`send`].
unsafe fn push_direct(local: &Local, cell: CellRef, to: usize, node: NonNull<Node>) -> Pushed {
    // SAFETY: by the caller.
    let (pushed, lost) = unsafe { cell.inbox().push_counting(node) };
    if lost > 0 {
        local.traffic().count_lost(to, lost);
    }
    let pressure = local.pressure(to);
    pressure.set(
        if lost == 0 && pushed == Pushed::Schedule && local.is_first_send() {
            0
        } else {
            let more = lost.saturating_mul(RACE).saturating_add(1);
            pressure.get().saturating_add(more).min(PRESSURE_MAX)
        },
    );
    pushed
}

const fn home_of(mark: u32) -> usize {
    ((mark >> 8) & 0xff) as usize
}

/// One turn of a lane.
///
/// # Safety
///
/// The caller owns the cell, whose phase is `Lane`; unless the answer is `Again` it no longer does.
pub(super) unsafe fn lane_turn(cell: CellRef) -> After {
    // SAFETY: by the caller, who has the turn (D2).
    if unsafe { Crossing::of(cell).drain(BATCHES) } {
        After::Done
    } else {
        After::Again
    }
}

/// The last turn of a lane whose system has no workers any more.
///
/// # Safety
///
/// As for [`lane_turn`]; the caller no longer owns the cell.
pub(super) unsafe fn last_turn(cell: CellRef) {
    // SAFETY: by the caller; not idle means that the turn is still the caller's.
    while !unsafe { Crossing::of(cell).drain(usize::MAX) } {}
}

/// A turn of that cell begins here.
#[inline(always)]
pub(super) fn begin_turn(cell: CellRef, local: &Local) {
    if local.is_guest() {
        guest_turn(cell);
    }
}

/// What is still on its way to an actor that drains: it handles what was told before it was to stop. `true`:
/// something has come.
///
/// # Safety
///
/// The caller owns the cell.
pub(super) unsafe fn bring_more(cell: CellRef) -> bool {
    // SAFETY: by the caller.
    settle_towards(cell) && unsafe { cell.inbox().look() } != Look::Empty
}

/// A turn of that actor begins on a worker of another NUMA node (C3).
#[cold]
fn guest_turn(cell: CellRef) {
    settle_from(cell.runtime(), cell.numa_index());
}

/// What actors of that NUMA node have sent by lane is in the inboxes afterwards (C3).
pub(super) fn settle_from(runtime: &Runtime, numa_index: usize) {
    if let Some(crossings) = runtime.crossings() {
        crossings.settle_from(numa_index);
    }
}

/// What was sent to that actor by lane is in its inbox afterwards (C4). Whether there was anything, for
/// whomever.
pub(super) fn settle_towards(cell: CellRef) -> bool {
    settle_towards_in(cell.runtime(), cell)
}

/// As `settle_towards`, on the lanes of that system.
#[inline(always)]
pub(crate) fn settle_towards_in(runtime: &'static Runtime, cell: CellRef) -> bool {
    runtime.crossings().is_some_and(|crossings| {
        let arena = NumaNodeId(cell.birth_arena());
        runtime
            .numa_index_of(arena)
            .is_some_and(|to| crossings.settle_towards(to))
    })
}

/// What went from NUMA node to NUMA node; empty without lanes.
pub(crate) fn stats(runtime: &Runtime) -> Vec<LaneStats> {
    let Some(crossings) = runtime.crossings() else {
        return Vec::new();
    };
    let pairs = crossings.lanes.iter().flatten().map(|lane| {
        let rows = runtime.traffic().rows();
        let of_there = rows.filter(|row| row.numa_index() == lane.from);
        let sums = of_there
            .map(|row| row.way(lane.to))
            .fold((0, 0, 0), |sum, way| {
                (
                    sum.0 + way.messages.saturating_sub(way.by_lane),
                    sum.1 + way.by_lane,
                    sum.2 + way.lost,
                )
            });
        lane.stats(sums.0, sums.1, sums.2)
    });
    pairs
        .filter(|lane| lane.direct + lane.by_lane > 0)
        .collect()
}
