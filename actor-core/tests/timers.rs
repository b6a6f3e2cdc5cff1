//! T01 to T05: an actor's messages to itself, later.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{
    ActorError, Baggage, Every, Overflow, Placement, StopMode, TimerKey, TimerRef, TraceContext,
};
use common::{Gate, PATIENCE, Tally, Token, finish, settle, system, wait_until};

const SOON: Duration = Duration::from_millis(5);
const LATER: Duration = Duration::from_secs(3600);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs what it is told to with its own context, and notes the marks that come.
struct Clock {
    seen: Sender<(u32, Instant)>,
    at_start: Option<fn(&mut ActorContext<Self>)>,
}

impl Actor for Clock {
    async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        if let Some(run) = self.at_start {
            run(cx);
        }
        Ok(())
    }
}

/// Arrives: noted.
struct Mark(u32);
impl Message for Mark {
    type Reply = ();
}
impl SyncHandler<Mark> for Clock {
    fn handle(&mut self, Mark(n): Mark, _cx: &mut ActorContext<Self>) {
        self.seen.send((n, Instant::now())).unwrap();
    }
}

/// Arrives with something whose drop is counted.
struct Heavy(#[allow(dead_code, reason = "its drop is counted")] Token);
impl Message for Heavy {
    type Reply = ();
}
impl SyncHandler<Heavy> for Clock {
    fn handle(&mut self, heavy: Heavy, _cx: &mut ActorContext<Self>) {
        drop(heavy);
        self.seen.send((u32::MAX, Instant::now())).unwrap();
    }
}

type Job<R> = Box<dyn FnOnce(&mut ActorContext<Clock>) -> R + Send>;

/// Runs in the handler.
struct Run<R>(Job<R>);
impl<R: Send + 'static> Message for Run<R> {
    type Reply = R;
}
impl<R: Send + 'static> SyncHandler<Run<R>> for Clock {
    fn handle(&mut self, Run(job): Run<R>, cx: &mut ActorContext<Self>) -> R {
        job(cx)
    }
}

fn run<R: Send + 'static>(
    clock: ActorRef<Clock>,
    job: impl FnOnce(&mut ActorContext<Clock>) -> R + Send + 'static,
) -> R {
    clock.ask_blocking(Run(Box::new(job))).unwrap()
}

fn clock(system: &ActorSystem) -> (ActorRef<Clock>, Receiver<(u32, Instant)>) {
    clock_with(system, Mailbox::default(), None)
}

fn clock_with(
    system: &ActorSystem,
    mailbox: Mailbox,
    at_start: Option<fn(&mut ActorContext<Clock>)>,
) -> (ActorRef<Clock>, Receiver<(u32, Instant)>) {
    let (seen, marks) = channel();
    let clock = system
        .actor(move || Clock {
            seen: seen.clone(),
            at_start,
        })
        .mailbox(mailbox)
        .spawn()
        .unwrap();
    (clock, marks)
}

fn next(marks: &Receiver<(u32, Instant)>) -> (u32, Instant) {
    marks.recv_timeout(PATIENCE).expect("a mark comes")
}

/// Nothing has come, and after a message that was sent behind all that waits nothing has either.
fn nothing(clock: ActorRef<Clock>, marks: &Receiver<(u32, Instant)>) {
    run(clock, |_| ());
    assert!(marks.try_recv().is_err(), "something was delivered");
}

#[test]
fn t01_once_and_not_before_its_time() {
    let system = system();
    let (clock, marks) = clock(&system);
    for (n, delay) in [(1, ms(0)), (2, ms(1)), (3, ms(30))] {
        let began = Instant::now();
        let id = run(clock, move |cx| cx.send_after(delay, Mark(n)));
        let (mark, at) = next(&marks);
        assert_eq!(mark, n);
        assert!(at - began >= delay, "{:?} is before {delay:?}", at - began);
        assert!(!run(clock, move |cx| cx.cancel_timer(id)), "it has fired");
    }
    let at = Instant::now() + ms(20);
    run(clock, move |cx| cx.send_at(at, Mark(4)));
    assert!(next(&marks).1 >= at);
    // In the past: soon.
    let before = Instant::now();
    run(clock, move |cx| cx.send_at(before, Mark(5)));
    assert_eq!(next(&marks).0, 5);
    nothing(clock, &marks);
    assert_eq!(run(clock, |cx| cx.timers()), 0);
    finish(system);
}

