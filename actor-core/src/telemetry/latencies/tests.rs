use super::*;
use crate::id::ActorId;

fn sample(actor_type: fn() -> &'static str, wait: u64, handle: Option<u64>) -> Sample {
    Sample {
        actor: ActorId::new(0, 1, 1),
        actor_type,
        wait,
        handle,
        depth: 2,
        weight: 10,
    }
}

#[test]
fn times_are_kept_by_type_and_all_together() {
    let mut recorder = Recorder::default();
    recorder.add(&sample(|| "a", 100, Some(5)));
    recorder.add(&sample(|| "b", 200, None));
    recorder.add(&sample(|| "b", 200, Some(7)));
    let latencies = recorder.read(3);
    let names: Vec<_> = latencies.types.iter().map(|of| of.actor_type).collect();
    assert_eq!(names, ["b", "a"], "those with most messages first");
    let all = &latencies.all;
    assert_eq!((all.wait.count(), all.handle.count()), (30, 20));
    assert_eq!(all.wait, all.recent_wait);
    assert_eq!(
        (all.depth.count(), all.depth.sum(), all.depth.max()),
        (30, 60, 2)
    );
    assert_eq!((latencies.measured, latencies.lost), (3, 3));
}

#[test]
fn what_is_recent_passes() {
    let mut recorder = Recorder::default();
    let at = |seconds: u64| Tick(1).after(Duration::from_secs(seconds));
    recorder.turn(at(0));
    recorder.add(&sample(|| "a", 100, None));
    let recent = |recorder: &Recorder| recorder.read(0).all.recent_wait.count();
    recorder.turn(at(29));
    assert_eq!(recent(&recorder), 10);
    recorder.turn(at(31));
    recorder.add(&sample(|| "a", 100, None));
    assert_eq!(recent(&recorder), 20);
    recorder.turn(at(62));
    assert_eq!(recent(&recorder), 10);
    recorder.turn(at(200));
    assert_eq!(recent(&recorder), 0);
    assert_eq!(recorder.read(0).all.wait.count(), 20);
}

#[test]
fn the_number_of_types_is_bounded() {
    let mut recorder = Recorder::default();
    for n in 0..TYPES_MAX {
        let name: &'static str = Box::leak(format!("type {n}").into_boxed_str());
        recorder.types.insert(name, Times::default());
    }
    recorder.add(&sample(|| "one more", 1, None));
    recorder.add(&sample(|| "and another", 1, None));
    recorder.add(&sample(|| "type 7", 1, None));
    assert_eq!(recorder.types.len(), TYPES_MAX + 1);
    assert_eq!(recorder.types[OTHERS].all.wait.count(), 20);
    assert_eq!(recorder.types["type 7"].all.wait.count(), 10);
}
