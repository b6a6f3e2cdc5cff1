//! Models of the spool: one thread pushes, another takes; what comes out is what went in, in that order, over more
//! values than it has room for. loom sees who touches a slot when.

use super::{Protocol, Sound, Spool};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, thread};

struct UnpublishedValue;

impl Protocol for UnpublishedValue {
    const PUBLISH: Ordering = Ordering::Relaxed;
}

struct SlotGivenBackEarly;

impl Protocol for SlotGivenBackEarly {
    const GIVE_BACK: Ordering = Ordering::Relaxed;
}

fn producer_and_consumer<P: Protocol + 'static>() {
    loom::model(|| {
        let spool = Arc::new(Spool::<u32, P>::new(2));
        let there = spool.clone();
        let producer = thread::spawn(move || {
            (0..4)
                // SAFETY: the one producer.
                .filter(|value| unsafe { there.push(|| *value) })
                .collect::<Vec<_>>()
        });
        let mut out = Vec::new();
        // SAFETY: the one consumer, here and below.
        unsafe {
            spool.take(2, |value| out.push(value));
            spool.take(2, |value| out.push(value));
        }
        let went_in = producer.join().unwrap();
        // SAFETY: as above.
        unsafe { spool.take(9, |value| out.push(value)) };
        assert_eq!(out, went_in);
    });
}

#[test]
fn loom_spool_gives_out_what_went_in() {
    producer_and_consumer::<Sound>();
}

#[test]
#[should_panic]
fn loom_twin_without_publishing_the_value() {
    producer_and_consumer::<UnpublishedValue>();
}

#[test]
#[should_panic]
fn loom_twin_that_gives_a_slot_back_early() {
    producer_and_consumer::<SlotGivenBackEarly>();
}
