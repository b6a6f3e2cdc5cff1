//! Watching: exactly one notice, at the right time, to those who want it.

mod common;
#[path = "common/life.rs"]
mod life;

use std::time::Duration;

use actor_core::StopMode;
use actor_core::prelude::*;
use common::*;
use life::*;

fn unwatches(watcher: ActorRef<Node>, other: ActorRef<Node>) {
    watcher
        .ask_blocking(with(move |_, cx| cx.unwatch(other)))
        .unwrap();
}

/// All that went to the watcher before this has been handled after it.
fn caught_up(watcher: ActorRef<Node>) {
    watcher.life();
}

#[test]
fn w01_one_notice_at_the_end_and_none_for_a_restart() {
    quiet();
    let (system, log) = (system(), Log::new());
    let (w, a) = (
        Spec::new("w", &log).spawn(&system),
        Spec::new("A", &log).spawn(&system),
    );
    w.watches(a, "A");
    a.crash();
    assert_eq!(a.life(), 2);
    caught_up(w);
    assert_eq!(log.starting("w heard"), 0, "a restart is not an end");
    a.stop();
    a.gone();
    log.wait("w heard of A: stopped");
    finish(system);
    assert_eq!(log.starting("w heard"), 1);
}

#[test]
fn w01_the_reason_is_told() {
    quiet();
    let (system, log) = (system(), Log::new());
    let w = Spec::new("w", &log).spawn(&system);
    type End = fn(&ActorRef<Node>);
    let ends: [(&str, End); 5] = [
        ("stopped", |a| a.stop()),
        ("stopped", |a| a.stop_with(StopMode::Drain)),
        ("killed", NodeRef::kill),
        ("panicked: meant: boom", |a| a.crash()),
        ("failed: why", |a| {
            a.ask_blocking(with(|_, cx| cx.fail("why"))).unwrap()
        }),
    ];
    for (n, (reason, end)) in ends.into_iter().enumerate() {
        let mut spec = Spec::new("A", &log);
        spec.restart = Restart::Temporary;
        let a = spec.spawn(&system);
        w.watches(a, &format!("A{n}"));
        a.life();
        end(&a);
        log.wait(&format!("w heard of A{n}: {reason}"));
    }
    finish(system);
    assert_eq!(log.starting("w heard"), 5);
}

#[test]
fn w02_watching_the_dead_tells_at_once() {
    quiet();
    let (system, log) = (system(), Log::new());
    let (w, a) = (
        Spec::new("w", &log).spawn(&system),
        Spec::new("A", &log).spawn(&system),
    );
    a.stop();
    a.gone();
    w.watches(a, "A");
    log.wait("w heard of A: no such actor");
    // In its cell lives somebody else by now, as like as not.
    let crowd: Vec<_> = (0..50)
        .map(|_| Spec::new("B", &log).spawn(&system))
        .collect();
    w.watches(a, "A");
    log.wait_count("w heard of A: no such actor", 2);
    assert!(crowd.iter().all(|b| b.life() == 1));
    finish(system);
    assert_eq!(log.starting("w heard"), 2);
}

#[test]
fn w03_watched_twice_is_told_once_and_unwatched_not_at_all() {
    quiet();
    let (system, log) = (system(), Log::new());
    let w = Spec::new("w", &log).spawn(&system);
    let [a, b, c] = ["A", "B", "C"].map(|name| Spec::new(name, &log).spawn(&system));
    w.watches(a, "A");
    w.watches(a, "A");
    w.watches(b, "B");
    unwatches(w, b);
    w.watches(c, "C");
    for each in [a, b, c] {
        each.life();
    }
    // C's notice is in the mailbox when it is unwatched.
    let (go, held) = tokio::sync::oneshot::channel();
    w.tell(HoldThen(held, Box::new(move |cx| cx.unwatch(c))))
        .unwrap();
    let notices = system.stats().actors.termination_notices;
    for each in [a, b, c] {
        each.stop();
        each.gone();
    }
    wait_until("the notices are out", || {
        system.stats().actors.termination_notices == notices + 2
    });
    go.send(()).unwrap();
    log.wait("w heard of A: stopped");
    caught_up(w);
    finish(system);
    assert_eq!(log.starting("w heard"), 1);
}