#[test]
fn t01_what_is_due_earlier_comes_first() {
    let system = system();
    let (clock, marks) = clock(&system);
    // Set before the first of them is due, or it says nothing: once more then, with more time.
    for limit in (0..10).map(|n| ms(10) * (1 << n)) {
        let in_time = run(clock, move |cx| {
            let began = Instant::now();
            for n in [3, 1, 4, 2, 5] {
                cx.send_at(began + limit + ms(10) * n, Mark(n));
            }
            // Of one moment: in the order they were set.
            for n in 6..10 {
                cx.send_at(began + limit + ms(90), Mark(n));
            }
            began.elapsed() < limit
        });
        let order: Vec<u32> = (1..10).map(|_| next(&marks).0).collect();
        if in_time {
            assert_eq!(order, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
            finish(system);
            return;
        }
    }
    panic!("this machine is too slow");
}

#[test]
fn t01_an_interval_stays_on_its_grid() {
    let system = system();
    let (clock, marks) = clock(&system);
    let began = Instant::now();
    let mut n = 0;
    let id = run(clock, move |cx| {
        cx.send_interval(ms(4), move || {
            n += 1;
            Mark(n)
        })
    });
    for n in 1..=10 {
        let (mark, at) = next(&marks);
        assert_eq!(mark, n);
        assert!(
            at - began >= ms(4) * n,
            "tick {n} came after {:?}",
            at - began
        );
    }
    let remaining = run(clock, move |cx| cx.timer_remaining(id)).unwrap();
    assert!(remaining <= ms(4), "{remaining:?}");
    assert!(run(clock, move |cx| cx.cancel_timer(id)));
    while marks.try_recv().is_ok() {}
    nothing(clock, &marks);
    finish(system);
}

#[test]
fn t01_after_a_stall_one_tick_and_the_missed_ones_are_counted() {
    let system = system();
    let (clock, marks) = clock(&system);
    let gate = Gate::new();
    let began = Instant::now();
    let id = run(clock, |cx| cx.send_interval(ms(1), || Mark(1)));
    next(&marks);
    let (shut, stalls) = (gate.clone(), Gate::new());
    let stalled = stalls.clone();
    clock
        .tell(Run(Box::new(move |_| {
            stalled.open();
            shut.pass();
        })))
        .unwrap();
    stalls.pass();
    // A stall of sixty ticks and more, as long as it takes.
    std::thread::sleep(ms(60));
    gate.open();
    // The stall is one tick, so there are fewer ticks than milliseconds. Some may have been missed before it.
    let missed = loop {
        next(&marks);
        let missed = run(clock, move |cx| cx.missed_ticks(id)).unwrap();
        if missed >= 30 {
            break missed;
        }
    };
    assert!(run(clock, move |cx| cx.cancel_timer(id)));
    let ticks = 2 + marks.try_iter().count() as u64;
    let most = began.elapsed().as_millis() as u64;
    assert!(
        ticks + missed <= most + 2,
        "{ticks} ticks and {missed} missed in {most} ms: a burst"
    );
    finish(system);
}

#[test]
fn t01_a_fixed_delay_counts_from_the_last_tick() {
    let system = system();
    let (clock, marks) = clock(&system);
    let began = Instant::now();
    let id = run(clock, |cx| {
        cx.send_interval(Every::fixed_delay(ms(5)).first_after(ms(1)), || Mark(0))
    });
    // Each is due so long after the actor came to the one before. That is before its handler looks at the
    // clock, how long before is a matter of the machine; but it is after the handler of the one before that.
    let ticks: Vec<Instant> = (0..6).map(|_| next(&marks).1).collect();
    assert!(ticks[0] - began >= ms(1));
    for n in 2..ticks.len() {
        let between = ticks[n] - ticks[n - 2];
        assert!(between >= ms(5), "{between:?} for two ticks");
        let all = ticks[n] - ticks[0];
        assert!(all >= ms(5) * (n as u32 - 1), "{all:?} for {n} ticks");
    }
    assert_eq!(run(clock, move |cx| cx.missed_ticks(id)), Some(0));
    run(clock, |cx| cx.cancel_timers());
    finish(system);
}

#[test]
fn t01_a_full_mailbox_does_not_stop_timers_and_an_interval_queues_one_tick() {
    let system = system();
    for overflow in [
        Overflow::Wait,
        Overflow::Reject,
        Overflow::DropNewest,
        Overflow::DropOldest,
    ] {
        let (clock, marks) = clock_with(&system, Mailbox::bounded(2).overflow(overflow), None);
        let gate = Gate::new();
        let shut = gate.clone();
        let begun = Arc::new(AtomicBool::new(false));
        let begins = begun.clone();
        clock
            .tell(Run(Box::new(move |cx: &mut ActorContext<Clock>| {
                begins.store(true, Ordering::SeqCst);
                cx.send_after(SOON, Mark(1));
                cx.send_interval(ms(1), || Mark(7));
                shut.pass();
            })))
            .unwrap();
        wait_until("it is busy", || begun.load(Ordering::SeqCst));
        // Full, whatever that means here.
        for _ in 0..8 {
            let _ = clock.tell(Mark(2));
        }
        std::thread::sleep(ms(20));
        let waiting = clock.queue_len();
        assert!(waiting <= 8 + 2, "{overflow:?}: {waiting} wait");
        gate.open();
        let mut timers = (false, 0);
        let began = Instant::now();
        while !(timers.0 && timers.1 > 2) {
            assert!(began.elapsed() < PATIENCE, "{overflow:?}: {timers:?}");
            match next(&marks).0 {
                1 => timers.0 = true,
                7 => timers.1 += 1,
                _ => {}
            }
        }
        clock.stop();
        wait_until("it stops", || !clock.is_alive());
    }
    finish(system);
}

#[test]
fn t02_a_cancelled_timer_is_never_delivered() {
    let system = system();
    let (clock, marks) = clock(&system);
    let tally = Tally::new();
    let token = tally.token();
    let id = run(clock, move |cx| cx.send_after(LATER, Heavy(token)));
    let remaining = run(clock, move |cx| cx.timer_remaining(id)).unwrap();
    assert!(remaining > LATER / 2 && remaining <= LATER, "{remaining:?}");
    assert!(run(clock, move |cx| cx.cancel_timer(id)));
    assert!(!run(clock, move |cx| cx.cancel_timer(id)), "twice");
    assert_eq!(run(clock, move |cx| cx.timer_remaining(id)), None);
    // Its message goes at once, not when the time comes.
    tally.all_dropped();
    nothing(clock, &marks);
    finish(system);
}

#[test]
fn t02_a_timer_cancelled_while_its_message_is_queued_is_not_delivered() {
    let system = system();
    let (clock, marks) = clock(&system);
    let tally = Tally::new();
    let token = tally.token();
    let sent = Arc::new(AtomicBool::new(false));
    let seen = sent.clone();
    let cancelled = run(clock, move |cx| {
        let me = cx.actor_ref();
        let once = cx.send_after(ms(1), Heavy(token));
        let often = cx.send_interval(ms(1), || Mark(9));
        cx.set_timer("keyed", ms(1), Mark(8));
        // Four nodes are in the mailbox: the three, and one behind them.
        let began = Instant::now();
        while me.queue_len() < 3 {
            assert!(began.elapsed() < PATIENCE, "the timers do not fire");
            std::thread::sleep(ms(1));
        }
        seen.store(true, Ordering::SeqCst);
        assert_eq!(cx.timer_remaining(once), Some(Duration::ZERO));
        [
            cx.cancel_timer(once),
            cx.cancel_timer(often),
            cx.cancel_timer("keyed"),
        ]
    });
    assert_eq!(cancelled, [true; 3]);
    assert!(sent.load(Ordering::SeqCst));
    nothing(clock, &marks);
    tally.all_dropped();
    let books = finish(system);
    // Never sent, so not in the books: the jobs are all there is.
    assert_eq!(books.offered, books.handled);
    assert_eq!(books.handled, 2);
}

#[test]
fn t02_an_interval_can_be_cancelled_by_its_own_message() {
    struct Once {
        timer: Option<actor_core::TimerId>,
        ticks: Arc<AtomicUsize>,
    }
    impl Actor for Once {
        async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
            self.timer = Some(cx.send_interval(ms(1), || Mark(0)));
            Ok(())
        }
    }
    impl SyncHandler<Mark> for Once {
        fn handle(&mut self, _: Mark, cx: &mut ActorContext<Self>) {
            self.ticks.fetch_add(1, Ordering::SeqCst);
            assert!(cx.cancel_timer(self.timer.unwrap()));
            assert_eq!(cx.timers(), 0);
        }
    }
    let system = system();
    let ticks = Arc::new(AtomicUsize::new(0));
    let count = ticks.clone();
    system
        .spawn(move || Once {
            timer: None,
            ticks: count.clone(),
        })
        .unwrap();
    wait_until("it ticks", || ticks.load(Ordering::SeqCst) == 1);
    std::thread::sleep(ms(10));
    assert_eq!(ticks.load(Ordering::SeqCst), 1);
    finish(system);
}

