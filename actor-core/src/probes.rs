//! Static probes for eBPF, SystemTap and gdb (feature `usdt`, Linux): provider `actor_core`.
//!
//! | probe | arguments | when |
//! |---|---|---|
//! | `spawn` | actor, type, length of type, parent (0: none) | an actor has been made |
//! | `stop` | actor, type, length of type | it is gone; it has no state any more |
//! | `turn_begin` | actor, type, length of type | a worker begins a turn |
//! | `turn_end` | actor, 1 if it has more to do | the turn is over |
//! | `park` | worker | a worker found nothing to do and sleeps |
//! | `unpark` | worker | it has been woken |
//!
//! `actor` is [`ActorId::as_u64`]; `type` is the address of the type's name, which is not ended by a zero: hence the
//! length. Where nobody listens a probe is a load of a counter that the kernel raises, and a branch; without the feature
//! it is nothing at all. The names are promised, as the fields of a metric are.
//!
//! The mechanism is the ELF notes of `<sys/sdt.h>`
//! (<https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation>), by the crate `probe`.

use crate::id::{ActorId, WorkerId};

/// A probe with a semaphore: its arguments are computed only if somebody listens.
macro_rules! fire {
    ($name:ident, $($arg:expr),+) => {{
        #[cfg(all(feature = "usdt", target_os = "linux"))]
        let _ = probe::probe_lazy!(actor_core, $name, $($arg),+);
        #[cfg(not(all(feature = "usdt", target_os = "linux")))]
        if false {
            let _ = ($($arg),+);
        }
    }};
}

#[inline(always)]
pub(crate) fn spawn(actor: ActorId, actor_type: fn() -> &'static str, parent: Option<ActorId>) {
    fire!(
        spawn,
        actor.as_u64(),
        actor_type().as_ptr(),
        actor_type().len(),
        parent.map_or(0, ActorId::as_u64)
    );
}

#[inline(always)]
pub(crate) fn stop(actor: ActorId, actor_type: fn() -> &'static str) {
    fire!(
        stop,
        actor.as_u64(),
        actor_type().as_ptr(),
        actor_type().len()
    );
}

/// Whose turn it is; nothing without the feature.
#[derive(Clone, Copy)]
pub(crate) struct Turn(#[cfg(feature = "usdt")] ActorId);

#[inline(always)]
pub(crate) fn turn_begin(
    actor: impl Fn() -> ActorId,
    actor_type: impl Fn() -> &'static str,
) -> Turn {
    fire!(
        turn_begin,
        actor().as_u64(),
        actor_type().as_ptr(),
        actor_type().len()
    );
    Turn(
        #[cfg(feature = "usdt")]
        actor(),
    )
}

/// Named before it is over: then the cell may be another's.
#[inline(always)]
pub(crate) fn turn_end(turn: Turn, again: bool) {
    #[cfg(feature = "usdt")]
    fire!(turn_end, turn.0.as_u64(), again);
    let _ = (turn, again);
}

#[inline(always)]
pub(crate) fn park(worker: WorkerId) {
    fire!(park, worker.0);
}

#[inline(always)]
pub(crate) fn unpark(worker: WorkerId) {
    fire!(unpark, worker.0);
}