#[test]
fn w03_watched_again_after_unwatch_is_told() {
    quiet();
    let (system, log) = (system(), Log::new());
    let (w, a) = (
        Spec::new("w", &log).spawn(&system),
        Spec::new("A", &log).spawn(&system),
    );
    w.watches(a, "A");
    unwatches(w, a);
    w.watches(a, "A");
    a.life();
    a.stop();
    log.wait("w heard of A: stopped");
    finish(system);
    assert_eq!(log.starting("w heard"), 1);
}

#[test]
fn w04_each_watcher_is_told_but_the_one_that_changed_its_mind() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = Spec::new("A", &log).spawn(&system);
    let watchers = ["x", "y", "z"].map(|name| Spec::new(name, &log).spawn(&system));
    for w in watchers {
        w.watches(a, "A");
    }
    unwatches(watchers[1], a);
    a.life();
    a.stop();
    a.gone();
    log.wait("x heard of A: stopped");
    log.wait("z heard of A: stopped");
    finish(system);
    assert_eq!(log.starting("y heard"), 0);
}

#[test]
fn w05_the_last_message_comes_before_the_notice() {
    quiet();
    let (system, log) = (system(), Log::new());
    for round in 0..200 {
        let w = Spec::new("w", &log).spawn(&system);
        let a = Spec::new("A", &log).spawn(&system);
        w.watches(a, "A");
        log.clear();
        a.tell(with(move |_, cx| {
            for n in 0..20 {
                w.tell(with(move |node, _| {
                    node.spec.log.say(format!("from A {n}"))
                }))
                .unwrap();
            }
            match round % 3 {
                0 => cx.stop(),
                1 => cx.actor_ref().stop_with(StopMode::Kill),
                _ => cx.actor_ref().stop_with(StopMode::Drain),
            }
        }))
        .unwrap();
        wait_until("the notice", || log.starting("w heard of A") == 1);
        let lines: Vec<_> = log
            .lines()
            .into_iter()
            .filter(|line| line.starts_with("from A") || line.starts_with("w heard"))
            .collect();
        assert_eq!(lines.len(), 21, "{lines:#?}");
        assert!(lines[20].starts_with("w heard of A"), "{lines:#?}");
        w.stop();
    }
    finish(system);
}

#[test]
fn w07_a_restarted_watcher_hears_nothing_of_its_former_life() {
    quiet();
    let (system, log) = (system(), Log::new());
    let (w, a) = (
        Spec::new("w", &log).spawn(&system),
        Spec::new("A", &log).spawn(&system),
    );
    w.watches(a, "A");
    a.life();
    // The notice is in the mailbox when the watcher fails.
    let (go, held) = tokio::sync::oneshot::channel();
    w.tell(HoldThen(held, Box::new(|_| boom()))).unwrap();
    a.stop();
    a.gone();
    go.send(()).unwrap();
    assert_eq!(w.life(), 2);
    // And not yet sent.
    let b = Spec::new("B", &log).spawn(&system);
    w.watches(b, "B");
    b.life();
    w.crash();
    assert_eq!(w.life(), 3);
    b.life();
    b.stop();
    b.gone();
    caught_up(w);
    finish(system);
    assert_eq!(log.starting("w heard"), 0);
}

#[test]
fn w08_an_end_that_is_not_handled_has_no_effect() {
    quiet();
    let (system, log) = (system(), Log::new());
    struct Plain;
    impl Actor for Plain {}
    struct Watch(ActorRef<Node>);
    impl Message for Watch {
        type Reply = ();
    }
    impl SyncHandler<Watch> for Plain {
        fn handle(&mut self, Watch(a): Watch, cx: &mut ActorContext<Self>) {
            cx.watch(a);
        }
    }
    let plain = system.spawn(Plain).unwrap();
    let a = Spec::new("A", &log).spawn(&system);
    plain.ask_blocking(Watch(a)).unwrap();
    a.life();
    a.kill();
    a.gone();
    wait_until("the notice is out", || {
        system.stats().actors.termination_notices == 1
    });
    plain.ask_blocking(Watch(a)).unwrap();
    assert!(plain.is_alive());
    finish(system);
}

