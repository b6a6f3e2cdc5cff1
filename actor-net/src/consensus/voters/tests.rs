use super::*;
use crate::id::{Incarnation, PeerId};

fn id(n: usize) -> RaftId {
    RaftId::new(&PeerId::new(&format!("p{n}")).unwrap(), Incarnation(1))
}

fn ids(of: impl IntoIterator<Item = usize>) -> BTreeSet<RaftId> {
    of.into_iter().map(id).collect()
}

fn members(of: impl IntoIterator<Item = usize>, zones: usize) -> BTreeMap<RaftId, Candidate> {
    let member = |n| {
        let candidate = Candidate {
            zone: format!("z{}", n % zones),
            reachable: true,
            caught_up: true,
        };
        (id(n), candidate)
    };
    of.into_iter().map(member).collect()
}

#[test]
fn as_many_vote_as_an_odd_number_of_members_allows() {
    for (count, voters) in [
        (1, 1),
        (2, 1),
        (3, 3),
        (4, 3),
        (5, 5),
        (6, 5),
        (7, 7),
        (100, 7),
    ] {
        let members = members(1..=count, 1);
        let chosen = choose(&id(1), &ids([1]), &members, 7);
        assert_eq!(chosen.len(), voters, "{count} members");
        assert!(chosen.contains(&id(1)));
        assert_eq!(choose(&id(1), &ids([1]), &members, 3).len(), voters.min(3));
        // Once chosen it stays.
        assert_eq!(choose(&id(1), &chosen, &members, 7), chosen);
    }
}

#[test]
fn voters_are_spread_over_zones() {
    let chosen = choose(&id(1), &ids([1]), &members(1..=9, 3), 3);
    assert_eq!(chosen, ids([1, 2, 3]));
    // Two of three are in one zone: of those, not of the other, is whoever goes.
    let mut all = members([1, 2, 4, 5], 3);
    all.remove(&id(5));
    let chosen = choose(&id(2), &ids([1, 2, 4]), &all, 1);
    assert_eq!(chosen, ids([2]));
    let chosen = choose(
        &id(9),
        &ids([1, 2, 4, 7, 9]),
        &members([1, 2, 4, 7, 9], 3),
        3,
    );
    assert_eq!(chosen, ids([1, 2, 9]));
}

#[test]
fn one_step_after_the_other() {
    let one = ids([1]);
    let mut three = members(1..=3, 1);
    let step = next(&id(1), std::slice::from_ref(&one), &one, &three, 7);
    assert_eq!(step, Some(Step::Learn(ids([2, 3]))));
    // Nobody votes before it has learned.
    three.get_mut(&id(3)).unwrap().caught_up = false;
    let step = next(&id(1), std::slice::from_ref(&one), &ids(1..=3), &three, 7);
    assert_eq!(step, None);
    three.get_mut(&id(3)).unwrap().caught_up = true;
    let step = next(&id(1), std::slice::from_ref(&one), &ids(1..=3), &three, 7);
    assert_eq!(step, Some(Step::Vote(ids(1..=3))));
    // A change that is not finished is finished first.
    let joint = [one, ids(1..=3)];
    let step = next(&id(1), &joint, &ids(1..=3), &three, 7);
    assert_eq!(step, Some(Step::Vote(ids(1..=3))));
    // One is gone, another is there: in its place; then it is forgotten.
    let after = members([1, 2, 4], 1);
    let step = next(&id(1), &[ids(1..=3)], &ids(1..=4), &after, 7);
    assert_eq!(step, Some(Step::Vote(ids([1, 2, 4]))));
    let step = next(&id(1), &[ids([1, 2, 4])], &ids(1..=4), &after, 7);
    assert_eq!(step, Some(Step::Forget(ids([3]))));
    assert_eq!(
        next(&id(1), &[ids([1, 2, 4])], &ids([1, 2, 4]), &after, 7),
        None
    );
    // Whoever is only unreachable stays.
    let mut unreachable = after;
    unreachable.get_mut(&id(4)).unwrap().reachable = false;
    let step = next(&id(1), &[ids([1, 2, 4])], &ids([1, 2, 4]), &unreachable, 7);
    assert_eq!(step, None);
}
