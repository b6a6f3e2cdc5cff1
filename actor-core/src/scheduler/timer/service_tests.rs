use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Wake;
use std::time::{Duration, Instant};

use super::*;

/// Generous: these tests share few CPUs with many others.
const SOON: Duration = Duration::from_secs(20);

fn start() -> io::Result<Service> {
    Service::start("actor-timer".to_owned(), 211, || {})
}

/// Tells when it was woken, on which thread; and when it is dropped.
struct Probe {
    woken: Sender<(Tick, Option<String>)>,
    on_drop: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Wake for Probe {
    fn wake(self: Arc<Self>) {
        let name = thread::current().name().map(str::to_owned);
        self.woken.send((Tick::now(), name)).unwrap();
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(on_drop) = &self.on_drop {
            on_drop();
        }
    }
}

fn probe() -> (Waker, Receiver<(Tick, Option<String>)>) {
    let (woken, receiver) = channel();
    let on_drop = None;
    (Arc::new(Probe { woken, on_drop }).into(), receiver)
}

fn panicking(payload: fn()) -> Waker {
    struct Panicking(fn());
    impl Wake for Panicking {
        fn wake(self: Arc<Self>) {
            self.0();
        }
    }
    Arc::new(Panicking(payload)).into()
}

fn in_ms(ms: u64) -> Tick {
    Tick::now().after(Duration::from_millis(ms))
}

/// Waits until the thread sleeps, so that what comes next has to ring or not.
fn until_asleep(timers: &Service) {
    let start = Instant::now();
    while timers.shared.lock().sleeps_until == AWAKE {
        assert!(start.elapsed() < SOON, "the timer thread never sleeps");
        thread::yield_now();
    }
}

#[test]
fn t01_wakes_once_not_before_its_time() {
    let timers = start().unwrap();
    for ms in [0, 1, 3, 70] {
        let (waker, woken) = probe();
        let at = in_ms(ms);
        let key = timers.wake_at(at, waker);
        let (when, thread) = woken.recv_timeout(SOON).unwrap();
        assert!(when >= at, "{when:?} is before {at:?}");
        assert_eq!(thread.as_deref(), Some("actor-timer"));
        assert!(!timers.cancel(key));
        // The waker is gone: it cannot be woken again.
        assert!(woken.recv_timeout(SOON).is_err());
    }
    assert_eq!(timers.stats().fired, 4);
}

#[test]
fn t02_a_cancelled_timer_does_not_wake() {
    let timers = start().unwrap();
    let (waker, woken) = probe();
    let key = timers.wake_at(in_ms(30), waker);
    assert_eq!(timers.stats().pending, 1);
    assert!(timers.cancel(key));
    assert!(!timers.cancel(key));
    // Cancelling dropped the last waker.
    assert!(
        woken
            .try_recv()
            .is_err_and(|e| e == std::sync::mpsc::TryRecvError::Disconnected)
    );
    assert_eq!(timers.stats().pending, 0);
}

#[test]
fn replacing_the_waker_moves_the_wake() {
    let timers = start().unwrap();
    let (old, old_woken) = probe();
    let (new, new_woken) = probe();
    let key = timers.wake_at(in_ms(50), old.clone());
    assert!(timers.replace_waker(key, &old));
    assert!(timers.replace_waker(key, &new));
    drop((old, new));
    assert!(new_woken.recv_timeout(SOON).is_ok());
    assert!(old_woken.try_recv().is_err());
    assert!(!timers.replace_waker(key, Waker::noop()));
}

#[test]
fn only_a_timer_before_all_others_rings_the_bell() {
    let timers = start().unwrap();
    let far = in_ms(3_600_000);
    until_asleep(&timers);
    timers.wake_at(far, Waker::noop().clone());
    assert_eq!(timers.stats().bells, 1);
    until_asleep(&timers);
    for later in 0..1000 {
        let key = timers.wake_at(far.after(Duration::from_secs(later)), Waker::noop().clone());
        timers.cancel(key);
    }
    assert_eq!(timers.stats().bells, 1);

    // An earlier one cuts the sleep short.
    let (waker, woken) = probe();
    timers.wake_at(in_ms(5), waker);
    assert_eq!(timers.stats().bells, 2);
    assert!(woken.recv_timeout(SOON).is_ok());
}

#[test]
fn a_panicking_waker_does_not_stop_the_others() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the payload's drop, as planned");
        }
    }
    let timers = start().unwrap();
    let at = in_ms(5);
    timers.wake_at(at, panicking(|| panic!("as planned")));
    timers.wake_at(at, panicking(|| std::panic::panic_any(Bomb)));
    let (waker, woken) = probe();
    timers.wake_at(at, waker);
    assert!(woken.recv_timeout(SOON).is_ok());
    let (waker, woken) = probe();
    timers.wake_at(in_ms(5), waker);
    assert!(woken.recv_timeout(SOON).is_ok());
    assert_eq!(timers.stats().waker_panics, 3, "the payload's drop as well");
}

