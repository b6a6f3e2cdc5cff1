//! [`Simulation`]: what tests call.

use std::fmt;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::engine::{self, Engine, Limits, PATIENCE, Step};
use super::fault::{Fault, Plan};
use super::reactor::Reactor;
use super::trace::{ActorNumber, Recorder, Trace};
use crate::cell::observe::{self, Hook};
use crate::clock::{Tick, virtual_time};
use crate::id::ActorId;
use crate::locality::Lanes;
use crate::mailbox::Conservation;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::system::{ShutdownReport, StartError, SystemRef, simulated};

/// An actor system on the calling thread, whose every choice follows from a seed.
///
/// Dereferences to [`SystemRef`]: spawn, look actors up and read the books as in any system. Nothing
/// runs by itself: [`run_until_idle`](Self::run_until_idle), [`run_for`](Self::run_for),
/// [`block_on`](Self::block_on), a [`Probe`](super::Probe) that waits and `ask_blocking` drive it.
///
/// While it lives, time on its thread is virtual: it begins at zero, stands still while anything can
/// run, and jumps when a test waits. One simulation per thread; others may run on other threads at
/// the same time. Dropping it stops its actors at once.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::prelude::*;
/// use actor_core::testkit::Simulation;
///
/// struct Echo;
/// impl Actor for Echo {}
/// struct Say(u32);
/// impl Message for Say { type Reply = u32; }
/// impl Handler<Say> for Echo {
///     async fn handle(&mut self, Say(n): Say, _cx: &mut ActorContext<Self>) -> u32 {
///         tokio::time::sleep(Duration::from_secs(60)).await;
///         n
///     }
/// }
///
/// let run = |seed| {
///     let sim = Simulation::new(seed);
///     let echo = sim.spawn(Echo).unwrap();
///     assert_eq!(sim.block_on(async { echo.ask(Say(7)).await.unwrap() }), 7);
///     assert_eq!(sim.now(), Duration::from_secs(60));
///     sim.check_law();
///     sim.trace_hash()
/// };
/// assert_eq!(run(1), run(1));
/// ```
#[derive(Debug)]
pub struct Simulation {
    engine: Rc<Engine>,
    ended: bool,
}

/// Settings of a [`Simulation`].
///
/// | setting | default | touch it when |
/// |---|---|---|
/// | `numa_nodes` | 1 | placement is what is tested |
/// | `lanes` | [`Lanes::Off`] | messages between NUMA nodes are what is tested |
/// | `trace_limit` | 100,000 events | the beginning of a long run is wanted, or none at all |
/// | `turns_max` | 10,000,000 turns in one call | a livelock should be found sooner |
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing happens before .build()"]
pub struct SimulationBuilder {
    seed: u64,
    numa_nodes: u8,
    lanes: Lanes,
    limits: Limits,
}

/// Why there is no simulation.
#[derive(Debug)]
#[non_exhaustive]
pub enum SimulationError {
    /// There is one on this thread already.
    OnePerThread,
    /// The number of NUMA nodes is out of range.
    NumaNodes {
        /// What was asked for.
        asked: u8,
        /// The most that is allowed; the least is 1.
        max: u8,
    },
    /// The system under it did not start.
    Start(StartError),
}

/// The most NUMA nodes that can be pretended.
const NUMA_NODES_MAX: u8 = 64;

impl Simulation {
    /// Starts one with the defaults.
    ///
    /// # Panics
    ///
    /// If it cannot be started: see [`SimulationError`].
    #[track_caller]
    pub fn new(seed: u64) -> Self {
        match Self::builder(seed).build() {
            Ok(simulation) => simulation,
            Err(error) => panic!("{error}"),
        }
    }

    /// To start one with other settings.
    pub const fn builder(seed: u64) -> SimulationBuilder {
        SimulationBuilder {
            seed,
            numa_nodes: 1,
            lanes: Lanes::Off,
            limits: Limits {
                trace: 100_000,
                turns: 10_000_000,
            },
        }
    }

    /// The seed it was started with.
    pub fn seed(&self) -> u64 {
        self.engine.seed
    }

    /// The system, to hand to code that wants one.
    pub fn system(&self) -> SystemRef {
        self.engine.system
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        virtual_time::elapsed_at(Tick::now())
    }

    /// Runs all that can run at the present moment; time stands still. Returns whether anything did.
    ///
    /// # Panics
    ///
    /// If there is no end to it (`turns_max`), or if called from inside of the simulation.
    #[track_caller]
    pub fn run_until_idle(&self) -> bool {
        self.engine.begin();
        let mut ran = false;
        while self.engine.step() == Step::Ran {
            ran = true;
        }
        ran
    }

