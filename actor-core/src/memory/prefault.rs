//! A thread that has huge pages ready before they are needed.
//!
//! The kernel zeroes a huge page when it is first touched: 0.2 to 0.5 ms, in the middle of a spawn. With
//! huge pages on, this thread does it ahead: one chunk per arena for the slabs, and for the cells the
//! next 8 MiB behind those in use. Who needs more faster than that waits for the kernel as ever.
//!
//! Nothing is asked where the arena could not be bound to its NUMA node: pages would lie where this thread
//! runs.

use std::io;
use std::sync::{Condvar, PoisonError};

use super::arena::Arena;
use super::map::{self, HugePages};
use crate::sync::{Mutex, MutexGuard, thread};

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// A chunk for the slabs of that arena.
    Chunk(u8),
    /// The pages behind the cells of that arena.
    Cells(u8),
}

#[derive(Debug)]
struct Desk {
    wishes: Vec<Wish>,
    /// Threads that there are: one per system with huge pages.
    threads: usize,
    /// Threads that are to end.
    leaving: usize,
}

static DESK: Mutex<Desk> = Mutex::new(Desk {
    wishes: Vec::new(),
    threads: 0,
    leaving: 0,
});
static BELL: Condvar = Condvar::new();

/// The thread; ended by its drop.
#[derive(Debug)]
pub(crate) struct Prefaulter(Option<thread::JoinHandle<()>>);

impl Prefaulter {
    /// Starts the thread `actor-memory`.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a thread.
    pub(crate) fn start(arenas: &[u8]) -> io::Result<Self> {
        lock().threads += 1;
        let thread = thread::Builder::new().name("actor-memory".to_owned());
        let thread = thread.spawn(run).inspect_err(|_| lock().threads -= 1)?;
        for arena in arenas {
            ask(Wish::Chunk(*arena));
            ask(Wish::Cells(*arena));
        }
        Ok(Self(Some(thread)))
    }
}

impl Drop for Prefaulter {
    fn drop(&mut self) {
        lock().leaving += 1;
        BELL.notify_all();
        if let Some(thread) = self.0.take() {
            // Nothing in it panics; if it did, memory comes a little later from now on.
            _ = thread.join();
        }
    }
}

/// Asks for it, if there is somebody to ask. Wishes that wait are not said twice.
pub(super) fn ask(wish: Wish) {
    if map::mode() == HugePages::Never {
        return;
    }
    let mut desk = lock();
    if desk.threads > 0 && !desk.wishes.contains(&wish) {
        desk.wishes.push(wish);
        drop(desk);
        BELL.notify_one();
    }
}

fn run() {
    let mut desk = lock();
    loop {
        if let Some(wish) = desk.wishes.pop() {
            drop(desk);
            match wish {
                Wish::Chunk(arena) => Arena::get(arena).make_ready(),
                Wish::Cells(arena) => Arena::get(arena).populate_cells(),
            }
            desk = lock();
            continue;
        }
        if desk.leaving > 0 {
            desk.leaving -= 1;
            desk.threads -= 1;
            return;
        }
        desk = BELL.wait(desk).unwrap_or_else(PoisonError::into_inner);
    }
}

fn lock() -> MutexGuard<'static, Desk> {
    DESK.lock().unwrap_or_else(PoisonError::into_inner)
}
