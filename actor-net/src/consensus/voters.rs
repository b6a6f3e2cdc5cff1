//! Who votes: pure.
//!
//! Voters are as many as the members allow: the greatest odd number that is not more than they are, at most
//! what is set. The choice is stable (whoever votes goes on, as long as it is a member) and spread (a new voter comes
//! from the zone that has the fewest). A peer votes only once it has learned what was agreed on so far, and the
//! set is changed in one step, of which the engine makes two: it never depends on a set of one half.
//!
//! Two members have one voter, not two: with two, the end of either would stop the other.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::RaftId;

/// What is known of a member.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) zone: String,
    /// It is seen at present.
    pub(crate) reachable: bool,
    /// It knows (nearly) all that was agreed on.
    pub(crate) caught_up: bool,
}

/// One change of who takes part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// These begin to learn.
    Learn(BTreeSet<RaftId>),
    /// These vote, and no others.
    Vote(BTreeSet<RaftId>),
    /// These, which do not vote, are forgotten.
    Forget(BTreeSet<RaftId>),
}

/// The next change, if one is needed. `configs` is who votes now, more than one set while a change of it is not
/// finished; `nodes` are all who take part; `own` leads.
pub(crate) fn next(
    own: &RaftId,
    configs: &[BTreeSet<RaftId>],
    nodes: &BTreeSet<RaftId>,
    members: &BTreeMap<RaftId, Candidate>,
    voters_max: usize,
) -> Option<Step> {
    let (last, before) = configs.split_last()?;
    if !before.is_empty() {
        return Some(Step::Vote(last.clone()));
    }
    let unknown: BTreeSet<_> = members
        .keys()
        .filter(|id| !nodes.contains(*id))
        .cloned()
        .collect();
    if !unknown.is_empty() {
        return Some(Step::Learn(unknown));
    }
    let wanted = choose(own, last, members, voters_max);
    if !wanted.is_empty() && wanted != *last {
        return Some(Step::Vote(wanted));
    }
    let gone: BTreeSet<_> = nodes
        .iter()
        .filter(|id| !members.contains_key(*id) && !last.contains(*id))
        .cloned()
        .collect();
    (!gone.is_empty()).then_some(Step::Forget(gone))
}

/// Who should vote.
pub(crate) fn choose(
    own: &RaftId,
    voters: &BTreeSet<RaftId>,
    members: &BTreeMap<RaftId, Candidate>,
    voters_max: usize,
) -> BTreeSet<RaftId> {
    let target = odd(members.len().min(voters_max));
    let mut chosen: BTreeSet<_> = voters
        .iter()
        .filter(|id| members.contains_key(*id))
        .cloned()
        .collect();
    // One that votes is never dropped for one that has not learned yet.
    let ready = members
        .iter()
        .filter(|(id, member)| !chosen.contains(*id) && member.reachable && member.caught_up)
        .count();
    let size = target.min(odd(chosen.len() + ready));
    while chosen.len() < size {
        let zones = zones(&chosen, members);
        let candidates = members
            .iter()
            .filter(|(id, member)| !chosen.contains(*id) && member.reachable && member.caught_up);
        let best = candidates.min_by_key(|(id, member)| {
            (zones.get(member.zone.as_str()).copied().unwrap_or(0), *id)
        });
        let Some((best, _)) = best else { break };
        let best = *best;
        chosen.insert(best);
    }
    while chosen.len() > size.max(1) {
        let zones = zones(&chosen, members);
        let worst = chosen.iter().filter(|id| *id != own).max_by_key(|id| {
            let member = members.get(*id);
            let reachable = member.is_some_and(|member| member.reachable);
            let zone = member.map_or("", |member| member.zone.as_str());
            (!reachable, zones.get(zone).copied().unwrap_or(0), *id)
        });
        let Some(worst) = worst.cloned() else { break };
        chosen.remove(&worst);
    }
    chosen
}

/// How many of them are in each zone.
fn zones<'a>(
    chosen: &BTreeSet<RaftId>,
    members: &'a BTreeMap<RaftId, Candidate>,
) -> BTreeMap<&'a str, usize> {
    let mut zones = BTreeMap::new();
    for member in chosen.iter().filter_map(|id| members.get(id)) {
        *zones.entry(member.zone.as_str()).or_insert(0) += 1;
    }
    zones
}

/// The greatest odd number that is not more; 0 of 0.
const fn odd(number: usize) -> usize {
    if number.is_multiple_of(2) {
        number.saturating_sub(1)
    } else {
        number
    }
}

#[cfg(test)]
mod tests;
