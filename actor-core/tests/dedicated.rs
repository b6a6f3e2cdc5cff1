//! Actors with a thread of their own: theirs alone, for all their lives, and not a moment longer.

mod common;
#[path = "common/life.rs"]
mod life;

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::affinity;
use actor_core::{ActorOptions, MoveError, SpawnError, StartError, StopMode};
use common::*;
use life::*;

fn thread_of(actor: ActorRef<Node>) -> ThreadId {
    actor
        .ask_blocking(with(|_, _| thread::current().id()))
        .unwrap()
}

fn dedicated(system: &ActorSystem, name: &str, log: &Log) -> ActorRef<Node> {
    system
        .actor(Spec::new(name, log).factory())
        .name(name)
        .placement(Placement::Dedicated)
        .mailbox(Mailbox::unbounded())
        .spawn()
        .unwrap()
}

thread_local! {
    /// Dropped at the thread's end.
    static AT_END: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
}

/// Hears of the end of the thread that runs the actor now.
fn end_of_thread_of(actor: ActorRef<Node>) -> mpsc::Receiver<()> {
    let (tell, told) = mpsc::channel();
    actor
        .ask_blocking(with(move |_, _| AT_END.set(Some(tell))))
        .unwrap();
    told
}

#[track_caller]
fn wait_for_end(told: &mpsc::Receiver<()>) {
    assert_eq!(
        told.recv_timeout(PATIENCE),
        Err(mpsc::RecvTimeoutError::Disconnected),
        "the thread ends"
    );
}

#[test]
fn every_turn_runs_on_a_thread_that_nobody_else_uses() {
    quiet();
    let (system, log) = (system(), Log::new());
    let own = [dedicated(&system, "A", &log), dedicated(&system, "B", &log)];
    let others: Vec<_> = (0..20)
        .map(|_| Spec::new("other", &log).spawn(&system))
        .collect();
    let threads = own.map(thread_of);
    assert_ne!(threads[0], threads[1]);
    for _ in 0..100 {
        for (actor, thread) in own.iter().zip(threads) {
            assert_eq!(thread_of(*actor), thread);
        }
    }
    let elsewhere: HashSet<_> = others.iter().map(|other| thread_of(*other)).collect();
    assert!(threads.iter().all(|own| !elsewhere.contains(own)));
    let stats = system.stats();
    assert_eq!(stats.dedicated.len(), 2);
    for actor in own.map(|own| own.id()) {
        let lines = stats.dedicated.iter();
        let turns: Vec<_> = lines
            .filter(|line| line.actor == actor)
            .map(|line| line.turns > 0)
            .collect();
        assert_eq!(turns, [true]);
        assert!(stats.to_string().contains(&format!("for {actor} alone")));
    }
    finish(system);
}

#[test]
fn it_has_a_numa_node_and_its_children_live_there_among_the_others() {
    quiet();
    let (system, log) = (system(), Log::new());
    for node in system.numa_nodes() {
        let a = system
            .actor(Spec::new("A", &log).factory())
            .placement(Placement::Node(node))
            .dedicated(true)
            .spawn()
            .unwrap();
        let home =
            |actor: ActorRef<Node>| actor.ask_blocking(with(|_, cx| cx.numa_node())).unwrap();
        assert_eq!((home(a), a.id().numa_node()), (node, node));
        let spec = Spec::new("child", &log);
        let child = a
            .ask_blocking(with(move |_, cx| spec.spawn_in(cx).unwrap()))
            .unwrap();
        assert_eq!(home(child), node);
        assert_ne!(thread_of(child), thread_of(a));
        let cpus = a
            .ask_blocking(with(|_, _| affinity::current_thread_cpus()))
            .unwrap();
        if let Ok(cpus) = cpus {
            let mut there = system.topology().real_cpus_of(node);
            there.retain(|cpu| system.topology().allowed().contains(cpu));
            there.sort_unstable();
            assert_eq!(cpus, there, "bound to its NUMA node");
        }
    }
    finish(system);
}

