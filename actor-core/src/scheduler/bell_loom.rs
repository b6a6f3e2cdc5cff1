//! Models of the bell: somebody brings a thing and goes; the thread that waits for it either sees it before it sleeps,
//! or is rung. `membarrier` is a fence on either side here.

use super::{Bell, Protocol, Sound};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, thread};

struct NoBarrierOfBringer;

impl Protocol for NoBarrierOfBringer {
    fn bringers_barrier() {}
}

struct NoBarrierOfDozer;

impl Protocol for NoBarrierOfDozer {
    fn dozers_barrier() -> bool {
        true
    }
}

struct NoLook;

impl Protocol for NoLook {
    const LOOKS: bool = false;
}

fn bringer_and_dozer<P: Protocol + 'static>() {
    loom::model(|| {
        let world = Arc::new((Bell::<P>::new(), AtomicBool::new(false)));
        let there = world.clone();
        let bringer = thread::spawn(move || {
            let (bell, thing) = &*there;
            thing.store(true, Ordering::Release);
            bell.ring_if_dozing();
        });
        let (bell, thing) = &*world;
        assert!(bell.doze());
        let sees = P::LOOKS && thing.load(Ordering::Acquire);
        bringer.join().unwrap();
        assert!(sees || bell.is_rung(), "it would sleep for ever");
    });
}

#[test]
fn loom_bell_is_heard() {
    bringer_and_dozer::<Sound>();
}

#[test]
#[should_panic]
fn loom_twin_without_the_bringers_barrier() {
    bringer_and_dozer::<NoBarrierOfBringer>();
}

#[test]
#[should_panic]
fn loom_twin_without_the_dozers_barrier() {
    bringer_and_dozer::<NoBarrierOfDozer>();
}

#[test]
#[should_panic]
fn loom_twin_that_dozes_without_a_look() {
    bringer_and_dozer::<NoLook>();
}
