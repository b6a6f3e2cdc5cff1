//! Links: two lives that end together, and every way in which the words about it can cross.

mod common;
#[path = "common/life.rs"]
mod life;

use actor_core::prelude::*;
use actor_core::{ActorError, StopMode};
use common::*;
use life::*;

/// An actor that is not restarted.
fn once(name: &str, log: &Log, system: &SystemRef) -> ActorRef<Node> {
    let mut spec = Spec::new(name, log);
    spec.restart = Restart::Temporary;
    spec.spawn(system)
}

/// One that hears of broken links.
fn trapper(name: &str, log: &Log, system: &SystemRef) -> ActorRef<Node> {
    let spec = Spec::new(name, log);
    system
        .actor(spec.factory())
        .name(name)
        .mailbox(Mailbox::unbounded())
        .trap_links(true)
        .spawn()
        .unwrap()
}

trait Linking {
    fn links(&self, other: ActorRef<Node>, name: &str);
    fn unlinks(&self, other: ActorRef<Node>);
}

impl Linking for ActorRef<Node> {
    /// Links, and waits until the other side knows.
    #[track_caller]
    fn links(&self, other: ActorRef<Node>, name: &str) {
        let name = name.to_owned();
        self.ask_blocking(with(move |node, cx| {
            node.names.insert(other.id(), name);
            cx.link(other);
        }))
        .expect("the actor links");
        // Handled after the signal.
        _ = other.ask_blocking(Note(0));
    }

    #[track_caller]
    fn unlinks(&self, other: ActorRef<Node>) {
        self.ask_blocking(with(move |_, cx| cx.unlink(other)))
            .expect("the actor unlinks");
    }
}

fn end_of(actor: ActorRef<Node>, system: &ActorSystem) -> StopReason {
    system.block_on(within(actor.terminated()))
}

#[test]
fn w12_linking_with_the_dead_is_a_broken_link_at_once() {
    quiet();
    let (system, log) = (system(), Log::new());
    let dead = once("dead", &log, &system);
    dead.stop();
    dead.gone();
    // It fails, and its supervisor decides.
    let a = Spec::new("a", &log).spawn(&system);
    a.ask_blocking(with(move |_, cx| cx.link(dead))).unwrap();
    wait_until("it was restarted", || a.life() == 2);
    // One that traps is told, once, and the link is gone.
    let t = trapper("t", &log, &system);
    t.ask_blocking(with(move |node, cx| {
        node.names.insert(dead.id(), "dead".into());
        cx.link(dead);
    }))
    .unwrap();
    log.wait("t heard of dead: no such actor");
    // In the cell lives somebody else by now, as like as not.
    let crowd: Vec<_> = (0..50).map(|_| once("other", &log, &system)).collect();
    t.ask_blocking(with(move |_, cx| cx.link(dead))).unwrap();
    log.wait_count("t heard of dead: no such actor", 2);
    assert!(crowd.iter().all(|each| each.life() == 1));
    // And the reason says so.
    let b = once("b", &log, &system);
    let end = std::thread::scope(|scope| {
        let waits = scope.spawn(|| end_of(b, &system));
        b.life();
        b.tell(with(move |_, cx| {
            // Not before the test waits for it.
            cx.link(dead)
        }))
        .unwrap();
        waits.join().unwrap()
    });
    assert!(
        matches!(&end, StopReason::Linked(fate) if fate.actor == dead.id()
            && fate.cause == StopReason::NotFound)
            || end == StopReason::NotFound,
        "{end}"
    );
    finish(system);
}

#[test]
fn a_failure_is_shared_from_either_side() {
    quiet();
    let (system, log) = (system(), Log::new());
    for linker_fails in [true, false] {
        let (a, b) = (
            Spec::new("a", &log).spawn(&system),
            Spec::new("b", &log).spawn(&system),
        );
        a.links(b, "b");
        let (fails, shares) = if linker_fails { (a, b) } else { (b, a) };
        fails.crash();
        wait_until("both are new", || shares.life() == 2 && fails.life() == 2);
        // The new lives are strangers.
        fails.crash();
        assert_eq!(fails.life(), 3);
        assert_eq!(shares.life(), 2);
        a.stop();
        b.stop();
    }
    finish(system);
}