#[test]
fn messages_of_many_senders_arrive_in_order_and_are_all_in_the_books() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = dedicated(&system, "A", &log);
    const SENDERS: u64 = 4;
    const EACH: u64 = 2000;
    let sender = |from: u64| {
        let spec = Spec::new("sender", &log);
        let sender = spec.spawn(&system);
        sender
            .tell(with(move |_, _| {
                for n in 0..EACH {
                    a.tell(Note(from * EACH + n)).unwrap();
                }
            }))
            .unwrap();
    };
    (0..SENDERS).for_each(sender);
    settle(&system);
    let numbers = a
        .ask_blocking(with(|node, _| node.numbers.clone()))
        .unwrap();
    for from in 0..SENDERS {
        let of = numbers.iter().filter(|n| *n / EACH == from);
        assert!(of.copied().eq(from * EACH..(from + 1) * EACH));
    }
    finish(system);
}

#[test]
fn the_thread_is_kept_through_restarts_and_ends_with_the_actor() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = dedicated(&system, "A", &log);
    let (thread, end) = (thread_of(a), end_of_thread_of(a));
    for life in 2..=3 {
        a.crash();
        assert_eq!((a.life(), thread_of(a)), (life, thread));
    }
    a.stop();
    wait_for_end(&end);
    wait_until("it has no line any more", || {
        system.stats().dedicated.is_empty()
    });
    // Killed while its handler awaits.
    let b = dedicated(&system, "B", &log);
    let end = end_of_thread_of(b);
    b.tell(Sleep(None)).unwrap();
    log.wait("B sleeps");
    b.kill();
    wait_for_end(&end);
    finish(system);
}

#[test]
fn async_handlers_find_tokio_there() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = dedicated(&system, "A", &log);
    let thread = thread_of(a);
    a.ask_blocking(Sleep(Some(Duration::from_millis(1))))
        .unwrap();
    assert_eq!(thread_of(a), thread);
    let spawned = a
        .ask_blocking(with(|_, _| tokio::runtime::Handle::try_current().is_ok()))
        .unwrap();
    assert!(spawned);
    finish(system);
}

#[test]
fn one_too_many_is_refused_and_a_thread_that_is_left_is_free_again() {
    quiet();
    let system = ActorSystem::builder().dedicated_threads(2).build().unwrap();
    let log = Log::new();
    let node = system.numa_nodes()[0];
    let spawn = || {
        system
            .actor(Spec::new("A", &log).factory())
            .placement(Placement::Node(node))
            .dedicated(true)
            .spawn()
    };
    let mut first = spawn().unwrap();
    let _second = spawn().unwrap();
    for round in 0..20 {
        let refused = spawn().unwrap_err();
        let expected = SpawnError::DedicatedThreads {
            numa_node: node,
            limit: 2,
        };
        assert_eq!(refused, expected, "round {round}");
        assert!(
            refused.to_string().contains("dedicated_threads"),
            "{refused}"
        );
        first.stop();
        wait_until("there is room", || system.stats().dedicated.len() == 1);
        first = spawn().unwrap();
    }
    finish(system);
}

#[test]
fn a_parent_that_starts_a_child_again_gives_it_a_thread_again() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = Spec::new("child", &log);
    let own = ChildSpec::new("own", move || spec.make()).placement(Placement::Dedicated);
    let plan = Supervisor::one_for_one().child_with(own).build().unwrap();
    let supervisor = system.spawn(plan).unwrap();
    let child = || {
        let found = supervisor.child::<Node>("own").blocking();
        found.unwrap().unwrap()
    };
    let (own, end) = (child(), end_of_thread_of(child()));
    supervisor
        .terminate_child("own")
        .blocking()
        .unwrap()
        .unwrap();
    wait_for_end(&end);
    wait_until("it has no line any more", || {
        system.stats().dedicated.is_empty()
    });
    supervisor.restart_child("own").blocking().unwrap().unwrap();
    let again = child();
    assert_ne!(again.id(), own.id());
    assert_eq!(system.stats().dedicated[0].actor, again.id());
    assert_eq!(thread_of(again), thread_of(again));
    finish(system);
}

