//! Work that blocks: on threads of its own, near its actor, with its context, and with an end.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::Topology;
use actor_core::{
    Blocking, BlockingError, StartError, StopMode, SystemBuilder, TraceContext, blocking,
};
use common::*;

/// One worker: who blocks it blocks all.
fn one() -> SystemBuilder {
    ActorSystem::builder().topology(Topology::pretend("1x1").unwrap())
}

/// An actor that blocks in every way that is allowed.
#[derive(Actor)]
struct Disk {
    written: u64,
    _dropped: Token,
}

#[messages]
impl Disk {
    /// Blocks its thread, and works on the state meanwhile.
    #[message(blocking)]
    fn write(&mut self, gate: Gate, begun: Arc<AtomicU64>) -> u64 {
        begun.fetch_add(1, Ordering::Release);
        gate.pass();
        self.written += 1;
        self.written
    }

    #[message(blocking)]
    fn trace(&self) -> Option<actor_core::TraceId> {
        Context::current().trace().map(TraceContext::trace_id)
    }

    #[message(blocking)]
    fn fail(&mut self) {
        panic!("the disk is full, as planned");
    }

    #[message(blocking)]
    fn thread(&self) -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    #[message]
    fn written(&self) -> u64 {
        self.written
    }

    #[message]
    fn tie(&mut self, other: ActorRef<Quick>, cx: &mut ActorContext<Self>) {
        cx.link(other);
    }

    /// Awaits blocking work.
    #[message]
    async fn sum(&mut self, upto: u64, cx: &mut ActorContext<Self>) -> Result<u64, BlockingError> {
        cx.blocking(move || (1..=upto).sum()).await
    }

    #[message]
    async fn panics(&mut self, cx: &mut ActorContext<Self>) -> Result<(), BlockingError> {
        cx.blocking(|| panic!("as planned")).await
    }

    #[message]
    async fn waits(&mut self, gate: Gate, cx: &mut ActorContext<Self>) -> bool {
        cx.blocking(move || gate.pass()).await.is_ok()
    }
}

fn disk(system: &ActorSystem, tally: &Tally) -> ActorRef<Disk> {
    let tally = tally.clone();
    system
        .actor(move || Disk {
            written: 0,
            _dropped: tally.token(),
        })
        .spawn()
        .unwrap()
}

struct Quick;
impl Actor for Quick {}
struct Ping;
impl Message for Ping {
    type Reply = ();
}
impl SyncHandler<Ping> for Quick {
    fn handle(&mut self, Ping: Ping, _cx: &mut ActorContext<Self>) {}
}

#[track_caller]
fn begun(count: &AtomicU64, n: u64) {
    wait_until("the work has begun", || count.load(Ordering::Acquire) >= n);
}

#[test]
fn a_blocking_handler_leaves_its_worker_to_others() {
    // Without spares, so that nobody helps the worker out.
    let system = one().spares(0).build().unwrap();
    let (tally, gate, count) = (Tally::new(), Gate::new(), Arc::new(AtomicU64::new(0)));
    let disk = disk(&system, &tally);
    let quick = system.spawn(Quick).unwrap();
    disk.tell(Write {
        gate: gate.clone(),
        begun: count.clone(),
    })
    .unwrap();
    begun(&count, 1);
    for _ in 0..100 {
        quick.ask_blocking(Ping).unwrap();
    }
    // The next message of the same actor waits.
    let after = std::thread::spawn(move || disk.ask_blocking(Written).unwrap());
    assert!(!after.is_finished());
    gate.open();
    assert_eq!(after.join().unwrap(), 1);
    assert!(disk.ask_blocking(Thread).unwrap().starts_with("blocking-0"));
    finish(system);
    tally.all_dropped();
}

#[test]
fn m16_the_context_is_in_force_in_blocking_work() {
    let system = one().build().unwrap();
    let tally = Tally::new();
    let disk = disk(&system, &tally);
    let trace = TraceContext::new_root(true);
    let id = trace.trace_id();
    let context = Context::empty().with_trace(trace);
    let seen = system.block_on(async { disk.ask(Trace).context(context.clone()).await });
    assert_eq!(seen.unwrap(), Some(id));
    let seen = system.block_on(context.scope(async {
        system
            .blocking(|| Context::current().trace().map(TraceContext::trace_id))
            .await
    }));
    assert_eq!(seen.unwrap(), Some(id));
    assert_eq!(disk.ask_blocking(Trace).unwrap(), None, "and does not leak");
    finish(system);
}

