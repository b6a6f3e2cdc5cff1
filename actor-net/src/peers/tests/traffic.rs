//! What goes over the connections: messages, signals, datagrams, and room.

use super::*;
use crate::datagram::Channel;
use crate::peers::PushError;
use crate::wire::control::DatagramError;
use crate::wire::message::Flush;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_and_datagrams_arrive_and_a_marked_end_after_the_last_message() {
    let (a, b, b_at_a, _) = pair().await;
    b_at_a.signal(watch(5)).unwrap();
    b_at_a.datagram(Channel::Registry, b"gossip").unwrap();
    // 2 MiB in pieces, and behind it the end of who sent it.
    b_at_a.push(0, sized(3, 77, 2 << 20)).unwrap();
    let number = b_at_a.signal(ended(3)).unwrap();
    let mark = Flush {
        watcher: 0,
        signal: number,
    };
    b_at_a.flush(0, 3, mark);
    until("the end", || b.log.count(|it| *it == Heard::Ended(3)) == 1).await;
    let heard = b.log.all();
    let at = |what: Heard| heard.iter().position(|it| *it == what).unwrap();
    assert!(at(Heard::Message(77)) < at(Heard::Ended(3)), "{heard:?}");
    assert!(heard.contains(&Heard::Signal(5)));
    until("the datagram", || {
        let datagram = Heard::Datagram(Channel::Registry as u8, b"gossip".to_vec());
        b.log.count(|it| *it == datagram) == 1
    })
    .await;
    let long = b_at_a.datagram(Channel::Consensus, &vec![0; 1 << 20]);
    assert!(
        matches!(long, Err(DatagramError::TooLong { .. })),
        "{long:?}"
    );
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r08_a_message_over_the_limit_comes_back_and_the_link_stays() {
    let (a, b, b_at_a, _) = pair().await;
    let refused = b_at_a.push(0, sized(1, 1, 17 << 20));
    let Err(PushError::TooLarge { message, max, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((message.token, max), (1, 16 << 20));
    b_at_a.push(0, tell(1, 2)).unwrap();
    until("the next", || b.log.messages() == [2]).await;
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_a_peer_that_takes_nothing_holds_up_its_senders_and_signals_flow() {
    let (a, b, b_at_a, a_at_b) = pair().await;
    b.log.keep.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut pushed = 0_u64;
    loop {
        match b_at_a.push(0, tell(1, pushed + 1)) {
            Ok(()) => pushed += 1,
            Err(PushError::Full(_)) => {
                // Full, and nothing on its way: the window is closed.
                if b.log.messages().len() >= 8192 {
                    break;
                }
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    let mut room = std::pin::pin!(std::future::poll_fn(|cx| b_at_a.poll_room(0, 9, cx)));
    let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(room.as_mut().poll(cx))).await;
    assert!(waits.is_pending());
    b_at_a.signal(watch(1)).unwrap();
    until("the signal", || {
        b.log.count(|it| *it == Heard::Signal(1)) == 1
    })
    .await;
    assert_eq!(b.log.messages().len(), 8192, "the window");
    b.log.keep.store(false, std::sync::atomic::Ordering::SeqCst);
    for (lane, charge) in std::mem::take(&mut *b.log.kept.lock().unwrap()) {
        a_at_b.release(lane, charge);
    }
    patiently("room", room).await;
    until("the rest", || b.log.messages().len() as u64 == pushed).await;
    assert!(b.log.messages().is_sorted());
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_are_as_many_as_the_larger_machine_has_numa_nodes() {
    let mut large = config("b", 1);
    large.numa_nodes = vec![0, 1, 4];
    large.runtimes = vec![Handle::current(), Handle::current()];
    let (a, b) = (Party::start(config("a", 1)), Party::start(large));
    a.dial(&b);
    let (b_at_a, a_at_b) = (a.meets("b").await, b.meets("a").await);
    assert_eq!((b_at_a.lanes(), a_at_b.lanes()), (3, 3));
    for lane in 0..3 {
        b_at_a.push(lane, tell(1, 10 + lane as u64)).unwrap();
        a_at_b.push(lane, tell(1, 20 + lane as u64)).unwrap();
    }
    until("a word on each", || {
        b.log.messages().len() == 3 && a.log.messages().len() == 3
    })
    .await;
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}
