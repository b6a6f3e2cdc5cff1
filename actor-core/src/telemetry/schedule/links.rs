//! Which wake-up ended which sleep: pure.
//!
//! A waker notes whom it woke, the woken that its sleep is over; neither knows of the other's note. The last
//! wake-up of a worker that began before its sleep ended, and after the one before ended, is the one.

use std::collections::HashMap;

use super::{ThreadSchedule, WokenBy};
use crate::id::WorkerId;
use crate::scheduler::{Noted, OPEN, What};

/// A wake-up and the end of a sleep that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) waker: From,
    /// Within the waker's wake-up.
    pub(super) woke_at: u64,
    /// Index of the thread.
    pub(super) woken: usize,
    pub(super) woken_at: u64,
}

/// Where the wake-up was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// Index of the thread.
    Thread(usize),
    /// The number of one that takes no turns.
    Outside(u32),
}

/// Finds them all, and writes into each sleep who ended it.
pub(super) fn find(threads: &mut [ThreadSchedule], outside: &[Noted]) -> Vec<Link> {
    let mut wakes: HashMap<WorkerId, Vec<(u64, From, WokenBy)>> = HashMap::new();
    for (index, thread) in threads.iter().enumerate() {
        for noted in &thread.events {
            if let What::Wake { woken, .. } = noted.what {
                let by = (
                    noted.at,
                    From::Thread(index),
                    WokenBy::Worker(thread.worker),
                );
                wakes.entry(woken).or_default().push(by);
            }
        }
    }
    for noted in outside {
        if let What::Wake { woken, thread } = noted.what {
            let by = (noted.at, From::Outside(thread), WokenBy::Outside);
            wakes.entry(woken).or_default().push(by);
        }
    }
    let mut links = Vec::new();
    for (index, thread) in threads.iter_mut().enumerate() {
        let Some(mut wakes) = wakes.remove(&thread.worker) else {
            continue;
        };
        wakes.sort_unstable_by_key(|(at, ..)| *at);
        let mut wakes = wakes.into_iter().peekable();
        for noted in &mut thread.events {
            let What::Park { woken_by, .. } = &mut noted.what else {
                continue;
            };
            if noted.ended == OPEN {
                continue;
            }
            let mut last = None;
            while let Some(wake) = wakes.next_if(|(at, ..)| *at <= noted.ended) {
                last = Some(wake);
            }
            if let Some((woke_at, waker, by)) = last {
                *woken_by = Some(by);
                links.push(Link {
                    waker,
                    woke_at,
                    woken: index,
                    woken_at: noted.ended,
                });
            }
        }
    }
    links
}
