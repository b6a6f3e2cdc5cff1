//! Who comes together with whom, and who does not, and what both are told.

use super::*;
use crate::wire::hello::Versions;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r01_nothing_is_said_before_both_know_each_other() {
    let (a, b) = (Party::start(config("a", 3)), Party::start(config("b", 9)));
    a.dial(&b);
    let (b_at_a, a_at_b) = (a.meets("b").await, b.meets("a").await);
    assert_eq!(b_at_a.incarnation(), Incarnation(9));
    assert_eq!(a_at_b.incarnation(), Incarnation(3));
    assert_eq!(b_at_a.find_type("number", 7), Ok(0));
    assert!(b_at_a.find_type("number", 8).is_err());
    for number in 1..=100 {
        b_at_a.push(0, tell(number % 3, number)).unwrap();
    }
    until("all of them", || b.log.messages().len() == 100).await;
    let heard = b.log.all();
    assert_eq!(heard[0], Heard::Up(3), "first of all: {heard:?}");
    let messages = b.log.messages();
    for pair in 0..3 {
        let of: Vec<_> = messages.iter().filter(|n| *n % 3 == pair).collect();
        assert!(of.is_sorted(), "pair {pair}: {of:?}");
    }
    until("all of them acknowledged", || {
        a.log.count(|it| matches!(it, Heard::Delivered(_))) == 100
    })
    .await;
    a.ends().await;
    b.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_may_dial_at_once_and_have_one_connection() {
    for round in 0..10 {
        let (a, b) = (Party::start(config("a", 1)), Party::start(config("b", 1)));
        // Half of the rounds they know whom they dial.
        let wanted = |name| (round % 2 == 0).then(|| id(name));
        a.peers.connect(b.addr.into(), wanted("b"));
        b.peers.connect(a.addr.into(), wanted("a"));
        let (b_at_a, a_at_b) = (a.meets("b").await, b.meets("a").await);
        // Whatever happened on the way, both agree in the end: a word each way, and back.
        for (from, to) in [(&b_at_a, &b), (&a_at_b, &a)] {
            from.signal(watch(1)).unwrap();
            until("the signal", || {
                to.log.count(|it| *it == Heard::Signal(1)) == 1
            })
            .await;
            until("its acknowledgement", || {
                from.control.lock().machine.signals().0 == 0
            })
            .await;
        }
        assert_eq!(a.peers.all().len(), 1);
        assert!(a.log.count(|it| matches!(it, Heard::Lost(..))) == 0);
        let ((), ()) = tokio::join!(a.ends(), b.ends());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_told_on_the_side_that_looks() {
    let a = Party::with(config("a", 1), shared(DIGITS), 0);
    let b = Party::with(config("b", 1), shared(OTHER), 0);
    a.dial(&b);
    a.refuses("key").await;
    assert!(a.peers.all().is_empty() && b.peers.all().is_empty());
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_is_refused_and_both_are_told() {
    let a = Party::start(config("a", 1));
    let mut other = config("b", 1);
    other.cluster = ClusterId::new("elsewhere").unwrap();
    let b = Party::start(other);
    a.dial(&b);
    a.refuses("refused by the peer: it belongs to cluster `elsewhere`")
        .await;
    b.refuses("refused the peer: it belongs to cluster `elsewhere`")
        .await;
    assert!(a.peers.all().is_empty() && b.peers.all().is_empty());
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_without_overlap_are_told_on_both_sides() {
    let a = Party::start(config("a", 1));
    let mut later = config("b", 1);
    later.versions = Some(Versions { min: 2, max: 3 });
    let b = Party::start(later);
    a.dial(&b);
    for party in [&a, &b] {
        party.refuses("versions 2..=3").await;
    }
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_to_itself_is_noticed_and_not_tried_again() {
    let a = Party::start(config("a", 1));
    a.dial(&a);
    a.refuses("a peer reached itself").await;
    until("no more dials", || a.peers.0.dials().is_empty()).await;
    a.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_seed_and_a_port_in_use_are_clear() {
    let a = Party::start(config("a", 1));
    let in_use = a.peers.listen(a.addr).unwrap_err().to_string();
    assert!(in_use.contains("is in use"), "{in_use}");
    // A port that was free a moment ago, and that nobody but this test has.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = held.local_addr().unwrap();
    drop(held);
    a.peers.connect(addr.into(), None);
    a.refuses("nothing listens there").await;
    a.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_else_than_the_wanted_one_is_refused() {
    let (a, b) = (Party::start(config("a", 1)), Party::start(config("b", 1)));
    a.peers.connect(b.addr.into(), Some(id("c")));
    a.refuses("peer `c` was to be at this address").await;
    b.refuses("peer `c` was to be at this address").await;
    assert!(a.peers.all().is_empty());
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}
