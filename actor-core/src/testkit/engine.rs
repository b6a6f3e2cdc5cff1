//! The loop: who runs next, and when time goes on.
//!
//! ```text
//!   schedule ──► scheduler without workers ──take out──► runnable ──seed picks──► one turn on a Desk
//!                                                            ▲                         │ more to do
//!                                                            └─────────────────────────┘
//!   nothing runnable: tokio's tasks; then the clock, to the next timer of either
//! ```
//!
//! Everything belongs to one thread. No borrow of the parts is held while a turn runs: user code may
//! come back here (to spawn, to read the books, through a probe).

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::Duration;

use super::chance::Chance;
use super::fault::{Fault, Plan};
use super::reactor::Reactor;
use super::trace::{Recorder, Trace};
use crate::cell::Runtime;
use crate::cell::observe::{self, Event, Observer, Place};
use crate::cell::simulated::{Desk, KeptCells, home_of};
use crate::clock::{Tick, virtual_time};
use crate::scheduler::{After, Task};
use crate::system::{SystemRef, simulated};

/// What a simulation is made of.
pub(super) struct Engine {
    pub(super) seed: u64,
    pub(super) system: SystemRef,
    runtime: &'static Runtime,
    /// `None` once it is stopped.
    reactor: RefCell<Option<Reactor>>,
    /// One per NUMA node.
    desks: Box<[Desk]>,
    runnable: RefCell<Vec<Task>>,
    chance: RefCell<Chance>,
    watch: Rc<Watch>,
    turns: Cell<u64>,
    turns_max: u64,
    /// A failing test has been told where the simulation stands.
    described: Cell<bool>,
    /// In the loop: it is not entered again from inside.
    running: Cell<bool>,
}

/// What looks on; outlives no simulation.
struct Watch {
    runtime: &'static Runtime,
    recorder: RefCell<Recorder>,
    plan: RefCell<Plan>,
    cells: RefCell<KeptCells>,
    chance: RefCell<Chance>,
    engine: RefCell<std::rc::Weak<Engine>>,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something ran.
    Ran,
    /// Nothing can run at the present moment.
    Idle,
}

impl Engine {
    /// For a runtime that `system` will be the face of; `found` makes it once somebody looks on.
    pub(super) fn new<E>(
        seed: u64,
        limits: Limits,
        runtime: &'static Runtime,
        reactor: Reactor,
        found: impl FnOnce() -> Result<SystemRef, E>,
    ) -> Result<Rc<Self>, E> {
        let watch = Rc::new(Watch {
            runtime,
            recorder: RefCell::new(Recorder::new(limits.trace)),
            plan: RefCell::new(Plan::new(Chance::new(seed, 2))),
            cells: RefCell::default(),
            chance: RefCell::new(Chance::new(seed, 4)),
            engine: RefCell::default(),
        });
        observe::set_observer(Some(watch.clone()));
        crate::random::set_seed(Some(Chance::new(seed, 3).next()));
        let system = match found() {
            Ok(system) => system,
            Err(error) => {
                leave_thread();
                return Err(error);
            }
        };
        let desks = (0..runtime.numa_nodes().count())
            .map(|index| Desk::new(runtime, index))
            .collect();
        let engine = Rc::new(Self {
            seed,
            system,
            runtime,
            reactor: RefCell::new(Some(reactor)),
            desks,
            runnable: RefCell::default(),
            chance: RefCell::new(Chance::new(seed, 1)),
            watch: watch.clone(),
            turns: Cell::new(0),
            turns_max: limits.turns,
            described: Cell::new(false),
            running: Cell::new(false),
        });
        *watch.engine.borrow_mut() = Rc::downgrade(&engine);
        Ok(engine)
    }

    /// Does one thing that can be done now, as the seed decides.
    pub(super) fn step(&self) -> Step {
        let _running = self.enter();
        self.take_out();
        let ready = self.runnable.borrow().len();
        let tokio_first = ready == 0
            || self.with_reactor(Reactor::tasks) > 0 && self.chance.borrow_mut().one_in(4);
        if tokio_first {
            self.with_reactor(Reactor::run_ready);
            self.take_out();
            if ready == 0 {
                let some = !self.runnable.borrow().is_empty();
                return if some { Step::Ran } else { Step::Idle };
            }
        }
        self.turn();
        Step::Ran
    }

