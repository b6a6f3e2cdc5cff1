//! Models of the byte that the owner and the census share. Each twin leaves out one step and must fail.

use super::{MARKS, Protocol, Quiet, Sound};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::thread;

struct RelaxedBirth;

impl Protocol for RelaxedBirth {
    const OCCUPY: Ordering = Ordering::Relaxed;
}

struct LookThenStore;

impl Protocol for LookThenStore {
    const ONE_STEP: bool = false;
}

/// A life ends while the census walks twice: in the end nobody lives there.
fn end_against_census<P: Protocol + 'static>() {
    loom::model(|| {
        let quiet = Arc::new(Quiet::<P>::vacant());
        quiet.occupy();
        let theirs = quiet.clone();
        let census = thread::spawn(move || {
            theirs.look(*MARKS.start());
            theirs.look(*MARKS.start() + 1);
        });
        quiet.vacate();
        census.join().unwrap();
        assert_eq!(quiet.look(9), None, "a dead cell bears a mark");
    });
}

/// Whoever sees that somebody lives there sees who.
fn birth_against_census<P: Protocol + 'static>() {
    loom::model(|| {
        let cell = Arc::new((AtomicU64::new(0), Quiet::<P>::vacant()));
        let theirs = cell.clone();
        let census = thread::spawn(move || {
            if theirs.1.look(*MARKS.start()).is_some() {
                assert_eq!(
                    theirs.0.load(Ordering::Relaxed),
                    7,
                    "seen before it was born"
                );
            }
        });
        cell.0.store(7, Ordering::Relaxed);
        cell.1.occupy();
        census.join().unwrap();
    });
}

/// Two walks at once agree on a mark, or the later one finds what the earlier left.
#[test]
fn loom_quiet_two_walks_leave_one_mark() {
    loom::model(|| {
        let quiet = Arc::new(Quiet::<Sound>::vacant());
        quiet.occupy();
        quiet.touch();
        let theirs = quiet.clone();
        let other = thread::spawn(move || theirs.look(3));
        let mine = quiet.look(2);
        let others = other.join().unwrap();
        assert_eq!(mine, others);
        assert_eq!(quiet.look(4), mine);
    });
}

#[test]
fn loom_quiet_end_against_census() {
    end_against_census::<Sound>();
}

#[test]
#[should_panic(expected = "a dead cell bears a mark")]
fn loom_quiet_look_then_store_is_caught() {
    end_against_census::<LookThenStore>();
}

#[test]
fn loom_quiet_birth_against_census() {
    birth_against_census::<Sound>();
}

#[test]
#[should_panic(expected = "seen before it was born")]
fn loom_quiet_relaxed_birth_is_caught() {
    birth_against_census::<RelaxedBirth>();
}
