//! The test kit by itself: virtual time, probes, planted panics, and what they say when a test fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::testkit::{
    Fault, Hook, Probe, Seeds, Simulation, SimulationError, TraceKind, for_each_seed,
};
use actor_core::{ActorError, StopMode};

const GRACE: Duration = Duration::from_secs(10);

/// What happens to a `Subject`, for probes.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Started(usize),
    Got(u32),
    Stopped,
    Heard,
}

impl Message for Said {
    type Reply = ();
}

/// Tells a probe what happens to it, and counts its states.
struct Subject {
    ear: Recipient<Said>,
    states: Arc<States>,
}

#[derive(Default)]
struct States {
    built: AtomicUsize,
    dropped: AtomicUsize,
}

impl Subject {
    fn make(ear: Recipient<Said>, states: &Arc<States>) -> Self {
        states.built.fetch_add(1, Ordering::Relaxed);
        Self {
            ear,
            states: states.clone(),
        }
    }

    fn say(&self, said: Said) {
        // Refused when the probe goes first.
        let _ = self.ear.tell(said);
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.states.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Actor for Subject {
    async fn started(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.say(Said::Started(self.states.built.load(Ordering::Relaxed)));
        Ok(())
    }

    async fn stopped(&mut self, _reason: &StopReason, _cx: &mut ActorContext<Self>) {
        self.say(Said::Stopped);
    }

    async fn terminated(&mut self, _who: Terminated, _cx: &mut ActorContext<Self>) {
        self.say(Said::Heard);
    }
}

/// Answered at once.
struct Number(u32);
impl Message for Number {
    type Reply = u32;
}
impl SyncHandler<Number> for Subject {
    fn handle(&mut self, Number(n): Number, _cx: &mut ActorContext<Self>) -> u32 {
        self.say(Said::Got(n));
        n
    }
}

/// Answered after a while.
struct Later(u32, Duration);
impl Message for Later {
    type Reply = u32;
}
impl Handler<Later> for Subject {
    async fn handle(&mut self, Later(n, wait): Later, _cx: &mut ActorContext<Self>) -> u32 {
        tokio::time::sleep(wait).await;
        self.say(Said::Got(n));
        n
    }
}

struct Watch(ActorRef<Subject>);
impl Message for Watch {
    type Reply = ();
}
impl SyncHandler<Watch> for Subject {
    fn handle(&mut self, Watch(other): Watch, cx: &mut ActorContext<Self>) {
        cx.watch(other);
    }
}

fn subject(sim: &Simulation, probe: &Probe<Said>) -> (ActorRef<Subject>, Arc<States>) {
    let states = Arc::new(States::default());
    let (ear, counted) = (probe.recipient(), states.clone());
    let actor = sim
        .spawn(move || Subject::make(ear, &counted))
        .expect("a subject is spawned");
    (actor, states)
}

/// The text of the panic that `failing` ends with.
fn complaint(failing: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(failing)).expect_err("it must fail");
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| {
            payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
        })
        .expect("a text")
}

#[test]
fn time_stands_still_until_a_test_waits() {
    let sim = Simulation::new(1);
    let probe = Probe::new(&sim);
    let (subject, _) = subject(&sim, &probe);
    sim.run_until_idle();
    assert_eq!(sim.now(), Duration::ZERO);
    assert!(probe.is_empty(), "`started` sleeps a millisecond");
    probe.expect_msg_eq(Said::Started(1));
    assert_eq!(sim.now(), Duration::from_millis(1));

    let day = Duration::from_secs(86_400);
    subject.tell(Later(7, day)).unwrap();
    probe.expect_no_msg(day - Duration::from_millis(1));
    sim.run_for(Duration::from_millis(1));
    assert_eq!(probe.take_all(), [Said::Got(7)]);
    assert_eq!(sim.now(), day + Duration::from_millis(1));
    sim.check_law();
    assert!(sim.shutdown(GRACE).is_clean());
}

