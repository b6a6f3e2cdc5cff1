use super::{Idle, PER_WORD, Searching, Sleep, Sound};

fn idle(workers: usize) -> Idle<Sound> {
    Idle::new(workers, workers)
}

fn sleep(idle: &Idle<Sound>, me: usize, was: Option<Searching>) -> super::Asleep {
    match idle.sleep(me, was, || false) {
        Sleep::Asleep(asleep) => asleep,
        Sleep::Searching(_) => panic!("there was no work"),
    }
}

#[test]
fn one_searcher_for_each_eight_workers() {
    for (workers, searchers) in [(1, 1), (2, 1), (8, 1), (15, 1), (16, 2), (56, 7)] {
        let idle = idle(workers);
        let got: Vec<_> = (0..workers)
            .filter_map(|me| idle.start_searching(me))
            .collect();
        assert_eq!(got.len(), searchers, "{workers} workers");
    }
}

#[test]
fn nobody_is_woken_while_somebody_searches_or_if_nobody_sleeps() {
    let idle = idle(4);
    assert_eq!(idle.wake_one(), None);
    let _asleep = sleep(&idle, 2, None);
    let searching = idle.start_searching(0).unwrap();
    assert_eq!(idle.wake_one(), None);
    assert_eq!(idle.stop_searching(0, searching, || false), None);
    assert_eq!(idle.wake_one(), Some(2));
    assert_eq!(idle.wake_one(), None, "worker 2 searches now");
}

#[test]
fn a_woken_worker_searches_and_hands_on_only_if_there_is_more() {
    let idle = idle(4);
    let zero = sleep(&idle, 0, None);
    let _one = sleep(&idle, 1, None);
    let zero = idle.woken(0, zero).unwrap_err();
    assert_eq!(idle.asleep(), 2);
    assert_eq!(idle.wake_one(), Some(0));
    let searching = idle.woken(0, zero).unwrap();
    assert_eq!(idle.stop_searching(0, searching, || true), Some(1));
    assert_eq!(idle.asleep(), 0);
}

#[test]
fn the_last_look_before_sleep_takes_the_sleep_back() {
    let idle = idle(2);
    let searching = idle.start_searching(0);
    assert!(searching.is_some());
    let Sleep::Searching(searching) = idle.sleep(0, searching, || true) else {
        panic!("there was work");
    };
    assert_eq!(idle.asleep(), 0);
    assert!(idle.start_searching(1).is_none(), "worker 0 still counts");
    assert_eq!(idle.stop_searching(0, searching, || false), None);
    assert!(idle.start_searching(1).is_some());
}

#[test]
fn a_waker_may_come_between_the_bit_and_the_last_look() {
    let idle = idle(2);
    let outcome = idle.sleep(1, None, || {
        assert_eq!(idle.wake_one(), Some(1));
        true
    });
    let Sleep::Searching(searching) = outcome else {
        panic!("there was work");
    };
    // Counted once, not twice.
    assert_eq!(idle.stop_searching(1, searching, || false), None);
    assert!(idle.start_searching(0).is_some());
}

#[test]
fn more_workers_than_a_word_has_bits() {
    let n = 2 * PER_WORD + 3;
    let idle = idle(n);
    let _asleep: Vec<_> = (PER_WORD..n).map(|me| sleep(&idle, me, None)).collect();
    assert_eq!(idle.asleep(), PER_WORD + 3);
    let mut woken = Vec::new();
    while let Some(worker) = idle.wake_one() {
        woken.push(worker);
        let was = Searching(());
        assert_eq!(idle.wake_one(), None, "worker {worker} searches");
        assert_eq!(idle.stop_searching(worker, was, || false), None);
    }
    assert_eq!(woken, (PER_WORD..n).collect::<Vec<_>>());
}
