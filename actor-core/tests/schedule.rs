//! Recordings of what the workers do: of a known load, and how they are asked for.
//!
//! A recording that is to agree with the books begins while every worker is held in a turn, so that nothing is
//! half in it, and ends when the workers are gone.

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::{Topology, Workers};
use actor_core::{
    RecordError, ScheduleEventKind, ScheduleOptions, ScheduleRecording, Stats, ThreadRole, WokenBy,
};
use common::*;
use serde_json::Value;

type Job = Box<dyn FnOnce(&mut ActorContext<Doer>) + Send>;

/// Does what it is told.
struct Doer;
impl Actor for Doer {}
struct Do(Job);
impl Message for Do {
    type Reply = ();
}
impl SyncHandler<Do> for Doer {
    fn handle(&mut self, Do(job): Do, cx: &mut ActorContext<Self>) {
        job(cx);
    }
}

fn job(job: impl FnOnce(&mut ActorContext<Doer>) + Send + 'static) -> Do {
    Do(Box::new(job))
}

fn system_on(machine: &str) -> ActorSystem {
    let machine = Topology::pretend(machine).unwrap();
    ActorSystem::builder()
        .workers(Workers::Count(machine.allowed().len()))
        .topology(machine)
        .watchdog(false)
        .build()
        .unwrap()
}

/// Holds that many workers in a turn each, until the gate opens.
fn hold(system: &ActorSystem, workers: usize) -> Gate {
    let (gate, held) = (Gate::new(), Arc::new(AtomicU64::new(0)));
    for node in system.numa_nodes().into_iter().cycle().take(workers) {
        let hog = system.actor(Doer).placement(Placement::Node(node)).spawn();
        let (gate, held) = (gate.clone(), held.clone());
        let wait = move |_: &mut ActorContext<Doer>| {
            held.fetch_add(1, Ordering::SeqCst);
            gate.pass();
        };
        hog.unwrap().tell(job(wait)).unwrap();
    }
    let all = workers as u64;
    wait_until("every worker is held", || {
        held.load(Ordering::SeqCst) == all
    });
    gate
}

/// The trace as a viewer sees it: valid JSON, by the rules of the format.
fn checked_trace(recording: &ScheduleRecording) -> Vec<Value> {
    let mut bytes = Vec::new();
    recording.write_chrome_trace(&mut bytes).unwrap();
    let trace: Value = serde_json::from_slice(&bytes).expect("valid JSON");
    let events = trace["traceEvents"].as_array().expect("events").clone();
    let track = |event: &Value| {
        (
            event["pid"].as_u64().unwrap(),
            event["tid"].as_u64().unwrap(),
        )
    };
    let mut slices: HashMap<(u64, u64), Vec<(f64, f64)>> = HashMap::new();
    let (mut begun, mut ended, mut named) = (HashSet::new(), HashSet::new(), HashSet::new());
    for event in &events {
        assert!(event["name"].is_string(), "{event}");
        let at = || event["ts"].as_f64().expect("a time");
        match event["ph"].as_str().expect("a phase") {
            "X" => {
                let end = at() + event["dur"].as_f64().expect("a duration");
                slices.entry(track(event)).or_default().push((at(), end));
            }
            "M" => {
                assert!(event["args"].is_object(), "{event}");
                named.insert(track(event));
            }
            "C" => assert!(event["args"]["actors"].is_u64() && at() >= 0.0, "{event}"),
            "i" => assert!(event["s"] == "t" && at() >= 0.0, "{event}"),
            "s" => assert!(begun.insert(event["id"].as_u64().unwrap()), "{event}"),
            "f" => assert!(ended.insert(event["id"].as_u64().unwrap()), "{event}"),
            other => panic!("phase {other:?}: {event}"),
        }
    }
    assert_eq!(begun, ended, "every arrow has two ends");
    // What lies on one track is nested: rounding aside, nothing reaches out of what it began in.
    for (track, slices) in &mut slices {
        assert!(named.contains(track), "{track:?} has a name");
        slices.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut around: Vec<f64> = Vec::new();
        for (from, to) in slices {
            around.retain(|end| *end > *from + 1e-6);
            assert!(
                around.iter().all(|end| *to <= *end + 1e-6),
                "{track:?}: {from} to {to}"
            );
            around.push(*to);
        }
    }
    for event in events.iter().filter(|event| event["ph"] == "s") {
        let at = event["ts"].as_f64().unwrap();
        let within = |(from, to): &(f64, f64)| *from <= at + 1e-6 && at <= *to + 1e-6;
        assert!(
            slices[&track(event)].iter().any(within),
            "{event} begins nowhere"
        );
    }
    events
}