    /// Lets that much time pass, and runs all that is due in it. Rounded up to a whole millisecond,
    /// the tick of the timers.
    ///
    /// # Panics
    ///
    /// As [`run_until_idle`](Self::run_until_idle).
    #[track_caller]
    pub fn run_for(&self, time: Duration) {
        self.run_until(time, || false);
    }

    /// Runs until `is` says so, at most until that much time has passed. Returns whether it did say so.
    /// It is asked after each turn.
    ///
    /// # Panics
    ///
    /// As [`run_until_idle`](Self::run_until_idle).
    #[track_caller]
    pub fn run_until(&self, limit: Duration, mut is: impl FnMut() -> bool) -> bool {
        self.engine.run_until(limit, &mut is)
    }

    /// Runs until the future is ready, letting time pass as needed. It is polled on this thread, with
    /// tokio at hand.
    ///
    /// # Panics
    ///
    /// If it is pending, nothing runs and nothing happens for an hour of virtual time; and as
    /// [`run_until_idle`](Self::run_until_idle).
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let engine = &self.engine;
        engine.begin();
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut task = Context::from_waker(&waker);
        let mut give_up = Tick::now().after(PATIENCE);
        loop {
            // Acquire: with the waker's Release, which may be on another thread.
            let is_woken = woken.0.load(Ordering::Acquire);
            // Woken, it is one of those that are ready: the seed says whether it goes first.
            if is_woken && (!engine.has_runnable() || engine.coin()) {
                // Relaxed: a wake-up from here on is for the poll below or for the next.
                woken.0.store(false, Ordering::Relaxed);
                let _entered = engine.tokio().enter();
                if let Poll::Ready(output) = future.as_mut().poll(&mut task) {
                    return output;
                }
                continue;
            }
            if engine.step() == Step::Ran {
                give_up = Tick::now().after(PATIENCE);
                continue;
            }
            if woken.0.load(Ordering::Acquire) {
                continue;
            }
            assert!(
                engine.leap(give_up) || engine.has_runnable() || woken.0.load(Ordering::Acquire),
                "the future is pending, and nothing has happened for {PATIENCE:?}: it waits for what \
                 cannot come\n{}",
                engine.describe(),
            );
        }
    }

    /// Plants a panic. Of several that fit, the one planted first strikes.
    pub fn inject(&self, fault: Fault) {
        self.engine.inject(fault);
    }

    /// Plants panics everywhere: each hook, handler and `Drop` of each actor panics with that
    /// probability each time.
    pub fn inject_everywhere(&self, probability: f64) {
        for hook in ALL_HOOKS {
            self.inject(Fault::panic_in(hook).anywhere().chance(probability));
        }
    }

    /// Takes back all planted panics that have not been raised.
    pub fn clear_faults(&self) {
        self.engine.with_plan(Plan::clear);
    }

    /// How many planted panics were raised.
    pub fn faults_struck(&self) -> u64 {
        self.engine.with_plan(|plan| plan.struck())
    }

    /// Faults that are to strike a certain number of times and still wait for it: none, if the test
    /// did what it meant to do.
    pub fn faults_waiting(&self) -> usize {
        self.engine.with_plan(|plan| plan.waiting())
    }

    /// What happened so far.
    pub fn trace(&self) -> Trace {
        self.engine.trace()
    }

    /// One number for all that happened so far: the same for the same seed, program and build.
    pub fn trace_hash(&self) -> u64 {
        self.engine.with_recorder(Recorder::hash)
    }

    /// The number under which an actor is in the trace.
    pub fn number_of(&self, actor: ActorId) -> Option<ActorNumber> {
        self.engine.with_recorder(|recorder| recorder.number(actor))
    }

    /// Runs until idle and checks what must hold whatever the actors do: every message has one fate, no
    /// child outlives its parent, no signal reached a wrong parent, and the actors add up.
    ///
    /// Call it when no handler is suspended and no mailbox is kept full: what is queued has no fate yet.
    ///
    /// # Panics
    ///
    /// If one of these does not hold, with the books, the seed and the last events.
    #[track_caller]
    pub fn check_law(&self) -> Conservation {
        self.run_until_idle();
        let stats = self.stats();
        assert!(
            stats.messages.holds_at_rest(),
            "the books do not balance:\n{stats}\n{}",
            self.engine.describe()
        );
        self.check_tree();
        stats.messages
    }

    /// The part of [`check_law`](Self::check_law) that is about actors; holds at any time.
    ///
    /// # Panics
    ///
    /// As there.
    #[track_caller]
    pub fn check_tree(&self) {
        let stats = self.stats();
        self.engine.with_recorder(|recorder| {
            let broken = recorder.broken();
            assert!(
                broken.is_empty(),
                "the tree of actors is broken:\n{}\n{}",
                broken.join("\n"),
                self.engine.describe()
            );
            // The root is in the trace and not in the statistics.
            let root = u64::from(!simulated::has_ended(self.engine.system));
            let counted = (stats.actors.alive() + root, stats.actors.restarts);
            assert_eq!(
                counted,
                recorder.counted(),
                "living actors and restarts, as counted and as seen, differ:\n{stats}\n{}",
                self.engine.describe()
            );
        });
    }

    /// Shuts the system down, as [`ActorSystem::shutdown`](crate::ActorSystem::shutdown) does, with a
    /// grace in virtual time.
    ///
    /// # Panics
    ///
    /// If the tree or the conservation law is broken at the end.
    #[track_caller]
    pub fn shutdown(mut self, grace: Duration) -> ShutdownReport {
        let report = self.end(Some(grace));
        assert!(
            report.conservation.holds_at_rest(),
            "the books do not balance after the shutdown:\n{report}\n{}",
            self.engine.describe()
        );
        self.check_tree();
        self.engine.stop();
        report
    }

    /// Ends all actors: by draining first, if there is a grace.
    fn end(&mut self, grace: Option<Duration>) -> ShutdownReport {
        self.ended = true;
        let (engine, system) = (&self.engine, self.engine.system);
        let began = Tick::now();
        let mut has_ended = || simulated::has_ended(system);
        let drained = grace.is_some_and(|grace| {
            simulated::begin_shutdown(system);
            engine.run_until(grace, &mut has_ended)
        });
        if !drained {
            simulated::kill(system);
            engine.run_until(KILL_GRACE, &mut has_ended);
        }
        // What is still scheduled has late words to bury; its cells are for others afterwards.
        engine.run_until(Duration::ZERO, &mut || false);
        simulated::finish(system, began.until(Tick::now()), drained)
    }
}

