//! Turns without workers: the test kit's way to run a cell on a thread of its choice.
//!
//! A [`Desk`] is what a worker's `Local` is made of, without the worker. It is put in force for the
//! time of one turn, so that code outside of turns is outside, as in a real system.
//!
//! [`KeptCells`]: cells belong to the whole process, and which one an actor gets shows, because a stale
//! reference leads to whoever lives there now. So a simulated system keeps its freed cells to itself.

use std::ptr::NonNull;

use super::header::CellRef;
use super::local::{Entered, Local};
use super::runtime::Runtime;
use super::turn;
use crate::memory;
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

/// Freed cells of one system, given back to the arenas at its end.
#[derive(Debug, Default)]
pub(crate) struct KeptCells(Vec<(u8, NonNull<u8>)>);

impl KeptCells {
    pub(crate) fn keep(&mut self, cell: NonNull<u8>, arena: u8) {
        self.0.push((arena, cell));
    }

    /// How many there are in that arena.
    pub(crate) fn len(&self, arena: u8) -> usize {
        self.0.iter().filter(|(at, _)| *at == arena).count()
    }

    /// Takes the `n`th of that arena out, oldest first.
    pub(crate) fn take(&mut self, arena: u8, n: usize) -> Option<NonNull<u8>> {
        let mut of_arena = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, (at, _))| *at == arena);
        let (index, _) = of_arena.nth(n)?;
        Some(self.0.remove(index).1)
    }
}

impl Drop for KeptCells {
    fn drop(&mut self) {
        for (arena, cell) in self.0.drain(..) {
            // SAFETY: `keep` was given it by `birth::free_cell`, whose caller owed the same.
            unsafe { memory::free_cell(cell, arena) };
        }
    }
}