/// What the recording says is what the books say of the same time. The turns that were held before are
/// not in it.
fn agrees(recording: &ScheduleRecording, before: &Stats, after: &Stats, held: u64) {
    assert_eq!(recording.dropped(), 0);
    assert_eq!(recording.whole_until(), recording.lasted());
    let sums = recording.totals();
    assert_eq!(sums.turns, after.turns - before.turns);
    assert_eq!(
        sums.messages + held,
        after.messages.handled - before.messages.handled
    );
    let outside = after.wakes_from_outside - before.wakes_from_outside;
    assert_eq!(recording.outside_wakes().count() as u64, outside);
    let sum = |stats: &Stats, of: fn(&actor_core::WorkerStats) -> u64| -> u64 {
        stats.workers.iter().map(of).sum()
    };
    let grown = |of| sum(after, of) - sum(before, of);
    assert_eq!(sums.parks, grown(|it| it.parks));
    assert_eq!(sums.steals_near, grown(|it| it.steals_near));
    assert_eq!(sums.steals_far, grown(|it| it.steals_far));
}

#[test]
fn a_known_load_is_recorded_turn_by_turn() {
    let system = system_on("1x1");
    let doer = system.spawn(Doer).unwrap();
    let gate = hold(&system, 1);
    let before = system.stats();
    let recorder = system
        .start_schedule_recording(ScheduleOptions::default())
        .unwrap();
    gate.open();
    for _ in 0..100 {
        doer.ask_blocking(job(|_| {})).unwrap();
    }
    let handle = system.handle();
    finish(system);
    let recording = recorder.finish();
    agrees(&recording, &before, &handle.stats(), 1);

    let [worker] = recording.threads() else {
        panic!("one worker:\n{recording}");
    };
    assert_eq!((worker.worker().0, worker.role()), (0, ThreadRole::Worker));
    let (mut handled, mut turns, mut last) = (0, 0, Duration::ZERO);
    for event in worker.events() {
        assert!(
            event.at >= last && event.at <= recording.lasted(),
            "{event:?}"
        );
        if let ScheduleEventKind::Turn {
            actor,
            actor_type,
            messages,
            ..
        } = event.kind
        {
            let lasted = event.lasted.expect("it has ended");
            last = event.at + lasted;
            if actor == doer.id() {
                assert!(actor_type.ends_with("Doer"), "{actor_type}");
                handled += messages;
                // Those without are for its start and its stop.
                turns += u32::from(messages > 0);
            }
        }
    }
    assert_eq!(handled, 100);
    assert!((1..=100).contains(&turns), "{turns} turns");
    let sums = worker.totals();
    assert!(sums.busy + sums.asleep <= recording.lasted(), "{sums:?}");
    let trace = checked_trace(&recording);
    let is_turn = |event: &&Value| event["cat"] == "turn" && event["name"] == "Doer";
    let named: u64 = trace
        .iter()
        .filter(is_turn)
        .map(|event| event["args"]["messages"].as_u64().unwrap())
        .sum();
    assert!(named >= 100, "{named}");
}

/// Tells so many others something and goes on when one of them has heard it: another worker must have come.
fn tell_many_and_wait(others: Vec<ActorRef<Doer>>) -> Do {
    job(move |_| {
        let heard = Gate::new();
        for other in others {
            let heard = heard.clone();
            other.tell(job(move |_| heard.open())).unwrap();
        }
        heard.pass();
    })
}