#[test]
fn orderly_ends_are_not_shared_and_others_are() {
    quiet();
    let (system, log) = (system(), Log::new());
    type End = fn(&ActorRef<Node>);
    let ends: [(End, bool); 5] = [
        (|a| a.stop(), false),
        (|a| a.stop_with(StopMode::Drain), false),
        (|a| a.kill(), true),
        (|a| a.crash(), true),
        (
            |a| a.ask_blocking(with(|_, cx| cx.fail("why"))).unwrap(),
            true,
        ),
    ];
    for (end, shared) in ends {
        let (a, b) = (once("a", &log, &system), once("b", &log, &system));
        a.links(b, "b");
        let waits = system.tokio().spawn(b.terminated());
        end(&a);
        a.gone();
        if shared {
            let reason = system.block_on(within(waits)).unwrap();
            match &reason {
                StopReason::Linked(fate) => assert_eq!(fate.actor, a.id()),
                // The task came late to watch.
                StopReason::NotFound => {}
                other => panic!("{other}"),
            }
        } else {
            assert_eq!(b.life(), 1, "an orderly end takes nobody down");
            b.stop();
            system.block_on(within(waits)).unwrap();
        }
    }
    finish(system);
}

#[test]
fn who_traps_is_told_after_the_last_message() {
    quiet();
    let (system, log) = (system(), Log::new());
    let t = trapper("t", &log, &system);
    for round in 0..100 {
        log.clear();
        let a = once("a", &log, &system);
        t.links(a, "a");
        a.tell(with(move |_, cx| {
            for n in 0..10 {
                t.tell(with(move |node, _| {
                    node.spec.log.say(format!("from a {n}"))
                }))
                .unwrap();
            }
            match round % 3 {
                0 => cx.stop(),
                1 => cx.actor_ref().stop_with(StopMode::Kill),
                _ => boom(),
            }
        }))
        .unwrap();
        wait_until("the notice", || log.starting("t heard of a") == 1);
        let lines: Vec<_> = log
            .lines()
            .into_iter()
            .filter(|line| line.starts_with("from a") || line.starts_with("t heard"))
            .collect();
        assert_eq!(lines.len(), 11, "{lines:#?}");
        assert!(lines[10].starts_with("t heard of a"), "{lines:#?}");
    }
    assert_eq!(t.life(), 1);
    finish(system);
}

#[test]
fn linked_twice_is_linked_once() {
    quiet();
    let (system, log) = (system(), Log::new());
    for _ in 0..200 {
        log.clear();
        let t = trapper("t", &log, &system);
        let a = once("a", &log, &system);
        // From both sides, crossing, and each more than once.
        a.tell(with(move |_, cx| {
            cx.link(t);
            cx.link(t);
        }))
        .unwrap();
        t.ask_blocking(with(move |node, cx| {
            node.names.insert(a.id(), "a".into());
            cx.link(a);
            cx.link(a);
        }))
        .unwrap();
        a.tell(Crash).unwrap();
        log.wait("t heard of a: panicked: meant: boom");
        a.gone();
        assert_eq!(t.life(), 1);
        assert_eq!(log.starting("t heard"), 1);
        t.stop();
        t.gone();
    }
    finish(system);
}

#[test]
fn one_unlink_undoes_a_link_made_from_both_sides() {
    quiet();
    let (system, log) = (system(), Log::new());
    for by_linker in [true, false] {
        let (a, b) = (once("a", &log, &system), once("b", &log, &system));
        a.links(b, "b");
        b.links(a, "a");
        if by_linker {
            a.unlinks(b)
        } else {
            b.unlinks(a)
        }
        a.crash();
        a.gone();
        assert_eq!(b.life(), 1);
        // With itself, with a stranger, with the dead: nothing to undo.
        b.unlinks(b);
        b.unlinks(a);
        b.links(b, "b");
        b.crash();
        b.gone();
    }
    finish(system);
}