#[test]
fn deadlines_and_back_off_follow_virtual_time() {
    let sim = Simulation::new(2);
    let probe = Probe::new(&sim);
    let states = Arc::new(States::default());
    let (ear, counted) = (probe.recipient(), states.clone());
    let actor = sim
        .actor(move || Subject::make(ear, &counted))
        .backoff(Backoff::new(Duration::from_secs(60), Duration::from_secs(60)).jitter(0))
        .spawn()
        .unwrap();
    probe.expect_msg_eq(Said::Started(1));
    let began = sim.now();
    let hour = Duration::from_secs(3600);
    let asked = sim.block_on(async { actor.ask(Later(1, hour)).within(hour / 2).await });
    assert!(matches!(asked, Err(AskError::Expired { .. })), "{asked:?}");
    assert_eq!(sim.now() - began, hour / 2);
    sim.run_for(hour);

    sim.inject(Fault::panic_in(Hook::Handler).of(actor));
    let failed = sim.now();
    assert!(matches!(
        actor.ask_blocking(Number(1)),
        Err(AskError::Panicked { .. })
    ));
    assert!(sim.run_until(hour, || states.built.load(Ordering::Relaxed) == 2));
    assert_eq!(sim.now() - failed, Duration::from_secs(60));
    assert!(sim.shutdown(GRACE).is_clean());
}

#[test]
fn blocking_calls_drive_the_simulation_and_say_when_they_wait_in_vain() {
    let sim = Simulation::new(3);
    let probe = Probe::new(&sim);
    let (subject, _) = subject(&sim, &probe);
    let answer = subject.ask_blocking(Later(5, Duration::from_secs(1)));
    assert_eq!(answer.unwrap(), 5);
    let text = complaint(|| sim.block_on(std::future::pending()));
    assert!(text.contains("waits for what cannot come"), "{text}");
    assert!(text.contains("seed 3"), "{text}");
}

#[test]
fn one_simulation_per_thread() {
    let first = Simulation::new(1);
    let error = Simulation::builder(2).build().unwrap_err();
    assert!(matches!(error, SimulationError::OnePerThread), "{error}");
    drop(first);
    drop(Simulation::new(2));
    let error = Simulation::builder(2).numa_nodes(0).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "a simulation on 0 NUMA nodes is impossible: 1 to 64 are allowed"
    );
    let other = std::thread::spawn(|| Simulation::new(1).trace_hash());
    let here = Simulation::new(1).trace_hash();
    assert_eq!(other.join().unwrap(), here);
}

#[test]
fn a_simulation_has_numa_nodes_if_asked() {
    let sim = Simulation::builder(1).numa_nodes(3).build().unwrap();
    assert_eq!(sim.numa_nodes().len(), 3);
    let probe = Probe::new(&sim);
    let homes: std::collections::BTreeSet<_> = (0..3)
        .map(|_| {
            let (ear, states) = (probe.recipient(), Arc::default());
            let spawned = sim
                .actor(Subject::make(ear, &states))
                .placement(Placement::Spread)
                .spawn();
            spawned.unwrap().id().numa_node()
        })
        .collect();
    assert_eq!(homes.len(), 3);
    probe.expect_msgs(3);
    assert!(sim.shutdown(GRACE).is_clean());
}

#[test]
fn a_livelock_is_found() {
    struct Restless;
    impl Actor for Restless {}
    struct On;
    impl Message for On {
        type Reply = ();
    }
    impl SyncHandler<On> for Restless {
        fn handle(&mut self, On: On, cx: &mut ActorContext<Self>) {
            cx.actor_ref().tell(On).unwrap();
        }
    }
    let sim = Simulation::builder(9).turns_max(1000).build().unwrap();
    let restless = sim.spawn(Restless).unwrap();
    restless.tell(On).unwrap();
    let text = complaint(|| {
        sim.run_until_idle();
    });
    assert!(text.contains("does not come to rest: 1000 turns"), "{text}");
    assert!(text.contains("Restless: handled On"), "{text}");
}