#[test]
fn a_theft_and_the_wake_up_before_it_are_recorded() {
    let system = system_on("1x2");
    let others: Vec<_> = (0..20).map(|_| system.spawn(Doer).unwrap()).collect();
    let first = system.spawn(Doer).unwrap();
    let gate = hold(&system, 1);
    wait_until("the other worker sleeps", || {
        system.stats().numa_nodes[0].asleep == 1
    });
    // The one that is held tells many, so it is this one that wakes the other.
    let go = {
        let gate = Gate::new();
        let (opens, told) = (gate.clone(), tell_many_and_wait(others));
        first
            .tell(job(move |cx| {
                opens.pass();
                cx.actor_ref().tell(told).unwrap();
            }))
            .unwrap();
        gate
    };
    let recorder = system
        .start_schedule_recording(ScheduleOptions::default())
        .unwrap();
    gate.open();
    go.open();
    finish(system);
    let recording = recorder.finish();
    let thieves: Vec<_> = recording
        .threads()
        .iter()
        .filter(|thread| thread.totals().steals_near > 0)
        .collect();
    assert!(!thieves.is_empty(), "{recording}");
    for thief in thieves {
        for event in thief.events() {
            if let ScheduleEventKind::Steal {
                from, actors, near, ..
            } = event.kind
            {
                assert!(near && actors >= 1, "{event:?}");
                assert_ne!(from.expect("from a worker"), thief.worker());
            }
        }
    }
    let woken: Vec<_> = recording
        .threads()
        .iter()
        .flat_map(|thread| thread.events().map(|event| event.kind))
        .filter(|kind| {
            matches!(
                kind,
                ScheduleEventKind::Park {
                    woken_by: Some(_),
                    ..
                }
            )
        })
        .collect();
    assert!(!woken.is_empty(), "somebody was woken:\n{recording}");
    let trace = checked_trace(&recording);
    assert!(trace.iter().any(|event| event["name"] == "steal near"));
    assert!(trace.iter().any(|event| event["ph"] == "f"));
}

#[test]
fn a_sleep_says_which_worker_ended_it() {
    let system = system_on("1x2");
    let others: Vec<_> = (0..20).map(|_| system.spawn(Doer).unwrap()).collect();
    let (gate, go) = (Gate::new(), Gate::new());
    let (begun, waits) = (gate.clone(), go.clone());
    let told = tell_many_and_wait(others);
    let first = system.spawn(Doer).unwrap();
    first
        .tell(job(move |cx| {
            begun.open();
            waits.pass();
            (told.0)(cx);
        }))
        .unwrap();
    gate.pass();
    wait_until("the other worker sleeps", || {
        system.stats().numa_nodes[0].asleep == 1
    });
    let recorder = system
        .start_schedule_recording(ScheduleOptions::default())
        .unwrap();
    go.open();
    finish(system);
    let recording = recorder.finish();
    // Nobody else had a reason to wake anybody before.
    let first_woken = recording
        .threads()
        .iter()
        .flat_map(|thread| {
            thread.events().filter_map(|event| match event.kind {
                ScheduleEventKind::Park {
                    woken_by: Some(by), ..
                } => Some((event.at + event.lasted?, thread.worker(), by)),
                _ => None,
            })
        })
        .min_by_key(|(ended, ..)| *ended);
    let (_, woken, by) = first_woken.expect("one was woken");
    let WokenBy::Worker(waker) = by else {
        panic!("woken by {by:?}:\n{recording}");
    };
    assert_ne!(waker, woken);
    let waker = recording
        .threads()
        .iter()
        .find(|thread| thread.worker() == waker);
    let sent = waker.expect("it has a track").events().any(
        |event| matches!(event.kind, ScheduleEventKind::Wake { woken: whom, .. } if whom == woken),
    );
    assert!(sent, "{recording}");
    checked_trace(&recording);
}

