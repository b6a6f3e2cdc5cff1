//! Connections that break, peers that restart, lives that end: what is accounted for, and who hears of it.

use super::*;

/// The books of one side's messages: every number has one fate, what was delivered has come, what was dropped
/// has not, and each pair's came in order and once.
fn accounted(from: &Party, to: &Party, pushed: u64, pairs: u64) {
    let mut delivered = Vec::new();
    let mut fates = vec![0; pushed as usize + 1];
    let came = to.log.messages();
    for heard in from.log.all() {
        match heard {
            Heard::Delivered(number) => {
                fates[number as usize] += 1;
                delivered.push(number);
            }
            Heard::Unknown(number) => fates[number as usize] += 1,
            Heard::Dropped(number) => {
                fates[number as usize] += 1;
                assert!(!came.contains(&number), "{number} was not sent");
            }
            _ => {}
        }
    }
    assert!(fates[1..].iter().all(|fates| *fates == 1), "{fates:?}");
    let set: std::collections::BTreeSet<_> = came.iter().collect();
    assert_eq!(set.len(), came.len(), "nothing twice");
    assert!(delivered.iter().all(|number| set.contains(number)));
    for pair in 0..pairs {
        let of: Vec<_> = came.iter().filter(|it| **it % pairs == pair).collect();
        assert!(of.is_sorted(), "pair {pair}: {of:?}");
    }
}

fn fates(log: &Log) -> usize {
    log.count(|it| {
        matches!(
            it,
            Heard::Delivered(_) | Heard::Unknown(_) | Heard::Dropped(_)
        )
    })
}

