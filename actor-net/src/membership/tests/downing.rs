//! The strategies, by the table of cases B01 to B07; time and leases (B08 to B10) are tested with the machine.

use std::collections::BTreeSet;

use super::super::downing::{Decision, Downing, Situation, Standing, Voting, decide};
use crate::id::PeerId;

fn peer(name: char) -> PeerId {
    PeerId::new(&name.to_string()).expect("a name")
}

fn set(names: &str) -> BTreeSet<PeerId> {
    names.chars().map(peer).collect()
}

/// What `own` sees of a cluster that is split into groups of one-letter names. A name in small letters has no say (it is
/// joining or leaving). Age is the order of the alphabet.
fn sees(own: char, groups: &[&str]) -> Situation {
    let mine = groups.iter().position(|group| group.contains(own));
    let members = groups.iter().enumerate().flat_map(|(group, names)| {
        names.chars().map(move |name| Standing {
            peer: peer(name),
            unreachable: Some(group) != mine,
            counts: name.is_ascii_uppercase(),
            age: u64::from(u32::from(name.to_ascii_uppercase())),
        })
    });
    Situation {
        own: peer(own),
        members: members.collect(),
        reports: BTreeSet::new(),
        voting: None,
    }
}

/// Who goes on, over all sides.
fn survivors(strategy: &Downing, groups: &[&str]) -> BTreeSet<PeerId> {
    let all = groups.concat();
    let stays = all.chars().filter(|own| {
        match decide(strategy, &sees(*own, groups)) {
            Decision::Wait => true,
            Decision::Down(down) => {
                let stays = !down.contains(&peer(*own));
                if stays {
                    // Who goes on declares exactly the others down.
                    let mine = groups.iter().find(|group| group.contains(*own));
                    let others: BTreeSet<_> = &set(&all) - &set(mine.expect("its group"));
                    assert_eq!(down, others);
                }
                stays
            }
            Decision::AskLease { .. } => panic!("no lease here"),
        }
    });
    stays.map(peer).collect()
}

#[test]
fn b01_the_majority_lives_and_the_minority_downs_itself() {
    let keep = Downing::KeepMajority;
    assert_eq!(survivors(&keep, &["AB", "CDE"]), set("CDE"));
    assert_eq!(survivors(&keep, &["ABCD", "E"]), set("ABCD"));
    assert_eq!(survivors(&keep, &["ABCDE"]), set("ABCDE"));
}

#[test]
fn b02_of_equal_halves_the_one_with_the_lowest_name_lives() {
    let keep = Downing::KeepMajority;
    assert_eq!(survivors(&keep, &["AD", "BC"]), set("AD"));
    assert_eq!(survivors(&keep, &["B", "A"]), set("A"));
}

#[test]
fn b03_of_three_sides_without_a_majority_none_lives() {
    let keep = Downing::KeepMajority;
    assert_eq!(survivors(&keep, &["AB", "CD", "E"]), set(""));
    assert_eq!(survivors(&keep, &["ABC", "D", "E"]), set("ABC"));
}

#[test]
fn b04_of_the_indirectly_connected_none_lives() {
    let all = |own: char, names: &str| {
        let mut situation = sees(own, &[names]);
        situation.reports = [('A', 'B'), ('B', 'A')]
            .map(|(a, b)| (peer(a), peer(b)))
            .into();
        // Each of the two sees the other unreachable.
        for member in &mut situation.members {
            let other = if own == 'A' { 'B' } else { 'A' };
            member.unreachable = own != 'C' && member.peer == peer(other);
        }
        decide(&Downing::KeepMajority, &situation)
    };
    assert_eq!(all('C', "ABC"), Decision::Down(set("AB")));
    assert_eq!(all('A', "ABC"), Decision::Down(set("ABC")));
    assert_eq!(all('B', "ABC"), Decision::Down(set("ABC")));
    for own in ['A', 'B'] {
        assert_eq!(all(own, "AB"), Decision::Down(set("AB")));
    }
}

#[test]
fn b04_old_reports_of_the_unreachable_do_not_make_a_minority_win() {
    // C had reported D and D had reported C when both went out of sight.
    let mut situation = sees('A', &["AB", "CDE"]);
    situation.reports = [('C', 'D'), ('D', 'C')]
        .map(|(a, b)| (peer(a), peer(b)))
        .into();
    assert_eq!(
        decide(&Downing::KeepMajority, &situation),
        Decision::Down(set("ABCDE"))
    );
}

#[test]
fn b05_who_joins_or_leaves_goes_with_its_side_and_has_no_say() {
    let keep = Downing::KeepMajority;
    // Leaving f does not save A and B; joining b does not count for A.
    assert_eq!(survivors(&keep, &["ABf", "CDE"]), set("CDE"));
    assert_eq!(survivors(&keep, &["Ab", "CDE"]), set("CDE"));
    assert_eq!(survivors(&keep, &["ABf", "C"]), set("ABf"));
    assert_eq!(survivors(&keep, &["abcd", "E"]), set("E"));
}