    /// Nothing can run: lets time pass to the next timer, or to `end` if that comes first. `false`: it
    /// is `end`.
    pub(super) fn leap(&self, end: Tick) -> bool {
        let _running = self.enter();
        let now = Tick::now();
        let timers = self.runtime.timers();
        let next = timers.next_expiry().map_or(end, |next| next.min(end));
        if next > now {
            self.with_reactor(|reactor| reactor.leap(virtual_time::elapsed_at(next)));
        }
        let now = Tick::now();
        timers.fire_due(now);
        now < end
    }

    /// Runs until `is` says so or that much time has passed; `true`: it said so.
    pub(super) fn run_until(&self, limit: Duration, is: &mut dyn FnMut() -> bool) -> bool {
        self.begin();
        let end = whole_milliseconds(Tick::now().after(limit));
        loop {
            if is() {
                return true;
            }
            if self.step() == Step::Ran {
                continue;
            }
            if Tick::now() >= end {
                return false;
            }
            self.leap(end);
        }
    }

    /// Heads or tails.
    pub(super) fn coin(&self) -> bool {
        self.chance.borrow_mut().one_in(2)
    }

    /// One turn of one of those that are ready, of which there is at least one.
    fn turn(&self) {
        let (task, messages) = {
            let mut chance = self.chance.borrow_mut();
            let mut runnable = self.runnable.borrow_mut();
            let at = chance.below(runnable.len());
            // Short turns as often as long ones: most orders that matter are of single messages.
            let messages = match chance.below(4) {
                0 | 1 => 1,
                2 => 1 + chance.below(4),
                _ => 1 + chance.below(64),
            };
            (runnable.swap_remove(at), messages as u32)
        };
        self.turns.set(self.turns.get() + 1);
        if let After::Again = self.desks[home_of(task)].take_turn(task, messages) {
            self.runnable.borrow_mut().push(task);
        }
        assert!(
            self.turns.get() <= self.turns_max,
            "the simulation does not come to rest: {} turns without an end\n{}",
            self.turns_max,
            self.describe(),
        );
    }

    fn take_out(&self) {
        let scheduled = self.runtime.scheduler().drain_remaining();
        self.runnable.borrow_mut().extend(scheduled);
    }

    /// Whether something can run now, tokio's tasks aside.
    pub(super) fn has_runnable(&self) -> bool {
        self.take_out();
        !self.runnable.borrow().is_empty()
    }

    fn with_reactor<R: Default>(&self, act: impl FnOnce(&Reactor) -> R) -> R {
        self.reactor.borrow().as_ref().map_or_else(R::default, act)
    }

    /// tokio as the current runtime of this thread.
    pub(super) fn tokio(&self) -> &'static tokio::runtime::Handle {
        self.system.tokio()
    }

    fn enter(&self) -> Running<'_> {
        assert!(
            !self.running.replace(true),
            "a simulation cannot be driven from inside of one of its own actors or tasks: they must \
             not block or wait for a probe"
        );
        Running {
            running: &self.running,
            _entered: self.tokio().enter(),
        }
    }

    /// A new run: it may take as many turns as the limit says.
    pub(super) fn begin(&self) {
        self.turns.set(0);
    }

    pub(super) fn inject(&self, fault: Fault) {
        self.watch.plan.borrow_mut().add(fault);
    }

    pub(super) fn with_plan<R>(&self, look: impl FnOnce(&mut Plan) -> R) -> R {
        look(&mut self.watch.plan.borrow_mut())
    }

    pub(super) fn with_recorder<R>(&self, look: impl FnOnce(&Recorder) -> R) -> R {
        look(&self.watch.recorder.borrow())
    }

    pub(super) fn trace(&self) -> Trace {
        self.with_recorder(Recorder::trace)
    }

    /// Where the simulation stands, for a test that fails.
    pub(super) fn describe(&self) -> String {
        self.described.set(true);
        format!(
            "seed {} at {:?}; the last events:\n{}{}",
            self.seed,
            virtual_time::elapsed_at(Tick::now()),
            self.trace().tail(TAIL),
            super::seeds::how_to_rerun(self.seed),
        )
    }

    /// For a test that fails on its own: says where the simulation stands, unless that was said.
    pub(super) fn describe_failure(&self) {
        if !self.described.get() {
            eprintln!("in a simulation with {}", self.describe());
        }
    }

    /// The end of the simulation on this thread.
    pub(super) fn stop(&self) {
        let reactor = self.reactor.borrow_mut().take();
        if let Some(reactor) = reactor {
            reactor.stop();
        }
        leave_thread();
    }
}

