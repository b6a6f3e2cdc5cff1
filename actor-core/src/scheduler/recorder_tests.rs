use super::*;

fn turn(actor: u64) -> What {
    What::Turn {
        actor: ActorId(actor),
        actor_type: "T",
        messages: 0,
        queued: 0,
        injector: 0,
    }
}

#[test]
fn one_recording_at_a_time() {
    let recorder = Recorder::new(1);
    assert!(recorder.finish().is_none());
    assert!(recorder.begin(10));
    assert!(!recorder.begin(10));
    assert!(recorder.finish().is_some());
    assert!(recorder.begin(10));
}

#[test]
fn a_turn_has_a_beginning_an_end_and_its_messages() {
    let recorder = Recorder::new(2);
    assert!(recorder.begin(10));
    recorder.begins(1, turn(7));
    recorder.turn_ends(1, 3);
    recorder.begins(1, turn(8));
    let recording = recorder.finish().expect("it ran");
    assert!(recording.threads[0].events.is_empty());
    let events = &recording.threads[1].events;
    assert!(matches!(events[0].what, What::Turn { messages: 3, .. }));
    assert!(events[0].at <= events[0].ended && events[0].ended <= events[1].at);
    assert_eq!(events[1].ended, OPEN, "it had not ended");
    assert_eq!(recording.whole_until, recording.lasted);
}

#[test]
fn a_turn_that_outlives_its_recording_ends_nothing_in_the_next() {
    let recorder = Recorder::new(1);
    assert!(recorder.begin(10));
    recorder.begins(0, turn(7));
    recorder.finish();
    recorder.turn_ends(0, 1);
    assert!(recorder.begin(10));
    recorder.turn_ends(0, 1);
    recorder.park_ends(0);
    let recording = recorder.finish().expect("it ran");
    assert!(recording.threads[0].events.is_empty());
}

#[test]
fn who_slept_before_has_slept_from_the_beginning() {
    let recorder = Recorder::new(3);
    assert!(recorder.begin(4 * CHUNK));
    recorder.sleeps_already(0);
    recorder.sleeps_already(1);
    recorder.park_ends(0);
    // It has noted so itself, before it was asked.
    recorder.begins(2, ASLEEP);
    recorder.sleeps_already(2);
    let recording = recorder.finish().expect("it ran");
    for thread in &recording.threads[..2] {
        let [only] = thread.events[..] else {
            panic!("{thread:?}");
        };
        assert!(matches!(only.what, What::Park { before: true, .. }) && only.at == 0);
    }
    assert_ne!(recording.threads[0].events[0].ended, OPEN);
    assert_eq!(recording.threads[1].events[0].ended, OPEN);
    let [only] = recording.threads[2].events[..] else {
        panic!("{recording:?}");
    };
    assert!(matches!(only.what, What::Park { before: false, .. }));
}

#[test]
fn what_does_not_fit_is_counted_and_nothing_follows_a_gap() {
    let recorder = Recorder::new(2);
    assert!(recorder.begin(CHUNK + 5));
    for _ in 0..CHUNK {
        recorder.note(0, What::Stall { over: false });
    }
    for _ in 0..7 {
        recorder.begins(1, turn(1));
        recorder.turn_ends(1, 1);
    }
    recorder.note(0, What::Stall { over: false });
    let recording = recorder.finish().expect("it ran");
    let [full, other] = &recording.threads[..] else {
        panic!("two threads");
    };
    assert_eq!((full.events.len(), full.dropped), (CHUNK, 1));
    assert_eq!((other.events.len(), other.dropped), (5, 2));
    assert!(other.events.iter().all(|event| event.ended != OPEN));
    assert!(recording.whole_until <= recording.lasted);
    assert!(recording.whole_until >= other.events[4].at);
}

#[test]
fn nothing_is_noted_while_none_runs() {
    let recorder = Recorder::new(1);
    recorder.begins(0, turn(7));
    recorder.turn_ends(0, 1);
    recorder.note_since(None, Instant::now(), What::Shift);
    assert!(recorder.begin(10));
    let recording = recorder.finish().expect("it ran");
    assert!(recording.threads[0].events.is_empty() && recording.others.events.is_empty());
}
