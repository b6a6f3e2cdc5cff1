use super::*;
use crate::wire::hello::{ConnectionKind, Versions};
use crate::wire::test_kit::own;

fn hello(peer: &str, incarnation: u64, last_epoch: u32) -> Hello {
    Hello {
        versions: Versions { min: 1, max: 1 },
        features: 0,
        required: 0,
        kind: ConnectionKind::Control,
        last_epoch,
        received_through: 0,
        who: own(peer, incarnation).who,
    }
}

fn book(own: &str) -> Book<u64> {
    Book::new(PeerId::new(own).unwrap())
}

/// Lets somebody in, both steps.
fn admit(book: &mut Book<u64>, hello: &Hello, session: u128) -> Result<Taken<u64>, Refusal> {
    let epoch = book.reserve(hello, session)?.epoch;
    book.take(&hello.who, session, epoch, || {
        Arc::new(hello.who.incarnation.0)
    })
}

#[test]
fn of_two_dials_that_meet_that_of_the_smaller_id_counts_on_both_sides() {
    // Each has let the other in, and then gets the answer to its own dial.
    let (mut a, mut b) = (book("a"), book("b"));
    a.reserve(&hello("b", 1, 0), 20).unwrap();
    b.reserve(&hello("a", 1, 0), 10).unwrap();
    let (of_b, of_a) = (own("b", 1).who, own("a", 1).who);
    let claimed = a.claim(&of_b, (10, 1, 0), || Arc::new(1));
    assert!(claimed.unwrap().fresh);
    let given_up = b.claim(&of_a, (20, 1, 0), || Arc::new(1));
    assert_eq!(given_up.unwrap_err(), Refusal::SimultaneousConnect);
    // The dial of the smaller is confirmed, the other one no more.
    assert!(b.take(&of_a, 10, 1, || Arc::new(1)).is_ok());
    let late = a.take(&of_b, 20, 1, || Arc::new(1));
    assert_eq!(late.unwrap_err(), Refusal::SimultaneousConnect);
    assert!(a.is_connected(&of_b.peer) && b.is_connected(&of_a.peer));
}

#[test]
fn r04_a_new_life_ends_the_old_one_which_is_not_let_in_again() {
    let mut book = book("a");
    let first = admit(&mut book, &hello("b", 1, 0), 1).unwrap();
    assert!(first.fresh && first.ended.is_none());
    let second = admit(&mut book, &hello("b", 2, 0), 2).unwrap();
    assert_eq!(second.ended.as_deref(), Some(&1));
    assert!(second.fresh);
    let stale = admit(&mut book, &hello("b", 1, 0), 3).unwrap_err();
    assert_eq!(stale, Refusal::StaleIncarnation { known: 2 });
    // The end of the old connection is not that of the new one.
    book.disconnected(&name("b"), 1);
    assert!(book.is_connected(&name("b")));
}

#[test]
fn r06_a_life_that_was_declared_dead_stays_so_until_a_later_one() {
    let mut book = book("a");
    admit(&mut book, &hello("b", 5, 0), 1).unwrap();
    assert!(book.bury(&name("b"), Incarnation(4)).is_none(), "older");
    assert!(book.get(&name("b")).is_some());
    assert!(book.bury(&name("b"), Incarnation(5)).is_some());
    let again = admit(&mut book, &hello("b", 5, 1), 2).unwrap_err();
    assert_eq!(again, Refusal::DeclaredDead);
    let claimed = book.claim(&own("b", 5).who, (3, 2, 1), || Arc::new(5));
    assert_eq!(claimed.unwrap_err(), Refusal::DeclaredDead);
    assert!(admit(&mut book, &hello("b", 6, 0), 4).is_ok());
}

#[test]
fn a_reservation_that_came_to_nothing_leaves_nothing() {
    let mut book = book("b");
    book.reserve(&hello("a", 1, 0), 1).unwrap();
    book.reserve(&hello("a", 1, 0), 2).unwrap();
    // The first has broken; the second is the one that is kept.
    book.release(&name("a"), 1);
    assert!(book.take(&own("a", 1).who, 1, 1, || Arc::new(1)).is_err());
    assert!(book.take(&own("a", 1).who, 2, 1, || Arc::new(1)).is_ok());
}

fn name(name: &str) -> PeerId {
    PeerId::new(name).unwrap()
}