#[test]
fn work_has_its_result_or_its_panic() {
    let system = one().build().unwrap();
    let tally = Tally::new();
    let disk = disk(&system, &tally);
    assert_eq!(disk.ask_blocking(Sum { upto: 100 }).unwrap(), Ok(5050));
    match disk.ask_blocking(Panics).unwrap() {
        Err(BlockingError::Panicked(text)) => assert_eq!(&*text, "as planned"),
        other => panic!("{other:?}"),
    }
    // The actor lives on: it was told, as of any error.
    assert_eq!(disk.ask_blocking(Written).unwrap(), 0);
    assert_eq!(system.stats().actors.restarts, 0);
    assert_eq!(system.stats().actors.panics, 1);
    finish(system);
    tally.all_dropped();
}

#[test]
fn a_panic_in_a_blocking_handler_is_the_actors() {
    let system = one().build().unwrap();
    let tally = Tally::new();
    let disk = disk(&system, &tally);
    let failed = disk.ask_blocking(Fail);
    assert!(
        matches!(failed, Err(AskError::Panicked { .. })),
        "{failed:?}"
    );
    // The next life answers.
    wait_until("it has started again", || {
        disk.ask_blocking(Written).is_ok_and(|written| written == 0)
    });
    assert_eq!(system.stats().actors.restarts, 1);
    finish(system);
    tally.all_dropped();
}

/// A kill finds the state lent: it waits for the thread, and no worker waits with it.
#[test]
fn a_killed_actor_ends_when_its_blocking_handler_has_come_back() {
    let system = one().spares(0).build().unwrap();
    let (tally, gate, count) = (Tally::new(), Gate::new(), Arc::new(AtomicU64::new(0)));
    let disk = disk(&system, &tally);
    let quick = system.spawn(Quick).unwrap();
    disk.tell(Write {
        gate: gate.clone(),
        begun: count.clone(),
    })
    .unwrap();
    begun(&count, 1);
    disk.tell(Written).unwrap();
    disk.stop_with(StopMode::Kill);
    for _ in 0..100 {
        quick.ask_blocking(Ping).unwrap();
    }
    assert_eq!(tally.alive(), 1, "in use");
    assert_eq!(system.stats().actors.stopped, 0);
    gate.open();
    wait_until("it has stopped", || system.stats().actors.stopped == 1);
    tally.all_dropped();
    let books = finish(system);
    assert_eq!(books.dead_letters.actor_stopped, 1, "{books}");
}

/// The same for an actor that fails meanwhile; the failure is not forgotten.
#[test]
fn a_link_that_breaks_during_a_blocking_handler_waits_for_it() {
    let system = one().spares(0).build().unwrap();
    let (tally, gate, count) = (Tally::new(), Gate::new(), Arc::new(AtomicU64::new(0)));
    let tokens = tally.clone();
    let make = move || Disk {
        written: 0,
        _dropped: tokens.token(),
    };
    let disk = system
        .actor(make)
        .restart(Restart::Transient)
        .spawn()
        .unwrap();
    let (quick, other) = (system.spawn(Quick).unwrap(), system.spawn(Quick).unwrap());
    disk.ask_blocking(Tie { other }).unwrap();
    let (inside, begin) = (gate.clone(), count.clone());
    let writing = std::thread::spawn(move || {
        disk.ask_blocking(Write {
            gate: inside,
            begun: begin,
        })
    });
    begun(&count, 1);
    other.stop_with(StopMode::Kill);
    wait_until("it is gone", || system.stats().actors.stopped == 1);
    for _ in 0..100 {
        quick.ask_blocking(Ping).unwrap();
    }
    assert_eq!((tally.made(), tally.alive()), (1, 1), "in use");
    gate.open();
    assert_eq!(writing.join().unwrap().unwrap(), 1, "it came to its end");
    assert_eq!(disk.ask_blocking(Written).unwrap(), 0, "another life");
    assert_eq!(system.stats().actors.restarts, 1);
    finish(system);
    tally.all_dropped();
}

struct Owner(Tally);
impl Actor for Owner {}
struct Hire;
impl Message for Hire {
    type Reply = ActorRef<Disk>;
}
impl SyncHandler<Hire> for Owner {
    fn handle(&mut self, Hire: Hire, cx: &mut ActorContext<Self>) -> ActorRef<Disk> {
        let disk = Disk {
            written: 0,
            _dropped: self.0.token(),
        };
        cx.actor(disk)
            .shutdown(Shutdown::After(Duration::from_millis(10)))
            .spawn()
            .unwrap()
    }
}

