//! How well we are ourselves: Lifeguard's local health.
//!
//! Who misses many answers at once, or is told that it is suspected, is more likely slow itself than
//! surrounded by the dead. It then waits longer for answers and asks less often, so that a starved process does
//! not accuse healthy ones (Dadgar, Phillips, Currey: Lifeguard, arXiv 1707.00788, section IV-A).

/// At most eight times as patient, as Consul's memberlist has it (`awareness_max_multiplier`).
const WORST: u32 = 7;

/// 0 is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health(u32);

impl Health {
    pub(crate) fn worsen(&mut self) {
        self.0 = (self.0 + 1).min(WORST);
    }

    pub(crate) fn improve(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    /// Waits are so many times as long.
    pub(crate) fn patience(self) -> u32 {
        self.0 + 1
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn score(self) -> u32 {
        self.0
    }
}