#[test]
fn t03_timers_end_with_the_life_also_when_their_messages_are_queued() {
    let system = system();
    let tally = Tally::new();
    let (clock, marks) = clock(&system);
    for _ in 0..3 {
        let tokens: Vec<Token> = (0..4).map(|_| tally.token()).collect();
        let result = clock.ask_blocking(Run(Box::new(move |cx: &mut ActorContext<Clock>| {
            let me = cx.actor_ref();
            for (n, token) in tokens.into_iter().enumerate() {
                let delay = if n < 2 { ms(1) } else { LATER };
                cx.send_after(delay, Heavy(token));
            }
            cx.send_interval(ms(1), || Mark(1));
            cx.set_timer("again", ms(1), Mark(2));
            let began = Instant::now();
            while me.queue_len() < 4 {
                assert!(began.elapsed() < PATIENCE, "the timers do not fire");
                std::thread::sleep(ms(1));
            }
            panic!("this life ends");
        })));
        assert!(
            matches!(result, Err(AskError::Panicked { .. })),
            "{result:?}"
        );
        tally.all_dropped();
        nothing(clock, &marks);
        // The next life's own timers work, also under the same key.
        run(clock, |cx| {
            assert_eq!(cx.timers(), 0);
            cx.set_timer("again", ms(1), Mark(3));
        });
        assert_eq!(next(&marks).0, 3);
    }
    assert!(
        system
            .shutdown_blocking(PATIENCE)
            .conservation
            .holds_at_rest()
    );
}

