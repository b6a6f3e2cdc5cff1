//! The knobs of membership, their defaults, and when to touch them.

use std::fmt;
use std::time::Duration;

use super::downing::Downing;

/// How members are watched, and what is done about those that do not answer.
///
/// With the defaults a peer whose process dies is unreachable after 3 to 8 s (its connections break at once; the
/// longer time is for a single observer, the shorter where several agree) and down 5 s later.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MembershipSettings {
    /// How often each peer asks another, in turn, whether it is there: 1 s. 100 ms to 1 min.
    pub probe_interval: Duration,
    /// How long it waits for the answer before it asks others to ask: 400 ms. 10 ms to half of the interval.
    /// A little more than the slowest round trip between any two peers.
    pub probe_timeout: Duration,
    /// How many others it asks then: 3. 1 to 16.
    pub indirect_probes: usize,
    /// How often news is passed on beside the probes: 200 ms. 20 ms to 1 min.
    pub gossip_interval: Duration,
    /// To how many: 3. 1 to 16.
    pub gossip_fanout: usize,
    /// A suspicion that several share is believed after so many probe intervals (times the decimal logarithm of
    /// the number of peers, where that is more than one): 2. 1 to 60.
    pub suspicion_min: u32,
    /// A suspicion of a single peer is believed after so many times that: 3. 1 to 20.
    pub suspicion_max_factor: u32,
    /// A peer whose connection breaks is suspected if it is not back after so long: 1 s. Up to 1 min.
    pub reconnect_grace: Duration,
    /// What is decided when peers stay unreachable: the side with the majority goes on.
    pub downing: Downing,
    /// ... once nothing has changed about who is unreachable for so long: 5 s. 100 ms to 10 min. Longer than the
    /// interruptions that the network has.
    pub stable_after: Duration,
    /// When it goes on changing for so long, nobody can tell the sides apart, and every peer gives up this life:
    /// 30 s. None: never. At least the stability time.
    pub unstable_after: Option<Duration>,
    /// How often two peers compare all they know: 30 s. 1 s to 1 h.
    pub sync_interval: Duration,
    /// How long those that have gone are remembered: 24 h. 1 min to 30 days. A peer of the same name and life that
    /// comes later than that is taken for new.
    pub forget_after: Duration,
    /// Members that are known at most, those that have gone among them: 10,000. 2 to 100,000.
    pub members_max: usize,
}

impl Default for MembershipSettings {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(400),
            indirect_probes: 3,
            gossip_interval: Duration::from_millis(200),
            gossip_fanout: 3,
            suspicion_min: 2,
            suspicion_max_factor: 3,
            reconnect_grace: Duration::from_secs(1),
            downing: Downing::KeepMajority,
            stable_after: Duration::from_secs(5),
            unstable_after: Some(Duration::from_secs(30)),
            sync_interval: Duration::from_secs(30),
            forget_after: DAY,
            members_max: 10_000,
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl MembershipSettings {
    /// Whether each is within its range.
    ///
    /// # Errors
    ///
    /// [`InvalidMembershipSettings`] names the first that is not.
    pub fn check(&self) -> Result<(), InvalidMembershipSettings> {
        let second = Duration::from_secs(1);
        let ms = Duration::from_millis;
        let minute = 60 * second;
        let unstable = self.unstable_after.unwrap_or(Duration::MAX);
        let times = [
            ("probe_interval", self.probe_interval, ms(100), minute),
            (
                "probe_timeout",
                self.probe_timeout,
                ms(10),
                self.probe_interval / 2,
            ),
            ("gossip_interval", self.gossip_interval, ms(20), minute),
            (
                "reconnect_grace",
                self.reconnect_grace,
                Duration::ZERO,
                minute,
            ),
            ("stable_after", self.stable_after, ms(100), 10 * minute),
            ("unstable_after", unstable, self.stable_after, Duration::MAX),
            ("sync_interval", self.sync_interval, second, 60 * minute),
            ("forget_after", self.forget_after, minute, 30 * DAY),
        ];
        for (setting, value, min, max) in times {
            if !(min..=max).contains(&value) {
                return Err(InvalidMembershipSettings {
                    setting,
                    value: format!("{value:?}"),
                    allowed: format!("{min:?} to {max:?}"),
                });
            }
        }
        let numbers = [
            ("indirect_probes", self.indirect_probes, 1, 16),
            ("gossip_fanout", self.gossip_fanout, 1, 16),
            ("suspicion_min", self.suspicion_min as usize, 1, 60),
            (
                "suspicion_max_factor",
                self.suspicion_max_factor as usize,
                1,
                20,
            ),
            ("members_max", self.members_max, 2, 100_000),
        ];
        for (setting, value, min, max) in numbers {
            if !(min..=max).contains(&value) {
                return Err(InvalidMembershipSettings {
                    setting,
                    value: value.to_string(),
                    allowed: format!("{min} to {max}"),
                });
            }
        }
        if let Downing::StaticQuorum { size: 0 } = self.downing {
            return Err(InvalidMembershipSettings {
                setting: "downing",
                value: "a static quorum of 0".to_owned(),
                allowed: "a quorum of 1 or more: more than half of all peers there will ever be"
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// The shortest and the longest time that a suspicion takes, in a cluster of so many.
    pub(super) fn suspicion(&self, peers: usize) -> (Duration, Duration) {
        let scale = (peers.max(1) as f64).log10().max(1.0);
        let min = (self.probe_interval * self.suspicion_min).mul_f64(scale);
        (min, min * self.suspicion_max_factor)
    }
}

/// A setting outside of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidMembershipSettings {
    /// Which.
    pub setting: &'static str,
    /// What it is.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

impl fmt::Display for InvalidMembershipSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            value,
            allowed,
        } = self;
        write!(
            f,
            "membership setting `{setting}` is {value}; allowed is {allowed}"
        )
    }
}

impl std::error::Error for InvalidMembershipSettings {}
