//! Values in boxes are dropped once, and every byte comes back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::*;

fn user_bytes(arena: u8) -> u64 {
    crate::memory::stats(NumaNodeId(arena)).user_bytes
}

/// A size of each way to be allocated, and nothing at all.
#[test]
#[cfg_attr(miri, ignore = "minutes: byte by byte")]
fn every_byte_comes_back_from_every_size() {
    const ARENA: u8 = 220;
    for len in [0, 1, 100, 4096, 4097, 10_000, 70_000, 600_000] {
        let boxed = NumaBox::slice_in(ARENA, len, |index| index as u8).unwrap();
        assert_eq!(boxed.len(), len);
        assert!((0..len).all(|index| boxed[index] == index as u8));
        assert_eq!(boxed.numa_node(), NumaNodeId(ARENA));
        assert_eq!(user_bytes(ARENA), len as u64);
        drop(boxed);
        assert_eq!(user_bytes(ARENA), 0);
    }
    let stats = crate::memory::stats(NumaNodeId(ARENA));
    assert_eq!((stats.large_bytes, stats.large_blocks), (0, 0));
}

#[test]
#[cfg_attr(miri, ignore = "minutes: byte by byte")]
fn large_blocks_are_distinct_and_used_again() {
    const ARENA: u8 = 221;
    let fill = |n: u8| NumaBox::slice_in(ARENA, 9000, move |_| n).unwrap();
    for _ in 0..3 {
        let boxes: Vec<_> = (0..20).map(fill).collect();
        for (n, boxed) in boxes.iter().enumerate() {
            assert!(boxed.iter().all(|byte| usize::from(*byte) == n));
        }
        assert_eq!(
            crate::memory::stats(NumaNodeId(ARENA)).large_bytes,
            20 * (12 << 10)
        );
    }
    let classes = crate::memory::classes(NumaNodeId(ARENA));
    let class = classes
        .iter()
        .find(|class| class.block_bytes == 12 << 10)
        .unwrap();
    assert_eq!(class.reserved_bytes, 20 * (12 << 10));
    assert_eq!((class.free_bytes, class.held_bytes()), (20 * (12 << 10), 0));
}

#[test]
fn a_box_drops_its_value_once() {
    const ARENA: u8 = 222;
    let value = Rc::new(());
    drop(NumaBox::new_in(ARENA, Rc::clone(&value)).unwrap());
    assert_eq!(Rc::strong_count(&value), 1);
    let boxed = NumaBox::new_in(ARENA, Rc::clone(&value)).unwrap();
    let inner = NumaBox::into_inner(boxed);
    assert_eq!(Rc::strong_count(&value), 2);
    drop(inner);
    let slice = NumaBox::slice_in(ARENA, 9, |_| Rc::clone(&value)).unwrap();
    assert_eq!(Rc::strong_count(&value), 10);
    let moved = slice.moved_to(ARENA + 1).unwrap();
    assert_eq!(moved.numa_node(), NumaNodeId(ARENA + 1));
    assert_eq!((moved.len(), Rc::strong_count(&value)), (9, 10));
    assert_eq!(user_bytes(ARENA), 0);
    drop(moved);
    assert_eq!(Rc::strong_count(&value), 1);
    assert_eq!((user_bytes(ARENA), user_bytes(ARENA + 1)), (0, 0));
}

#[test]
fn a_panic_while_filling_or_dropping_loses_nothing() {
    const ARENA: u8 = 224;
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let value = Rc::new(());
    let filling = catch_unwind(AssertUnwindSafe(|| {
        NumaBox::slice_in(ARENA, 9, |index| {
            assert!(index < 5, "enough");
            Rc::clone(&value)
        })
    }));
    assert!(filling.is_err());
    assert_eq!(Rc::strong_count(&value), 1);
    let boxed = NumaBox::new_in(ARENA, (Bomb, [0u8; 100])).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(boxed))).is_err());
    assert_eq!(user_bytes(ARENA), 0);
}

#[test]
fn nothing_takes_no_memory_and_too_much_is_refused() {
    const ARENA: u8 = 225;
    let unit = NumaBox::new_in(ARENA, ()).unwrap();
    let units = NumaBox::slice_in(ARENA, 1000, |_| ()).unwrap();
    assert_eq!((*unit, units.len()), ((), 1000));
    let error = NumaBox::slice_in(ARENA, usize::MAX, |_| 0u64).unwrap_err();
    assert_eq!(
        error,
        NumaAllocError::TooLarge {
            len: usize::MAX,
            size: 8
        }
    );
    assert!(error.to_string().contains("of 8 bytes: at most"), "{error}");
    assert_eq!(user_bytes(ARENA), 0);
}

#[test]
fn a_box_dropped_on_another_thread_goes_home() {
    const ARENA: u8 = 226;
    let rounds = if cfg!(miri) { 2 } else { 50 };
    for _ in 0..rounds {
        let boxes: Vec<_> = (0..200)
            .map(|n| NumaBox::new_in(ARENA, [n; 40]).unwrap())
            .collect();
        std::thread::spawn(move || {
            crate::memory::set_here(ARENA + 1);
            assert!(boxes.iter().zip(0..).all(|(boxed, n)| boxed[39] == n));
        })
        .join()
        .unwrap();
    }
    let stats = crate::memory::stats(NumaNodeId(ARENA));
    assert_eq!(stats.user_bytes, 0);
    // All that each thread had, since it came with nothing and ended.
    assert_eq!(stats.remote_frees, rounds * 200);
    assert!(stats.remote_batches >= rounds * 200 / 63);
    assert!(stats.remote_batches <= rounds * (200 / 63 + 2));
}