/// As in a real system.
const KILL_GRACE: Duration = Duration::from_millis(500);

const ALL_HOOKS: [Hook; 8] = [
    Hook::Factory,
    Hook::Started,
    Hook::Handler,
    Hook::Stopped,
    Hook::Terminated,
    Hook::StateDrop,
    Hook::MessageDrop,
    Hook::ReplyDrop,
];

impl std::ops::Deref for Simulation {
    type Target = SystemRef;

    fn deref(&self) -> &SystemRef {
        &self.engine.system
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // A test that fails has said what there is to say; its actors may be in the middle of a turn.
        if std::thread::panicking() {
            self.engine.describe_failure();
        } else {
            self.engine.with_plan(Plan::clear);
            self.end(None);
        }
        self.engine.stop();
    }
}

impl SimulationBuilder {
    /// How many NUMA nodes the actors may be placed on: 1 to 64. All turns are on one thread anyway.
    pub const fn numa_nodes(mut self, nodes: u8) -> Self {
        self.numa_nodes = nodes;
        self
    }

    /// Whether messages between NUMA nodes may share batch lanes; [`Lanes::Off`] unless said otherwise.
    pub const fn lanes(mut self, lanes: Lanes) -> Self {
        self.lanes = lanes;
        self
    }

    /// How many events are kept, the newest; 0 keeps none. The hash covers all.
    pub const fn trace_limit(mut self, events: usize) -> Self {
        self.limits.trace = events;
        self
    }

    /// After how many turns in one call the test fails, because there is no end to it.
    pub const fn turns_max(mut self, turns: u64) -> Self {
        self.limits.turns = turns;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// See [`SimulationError`].
    pub fn build(self) -> Result<Simulation, SimulationError> {
        if observe::observer().is_some() {
            return Err(SimulationError::OnePerThread);
        }
        if self.numa_nodes == 0 || self.numa_nodes > NUMA_NODES_MAX {
            return Err(SimulationError::NumaNodes {
                asked: self.numa_nodes,
                max: NUMA_NODES_MAX,
            });
        }
        let reactor = Reactor::start().map_err(|error| SimulationError::Start(error.into()))?;
        let runtime = simulated::runtime(self.numa_nodes, self.lanes, reactor.handle());
        let engine = Engine::new(self.seed, self.limits, runtime, reactor, || {
            simulated::found(runtime)
        })
        .map_err(SimulationError::Start)?;
        engine::set_current(&engine);
        Ok(Simulation {
            engine,
            ended: false,
        })
    }
}

impl fmt::Display for SimulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnePerThread => f.write_str(
                "there is a simulation on this thread already: drop it first, or use another thread",
            ),
            Self::NumaNodes { asked, max } => write!(
                f,
                "a simulation on {asked} NUMA nodes is impossible: 1 to {max} are allowed"
            ),
            Self::Start(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SimulationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(error) => Some(error),
            Self::OnePerThread | Self::NumaNodes { .. } => None,
        }
    }
}

/// The waker of `block_on`.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: with the Acquire in `block_on`.
        self.0.store(true, Ordering::Release);
    }
}
