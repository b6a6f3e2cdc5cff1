//! Testing actors: the runtime on one thread with virtual time, probes, and planted panics.
//!
//! Behind the feature `testkit`, for tests:
//!
//! ```toml
//! [dev-dependencies]
//! actor-core = { version = "0.1", features = ["testkit"] }
//! ```
//!
//! - [`Simulation`] runs the *real* runtime (the same cells, mailboxes, turns, supervision, timers) on
//!   the test's own thread. A seed decides who runs next and for how many messages; time stands still
//!   until nothing is left to do, then jumps to the next timer. The same seed gives the same run, so a
//!   failure that was seen once is seen again.
//! - [`Probe`] is an actor that a test holds in its hand: it takes what actors send and says whether it
//!   was what was expected. It works in a simulation and in a real [`ActorSystem`](crate::ActorSystem).
//! - [`Fault`] plants a panic in a hook, a handler or a `Drop` of an actor that knows nothing of it.
//! - [`for_each_seed`] runs a test over many seeds and says which one failed and how to run it alone.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use actor_core::prelude::*;
//! use actor_core::testkit::{Fault, Hook, Probe, Simulation};
//!
//! # #[derive(Debug, PartialEq)]
//! struct Rung;
//! impl Message for Rung { type Reply = (); }
//!
//! /// Rings a while after it was wound up.
//! struct Alarm { bell: Recipient<Rung> }
//! impl Actor for Alarm {}
//! struct WindUp(Duration);
//! impl Message for WindUp { type Reply = (); }
//! impl Handler<WindUp> for Alarm {
//!     async fn handle(&mut self, WindUp(wait): WindUp, _cx: &mut ActorContext<Self>) {
//!         tokio::time::sleep(wait).await;
//!         self.bell.tell(Rung).expect("somebody listens");
//!     }
//! }
//!
//! let sim = Simulation::new(42);
//! let bell = Probe::<Rung>::new(&sim);
//! let ear = bell.recipient();
//! let alarm = sim.spawn(move || Alarm { bell: ear })?;
//!
//! // An hour passes in no time.
//! alarm.tell(WindUp(Duration::from_secs(3600)))?;
//! bell.expect_no_msg(Duration::from_secs(3599));
//! bell.expect_msg_eq(Rung);
//!
//! // A panic in a handler: the supervisor restarts the actor, its mailbox stays.
//! sim.inject(Fault::panic_in(Hook::Handler).of(alarm));
//! alarm.tell(WindUp(Duration::ZERO))?;
//! alarm.tell(WindUp(Duration::ZERO))?;
//! bell.expect_msg_eq(Rung);
//! sim.run_until_idle();
//! assert_eq!(sim.stats().actors.restarts, 1);
//!
//! let report = sim.shutdown(Duration::from_secs(5));
//! assert!(report.is_clean());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is simulated, and what is not
//!
//! One thread runs everything, so two actors never run at the very same time; each order in which
//! their turns could follow each other is possible. The lock-free parts below have their own models
//! (`cargo loom`). Time is virtual for all that the runtime does with it (deadlines, back-off,
//! restart windows) and for `tokio::time`; `std::time::Instant::now()` in user code is real and should
//! not be used there. Real sockets, files, threads and `spawn_blocking` work but are not deterministic;
//! nor is what user code draws from its own sources of chance, such as the order of a std `HashMap`.
//!
//! Reading order: `simulation` (what tests call), `engine` (the loop), `reactor` (tokio in lockstep),
//! `trace` (what is recorded), `fault`, `probe`, `seeds`.

mod chance;
mod engine;
mod fault;
mod probe;
mod reactor;
mod seeds;
mod simulation;
mod trace;

pub use crate::cell::observe::Hook;
pub use fault::Fault;
pub use probe::{Probe, ProbeActor};
pub use seeds::{SEED_VARIABLE, Seeds, for_each_seed};
pub use simulation::{Simulation, SimulationBuilder, SimulationError};
pub use trace::{ActorNumber, Trace, TraceEvent, TraceKind};
