//! Small messages and asks take nothing from the global allocator once the caches are warm, recorded or not. A binary of
//! its own, with an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actor_core::TraceContext;
use actor_core::prelude::*;

struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Those of them on threads that handlers have run on.
static OF_WORKERS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if COUNTS.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        if IS_WORKER.get() {
            OF_WORKERS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by the caller.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: by the caller.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of the whole process, all threads, while `f` runs.
fn allocations(f: impl FnOnce()) -> u64 {
    OF_WORKERS.store(0, Ordering::SeqCst);
    ALLOCATIONS.store(0, Ordering::SeqCst);
    COUNTS.store(true, Ordering::SeqCst);
    f();
    COUNTS.store(false, Ordering::SeqCst);
    ALLOCATIONS.load(Ordering::SeqCst)
}

/// As `allocations`, of the workers alone: beside them the collector of spans keeps what it gets.
fn allocations_of_workers(f: impl FnOnce()) -> u64 {
    allocations(f);
    OF_WORKERS.load(Ordering::SeqCst)
}

/// Plays ping-pong by telling, and asks.
struct Player {
    other: Option<ActorRef<Self>>,
    done: Option<tokio::sync::mpsc::Sender<()>>,
}
impl Actor for Player {}
struct Meet(ActorRef<Player>, tokio::sync::mpsc::Sender<()>);
impl Message for Meet {
    type Reply = ();
}
impl SyncHandler<Meet> for Player {
    fn handle(&mut self, Meet(other, done): Meet, _cx: &mut ActorContext<Self>) {
        (self.other, self.done) = (Some(other), Some(done));
    }
}
struct Ball(u32);
impl Message for Ball {
    type Reply = ();
}
impl SyncHandler<Ball> for Player {
    fn handle(&mut self, Ball(left): Ball, _cx: &mut ActorContext<Self>) {
        IS_WORKER.set(true);
        match (left, self.other, &self.done) {
            (0, _, Some(done)) => done.try_send(()).unwrap(),
            (_, Some(other), _) => other.tell(Ball(left - 1)).unwrap(),
            _ => {}
        }
    }
}
struct Add(u64);
impl Message for Add {
    type Reply = u64;
}
impl SyncHandler<Add> for Player {
    fn handle(&mut self, Add(n): Add, _cx: &mut ActorContext<Self>) -> u64 {
        n + 1
    }
}
struct AskOften {
    times: u64,
    within: Option<Duration>,
}
impl Message for AskOften {
    type Reply = u64;
}
impl Handler<AskOften> for Player {
    async fn handle(
        &mut self,
        AskOften { times, within }: AskOften,
        _cx: &mut ActorContext<Self>,
    ) -> u64 {
        let other = self.other.expect("they have met");
        let mut sum = 0;
        for n in 0..times {
            let ask = other.ask(Add(n));
            sum += match within {
                Some(time) => ask.within(time).await.unwrap(),
                None => ask.await.unwrap(),
            };
        }
        sum
    }
}

const TIMES: u64 = 20_000;

#[test]
fn a_small_message_takes_nothing_from_the_global_allocator() {
    // Without spares: a thread that comes to help has no caches yet.
    let system = ActorSystem::builder().watchdog(false).build().unwrap();
    let (send, mut receive) = tokio::sync::mpsc::channel(1);
    let [a, b] = [0, 1].map(|_| {
        system
            .spawn(Player {
                other: None,
                done: None,
            })
            .unwrap()
    });
    a.ask_blocking(Meet(b, send.clone())).unwrap();
    b.ask_blocking(Meet(a, send)).unwrap();

    let mut play = || {
        a.tell(Ball(TIMES as u32)).unwrap();
        receive.blocking_recv().unwrap();
    };
    let ask = |within| {
        let sum = a
            .ask_blocking(AskOften {
                times: TIMES,
                within,
            })
            .unwrap();
        assert_eq!(sum, (1..=TIMES).sum());
    };
    let from_a_thread = || {
        for n in 0..TIMES {
            assert_eq!(a.ask_blocking(Add(n)).unwrap(), n + 1);
        }
    };
    let tell_from_a_thread = || {
        for _ in 0..TIMES / 500 {
            for _ in 0..500 {
                b.tell(Add(1)).unwrap();
            }
            b.ask_blocking(Add(1)).unwrap();
        }
    };
    // A worker that slept through all of it would make its caches when it first wakes, which may be later.
    let crowd: Vec<_> = (0..64)
        .map(|_| {
            system
                .spawn(Player {
                    other: None,
                    done: None,
                })
                .unwrap()
        })
        .collect();
    while system.stats().workers.iter().any(|it| it.turns < 100) {
        for _ in 0..100 {
            for player in &crowd {
                player.tell(Add(1)).unwrap();
            }
        }
        for player in &crowd {
            player.ask_blocking(Add(1)).unwrap();
        }
    }
    let recorded = || Context::empty().with_trace(TraceContext::new_root(true));
    let ask_recorded = || {
        let (times, within) = (TIMES, None);
        let ask = a.ask(AskOften { times, within }).context(recorded());
        ask.blocking().unwrap();
    };
    // Twice, so that the wandering of blocks between threads has settled.
    for _ in 0..2 {
        play();
        recorded().run(&mut play);
        ask_recorded();
        ask(None);
        ask(Some(Duration::from_secs(3600)));
        from_a_thread();
        tell_from_a_thread();
    }

    let told = allocations(&mut play);
    let asked = allocations(|| ask(None));
    let with_deadline = allocations(|| ask(Some(Duration::from_secs(3600))));
    let by_thread = allocations(from_a_thread);
    let told_by_thread = allocations(tell_from_a_thread);
    let told_recorded = allocations_of_workers(|| recorded().run(&mut play));
    let asked_recorded = allocations_of_workers(ask_recorded);
    println!("of recorded traces, on workers: tell {told_recorded}, ask {asked_recorded}");
    println!(
        "allocations in {TIMES}: tell {told}, ask {asked}, ask with a deadline {with_deadline}, \
         ask from a thread {by_thread}, tell from a thread {told_by_thread}"
    );
    // The handful is not the messages': a queue that grows, a thread's first look at something.
    const A_HANDFUL: u64 = TIMES / 1000;
    assert!(told <= A_HANDFUL, "{told} allocations in {TIMES} tells");
    assert!(asked <= A_HANDFUL, "{asked} allocations in {TIMES} asks");
    assert!(
        told_recorded <= A_HANDFUL,
        "{told_recorded} allocations in {TIMES} recorded tells"
    );
    assert!(
        asked_recorded <= A_HANDFUL,
        "{asked_recorded} allocations in {TIMES} recorded asks"
    );
    assert!(
        with_deadline <= A_HANDFUL,
        "{with_deadline} allocations in {TIMES} asks with a deadline"
    );
    assert!(
        by_thread <= A_HANDFUL,
        "{by_thread} allocations in {TIMES} asks from a thread"
    );
    assert!(
        told_by_thread <= A_HANDFUL,
        "{told_by_thread} allocations in {TIMES} tells from a thread"
    );

    let report = system.shutdown_blocking(Duration::from_secs(10));
    assert!(
        report.is_clean() && report.conservation.holds_at_rest(),
        "{report}"
    );
}