#[test]
fn w08_terminated_may_await_and_fail() {
    quiet();
    for hook in [Hook::Panic, Hook::PanicLater, Hook::PanicWithBomb] {
        let (system, log) = (system(), Log::new());
        let mut spec = Spec::new("w", &log);
        spec.on_terminated = hook;
        let w = spec.spawn(&system);
        let a = Spec::new("A", &log).spawn(&system);
        w.watches(a, "A");
        a.stop();
        wait_until("it was restarted", || spec.lives() == 2);
        assert_eq!(w.life(), 2);
        assert_eq!(
            log.starting("w heard"),
            1,
            "the notice is not delivered again"
        );
        let books = finish(system);
        assert_eq!(books.dropped.total(), 0, "notices are not in the books");
    }
}

#[test]
fn w09_watchers_that_die_first_leave_nothing_behind() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = Spec::new("A", &log).spawn(&system);
    for _ in 0..2000 {
        let w = Spec::new("w", &log).spawn(&system);
        w.tell(with(move |_, cx| cx.watch(a))).unwrap();
        w.stop_with(StopMode::Drain);
    }
    wait_until("the watchers are gone", || {
        system.stats().actors.alive() == 1
    });
    a.life();
    let notices = system.stats().actors.termination_notices;
    a.stop();
    a.gone();
    settle(&system);
    assert_eq!(
        system.stats().actors.termination_notices,
        notices,
        "nobody is left to be told"
    );
    finish(system);
}

#[test]
fn w09_watcher_and_watched_die_at_once() {
    quiet();
    let (system, log) = (system(), Log::new());
    for _ in 0..1000 {
        let (w, a) = (
            Spec::new("w", &log).spawn(&system),
            Spec::new("A", &log).spawn(&system),
        );
        w.tell(with(move |_, cx| cx.watch(a))).unwrap();
        a.tell(with(move |_, cx| cx.watch(w))).unwrap();
        w.stop_with(StopMode::Drain);
        a.stop_with(StopMode::Drain);
    }
    wait_until("all are gone", || system.stats().actors.alive() == 0);
    finish(system);
}

/// What the entries take would grow by some megabytes.
#[test]
fn w09_a_hundred_thousand_rounds_leave_the_memory_as_it_was() {
    if !is_alone("w09_a_hundred_thousand_rounds_leave_the_memory_as_it_was") {
        return;
    }
    quiet();
    let system = system();
    struct Peer;
    impl Actor for Peer {}
    struct Watch(ActorRef<Peer>);
    impl Message for Watch {
        type Reply = ();
    }
    impl SyncHandler<Watch> for Peer {
        fn handle(&mut self, Watch(other): Watch, cx: &mut ActorContext<Self>) {
            cx.watch(other);
        }
    }
    let survivor = system.spawn(Peer).unwrap();
    let footprint = || {
        let memory = system.stats().numa_nodes;
        memory.iter().fold((0, 0), |(cells, slabs), node| {
            (cells + node.memory.cells, slabs + node.memory.slab_bytes)
        })
    };
    const BATCH: u64 = 500;
    let batch = || {
        for n in 0..BATCH {
            let (w, a) = (system.spawn(Peer).unwrap(), system.spawn(Peer).unwrap());
            // Both ways, and one that lives on with both: its entries must go as well.
            w.tell(Watch(a)).unwrap();
            a.tell(Watch(w)).unwrap();
            survivor.ask_blocking(Watch(a)).unwrap();
            w.tell(Watch(survivor)).unwrap();
            if n % 2 == 0 {
                w.stop_with(StopMode::Drain);
                a.stop_with(StopMode::Drain);
            } else {
                a.stop_with(StopMode::Kill);
                w.stop_with(StopMode::Kill);
            }
        }
        wait_until("all are gone", || system.stats().actors.alive() == 1);
        settle(&system);
        // Their parent gives their cells back, and it may have been held up.
        wait_until("their parent knows", || {
            let tree = system.supervision_tree().patience(PATIENCE).blocking();
            tree.len() == 1
        });
    };
    let batches = if cfg!(debug_assertions) { 20 } else { 200 };
    (0..5).for_each(|_| batch());
    let before = footprint();
    (0..batches).for_each(|_| batch());
    let after = footprint();
    println!("{before:?} -> {after:?}");
    assert!(
        after.0 <= before.0 + 2 * BATCH + 1024,
        "{before:?} -> {after:?}"
    );
    assert!(after.1 <= before.1 + (4 << 20), "{before:?} -> {after:?}");
    let seen = system.inspect_blocking(survivor.id(), PATIENCE).unwrap();
    assert_eq!((seen.watching, seen.watchers), (0, 0), "{seen:?}");
    finish(system);
}

