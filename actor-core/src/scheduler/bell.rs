//! A bell for a thread that sleeps while there is nothing to do, at no cost to those who give it something.
//!
//! ```text
//!   who brings something                    the thread
//!     makes it visible                        dozing = 1
//!     (compiler fence D)                      barrier D on all threads
//!     dozing? then ring                       is there something? then go on
//!                                             sleep until it rings
//! ```
//!
//! The same exchange as in `lifo.rs`, with the fence of one side moved to the other: either the thread sees what was
//! brought, or who brought it sees that it dozes. The busy side pays a load of a word that hardly ever changes; the
//! thread pays a system call (`barrier.rs`), once before it sleeps. Nobody makes a system call but to wake
//! it up.
//!
//! Where there is no such barrier, the thread does not doze: [`Bell::doze`] says so, and it looks now and then
//! instead. The watchdog has a bell of its own: there a fence on the other side is cheap beside what it comes with.

use std::marker::PhantomData;
#[cfg(not(actor_loom))]
use std::time::Duration;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::cache_padded::CachePadded;
use crate::sync::{Condvar, Mutex, MutexGuard};

/// See the module.
#[derive(Debug)]
pub(crate) struct Bell<P = Sound> {
    /// The thread sleeps until it is rung, or is about to.
    dozing: CachePadded<AtomicBool>,
    rung: Mutex<bool>,
    ringing: Condvar,
    protocol: PhantomData<fn() -> P>,
}

/// The steps on which it stands, so that models can leave one out and must fail.
pub(crate) trait Protocol {
    /// Barrier D, of who brings something: between that and the look at `dozing`.
    #[inline(always)]
    fn bringers_barrier() {
        #[cfg(not(actor_loom))]
        crate::sync::atomic::compiler_fence(Ordering::SeqCst);
        #[cfg(actor_loom)]
        crate::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Barrier D, the thread's side: between `dozing` and the look at what there is. `false`: there is none.
    fn dozers_barrier() -> bool {
        #[cfg(not(actor_loom))]
        return super::barrier::everywhere();
        #[cfg(actor_loom)]
        {
            crate::sync::atomic::fence(Ordering::SeqCst);
            true
        }
    }

    /// Whether the thread looks once more before it sleeps.
    #[cfg(actor_loom)]
    const LOOKS: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

impl<P: Protocol> Bell<P> {
    pub(crate) fn new() -> Self {
        Self {
            dozing: CachePadded(AtomicBool::new(false)),
            rung: Mutex::new(false),
            ringing: Condvar::new(),
            protocol: PhantomData,
        }
    }

    /// Wakes the thread, whether it sleeps for a while or dozes.
    pub(crate) fn ring(&self) {
        *self.lock() = true;
        self.ringing.notify_all();
    }

    /// After something was made visible that the thread waits for.
    #[inline(always)]
    pub(crate) fn ring_if_dozing(&self) {
        P::bringers_barrier();
        // Relaxed: barrier D orders it after what was brought.
        if self.dozing.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake(&self) {
        // Relaxed: one of many rings; the mutex hands over.
        if self.dozing.swap(false, Ordering::Relaxed) {
            self.ring();
        }
    }

    /// From here on it is rung when something comes; what came before is seen by a look. `false`: there are no
    /// barriers here, and it is not rung.
    #[must_use]
    pub(crate) fn doze(&self) -> bool {
        // Relaxed, and in `stay_awake`: barrier D orders it before the look.
        self.dozing.store(true, Ordering::Relaxed);
        let ready = P::dozers_barrier();
        if !ready {
            self.stay_awake();
        }
        ready
    }

    /// There is something after all.
    pub(crate) fn stay_awake(&self) {
        self.dozing.store(false, Ordering::Relaxed);
    }

    /// Until it is rung, or the time is over.
    #[cfg(not(actor_loom))]
    pub(crate) fn wait(&self, timeout: Duration) {
        let (mut rung, _) = self
            .ringing
            .wait_timeout_while(self.lock(), timeout, |rung| !*rung)
            .expect("nothing panics under this lock");
        *rung = false;
    }

    #[cfg(not(actor_loom))]
    pub(crate) fn wait_until_rung(&self) {
        let mut rung = self.lock();
        while !*rung {
            rung = self
                .ringing
                .wait(rung)
                .expect("nothing panics under this lock");
        }
        *rung = false;
    }

    #[cfg(actor_loom)]
    fn is_rung(&self) -> bool {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.rung.lock().expect("nothing panics under this lock")
    }
}

#[cfg(all(test, actor_loom))]
#[path = "bell_loom.rs"]
mod models;