#[test]
fn probes_say_what_was_expected_what_came_and_what_waits() {
    let sim = Simulation::new(4);
    let probe = Probe::<Said>::new(&sim);
    let text = complaint(|| _ = probe.expect_msg());
    assert!(
        text.starts_with("expected a message; nothing came within 3s"),
        "{text}"
    );
    for n in 1..=12 {
        probe.recipient().tell(Said::Got(n)).unwrap();
    }
    sim.run_until_idle();
    let text = complaint(|| probe.expect_msg_eq(Said::Stopped));
    assert!(
        text.starts_with("expected Stopped; came instead:\n    Got(1)\nwaiting in the probe (11)"),
        "{text}"
    );
    let text = complaint(|| probe.expect_no_msg(Duration::from_secs(1)));
    assert!(
        text.starts_with(
            "expected no message within 1s; came instead:\n    Got(2)\nwaiting in the probe (10):\n    \
             Got(3)\n"
        ),
        "{text}"
    );
    let text = complaint(|| probe.fish_for("a stop", |said| (said == Said::Stopped).then_some(())));
    assert!(
        text.starts_with("expected a stop within 3s; came, and not that:\n    Got(3)\n"),
        "{text}"
    );
    let (subject, _) = subject(&sim, &probe);
    let text = complaint(|| _ = probe.expect_terminated(subject));
    assert!(text.starts_with("expected the end of actor:"), "{text}");
    subject.stop();
    assert_eq!(probe.expect_terminated(subject), StopReason::Normal);
    sim.check_law();
}

#[test]
fn probes_fish_and_count() {
    let sim = Simulation::new(5);
    let probe = Probe::new(&sim);
    let (subject, _) = subject(&sim, &probe);
    for n in 0..5 {
        subject.tell(Number(n)).unwrap();
    }
    let three = probe.fish_for("the three", |said| match said {
        Said::Got(n) if n == 3 => Some(n),
        _ => None,
    });
    assert_eq!(three, 3);
    assert_eq!(probe.expect_msgs(1), [Said::Got(4)]);
    assert_eq!(probe.len(), 0);
    probe.watch(subject);
    subject.stop_with(StopMode::Kill);
    assert_eq!(probe.expect_terminated(subject), StopReason::Killed);
    assert_eq!(probe.expect_terminated(subject), StopReason::NotFound);
    assert!(sim.shutdown(GRACE).is_clean());
}

#[test]
fn probes_work_in_a_real_system() {
    let system = ActorSystem::new().unwrap();
    let probe = Probe::<Said>::new(&system);
    let states = Arc::new(States::default());
    let (ear, counted) = (probe.recipient(), states.clone());
    let subject = system.spawn(move || Subject::make(ear, &counted)).unwrap();
    probe.expect_msg_eq(Said::Started(1));
    subject.tell(Number(1)).unwrap();
    probe.expect_msg_eq(Said::Got(1));
    probe.expect_no_msg(Duration::from_millis(10));
    probe.watch(subject);
    subject.stop();
    probe.expect_msg_eq(Said::Stopped);
    assert_eq!(probe.expect_terminated(subject), StopReason::Normal);
    let answering = Probe::answering(&system, |Number(n)| n + 1);
    assert_eq!(answering.actor_ref().ask_blocking(Number(1)).unwrap(), 2);
    let report = system.shutdown_blocking(GRACE);
    assert!(report.is_clean(), "{report}");
    assert!(report.conservation.holds_at_rest(), "{report}");
}

/// A panic at each hook, and what the contract says of it.
#[test]
fn a_planted_panic_strikes_where_it_is_planted() {
    let all = [
        Fault::panic_in(Hook::Factory).nth(2),
        Fault::panic_in(Hook::Started).nth(2),
        Fault::panic_in(Hook::Started).after_await(),
        Fault::panic_in(Hook::Handler).on::<Number>().nth(3),
        Fault::panic_in(Hook::Handler).on::<Later>(),
        Fault::panic_in(Hook::Handler).on::<Later>().after_await(),
        Fault::panic_in(Hook::Stopped),
        Fault::panic_in(Hook::Terminated),
        Fault::panic_in(Hook::StateDrop),
        Fault::panic_in(Hook::MessageDrop).on::<Number>(),
    ];
    for (index, fault) in all.into_iter().enumerate() {
        let sim = Simulation::new(index as u64);
        let probe = Probe::<Said>::new(&sim);
        let (watched, _) = subject(&sim, &probe);
        let (watcher, states) = subject(&sim, &probe);
        sim.inject(fault.clone().of_type::<Subject>().text("meant"));
        sim.run_for(Duration::from_millis(10));
        let _ = watcher.tell(Watch(watched));
        for n in 0..4 {
            let _ = watcher.tell(Number(n));
            let _ = watcher.tell(Later(n, Duration::from_millis(5)));
        }
        sim.run_for(Duration::from_millis(50));
        // A restart, for the faults of a second life.
        sim.inject(Fault::panic_in(Hook::Handler).of(watcher));
        let _ = watcher.tell(Number(9));
        watched.stop();
        sim.run_for(Duration::from_millis(50));
        // Left in the mailbox.
        let _ = watcher.tell(Later(1, GRACE));
        sim.run_for(Duration::from_millis(1));
        let _ = watcher.tell(Number(10));
        watcher.stop_with(StopMode::Kill);
        sim.run_until_idle();
        sim.check_law();
        let struck = sim.trace();
        let struck = struck
            .events()
            .iter()
            .any(|event| matches!(event.kind, TraceKind::Struck { .. }));
        assert!(struck, "{fault:?}\n{}", sim.trace());
        let report = sim.shutdown(GRACE);
        assert!(report.is_clean(), "{fault:?}\n{report}");
        let (built, dropped) = (&states.built, &states.dropped);
        assert_eq!(
            built.load(Ordering::Relaxed),
            dropped.load(Ordering::Relaxed),
            "{fault:?}"
        );
    }
}