/// A child's time to stop is over while a thread has its state: no worker waits for that thread, nor does
/// the parent.
#[test]
fn s13_a_child_whose_blocking_handler_does_not_come_back_is_abandoned() {
    let system = one().spares(0).build().unwrap();
    let (tally, gate, count) = (Tally::new(), Gate::new(), Arc::new(AtomicU64::new(0)));
    let owner = system.spawn(Owner(tally.clone())).unwrap();
    let quick = system.spawn(Quick).unwrap();
    let disk = owner.ask_blocking(Hire).unwrap();
    disk.tell(Write {
        gate: gate.clone(),
        begun: count.clone(),
    })
    .unwrap();
    begun(&count, 1);
    owner.stop();
    wait_until("the owner has stopped", || {
        system.stats().actors.stopped == 1
    });
    assert_eq!(system.stats().actors.abandoned, 1);
    for _ in 0..100 {
        quick.ask_blocking(Ping).unwrap();
    }
    assert_eq!(tally.alive(), 1, "in use");
    gate.open();
    wait_until("it has stopped", || system.stats().actors.stopped == 2);
    tally.all_dropped();
    let books = finish(system);
    assert_eq!(books.dead_letters.total(), 0, "{books}");
}

#[test]
fn work_that_nobody_waits_for_any_more_is_not_begun() {
    let system = one().blocking_threads(1).build().unwrap();
    let (gate, ran) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let (first, second) = (gate.clone(), ran.clone());
    let (tell, told) = mpsc::channel();
    system.block_on(async {
        let mut busy = Box::pin(system.blocking(move || {
            tell.send(()).unwrap();
            first.pass();
        }));
        assert!(poll_once(busy.as_mut()).await.is_none());
        told.recv().unwrap();
        let mut waiting = Box::pin(system.blocking(move || second.store(true, Ordering::SeqCst)));
        assert!(poll_once(waiting.as_mut()).await.is_none());
        assert_eq!(system.stats().numa_nodes[0].blocking.queued, 1);
        drop(waiting);
        gate.open();
        within(busy).await.unwrap();
        // The thread has come by the abandoned one before this.
        within(system.blocking(|| ())).await.unwrap();
    });
    assert!(!ran.load(Ordering::SeqCst));
    finish(system);
}

#[test]
fn m14_work_that_is_late_or_cancelled_before_it_begins_is_refused() {
    let system = one().build().unwrap();
    let cancel = CancelToken::new();
    cancel.cancel();
    for context in [
        Context::empty().with_cancel(cancel),
        Context::empty().with_timeout(Duration::ZERO),
    ] {
        let refused = system.block_on(context.scope(async { system.blocking(|| 1).await }));
        assert_eq!(refused, Err(BlockingError::Cancelled));
    }
    finish(system);
}

#[test]
fn a_full_queue_is_a_result() {
    let system = one().blocking_threads(1).blocking_queue(1).build().unwrap();
    let gate = Gate::new();
    system.block_on(async {
        let block = || {
            let gate = gate.clone();
            Box::pin(system.blocking(move || gate.pass()))
        };
        let (mut running, mut queued) = (block(), block());
        assert!(poll_once(running.as_mut()).await.is_none());
        while system.stats().numa_nodes[0].blocking.running == 0 {
            tokio::task::yield_now().await;
        }
        assert!(poll_once(queued.as_mut()).await.is_none());
        assert_eq!(
            system.blocking(|| ()).await,
            Err(BlockingError::Full { limit: 1 })
        );
        gate.open();
        within(running).await.unwrap();
        within(queued).await.unwrap();
    });
    finish(system);
}

/// Every job runs once, whoever finds a thread for it.
#[test]
fn many_jobs_on_few_threads_all_run() {
    let system = one()
        .blocking_threads(3)
        .blocking_queue(10_000)
        .build()
        .unwrap();
    let ran = Arc::new(AtomicU64::new(0));
    system.block_on(async {
        for _ in 0..20 {
            let jobs: Vec<Blocking<()>> = (0..200)
                .map(|_| {
                    let ran = ran.clone();
                    system.blocking(move || {
                        ran.fetch_add(1, Ordering::Relaxed);
                    })
                })
                .collect();
            let tasks: Vec<_> = jobs
                .into_iter()
                .map(|job| system.tokio().spawn(job))
                .collect();
            for task in tasks {
                within(task).await.unwrap().unwrap();
            }
        }
    });
    assert_eq!(ran.load(Ordering::Relaxed), 4000);
    assert!(system.stats().numa_nodes[0].blocking.threads <= 3);
    finish(system);
}

