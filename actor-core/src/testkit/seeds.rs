//! One test over many seeds.

use std::cell::RefCell;
use std::fmt::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::contain::panic_text;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::thread;

/// The environment variable that makes [`for_each_seed`] run one seed alone.
pub const SEED_VARIABLE: &str = "ACTOR_SEED";

/// Which seeds, and on how many threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds {
    range: Range<u64>,
    threads: usize,
}

impl Seeds {
    /// The first `n` seeds, on as many threads as there are CPUs.
    pub fn first(n: u64) -> Self {
        Self::from(0..n)
    }

    /// On that many threads; 0 counts as 1.
    #[must_use]
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}

impl From<Range<u64>> for Seeds {
    fn from(range: Range<u64>) -> Self {
        Self {
            range,
            threads: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

thread_local! {
    /// The test that runs over many seeds on this thread.
    static TEST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `test` for each seed and stops at the first that fails.
///
/// Seeds are taken in order by several threads; each starts a [`Simulation`](super::Simulation) of its
/// own. With `ACTOR_SEED=n` in the environment only seed `n` is run, whether or not it is in the range.
///
/// # Panics
///
/// If a seed fails, with the seed, what it said and how to run it alone; or if `ACTOR_SEED` is not a
/// number.
///
/// # Examples
///
/// ```
/// use actor_core::testkit::{for_each_seed, Seeds, Simulation};
///
/// for_each_seed(Seeds::first(20), |seed| {
///     let sim = Simulation::new(seed);
///     // spawn, send, expect ..
///     sim.check_law();
/// });
/// ```
#[track_caller]
pub fn for_each_seed(seeds: impl Into<Seeds>, test: impl Fn(u64) + Sync) {
    let Seeds { range, threads } = seeds.into();
    let name = thread::current().name().unwrap_or("test").to_owned();
    if let Some(seed) = alone() {
        println!("{SEED_VARIABLE}={seed}");
        TEST.with(|slot| *slot.borrow_mut() = Some(name));
        test(seed);
        TEST.with(|slot| *slot.borrow_mut() = None);
        return;
    }
    let next = AtomicU64::new(range.start);
    let over = AtomicBool::new(false);
    let failed: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let work = || {
        TEST.with(|slot| *slot.borrow_mut() = Some(name.clone()));
        // Relaxed: each seed is run once, in whatever order; results are passed by the lock.
        while !over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= range.end {
                break;
            }
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
                over.store(true, Ordering::Relaxed);
                let text = panic_text(payload);
                let mut failed = failed
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                if failed.as_ref().is_none_or(|(other, _)| seed < *other) {
                    *failed = Some((seed, text));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let spawned = thread::Builder::new()
                .name(name.clone())
                .spawn_scoped(scope, work);
            if let Err(error) = spawned {
                over.store(true, Ordering::Relaxed);
                panic!("no thread to run seeds on: {error}");
            }
        }
    });
    let failed = failed
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((seed, text)) = failed {
        panic!(
            "seed {seed} failed; run it alone with\n    {}\n\n{text}",
            command(seed, &name)
        );
    }
}

/// The one seed that the environment asks for.
fn alone() -> Option<u64> {
    let text = std::env::var(SEED_VARIABLE).ok()?;
    match text.trim().parse() {
        Ok(seed) => Some(seed),
        Err(error) => panic!("{SEED_VARIABLE}={text:?} is not a seed: {error}"),
    }
}

fn command(seed: u64, test: &str) -> String {
    format!("{SEED_VARIABLE}={seed} cargo test {test} -- --nocapture")
}

/// The line that says how to run a failed seed again; nothing outside of [`for_each_seed`].
pub(super) fn how_to_rerun(seed: u64) -> String {
    let mut line = String::new();
    TEST.with(|slot| {
        if let Some(test) = slot.borrow().as_deref() {
            // Writing into a String does not fail.
            let _ = writeln!(line, "run it alone: {}", command(seed, test));
        }
    });
    line
}