#[test]
fn t03_every_life_sets_its_own_timers() {
    let system = system();
    let (clock, marks) = clock_with(
        &system,
        Mailbox::default(),
        Some(|cx| {
            cx.set_interval("beat", ms(2), || Mark(1));
        }),
    );
    next(&marks);
    for _ in 0..2 {
        let _ = clock.ask_blocking(Run(Box::new(|_: &mut ActorContext<Clock>| {
            if true {
                panic!("this life ends");
            }
        })));
        while marks.try_recv().is_ok() {}
        next(&marks);
        assert_eq!(run(clock, |cx| cx.timers()), 1);
    }
    assert!(
        system
            .shutdown_blocking(PATIENCE)
            .conservation
            .holds_at_rest()
    );
}

#[test]
fn t03_of_one_key_only_the_newest_is_delivered() {
    let system = system();
    let (clock, marks) = clock(&system);
    let tally = Tally::new();
    let tokens: Vec<Token> = (0..100).map(|_| tally.token()).collect();
    run(clock, move |cx| {
        let me = cx.actor_ref();
        for token in tokens {
            cx.set_timer(("retry", 7), ms(1), Heavy(token));
        }
        // The last of them is in the mailbox when it is replaced.
        let began = Instant::now();
        while me.queue_len() == 0 {
            assert!(began.elapsed() < PATIENCE, "the timer does not fire");
            std::thread::sleep(ms(1));
        }
        cx.set_interval(("retry", 7), ms(1), || Mark(1));
        cx.set_timer(("retry", 7), ms(2), Mark(2));
        cx.set_timer(("retry", 8), ms(2), Mark(3));
        assert_eq!(cx.timers(), 2);
        assert!(cx.timer_remaining(("retry", 7)).is_some());
    });
    tally.all_dropped();
    let mut seen = [next(&marks).0, next(&marks).0];
    seen.sort_unstable();
    assert_eq!(seen, [2, 3]);
    nothing(clock, &marks);
    assert!(!run(clock, |cx| cx.cancel_timer(TimerKey::from(("retry", 7)))));
    finish(system);
}

