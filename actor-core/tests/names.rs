//! Names: one live holder, free before the end is told, found by type.

mod common;
#[path = "common/life.rs"]
mod life;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use actor_core::prelude::*;
use actor_core::{InvalidName, LookupError, NAME_BYTES_MAX, RegisterError, SpawnError, StopMode};
use common::*;
use life::*;

fn named(name: &str, system: &SystemRef) -> Result<ActorRef<Dot>, SpawnError> {
    system.actor(Dot).registered(name).spawn()
}

#[test]
fn a_name_finds_its_actor_by_type() {
    let (system, log) = (system(), Log::new());
    let dot = named("dot", &system).unwrap();
    assert_eq!(system.lookup::<Dot>("dot"), Ok(dot));
    assert!(matches!(
        system.lookup::<Node>("dot"),
        Err(LookupError::WrongType { holder, .. }) if holder == dot.id()
    ));
    assert!(matches!(
        system.lookup::<Dot>("nobody"),
        Err(LookupError::NotRegistered { .. })
    ));
    // From inside as well, and more than one for an actor.
    let node = Spec::new("n", &log).spawn(&system);
    node.ask_blocking(with(move |_, cx| {
        assert_eq!(cx.lookup::<Dot>("dot"), Ok(dot));
        cx.register("me", cx.actor_ref()).unwrap();
        cx.register("point", dot).unwrap();
        cx.register("point", dot)
            .expect("its own name already: nothing to do");
        let names: Vec<_> = cx
            .registered()
            .into_iter()
            .map(|each| each.name.to_string())
            .collect();
        assert_eq!(names, ["dot", "me", "point"]);
        assert_eq!(cx.unregister("point"), Some(dot.id()));
        assert_eq!(cx.unregister("point"), None);
    }))
    .unwrap();
    assert_eq!(system.lookup::<Node>("me"), Ok(node));
    finish(system);
}

#[test]
fn a_name_is_kept_over_restarts_and_known_in_started() {
    quiet();
    struct Knows(Log);
    impl Actor for Knows {
        async fn started(
            &mut self,
            cx: &mut ActorContext<Self>,
        ) -> Result<(), actor_core::ActorError> {
            assert_eq!(cx.lookup::<Self>("knows")?, cx.actor_ref());
            self.0.say("knew");
            Ok(())
        }
    }
    impl Message for Boom {
        type Reply = ();
    }
    struct Boom;
    impl SyncHandler<Boom> for Knows {
        fn handle(&mut self, _: Boom, _cx: &mut ActorContext<Self>) {
            boom()
        }
    }
    let (system, log) = (system(), Log::new());
    let knows = {
        let log = log.clone();
        system
            .actor(move || Knows(log.clone()))
            .registered("knows")
            .spawn()
            .unwrap()
    };
    knows.tell(Boom).unwrap();
    log.wait_count("knew", 2);
    assert_eq!(system.lookup::<Knows>("knows"), Ok(knows));
    finish(system);
}

#[test]
fn names_that_are_none_are_refused() {
    let system = system();
    let dot = system.spawn(Dot).unwrap();
    let too_long = "x".repeat(NAME_BYTES_MAX + 1);
    for (name, why) in [
        ("", InvalidName::Length { bytes: 0 }),
        (
            too_long.as_str(),
            InvalidName::Length {
                bytes: NAME_BYTES_MAX + 1,
            },
        ),
        (
            "a\nb",
            InvalidName::Control {
                at: 1,
                character: '\n',
            },
        ),
    ] {
        assert_eq!(named(name, &system), Err(SpawnError::Name(why.clone())));
        assert_eq!(
            system.register(name, dot),
            Err(RegisterError::Name(why.clone()))
        );
        let said = why.to_string();
        assert!(said.contains("255") || said.contains("\\n"), "{said}");
    }
    let longest = "x".repeat(NAME_BYTES_MAX);
    assert!(named(&longest, &system).is_ok());
    finish(system);
}

#[test]
fn the_dead_and_strangers_get_no_name() {
    let (ours, theirs) = (system(), system());
    let stranger = theirs.spawn(Dot).unwrap();
    assert_eq!(
        ours.register("s", stranger),
        Err(RegisterError::OtherSystem {
            actor: stranger.id()
        })
    );
    stranger.stop();
    wait_until("it is gone", || !stranger.is_alive());
    assert_eq!(
        theirs.register("s", stranger),
        Err(RegisterError::Dead {
            actor: stranger.id()
        })
    );
    finish(ours);
    finish(theirs);
}

#[test]
fn a_taken_name_starts_nothing() {
    quiet();
    let (system, log) = (system(), Log::new());
    let first = named("one", &system).unwrap();
    let spawned = system.stats().actors.spawned;
    let built = Arc::new(AtomicUsize::new(0));
    let count = built.clone();
    let second = system
        .actor(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Dot
        })
        .registered("one")
        .spawn();
    assert!(
        matches!(&second, Err(SpawnError::AlreadyRegistered { name, holder })
            if &**name == "one" && *holder == first.id()),
        "{second:?}"
    );
    assert_eq!(system.stats().actors.spawned, spawned);
    let node = Spec::new("n", &log).spawn(&system);
    node.ask_blocking(with(|_, cx| {
        assert!(cx.actor(Dot).registered("one").spawn().is_err());
        assert_eq!(cx.children(), 0);
    }))
    .unwrap();
    finish(system);
    assert_eq!(built.load(Ordering::SeqCst), 0, "no state was built");
}

