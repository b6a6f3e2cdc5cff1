//! Blocks come back whole, exactly once, and go home.

use std::alloc::Layout;
use std::collections::HashSet;

use super::class::{LARGE, SIZES, class_for};
use super::*;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a valid layout")
}

#[test]
fn every_layout_gets_the_smallest_class_that_fits() {
    for size in 1..=4096usize {
        let class = class_for(layout(size));
        assert!(SIZES[usize::from(class)] >= size, "{size} in {class}");
        assert!(
            class == 0 || SIZES[usize::from(class) - 1] < size,
            "{size} is not in the smallest class"
        );
    }
    assert_eq!(class_for(layout(4097)), LARGE);
    let node = Layout::from_size_align(65, 64).expect("a valid layout");
    assert_eq!(
        SIZES[usize::from(class_for(node))] % 64,
        0,
        "aligned layouts get aligned blocks"
    );
}

#[test]
fn blocks_are_distinct_and_reused() {
    const ARENA: u8 = 200;
    let class = class_for(layout(64));
    let first: Vec<_> = (0..500)
        .map(|_| alloc(ARENA, class, layout(64), Purpose::Runtime).expect("memory"))
        .collect();
    let distinct: HashSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), 500, "a block was handed out twice");
    for block in &first {
        assert_eq!(
            block.as_ptr() as usize % 64,
            0,
            "64-byte blocks keep six address bits free"
        );
        // SAFETY: each block was allocated above with these arguments and is not used again.
        unsafe { free(*block, ARENA, class, layout(64)) };
    }
    let again: HashSet<_> = (0..500)
        .map(|_| alloc(ARENA, class, layout(64), Purpose::Runtime).expect("memory"))
        .collect();
    assert!(
        again.len() == 500
            && again
                .iter()
                .filter(|block| distinct.contains(block))
                .count()
                > 400
    );
}

#[test]
fn blocks_freed_by_another_thread_come_back() {
    const ARENA: u8 = 201;
    let class = class_for(layout(256));
    let before = stats(NumaNodeId(ARENA)).slab_bytes;
    for _ in 0..50 {
        let blocks: Vec<usize> = (0..1000)
            .map(|_| {
                alloc(ARENA, class, layout(256), Purpose::Runtime)
                    .expect("memory")
                    .as_ptr()
                    .expose_provenance()
            })
            .collect();
        std::thread::spawn(move || {
            for block in blocks {
                let block =
                    std::ptr::NonNull::new(std::ptr::with_exposed_provenance_mut::<u8>(block))
                        .expect("not null");
                // SAFETY: allocated by the other thread with these arguments, handed over, unused.
                unsafe { free(block, ARENA, class, layout(256)) };
            }
        })
        .join()
        .expect("no panic");
    }
    let grown = stats(NumaNodeId(ARENA)).slab_bytes - before;
    assert!(
        grown <= 2 << 20,
        "50 rounds of 256 KB took {grown} bytes: blocks do not come back"
    );
}

#[test]
fn cells_keep_their_index() {
    const ARENA: u8 = 202;
    let (cell, index) = alloc_cell(ARENA).expect("a cell");
    assert_eq!(cell_address(ARENA, index), cell.as_ptr());
    assert_eq!(
        cell.as_ptr() as usize % CELL_SIZE,
        0,
        "cells are aligned to their size"
    );
    // SAFETY: allocated above; nothing refers to it.
    unsafe { free_cell(cell, ARENA) };
    let (again, same) = alloc_cell(ARENA).expect("a cell");
    assert_eq!(
        (again, same),
        (cell, index),
        "the last one freed is the first one reused"
    );
}