#[test]
fn it_is_not_moved_and_the_error_says_why() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = dedicated(&system, "A", &log);
    let node = *system.numa_nodes().last().unwrap();
    let refused = a.move_to(node).unwrap_err();
    assert!(
        matches!(refused, MoveError::Dedicated { .. }),
        "{refused:?}"
    );
    assert!(
        refused.to_string().contains("thread of its own"),
        "{refused}"
    );
    finish(system);
}

#[test]
fn the_attribute_of_a_type_says_it_and_a_spawn_may_say_otherwise() {
    #[derive(Actor)]
    #[actor(placement = dedicated)]
    struct Apart;
    struct Where;
    impl Message for Where {
        type Reply = ThreadId;
    }
    impl SyncHandler<Where> for Apart {
        fn handle(&mut self, Where: Where, _cx: &mut ActorContext<Self>) -> ThreadId {
            thread::current().id()
        }
    }
    assert_ne!(Apart::options(), ActorOptions::new());
    let system = system();
    let apart = system.spawn(Apart).unwrap();
    let among = system
        .actor(Apart)
        .placement(Placement::Inherit)
        .spawn()
        .unwrap();
    assert_ne!(
        apart.ask_blocking(Where).unwrap(),
        among.ask_blocking(Where).unwrap()
    );
    let own: Vec<_> = system
        .stats()
        .dedicated
        .iter()
        .map(|own| own.actor)
        .collect();
    assert_eq!(own, [apart.id()]);
    finish(system);
}

#[test]
fn who_computes_for_long_holds_nobody_up_and_is_no_stall() {
    quiet();
    let (stalled, stalls) = mpsc::channel();
    let system = ActorSystem::builder()
        .report_stalls_after(Duration::from_millis(1))
        .on_stall(move |stall| {
            // Nobody listens any more at the end.
            let _ = stalled.send(stall.actor);
        })
        .build()
        .unwrap();
    let log = Log::new();
    let a = dedicated(&system, "A", &log);
    let (free, wait) = mpsc::channel::<()>();
    let (tell, began) = mpsc::channel();
    a.tell(with(move |_, _| {
        tell.send(()).unwrap();
        // Ends when `free` is dropped.
        let _ = wait.recv();
    }))
    .unwrap();
    began.recv_timeout(PATIENCE).unwrap();
    let other = Spec::new("other", &log).spawn(&system);
    // One that blocks a worker is seen by the watchdog, so it has looked since.
    let told = other.ask_blocking(with(move |_, cx| {
        let me = cx.actor_ref().id();
        let mut seen = Vec::new();
        while !seen.contains(&me) {
            seen.push(stalls.recv_timeout(PATIENCE).unwrap());
        }
        seen
    }));
    let seen = told.unwrap();
    assert!(!seen.contains(&a.id()), "{seen:?}");
    drop(free);
    a.life();
    finish(system);
}

#[test]
fn a_handler_that_does_not_come_back_is_named_at_the_end() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = dedicated(&system, "A", &log);
    let (free, wait) = mpsc::channel::<()>();
    let (tell, began) = mpsc::channel();
    a.tell(with(move |_, _| {
        tell.send(()).unwrap();
        let _ = wait.recv();
    }))
    .unwrap();
    began.recv_timeout(PATIENCE).unwrap();
    let end = system.stats().dedicated[0].worker;
    let report = system.shutdown_blocking(Duration::from_millis(1));
    assert!(
        (report.abandoned.iter()).any(|left| (left.worker, left.actor) == (end, Some(a.id()))),
        "{report}"
    );
    assert!(
        report.left_behind.iter().any(|left| left.actor == a.id()),
        "{report}"
    );
    drop(free);
}

