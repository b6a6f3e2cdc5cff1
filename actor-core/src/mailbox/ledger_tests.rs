//! The conservation law's arithmetic.

use super::*;

const FATES: [Fate; 7] = [
    Fate::ActorStopped,
    Fate::Expired,
    Fate::Cancelled,
    Fate::Panicked,
    Fate::Interrupted,
    Fate::Oldest,
    Fate::Newest,
];

#[test]
fn an_empty_ledger_holds() {
    let sums = Ledger::new(2).conservation();
    assert_eq!(sums, Conservation::default());
    assert!(sums.holds_at_rest());
    assert_eq!(sums.queued(), 0);
}

#[test]
fn what_workers_and_others_count_is_one_sum() {
    let ledger = Ledger::new(3);
    for worker in 0..3 {
        ledger.worker(worker).add_owned(Count::Offered, 10);
        ledger.worker(worker).add_owned(Count::Accepted, 9);
        ledger.worker(worker).add_owned(Count::RefusedFull, 1);
    }
    ledger.add(Count::Offered, 5);
    ledger.add(Count::Accepted, 5);
    assert_eq!(
        (ledger.sum(Count::Offered), ledger.sum(Count::Accepted)),
        (35, 32)
    );
    let sums = ledger.conservation();
    assert_eq!(
        (sums.refused.full, sums.refused.total(), sums.queued()),
        (3, 3, 32)
    );
    assert!(!sums.holds_at_rest(), "32 messages are nowhere yet");
    ledger.worker(1).add_owned(Count::Handled, 25);
    for fate in FATES {
        ledger.fate(fate);
    }
    let sums = ledger.conservation();
    assert_eq!(
        (
            sums.queued(),
            sums.dead_letters.total(),
            sums.dropped.total()
        ),
        (0, 1, 6)
    );
    assert!(sums.holds_at_rest());
}

#[test]
fn each_fate_has_a_counter_of_its_own() {
    let ledger = Ledger::new(1);
    for fate in FATES.into_iter().chain([
        Fate::Abandoned,
        Fate::NoReply,
        Fate::PeerGone,
        Fate::NotExported,
        Fate::TooLarge,
        Fate::Unreachable,
        Fate::NoRoom,
    ]) {
        ledger.worker(0).fate_owned(fate);
        ledger.fate(fate);
        assert_eq!(ledger.sum_fate(fate), 2, "{fate}");
    }
    assert_eq!(ledger.sum(Count::Handled), 0);
    assert_eq!(ledger.sum(Count::Offered), 0);
}

#[test]
fn adding_the_greatest_number_takes_one_back() {
    let ledger = Ledger::new(1);
    ledger.worker(0).add_owned(Count::Accepted, 1);
    ledger.worker(0).add_owned(Count::Accepted, u64::MAX);
    ledger.add(Count::Accepted, 1);
    ledger.add(Count::Accepted, u64::MAX);
    assert_eq!(ledger.sum(Count::Accepted), 0);
}

#[test]
fn the_report_names_what_is_not_zero() {
    let sums = Conservation {
        offered: 10,
        accepted: 8,
        refused: Refused {
            full: 2,
            ..Refused::default()
        },
        handled: 5,
        dead_letters: DeadLetters {
            actor_stopped: 1,
            ..DeadLetters::default()
        },
        dropped: Dropped {
            panicked: 1,
            ..Dropped::default()
        },
    };
    assert_eq!(
        sums.to_string(),
        "offered 10 = accepted 8 + refused 2\n\
         accepted 8 = handled 5 + dead letters 1 + dropped 1 + queued 1\n  \
         refused, mailbox full: 2\n  \
         dead letters, actor stopped: 1\n  \
         dropped, handler panicked: 1"
    );
}

#[test]
fn threads_without_a_worker_lose_no_count() {
    let each: u64 = if cfg!(miri) { 50 } else { 10_000 };
    let ledger = Ledger::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..each).for_each(|_| ledger.add(Count::Offered, 1)));
        }
    });
    assert_eq!(ledger.sum(Count::Offered), 4 * each);
}
