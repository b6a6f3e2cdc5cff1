//! R11: lanes that nobody uses are closed, and opened again by whoever needs them, without loss.

use super::*;
use crate::wire::message::Flush;

const IDLE: Duration = Duration::from_millis(20);

fn drowsy(name: &str) -> Config {
    let mut config = config(name, 1);
    config.limits.lane_idle = IDLE;
    config
}

/// Two whose lanes sleep soon; `a` dialled.
async fn drowsy_pair() -> (Party, Party, Arc<Peer>, Arc<Peer>) {
    let (a, b) = (Party::start(drowsy("a")), Party::start(drowsy("b")));
    a.dial(&b);
    let (b_at_a, a_at_b) = (a.meets("b").await, b.meets("a").await);
    (a, b, b_at_a, a_at_b)
}

async fn sleeps(peers: [&Arc<Peer>; 2]) {
    until("the lane is there", || {
        peers.iter().all(|peer| peer.lane_port(0).links() > 0)
    })
    .await;
    until("the lane is closed", || {
        peers.iter().all(|peer| !peer.lane_port(0).is_connected())
    })
    .await;
}

/// All that was sent has arrived, and the peers were together all the time.
fn without_loss(parties: [&Party; 2]) {
    for party in parties {
        let bad = |heard: &Heard| {
            matches!(
                heard,
                Heard::Unknown(_) | Heard::Dropped(_) | Heard::Interrupted(_) | Heard::Lost(..)
            )
        };
        assert_eq!(party.log.count(bad), 0, "{:?}", party.log.all());
        assert_eq!(party.log.ups(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_an_idle_lane_is_closed_and_whoever_needs_it_has_it_again() {
    let (a, b, b_at_a, a_at_b) = drowsy_pair().await;
    let session = b_at_a.watch().borrow().id;
    for round in 0..4 {
        sleeps([&b_at_a, &a_at_b]).await;
        let links = b_at_a.lane_port(0).links();
        // By turns the one that dialled, and the one that cannot.
        let (from, to) = if round % 2 == 0 {
            (&b_at_a, &b)
        } else {
            (&a_at_b, &a)
        };
        from.push(0, tell(1, round + 1)).unwrap();
        until("the word", || {
            to.log.messages().last() == Some(&(round + 1))
        })
        .await;
        assert!(b_at_a.lane_port(0).links() > links, "by another connection");
    }
    // Signals and the rest go by the control connection, which stays; a mark wakes its lane.
    sleeps([&b_at_a, &a_at_b]).await;
    a_at_b.signal(watch(5)).unwrap();
    until("the signal", || {
        a.log.count(|it| *it == Heard::Signal(5)) == 1
    })
    .await;
    let signal = a_at_b.signal(ended(3)).unwrap();
    let watcher = 0;
    a_at_b.flush(0, 3, Flush { watcher, signal });
    until("the end", || a.log.count(|it| *it == Heard::Ended(3)) == 1).await;
    assert_eq!(b_at_a.watch().borrow().id, session, "the same session");
    without_loss([&a, &b]);
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_what_is_sent_while_a_lane_is_being_closed_arrives_in_order() {
    let (a, b, b_at_a, a_at_b) = drowsy_pair().await;
    // With pauses about as long as a lane stays open, so that all of its closing is met with.
    let (mut random, mut said) = (7_u64, 0_u64);
    while said < 20 || b_at_a.lane_port(0).links() < 6 {
        said += 1;
        let bytes = if said.is_multiple_of(5) { 40_000 } else { 8 };
        b_at_a.push(0, sized(1, said, bytes)).unwrap();
        a_at_b.push(0, sized(1, said, bytes)).unwrap();
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let pause = 10_000 + (random >> 33) % 60_000;
        tokio::time::sleep(Duration::from_micros(pause)).await;
    }
    until("all of it", || {
        [&a, &b]
            .iter()
            .all(|it| it.log.messages().len() as u64 == said)
    })
    .await;
    for party in [&a, &b] {
        let mut came = party.log.messages();
        // What goes in pieces may be overtaken.
        let small: Vec<_> = came.iter().filter(|it| **it % 5 != 0).collect();
        assert!(small.is_sorted(), "{came:?}");
        came.sort_unstable();
        assert_eq!(came, (1..=said).collect::<Vec<_>>());
    }
    sleeps([&b_at_a, &a_at_b]).await;
    without_loss([&a, &b]);
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_what_waits_for_a_closed_lane_is_said_before_a_goodbye() {
    for dialler_ends in [true, false] {
        let (a, b, b_at_a, a_at_b) = drowsy_pair().await;
        sleeps([&b_at_a, &a_at_b]).await;
        let (from, ends, stays) = if dialler_ends {
            (&b_at_a, a, b)
        } else {
            (&a_at_b, b, a)
        };
        from.push(0, tell(1, 7)).unwrap();
        ends.ends().await;
        until("the word", || stays.log.messages() == [7]).await;
        stays.ends().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_a_lane_with_something_on_its_way_is_not_idle() {
    let (a, b, b_at_a, a_at_b) = drowsy_pair().await;
    // Taken, and not given back: the window has something in it.
    b.log.keep.store(true, std::sync::atomic::Ordering::SeqCst);
    b_at_a.push(0, tell(1, 1)).unwrap();
    until("the word", || b.log.messages() == [1]).await;
    let links = b_at_a.lane_port(0).links();
    for _ in 0..20 {
        tokio::time::sleep(IDLE / 4).await;
        assert!(!b_at_a.lane_port(0).lock().machine.is_at_rest());
    }
    assert_eq!(b_at_a.lane_port(0).links(), links);
    assert!(b_at_a.lane_port(0).is_connected());
    for (lane, charge) in std::mem::take(&mut *b.log.kept.lock().unwrap()) {
        a_at_b.release(lane, charge);
    }
    sleeps([&b_at_a, &a_at_b]).await;
    without_loss([&a, &b]);
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}
