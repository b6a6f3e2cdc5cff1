//! A look at one actor: exact when it answers, and honest when it does not.

mod common;

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{ActorPhase, InspectError};

const SOON: Duration = Duration::from_secs(120);

struct Parent;
impl Actor for Parent {}

struct Child;
impl Actor for Child {}

struct Bear;
impl Message for Bear {
    type Reply = ActorRef<Child>;
}
impl SyncHandler<Bear> for Parent {
    fn handle(&mut self, Bear: Bear, cx: &mut ActorContext<Self>) -> ActorRef<Child> {
        cx.actor(|| Child).name("child").spawn().expect("spawned")
    }
}

struct WaitFor(tokio::sync::oneshot::Receiver<()>);
impl Message for WaitFor {
    type Reply = ();
}
impl Handler<WaitFor> for Parent {
    async fn handle(&mut self, WaitFor(end): WaitFor, _cx: &mut ActorContext<Self>) {
        // Ended either way.
        let _ = end.await;
    }
}

struct Block(std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>);
impl Message for Block {
    type Reply = ();
}
impl SyncHandler<Block> for Child {
    fn handle(&mut self, Block(begun, end): Block, _cx: &mut ActorContext<Self>) {
        begun.send(()).unwrap();
        let _ = end.recv();
    }
}

#[test]
fn an_actor_is_seen_with_its_family_and_its_mailbox() {
    let system = common::system();
    let parent = system.actor(Parent).name("parent").spawn().unwrap();
    let child = parent.ask_blocking(Bear).unwrap();
    let (end, ended) = tokio::sync::oneshot::channel();
    parent.tell(WaitFor(ended)).unwrap();
    parent.tell(Bear).unwrap();

    let seen = loop {
        let seen = system.inspect_blocking(parent.id(), SOON).unwrap();
        if seen.handling.is_some() {
            break seen;
        }
    };
    assert_eq!(seen.actor, parent.id());
    assert!(seen.actor_type.ends_with("Parent"), "{seen:?}");
    assert_eq!(seen.name.as_deref(), Some("parent"));
    assert_eq!(seen.phase, ActorPhase::Running);
    assert_eq!((seen.parent, seen.queued), (None, 1));
    assert_eq!(seen.children, [child.id()]);
    assert!(seen.handling.unwrap().ends_with("WaitFor"), "{seen:?}");
    let below = system.block_on(system.inspect(child.id(), SOON)).unwrap();
    assert_eq!(below.parent, Some(parent.id()));
    assert_eq!(below.name.as_deref(), Some("child"));

    end.send(()).unwrap();
    let report = system.shutdown_blocking(SOON);
    assert!(report.conservation.holds_at_rest(), "{report}");
}

#[test]
fn who_is_gone_or_does_not_come_to_answer_is_told_apart() {
    let system = common::system();
    let busy = system.spawn(Child).unwrap();
    let (end, ended) = std::sync::mpsc::channel();
    let (begin, begun) = std::sync::mpsc::channel();
    busy.tell(Block(begin, ended)).unwrap();
    begun.recv().unwrap();
    let limit = Duration::from_millis(30);
    let gone = system.spawn(Parent).unwrap();
    gone.stop();
    while gone.is_alive() {
        std::thread::yield_now();
    }
    assert_eq!(
        system.inspect_blocking(gone.id(), SOON).unwrap_err(),
        InspectError::Gone { actor: gone.id() }
    );
    assert_eq!(
        system.inspect_blocking(busy.id(), limit).unwrap_err(),
        InspectError::Busy {
            actor: busy.id(),
            waited: limit
        }
    );
    drop(end);
    assert!(system.inspect_blocking(busy.id(), SOON).is_ok());
    let report = system.shutdown_blocking(SOON);
    assert!(report.conservation.holds_at_rest(), "{report}");
    assert!(matches!(
        system_gone(busy),
        InspectError::Gone { .. } | InspectError::Busy { .. }
    ));
}

/// Also after the system's end somebody answers, or the limit does.
fn system_gone(actor: ActorRef<Child>) -> InspectError {
    let other = common::system();
    other
        .inspect_blocking(actor.id(), Duration::from_millis(200))
        .unwrap_err()
}