#[test]
fn watching_itself_is_never_told() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = Spec::new("A", &log).spawn(&system);
    a.watches(a, "A");
    a.stop();
    a.gone();
    std::thread::sleep(Duration::from_millis(5));
    finish(system);
    assert_eq!(log.starting("A heard"), 0);
}

#[test]
fn many_watch_one_and_one_watches_many() {
    quiet();
    let (system, log) = (system(), Log::new());
    const N: usize = 5000;
    let hub = Spec::new("hub", &log).spawn(&system);
    let spokes: Vec<_> = (0..N)
        .map(|_| Spec::new("spoke", &log).spawn(&system))
        .collect();
    let began = std::time::Instant::now();
    for &spoke in &spokes {
        hub.tell(with(move |_, cx| cx.watch(spoke))).unwrap();
        spoke.tell(with(move |_, cx| cx.watch(hub))).unwrap();
    }
    settle(&system);
    for spoke in &spokes[..N / 2] {
        spoke.stop();
    }
    wait_until("half are told of", || log.starting("hub heard") == N / 2);
    hub.stop();
    wait_until("half are told", || log.starting("spoke heard") == N / 2);
    println!("{N} watches each way took {:?}", began.elapsed());
    finish(system);
}

/// An actor that fails when the other stops.
fn pact(a: ActorRef<Node>, other: ActorRef<Node>) {
    a.ask_blocking(with(move |_, cx| cx.death_pact(other)))
        .unwrap();
}

#[test]
fn w08_a_death_pact_is_a_failure_of_the_watcher() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = Spec::new("w", &log);
    let w = spec.spawn(&system);
    let a = Spec::new("A", &log).spawn(&system);
    pact(w, a);
    // Accepted before the end, handled before the failure.
    a.ask_blocking(with(move |_, cx| {
        w.tell(with(|node, _| node.spec.log.say("the last message")))
            .unwrap();
        cx.stop();
    }))
    .unwrap();
    wait_until("it was restarted", || w.life() == 2);
    assert!(log.at("the last message") < log.at("w started 2"));
    assert_eq!(log.starting("w heard"), 0, "the hook is not called");
    let why = log
        .lines()
        .into_iter()
        .find(|line| line.starts_with("w stopping"))
        .unwrap();
    assert!(
        why.contains("death pact") && why.contains("stopped"),
        "{why}"
    );
    // Of the dead: at once.
    pact(w, a);
    wait_until("again", || w.life() == 3);
    // Taken back, or turned into a watch.
    let b = Spec::new("B", &log).spawn(&system);
    pact(w, b);
    unwatches(w, b);
    let c = Spec::new("C", &log).spawn(&system);
    pact(w, c);
    w.watches(c, "C");
    for each in [b, c] {
        each.life();
        each.stop();
        each.gone();
    }
    log.wait("w heard of C: stopped");
    assert_eq!(w.life(), 3);
    finish(system);
}

/// After `unwatch` has returned, no notice is delivered, wherever it was.
#[test]
fn w10_no_notice_is_left_after_unwatch() {
    quiet();
    let (system, log) = (system(), Log::new());
    let w = Spec::new("w", &log).spawn(&system);
    for round in 0..300 {
        let a = Spec::new("A", &log).spawn(&system);
        w.watches(a, "A");
        a.life();
        if round % 2 == 0 {
            a.stop();
        } else {
            // The notice is in the mailbox, behind the message that unwatches.
            let (go, held) = tokio::sync::oneshot::channel();
            w.tell(HoldThen(held, Box::new(|_| ()))).unwrap();
            let notices = system.stats().actors.termination_notices;
            a.stop();
            wait_until("the notice is on its way", || {
                system.stats().actors.termination_notices == notices + 1
            });
            go.send(()).unwrap();
        }
        let heard = log.clone();
        let heard = w
            .ask_blocking(with(move |_, cx| {
                cx.unwatch(a);
                heard.starting("w heard")
            }))
            .unwrap();
        a.gone();
        // Its identity ends before its notices are sent; the next round counts them.
        wait_until("its end is over", || {
            system.stats().actors.stopped == round + 1
        });
        caught_up(w);
        assert_eq!(log.starting("w heard"), heard, "heard after unwatch");
    }
    finish(system);
}