#[test]
fn a_system_is_dropped_with_such_actors_in_it() {
    quiet();
    let (system, log) = (system(), Log::new());
    let own: Vec<_> = (0..5)
        .map(|i| dedicated(&system, &format!("A{i}"), &log))
        .collect();
    let ends: Vec<_> = own.iter().map(|a| end_of_thread_of(*a)).collect();
    for a in &own {
        for n in 0..100 {
            a.tell(Note(n)).unwrap();
        }
    }
    let handle = system.handle();
    drop(system);
    ends.iter().for_each(wait_for_end);
    settle(&handle);
    let late = handle
        .actor(Spec::new("late", &log).factory())
        .placement(Placement::Dedicated)
        .spawn();
    assert_eq!(late.unwrap_err(), SpawnError::ShuttingDown);
}

#[test]
fn a_storm_of_births_and_ends_leaves_no_thread_and_no_message_behind() {
    quiet();
    let system = ActorSystem::builder().dedicated_threads(4).build().unwrap();
    let log = Log::new();
    let mut spawned = 0;
    while spawned < 200 {
        let a = system
            .actor(Spec::new("A", &log).factory())
            .placement(Placement::Dedicated)
            .spawn();
        match a {
            Ok(a) => {
                spawned += 1;
                for n in 0..5 {
                    // It may be stopped by then.
                    let _ = a.tell(Note(n));
                }
                if spawned % 2 == 0 {
                    a.stop();
                } else {
                    a.stop_with(StopMode::Kill);
                }
                let _ = a.tell(Note(9));
            }
            Err(SpawnError::DedicatedThreads { .. }) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    finish(system);
}

#[test]
fn too_many_threads_are_refused_at_the_start() {
    let refused = ActorSystem::builder().dedicated_threads(65).build();
    let error = refused.unwrap_err();
    assert!(matches!(error, StartError::Setting { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "dedicated_threads is 65: 0 to 64 per NUMA node is allowed"
    );
}

#[test]
fn none_at_all_may_be_allowed() {
    quiet();
    let system = ActorSystem::builder().dedicated_threads(0).build().unwrap();
    let refused = system
        .actor(Spec::new("A", &Log::new()).factory())
        .placement(Placement::Dedicated)
        .spawn();
    assert!(
        matches!(refused, Err(SpawnError::DedicatedThreads { limit: 0, .. })),
        "{refused:?}"
    );
    finish(system);
}

#[test]
fn a_subtree_is_placed_by_one_word_that_a_spawn_may_contradict() {
    quiet();
    let (system, log) = (system(), Log::new());
    let nodes = system.numa_nodes();
    let (first, last) = (nodes[0], *nodes.last().unwrap());
    let parent = system
        .actor(Spec::new("A", &log).factory())
        .placement(Placement::Node(first))
        .children_placement(Placement::Node(last))
        .spawn()
        .unwrap();
    let below = |parent: ActorRef<Node>, placement: Option<Placement>| {
        let spec = Spec::new("child", &log);
        parent
            .ask_blocking(with(move |_, cx| {
                let builder = cx.actor(spec.factory());
                match placement {
                    Some(placement) => builder.placement(placement),
                    None => builder,
                }
                .spawn()
                .unwrap()
            }))
            .unwrap()
    };
    assert_eq!(parent.id().numa_node(), first);
    let child = below(parent, None);
    let grandchild = below(child, None);
    assert_eq!(child.id().numa_node(), last);
    assert_eq!(grandchild.id().numa_node(), last, "and so on down");
    let told = below(parent, Some(Placement::Node(first)));
    assert_eq!(told.id().numa_node(), first, "its own word counts more");
    assert_eq!(below(told, None).id().numa_node(), last);
    // Kept through a restart.
    parent.crash();
    assert_eq!(parent.life(), 2);
    assert_eq!(below(parent, None).id().numa_node(), last);
    finish(system);
}
