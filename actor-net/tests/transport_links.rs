//! What a link promises once it is there: order, bounds, an end that is told once, and nothing left behind.

mod common;

use std::time::Duration;

use actor_net::transport::{
    DialFailure, Flow, Link, LinkEnd, LinkEvents, ListenError, Redial, Security, SendRefused,
    Transport, TransportSettings, Unsent,
};
use common::*;

/// Two links of one connection, with TLS or without.
async fn linked(security: Security, settings: TransportSettings) -> (Transport, End, End) {
    let (transport, _) = observed(settings, security);
    let mut listener = transport.listen(loopback()).unwrap();
    let (dialled, accepted) = connect(&transport, &mut listener).await;
    (transport, End::of(dialled), End::of(accepted))
}

fn both_kinds() -> [Security; 2] {
    [Security::insecure(), shared(DIGITS)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m01_frames_of_many_threads_arrive_whole_and_in_the_order_of_each() {
    const THREADS: u32 = 4;
    const FRAMES: u32 = 2000;
    for security in both_kinds() {
        let (transport, near, mut far) = linked(security, patient()).await;
        let link = near.link.clone();
        let senders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let link = link.clone();
                std::thread::spawn(move || {
                    for n in 0..FRAMES {
                        let frame = [thread.to_le_bytes(), n.to_le_bytes()].concat();
                        link.queue(&frame).unwrap();
                        // All ways to have it sent, mixed.
                        match n % 3 {
                            0 => link.flush(),
                            1 => link.kick(),
                            _ => {}
                        }
                    }
                    link.kick();
                })
            })
            .collect();
        let bytes = far.bytes((THREADS * FRAMES * 8) as usize).await;
        for sender in senders {
            sender.join().unwrap();
        }
        let mut next = [0; THREADS as usize];
        for frame in bytes.chunks_exact(8) {
            let word = |at: usize| u32::from_le_bytes(frame[at..at + 4].try_into().unwrap());
            let expected = &mut next[word(0) as usize];
            assert_eq!(word(4), *expected);
            *expected += 1;
        }
        let stats = near.link.stats();
        assert_eq!(stats.frames_queued, u64::from(THREADS * FRAMES));
        assert!(stats.writes <= stats.frames_queued, "{stats:?}");
        at_rest(&[&transport]).await;
        assert_eq!(near.link.stats().frames_sent, u64::from(THREADS * FRAMES));
        assert_eq!(near.link.stats().bytes_queued, 0);
    }
}

#[tokio::test]
async fn what_is_queued_goes_out_in_one_write() {
    for security in both_kinds() {
        let (transport, near, mut far) = linked(security, patient()).await;
        // Whether a new socket can be written to is found out by the reactor.
        near.link.send(b"first").unwrap();
        far.bytes(5).await;
        let before = near.link.stats();
        assert_eq!((before.writes, before.writes_by_senders), (1, 0));
        for _ in 0..100 {
            near.link.queue(&[7; 64]).unwrap();
        }
        assert_eq!(near.link.stats().writes, 1);
        near.link.flush();
        let stats = near.link.stats();
        assert_eq!(
            (stats.writes, stats.writes_by_senders, stats.frames_sent),
            (2, 1, 101)
        );
        far.bytes(6400).await;
        at_rest(&[&transport]).await;
    }
}

#[tokio::test]
async fn r10_a_slow_reader_bounds_its_sender_and_room_comes_back() {
    for security in both_kinds() {
        let settings = patient()
            .queue_bytes_max(256 << 10)
            .user_timeout(Duration::from_secs(600));
        let (transport, near, mut far) = linked(security, settings).await;
        near.link.send(b"pause").unwrap();
        far.bytes(5).await;
        // The kernel takes some megabytes, then the queue fills, then sends are refused.
        let frame = vec![1; 60 << 10];
        let mut sent = 0;
        let refused = loop {
            match near.link.send(&frame) {
                Ok(()) => sent += 1,
                Err(refused) => break refused,
            }
            tokio::task::yield_now().await;
            assert!(sent < 10_000, "nothing bounds it");
        };
        assert!(matches!(refused, SendRefused::Full { .. }), "{refused}");
        assert!(near.link.stats().bytes_queued <= 256 << 10);
        let large = vec![0; 300 << 10];
        assert!(matches!(
            near.link.send(&large),
            Err(SendRefused::TooLarge { .. })
        ));
        // One waits for room; the reader goes on; it gets in, behind the others.
        let (link, last) = (near.link.clone(), frame.clone());
        let waiting = tokio::spawn(async move { link.send_when_room(&last).await });
        far.link.resume();
        patiently("room", waiting).await.unwrap().unwrap();
        far.bytes((sent + 1) * frame.len()).await;
        assert_eq!(far.link.stats().pauses, 1);
        at_rest(&[&transport]).await;
    }
}

