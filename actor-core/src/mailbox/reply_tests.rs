//! The reply slot, state by state, with wakers that are counted.

use std::sync::{Arc, mpsc};
use std::task::Wake;

use super::super::node::Fate;
use super::*;
use crate::sync::thread;

/// A waker that says when it is called; its count says whether it was dropped.
struct Bell(mpsc::Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.send(()).expect("the test listens");
    }
}

fn bell() -> (Arc<Bell>, mpsc::Receiver<()>) {
    let (sender, receiver) = mpsc::channel();
    (Arc::new(Bell(sender)), receiver)
}

fn slot(bell: &Arc<Bell>) -> ReplySlot {
    ReplySlot::waiting(bell.clone().into())
}

#[test]
fn an_answer_wakes_who_waits_and_shows_the_waker_first() {
    let (bell, rung) = bell();
    let slot = slot(&bell);
    assert_eq!(slot.look(), Polled::Pending);
    let mut shown = 0;
    let Responded::Wake(waker) = slot.respond(None, |_| {
        shown += 1;
        assert_eq!(slot.look(), Polled::Pending, "the answer comes after");
    }) else {
        panic!("somebody waits");
    };
    assert_eq!(shown, 1);
    waker.wake();
    assert_eq!(rung.try_iter().count(), 1);
    assert_eq!(
        (slot.look(), slot.poll(&bell.clone().into())),
        (Polled::Value, Polled::Value)
    );
    assert_eq!(
        slot.abandon(),
        Some(Polled::Value),
        "too late to give up: the node is the asker's"
    );
    assert_eq!(Arc::strong_count(&bell), 1, "no waker is left");
}

#[test]
fn every_failure_comes_through() {
    let fates = [
        Fate::ActorStopped,
        Fate::Expired,
        Fate::Cancelled,
        Fate::Panicked,
        Fate::Interrupted,
        Fate::Oldest,
        Fate::Newest,
        Fate::Abandoned,
        Fate::NoReply,
    ];
    for fate in fates {
        let (bell, _rung) = bell();
        let slot = slot(&bell);
        let responded = slot.respond(Some(fate as u8), |_| ());
        assert!(matches!(responded, Responded::Wake(_)));
        assert_eq!(slot.look(), Polled::Failed(fate as u8), "{fate}");
        assert!(!fate.to_string().is_empty());
    }
}

#[test]
fn another_waker_takes_the_place_of_the_first() {
    let ((first, first_rung), (second, second_rung)) = (bell(), bell());
    let slot = slot(&first);
    assert_eq!(slot.poll(&second.clone().into()), Polled::Pending);
    assert_eq!(
        (Arc::strong_count(&first), Arc::strong_count(&second)),
        (1, 2)
    );
    assert_eq!(
        slot.poll(&second.clone().into()),
        Polled::Pending,
        "the same one stays"
    );
    assert_eq!(Arc::strong_count(&second), 2);
    let Responded::Wake(waker) = slot.respond(None, |_| ()) else {
        panic!("somebody waits");
    };
    waker.wake();
    assert_eq!(
        (
            first_rung.try_iter().count(),
            second_rung.try_iter().count()
        ),
        (0, 1)
    );
}

#[test]
fn who_gives_up_leaves_the_node_to_the_responder() {
    let (bell, _rung) = bell();
    let slot = slot(&bell);
    assert!(!slot.is_abandoned());
    assert_eq!(slot.abandon(), None);
    assert!(slot.is_abandoned());
    assert_eq!(Arc::strong_count(&bell), 1, "the waker went with it");
    let responded = slot.respond(None, |_| panic!("nobody waits"));
    assert!(matches!(responded, Responded::Abandoned(None)));
}

#[test]
fn giving_up_while_the_waker_is_taken_leaves_both_to_the_responder() {
    let (bell, _rung) = bell();
    let slot = slot(&bell);
    let responded = slot.respond(None, |_| assert_eq!(slot.abandon(), None));
    assert!(matches!(responded, Responded::Abandoned(Some(_))));
    drop(responded);
    assert_eq!(Arc::strong_count(&bell), 1);
}

#[test]
fn a_poll_while_the_waker_is_taken_asks_to_be_polled_again() {
    let ((first, _kept), (second, rung)) = (bell(), bell());
    let slot = slot(&first);
    let responded = slot.respond(None, |_| {
        assert_eq!(slot.poll(&second.clone().into()), Polled::Pending);
        assert_eq!(
            rung.try_iter().count(),
            1,
            "it relies on no waker that is on its way out"
        );
    });
    assert!(matches!(responded, Responded::Wake(_)));
}

#[test]
fn a_waker_whose_clone_panics_leaves_a_slot_that_still_works() {
    use std::task::{RawWaker, RawWakerVTable};
    static BOMB: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("no clone of this"), |_| (), |_| (), |_| ());
    // SAFETY: the functions do nothing with the pointer.
    let bomb = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &BOMB)) };
    let (bell, rung) = bell();
    let slot = slot(&bell);
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| slot.poll(&bomb)));
    assert!(polled.is_err());
    assert_eq!(
        slot.poll(&bell.clone().into()),
        Polled::Pending,
        "not an answer that was never given"
    );
    let Responded::Wake(waker) = slot.respond(None, |_| ()) else {
        panic!("somebody waits");
    };
    waker.wake();
    assert_eq!((rung.try_iter().count(), slot.look()), (1, Polled::Value));
}

/// An asker that is polled all the time by changing wakers hears of the answer all the same.
#[test]
fn threads_hear_of_every_answer() {
    let rounds = if cfg!(miri) { 20 } else { 5_000 };
    for round in 0..rounds {
        let ((first, _kept), (second, rung)) = (bell(), bell());
        let slot = Arc::new(slot(&first));
        let theirs = slot.clone();
        let responder = thread::spawn(move || {
            if let Responded::Wake(waker) = theirs.respond(None, |_| ()) {
                waker.wake();
            }
        });
        for _ in 0..round % 8 {
            std::hint::spin_loop();
        }
        while slot.poll(&second.clone().into()) == Polled::Pending {
            rung.recv_timeout(std::time::Duration::from_secs(20))
                .expect("an answer is never kept back");
        }
        responder.join().expect("no panic");
        drop(slot);
        assert_eq!(
            (Arc::strong_count(&first), Arc::strong_count(&second)),
            (1, 1)
        );
    }
}