#[test]
fn t03_a_timer_id_means_nothing_to_another_actor() {
    let system = system();
    let (one, _) = clock(&system);
    let (two, _) = clock(&system);
    let id = run(one, |cx| cx.send_after(LATER, Mark(1)));
    run(two, |cx| cx.send_after(LATER, Mark(2)));
    assert!(!run(two, move |cx| cx.cancel_timer(id)));
    assert_eq!(run(two, |cx| cx.timers()), 1);
    assert!(run(one, move |cx| cx.cancel_timer(TimerRef::from(id))));
    finish(system);
}

/// As the contract says: all delivered, and others make progress meanwhile.
#[test]
fn t04_a_million_timers_of_one_instant_do_not_stall_others() {
    const TIMERS: u32 = if cfg!(debug_assertions) {
        200_000
    } else {
        1_000_000
    };
    struct Many(Arc<AtomicU64>);
    impl Actor for Many {}
    struct Fill(Instant);
    impl Message for Fill {
        type Reply = ();
    }
    impl SyncHandler<Fill> for Many {
        fn handle(&mut self, Fill(at): Fill, cx: &mut ActorContext<Self>) {
            for _ in 0..TIMERS {
                cx.send_at(at, Mark(0));
            }
        }
    }
    impl SyncHandler<Mark> for Many {
        fn handle(&mut self, _: Mark, _cx: &mut ActorContext<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let system = system();
    let seen = Arc::new(AtomicU64::new(0));
    let many = system
        .actor(Many(seen.clone()))
        .placement(Placement::Spread)
        .spawn()
        .unwrap();
    let (quiet, _marks) = clock(&system);
    // All of them are due when the last is set.
    let at = Instant::now() + ms(1);
    many.tell(Fill(at)).unwrap();
    let (mut rounds, mut worst) = (0, Duration::ZERO);
    loop {
        let began = Instant::now();
        run(quiet, |_| ());
        (rounds, worst) = (rounds + 1, worst.max(began.elapsed()));
        if seen.load(Ordering::Relaxed) == u64::from(TIMERS) {
            break;
        }
        assert!(at.elapsed() < PATIENCE, "they do not all come");
    }
    println!("{TIMERS} timers of one instant; {rounds} asks meanwhile, the slowest {worst:?}");
    assert!(worst < PATIENCE / 4, "a quiet actor waited {worst:?}");
    assert_eq!(many.queue_len(), 0);
    finish(system);
}

/// By construction: no other clock is read anywhere in the crate, but for what is told to people.
#[test]
fn t05_the_wall_clock_is_not_read() {
    fn visit(dir: &std::path::Path, wrong: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let told = ["random.rs", "trace", "telemetry", "http", "schedule.rs"];
            if path
                .file_name()
                .is_some_and(|name| told.iter().any(|told| name == *told))
            {
                // A seed, not a time; and times of day in reports, which nobody acts on.
                continue;
            }
            if path.is_dir() {
                visit(&path, wrong);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text
                    .lines()
                    .map(|line| line.split("//").next().unwrap_or_default());
                for (n, line) in code.enumerate() {
                    if ["SystemTime", "CLOCK_REALTIME", "UNIX_EPOCH", "gettimeofday"]
                        .iter()
                        .any(|name| line.contains(name))
                    {
                        wrong.push(format!("{}:{}: {line}", path.display(), n + 1));
                    }
                }
            }
        }
    }
    let mut wrong = Vec::new();
    visit(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut wrong,
    );
    assert!(
        wrong.is_empty(),
        "the wall clock is read:\n{}",
        wrong.join("\n")
    );
}

/// The trace and the baggage come with a timer; the deadline and the cancellation do not.
#[test]
fn m16_a_timer_carries_the_context_but_not_its_end() {
    let system = system();
    let (clock, _marks) = clock(&system);
    let (seen, contexts) = channel();
    let trace = TraceContext::new_root(true);
    let baggage = Baggage::empty().with("tenant", "blue").unwrap();
    let token = CancelToken::new();
    let context = Context::empty()
        .with_trace(trace.clone())
        .with_baggage(baggage)
        .with_cancel(token.clone())
        .with_timeout(PATIENCE);
    let set = seen.clone();
    clock
        .ask(Run(Box::new(move |cx: &mut ActorContext<Clock>| {
            let one = set.clone();
            let report =
                move |cx: &mut ActorContext<Clock>| set.send((cx.context(), false)).unwrap();
            cx.send_after(ms(1), Run(Box::new(report) as Job<()>));
            cx.send_interval(ms(1), move || {
                let one = one.clone();
                Run(Box::new(move |cx: &mut ActorContext<Clock>| {
                    one.send((cx.context(), true)).unwrap()
                }) as Job<()>)
            });
        })))
        .context(context)
        .blocking()
        .unwrap();
    token.cancel();
    for _ in 0..4 {
        let (context, is_tick) = contexts.recv_timeout(PATIENCE).unwrap();
        // The trace goes on; the span is that of the timer's own handling. What comes again and again begins a
        // trace each time.
        let trace_id = context.trace().map(TraceContext::trace_id);
        assert_eq!(trace_id == Some(trace.trace_id()), !is_tick);
        assert_eq!(
            context.trace().map(TraceContext::is_sampled),
            Some(!is_tick)
        );
        assert_eq!(context.baggage().get("tenant"), Some("blue"));
        assert_eq!(context.deadline(), None);
        assert!(context.cancel_token().is_none());
    }
    run(clock, |cx| cx.cancel_timers());
    // And it does not leak into what comes without one.
    let empty = run(clock, |cx| cx.context().is_empty());
    assert!(empty);
    drop(seen);
    finish(system);
}

#[test]
fn panics_in_what_timers_hold_are_contained() {
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 && !std::thread::panicking() {
                panic!("the drop of a timer's message");
            }
        }
    }
    impl Message for Bomb {
        type Reply = ();
    }
    impl SyncHandler<Bomb> for Clock {
        fn handle(&mut self, mut bomb: Bomb, _cx: &mut ActorContext<Self>) {
            bomb.0 = false;
            self.seen.send((0, Instant::now())).unwrap();
        }
    }
    let system = system();
    let (clock, marks) = clock(&system);
    // Cancelled: dropped in the handler. At the end of the life: dropped by the runtime.
    let id = run(clock, |cx| cx.send_after(LATER, Bomb(true)));
    assert!(run(clock, move |cx| cx.cancel_timer(id)));
    let bomb = Bomb(true);
    run(clock, move |cx| {
        cx.send_after(LATER, Bomb(true));
        cx.send_interval(LATER, move || {
            let _kept = &bomb;
            Mark(1)
        });
    });
    // A maker that panics is a handler that panics.
    run(clock, |cx| {
        cx.send_interval(ms(1), || -> Mark { panic!("no message today") });
    });
    wait_until("the next life", || run(clock, |cx| cx.timers()) == 0);
    run(clock, |cx| cx.send_after(ms(1), Bomb(true)));
    next(&marks);
    settle(&system);
    let report = system.shutdown_blocking(PATIENCE);
    assert_eq!(report.conservation.dropped.panicked, 1, "{report}");
    assert!(report.conservation.holds_at_rest(), "{report}");
}