/// Events shown when a test fails.
const TAIL: usize = 30;

thread_local! {
    static CURRENT: RefCell<std::rc::Weak<Engine>> = const { RefCell::new(std::rc::Weak::new()) };
}

/// The simulation of this thread.
pub(super) fn set_current(engine: &Rc<Engine>) {
    CURRENT.with(|slot| *slot.borrow_mut() = Rc::downgrade(engine));
}

/// The simulation that runs `system`, if it is this thread's.
pub(super) fn current_of(system: SystemRef) -> Option<Rc<Engine>> {
    let engine = CURRENT.with(|slot| slot.borrow().upgrade())?;
    std::ptr::eq(engine.runtime, simulated::runtime_of(system)).then_some(engine)
}

/// The same time or the next whole tick of the timers.
fn whole_milliseconds(at: Tick) -> Tick {
    const TICK: u64 = 1_000_000;
    Tick(at.0.div_ceil(TICK).saturating_mul(TICK))
}

/// Gives the thread its own clock and chance back.
fn leave_thread() {
    observe::set_observer(None);
    virtual_time::resume();
    crate::random::set_seed(None);
}

/// How far a simulation goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Events kept.
    pub(super) trace: usize,
    /// Turns in one call.
    pub(super) turns: u64,
}

/// The loop is running on this thread.
struct Running<'a> {
    running: &'a Cell<bool>,
    _entered: tokio::runtime::EnterGuard<'a>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.running.set(false);
    }
}

impl Observer for Watch {
    fn runtime(&self) -> &'static Runtime {
        self.runtime
    }

    fn see(&self, event: Event<'_>) {
        let at = virtual_time::elapsed_at(Tick::now());
        self.recorder.borrow_mut().record(at, &event);
    }

    fn strike(&self, place: Place, runtime: &Runtime) -> Option<String> {
        if !std::ptr::eq(runtime, self.runtime) || self.plan.borrow().is_empty() {
            return None;
        }
        let actor = place.cell?.id();
        let actor_type = self.recorder.borrow().type_of(actor);
        let struck = self.plan.borrow_mut().strike(place, actor, actor_type)?;
        let at = virtual_time::elapsed_at(Tick::now());
        self.recorder.borrow_mut().struck(at, &struck);
        Some(struck.text)
    }

    fn kept_cell(&self, arena: u8) -> Option<NonNull<u8>> {
        let mut cells = self.cells.borrow_mut();
        let (len, mut chance) = (cells.len(arena), self.chance.borrow_mut());
        // Soon again, after a while, or a fresh one.
        let n = match chance.below(3) {
            0 => len.checked_sub(1)?,
            1 if len > 0 => chance.below(len),
            _ => return None,
        };
        cells.take(arena, n)
    }

    fn keep_cell(&self, cell: NonNull<u8>, arena: u8) {
        self.cells.borrow_mut().keep(cell, arena);
    }

    fn run_now(&self) {
        if let Some(engine) = self.engine.borrow().upgrade()
            && !engine.running.get()
        {
            while engine.step() == Step::Ran {}
        }
    }

    fn drive(&self) -> bool {
        let Some(engine) = self.engine.borrow().upgrade() else {
            return false;
        };
        engine.step() == Step::Ran || engine.leap(Tick::now().after(PATIENCE))
    }
}

/// Virtual time after which a thread that waits is told that it waits in vain: an hour, in which
/// nothing ran.
pub(super) const PATIENCE: Duration = Duration::from_secs(3600);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
