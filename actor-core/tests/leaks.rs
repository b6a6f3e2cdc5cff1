//! Leaks of each kind, planted: the report names them, with evidence, and nothing else.

mod common;
#[path = "common/life.rs"]
mod life;

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{ActorId, LeakOptions, LeakReport};
use common::*;
use life::*;

/// Everything that is idle at all is idle for long enough.
fn at_once() -> LeakOptions {
    LeakOptions::new()
        .idle_for(Duration::ZERO)
        .asks_for(Duration::ZERO)
        .looks(1000, PATIENCE)
}

/// A type of its own for each plant.
macro_rules! plants {
    ($($name:ident)*) => { $(
        struct $name;
        impl Actor for $name {}
        impl SyncHandler<Echo> for $name {
            fn handle(&mut self, Echo(n): Echo, _cx: &mut ActorContext<Self>) -> u64 {
                n
            }
        }
    )* };
}

plants!(Forgotten Named Held Watched Awaited Steady);

#[track_caller]
fn idle_of<'a>(report: &'a LeakReport, name: &str) -> Option<&'a actor_core::IdleActors> {
    report
        .idle
        .iter()
        .find(|idle| idle.actor_type.ends_with(name))
}

/// Waits until every actor has had its first turn and nothing moves.
fn rest(system: &ActorSystem, actors: u64) {
    settle(system);
    wait_until("all are idle", || {
        let report = system.leak_report_with(&at_once().looks(0, Duration::ZERO));
        // Suspects that are idle plus those that are not would be asked.
        report.actors == actors
    });
}

#[test]
fn actors_that_nobody_needs_are_named() {
    quiet();
    let (system, log) = (system(), Log::new());
    for _ in 0..50 {
        system.spawn(Forgotten).unwrap();
    }
    system.actor(Named).registered("named").spawn().unwrap();
    let late = system.spawn(Named).unwrap();
    system.register("late", late).unwrap();
    let held = system.spawn(Held).unwrap().into_owned();
    let watched = system.spawn(Watched).unwrap();
    let awaited = system.spawn(Awaited).unwrap();
    let mut end = Box::pin(awaited.terminated());
    assert_eq!(system.block_on(poll_once(end.as_mut())), None);
    // Watches, and so it waits for something itself; linked with its child, which has it for a parent.
    let node = Spec::new("n", &log).spawn(&system);
    let child = node
        .ask_blocking(with(move |_, cx| {
            cx.watch(watched);
            let child = cx.spawn(Steady).unwrap();
            cx.link(child);
            child
        }))
        .unwrap();
    child.ask_blocking(Echo(1)).unwrap();
    // Will send itself a message some day.
    let sleeper = Spec::new("sleeper", &log).spawn(&system);
    sleeper
        .ask_blocking(with(|_, cx| {
            cx.send_after(Duration::from_secs(3600), Note(1));
        }))
        .unwrap();
    settle(&system);
    // Not at once, nor ever again at once: who was asked by one report may still be in that turn for the next.
    let all_rest = |report: &LeakReport| {
        idle_of(report, "Forgotten").is_some_and(|idle| idle.idle == 50 && report.asks.is_empty())
    };
    let mut report = system.leak_report_with(&at_once());
    wait_until("all have come to rest", || {
        report = system.leak_report_with(&at_once());
        all_rest(&report)
    });
    println!("{report}");
    assert_eq!(report.idle.len(), 1, "{report}");
    let idle = idle_of(&report, "Forgotten").unwrap();
    assert_eq!((idle.alive, idle.idle, idle.parent), (50, 50, None));
    assert_eq!((idle.asked, idle.unneeded), (32, 32), "a sample is asked");
    assert!(report.unanswered.is_empty() && report.growing.is_empty() && report.watches.is_empty());
    assert!(!report.is_clean());
    // A look is no reason to look busy.
    wait_until("all rest again", || {
        all_rest(&system.leak_report_with(&at_once()))
    });

    // What is let go of is named next time.
    _ = held.release();
    system.unregister("late");
    drop(end);
    wait_until("they are named", || {
        let report = system.leak_report_with(&at_once());
        idle_of(&report, "Held").is_some()
            && idle_of(&report, "Named").is_some_and(|idle| idle.unneeded == 1 && idle.alive == 2)
    });
    finish(system);
}