/// Breaks all connections of one side, as a network does.
fn cut(peer: &Peer) {
    let session = peer.watch().borrow().id;
    peer.control_port(0).cut(session, "cut by the test");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r05_a_connection_that_breaks_under_traffic_loses_nothing_without_saying_so() {
    let (a, b, b_at_a, a_at_b) = pair().await;
    let (mut pushed, mut signals) = (0_u64, 0_u64);
    for round in 0..8 {
        // What is cut has to be the connection that both mean.
        let session = |peer: &Peer| (peer.watch().borrow().id, peer.is_connected());
        until("both agree", || session(&b_at_a) == session(&a_at_b)).await;
        let ups = a.log.ups();
        for _ in 0..300 {
            pushed += 1;
            let size = if pushed % 50 == 0 { 40_000 } else { 8 };
            b_at_a.push(0, sized(pushed % 4, pushed, size)).unwrap();
            if pushed % 10 == 0 {
                signals += 1;
                b_at_a.signal(watch(signals)).unwrap();
            }
        }
        // By turns the one and the other side, some of it under way.
        cut(if round % 2 == 0 { &b_at_a } else { &a_at_b });
        until("back again", || a.log.ups() > ups && b_at_a.is_connected()).await;
    }
    until("all fates", || fates(&a.log) as u64 == pushed).await;
    accounted(&a, &b, pushed, 4);
    let numbers = || -> Vec<_> {
        let number = |heard: &Heard| match heard {
            Heard::Signal(number) => Some(*number),
            _ => None,
        };
        b.log.all().iter().filter_map(number).collect()
    };
    until("all signals", || numbers().len() as u64 >= signals).await;
    assert_eq!(
        numbers(),
        (1..=signals).collect::<Vec<_>>(),
        "once, in order"
    );
    assert_eq!(a.log.count(|it| matches!(it, Heard::Lost(..))), 0);
    assert_eq!(b.peers.all().len(), 1, "the same life");
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r04_a_peer_that_restarts_is_another_one() {
    let (a, b, old, _) = pair().await;
    let port = b.addr.port();
    // It dies without a word.
    b.dies().await;
    until("the interruption", || !old.is_connected()).await;
    assert!(!old.is_lost(), "it may come back");
    old.push(0, tell(1, 1)).unwrap();
    old.signal(watch(1)).unwrap();
    let again = Party::with(config("b", 2), Security::insecure(), port);
    until("the new life", || {
        a.peers
            .get(&id("b"))
            .is_some_and(|peer| peer.incarnation() == Incarnation(2) && peer.is_connected())
    })
    .await;
    let lost = Heard::Lost(
        1,
        PeerLost::Restarted {
            incarnation: Incarnation(2),
        },
    );
    until("the end of the old one", || {
        a.log.count(|it| *it == lost) == 1
    })
    .await;
    until("its message's fate", || {
        a.log.count(|it| *it == Heard::Dropped(1)) == 1
    })
    .await;
    assert!(old.push(0, tell(1, 2)).is_err());
    // What was for the old life never reaches the new one: what follows comes without it.
    let new = a.peers.get(&id("b")).unwrap();
    new.push(0, tell(1, 3)).unwrap();
    new.signal(watch(2)).unwrap();
    until("the message", || !again.log.messages().is_empty()).await;
    until("the signal", || {
        again.log.count(|it| matches!(it, Heard::Signal(_))) > 0
    })
    .await;
    assert_eq!(again.log.messages(), [3]);
    assert_eq!(again.log.count(|it| *it == Heard::Signal(1)), 0);
    assert_eq!(a.log.count(|it| matches!(it, Heard::Lost(..))), 1, "once");
    let ((), ()) = tokio::join!(a.ends(), again.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r03_r12_of_two_with_one_name_the_later_life_stays_and_the_older_is_told() {
    let a = Party::start(config("a", 1));
    let (older, later) = (Party::start(config("b", 4)), Party::start(config("b", 5)));
    older.dial(&a);
    a.meets("b").await;
    later.dial(&a);
    until("the later one", || {
        a.peers
            .get(&id("b"))
            .is_some_and(|peer| peer.incarnation() == Incarnation(5))
    })
    .await;
    older.refuses("a later life (incarnation 5)").await;
    a.refuses("a later life (incarnation 5)").await;
    later.meets("a").await;
    tokio::join!(a.ends(), older.ends(), later.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r06_who_is_declared_dead_is_lost_once_and_stays_away() {
    let (a, b, b_at_a, _) = pair().await;
    b.log.keep.store(true, std::sync::atomic::Ordering::SeqCst);
    a.peers.declare_dead(&id("b"), Incarnation(1));
    a.peers.declare_dead(&id("b"), Incarnation(1));
    let lost = Heard::Lost(1, PeerLost::DeclaredDead);
    until("the end", || a.log.count(|it| *it == lost) == 1).await;
    assert!(a.peers.get(&id("b")).is_none());
    assert!(b_at_a.push(0, tell(1, 1)).is_err());
    assert!(b_at_a.signal(watch(1)).is_err());
    // It is dialled on, and refused each time, by both.
    a.refuses("was declared dead and stays so").await;
    b.dial(&a);
    b.refuses("refused by the peer: this incarnation was declared dead")
        .await;
    let again = Party::start(config("b", 2));
    again.dial(&a);
    until("a later life", || a.peers.get(&id("b")).is_some()).await;
    assert_eq!(a.log.count(|it| matches!(it, Heard::Lost(..))), 1);
    tokio::join!(a.ends(), b.ends(), again.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r06_signals_that_nobody_takes_end_the_life() {
    let mut impatient = config("a", 1);
    impatient.limits.signal_age = Duration::from_millis(50);
    let (a, b) = (Party::start(impatient), Party::start(config("b", 1)));
    a.dial(&b);
    let b_at_a = a.meets("b").await;
    b.dies().await;
    until("the interruption", || !b_at_a.is_connected()).await;
    b_at_a.signal(watch(1)).unwrap();
    until("the end", || b_at_a.is_lost()).await;
    let is_it = |it: &Heard| matches!(it, Heard::Lost(1, PeerLost::Undeliverable(_)));
    until("its notice", || a.log.count(is_it) == 1).await;
    a.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_sends_what_waits_and_is_for_good() {
    let (a, b, b_at_a, _) = pair().await;
    for number in 1..=500 {
        b_at_a.push(0, sized(1, number, 2000)).unwrap();
    }
    b_at_a.signal(watch(1)).unwrap();
    a.ends().await;
    until("the goodbye", || {
        b.log.count(|it| *it == Heard::Lost(1, PeerLost::Shutdown)) == 1
    })
    .await;
    let heard = b.log.all();
    assert_eq!(b.log.messages().len(), 500, "{heard:?}");
    assert!(heard.contains(&Heard::Signal(1)));
    b.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r02_a_handshake_that_takes_too_long_is_refused_and_tried_again() {
    let mut impatient = config("a", 1);
    impatient.limits.handshake_timeout = Duration::from_millis(30);
    let a = Party::start(impatient);
    // One that lets in and says nothing.
    let silent = Transport::start(settings(), Security::insecure(), &Handle::current()).unwrap();
    let mut listener = silent.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    a.peers.connect(listener.local_addr().into(), None);
    let mut came = Vec::new();
    for _ in 0..3 {
        came.push(patiently("a try", listener.accept()).await.unwrap());
    }
    a.refuses("took longer than the 30 ms").await;
    drop(came);
    a.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_disconnected_is_not_dialled_and_may_come_back() {
    let (a, b, b_at_a, a_at_b) = pair().await;
    a.peers.disconnect(&id("b"));
    until("the interruption", || {
        !b_at_a.is_connected() && !a_at_b.is_connected()
    })
    .await;
    assert!(a.peers.0.dials().is_empty());
    let ups = a.log.ups();
    b.dial(&a);
    until("back again", || a.log.ups() > ups).await;
    assert!(
        Arc::ptr_eq(&b_at_a, &a.peers.get(&id("b")).unwrap()),
        "the same life"
    );
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}
