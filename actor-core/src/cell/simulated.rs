//! Turns without workers: the test kit's way to run a cell on a thread of its choice.
//!
//! A [`Desk`] is what a worker's `Local` is made of, without the worker. It is put in force for the
//! time of one turn, so that code outside of turns is outside, as in a real system.

use super::header::CellRef;
use super::local::{Entered, Local};
use super::runtime::Runtime;
use super::turn;
use crate::scheduler::{After, Task};

/// The things of a worker that is not there, for one NUMA node.
#[derive(Debug)]
pub(crate) struct Desk(Box<Local>);

impl Desk {
    /// For the NUMA node of that index, whose books the worker of the same index would keep.
    pub(crate) fn new(runtime: &'static Runtime, numa_index: usize) -> Self {
        Self(Box::new(Local::without_worker(runtime, numa_index)))
    }

    /// One turn of a scheduled task here, of at most that many messages.
    ///
    /// The task must come from the scheduler of this desk's runtime, which has no workers.
    pub(crate) fn take_turn(&self, task: Task, messages: u32) -> After {
        self.0.set_messages_per_turn(messages);
        let _entered: Entered<'_> = self.0.enter();
        // SAFETY: the task came out of a queue, which holds the single right to run the cell, and a
        // scheduler without workers has nobody else to take it.
        unsafe { turn::take_turn(CellRef::from_task(task), &self.0) }
    }
}

/// The NUMA index of a scheduled task's home.
pub(crate) fn home_of(task: Task) -> usize {
    CellRef::from_task(task).numa_index()
}