#[test]
fn whoever_handles_something_is_young_again() {
    let system = system();
    let busy = system.spawn(Steady).unwrap();
    let idle = system.spawn(Forgotten).unwrap();
    busy.ask_blocking(Echo(1)).unwrap();
    idle.ask_blocking(Echo(1)).unwrap();
    settle(&system);
    // The second walk has seen that nothing was handled after the first.
    system.sample_leaks();
    let idle_for = Duration::from_millis(200);
    std::thread::sleep(idle_for * 2);
    let began = std::time::Instant::now();
    let report = loop {
        let asked = std::time::Instant::now();
        busy.ask_blocking(Echo(2)).unwrap();
        settle(&system);
        let report = system.leak_report_with(&at_once().idle_for(idle_for));
        // Otherwise it has been idle for that long since, and the report is right to say so.
        if asked.elapsed() < idle_for {
            break report;
        }
        assert!(began.elapsed() < PATIENCE, "this machine is too slow");
    };
    assert!(idle_of(&report, "Forgotten").is_some(), "{report}");
    assert!(idle_of(&report, "Steady").is_none(), "{report}");
    assert!(report.observed_for >= idle_for * 2);
    // By the defaults nobody is idle yet, and the report says that it cannot know.
    let report = system.leak_report();
    assert!(report.is_clean(), "{report}");
    assert!(report.to_string().contains("too young"), "{report}");
    assert!(idle.is_alive());
    finish(system);
}

#[test]
fn handlers_that_nobody_waits_for_are_named() {
    quiet();
    let (system, log) = (system(), Log::new());
    let hangs = Spec::new("hangs", &log).spawn(&system);
    let token = CancelToken::new();
    let asks = system.tokio().spawn(std::future::IntoFuture::into_future(
        hangs.ask(Sleep(None)).cancel(&token),
    ));
    log.wait("hangs sleeps");
    // Somebody waits for it: no finding.
    let report = system.leak_report_with(&at_once());
    assert!(report.asks.is_empty(), "{report}");
    token.cancel();
    let answer = system.block_on(within(asks)).unwrap();
    assert!(matches!(answer, Err(AskError::Cancelled { .. })));
    hangs.tell(Note(1)).unwrap();

    // It says that it sleeps before it does.
    let mut report = system.leak_report_with(&at_once());
    wait_until("it is named", || {
        report = system.leak_report_with(&at_once());
        !report.asks.is_empty()
    });
    println!("{report}");
    assert_eq!(report.asks.len(), 1, "{report}");
    let ask = &report.asks[0];
    assert_eq!((ask.actor, ask.asker_gone), (hangs.id(), true));
    assert_eq!((ask.waits_for, ask.queued), (None, 1));
    assert_eq!(ask.name.as_deref(), Some("hangs"));
    assert!(ask.message.unwrap().ends_with("Sleep"));
    hangs.kill();
    hangs.gone();
    finish(system);
}

#[test]
fn an_ask_without_a_deadline_that_hangs_is_named() {
    quiet();
    struct Asker;
    impl Actor for Asker {}
    struct AskOther(ActorRef<Node>);
    impl Message for AskOther {
        type Reply = ();
    }
    impl Handler<AskOther> for Asker {
        async fn handle(&mut self, AskOther(other): AskOther, _cx: &mut ActorContext<Self>) {
            assert!(other.ask(Sleep(None)).await.is_err());
        }
    }
    let (system, log) = (system(), Log::new());
    let hangs = Spec::new("hangs", &log).spawn(&system);
    let asker = system.spawn(Asker).unwrap();
    asker.tell(AskOther(hangs)).unwrap();
    log.wait("hangs sleeps");
    wait_until("it is named", || {
        let report = system.leak_report_with(&at_once());
        report.asks.len() == 1
            && report.asks[0].actor == asker.id()
            && report.asks[0].waits_for == Some(hangs.id())
    });
    hangs.kill();
    hangs.gone();
    settle(&system);
    wait_until("nobody is named", || {
        system.leak_report_with(&at_once()).asks.is_empty()
    });
    finish(system);
}

#[test]
fn an_actor_that_blocks_its_worker_does_not_answer_and_is_listed() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = Spec::new("a", &log).spawn(&system);
    let gate = Gate::new();
    let shut = gate.clone();
    a.tell(with(move |node, _| {
        node.spec.log.say("blocks");
        shut.pass();
    }))
    .unwrap();
    log.wait("blocks");
    let report = system.leak_report_with(&at_once().looks(10, Duration::from_millis(20)));
    assert!(report.unanswered.contains(&a.id()), "{report}");
    gate.open();
    finish(system);
}

