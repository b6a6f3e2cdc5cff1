//! The numbers behind each choice: xorshift64*, the same for the same seed.

use std::time::Duration;

pub(crate) struct Shake(u64);

impl Shake {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d | 1)
    }

    /// A number below `n`, which is not zero.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// A time between the two, each order of magnitude as likely as the next.
    pub(crate) fn between(&mut self, min: Duration, max: Duration) -> Duration {
        let exponent = self.below(10_001) as f64 / 10_000.0;
        min.mul_f64((max.as_secs_f64() / min.as_secs_f64()).powf(exponent))
    }

    /// A time whose mean is this.
    pub(crate) fn about(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.below(2001) as f64 / 1000.0)
    }
}
