//! What is done about those that stay unreachable.

use std::collections::BTreeSet;
use std::time::Instant;

use foca::{Member as FocaMember, State};

use super::super::downing::{Decision, Situation, Standing, Voting, decide, is_too_large_for};
use super::super::event::{Event, RestartReason};
use super::super::stability::Verdict;
use super::super::view::{DownReason, MemberState};
use super::{Membership, number};
use crate::id::PeerId;

impl Membership {
    /// Somebody came, went, or answers no more.
    pub(super) fn look_around(&mut self, now: Instant) {
        let unreachable = self.counts[number(MemberState::Unreachable)];
        self.stability.observe(unreachable > 0, now);
        let here = self.up();
        let isolated = unreachable > 0 && here * 2 <= here + unreachable;
        if isolated != self.isolated {
            self.isolated = isolated;
            self.events.push_back(match isolated {
                true => Event::Isolated,
                false => Event::NoLongerIsolated,
            });
        }
    }

    pub(super) fn decide(&mut self, now: Instant) {
        if self.over {
            return;
        }
        if self.lease_at.is_some_and(|at| now >= at) {
            self.lease_at = None;
            self.ask_lease();
        }
        let verdict = self.stability.verdict(now);
        if verdict == Verdict::Wait {
            return;
        }
        if verdict == Verdict::Stable && self.must_wait_for_suspects(now) {
            self.stability.postpone(now + self.settings.probe_timeout);
            return;
        }
        self.undecided = None;
        self.stability.settle();
        let situation = self.situation();
        if !situation.members.iter().any(|member| member.unreachable) {
            return;
        }
        if verdict == Verdict::Unstable {
            self.stop(RestartReason::Unstable);
            return;
        }
        let counting = situation.members.iter().filter(|m| m.counts).count();
        if is_too_large_for(&self.settings.downing, counting) {
            tracing::warn!(
                members = counting,
                downing = ?self.settings.downing,
                "more members than the static quorum allows: two sides could both have it, so all give up; \
                 raise its size"
            );
        }
        match decide(&self.settings.downing, &situation) {
            Decision::Wait => {}
            Decision::Down(down) if down.contains(&self.own.peer) => {
                self.stop(RestartReason::LostSplit);
            }
            Decision::Down(down) => self.down(&down, now),
            Decision::AskLease { down, majority } => {
                self.lease = Some(down);
                // The smaller side lets the larger ask first.
                match majority {
                    true => self.ask_lease(),
                    false => self.lease_at = Some(now + self.settings.stable_after),
                }
            }
        }
    }

    /// Whether somebody is suspected who is not unreachable yet: it would count for our side, and be gone the moment
    /// after. That ends soon, one way or the other; who is suspected and answers, again and again, is there.
    fn must_wait_for_suspects(&mut self, now: Instant) -> bool {
        let pending = |peer: &PeerId| {
            let entry = self.members.get(peer);
            entry.is_some_and(|entry| entry.state != MemberState::Unreachable)
        };
        if !self.suspects.iter().any(pending) {
            return false;
        }
        let since = *self.undecided.get_or_insert(now);
        let (_, longest) = self.settings.suspicion(self.alive());
        now < since + longest * 2
    }

    fn ask_lease(&mut self) {
        let Some(down) = &self.lease else {
            return;
        };
        let live = self.members.iter().filter(|(_, e)| !e.state.is_over());
        let mut side: BTreeSet<_> = live.map(|(peer, _)| peer.clone()).collect();
        side.insert(self.own.peer.clone());
        side.retain(|peer| !down.contains(peer));
        self.events.push_back(Event::AcquireLease { side });
    }

    /// Whether our side has the lease; no, if nobody could be asked.
    pub(crate) fn handle_lease(&mut self, granted: bool, now: Instant) {
        let Some(mut down) = self.lease.take() else {
            return;
        };
        if self.over {
            return;
        }
        if !granted {
            self.stop(RestartReason::LeaseRefused);
            return;
        }
        // Who has come back while we asked stays.
        down.retain(|peer| {
            let entry = self.members.get(peer);
            entry.is_some_and(|entry| entry.state == MemberState::Unreachable)
        });
        self.down(&down, now);
    }

    /// Who votes in the consensus now; nobody: that is not known.
    pub(crate) fn handle_voters(&mut self, voting: Voting) {
        let is_known = !voting.voters.is_empty() || voting.lost > 0;
        self.voting = is_known.then_some(voting);
    }

    fn down(&mut self, down: &BTreeSet<PeerId>, now: Instant) {
        let members = down.iter().filter_map(|peer| self.members.get(peer));
        let members: Vec<_> = members
            .filter(|entry| !entry.state.is_over())
            .map(|entry| FocaMember::new(entry.id.clone(), entry.refuted, State::Down))
            .collect();
        self.declaring = Some(DownReason::Unreachable);
        self.swim.apply(members.into_iter(), true, now);
        self.absorb(now);
        self.declaring = None;
    }

    /// What we see, for the strategy.
    fn situation(&self) -> Situation {
        let mut members = Vec::new();
        let mut reports = BTreeSet::new();
        for (peer, entry) in &self.members {
            if entry.state.is_over() {
                continue;
            }
            // Of whom we know by hearsay only, we suppose what speaks against us: if it is out of reach, that it is a
            // member of long standing. A side that has given up begins anew with nothing but hearsay of the other; it
            // must not win by forgetting whom it lost.
            let unreachable = entry.state == MemberState::Unreachable;
            let (known, unknown_age) = (entry.profile.as_ref(), u64::from(!unreachable) * u64::MAX);
            members.push(Standing {
                peer: peer.clone(),
                unreachable,
                counts: (known.is_some() || unreachable) && !entry.leaving,
                age: known.map_or(unknown_age, |profile| profile.started_ms()),
            });
            if let (MemberState::Unreachable, Some(suspicion)) = (entry.state, &entry.suspicion) {
                let by = suspicion.accusers.iter();
                reports.extend(by.map(|by| (by.clone(), peer.clone())));
            }
        }
        members.push(Standing {
            peer: self.own.peer.clone(),
            unreachable: false,
            counts: !self.leaving,
            age: self.profile.started_ms(),
        });
        let own = self.own.peer.clone();
        Situation {
            own,
            members,
            reports,
            voting: self.voting.clone(),
        }
    }
}