#[test]
fn thefts_near_and_far_agree_with_the_books() {
    for machine in ["1x2", "2x1"] {
        let system = system_on(machine);
        let node = system.numa_nodes()[0];
        let spawn = || {
            system
                .actor(Doer)
                .placement(Placement::Node(node))
                .spawn()
                .unwrap()
        };
        // Those that do not fit into a worker's ring would lie where its neighbour need not steal them, but
        // wake the neighbour of another NUMA node.
        let many = if machine == "1x2" { 20 } else { 1000 };
        let others: Vec<_> = (0..many).map(|_| spawn()).collect();
        let first = spawn();
        let gate = hold(&system, 2);
        let before = system.stats();
        let recorder = system
            .start_schedule_recording(ScheduleOptions::default())
            .unwrap();
        first.tell(tell_many_and_wait(others)).unwrap();
        gate.open();
        let handle = system.handle();
        finish(system);
        let recording = recorder.finish();
        agrees(&recording, &before, &handle.stats(), 2);
        let sums = recording.totals();
        let thefts = if machine == "1x2" {
            sums.steals_near
        } else {
            sums.steals_far
        };
        assert!(thefts > 0, "{machine}: {recording}");
        checked_trace(&recording);
    }
}

#[test]
fn turns_that_go_on_have_no_end_and_turns_from_before_are_left_out() {
    let system = system_on("1x1");
    let doer = system.spawn(Doer).unwrap();
    let gate = hold(&system, 1);
    let recorder = system
        .start_schedule_recording(ScheduleOptions::default())
        .unwrap();
    assert_eq!(
        recorder.finish().totals().turns,
        0,
        "the turn had begun before"
    );
    let recorder = system
        .start_schedule_recording(ScheduleOptions::default())
        .unwrap();
    gate.open();
    let (begun, goes_on) = (Gate::new(), Gate::new());
    let (says, waits) = (begun.clone(), goes_on.clone());
    let blocks = move |_: &mut ActorContext<Doer>| {
        says.open();
        waits.pass();
    };
    doer.tell(job(blocks)).unwrap();
    begun.pass();
    let recording = recorder.finish();
    goes_on.open();
    let last = recording.threads()[0].events().last().expect("a turn");
    assert!(last.lasted.is_none(), "{last:?}");
    assert!(matches!(last.kind, ScheduleEventKind::Turn { actor, .. } if actor == doer.id()));
    checked_trace(&recording);
    finish(system);
}

#[test]
fn stalls_and_the_spare_that_stands_in_are_recorded() {
    let (stalled, noticed) = (Gate::new(), Gate::new());
    let system = ActorSystem::builder()
        .topology(Topology::pretend("1x1").unwrap())
        .workers(Workers::Count(1))
        .relieve_after(Duration::from_millis(1))
        .report_stalls_after(Duration::from_millis(2))
        .build()
        .unwrap();
    let (hog, other) = (system.spawn(Doer).unwrap(), system.spawn(Doer).unwrap());
    // A worker that waits for a CPU in a turn is stuck as well: these are over, and count for nothing.
    for doer in [hog, other] {
        doer.ask_blocking(job(|_| {})).unwrap();
    }
    wait_until("nobody is stuck and no spare on duty", || {
        let stalls = system.stats().stalls;
        (stalls.running, stalls.spares_on_duty) == (0, 0)
    });
    let tells = noticed.clone();
    system.on_stall(move |stall| {
        if stall.actor == hog.id() {
            tells.open();
        }
    });
    let recorder = system
        .start_schedule_recording(ScheduleOptions::default())
        .unwrap();
    let waits = stalled.clone();
    hog.tell(job(move |_| waits.pass())).unwrap();
    other.ask_blocking(job(|_| {})).unwrap();
    noticed.pass();
    stalled.open();
    finish(system);
    let recording = recorder.finish();
    let worker = &recording.threads()[0];
    let stalls = worker.totals().stalls;
    assert!(stalls >= 1, "{recording}");
    let spare = recording
        .threads()
        .iter()
        .find(|it| it.role() == ThreadRole::Spare);
    let spare = spare.expect("somebody stood in, or the other had not been answered");
    assert!(
        spare
            .events()
            .any(|event| event.kind == ScheduleEventKind::Shift)
    );
    assert!(spare.totals().turns >= 1, "{recording}");
    let trace = checked_trace(&recording);
    assert!(trace.iter().any(|event| event["name"] == "stall noticed"));
}