#[test]
fn a_reply_whose_drop_panics_is_contained() {
    let sim = Simulation::new(1);
    struct Big;
    impl Actor for Big {}
    struct Get;
    impl Message for Get {
        type Reply = Vec<u8>;
    }
    impl SyncHandler<Get> for Big {
        fn handle(&mut self, Get: Get, _cx: &mut ActorContext<Self>) -> Vec<u8> {
            vec![1]
        }
    }
    let big = sim.spawn(Big).unwrap();
    sim.inject(Fault::panic_in(Hook::ReplyDrop).on::<Get>());
    big.tell(Get).unwrap();
    sim.check_law();
    assert_eq!((sim.faults_struck(), sim.faults_waiting()), (1, 0));
    assert_eq!(big.ask_blocking(Get).unwrap(), [1]);
    assert!(sim.shutdown(GRACE).is_clean());
}

#[test]
fn faults_can_be_counted_aimed_and_taken_back() {
    let sim = Simulation::new(6);
    let probe = Probe::new(&sim);
    let (first, _) = subject(&sim, &probe);
    let (second, _) = subject(&sim, &probe);
    sim.run_for(Duration::from_millis(5));
    sim.inject(
        Fault::panic_in(Hook::Handler)
            .of(second)
            .on::<Number>()
            .nth(2)
            .times(2),
    );
    let ask = |actor: ActorRef<Subject>| actor.ask_blocking(Number(0)).is_ok();
    assert!((0..5).all(|_| ask(first)));
    let answers: Vec<bool> = (0..5).map(|_| ask(second)).collect();
    assert_eq!(answers, [true, false, false, true, true]);
    sim.inject(Fault::panic_in(Hook::Handler));
    assert_eq!(sim.faults_waiting(), 1);
    sim.clear_faults();
    assert!(ask(first));
    assert_eq!((sim.faults_struck(), sim.faults_waiting()), (2, 0));
    assert!(sim.shutdown(GRACE).is_clean());
}

#[test]
fn the_trace_tells_the_story() {
    let sim = Simulation::new(8);
    let probe = Probe::new(&sim);
    let (subject, _) = subject(&sim, &probe);
    sim.inject(Fault::panic_in(Hook::Handler).of(subject));
    subject.tell(Number(1)).unwrap();
    sim.run_for(Duration::from_millis(10));
    subject.stop();
    sim.run_until_idle();
    let number = sim.number_of(subject.id()).unwrap();
    let trace = sim.trace();
    let story: Vec<String> = trace
        .events()
        .iter()
        .filter(|event| event.actor == number && event.kind != TraceKind::Turn)
        .map(ToString::to_string)
        .map(|line| line.split_once(": ").unwrap().1.to_owned())
        .collect();
    assert_eq!(
        story,
        [
            "spawned by #0",
            "planted panic in Handler",
            "did not handle Number: the handler panicked on it",
            "failed: panicked: planted panic in Handler",
            "restarted",
            "gone: stopped",
        ],
        "{trace}"
    );
    assert_eq!(trace.tail(2).events().len(), 2);
    assert!(trace.tail(2).to_string().starts_with('('));
    drop(sim);
    let silent = Simulation::builder(8).trace_limit(0).build().unwrap();
    assert!(silent.trace().events().is_empty());
    assert!(silent.trace().forgotten() > 0);
}