#[test]
fn a_number_that_only_grows_is_named() {
    quiet();
    let (system, log) = (system(), Log::new());
    let parent = Spec::new("p", &log).spawn(&system);
    let spawn = |n: usize| {
        parent
            .ask_blocking(with(move |_, cx| {
                for _ in 0..n {
                    cx.spawn(Forgotten).unwrap();
                }
            }))
            .unwrap();
    };
    let options = LeakOptions::new()
        .growth(4, Duration::ZERO)
        .growth_min(400)
        .looks(0, Duration::ZERO);
    for _ in 0..1000 {
        system.spawn(Steady).unwrap();
    }
    for round in 1..=4 {
        let report = system.leak_report_with(&options);
        assert!(report.growing.is_empty(), "round {round}: {report}");
        spawn(100);
    }
    let report = system.leak_report_with(&options);
    println!("{report}");
    assert_eq!(report.growing.len(), 1, "{report}");
    let growing = &report.growing[0];
    assert!(growing.actor_type.ends_with("Forgotten"));
    assert_eq!(growing.parent, Some(parent.id()));
    assert!(growing.parent_type.unwrap().ends_with("Node"));
    let counts: Vec<_> = growing.counts.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [100, 200, 300, 400]);
    // It has found its level.
    for _ in 0..4 {
        system.sample_leaks();
    }
    assert!(system.leak_report_with(&options).growing.is_empty());
    finish(system);
}

#[test]
fn very_many_watches_are_named() {
    quiet();
    const N: usize = 2000;
    let (system, log) = (system(), Log::new());
    let (star, fan, futures) = (
        Spec::new("star", &log).spawn(&system),
        Spec::new("fan", &log).spawn(&system),
        Spec::new("futures", &log).spawn(&system),
    );
    for _ in 0..N {
        let other = Spec::new("other", &log).spawn(&system);
        other.tell(with(move |_, cx| cx.watch(star))).unwrap();
        fan.tell(with(move |_, cx| cx.watch(other))).unwrap();
    }
    let mut ends: Vec<_> = (0..N).map(|_| Box::pin(futures.terminated())).collect();
    for end in &mut ends {
        assert_eq!(system.block_on(poll_once(end.as_mut())), None);
    }
    settle(&system);
    futures.life();
    star.life();
    let report = system.leak_report_with(&at_once().watches_min(N));
    let of = |actor: ActorId| report.watches.iter().find(|each| each.actor == actor);
    assert_eq!(report.watches.len(), 3, "{report}");
    assert_eq!(of(star.id()).unwrap().watchers, N);
    assert_eq!(of(fan.id()).unwrap().watching, N);
    assert_eq!(of(futures.id()).unwrap().monitors, N);
    assert!(report.to_string().contains("cx.unwatch"), "{report}");
    let report = system.leak_report_with(&at_once().watches_min(N + 1));
    assert!(report.watches.is_empty(), "{report}");
    drop(ends);
    finish(system);
}

#[test]
fn a_report_is_of_one_system_and_its_living() {
    let (ours, theirs) = (system(), system());
    let crowd: Vec<_> = (0..3000).map(|_| ours.spawn(Forgotten).unwrap()).collect();
    for _ in 0..500 {
        theirs.spawn(Forgotten).unwrap();
    }
    for each in &crowd[..1000] {
        each.stop();
    }
    wait_until("they have stopped", || ours.stats().actors.alive() == 2000);
    rest(&ours, 2000);
    rest(&theirs, 500);
    // Their cells are lived in again.
    for _ in 0..700 {
        theirs.spawn(Steady).unwrap();
    }
    rest(&ours, 2000);
    rest(&theirs, 1200);
    finish(ours);
    assert_eq!(theirs.leak_report().actors, 1200);
    finish(theirs);
}

/// Reports are made while actors are born, work and die; whatever they say, it is of the living.
#[test]
fn reports_in_the_middle_of_everything() {
    let system = system();
    system.sample_leaks_every(Duration::from_millis(1)).unwrap();
    system.sample_leaks_every(Duration::from_millis(2)).unwrap();
    std::thread::scope(|scope| {
        let busy: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let crowd: Vec<_> =
                            (0..20).map(|_| system.spawn(Steady).unwrap()).collect();
                        for each in &crowd {
                            each.ask_blocking(Echo(1)).unwrap();
                            each.stop();
                        }
                    }
                })
            })
            .collect();
        while !busy.iter().all(|each| each.is_finished()) {
            let report = system.leak_report_with(&at_once().looks(50, Duration::from_secs(1)));
            assert!(report.actors <= 12_000);
            for idle in &report.idle {
                assert!(idle.actor_type.ends_with("Steady"));
            }
        }
    });
    wait_until("all are gone", || system.stats().actors.alive() == 0);
    assert_eq!(system.leak_report().actors, 0);
    finish(system);
}

/// `cargo test --release -p actor-core --test leaks -- --ignored --nocapture`: the price of a walk.
#[test]
#[ignore = "a measurement"]
fn a_walk_over_a_million_actors() {
    let system = system();
    for _ in 0..1_000_000 {
        system.spawn(Forgotten).unwrap();
    }
    rest(&system, 1_000_000);
    for _ in 0..3 {
        let began = std::time::Instant::now();
        system.sample_leaks();
        println!("a sample took {:?}", began.elapsed());
    }
    println!("{}", system.leak_report_with(&at_once()));
    system.shutdown_blocking(Duration::from_secs(60));
}
