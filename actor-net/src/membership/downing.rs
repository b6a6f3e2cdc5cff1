//! Who goes on when the cluster is split: strategies, as plain functions.
//!
//! Each peer decides for itself, from what it sees, by the same rule as all others; the rules are such that
//! of two sides that each see the other unreachable at most one goes on. A peer whose side loses gives up
//! this life; one whose side wins declares the others down. The strategies are those of Akka's split brain
//! resolver, with its names and its table of cases.
//!
//! **Who counts.** Members that are up, or were before they became unreachable. Who is joining or leaving goes with
//! its side and has no say: one side may not know of it yet.
//!
//! **Whose majority.** Once it is known who votes in the consensus, it is the voters that are counted by
//! [`Downing::KeepMajority`] and [`Downing::Lease`], with those whose votes are lost among them: a side that goes on
//! without their majority could decide nothing, and a side that gives up with it would take it along. They are an odd
//! number, so there are no equal halves.
//!
//! **Indirectly connected** is who is reported unreachable by somebody and still reports others itself: it lives, but
//! not everybody reaches it. Such members go down, or two that cannot reach each other would both stay. As the probes
//! go around by other peers, this is rare here: only who is reached by nobody's way is reported at all.

use std::collections::BTreeSet;

use crate::id::PeerId;

/// What is done about peers that stay unreachable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Downing {
    /// The side with more than half of the voters goes on (with up to seven peers nearly all vote; of more, seven
    /// do, see [`ConsensusSettings::voters_max`](crate::cluster::ConsensusSettings)); as long as it is not known
    /// who votes, the one with more than half of the members, and of two equal halves the one with the lowest peer name.
    /// The default.
    KeepMajority,
    /// The side with the oldest member goes on, however small.
    KeepOldest {
        /// If the oldest is alone, it gives up and the others go on: or one crash would end them all.
        down_if_alone: bool,
    },
    /// The side with at least so many members goes on. For clusters of a fixed size: so many must be more than half of
    /// them. If there are more members than that allows (more than `2 * size - 1`), all give up.
    StaticQuorum {
        /// How many.
        size: usize,
    },
    /// All give up, on all sides.
    DownAll,
    /// The side that gets a lease from outside goes on ([`Lease`](super::Lease)); who sees the majority asks first.
    Lease,
    /// Nothing is done until somebody asks for it.
    Manual,
}

/// A member, as a strategy needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) peer: PeerId,
    pub(crate) unreachable: bool,
    pub(crate) counts: bool,
    /// Less is older.
    pub(crate) age: u64,
}

/// What one peer sees.
#[derive(Clone, Debug)]
pub(crate) struct Situation {
    pub(crate) own: PeerId,
    /// All whose life is not over, oneself among them.
    pub(crate) members: Vec<Standing>,
    /// Who reports whom unreachable, as far as that has come here and was not refuted.
    pub(crate) reports: BTreeSet<(PeerId, PeerId)>,
    /// Who votes in the consensus, if that is known.
    pub(crate) voting: Option<Voting>,
}

/// Who decides for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Voting {
    /// Voters whose peers are members.
    pub(crate) voters: BTreeSet<PeerId>,
    /// Voters whose peers are gone, or began anew and know nothing of it.
    pub(crate) lost: usize,
}

impl Voting {
    /// Whether more than half are here. `is_badly` says who is here and goes all the same: as everywhere, those
    /// are in nobody's number.
    fn has_majority(&self, members: &[Standing], is_badly: impl Fn(&Standing) -> bool) -> bool {
        let votes = |m: &&Standing| self.voters.contains(&m.peer);
        let (badly, well): (Vec<_>, Vec<_>) =
            members.iter().filter(votes).partition(|m| is_badly(m));
        let here = well.iter().filter(|m| !m.unreachable).count();
        here * 2 > self.voters.len() + self.lost - badly.len()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing.
    Wait,
    /// These go down. If oneself is among them, one's side has lost.
    Down(BTreeSet<PeerId>),
    /// The lease decides: with it these go down, without it oneself.
    AskLease {
        down: BTreeSet<PeerId>,
        majority: bool,
    },
}

impl Situation {
    /// Who is reported, and reports.
    fn indirect(&self) -> BTreeSet<PeerId> {
        let reported: BTreeSet<_> = self.reports.iter().map(|(_, subject)| subject).collect();
        let observers = self.reports.iter().map(|(observer, _)| observer);
        let indirect = observers.filter(|observer| reported.contains(observer));
        indirect.cloned().collect()
    }

    fn everybody(&self) -> BTreeSet<PeerId> {
        self.members.iter().map(|m| m.peer.clone()).collect()
    }
}

/// What to do. The caller has seen to it that the situation is stable.
pub(crate) fn decide(strategy: &Downing, situation: &Situation) -> Decision {
    let indirect = situation.indirect();
    let unreachable = |m: &&Standing| m.unreachable;
    let gone = situation.members.iter().filter(unreachable);
    let mut down: BTreeSet<_> = gone.map(|m| m.peer.clone()).collect();
    let here = |m: &Standing| !m.unreachable && indirect.contains(&m.peer);
    down.extend(
        situation
            .members
            .iter()
            .filter(|m| here(m))
            .map(|m| m.peer.clone()),
    );
    if down.is_empty() {
        return Decision::Wait;
    }
    if *strategy == Downing::Manual {
        return Decision::Wait;
    }
    let all = Decision::Down(situation.everybody());
    if indirect.contains(&situation.own) {
        return all;
    }
    // Who is here but badly connected goes, and is in nobody's number. Who is not here is: it may be one of many.
    let counted: Vec<_> = situation
        .members
        .iter()
        .filter(|m| m.counts && !here(m))
        .collect();
    let staying: Vec<_> = counted.iter().filter(|m| !m.unreachable).collect();
    let (total, staying_count) = (counted.len(), staying.len());
    let keep = match strategy {
        Downing::KeepMajority | Downing::Lease => match &situation.voting {
            Some(voting) => voting.has_majority(&situation.members, here),
            None => has_majority(&counted),
        },
        Downing::KeepOldest { down_if_alone } => {
            let Some(oldest) = counted.iter().min_by_key(|m| (m.age, &m.peer)) else {
                return all;
            };
            let with_oldest = counted
                .iter()
                .filter(|m| m.unreachable == oldest.unreachable)
                .count();
            // Alone among others. The only member there is goes on.
            let alone = *down_if_alone && with_oldest == 1 && total > 1;
            oldest.unreachable == alone
        }
        Downing::StaticQuorum { size } => {
            let too_many = total > size.saturating_mul(2).saturating_sub(1);
            !too_many && staying_count >= *size
        }
        Downing::DownAll => false,
        Downing::Manual => return Decision::Wait,
    };
    if *strategy == Downing::Lease {
        let majority = keep;
        return Decision::AskLease { down, majority };
    }
    if keep { Decision::Down(down) } else { all }
}

/// Whether those here are more than half, or half with the lowest name.
fn has_majority(counted: &[&Standing]) -> bool {
    let here = counted.iter().filter(|m| !m.unreachable).count();
    match (here * 2).cmp(&counted.len()) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => counted
            .iter()
            .min_by_key(|m| &m.peer)
            .is_some_and(|lowest| !lowest.unreachable),
    }
}

/// How many members a static quorum allows; more, and two sides could both have it.
pub(crate) fn is_too_large_for(strategy: &Downing, members: usize) -> bool {
    match strategy {
        Downing::StaticQuorum { size } => members > size.saturating_mul(2).saturating_sub(1),
        _ => false,
    }
}