#[test]
fn a_failing_seed_is_named_with_how_to_run_it() {
    let text = complaint(|| {
        for_each_seed(Seeds::first(50).threads(2), |seed| {
            let sim = Simulation::new(seed);
            assert!(seed != 17, "seventeen");
            sim.check_law();
        });
    });
    assert!(text.starts_with("seed 17 failed"), "{text}");
    assert!(text.contains("ACTOR_SEED=17 cargo test"), "{text}");
    assert!(text.contains("seventeen"), "{text}");
}

#[test]
fn tokio_tasks_and_channels_run_inside() {
    let sim = Simulation::new(11);
    let (tell, told) = tokio::sync::oneshot::channel();
    let probe = Probe::<Said>::new(&sim);
    let ear = probe.recipient();
    sim.tokio().spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        tell.send(5).unwrap();
        ear.tell(Said::Heard).unwrap();
        tokio::task::yield_now().await;
        ear.tell(Said::Stopped).unwrap();
    });
    assert_eq!(sim.block_on(told).unwrap(), 5);
    assert_eq!(sim.now(), Duration::from_secs(5));
    assert_eq!(probe.expect_msgs(2), [Said::Heard, Said::Stopped]);
    let ok = sim.block_on(async {
        tokio::time::timeout(Duration::from_secs(1), std::future::pending::<()>()).await
    });
    assert!(ok.is_err());
    assert!(sim.shutdown(GRACE).is_clean());
}

#[test]
fn a_simulation_cannot_be_driven_from_inside() {
    let sim = Simulation::new(12);
    let probe = Probe::new(&sim);
    let (subject, _) = subject(&sim, &probe);
    let inside = sim.tokio().spawn(async move {
        let text = complaint(|| _ = subject.ask_blocking(Number(1)));
        assert!(text.contains("cannot be driven from inside"), "{text}");
    });
    sim.block_on(inside).unwrap();
    assert!(sim.shutdown(GRACE).is_clean());
}

#[test]
fn an_actor_may_ask_for_the_shutdown() {
    let sim = Simulation::new(13);
    let probe = Probe::new(&sim);
    let (subject, _) = subject(&sim, &probe);
    subject
        .tell(Later(1, Duration::from_secs(5)))
        .expect("before the shutdown");
    probe.expect_msg_eq(Said::Started(1));
    sim.request_shutdown(GRACE).expect("no thread is needed");
    assert!(subject.tell(Number(1)).is_err());
    let report = sim.shutdown(GRACE);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.elapsed, Duration::from_secs(5));
}

#[test]
fn work_that_blocks_runs_in_place() {
    struct Clerk;
    impl Actor for Clerk {}
    struct Compute(u32);
    impl Message for Compute {
        type Reply = u32;
    }
    impl Handler<Compute> for Clerk {
        async fn handle(&mut self, Compute(n): Compute, cx: &mut ActorContext<Self>) -> u32 {
            cx.blocking(move || n * n).await.expect("it is run")
        }
    }
    let run = |seed| {
        let sim = Simulation::new(seed);
        let clerk = sim.spawn(Clerk).unwrap();
        assert_eq!(clerk.ask_blocking(Compute(7)).unwrap(), 49);
        assert_eq!(sim.now(), Duration::ZERO);
        let hash = sim.trace_hash();
        assert!(sim.shutdown(GRACE).is_clean());
        hash
    };
    assert_eq!(run(1), run(1));
}

#[test]
fn looks_from_outside_are_answered_at_once() {
    let sim = Simulation::new(14);
    let probe = Probe::<Said>::new(&sim);
    let (subject, _) = subject(&sim, &probe);
    let seen = sim
        .inspect_blocking(subject.id(), Duration::from_secs(1))
        .expect("it answers");
    assert_eq!(seen.queued, 0);
    let tree = sim.supervision_tree().blocking();
    assert!(tree.is_complete(), "{tree}");
    assert_eq!(tree.len(), 2, "{tree}");
    assert!(sim.shutdown(GRACE).is_clean());
}
