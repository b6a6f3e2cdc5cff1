//! Circles of asks over several peers: A asks B, there, which asks A, here. In one process a circle is seen when
//! it closes; over several nobody sees all of it. So whoever has waited for a while asks about it.
//!
//! ```text
//!  one: A waits for B ──── probe [A] ────> two: B waits for C, here; C waits for A ──┐
//!   A fails: A -> B -> C <── probe [A, B, C] ────────────────────────────────────────┘
//! ```
//!
//! A *probe* follows the ask: to the peer of the actor that was asked, from there to whomever that one waits
//! for, and so on. If it comes back to the actor that it began with, all of them wait for each other, and that
//! one's ask fails with the path. It is lost when it meets somebody who waits for nobody.
//!
//! **Why a circle that is found is one.** Each step is looked at on both sides: the asker's peer finds the ask
//! unanswered when it sends the probe, and the other side finds that it has not answered when the probe comes.
//! An ask that is answered is never open again, so the asker waited all the time in between. The steps follow
//! each other, the last one ends where the first began, and that one is still waiting: none of them can have
//! moved. What answers by a handle that outlives its handler (deferred, reentrant) is not followed: somebody
//! else may answer. Circles through those end by their deadlines.
//!
//! **Who fails.** One of them, not all: a probe ends at an actor that waits across the network and has a greater
//! address than the one it began with; that one's own probe will come around. Probes are lost with connections,
//! and repeated.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actor_core::ActorId;
use actor_core::remote::Address;
use serde::{Deserialize, Serialize};

use super::association::{Association, lock};
use super::calls::{Pending, Waits};
use super::export::{read, write};
use super::gateway::Elsewhere;
use super::own::Own;
use super::pauses::PAUSES;

/// How long an ask waits before its circle is looked for. 100 ms.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long at most until it is looked for again. 1 s.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// Actors of a circle that is found, as hops of a call chain.
const HOPS_MAX: usize = crate::wire::context::CHAIN_MAX;

/// Probes that a peer is sent in one sweep.
const PROBES_MAX: usize = 256;

/// An actor that waits for the next.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hop {
    actor: Address,
    /// The ask, as lane and call, if it goes to another peer.
    call: Option<(u8, u64)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Probe {
    /// From the first to the last; the last one's ask goes to whom the probe is for.
    hops: Vec<Hop>,
}

/// Those that wait for actors of one peer, as a sweep finds them.
pub(super) struct Waiting {
    now: Instant,
    all: HashMap<ActorId, (usize, u64)>,
    due: Vec<(ActorId, usize, u64)>,
}

impl Waiting {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            now,
            all: HashMap::new(),
            due: Vec::new(),
        }
    }

    /// An ask that is not answered yet.
    pub(super) fn note(&mut self, lane: usize, call: u64, pending: &mut Pending) {
        let Some(asker) = pending.asker else {
            return;
        };
        let now = self.now;
        let Some(waits) = &mut pending.waits else {
            pending.waits = Some(Waits {
                since: now,
                look_at: now + PATIENCE,
            });
            return;
        };
        self.all.insert(asker, (lane, call));
        if waits.look_at <= now && self.due.len() < PROBES_MAX {
            let waited = now.saturating_duration_since(waits.since);
            waits.look_at = now + waited.clamp(PATIENCE, AGAIN_MAX);
            self.due.push((asker, lane, call));
        }
    }
}

impl Association {
    /// Sends a probe for each ask whose time has come.
    pub(super) fn look_for_circles(&self, waiting: Waiting) {
        let Waiting { all, due, .. } = waiting;
        {
            let mut waits = lock(&self.waits);
            if waits.is_empty() && all.is_empty() {
                return;
            }
            *waits = all;
        }
        for (asker, lane, call) in due {
            let first = Hop {
                actor: self.own.address_of(asker),
                call: Some((lane_number(lane), call)),
            };
            self.probe(vec![first]);
        }
    }