#[test]
fn b06_the_side_of_the_oldest_lives_unless_it_is_alone() {
    let gives_up = Downing::KeepOldest {
        down_if_alone: true,
    };
    let stays = Downing::KeepOldest {
        down_if_alone: false,
    };
    assert_eq!(survivors(&gives_up, &["AB", "CDE"]), set("AB"));
    assert_eq!(survivors(&gives_up, &["A", "BCDE"]), set("BCDE"));
    assert_eq!(survivors(&stays, &["A", "BCDE"]), set("A"));
    assert_eq!(survivors(&gives_up, &["A", "B"]), set("B"));
    // Three sides: the oldest is alone, and those who are not with it cannot tell that they are two sides.
    assert_eq!(survivors(&stays, &["A", "B", "C"]), set("A"));
}

#[test]
fn b07_more_members_than_a_static_quorum_allows_all_give_up() {
    let quorum = Downing::StaticQuorum { size: 3 };
    assert_eq!(survivors(&quorum, &["AB", "CDE"]), set("CDE"));
    assert_eq!(survivors(&quorum, &["AB", "CD"]), set(""));
    assert_eq!(survivors(&quorum, &["ABC", "DEF"]), set(""));
    assert_eq!(survivors(&quorum, &["ABCD", "E"]), set("ABCD"));
}

#[test]
fn down_all_downs_all_and_manual_nobody() {
    assert_eq!(survivors(&Downing::DownAll, &["ABCD", "E"]), set(""));
    assert_eq!(survivors(&Downing::Manual, &["AB", "CDE"]), set("ABCDE"));
    assert_eq!(survivors(&Downing::DownAll, &["ABCDE"]), set("ABCDE"));
}

#[test]
fn b09_the_lease_decides_and_the_majority_asks_first() {
    let ask = |own, groups: &[&str]| decide(&Downing::Lease, &sees(own, groups));
    assert_eq!(
        ask('C', &["AB", "CDE"]),
        Decision::AskLease {
            down: set("AB"),
            majority: true
        }
    );
    assert_eq!(
        ask('A', &["AB", "CDE"]),
        Decision::AskLease {
            down: set("CDE"),
            majority: false
        }
    );
}

/// The law behind the table: however a cluster is split, of its sides at most one goes on.
#[test]
fn of_any_two_sides_at_most_one_lives() {
    let strategies = [
        Downing::KeepMajority,
        Downing::KeepOldest {
            down_if_alone: false,
        },
        Downing::StaticQuorum { size: 3 },
        Downing::StaticQuorum { size: 4 },
        Downing::DownAll,
    ];
    for strategy in &strategies {
        for peers in 2..=7u32 {
            for split in 1..(1u32 << peers) - 1 {
                let name = |n: u32| char::from_u32(u32::from('A') + n).expect("a letter");
                let side = |mine: bool| -> String {
                    let members = (0..peers).filter(|n| (split >> n & 1 == 1) == mine);
                    members.map(name).collect()
                };
                let (one, other) = (side(true), side(false));
                let live = survivors(strategy, &[&one, &other]);
                assert!(
                    live.is_empty() || live == set(&one) || live == set(&other),
                    "{strategy:?}: {one}|{other}: {live:?}"
                );
            }
        }
    }
}

#[test]
fn b02_of_two_halves_the_one_with_most_voters_goes_on_whatever_the_names() {
    let lives = |own, groups: &[&str], voters: &str, lost| {
        let mut situation = sees(own, groups);
        situation.voting = Some(Voting {
            voters: voters.chars().map(peer).collect(),
            lost,
        });
        match decide(&Downing::KeepMajority, &situation) {
            Decision::Down(down) => !down.contains(&peer(own)),
            other => panic!("{other:?}"),
        }
    };
    let halves = ["AB", "CD"];
    assert!(!lives('A', &halves, "BCD", 0));
    assert!(lives('C', &halves, "BCD", 0));
    assert!(lives('A', &halves, "ABC", 0));
    assert!(!lives('D', &halves, "ABC", 0));
    // Fewer peers, but most of those that vote.
    let uneven = ["ABCDE", "XYZ"];
    assert!(!lives('A', &uneven, "AXYZB", 0));
    assert!(lives('X', &uneven, "AXYZB", 0));
    // A vote that is lost is on nobody's side.
    assert!(!lives('A', &halves, "AC", 1));
    assert!(!lives('C', &halves, "AC", 1));
    // A voter that is badly connected goes, and is in nobody's number.
    let mut situation = sees('C', &["ABC", ""]);
    situation.reports = [('A', 'B'), ('B', 'A')]
        .map(|(by, of)| (peer(by), peer(of)))
        .into();
    situation.voting = Some(Voting {
        voters: "ABC".chars().map(peer).collect(),
        lost: 0,
    });
    let down = "AB".chars().map(peer).collect();
    assert_eq!(
        decide(&Downing::KeepMajority, &situation),
        Decision::Down(down)
    );
}
