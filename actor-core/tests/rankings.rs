//! Which actors stand out: by messages, by restarts, and by asking each other in a circle.

mod common;

use actor_core::prelude::*;
use actor_core::topology::Workers;
use common::{finish, settle, wait_until};

struct Worker;
impl Actor for Worker {}

/// Handled, or not.
struct Work(bool);
impl Message for Work {
    type Reply = ();
}
impl SyncHandler<Work> for Worker {
    fn handle(&mut self, Work(well): Work, _cx: &mut ActorContext<Self>) {
        assert!(well, "on purpose");
    }
}

/// Asks another one, which asks back.
struct Ring(Option<ActorRef<Self>>);
impl Actor for Ring {}
struct Join(ActorRef<Ring>);
impl Message for Join {
    type Reply = ();
}
impl SyncHandler<Join> for Ring {
    fn handle(&mut self, Join(next): Join, _cx: &mut ActorContext<Self>) {
        self.0 = Some(next);
    }
}
struct Pass;
impl Message for Pass {
    type Reply = bool;
}
impl Handler<Pass> for Ring {
    async fn handle(&mut self, _: Pass, _cx: &mut ActorContext<Self>) -> bool {
        let next = self.0.expect("joined");
        matches!(
            next.ask(Pass).await,
            Ok(true) | Err(AskError::Deadlock { .. })
        )
    }
}

fn system() -> ActorSystem {
    let one = ActorSystem::builder().workers(Workers::Count(1));
    one.build().expect("a system starts")
}

#[test]
fn the_busiest_actor_comes_first() {
    let system = system();
    let (busy, idle) = (
        system.spawn(Worker).expect("spawned"),
        system.spawn(Worker).expect("spawned"),
    );
    idle.ask_blocking(Work(true)).expect("answered");
    // Every so many messages one is measured, whoever sends them; so it shows in the end.
    let mut first = None;
    wait_until("the busiest shows", || {
        for _ in 0..200 {
            busy.ask_blocking(Work(true)).expect("answered");
        }
        first = system.busiest(1).first().copied();
        first.is_some_and(|first| first.actor == busy.id())
    });
    let first = first.expect("waited for");
    assert!(
        first.per_second > 0.0 && first.actor_type.ends_with("Worker"),
        "{first:?}"
    );
    busy.stop();
    wait_until("it has stopped", || !busy.is_alive());
    assert!(system.busiest(10).iter().all(|it| it.actor != busy.id()));
    finish(system);
}

#[test]
fn restarts_are_told_by_actor() {
    let system = system();
    let spawn = || {
        let worker = system.actor(|| Worker).restart(Restart::Permanent);
        worker.spawn().expect("spawned")
    };
    let (often, once, never) = (spawn(), spawn(), spawn());
    for (actor, times) in [(often, 2), (once, 1)] {
        for _ in 0..times {
            assert!(actor.ask_blocking(Work(false)).is_err());
            // Answered by the next life.
            actor.ask_blocking(Work(true)).expect("answered");
        }
    }
    let told = system.most_restarted(10);
    let told: Vec<_> = told.iter().map(|it| (it.actor, it.restarts)).collect();
    assert_eq!(told, [(often.id(), 2), (once.id(), 1)]);
    assert_eq!(system.most_restarted(1).len(), 1);
    assert!(never.is_alive());
    assert_eq!(system.stats().actors.restarts, 3);
    finish(system);
}

#[test]
fn m13_a_circle_of_asks_is_remembered_with_its_actors() {
    let system = system();
    let ring: Vec<_> = (0..3)
        .map(|_| system.spawn(Ring(None)).expect("spawned"))
        .collect();
    for at in 0..3 {
        ring[at]
            .ask_blocking(Join(ring[(at + 1) % 3]))
            .expect("joined");
    }
    assert!(system.ask_circles(10).latest.is_empty());
    assert!(ring[0].ask_blocking(Pass).expect("answered"));
    let circles = system.ask_circles(10);
    let [circle] = &circles.latest[..] else {
        panic!("{circles:?}")
    };
    // The one that would have closed it comes first.
    let ids: Vec<_> = ring.iter().map(|actor| actor.id()).collect();
    assert_eq!(circle.actors, [ids[2], ids[0], ids[1]]);
    assert!(circle.message.ends_with("Pass"), "{circle}");
    assert_eq!(system.stats().asks.deadlock, 1);
    settle(&system);
    finish(system);
}