#[test]
fn w01_the_end_can_be_awaited_from_outside() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = Spec::new("A", &log).spawn(&system);
    let ends: Vec<_> = (0..3)
        .map(|_| system.tokio().spawn(a.terminated()))
        .collect();
    let mut end = Box::pin(a.terminated());
    assert_eq!(system.block_on(poll_once(end.as_mut())), None);
    a.crash();
    assert_eq!(a.life(), 2);
    assert_eq!(
        system.block_on(poll_once(end.as_mut())),
        None,
        "a restart is no end"
    );
    a.kill();
    assert_eq!(system.block_on(within(end)), StopReason::Killed);
    for end in ends {
        let reason = system.block_on(within(end)).unwrap();
        assert!(matches!(reason, StopReason::Killed | StopReason::NotFound));
    }
    // Of the dead: at once.
    assert_eq!(
        system.block_on(within(a.terminated())),
        StopReason::NotFound
    );
    // And in a handler.
    let (w, b) = (
        Spec::new("w", &log).spawn(&system),
        Spec::new("B", &log).spawn(&system),
    );
    let (go, held) = tokio::sync::oneshot::channel();
    let end = b.terminated();
    system.tokio().spawn(async move {
        end.await;
        go.send(()).unwrap();
    });
    w.tell(HoldThen(held, Box::new(|cx| cx.stop()))).unwrap();
    b.stop();
    w.gone();
    finish(system);
}

#[test]
fn w09_futures_that_gave_up_leave_nothing_behind() {
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};
    struct Quiet;
    impl Wake for Quiet {
        fn wake(self: Arc<Self>) {}
    }
    quiet();
    let (system, log) = (system(), Log::new());
    let a = Spec::new("A", &log).spawn(&system);
    let kept = Arc::new(Quiet);
    let waker = Waker::from(kept.clone());
    let mut context = Context::from_waker(&waker);
    for _ in 0..20_000 {
        let mut end = std::pin::pin!(a.terminated());
        assert!(end.as_mut().poll(&mut context).is_pending());
        assert!(end.as_mut().poll(&mut context).is_pending());
    }
    drop(waker);
    assert_eq!(Arc::strong_count(&kept), 1, "no waker is kept");
    let seen = system
        .inspect_blocking(a.id(), PATIENCE)
        .expect("it answers");
    assert!(seen.monitors < 64, "{} slots are kept", seen.monitors);
    a.stop();
    a.gone();
    finish(system);
}

/// Enough that a step through all of them for each would not end in good time.
#[test]
fn w09_very_many_watches_come_and_go() {
    quiet();
    const N: usize = 40_000;
    struct Fan(ActorRef<Node>, Log);
    impl Actor for Fan {
        async fn terminated(&mut self, _: Terminated, _cx: &mut ActorContext<Self>) {
            self.1.say("heard");
        }
    }
    impl Message for Go {
        type Reply = ();
    }
    struct Go(bool);
    impl SyncHandler<Go> for Fan {
        fn handle(&mut self, Go(on): Go, cx: &mut ActorContext<Self>) {
            if on {
                cx.watch(self.0)
            } else {
                cx.unwatch(self.0)
            }
        }
    }
    let (system, log) = (system(), Log::new());
    let star = Spec::new("star", &log).spawn(&system);
    let fans: Vec<_> = (0..N)
        .map(|_| system.spawn(Fan(star, log.clone())).unwrap())
        .collect();
    let began = std::time::Instant::now();
    for fan in &fans {
        fan.tell(Go(true)).unwrap();
    }
    for fan in &fans[100..] {
        fan.tell(Go(false)).unwrap();
    }
    settle(&system);
    let seen = system.inspect_blocking(star.id(), PATIENCE).unwrap();
    assert_eq!(seen.watchers, 100);
    star.stop();
    log.wait_count("heard", 100);
    println!("{N} watches and unwatches took {:?}", began.elapsed());
    finish(system);
    assert_eq!(log.count("heard"), 100);
}
