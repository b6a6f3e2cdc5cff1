//! Stops single threads for a while, by ptrace.
//!
//! ```text
//!             seize, interrupt             stopped                    time is over
//!   (free) ───────────────────► Coming ───────────────► Frozen(until) ────────────► (free)
//!                                  │  stopped                 ▲
//!                                  ▼                          │ after so many stops
//!                              Calling(stops) ────────────────┘
//!                                  runs to the next edge of a system call
//! ```
//!
//! A thread is traced only from the choice to the thaw; then it is let go, so the rest of the time it runs
//! as ever. Signals that arrive meanwhile are handed on. All of it happens on one thread, since the kernel
//! takes a tracee's orders from its tracer thread only.

use std::collections::HashMap;
use std::ptr;
use std::time::{Duration, Instant};

use crate::shake::Shake;

/// The threads that are traced now.
#[derive(Default)]
pub(crate) struct Freezer {
    traced: HashMap<i32, Traced>,
    /// Freezes so far.
    pub(crate) frozen: u64,
}

struct Traced {
    hold: Duration,
    step: Step,
}

enum Step {
    Coming {
        /// Edges of system calls to go, once it has been stopped.
        stops: u64,
    },
    Calling {
        stops: u64,
    },
    Frozen {
        until: Instant,
        /// Arrived with the stop and is handed on with the thaw.
        signal: i32,
    },
}

impl Freezer {
    /// How many threads stand still now.
    pub(crate) fn standing(&self) -> usize {
        self.traced
            .values()
            .filter(|traced| matches!(traced.step, Step::Frozen { .. }))
            .count()
    }

    /// Stops the thread, here and now or at one of its next system calls, unless it is being stopped.
    pub(crate) fn freeze(&mut self, tid: i32, hold: Duration, shake: &mut Shake) {
        if self.traced.contains_key(&tid) {
            return;
        }
        // A thread that has ended, or that another tracer has: not ours.
        if !order(libc::PTRACE_SEIZE, tid, libc::PTRACE_O_TRACESYSGOOD) {
            return;
        }
        let stops = if shake.percent(50) {
            0
        } else {
            1 + shake.below(6)
        };
        let step = Step::Coming { stops };
        self.traced.insert(tid, Traced { hold, step });
        order(libc::PTRACE_INTERRUPT, tid, 0);
    }

    /// Hears what the kernel says of our children and tracees, and thaws those whose time is over.
    /// The exit status of `program`, once it has ended.
    pub(crate) fn tend(&mut self, program: i32) -> Option<i32> {
        let mut ended = None;
        loop {
            let mut status = 0;
            // SAFETY: waitpid writes one int, which lives here.
            let tid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) };
            if tid <= 0 {
                break;
            }
            if libc::WIFSTOPPED(status) {
                self.stopped(tid, status);
            } else {
                self.traced.remove(&tid);
                if tid == program {
                    ended = Some(status);
                }
            }
        }
        let now = Instant::now();
        self.traced.retain(|&tid, traced| match traced.step {
            Step::Frozen { until, signal } if until <= now => {
                order(libc::PTRACE_DETACH, tid, signal);
                false
            }
            _ => true,
        });
        ended
    }

    fn stopped(&mut self, tid: i32, status: i32) {
        let Some(traced) = self.traced.get_mut(&tid) else {
            return;
        };
        let signal = libc::WSTOPSIG(status);
        let event = status >> 16;
        let at_call = signal == libc::SIGTRAP | 0x80;
        // A stop of our own making has no signal to hand on.
        let signal = if at_call || event != 0 { 0 } else { signal };
        let stops = match traced.step {
            Step::Coming { stops } => stops,
            Step::Calling { stops } => stops - u64::from(at_call),
            Step::Frozen { .. } => return,
        };
        if stops == 0 {
            self.frozen += 1;
            let until = Instant::now() + traced.hold;
            traced.step = Step::Frozen { until, signal };
        } else {
            traced.step = Step::Calling { stops };
            order(libc::PTRACE_SYSCALL, tid, signal);
        }
    }
}

/// Whether the kernel took the order. It refuses those to a thread that is no more, which is all that can
/// be wrong with ours, and of which `waitpid` tells.
fn order(request: libc::c_uint, tid: i32, data: i32) -> bool {
    let data = ptr::without_provenance_mut::<libc::c_void>(data as usize);
    // SAFETY: these requests (seize, interrupt, syscall, detach) read no memory of ours: `data` is a number.
    unsafe { libc::ptrace(request, tid, ptr::null_mut::<libc::c_void>(), data) != -1 }
}
