//! Random numbers for identifiers and jitter: one small generator per thread, no lock, no
//! system call after the first.
//!
//! The generator is xoshiro256++ (Blackman and Vigna, "Scrambled Linear Pseudorandom Number
//! Generators", 2021). Its 256 bits are seeded from `RandomState`, whose key the operating system
//! drew, over the wall clock and an address on the thread's stack, so that two threads or two
//! processes meet only by chance. Not for secrets: who sees outputs can work out the next ones.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::num::{NonZeroU64, NonZeroU128};
use std::time::SystemTime;

/// The next number of this thread's generator, about 1 ns.
#[inline]
pub(crate) fn next_u64() -> u64 {
    STATE.with(|state| {
        let (value, next) = step(state.get());
        state.set(next);
        value
    })
}

/// A number that is never zero: zero is "none" in every identifier that crosses the wire.
pub(crate) fn nonzero_u64() -> NonZeroU64 {
    loop {
        if let Some(value) = NonZeroU64::new(next_u64()) {
            return value;
        }
    }
}

/// Two draws as one number that is never zero.
pub(crate) fn nonzero_u128() -> NonZeroU128 {
    loop {
        let value = (u128::from(next_u64()) << 64) | u128::from(next_u64());
        if let Some(value) = NonZeroU128::new(value) {
            return value;
        }
    }
}

fn step(state: [u64; 4]) -> (u64, [u64; 4]) {
    let [mut a, mut b, mut c, mut d] = state;
    let value = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
    let shifted = b << 17;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = d.rotate_left(45);
    (value, [a, b, c, d])
}

fn seed() -> [u64; 4] {
    let key = RandomState::new();
    let mut state = [0; 4];
    for (index, word) in state.iter_mut().enumerate() {
        let mut hasher = key.build_hasher();
        index.hash(&mut hasher);
        SystemTime::now().hash(&mut hasher);
        std::ptr::from_ref(&key).addr().hash(&mut hasher);
        *word = hasher.finish();
    }
    // The all-zero state is the generator's only fixed point.
    state[0] |= u64::from(state == [0; 4]);
    state
}

/// Makes this thread's numbers a function of `seed`, or unforeseeable again.
#[cfg(feature = "testkit")]
pub(crate) fn set_seed(from: Option<u64>) {
    let state = from.map_or_else(seed, |from| {
        // SplitMix64, as the authors of the generator advise for its seed; never all zero.
        let mut at = from;
        std::array::from_fn(|_| {
            at = at.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = at;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        })
    });
    STATE.with(|each| each.set(state));
}

thread_local! {
    static STATE: Cell<[u64; 4]> = Cell::new(seed());
}

#[cfg(all(test, not(actor_loom)))]
#[path = "random_tests.rs"]
mod tests;
