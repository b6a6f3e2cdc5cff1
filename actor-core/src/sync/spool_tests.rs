use std::rc::Rc;
use std::sync::Arc;

use super::*;

fn all<T>(spool: &Spool<T>, most: usize) -> Vec<T> {
    let mut out = Vec::new();
    // SAFETY: the one consumer.
    let taken = unsafe { spool.take(most, |value| out.push(value)) };
    assert_eq!(taken, out.len());
    out
}

#[test]
fn what_finds_it_full_is_not_made() {
    let spool = Spool::<_>::new(4);
    for round in 0..3 {
        // SAFETY: the one producer.
        let refused: Vec<_> = (0..6)
            .filter(|value| !unsafe { spool.push(|| *value) })
            .collect();
        assert_eq!((refused, spool.len()), (vec![4, 5], 4), "round {round}");
        assert_eq!(all(&spool, 3), [0, 1, 2]);
        // SAFETY: as above.
        assert!(unsafe { spool.push(|| 9) });
        assert_eq!(all(&spool, 9), [3, 9]);
        assert_eq!(spool.len(), 0);
    }
}

#[test]
fn what_is_left_is_dropped_with_it() {
    let value = Rc::new(());
    let spool = Spool::<Rc<()>>::new(2);
    for _ in 0..2 {
        // SAFETY: the one producer.
        assert!(unsafe { spool.push(|| value.clone()) });
    }
    drop(spool);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn two_threads_see_the_same_row() {
    let values: u64 = if cfg!(miri) { 300 } else { 100_000 };
    let spool = Arc::new(Spool::<Box<u64>>::new(16));
    let there = spool.clone();
    let producer = std::thread::spawn(move || {
        for value in 0..values {
            // SAFETY: the one producer.
            while !unsafe { there.push(|| Box::new(value)) } {
                std::thread::yield_now();
            }
        }
    });
    let mut next = 0;
    while next < values {
        let taken = all(&spool, 5);
        if taken.is_empty() {
            std::thread::yield_now();
        }
        for value in taken {
            assert_eq!(*value, next);
            next += 1;
        }
    }
    producer.join().unwrap();
}