    fn probe(&self, hops: Vec<Hop>) {
        let mut bytes = Vec::new();
        if let (Ok(()), Some(way)) = (write(&Probe { hops }, &mut bytes), self.way()) {
            way.datagram(&bytes);
        }
    }

    /// A probe has come.
    pub(super) fn probed(&self, bytes: &[u8]) {
        if let Some((&PAUSES, word)) = bytes.split_first() {
            return self.told_of(word);
        }
        let hops = match read::<Probe>(bytes) {
            Ok(Probe { hops }) => hops,
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "a probe was not read");
                return;
            }
        };
        let Some(last) = hops.last().filter(|_| hops.len() <= HOPS_MAX) else {
            return;
        };
        // A peer speaks of its own actors.
        let is_its =
            *last.actor.peer == *self.peer.as_str() && last.actor.incarnation == self.incarnation.0;
        let Some((lane, call)) = last.call.filter(|_| is_its) else {
            return;
        };
        // An answer may be on its way; then nobody waits here.
        let asked = self
            .asked(usize::from(lane))
            .get(&call)
            .map(|asked| asked.target);
        if let Some(target) = asked.filter(|target| *target != 0)
            && let Some(actor) = self.own.system.resolve_anyone(target)
        {
            self.own.follow(hops, actor.id());
        }
    }
}

impl Own {
    /// Whom does this one wait for, and that one, and so on?
    fn follow(self: &Arc<Self>, mut hops: Vec<Hop>, mut at: ActorId) {
        while hops.len() < HOPS_MAX {
            let here = self.address_of(at);
            if let Some(place) = hops.iter().position(|hop| hop.actor == here) {
                // A circle that it leads into is for those in it to find.
                if place == 0 {
                    self.close(at, &hops);
                }
                return;
            }
            if let Some(next) = self.system.waits_for(at) {
                // It may still be in the mailbox of a proxy: then it will be found when it has left.
                if self.is_proxy(next) {
                    return;
                }
                hops.push(Hop {
                    actor: here,
                    call: None,
                });
                at = next;
                continue;
            }
            let Some((association, lane, call)) = self.waits_elsewhere(at) else {
                return;
            };
            if hops
                .first()
                .is_some_and(|first| rank(&first.actor) < rank(&here))
            {
                return;
            }
            hops.push(Hop {
                actor: here,
                call: Some((lane_number(lane), call)),
            });
            association.probe(hops);
            return;
        }
    }

    /// By which ask an actor here has waited for one elsewhere for a while.
    fn waits_elsewhere(&self, actor: ActorId) -> Option<(Arc<Association>, usize, u64)> {
        self.all().into_iter().find_map(|association| {
            let (lane, call) = lock(&association.waits).get(&actor).copied()?;
            Some((association, lane, call))
        })
    }

    /// A probe has come back to the actor that it began with.
    fn close(self: &Arc<Self>, asker: ActorId, hops: &[Hop]) {
        let began = hops.first().and_then(|first| first.call);
        let Some((association, lane, call)) = self.waits_elsewhere(asker) else {
            return;
        };
        if began != Some((lane_number(lane), call)) {
            return;
        }
        let others = hops.iter().skip(1);
        let circle: Vec<_> = std::iter::once(asker)
            .chain(others.filter_map(|hop| self.known(&hop.actor)))
            .collect();
        association.give_up_circle(lane, call, circle);
    }

    /// What an actor of a circle is called here.
    fn known(self: &Arc<Self>, address: &Address) -> Option<ActorId> {
        if *address.peer == *self.peer.as_str() {
            let actor = self.system.resolve_anyone(address.number)?;
            return Some(actor.id());
        }
        let elsewhere = std::any::TypeId::of::<Elsewhere>();
        self.actor_at(address, elsewhere).ok()
    }
}

/// Which of several that could fail does.
fn rank(address: &Address) -> (&str, u64, u64) {
    (&address.peer, address.incarnation, address.number)
}

/// As a lane's number goes over the wire.
fn lane_number(lane: usize) -> u8 {
    u8::try_from(lane).unwrap_or(u8::MAX)
}