#[test]
fn an_actor_with_a_thread_of_its_own_has_a_track() {
    let system = system_on("1x1");
    let own = system
        .actor(Doer)
        .placement(Placement::Dedicated)
        .spawn()
        .unwrap();
    let recorder = system
        .start_schedule_recording(ScheduleOptions::default())
        .unwrap();
    for _ in 0..3 {
        own.ask_blocking(job(|_| {})).unwrap();
    }
    finish(system);
    let recording = recorder.finish();
    let track = recording
        .threads()
        .iter()
        .find(|it| it.role() == ThreadRole::Dedicated);
    assert!(
        track.expect("a track").totals().messages >= 3,
        "{recording}"
    );
    checked_trace(&recording);
}

#[test]
fn one_at_a_time_and_limits_are_refused_in_words() {
    let system = system_on("1x1");
    let recorder = system
        .start_schedule_recording(ScheduleOptions::default())
        .unwrap();
    let second = system.record_schedule_blocking(Duration::from_millis(1));
    assert_eq!(second.unwrap_err(), RecordError::AlreadyRunning);
    drop(recorder);
    let wrong = [
        (ScheduleOptions::new(Duration::ZERO), "duration"),
        (ScheduleOptions::new(Duration::from_secs(61)), "duration"),
        (ScheduleOptions::default().events(0), "events"),
        (ScheduleOptions::default().bytes(4095), "bytes"),
    ];
    for (options, what) in wrong {
        let error = system.record_schedule_blocking(options).unwrap_err();
        assert!(matches!(error, RecordError::Setting { setting, .. } if setting == what));
        assert!(error.to_string().contains("allowed is"), "{error}");
    }
    let doer = system.spawn(Doer).unwrap();
    let handle = system.handle();
    doer.ask_blocking(job(move |_| {
        let refused = handle.record_schedule_blocking(Duration::from_millis(1));
        assert_eq!(refused.unwrap_err(), RecordError::OnWorker);
    }))
    .unwrap();
    finish(system);
}

#[test]
fn what_does_not_fit_is_counted() {
    let system = system_on("1x1");
    let doer = system.spawn(Doer).unwrap();
    let options = ScheduleOptions::default().events(3);
    let recorder = system.start_schedule_recording(options).unwrap();
    for _ in 0..50 {
        doer.ask_blocking(job(|_| {})).unwrap();
    }
    finish(system);
    let recording = recorder.finish();
    let kept: usize = recording
        .threads()
        .iter()
        .map(|it| it.events().count())
        .sum();
    assert_eq!(kept + recording.outside_wakes().count(), 3);
    assert!(recording.dropped() > 0 && recording.whole_until() < recording.lasted());
    assert!(recording.to_string().contains("did not fit"), "{recording}");
    checked_trace(&recording);
}

#[test]
fn the_async_form_ends_by_itself_and_when_it_is_dropped() {
    let system = system_on("1x1");
    let recording = system.block_on(system.record_schedule(Duration::from_millis(5)));
    assert!(recording.unwrap().lasted() >= Duration::from_millis(5));
    system.block_on(async {
        let mut recording = Box::pin(system.record_schedule(Duration::from_secs(60)));
        let ended = tokio::time::timeout(Duration::from_millis(1), &mut recording).await;
        assert!(ended.is_err(), "it goes on for a minute");
    });
    wait_until("the next may begin", || {
        system
            .start_schedule_recording(ScheduleOptions::default())
            .is_ok()
    });
    finish(system);
}

#[test]
fn the_end_of_the_system_ends_a_recording() {
    let system = system_on("1x1");
    let recording = system.record_schedule(Duration::from_secs(60));
    let recording = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(recording)
    });
    let handle = system.handle();
    wait_until("it has begun", || {
        handle
            .start_schedule_recording(ScheduleOptions::default())
            .is_err()
    });
    finish(system);
    assert!(recording.join().unwrap().unwrap().lasted() < Duration::from_secs(60));
}
