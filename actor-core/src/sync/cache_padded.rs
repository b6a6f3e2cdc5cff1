//! A value alone on its cache lines.

use std::ops::{Deref, DerefMut};

/// Keeps `T` on lines of its own, so that a write to a neighbour does not take the line away.
///
/// 128 bytes, not 64: since Sandy Bridge the spatial prefetcher of Intel's L2 pulls lines in
/// aligned pairs (Intel optimisation manual, "Spatial Prefetcher"), and big aarch64 cores have
/// 128-byte lines.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(128))]
pub(crate) struct CachePadded<T>(pub(crate) T);

impl<T> Deref for CachePadded<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for CachePadded<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