/// From the moment of `unlink` nothing is felt, wherever the other's end is on its way.
#[test]
fn unlink_wins_against_an_end_on_its_way() {
    quiet();
    let (system, log) = (system(), Log::new());
    let supervision = Supervision::one_for_one().intensity(10_000);
    let mut top = Spec::new("top", &log);
    top.supervision = supervision;
    let top = top.spawn(&system);
    let b = {
        let mut spec = Spec::new("b", &log);
        spec.backoff = Backoff::none();
        top.ask_blocking(with(move |_, cx| spec.spawn_in(cx).unwrap()))
            .unwrap()
    };
    let mut spared = 0;
    for _ in 0..300 {
        let a = once("a", &log, &system);
        b.links(a, "a");
        let before = b.life();
        a.tell(Crash).unwrap();
        let at_unlink = b
            .ask_blocking(with(move |node, cx| {
                cx.unlink(a);
                node.life
            }))
            // Cut off by the shared failure: that came first then.
            .unwrap_or(0);
        a.gone();
        let after = b.life();
        if at_unlink == before {
            spared += 1;
            assert_eq!(after, before, "it was felt after unlink");
        }
    }
    println!("{spared} of 300 were unlinked in time");
    finish(system);
}

#[test]
fn a_trapped_notice_in_the_mailbox_is_void_after_unlink() {
    quiet();
    let (system, log) = (system(), Log::new());
    let t = trapper("t", &log, &system);
    let a = once("a", &log, &system);
    t.links(a, "a");
    let (go, held) = tokio::sync::oneshot::channel();
    t.tell(HoldThen(held, Box::new(move |cx| cx.unlink(a))))
        .unwrap();
    let notices = system.stats().actors.termination_notices;
    a.tell(Crash).unwrap();
    wait_until("the notice is in the mailbox", || {
        system.stats().actors.termination_notices == notices + 1
    });
    go.send(()).unwrap();
    assert_eq!(t.life(), 1);
    assert_eq!(log.starting("t heard"), 0);
    finish(system);
}

#[test]
fn both_may_die_at_once() {
    quiet();
    let (system, log) = (system(), Log::new());
    for round in 0..500 {
        let (a, b) = (once("a", &log, &system), once("b", &log, &system));
        a.tell(with(move |_, cx| cx.link(b))).unwrap();
        if round % 2 == 0 {
            b.tell(with(move |_, cx| cx.link(a))).unwrap();
        }
        // One of the two may have taken the other down already.
        _ = a.tell(Crash);
        _ = b.tell(Crash);
    }
    wait_until("all are gone", || system.stats().actors.alive() == 0);
    finish(system);
}

/// A half of a pair finds the other by name and links with it, in every life.
struct Half {
    other: &'static str,
    log: Log,
}

impl Actor for Half {
    async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        if let Ok(other) = cx.lookup::<Self>(self.other) {
            cx.link(other);
        }
        self.log.say(format!("{}'s other half", self.other));
        Ok(())
    }
}

impl Message for CrashHalf {
    type Reply = ();
}
struct CrashHalf;
impl SyncHandler<CrashHalf> for Half {
    fn handle(&mut self, _: CrashHalf, _cx: &mut ActorContext<Self>) {
        boom()
    }
}

