//! The line for room: first come, first served, and turns that are handed on.

use std::sync::{Arc, mpsc};
use std::task::Wake;

use super::*;

struct Bell(usize, mpsc::Sender<usize>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.1.send(self.0).expect("the test listens");
    }
}

/// A full inbox of one, owned by the test, with `n` waiters.
struct Line {
    /// Boxed: the line is found by its address.
    inbox: Box<Inbox>,
    table: Waiters,
    tickets: Vec<Ticket>,
    wakers: Vec<Waker>,
    woken: mpsc::Receiver<usize>,
}

impl Line {
    fn new(n: usize) -> Self {
        let (inbox, table) = (Box::new(Inbox::new(1)), Waiters::new());
        assert!(inbox.claim(1));
        // SAFETY: claimed.
        unsafe { inbox.publish_taken(1) };
        let (sender, woken) = mpsc::channel();
        let wakers: Vec<Waker> = (0..n)
            .map(|i| Arc::new(Bell(i, sender.clone())).into())
            .collect();
        let tickets = wakers
            .iter()
            .map(|waker| table.wait(&inbox, waker).expect("it is full"))
            .collect();
        Self {
            inbox,
            table,
            tickets,
            wakers,
            woken,
        }
    }

    fn woken(&self) -> Vec<usize> {
        self.woken.try_iter().collect()
    }
}

#[test]
fn room_goes_to_those_who_came_first() {
    let line = Line::new(3);
    assert!(line.table.wake(&line.inbox, 2), "one still waits");
    assert_eq!(line.woken(), [0, 1]);
    let is_woken = |i: usize| {
        line.table
            .is_woken(&line.inbox, line.tickets[i], &line.wakers[i])
    };
    assert_eq!([is_woken(0), is_woken(1), is_woken(2)], [true, true, false]);
    assert!(
        line.table.wake(&line.inbox, 2),
        "those woken already are not woken twice, and the room is theirs"
    );
    assert!(line.woken().is_empty());
    assert!(!line.table.wake(&line.inbox, 3));
    assert_eq!(line.woken(), [2]);
    for ticket in &line.tickets {
        line.table.leave(&line.inbox, *ticket, true);
    }
    assert!(line.woken().is_empty());
    assert!(
        line.table.shard(&line.inbox).lists.is_empty(),
        "an inbox without waiters has no entry"
    );
}

#[test]
fn a_turn_not_used_goes_to_the_next() {
    let line = Line::new(3);
    line.table.leave(&line.inbox, line.tickets[1], false);
    assert!(line.woken().is_empty(), "it was not its turn yet");
    assert!(line.table.wake(&line.inbox, 1));
    assert_eq!(line.woken(), [0]);
    line.table.leave(&line.inbox, line.tickets[0], false);
    assert_eq!(line.woken(), [2]);
    line.table.leave(&line.inbox, line.tickets[2], false);
    assert!(line.woken().is_empty());
}

#[test]
fn a_full_mailbox_sends_a_woken_waiter_back_to_its_place() {
    let line = Line::new(2);
    assert!(line.table.wake(&line.inbox, 1));
    assert!(
        line.table
            .wait_again(&line.inbox, line.tickets[0], &line.wakers[0])
    );
    assert!(line.table.wake(&line.inbox, 1));
    assert_eq!(line.woken(), [0, 0], "still the first");
    // SAFETY: claimed.
    unsafe { line.inbox.publish_taken(0) };
    assert!(
        !line
            .table
            .wait_again(&line.inbox, line.tickets[0], &line.wakers[0]),
        "there is room"
    );
    assert!(line.table.wait(&line.inbox, &line.wakers[0]).is_none());
}

#[test]
fn a_new_waker_replaces_the_old_one() {
    let line = Line::new(1);
    let (sender, other) = mpsc::channel();
    let waker = Waker::from(Arc::new(Bell(9, sender)));
    assert!(!line.table.is_woken(&line.inbox, line.tickets[0], &waker));
    assert!(!line.table.wake(&line.inbox, 1));
    assert_eq!(
        (line.woken(), other.try_iter().collect::<Vec<_>>()),
        (vec![], vec![9])
    );
}

#[test]
fn a_waker_that_panics_or_comes_back_harms_nobody() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("a user's waker");
        }
    }
    /// Dropped, it looks into the table again.
    struct Nosy(Arc<(Waiters, Inbox)>);
    impl Wake for Nosy {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            let (table, inbox) = &*self.0;
            table.leave(inbox, Ticket(u64::MAX), false);
        }
    }
    let shared = Arc::new((Waiters::new(), Inbox::new(1)));
    let (table, inbox) = &*shared;
    assert!(inbox.claim(1));
    // SAFETY: claimed.
    unsafe { inbox.publish_taken(1) };
    let bomb = table.wait(inbox, &Arc::new(Bomb).into()).expect("full");
    let nosy = table
        .wait(inbox, &Arc::new(Nosy(shared.clone())).into())
        .expect("full");
    assert!(
        !table.is_woken(inbox, nosy, Waker::noop()),
        "replaced, and dropped outside the lock"
    );
    assert!(!table.wake(inbox, 2));
    assert!(
        table.is_woken(inbox, bomb, Waker::noop()) && table.is_woken(inbox, nosy, Waker::noop())
    );
}
