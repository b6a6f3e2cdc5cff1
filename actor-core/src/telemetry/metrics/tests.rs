use super::*;

fn reading() -> Reading {
    Reading::new(SystemTime::now())
}

#[test]
fn what_does_not_fit_is_left_out_and_counted() {
    let mut reading = reading();
    reading.counter("a", "{x}", "A.").add(&[], 1_u64);
    // Another kind, another unit, a distribution for a number, and the same labels again.
    reading.gauge("a", "{x}", "A.").add(&[], 2_u64);
    reading.counter("a", "s", "A.").add(&[], 2_u64);
    let spread = Histogram::cumulative([(1.0, 1)], 1, 1.0);
    reading.counter("a", "{x}", "A.").add(&[], spread);
    reading.counter("a", "{x}", "A.").add(&[], 7_u64);
    // One name for Prometheus.
    reading.counter("b.c", "{x}", "B.").add(&[], 1_u64);
    reading.counter("b_c", "{x}", "B.").add(&[], 1_u64);
    // Nothing to tell.
    reading.gauge("d", "", "D.");
    let reading = reading.finish();
    let names: Vec<_> = reading.families().iter().map(|it| it.name).collect();
    assert_eq!(names, ["a", "b.c", "actor.metrics.left_out"]);
    assert_eq!(reading.families()[0].series[0].value, Value::Count(1));
    assert_eq!(reading.left_out(), 5);
    assert!(reading.prometheus().contains("actor_metrics_left_out 5\n"));
}

#[test]
fn series_and_families_are_bounded() {
    let mut reading = reading();
    let mut family = reading.counter("a", "{x}", "A.");
    for n in 0..SERIES_MAX + 3 {
        family.add(&[("n", &n.to_string())], n);
    }
    for n in 0..FAMILIES_MAX + 3 {
        let name: &'static str = Box::leak(format!("f{n}").into_boxed_str());
        reading.gauge(name, "", "F.").add(&[], n);
    }
    let reading = reading.finish();
    assert_eq!(reading.families()[0].series.len(), SERIES_MAX);
    assert_eq!(reading.left_out(), 3 + 4);
    // And the family that tells it.
    assert_eq!(reading.families().len(), FAMILIES_MAX + 1);
}

#[test]
fn histograms_add_up() {
    let one = Histogram {
        min: Some(0.5),
        max: Some(3.0),
        ..Histogram::cumulative([(1.0, 2), (2.0, 5)], 7, 10.0)
    };
    assert_eq!(one.counts, [2, 3, 2]);
    let none = Histogram::cumulative([(1.0, 0), (2.0, 0)], 0, 0.0);
    assert_eq!(none.clone().with(&one), one);
    let two = one.clone().with(&one);
    assert_eq!((two.counts.as_slice(), two.count()), (&[4, 6, 4][..], 14));
    assert_eq!((two.sum, two.min, two.max), (20.0, Some(0.5), Some(3.0)));
}