/// The watcher takes the name in its `terminated` hook, every time.
#[test]
fn w06_a_name_is_free_when_the_end_is_told() {
    quiet();
    struct Heir {
        left: u32,
        log: Log,
    }
    impl Heir {
        fn next(&mut self, cx: &mut ActorContext<Self>) {
            let child = cx
                .actor(Dot)
                .registered("throne")
                .spawn()
                .expect("the name is free once the end is told");
            cx.watch(child);
            child.stop_with(
                [StopMode::Now, StopMode::Drain, StopMode::Kill][self.left as usize % 3],
            );
        }
    }
    impl Actor for Heir {
        async fn started(
            &mut self,
            cx: &mut ActorContext<Self>,
        ) -> Result<(), actor_core::ActorError> {
            self.next(cx);
            Ok(())
        }
        async fn terminated(&mut self, _: Terminated, cx: &mut ActorContext<Self>) {
            self.left -= 1;
            if self.left == 0 {
                self.log.say("done");
            } else {
                self.next(cx);
            }
        }
    }
    let (system, log) = (system(), Log::new());
    let heir = Heir {
        left: 3000,
        log: log.clone(),
    };
    system.spawn(heir).unwrap();
    log.wait("done");
    assert_eq!(system.registered(), []);
    finish(system);
}

#[test]
fn w06_messages_to_the_old_holder_never_reach_the_new_one() {
    quiet();
    let (system, log) = (system(), Log::new());
    for n in 0..200 {
        let old = Spec::new("old", &log).spawn(&system);
        system.register("n", old).unwrap();
        // Accepted by the old one, and left when it ends.
        let (go, held) = tokio::sync::oneshot::channel();
        old.tell(HoldThen(held, Box::new(|cx| cx.stop()))).unwrap();
        for _ in 0..3 {
            old.tell(Note(unique())).unwrap();
        }
        go.send(()).unwrap();
        old.gone();
        let new = Spec::new("new", &log).spawn(&system);
        system
            .register("n", new)
            .expect("free when it is known to be gone");
        assert!(matches!(
            old.tell(Note(unique())),
            Err(SendError::Dead { .. })
        ));
        let numbers = new
            .ask_blocking(with(|node, _| node.numbers.len()))
            .unwrap();
        assert_eq!(numbers, 0, "round {n}: it got another's messages");
        assert_eq!(system.lookup::<Node>("n"), Ok(new));
        new.stop();
        new.gone();
    }
    let books = finish(system);
    assert_eq!(books.dead_letters.actor_stopped, 600);
}

#[test]
fn w11_of_two_that_register_at_once_one_wins() {
    let system = system();
    let rounds = 10_000;
    let barrier = Arc::new(Barrier::new(2));
    let wins = Arc::new(AtomicUsize::new(0));
    let rivals: Vec<_> = (0..2)
        .map(|_| {
            let (system, barrier, wins) = (system.handle(), barrier.clone(), wins.clone());
            std::thread::spawn(move || {
                let me = system.spawn(Dot).unwrap();
                for _ in 0..rounds {
                    barrier.wait();
                    let won = match system.register("crown", me) {
                        Ok(()) => true,
                        Err(RegisterError::AlreadyRegistered { holder, .. }) => {
                            assert_ne!(holder, me.id(), "the loser is told of the winner");
                            assert_eq!(system.lookup::<Dot>("crown").unwrap().id(), holder);
                            false
                        }
                        Err(other) => panic!("{other}"),
                    };
                    wins.fetch_add(usize::from(won), Ordering::SeqCst);
                    barrier.wait();
                    if won {
                        assert_eq!(system.lookup::<Dot>("crown"), Ok(me));
                        assert_eq!(system.unregister("crown"), Some(me.id()));
                    }
                }
                barrier.wait();
            })
        })
        .collect();
    for rival in rivals {
        rival.join().unwrap();
    }
    assert_eq!(wins.load(Ordering::SeqCst), rounds, "one winner each time");
    finish(system);
}

/// Spawns under one name race each other and the holder's death: never two that live.
#[test]
fn w11_never_two_live_holders_when_the_holder_dies() {
    let system = system();
    let threads: Vec<_> = (0..3)
        .map(|n| {
            let system = system.handle();
            std::thread::spawn(move || {
                let mut won = 0;
                for round in 0..800 {
                    match named("seat", &system) {
                        Ok(mine) => {
                            won += 1;
                            assert!(mine.is_alive());
                            assert_eq!(system.lookup::<Dot>("seat"), Ok(mine), "it is alive");
                            mine.stop_with(if round % 2 == 0 {
                                StopMode::Now
                            } else {
                                StopMode::Kill
                            });
                            if n == 0 {
                                wait_until("it is gone", || !mine.is_alive());
                            }
                        }
                        Err(SpawnError::AlreadyRegistered { .. }) => std::thread::yield_now(),
                        Err(other) => panic!("{other}"),
                    }
                }
                won
            })
        })
        .collect();
    let won: usize = threads.into_iter().map(|each| each.join().unwrap()).sum();
    println!("{won} holders, one after the other");
    wait_until("all are gone", || system.stats().actors.alive() == 0);
    assert_eq!(system.registered(), []);
    assert_eq!(
        system.stats().actors.spawned,
        won as u64,
        "losers start nothing"
    );
    finish(system);
}

#[test]
fn w11_a_name_given_to_the_dying_is_not_left_behind() {
    let system = system();
    for n in 0..500 {
        let name = format!("n{n}");
        let dot = system.spawn(Dot).unwrap();
        let to_stop = std::thread::spawn(move || dot.stop());
        match system.register(&name, dot) {
            Ok(()) | Err(RegisterError::Dead { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        to_stop.join().unwrap();
        wait_until("it is gone", || !dot.is_alive());
        let heir = named(&name, &system).expect("free");
        heir.stop();
    }
    wait_until("all are gone", || system.stats().actors.alive() == 0);
    assert_eq!(system.registered(), []);
    finish(system);
}
