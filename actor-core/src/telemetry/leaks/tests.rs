use super::history::{History, Told};
use super::*;
use crate::clock::Tick;

const S: u64 = 1_000_000_000;
const NOBODY: [u64; 256] = [0; 256];

fn at(seconds: u64) -> Tick {
    Tick(seconds * S)
}

fn walk(told: &mut Told, seconds: u64, bearers: &[u8], count: u64) -> u8 {
    let mark = told.begin_walk(at(seconds));
    let mut borne = NOBODY;
    for mark in bearers {
        borne[usize::from(*mark)] += 1;
    }
    told.end_walk(at(seconds), borne, vec![((None, "T"), count)]);
    mark
}

fn options(samples: usize, span: u64) -> LeakOptions {
    LeakOptions::new()
        .growth(samples, Duration::from_secs(span))
        .growth_min(100)
}

#[test]
fn a_mark_keeps_its_time_while_it_is_borne() {
    let mut told = Told::default();
    let first = told.begin_walk(at(1));
    let mut borne = NOBODY;
    borne[usize::from(first)] = 1;
    told.end_walk(at(1), borne, Vec::new());
    // Given to a cell in a walk, and borne ever since.
    for seconds in 2..1000 {
        let mark = walk(&mut told, seconds, &[first], 0);
        assert_ne!(mark, first);
    }
    assert_eq!(told.quiet_for(first, at(1000)), Duration::from_secs(999));
    assert_eq!(told.observed_for(at(1000)), Duration::from_secs(999));
}

#[test]
fn when_every_mark_is_borne_actors_look_younger_never_older() {
    let mut told = Told::default();
    let mut borne = Vec::new();
    for seconds in 1..=400 {
        let mark = told.begin_walk(at(seconds));
        borne.push(mark);
        let mut bearers = NOBODY;
        for mark in &borne {
            bearers[usize::from(*mark)] += 1;
        }
        told.end_walk(at(seconds), bearers, Vec::new());
    }
    for (n, mark) in borne.iter().enumerate() {
        let since = n as u64 + 1;
        assert!(told.quiet_for(*mark, at(400)) <= Duration::from_secs(400 - since));
    }
    assert_eq!(told.quiet_for(borne[0], at(400)), Duration::from_secs(399));
}

#[test]
fn growth_is_a_matter_of_all_samples_and_of_the_span() {
    let grows = |counts: &[u64], options: &LeakOptions| {
        let mut told = Told::default();
        for (n, count) in counts.iter().enumerate() {
            walk(&mut told, 10 * (n as u64 + 1), &[], *count);
        }
        !told.growing(options).is_empty()
    };
    let five = options(5, 40);
    assert!(grows(&[100, 200, 300, 400, 500], &five));
    assert!(grows(&[0, 0, 0, 100, 200, 200, 400, 500], &five));
    assert!(!grows(&[200, 300, 400, 500], &five), "too few samples");
    assert!(!grows(&[100, 200, 300, 299, 500], &five), "it fell once");
    assert!(!grows(&[500, 500, 500, 500, 500], &five));
    assert!(!grows(&[500, 500, 500, 500, 501], &five), "hardly");
    assert!(!grows(&[10, 20, 30, 40, 50], &five), "too few actors");
    assert!(
        !grows(&[100, 200, 300, 400, 500], &options(5, 50)),
        "too short a time"
    );
    assert!(grows(&[100, 200, 300], &options(0, 0)));
}

#[test]
fn old_samples_are_thinned_and_reach_further_back() {
    let mut told = Told::default();
    for n in 1..=10_000 {
        walk(&mut told, n, &[], n);
    }
    let found = told.growing(&options(5, 3600));
    let (_, counts) = &found[0];
    assert_eq!(counts.len(), 5);
    assert!(counts[0].0 >= Duration::from_secs(3600), "{counts:?}");
    assert_eq!(counts[4], (Duration::ZERO, 10_000));
}

#[test]
fn one_sampler_at_a_time() {
    let history = History::default();
    assert!(history.sample_every(Duration::from_secs(1)));
    assert!(!history.sample_every(Duration::from_secs(2)));
    assert_eq!(history.period(), Duration::from_secs(2));
    history.sampling_ended();
    assert!(history.sample_every(Duration::from_secs(1)));
}

#[test]
fn the_report_reads_well() {
    let actor = ActorId::new(0, 7, 1);
    let report = LeakReport {
        actors: 1_031_204,
        observed_for: Duration::from_secs(2520),
        took: Duration::from_millis(34),
        idle: vec![IdleActors {
            actor_type: "shop::Session",
            parent: Some(actor),
            parent_type: Some("shop::Gateway"),
            alive: 812_400,
            idle: 812_331,
            asked: 32,
            unneeded: 32,
            longest: Duration::from_secs(2460),
            examples: vec![actor; 5],
        }],
        asks: vec![StuckAsk {
            actor,
            actor_type: "shop::Db",
            name: Some("db".into()),
            message: Some("shop::Query"),
            asker_gone: true,
            waits_for: Some(actor),
            queued: 12,
            running: Duration::from_secs(95),
        }],
        growing: vec![GrowingActors {
            actor_type: "shop::Job",
            parent: None,
            parent_type: None,
            counts: vec![
                (Duration::from_secs(8000), 10),
                (Duration::from_secs(600), 2000),
                (Duration::ZERO, 5000),
            ],
        }],
        watches: vec![ManyWatches {
            actor,
            actor_type: "shop::Hub",
            name: None,
            watchers: 52_113,
            watching: 3,
            monitors: 0,
        }],
        unanswered: vec![actor],
        not_asked: 9,
        options: LeakOptions::new(),
    };
    assert!(!report.is_clean());
    let text = report.to_string();
    for part in [
        "4 findings among 1031204 actors, observed for 42 min",
        "812331 of 812400 `shop::Session` under actor:0.7.1 (`shop::Gateway`) do nothing",
        "the longest for 41 min or more",
        "and 2 more",
        "\"db\" (actor:0.7.1, `shop::Db`) has been handling `shop::Query` for 95 s or more",
        "its asker has given up",
        "12 messages wait behind it",
        "5000 `shop::Job` at the top, and ever more",
        "10 2 h 13 min ago, 2000 10 min ago, 5000 now; never fewer",
        "watched by 52113 actors and 0 futures, and watching 3",
        "1 suspects did not answer within 500.0ms",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    println!("{text}");
}