#[test]
fn timers_do_not_keep_a_draining_actor_and_end_with_the_system() {
    let system = system();
    let tally = Tally::new();
    let (clock, _marks) = clock(&system);
    let tokens = (tally.token(), tally.token());
    run(clock, move |cx| {
        cx.send_after(LATER, Heavy(tokens.0));
        cx.send_interval(ms(1), || Mark(1));
    });
    clock.stop_with(StopMode::Drain);
    wait_until("it is drained", || !clock.is_alive());
    let (other, _marks) = clock_with(&system, Mailbox::default(), None);
    run(other, move |cx| cx.send_after(LATER, Heavy(tokens.1)));
    let report = system.shutdown_blocking(PATIENCE);
    assert!(
        report.is_clean() && report.conservation.holds_at_rest(),
        "{report}"
    );
    tally.all_dropped();
}

#[test]
fn t01_timers_reach_handlers_of_every_kind() {
    use actor_core::{DeferredHandler, Reentrant, ReentrantHandler, Reply};
    struct All(Sender<&'static str>);
    impl Actor for All {
        async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
            cx.send_after(ms(1), Slow);
            cx.send_after(ms(2), Later);
            cx.send_after(ms(3), Beside);
            cx.send_interval(ms(5), || Later);
            Ok(())
        }
    }
    struct Slow;
    impl Message for Slow {
        type Reply = ();
    }
    impl Handler<Slow> for All {
        async fn handle(&mut self, _: Slow, _cx: &mut ActorContext<Self>) {
            tokio::time::sleep(ms(1)).await;
            self.0.send("async").unwrap();
        }
    }
    struct Later;
    impl Message for Later {
        type Reply = u32;
    }
    impl DeferredHandler<Later> for All {
        fn handle(&mut self, _: Later, reply: Reply<u32>, _cx: &mut ActorContext<Self>) {
            self.0.send("deferred").unwrap();
            reply.send(1);
        }
    }
    struct Beside;
    impl Message for Beside {
        type Reply = ();
    }
    impl ReentrantHandler<Beside> for All {
        async fn handle(this: Reentrant<Self>, _: Beside) {
            tokio::time::sleep(ms(1)).await;
            this.with(|all, _| all.0.send("reentrant").unwrap());
        }
    }
    let system = system();
    let (seen, kinds) = channel();
    let all = system.spawn(All(seen)).unwrap();
    let mut got = [0; 3];
    while got[0] < 1 || got[1] < 3 || got[2] < 1 {
        let kind = kinds.recv_timeout(PATIENCE).unwrap();
        let kinds = ["async", "deferred", "reentrant"];
        got[kinds.iter().position(|each| *each == kind).unwrap()] += 1;
    }
    all.stop();
    wait_until("it has stopped", || !all.is_alive());
    finish(system);
}

/// A tick that takes longer than the period: the mailbox is never empty by itself.
#[test]
fn an_interval_does_not_keep_a_draining_actor() {
    struct Slow(Gate);
    impl Actor for Slow {
        async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
            cx.send_interval(ms(1), || Mark(0));
            Ok(())
        }
    }
    impl SyncHandler<Mark> for Slow {
        fn handle(&mut self, _: Mark, _cx: &mut ActorContext<Self>) {
            self.0.open();
            std::thread::sleep(ms(4));
        }
    }
    let system = system();
    let gate = Gate::new();
    let slow = system.spawn(Slow(gate.clone())).unwrap();
    gate.pass();
    slow.stop_with(StopMode::Drain);
    wait_until("it is drained", || !slow.is_alive());
    finish(system);
}