#[tokio::test]
async fn closing_sends_what_is_queued_and_aborting_does_not() {
    for security in both_kinds() {
        let (transport, mut near, mut far) = linked(security.clone(), patient()).await;
        let all = vec![5; 3 << 20];
        for part in all.chunks(64 << 10) {
            near.link.queue(part).unwrap();
        }
        near.link.close();
        assert_eq!(near.link.send(b"late"), Err(SendRefused::Closed));
        let (bytes, end, _) = far.end().await;
        assert_eq!((bytes.len(), end), (all.len(), LinkEnd::ClosedByPeer));
        assert_eq!(near.end().await.1, LinkEnd::ClosedHere);
        assert_eq!(near.link.stats().frames_sent, 48);
        at_rest(&[&transport]).await;

        let (transport, mut near, mut far) = linked(security, patient()).await;
        near.link.queue(b"never").unwrap();
        near.link.abort("enough");
        let (_, end, unsent) = near.end().await;
        assert_eq!(end, LinkEnd::Aborted("enough".into()));
        assert_eq!(unsent.frames, 1);
        let (bytes, end, _) = far.end().await;
        assert!(bytes.is_empty());
        assert!(
            matches!(end, LinkEnd::Io { .. } | LinkEnd::Truncated),
            "{end}"
        );
        assert_eq!(near.link.queue(b"late"), Err(SendRefused::Closed));
        at_rest(&[&transport]).await;
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_cannot_hold_up_a_close() {
    let settings = patient()
        .close_within(Duration::from_millis(50))
        .user_timeout(Duration::from_secs(600))
        .queue_bytes_max(64 << 20);
    let (transport, mut near, mut far) = linked(Security::insecure(), settings).await;
    near.link.send(b"pause").unwrap();
    far.bytes(5).await;
    // More than any kernel takes.
    for _ in 0..48 {
        near.link.queue(&vec![0; 1 << 20]).unwrap();
    }
    near.link.close();
    let (_, end, unsent) = near.end().await;
    assert!(matches!(end, LinkEnd::CloseTimedOut { .. }), "{end}");
    assert!(unsent.frames > 0);
    far.link.abort("it was the test");
    at_rest(&[&transport]).await;
}

#[tokio::test]
async fn what_the_code_above_does_ends_its_link_and_no_other() {
    let (transport, _) = observed(patient(), shared(DIGITS));
    let mut listener = transport.listen(loopback()).unwrap();
    let mut pairs = Vec::new();
    for _ in 0..3 {
        let (dialled, accepted) = connect(&transport, &mut listener).await;
        pairs.push((End::of(dialled), End::of(accepted)));
    }
    let [(a, far_a), (b, far_b), (c, far_c)] = &mut pairs[..] else {
        unreachable!()
    };
    a.link.send(b"bad").unwrap();
    assert_eq!(far_a.end().await.1, LinkEnd::Refused("it said bad".into()));
    b.link.send(b"panic").unwrap();
    assert_eq!(far_b.end().await.1, LinkEnd::Panicked);
    a.end().await;
    b.end().await;
    c.link.send(b"well").unwrap();
    assert_eq!(far_c.bytes(4).await, b"well");
    assert_eq!(transport.stats().links, 2);
    at_rest(&[&transport]).await;
}

#[tokio::test]
async fn the_shut_down_ends_everything_and_says_so() {
    let (transport, mut near, mut far) = linked(shared(DIGITS), patient()).await;
    let unstarted = {
        let mut listener = transport.listen(loopback()).unwrap();
        connect(&transport, &mut listener).await
    };
    near.link.queue(b"queued").unwrap();
    assert!(
        patiently("the end", transport.shutdown(PATIENCE)).await,
        "nothing was cut off"
    );
    drop(unstarted);
    assert_eq!(near.end().await.1, LinkEnd::ClosedHere);
    let (bytes, _, _) = far.end().await;
    assert_eq!(bytes, b"queued");
    assert!(matches!(
        transport.listen(loopback()),
        Err(ListenError::ShutDown)
    ));
    let dialled = transport
        .dial(&"127.0.0.1:9".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(dialled.failure(), &DialFailure::ShutDown);
    at_rest(&[&transport]).await;
}

#[test]
fn the_end_is_told_when_the_runtime_goes_away() {
    struct Last(std::sync::mpsc::Sender<LinkEnd>);
    impl LinkEvents for Last {
        fn received(&mut self, _: &[u8]) -> Flow {
            Flow::Continue
        }
        fn closed(&mut self, end: &LinkEnd, _: Unsent) {
            self.0.send(end.clone()).unwrap();
        }
    }
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let (said, heard) = std::sync::mpsc::channel();
    // Accepted on one runtime, it lives on another, as links do that serve another NUMA node.
    let (transport, link, _far) = first.block_on(async {
        let (transport, _) = observed(patient(), shared(DIGITS));
        let mut listener = transport.listen(loopback()).unwrap();
        let (dialled, accepted) = connect(&transport, &mut listener).await;
        let mut far = End::echo(accepted);
        let link = dialled.start(second.handle(), |_| Last(said)).unwrap();
        link.send(b"over there").unwrap();
        until("the echo", || link.stats().bytes_received == 10).await;
        far.bytes(10).await;
        (transport, link, far)
    });
    second.shutdown_timeout(PATIENCE);
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), LinkEnd::RuntimeGone);
    assert_eq!(link.send(b"?"), Err(SendRefused::Closed));
    first.block_on(at_rest(&[&transport]));
}

#[tokio::test]
async fn addresses_that_do_not_work_say_why_and_what_to_do() {
    let transport = transport(shared(DIGITS));
    let listener = transport.listen(loopback()).unwrap();
    let taken = listener.local_addr();
    let error = transport.listen(taken).unwrap_err();
    assert!(matches!(error, ListenError::PortInUse { .. }), "{error}");
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
    let error = transport
        .listen("192.0.2.1:4710".parse().unwrap())
        .unwrap_err();
    assert!(matches!(error, ListenError::NotOurs { .. }), "{error}");

    drop(listener);
    until("the port to close", || transport.stats().tasks == 0).await;
    let error = transport.dial(&taken.into()).await.unwrap_err();
    assert_eq!(error.failure(), &DialFailure::ConnectionRefused);
    assert!(error.to_string().starts_with(&taken.to_string()), "{error}");
    // Where no resolver answers, that is the reason.
    let (hasty, _) = observed(
        patient().connect_within(Duration::from_secs(1)),
        shared(DIGITS),
    );
    let error = hasty
        .dial(&"no-such-host.invalid:1".parse().unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(error.failure(), DialFailure::NotResolvable { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("no-such-host.invalid:1"),
        "{error}"
    );
    at_rest(&[&transport, &hasty]).await;
}

#[tokio::test]
async fn a_name_with_several_addresses_is_tried_until_one_works() {
    // localhost is 127.0.0.1, and on many machines ::1 first, where nothing listens.
    let transport = transport(shared(DIGITS));
    let mut listener = transport.listen(loopback()).unwrap();
    let port = listener.local_addr().port();
    let endpoint = format!("localhost:{port}").parse().unwrap();
    let (dialled, accepted) = tokio::join!(transport.dial(&endpoint), listener.accept());
    drop((dialled.unwrap(), accepted));
    at_rest(&[&transport]).await;
}

#[tokio::test]
async fn dialling_goes_on_until_the_peer_is_there() {
    let here = transport(shared(DIGITS));
    let there = transport(shared(DIGITS));
    let free = there.listen(loopback()).unwrap();
    let addr = free.local_addr();
    drop(free);
    until("the port to close", || there.stats().tasks == 0).await;
    let pauses = actor_core::Backoff::new(Duration::from_millis(1), Duration::from_millis(5));
    let mut redial = Redial::with_backoff(here.clone(), addr.into(), pauses);
    let mut failures = 0;
    let mut listener = None;
    let established = patiently(
        "a connection",
        redial.connect(|error, _| {
            assert_eq!(error.failure(), &DialFailure::ConnectionRefused);
            failures += 1;
            if failures == 3 {
                listener = Some(there.listen(addr).unwrap());
            }
        }),
    )
    .await;
    assert_eq!(failures, 3);
    assert!(here.stats().dials_failed == 3 && here.stats().dialled == 1);
    drop((established, listener));
    at_rest(&[&here, &there]).await;
}

#[tokio::test]
async fn links_of_one_peer_are_limited_and_both_sides_hear_it() {
    let dir = Dir::new("quota");
    let (a, b) = pinned_pair(&dir);
    let few = patient().links_per_peer(2);
    let (here, (there, watcher)) = (transport(a), observed(few, b));
    let mut listener = there.listen(loopback()).unwrap();
    let first = connect(&here, &mut listener).await;
    let _second = connect(&here, &mut listener).await;
    let failure = handshake_failure(here.dial(&listener.local_addr().into()).await);
    assert!(failure.to_string().contains("links_per_peer"), "{failure}");
    watcher.refusal().await;
    drop(first);
    let _third = connect(&here, &mut listener).await;
    assert_eq!(there.stats().links, 2);
    drop((_second, _third));
    at_rest(&[&here, &there]).await;
}
