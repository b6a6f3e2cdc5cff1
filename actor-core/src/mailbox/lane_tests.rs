//! Order and ownership of what lies on a lane.

use std::sync::Arc;

use super::{Lane, Linked};

struct Number {
    next: *mut Self,
    number: u32,
    _alive: Arc<()>,
}

// SAFETY: the address is the lane's own, and touched by its owner only.
unsafe impl Send for Number {}

impl Linked for Number {
    fn next(&mut self) -> &mut *mut Self {
        &mut self.next
    }
}

fn number(number: u32, alive: &Arc<()>) -> Box<Number> {
    Box::new(Number {
        next: std::ptr::null_mut(),
        number,
        _alive: alive.clone(),
    })
}

#[test]
fn taken_in_the_order_they_came_and_dropped_once() {
    let (lane, alive): (Lane<Number>, _) = (Lane::new(), Arc::new(()));
    assert!(lane.is_empty());
    for n in 0..5 {
        lane.push(number(n, &alive));
    }
    assert!(!lane.is_empty());
    let numbers: Vec<u32> = lane.take().map(|each| each.number).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    assert!(lane.is_empty());
    lane.push(number(5, &alive));
    lane.push(number(6, &alive));
    let mut taken = lane.take();
    assert_eq!(taken.next().map(|each| each.number), Some(5));
    drop(taken);
    assert_eq!(Arc::strong_count(&alive), 1, "the rest is dropped");
}

#[test]
fn from_several_threads_each_comes_once_and_in_its_pushers_order() {
    let (lane, alive) = (Arc::new(Lane::<Number>::new()), Arc::new(()));
    let per_thread = if cfg!(miri) { 20 } else { 2000 };
    let pushers: Vec<_> = (0..2)
        .map(|from| {
            let (lane, alive) = (lane.clone(), alive.clone());
            std::thread::spawn(move || {
                for n in 0..per_thread {
                    lane.push(number(from * per_thread + n, &alive));
                }
            })
        })
        .collect();
    let mut next = [0, per_thread];
    while next != [per_thread, 2 * per_thread] {
        for each in lane.take() {
            let from = usize::from(each.number >= per_thread);
            assert_eq!(each.number, next[from]);
            next[from] += 1;
        }
        std::thread::yield_now();
    }
    pushers.into_iter().for_each(|each| each.join().unwrap());
    assert_eq!(Arc::strong_count(&alive), 1);
}