/// One failure costs each half exactly one life, however the restarts and the new links cross.
#[test]
fn a_pair_that_links_in_started_fails_together_once_per_failure() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut top = Spec::new("top", &log);
    top.supervision = Supervision::one_for_one().intensity(10_000);
    let top = top.spawn(&system);
    let spawn = |me: &'static str, other: &'static str| {
        let log = log.clone();
        top.ask_blocking(with(move |_, cx| {
            let factory = move || Half {
                other,
                log: log.clone(),
            };
            cx.actor(factory).registered(me).spawn().unwrap()
        }))
        .unwrap()
    };
    let (left, right) = (spawn("left", "right"), spawn("right", "left"));
    let rounds = 200;
    for round in 1..=rounds {
        log.wait_count("left's other half", round);
        log.wait_count("right's other half", round);
        settle(&system);
        match round % 3 {
            0 => left.tell(CrashHalf).unwrap(),
            1 => right.tell(CrashHalf).unwrap(),
            _ => {
                // Both: one may be down by the other's failure when its own message comes.
                left.tell(CrashHalf).unwrap();
            }
        }
    }
    log.wait_count("left's other half", rounds + 1);
    log.wait_count("right's other half", rounds + 1);
    settle(&system);
    assert_eq!(log.count("left's other half"), rounds + 1);
    assert_eq!(log.count("right's other half"), rounds + 1);
    finish(system);
}

#[test]
fn a_chain_falls_from_end_to_end_and_names_the_first() {
    quiet();
    let (system, log) = (system(), Log::new());
    const N: usize = 2000;
    let chain: Vec<_> = (0..N).map(|_| once("c", &log, &system)).collect();
    for pair in chain.windows(2) {
        let next = pair[1];
        pair[0].tell(with(move |_, cx| cx.link(next))).unwrap();
    }
    settle(&system);
    let t = trapper("t", &log, &system);
    let last = chain[N - 1];
    let (tell, told) = std::sync::mpsc::channel();
    let mut waits = Box::pin(last.terminated());
    // It waits from the first poll on, and that is before the end.
    assert!(system.block_on(poll_once(waits.as_mut())).is_none());
    let waiting = system.tokio().spawn(async move { tell.send(waits.await) });
    t.links(last, "last");
    chain[0].tell(Crash).unwrap();
    let reason = told.recv_timeout(PATIENCE).unwrap();
    system.block_on(waiting).unwrap().unwrap();
    assert!(
        matches!(reason.root_cause(), StopReason::Panicked(_)),
        "{}",
        reason.root_cause()
    );
    // A chain of causes has a bound, or dropping one could overflow the stack.
    let causes = reason.causes().count();
    assert!(causes <= StopReason::CAUSES_MAX as usize + 1, "{causes}");
    wait_until("all are gone", || system.stats().actors.alive() == 1);
    finish(system);
}

#[test]
fn a_hub_with_many_links() {
    quiet();
    let (system, log) = (system(), Log::new());
    const N: usize = 10_000;
    struct Spoke(ActorRef<Node>);
    impl Actor for Spoke {
        async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
            cx.link(self.0);
            Ok(())
        }
    }
    let hub = trapper("hub", &log, &system);
    let spokes: Vec<_> = (0..N).map(|_| system.spawn(Spoke(hub)).unwrap()).collect();
    settle(&system);
    wait_until("all are linked", || {
        system
            .inspect_blocking(hub.id(), PATIENCE)
            .expect("it answers")
            .links
            == N
    });
    let began = std::time::Instant::now();
    for spoke in &spokes[..N / 2] {
        spoke.stop_with(StopMode::Kill);
    }
    wait_until("half are told of", || log.starting("hub heard") == N / 2);
    hub.crash();
    wait_until("the others fell with it", || {
        system.stats().actors.alive() == 1
    });
    println!("{N} links broken in {:?}", began.elapsed());
    assert_eq!(hub.life(), 2);
    finish(system);
}

#[test]
fn a_shutdown_breaks_no_link() {
    quiet();
    let (system, log) = (system(), Log::new());
    let (a, b) = (
        Spec::new("a", &log).spawn(&system),
        Spec::new("b", &log).spawn(&system),
    );
    a.links(b, "b");
    finish(system);
    assert!(log.has("a stopped") && log.has("b stopped"));
    assert_eq!(log.starting("a heard") + log.starting("b heard"), 0);
}
