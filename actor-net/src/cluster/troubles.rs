//! What went wrong with connections lately, for who wonders why a peer is alone.
//!
//! All of it is in the log as it happens; here is what a program can look at, show, or put into an error
//! ([`NotUp`](super::NotUp)). Bounded: a storm of strangers pushes out other strangers, never what is said of peers that
//! this side knows or dials.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::id::PeerId;
use crate::peers::{ConnectError, Contact, Interruption};
use crate::transport::{HandshakeFailure, TransportObserver, TurnedAway};

/// Different ones that are remembered: 8 of those who came, and 8 of all others.
const KEPT: usize = 8;

/// How long: a minute.
const LATELY: Duration = Duration::from_secs(60);

/// A connection to another peer that did not come about, or broke.
///
/// `Display` says with whom, why, and what to do where there is something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trouble {
    /// Whom this side dialled (`host:port`), the address that somebody came from, or the peer, if it was connected.
    pub with: String,
    /// Why.
    pub why: String,
    /// How often in a row, at least once.
    pub times: u64,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { with, why, times } = self;
        // Some reasons begin with whom they are about.
        if !why.starts_with(with.as_str()) {
            write!(f, "{with}: ")?;
        }
        f.write_str(why)?;
        if *times > 1 {
            write!(f, " ({times} times)")?;
        }
        Ok(())
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Troubles(Mutex<Vec<Noted>>);

struct Noted {
    trouble: Trouble,
    at: Instant,
    /// By somebody who came.
    came: bool,
}

impl Troubles {
    /// Those of the last minute, the latest last.
    pub(super) fn lately(&self) -> Vec<Trouble> {
        let now = Instant::now();
        let mut all = self.lock();
        all.retain(|noted| now.saturating_duration_since(noted.at) < LATELY);
        all.iter().map(|noted| noted.trouble.clone()).collect()
    }

    /// A connection did not come about.
    pub(super) fn refused(&self, who: &Contact, error: &ConnectError) {
        if error.is_passing() {
            return;
        }
        match who {
            Contact::Dialled(endpoint) => self.note(false, endpoint.to_string(), error),
            Contact::Came(from) => self.came(*from, error),
        }
    }

    /// One that was there broke.
    pub(super) fn interrupted(&self, peer: &PeerId, why: &Interruption) {
        if !why.is_planned() {
            self.note(false, peer.to_string(), why);
        }
    }

    fn came(&self, from: SocketAddr, why: &dyn fmt::Display) {
        // Its port is another one each time.
        self.note(true, from.ip().to_string(), why);
    }

    fn note(&self, came: bool, with: String, why: &dyn fmt::Display) {
        let why = why.to_string();
        let mut all = self.lock();
        let known = all
            .iter()
            .position(|it| it.trouble.with == with && it.trouble.why == why);
        let times = match known {
            Some(at) => all.remove(at).trouble.times.saturating_add(1),
            None => {
                if all.iter().filter(|it| it.came == came).count() >= KEPT
                    && let Some(oldest) = all.iter().position(|it| it.came == came)
                {
                    all.remove(oldest);
                }
                1
            }
        };
        all.push(Noted {
            trouble: Trouble { with, why, times },
            at: Instant::now(),
            came,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Noted>> {
        // Nothing under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who did not get as far as a greeting.
impl TransportObserver for Troubles {
    fn turned_away(&self, from: SocketAddr, why: TurnedAway) {
        self.came(from, &why);
    }

    fn refused(&self, from: SocketAddr, why: &HandshakeFailure) {
        self.came(from, why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_push_out_strangers_and_nobody_else() {
        let troubles = Troubles::default();
        troubles.note(false, "seed:4710".to_owned(), &"nothing listens there");
        for stranger in 0..100_u8 {
            troubles.turned_away(([10, 0, 0, stranger], 1).into(), TurnedAway::TooFast);
        }
        for _ in 0..3 {
            troubles.turned_away(([10, 0, 0, 99], 2).into(), TurnedAway::TooFast);
        }
        let lately = troubles.lately();
        assert_eq!(lately.len(), 1 + KEPT);
        let said = lately[0].to_string();
        assert_eq!(said, "seed:4710: nothing listens there");
        let last = lately[KEPT].to_string();
        assert!(last.starts_with("10.0.0.99: ") && last.ends_with("(4 times)"));
        troubles.note(false, "a:1".to_owned(), &"a:1: of itself");
        let said = troubles.lately().pop().unwrap().to_string();
        assert_eq!(said, "a:1: of itself");
    }
}
