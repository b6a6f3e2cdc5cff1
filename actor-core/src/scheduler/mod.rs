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
//! | `injector.rs` | one queue per NUMA node for work from outside | no |
//! | `idle.rs` | who sleeps and who searches: one word | no |
//! | `park.rs` | one thread's futex | yes |
//! | `config.rs` | seats, policies, and the few numbers one may turn | no |
//! | `steal.rs` | victim order from distances; pure | no |
//! | `stats.rs` | plain counters with one writer each | no |
//! | `worker.rs` | the loop | yes |
//! | `pool.rs` | `Scheduler`: start, schedule, stop, join | no |
//!
//! `README.md` beside this file has the picture of the whole and the proof that no wake-up is lost.
//! The first five also compile under `--cfg actor_loom`, and their models sit beside them.

mod idle;
mod injector;
mod park;
mod ring;
mod task;
pub(crate) mod timer;

#[cfg(not(actor_loom))]
mod config;
#[cfg(not(actor_loom))]
mod pool;
#[cfg(not(actor_loom))]
mod stats;
#[cfg(not(actor_loom))]
mod steal;
#[cfg(not(actor_loom))]
mod worker;

#[cfg(all(test, not(actor_loom)))]
mod tests;

pub(crate) use task::{Link, Task};

#[cfg(not(actor_loom))]
pub(crate) use {
    config::{Config, CrossNuma, Pin, SeatSpec},
    pool::{Driver, Scheduler},
    task::{After, Hint},
    worker::Worker,
};
