//! The word `place`, which the owner and others write.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::*;

/// A cell in which nobody lives.
fn cell() -> CellRef {
    // SAFETY: H1: zero bytes are a header.
    let header = unsafe { MaybeUninit::<CellHeader>::zeroed().assume_init() };
    CellRef(NonNull::from(Box::leak(Box::new(header))))
}

#[test]
fn a_mark_that_is_set_during_a_move_is_kept() {
    let rounds: u32 = if cfg!(miri) { 50 } else { 50_000 };
    let cell = cell();
    std::thread::scope(|scope| {
        let moving = scope.spawn(move || {
            for round in 0..rounds {
                // SAFETY: nobody else moves it.
                unsafe { cell.set_home(round as u8, (round & 7) as usize) };
            }
        });
        while !moving.is_finished() {
            cell.hold(0, true);
            assert!(cell.is_held(), "the mark was lost");
            cell.hold(0, false);
            assert!(!cell.is_held(), "the mark came back");
        }
    });
    let last = rounds - 1;
    assert_eq!(cell.arena(), last as u8);
    assert_eq!(cell.numa_index(), (last & 7) as usize);
}

#[test]
fn a_move_leaves_the_marks_and_the_arena_of_the_cell() {
    let cell = cell();
    cell.hold(0, true);
    cell.note_many_watches();
    cell.set_away(true);
    // SAFETY: nobody else moves it.
    unsafe { cell.set_home(3, 2) };
    assert!(cell.is_held() && cell.has_many_watches() && cell.is_away());
    assert_eq!((cell.arena(), cell.numa_index()), (3, 2));
    assert_eq!(cell.header().place.load(Ordering::Relaxed) as u8, 0);
    cell.set_away(false);
    assert!(cell.is_held() && !cell.is_away());
}
