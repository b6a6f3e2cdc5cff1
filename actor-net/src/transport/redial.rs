//! Dials again and again: when to try next is a pure decision, and the trying is a loop around it.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use actor_core::Backoff;

use super::Transport;
use super::endpoint::Endpoint;
use super::error::DialError;
use super::established::Established;

/// Reaches one peer whenever it can be reached, with growing pauses between the tries.
///
/// The default pauses begin at 100 ms and double up to 10 s, with 20 % jitter, so that peers that lost
/// one at the same time do not come back to it at the same time. They begin anew when a connection has
/// lasted for the back-off's [`reset_after`](Backoff::reset_after); one that is refused each time soon after does not count.
///
/// # Examples
///
/// ```no_run
/// # async fn example(transport: actor_net::transport::Transport) -> Result<(), Box<dyn std::error::Error>> {
/// use actor_net::transport::Redial;
///
/// let mut redial = Redial::new(transport, "peer-0.peers.svc:4710".parse()?);
/// loop {
///     let established = redial
///         .connect(|error, next| eprintln!("{error}; next try in {next:?}"))
///         .await;
///     // Start it, and come back when the link has ended.
/// #   let _ = established;
/// }
/// # }
/// ```
pub struct Redial {
    transport: Transport,
    endpoint: Endpoint,
    pauses: Pauses,
}

impl Redial {
    /// For this peer, with the default pauses.
    pub fn new(transport: Transport, endpoint: Endpoint) -> Self {
        Self::with_backoff(
            transport,
            endpoint,
            Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
        )
    }

    /// For this peer, with these pauses. What [`Backoff::check`] refuses gives some pause, never a panic.
    pub fn with_backoff(transport: Transport, endpoint: Endpoint, backoff: Backoff) -> Self {
        Self {
            transport,
            endpoint,
            pauses: Pauses::new(backoff, RandomState::new().hash_one(0_u8)),
        }
    }

    /// Until the peer is reached. Each failed try is told, with the pause that follows.
    ///
    /// Call it again when the link has ended. When the transport is shut down it tries, and fails, on.
    ///
    /// # Cancel safety
    ///
    /// A try that is under way is given up; pauses go on growing.
    pub async fn connect(&mut self, mut failed: impl FnMut(&DialError, Duration)) -> Established {
        loop {
            let now = || tokio::time::Instant::now().into_std();
            if let Some(pause) = self.pauses.before(now()) {
                tokio::time::sleep(pause).await;
            }
            match self.transport.dial(&self.endpoint).await {
                Ok(established) => {
                    self.pauses.connected(now());
                    return established;
                }
                Err(error) => {
                    let pause = self.pauses.failed(now());
                    failed(&error, pause);
                }
            }
        }
    }
}

impl fmt::Debug for Redial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redial")
            .field("endpoint", &self.endpoint)
            .field("pauses", &self.pauses)
            .finish_non_exhaustive()
    }
}

/// When to try next.
#[derive(Clone, Debug)]
struct Pauses {
    backoff: Backoff,
    random: u64,
    /// Failures in a row; connections that did not last are among them.
    failures: u32,
    connected: Option<Instant>,
    /// Not before this.
    due: Option<Instant>,
}

impl Pauses {
    fn new(backoff: Backoff, seed: u64) -> Self {
        Self {
            backoff,
            random: seed,
            failures: 0,
            connected: None,
            due: None,
        }
    }

    fn connected(&mut self, now: Instant) {
        self.connected = Some(now);
        self.due = None;
    }

    /// How long to wait before the try that is asked for now.
    fn before(&mut self, now: Instant) -> Option<Duration> {
        if let Some(since) = self.connected.take() {
            if now.saturating_duration_since(since) >= self.backoff.quiet() {
                self.failures = 0;
                return None;
            }
            return Some(self.failed(now));
        }
        // A try that was given up has not made the pause shorter.
        let left = self.due?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    fn failed(&mut self, now: Instant) -> Duration {
        let pause = self
            .backoff
            .delay(self.failures, splitmix(&mut self.random));
        self.failures = self.failures.saturating_add(1);
        self.due = now.checked_add(pause);
        pause
    }
}

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators"; good enough to spread out.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses() -> Pauses {
        let ms = Duration::from_millis;
        Pauses::new(Backoff::new(ms(100), ms(1000)).jitter(0), 7)
    }

    #[test]
    fn pauses_grow_to_the_limit() {
        let (mut pauses, now) = (pauses(), Instant::now());
        let row: Vec<_> = (0..6).map(|_| pauses.failed(now).as_millis()).collect();
        assert_eq!(row, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn a_connection_that_lasts_begins_anew_and_one_that_does_not_does_not() {
        let (mut pauses, mut now) = (pauses(), Instant::now());
        assert_eq!(pauses.before(now), None, "the first try is at once");
        pauses.failed(now);
        pauses.failed(now);
        pauses.connected(now);
        now += Duration::from_millis(10);
        assert_eq!(pauses.before(now), Some(Duration::from_millis(400)));
        pauses.connected(now);
        now += Duration::from_secs(2);
        assert_eq!(pauses.before(now), None);
        assert_eq!(pauses.failed(now), Duration::from_millis(100));
    }

    #[test]
    fn a_try_that_was_given_up_keeps_its_pause() {
        let (mut pauses, now) = (pauses(), Instant::now());
        pauses.failed(now);
        let later = now + Duration::from_millis(60);
        assert_eq!(pauses.before(later), Some(Duration::from_millis(40)));
        assert_eq!(pauses.before(now + Duration::from_secs(1)), None);
    }
}
