//! Timers go to the wheel they are for and are found there again.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::task::Wake;
use std::time::Duration;

use super::*;
use crate::sync::thread;

const PATIENCE: Duration = Duration::from_secs(30);

/// Tells on which thread it was woken.
struct Where(Sender<Option<String>>);

impl Wake for Where {
    fn wake(self: Arc<Self>) {
        let name = thread::current().name().map(str::to_owned);
        self.0.send(name).unwrap();
    }
}

fn spot(arena: u8) -> Spot {
    Spot {
        name: format!("wheel-{arena}"),
        arena,
        begin: Box::new(|| {}),
    }
}

#[test]
fn each_numa_index_has_its_wheel_and_its_thread() {
    let timers = Timers::start([spot(212), spot(213)]).unwrap();
    let (told, heard) = channel();
    let waker: Waker = Arc::new(Where(told)).into();
    for (index, name) in [(1, "wheel-213"), (0, "wheel-212")] {
        timers.wake_at(index, Tick::now(), waker.clone());
        let thread = heard.recv_timeout(PATIENCE).unwrap();
        assert_eq!(thread.as_deref(), Some(name));
    }
    let later = Tick::now().after(Duration::from_secs(3600));
    let keys = [0, 1, 1].map(|index| timers.wake_at(index, later, Waker::noop().clone()));
    let pending = || [timers.stats(0).pending, timers.stats(1).pending];
    assert_eq!(pending(), [1, 2]);
    // The keys of the two wheels are alike but for the wheel.
    assert!(timers.cancel(keys[1]));
    assert!(!timers.cancel(keys[1]));
    assert_eq!(pending(), [1, 1]);
    assert!(timers.replace_waker(keys[0], &waker));
    assert!(timers.cancel(keys[0]) && timers.cancel(keys[2]));
    assert!(!timers.cancel(TimerKey::FITS_NOTHING));
    assert_eq!(pending(), [0, 0]);
    assert_eq!([timers.stats(0).fired, timers.stats(1).fired], [1, 1]);
}

#[test]
fn a_wheel_begins_on_its_thread_and_its_entries_lie_in_its_arena() {
    let began = Arc::new(OnceLock::new());
    let began_there = Arc::clone(&began);
    let mut spot = spot(214);
    spot.begin = Box::new(move || {
        let name = thread::current().name().map(str::to_owned);
        began_there.set(name).unwrap();
    });
    let used = || {
        let classes = crate::memory::classes(crate::id::NumaNodeId(214));
        classes.iter().map(|class| class.held_bytes()).sum::<u64>()
    };
    let timers = Timers::start([spot]).unwrap();
    assert_eq!(used(), 0);
    let later = Tick::now().after(Duration::from_secs(3600));
    for _ in 0..1000 {
        timers.wake_at(0, later, Waker::noop().clone());
    }
    // 16 blocks of 64 entries of 48 bytes.
    assert!(used() >= 16 * 3072, "{}", used());
    timers.stop();
    assert_eq!(began.get().unwrap().as_deref(), Some("wheel-214"));
    assert_eq!(timers.stats(0).pending, 0);
    let key = timers.wake_at(0, later, Waker::noop().clone());
    assert_eq!(key.key, Key::FITS_NOTHING);
}
