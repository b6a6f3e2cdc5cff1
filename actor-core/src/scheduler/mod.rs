//! Who runs next, and on which CPU.
//!
//! The scheduler knows nothing of actors. It moves *tasks*, thin pointers to something that takes
//! turns, from whoever schedules them to one of its workers, and calls its [`Driver`] for each
//! turn. The floors above implement the driver.
//!
//! Read in this order:
//!
//! | file | idea | unsafe |
//! |---|---|---|
//! | `task.rs` | a task, and chains of them through their own links | yes |
//! | `ring.rs` | a worker's own queue; thieves take half | yes |
//! | `lifo.rs` | the task that runs next: its owner's, but for the watchdog | yes |
//! | `barrier.rs` | a fence on all threads, paid by one | yes |
//! | `bell.rs` | a thread that sleeps while there is nothing, at no cost to those who bring something | no |
//! | `injector.rs` | one queue per NUMA node for work from outside | no |
//! | `idle.rs` | who sleeps and who searches: one word | no |
//! | `park.rs` | one thread's futex | yes |
//! | `config.rs` | seats, policies, and the few numbers one may turn | no |
//! | `steal.rs` | whom a thief goes to, and when it goes far; pure | no |
//! | `stats.rs` | plain counters with one writer each | no |
//! | `seat.rs` | what others may touch of one worker; one NUMA node's share | no |
//! | `worker.rs` | the loop | yes |
//! | `watchdog.rs` | notices who is stuck, and sends spares to work | no |
//! | `dedicated.rs` | a thread for one task alone | no |
//! | `blocking.rs` | threads for work that blocks | no |
//! | `gathering.rs` | one wake-up for a batch | no |
//! | `recorder.rs` | notes what workers do, while somebody has asked | no |
//! | `pool.rs` | `Scheduler`: start, schedule, stop, join | no |
//!
//! `README.md` beside this file has the picture of the whole and the proof that no wake-up is lost.
//! The first eight also compile under `--cfg actor_loom`, and their models sit beside them.

mod barrier;
mod bell;
mod idle;
mod injector;
mod lifo;
mod park;
mod ring;
mod task;
pub(crate) mod timer;

#[cfg(not(actor_loom))]
mod blocking;
#[cfg(not(actor_loom))]
mod config;
#[cfg(not(actor_loom))]
mod dedicated;
#[cfg(not(actor_loom))]
mod gathering;
#[cfg(not(actor_loom))]
mod pool;
#[cfg(not(actor_loom))]
mod recorder;
#[cfg(not(actor_loom))]
mod seat;
#[cfg(not(actor_loom))]
mod stats;
#[cfg(not(actor_loom))]
mod steal;
#[cfg(not(actor_loom))]
mod watchdog;
#[cfg(not(actor_loom))]
mod worker;

#[cfg(all(test, not(actor_loom)))]
mod tests;

#[cfg(feature = "model")]
pub(crate) use worker::stepped;

pub(crate) use bell::Bell;
pub(crate) use task::{Link, Task};

#[cfg(not(actor_loom))]
pub use recorder::WokenBy;
#[cfg(not(actor_loom))]
pub(crate) use {
    blocking::{Job, LeftRunning, NotTaken, Pool, PoolCounts},
    config::{Chore, Config, DedicatedConfig, Pin, SeatSpec, SparePin, WatchdogConfig},
    dedicated::{DEDICATED, NoBooth, Reservation},
    gathering::gather,
    pool::{Driver, Recordable, Scheduler, ThreadKind},
    recorder::{Noted, OPEN, Recording, What},
    stats::StallCounts,
    steal::CrossNuma,
    task::{After, Hint},
    watchdog::Stall,
    worker::Worker,
};
