//! Every ask comes to one end, whatever happens to the one that is asked, and what waits through a restart
//! keeps its context.

mod common;
#[path = "common/life.rs"]
mod life;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{Baggage, StopMode};
use common::*;
use life::{Log, NodeRef, Spec, boom, quiet};

/// What the one that is asked does with it.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answer,
    AnswerLater,
    Panic,
    PanicLater,
    Never,
    Stop,
}

struct Asked {
    fate: Fate,
    _token: Token,
}

impl Message for Asked {
    type Reply = Token;
}

struct Fickle(Tally);

impl Actor for Fickle {}

impl Handler<Asked> for Fickle {
    async fn handle(&mut self, asked: Asked, cx: &mut ActorContext<Self>) -> Token {
        match asked.fate {
            Fate::Answer => {}
            Fate::AnswerLater => tokio::time::sleep(Duration::from_millis(2)).await,
            Fate::Panic => boom(),
            Fate::PanicLater => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                boom()
            }
            Fate::Never => std::future::pending().await,
            Fate::Stop => cx.stop(),
        }
        self.0.token()
    }
}

#[test]
fn c4_every_ask_comes_to_one_typed_end_whatever_happens() {
    quiet();
    let (system, log, tally) = (system(), Log::new(), Tally::new());
    let handle = system.handle();
    let mut spec = Spec::new("parent", &log);
    spec.supervision = Supervision::one_for_one()
        .intensity(10_000)
        .period(Duration::from_millis(1));
    let parent = spec.spawn(&system);
    let replies = tally.clone();
    let spawn = move || {
        let replies = replies.clone();
        parent.ask_blocking(life::with(move |_, cx| {
            cx.actor(move || Fickle(replies.clone()))
                .restart(Restart::Transient)
                .mailbox(Mailbox::bounded(8))
                .spawn()
                .unwrap()
        }))
    };
    let targets: Arc<Vec<_>> = Arc::new(
        (0..4)
            .map(|_| std::sync::Mutex::new(spawn().unwrap()))
            .collect(),
    );
    let go = Arc::new(AtomicBool::new(true));
    // Handlers that never end are cut off, and who has stopped is replaced.
    let killer = {
        let (targets, go) = (targets.clone(), go.clone());
        std::thread::spawn(move || {
            let mut shake = Shake::new(7);
            while go.load(Ordering::Relaxed) {
                let at = &targets[shake.below(4) as usize];
                let target = *at.lock().unwrap();
                target.stop_with(match shake.below(3) {
                    0 => StopMode::Kill,
                    1 => StopMode::Now,
                    _ => StopMode::Drain,
                });
                // One that drains behind a handler without end would not get there.
                std::thread::sleep(Duration::from_millis(2));
                target.stop_with(StopMode::Kill);
                *at.lock().unwrap() = spawn().unwrap();
            }
        })
    };
    let other = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    const ASKERS: u64 = 8;
    let each: u64 = if cfg!(debug_assertions) { 150 } else { 1000 };
    let ends: Arc<[AtomicU64; 5]> = Arc::default();
    let askers: Vec<_> = (0..ASKERS)
        .map(|asker| {
            let (targets, tally, ends) = (targets.clone(), tally.clone(), ends.clone());
            other.spawn(async move {
                let mut shake = Shake::new(asker + 1);
                for _ in 0..each {
                    let target = *targets[shake.below(4) as usize].lock().unwrap();
                    let fate = match shake.below(8) {
                        0 => Fate::Panic,
                        1 => Fate::PanicLater,
                        2 => Fate::Never,
                        3 => Fate::Stop,
                        4 | 5 => Fate::AnswerLater,
                        _ => Fate::Answer,
                    };
                    let mut ask = target.ask(Asked {
                        fate,
                        _token: tally.token(),
                    });
                    if shake.below(2) == 0 {
                        ask = ask.within(Duration::from_millis(1 + shake.below(5)));
                    }
                    let end = match within(ask).await {
                        Ok(_reply) => 0,
                        Err(AskError::Dead { .. }) => 1,
                        Err(AskError::Panicked { .. }) => 2,
                        Err(AskError::Expired { .. }) => 3,
                        Err(other) => panic!("{other}"),
                    };
                    ends[end].fetch_add(1, Ordering::Relaxed);
                    if end == 1 {
                        // Until there is another one to ask.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            })
        })
        .collect();
    other.block_on(async {
        for asker in askers {
            asker.await.unwrap();
        }
    });
    go.store(false, Ordering::Relaxed);
    killer.join().unwrap();
    let ends: Vec<u64> = ends.iter().map(|end| end.load(Ordering::Relaxed)).collect();
    assert_eq!(ends.iter().sum::<u64>(), ASKERS * each);
    assert!(ends[..4].iter().all(|end| *end > 0), "all ends: {ends:?}");
    // What the askers were told is what is in the books.
    let asks = system.stats().asks;
    assert_eq!(
        [asks.dead, asks.panicked, asks.expired],
        ends[1..4],
        "{asks}"
    );
    assert_eq!(
        (asks.failed(), asks.in_flight()),
        (ends[1..4].iter().sum(), 0),
        "{asks}"
    );
    for target in targets.iter() {
        target.lock().unwrap().stop_with(StopMode::Kill);
    }
    finish(system);
    tally.all_dropped();
    assert_eq!(handle.stats().actors.alive(), 0);
}

/// Answers with the baggage of its context.
struct Told;

impl Message for Told {
    type Reply = Option<String>;
}

struct Listener;

impl Actor for Listener {}

impl SyncHandler<Told> for Listener {
    fn handle(&mut self, Told: Told, cx: &mut ActorContext<Self>) -> Option<String> {
        cx.context().baggage().get("tenant").map(str::to_owned)
    }
}

struct Break(Gate);

impl Message for Break {
    type Reply = ();
}

impl SyncHandler<Break> for Listener {
    fn handle(&mut self, Break(gate): Break, _cx: &mut ActorContext<Self>) {
        gate.pass();
        boom()
    }
}

#[test]
fn m16_what_waits_through_a_restart_keeps_its_own_context() {
    quiet();
    let (system, log) = (system(), Log::new());
    let bystander = Spec::new("bystander", &log).spawn(&system);
    let listener = system
        .actor(|| Listener)
        .restart(Restart::Permanent)
        .spawn()
        .unwrap();
    let gate = Gate::new();
    listener.tell(Break(gate.clone())).unwrap();
    let asks: Vec<_> = [Some("one"), None, Some("two")]
        .into_iter()
        .map(|tenant| {
            let mut context = Context::empty();
            if let Some(tenant) = tenant {
                let baggage = Baggage::empty().with("tenant", tenant).unwrap();
                context = context.with_baggage(baggage);
            }
            let ask = std::thread::spawn(move || listener.ask(Told).context(context).blocking());
            (tenant, ask)
        })
        .collect();
    wait_until("all wait", || listener.queue_len() >= 3);
    gate.open();
    for (tenant, ask) in asks {
        assert_eq!(ask.join().unwrap().unwrap().as_deref(), tenant);
    }
    assert_eq!(bystander.life(), 1);
    assert_eq!(system.stats().actors.restarts, 1);
    finish(system);
}
