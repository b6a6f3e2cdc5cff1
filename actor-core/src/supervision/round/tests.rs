use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn all_up(n: u32, failed: u32) -> Round<u32> {
    let standing = |child| {
        if child == failed {
            Standing::Down
        } else {
            Standing::Up
        }
    };
    Round::new(
        (0..n).map(|child| (child, standing(child))).collect(),
        failed,
    )
}

#[test]
fn s02_stops_in_reverse_then_starts_in_order() {
    let mut round = all_up(3, 1);
    assert_eq!(round.next(), Order::Stop(2));
    assert_eq!(round.next(), Order::Wait);
    assert_eq!(round.down(2), Report::Expected);
    assert_eq!(round.next(), Order::Stop(0));
    assert_eq!(round.down(0), Report::Expected);
    assert_eq!(round.next(), Order::Prepare(1));
    assert_eq!(round.next(), Order::Wait);
    round.ready(1);
    for child in 0..3 {
        assert_eq!(round.next(), Order::Start(child));
        assert_eq!(round.next(), Order::Wait);
        round.up(child);
    }
    assert_eq!(round.next(), Order::Done);
}

/// Found by a random tree: it keeps its children while it is down, and fails by one of them once more.
#[test]
fn s02_who_fails_again_before_it_prepares_is_told_again() {
    let mut round = all_up(2, 0);
    assert_eq!(round.next(), Order::Stop(1));
    assert_eq!(round.down(1), Report::Expected);
    assert_eq!(round.next(), Order::Prepare(0));
    assert_eq!(round.next(), Order::Wait);
    assert_eq!(round.down(0), Report::Expected);
    assert_eq!(round.next(), Order::Prepare(0));
    round.ready(0);
    assert_eq!(round.next(), Order::Start(0));
}

#[test]
fn s10_who_cannot_come_back_is_stopped_and_left_out() {
    let mut round = all_up(3, 0);
    assert_eq!(round.next(), Order::Stop(2));
    round.gone(2);
    assert_eq!(round.next(), Order::Stop(1));
    assert_eq!(round.down(1), Report::Expected);
    assert_eq!(round.next(), Order::Prepare(0));
    round.ready(0);
    assert_eq!(round.next(), Order::Start(0));
    round.up(0);
    assert_eq!(round.next(), Order::Start(1));
    round.up(1);
    assert_eq!(round.next(), Order::Done);
}

#[test]
fn s11_a_start_that_fails_ends_the_round_and_the_next_stops_what_is_up() {
    let mut round = all_up(3, 0);
    for child in [2, 1] {
        assert_eq!(round.next(), Order::Stop(child));
        assert_eq!(round.down(child), Report::Expected);
    }
    assert_eq!(round.next(), Order::Prepare(0));
    round.ready(0);
    assert_eq!(round.next(), Order::Start(0));
    round.up(0);
    assert_eq!(round.next(), Order::Start(1));
    assert_eq!(round.down(1), Report::StartFailed);
    let again = (0..3).map(|child| {
        let down = round.is_down(child);
        (child, if down { Standing::Down } else { Standing::Up })
    });
    let mut round = Round::new(again.collect(), 1);
    assert_eq!(round.next(), Order::Stop(0));
    assert_eq!(round.down(0), Report::Expected);
    assert_eq!(round.next(), Order::Prepare(1));
}

#[test]
fn failures_that_are_not_the_rounds_own_come_later() {
    let mut round = all_up(2, 0);
    assert_eq!(round.down(7), Report::Later);
    assert_eq!(round.next(), Order::Stop(1));
    assert_eq!(round.down(1), Report::Expected);
    assert_eq!(round.next(), Order::Prepare(0));
    round.ready(0);
    assert_eq!(round.next(), Order::Start(0));
    round.up(0);
    assert_eq!(round.down(0), Report::Later, "up again, and then failed");
}

#[test]
fn what_was_terminated_is_started_with_the_others() {
    let members = vec![(0, Standing::Kept), (1, Standing::Down)];
    let mut round = Round::new(members, 1);
    assert_eq!(round.next(), Order::Prepare(1));
    round.ready(1);
    assert_eq!(round.next(), Order::Revive(0));
    round.revived(0, 9);
    assert_eq!(round.next(), Order::Wait);
    round.up(9);
    assert_eq!(round.next(), Order::Start(1));
}

