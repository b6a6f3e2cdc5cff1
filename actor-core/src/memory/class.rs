//! Size classes of the slab: pure arithmetic, usable in constants.

use std::alloc::Layout;

/// Index into [`SIZES`], or [`LARGE`] for what `large` serves.
pub(crate) type Class = u8;

/// Block sizes. Steps of at most 1.5, so that at most a third of a block is waste; 64-byte multiples
/// dominate because message nodes need their low six address bits for tags.
pub(crate) const SIZES: [usize; 16] = [
    16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096,
];

/// The class of a layout that no slab serves.
pub(crate) const LARGE: Class = u8::MAX;

/// The smallest class that fits `layout` in size and alignment.
///
/// Chunks are page-aligned, so a block is aligned to the largest power of two that divides its size.
pub(crate) const fn class_for(layout: Layout) -> Class {
    let mut class = 0;
    while class < SIZES.len() {
        let size = SIZES[class];
        let alignment = 1 << size.trailing_zeros();
        if size >= layout.size() && alignment >= layout.align() {
            return class as Class;
        }
        class += 1;
    }
    LARGE
}
