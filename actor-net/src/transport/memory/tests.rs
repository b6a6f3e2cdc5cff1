//! The pretended network keeps what a link promises.

use std::sync::{Arc, Mutex};

use super::{Pipe, Side, pipe};
use crate::transport::{Flow, Link, LinkEnd, LinkEvents, SendRefused, Unsent};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Heard>>);

/// Bytes, and the end.
type Heard = (Vec<u8>, Option<(LinkEnd, Unsent)>);

impl LinkEvents for Log {
    fn received(&mut self, bytes: &[u8]) -> Flow {
        let mut log = self.0.lock().unwrap();
        log.0.extend(bytes);
        match bytes {
            b"pause" => Flow::Pause,
            b"bad" => Flow::Abort("bad".into()),
            b"panic" => {
                drop(log);
                panic!("planted");
            }
            _ => Flow::Continue,
        }
    }

    fn closed(&mut self, end: &LinkEnd, unsent: Unsent) {
        let last = self.0.lock().unwrap().1.replace((end.clone(), unsent));
        assert_eq!(last, None, "the end comes once");
    }
}

impl Log {
    fn attach(pipe: &mut Pipe, side: Side) -> Self {
        let log = Self::default();
        pipe.attach(side, log.clone());
        log
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().0.clone()
    }

    fn end(&self) -> Option<LinkEnd> {
        self.0.lock().unwrap().1.clone().map(|(end, _)| end)
    }
}

#[test]
fn bytes_arrive_in_order_in_the_portions_that_are_told_and_the_goodbye_last() {
    let (left, right, mut pipe) = pipe(100);
    let (here, there) = (
        Log::attach(&mut pipe, Side::Left),
        Log::attach(&mut pipe, Side::Right),
    );
    left.queue(b"abc").unwrap();
    assert_eq!(pipe.deliver(Side::Right, 10), 0, "not flushed");
    left.send(b"def").unwrap();
    assert_eq!(pipe.deliver(Side::Right, 4), 4);
    assert_eq!(left.stats().frames_sent, 1);
    left.close();
    assert_eq!(left.send(b"g"), Err(SendRefused::Closed));
    assert_eq!(there.end(), None);
    assert_eq!(pipe.deliver(Side::Right, 4), 2);
    assert_eq!(there.bytes(), b"abcdef");
    assert_eq!(there.end(), Some(LinkEnd::ClosedByPeer));
    assert_eq!(here.end(), Some(LinkEnd::ClosedHere));
    assert_eq!(right.send(b"x"), Err(SendRefused::Closed));
}

#[test]
fn pauses_refusals_panics_and_cuts() {
    let (left, right, mut pipe) = pipe(100);
    let there = Log::attach(&mut pipe, Side::Right);
    let here = Log::attach(&mut pipe, Side::Left);
    left.send(b"pause").unwrap();
    pipe.deliver(Side::Right, 100);
    left.send(b"panic").unwrap();
    assert_eq!(pipe.deliver(Side::Right, 100), 0);
    right.send(b"unsent").unwrap();
    right.resume();
    pipe.deliver(Side::Right, 100);
    assert_eq!(there.end(), Some(LinkEnd::Panicked));
    pipe.deliver(Side::Left, 100);
    assert!(matches!(here.end(), Some(LinkEnd::Io { .. })));
    let unsent = there.0.lock().unwrap().1.clone().unwrap().1;
    assert_eq!((unsent.frames, unsent.bytes), (1, 6));

    let (left, _right, mut pipe) = super::pipe(100);
    let there = Log::attach(&mut pipe, Side::Right);
    left.send(b"bad").unwrap();
    pipe.deliver(Side::Right, 100);
    assert_eq!(there.end(), Some(LinkEnd::Refused("bad".into())));

    let (left, _right, mut pipe) = super::pipe(100);
    let here = Log::attach(&mut pipe, Side::Left);
    left.send(b"lost").unwrap();
    pipe.cut(Side::Left);
    assert!(matches!(here.end(), Some(LinkEnd::Io { .. })));
    assert!(pipe.has_ended(Side::Left) && !pipe.has_ended(Side::Right));
}

#[tokio::test(start_paused = true)]
async fn room_comes_with_delivery() {
    let (left, _right, mut pipe) = pipe(10);
    Log::attach(&mut pipe, Side::Right);
    left.send(&[0; 8]).unwrap();
    assert!(matches!(left.send(&[0; 8]), Err(SendRefused::Full { .. })));
    assert!(matches!(
        left.send(&[0; 11]),
        Err(SendRefused::TooLarge { .. })
    ));
    let waiter = left.clone();
    let waiting = tokio::spawn(async move { waiter.room(8).await });
    tokio::task::yield_now().await;
    pipe.deliver(Side::Right, 100);
    assert_eq!(waiting.await.unwrap(), Ok(()));
}