#[test]
fn a_child_terminated_in_its_back_off_does_not_hold_the_others_up() {
    let mut round = all_up(2, 0);
    assert_eq!(round.next(), Order::Stop(1));
    assert_eq!(round.down(1), Report::Expected);
    assert_eq!(round.next(), Order::Prepare(0));
    round.gone(0);
    assert_eq!(round.next(), Order::Start(1));
}

#[test]
fn a_child_that_is_down_once_more_is_told_of_its_back_off_again() {
    let mut round = all_up(1, 0);
    assert_eq!(round.next(), Order::Prepare(0));
    assert_eq!(round.next(), Order::Wait);
    assert_eq!(round.down(0), Report::Expected);
    assert_eq!(round.next(), Order::Prepare(0));
    round.ready(0);
    round.ready(0);
    assert_eq!(round.next(), Order::Start(0));
}

/// What a member does when it is told something.
#[derive(Clone, Copy, Debug)]
enum Nature {
    Fine,
    /// Cannot come back.
    Temporary,
    /// Ends by itself, one event before it is told.
    Hasty,
    /// Does not start this often.
    Weak(u8),
}

fn nature() -> impl Strategy<Value = Nature> {
    prop_oneof![
        3 => Just(Nature::Fine),
        1 => Just(Nature::Temporary),
        1 => Just(Nature::Hasty),
        1 => (1..3_u8).prop_map(Nature::Weak),
    ]
}

proptest! {
    /// Whatever the members are like: nothing old is alive when something new starts, the order is
    /// kept both ways, and it comes to an end.
    #[test]
    fn s02_s03_no_old_incarnation_beside_a_new_one(
        natures in vec(nature(), 1..12), failed in any::<prop::sample::Index>(), first in any::<prop::sample::Index>(),
    ) {
        let failed = failed.index(natures.len());
        // rest_for_one: the members are those from the failed one on; else all.
        let first = if first.index(2) == 0 { 0 } else { failed };
        let mut natures = natures;
        if matches!(natures[failed], Nature::Temporary) {
            natures[failed] = Nature::Fine;
        }
        let mut alive: Vec<Option<u32>> = vec![Some(0); natures.len()];
        alive[failed] = None;
        let mut gone = vec![false; natures.len()];
        let mut generation = 0;
        let mut failed = failed;
        let mut attempts = 0;
        'rounds: loop {
            attempts += 1;
            generation += 1;
            prop_assert!(attempts < 64, "it ends");
            let members = (first..natures.len()).filter(|child| !gone[*child]).map(|child| {
                (child, if alive[child].is_some() { Standing::Up } else { Standing::Down })
            });
            let mut round = Round::new(members.collect(), failed);
            let (mut stopped, mut started) = (natures.len(), None);
            loop {
                match round.next() {
                    Order::Stop(child) => {
                        prop_assert!(child < stopped);
                        prop_assert!(started.is_none());
                        stopped = child;
                        alive[child] = None;
                        if matches!(natures[child], Nature::Temporary) {
                            gone[child] = true;
                            round.gone(child);
                        } else {
                            prop_assert_eq!(round.down(child), Report::Expected);
                        }
                        if let Some(next) = child.checked_sub(1)
                            && next >= first
                            && alive[next].is_some()
                            && matches!(natures[next], Nature::Hasty)
                        {
                            alive[next] = None;
                            prop_assert_eq!(round.down(next), Report::Expected);
                        }
                    }
                    Order::Prepare(child) => {
                        prop_assert_eq!(child, failed);
                        prop_assert!(started.is_none());
                        round.ready(child);
                    }
                    Order::Start(child) => {
                        prop_assert!(started.is_none_or(|before| before < child));
                        let old = (first..natures.len()).find(|each| alive[*each].is_some_and(|life| life != generation));
                        prop_assert_eq!(old, None, "an old one is alive");
                        started = Some(child);
                        if let Nature::Weak(times) = &mut natures[child] && *times > 0 {
                            *times -= 1;
                            prop_assert_eq!(round.down(child), Report::StartFailed);
                            failed = child;
                            continue 'rounds;
                        }
                        alive[child] = Some(generation);
                        round.up(child);
                    }
                    Order::Revive(_) => prop_assert!(false, "nothing was kept"),
                    Order::Wait => prop_assert!(false, "all events have been told"),
                    Order::Done => break 'rounds,
                }
            }
        }
        for child in first..natures.len() {
            prop_assert_eq!(alive[child].is_some(), !gone[child]);
        }
        for before in &alive[..first] {
            prop_assert_eq!(*before, Some(0), "left alone");
        }
    }
}