#[test]
fn anywhere_in_a_system_there_is_a_pool_and_elsewhere_there_is_none() {
    let system = one().build().unwrap();
    let name = || std::thread::current().name().unwrap_or_default().to_owned();
    // In a task of the reactor, and in blocking work.
    let there = system.block_on(async {
        let nested = system.tokio().spawn(async move {
            blocking(move || {
                let system_is_here = tokio::runtime::Handle::try_current().is_ok();
                (name(), system_is_here)
            })
            .await
        });
        nested.await.unwrap().unwrap()
    });
    assert!(there.0.starts_with("blocking-0"), "{there:?}");
    assert!(there.1, "tokio is at hand");
    let nowhere = std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(blocking(|| ()))
    });
    assert_eq!(nowhere.join().unwrap(), Err(BlockingError::NoSystem));
    finish(system);
}

#[test]
fn x01_a_shutdown_waits_for_blocking_work() {
    let system = one().build().unwrap();
    let tally = Tally::new();
    let disk = disk(&system, &tally);
    let (gate, count) = (Gate::new(), Arc::new(AtomicU64::new(0)));
    let opener = gate.clone();
    disk.tell(Write {
        gate,
        begun: count.clone(),
    })
    .unwrap();
    begun(&count, 1);
    let opening = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        opener.open();
    });
    let report = system.shutdown_blocking(PATIENCE);
    opening.join().unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.conservation.handled, 1);
    tally.all_dropped();
}

#[test]
fn x02_blocking_work_that_does_not_come_back_is_named() {
    let system = one().build().unwrap();
    let handle = system.handle();
    let tally = Tally::new();
    let disk = disk(&system, &tally);
    let (gate, count) = (Gate::new(), Arc::new(AtomicU64::new(0)));
    disk.tell(Write {
        gate: gate.clone(),
        begun: count.clone(),
    })
    .unwrap();
    begun(&count, 1);
    let report = system.shutdown_blocking(Duration::from_millis(20));
    assert!(!report.is_clean());
    let [left] = &report.blocking_left[..] else {
        panic!("{report}");
    };
    assert_eq!(left.actor, Some(disk.id()), "{report}");
    assert!(left.work.ends_with("Write"), "{report}");
    assert!(report.to_string().contains("Write"), "{report}");
    assert_eq!(tally.alive(), 1, "in use");
    // A word from outside finds the state in use still, and does not make the cell deaf.
    disk.stop();
    // It comes back when nobody expects it, and harms nobody.
    gate.open();
    wait_until("it has ended", || tally.alive() == 0);
    settle(&handle);
    assert_eq!(handle.block_on_blocking(), Err(BlockingError::ShuttingDown));
}

/// Asks an ended system for blocking work.
trait AfterTheEnd {
    fn block_on_blocking(&self) -> Result<(), BlockingError>;
}

impl AfterTheEnd for actor_core::SystemRef {
    fn block_on_blocking(&self) -> Result<(), BlockingError> {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(self.blocking(|| ()))
    }
}

#[test]
fn an_actor_killed_while_it_awaits_work_leaves_the_work_to_run() {
    let system = one().build().unwrap();
    let tally = Tally::new();
    let disk = disk(&system, &tally);
    let gate = Gate::new();
    disk.tell(Waits { gate: gate.clone() }).unwrap();
    wait_until("it runs", || {
        system.stats().numa_nodes[0].blocking.running == 1
    });
    disk.stop_with(StopMode::Kill);
    wait_until("it has stopped", || system.stats().actors.stopped == 1);
    tally.all_dropped();
    gate.open();
    wait_until("the work is done", || {
        system.stats().numa_nodes[0].blocking.running == 0
    });
    finish(system);
}

#[test]
fn bad_settings_are_refused_by_name() {
    for (builder, setting) in [
        (
            ActorSystem::builder().blocking_threads(0),
            "blocking_threads",
        ),
        (ActorSystem::builder().blocking_queue(0), "blocking_queue"),
    ] {
        match builder.build() {
            Err(StartError::Setting { setting: named, .. }) => assert_eq!(named, setting),
            other => panic!("{setting}: {other:?}"),
        }
    }
}
