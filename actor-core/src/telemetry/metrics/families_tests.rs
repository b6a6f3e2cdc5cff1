use super::*;
use crate::telemetry::metrics::{Series, Value, census};
use crate::telemetry::{Activity, ActorGlance};
use std::collections::HashSet;
use std::time::SystemTime;

fn reading() -> Reading {
    Reading::new(SystemTime::now())
}

fn name(n: usize) -> &'static str {
    Box::leak(format!("type {n}").into_boxed_str())
}

fn count(series: &Series) -> u64 {
    match &series.value {
        Value::Count(count) => *count,
        Value::Histogram(histogram) => histogram.count(),
        Value::Number(_) => panic!("{series:?}"),
    }
}

#[test]
fn the_table_names_each_family_once_and_by_the_rules() {
    let mut names = HashSet::new();
    for row in FAMILIES {
        let told = super::super::prometheus::name(row.name, row.unit, row.kind);
        assert!(names.insert(told.clone()), "{told} is there twice");
        let is_plain = |char: char| char.is_ascii_lowercase() || "._".contains(char);
        assert!(row.name.chars().all(is_plain), "{}", row.name);
        assert!(row.name.starts_with("actor."), "{}", row.name);
        assert!(row.help.ends_with('.'), "{}: a sentence", row.name);
        // `_total` is put there; a unit is none of the name.
        for suffix in ["total", "seconds", "bytes", "ratio"] {
            assert!(!row.name.ends_with(suffix), "{}", row.name);
        }
    }
}

#[test]
fn times_of_many_types_are_bounded_and_nothing_is_lost() {
    let mut latencies = Latencies::default();
    for n in 0..TYPES_MAX + 50 {
        let mut of = TypeLatency {
            actor_type: name(n),
            ..TypeLatency::default()
        };
        of.wait.add(1_000, 3);
        of.wait.add(20_000_000_000, 1);
        latencies.types.push(of);
    }
    latencies.types[7].actor_type = crate::telemetry::latencies::OTHERS;
    let mut reading = reading();
    let mut out = reading.histogram("t", "s", "T.");
    times(&mut out, &latencies, |it| spread(&it.wait));
    let series = &reading.families()[0].series;
    assert_eq!(series.len(), TYPES_MAX + 1);
    assert_eq!(series.iter().map(count).sum::<u64>(), 4 * 150);
    let last = &series[TYPES_MAX];
    assert_eq!(last.labels, [("type", OTHER.to_owned())]);
    assert_eq!(count(last), 4 * 50);
    let Value::Histogram(spread) = &last.value else {
        panic!("{last:?}");
    };
    let at = |nanos: u64| TIMES.iter().position(|bound| *bound == nanos);
    assert_eq!(at(1_000).map(|at| spread.counts[at]), Some(3 * 50));
    assert_eq!(
        spread.counts[TIMES.len()],
        50,
        "above the last bound: {spread:?}"
    );
}

#[test]
fn a_census_is_bounded_whatever_there_is() {
    let types: Vec<&'static str> = (0..TYPES_MAX + 50).map(name).collect();
    let census = census::take(|visit| {
        for n in 0..3_000_u64 {
            visit(ActorGlance {
                actor: crate::id::ActorId::from_number((1 << 32) | n).expect("an id"),
                actor_type: types[n as usize % types.len()],
                numa_node: crate::id::NumaNodeId(0),
                parent: None,
                activity: if n % 2 == 0 {
                    Activity::Busy
                } else {
                    Activity::Idle
                },
                queued: u32::try_from(n % 500).expect("small"),
                capacity: None,
                waits_for: None,
                quiet_for: None,
            });
        }
    });
    assert_eq!((census.actors, census.asking), (3_000, 0));
    assert_eq!(census.types.len(), TYPES_MAX + 1);
    assert_eq!(census.types[TYPES_MAX].actor_type, OTHER);
    let sum = |of: fn(&census::ByType) -> u64| census.types.iter().map(of).sum::<u64>();
    assert_eq!(sum(|it| it.alive), 3_000);
    assert_eq!(sum(|it| it.busy), 1_500);
    assert_eq!(sum(|it| it.queued), 6 * (0..500).sum::<u64>());
    let longest: Vec<u32> = census.longest.iter().map(|it| it.queued).collect();
    // 499 and 498, six times each.
    assert_eq!(longest, [499, 499, 499, 499, 499, 499, 498, 498, 498, 498]);
}

fn file(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Name, Prometheus's name, kind, unit and words of each row of the document's tables.
fn documented() -> Vec<[String; 5]> {
    let document = file("../docs/metrics.md");
    let rows = document
        .lines()
        .filter(|line| line.starts_with("| `actor."));
    let rows = rows.map(|row| {
        let cells: Vec<_> = row
            .split('|')
            .map(|it| it.trim().replace('`', ""))
            .collect();
        let [_, name, prometheus, kind, unit, _labels, help, _] = &cells[..] else {
            panic!("{row}");
        };
        [name, prometheus, kind, unit, help].map(String::clone)
    });
    rows.collect()
}

#[test]
fn the_document_has_the_table() {
    let documented = documented();
    for row in FAMILIES {
        let kind = match row.kind {
            Counter => "counter",
            UpDown => "up-down",
            Gauge => "gauge",
            Spread => "histogram",
        };
        let prometheus = super::super::prometheus::name(row.name, row.unit, row.kind);
        let wanted = [row.name, &prometheus, kind, row.unit, row.help].map(str::to_owned);
        assert!(documented.contains(&wanted), "docs/metrics.md: {wanted:?}");
    }
    for [name, ..] in &documented {
        let of_others = ["cluster", "peer", "remote", "group", "shards", "otlp"];
        let known = FAMILIES.iter().any(|row| row.name == name)
            || name == "actor.metrics.left_out"
            // The tests of the network layer and of the export look after those.
            || of_others.contains(&name.split('.').nth(1).unwrap_or_default());
        assert!(known, "docs/metrics.md tells of {name}, which is not there");
    }
}