#[test]
fn wakers_may_use_the_timers_when_woken_and_when_dropped() {
    let timers = Arc::new(start().unwrap());
    let reentrant = |woken| {
        let timers = Arc::downgrade(&timers);
        let on_drop: Box<dyn Fn() + Send + Sync> = Box::new(move || {
            if let Some(timers) = timers.upgrade() {
                let key = timers.wake_at(in_ms(1000), Waker::noop().clone());
                assert!(timers.cancel(key));
            }
        });
        Waker::from(Arc::new(Probe {
            woken,
            on_drop: Some(on_drop),
        }))
    };
    let (sender, woken) = channel();
    let cancelled = timers.wake_at(in_ms(1000), reentrant(sender.clone()));
    assert!(timers.cancel(cancelled));
    let replaced = timers.wake_at(in_ms(1000), reentrant(sender.clone()));
    assert!(timers.replace_waker(replaced, Waker::noop()));
    timers.wake_at(in_ms(2), reentrant(sender));
    assert!(woken.recv_timeout(SOON).is_ok());
}

#[test]
fn stopping_ends_the_thread_and_wakes_nobody() {
    let timers = start().unwrap();
    let (waker, woken) = probe();
    let key = timers.wake_at(in_ms(3_600_000), waker);
    timers.stop();
    timers.stop();
    assert_eq!(Arc::strong_count(&timers.shared), 1, "the thread is gone");
    assert!(woken.recv().is_err(), "the waker is dropped unwoken");
    assert!(!timers.cancel(key));
    let (waker, woken) = probe();
    let key = timers.wake_at(in_ms(0), waker);
    assert!(woken.recv().is_err());
    assert!(!timers.cancel(key));
}

#[test]
fn a_waker_may_stop_the_timers() {
    struct Stop(std::sync::Weak<Service>, Sender<()>);
    impl Wake for Stop {
        fn wake(self: Arc<Self>) {
            if let Some(timers) = self.0.upgrade() {
                timers.stop();
            }
            self.1.send(()).unwrap();
        }
    }
    let timers = Arc::new(start().unwrap());
    let (sender, stopped) = channel();
    timers.wake_at(
        in_ms(1),
        Arc::new(Stop(Arc::downgrade(&timers), sender)).into(),
    );
    stopped.recv_timeout(SOON).unwrap();
    timers.stop();
}

#[test]
fn t04_a_storm_at_one_instant_is_delivered_whole() {
    const N: usize = 100_000;
    let timers = Arc::new(start().unwrap());
    let (sender, woken) = channel();
    let waker: Waker = Arc::new(Probe {
        woken: sender,
        on_drop: None,
    })
    .into();
    let at = in_ms(300);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (timers, waker) = (Arc::clone(&timers), waker.clone());
            thread::spawn(move || {
                for n in 0..N / 4 {
                    timers.wake_at(at, waker.clone());
                    // Half as many again are taken back meanwhile.
                    if n % 2 == 0 {
                        let key = timers.wake_at(in_ms(3_600_000), waker.clone());
                        assert!(timers.cancel(key));
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(waker);
    for n in 0..N {
        let (when, _) = woken
            .recv_timeout(SOON)
            .unwrap_or_else(|_| panic!("timer {n} never fired"));
        assert!(when >= at);
    }
    assert!(woken.recv_timeout(SOON).is_err(), "one wake each");
    assert_eq!(timers.stats().fired, N as u64);
    assert_eq!(timers.stats().pending, 0);
}

/// What does a deadline cost that is met? `cargo test --release -- --ignored --nocapture deadline`
#[test]
#[ignore = "a measurement"]
fn cost_of_a_deadline_that_is_met() {
    const N: u32 = 1_000_000;
    let timers = start().unwrap();
    let waker = Waker::noop();
    for waiting in [0, 1_000, 100_000] {
        let keys: Vec<_> = (0..waiting)
            .map(|n| timers.wake_at(in_ms(60_000 + n), waker.clone()))
            .collect();
        let at = in_ms(30_000);
        let start = Instant::now();
        for n in 0..N {
            let key = timers.wake_at(at.after(Duration::from_micros(u64::from(n))), waker.clone());
            assert!(timers.cancel(key));
        }
        let each = start.elapsed() / N;
        println!("insert and cancel with {waiting} others waiting: {each:?}");
        for key in keys {
            timers.cancel(key);
        }
    }
}
