//! What a system tells of itself as metrics, from outside: which families there are, what stands in them, and the seam for
//! those of others.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actor_core::metrics::{Family, Histogram, Kind, Reading, Value};
use actor_core::prelude::*;
use actor_core::topology::Workers;
use common::*;

struct Echo;
impl Actor for Echo {}
struct Say(u32);
impl Message for Say {
    type Reply = u32;
}
impl SyncHandler<Say> for Echo {
    fn handle(&mut self, Say(n): Say, _cx: &mut ActorContext<Self>) -> u32 {
        n
    }
}

fn system() -> ActorSystem {
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    builder.build().unwrap()
}

fn family<'a>(reading: &'a Reading, name: &str) -> &'a Family {
    let found = reading.families().iter().find(|it| it.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}", names(reading)))
}

fn names(reading: &Reading) -> BTreeSet<&'static str> {
    reading.families().iter().map(|it| it.name).collect()
}

/// Of the series with these labels.
fn value(reading: &Reading, name: &str, labels: &[(&str, &str)]) -> Value {
    let found = family(reading, name).series.iter().find(|it| {
        let own = it.labels.iter().map(|(key, of)| (*key, of.as_str()));
        own.eq(labels.iter().copied())
    });
    found
        .unwrap_or_else(|| panic!("no {name} {labels:?}"))
        .value
        .clone()
}

fn count(reading: &Reading, name: &str, labels: &[(&str, &str)]) -> u64 {
    match value(reading, name, labels) {
        Value::Count(count) => count,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn a_reading_tells_what_the_books_tell() {
    let system = system();
    let echo = system.spawn(Echo).unwrap();
    for n in 0..10 {
        assert_eq!(echo.ask_blocking(Say(n)).unwrap(), n);
    }
    let of_type = [("type", std::any::type_name::<Echo>())];
    let reading = system.metrics();
    assert_eq!(count(&reading, "actor.type.actors", &of_type), 1);
    let gone = system.spawn(Echo).unwrap();
    gone.stop();
    system.block_on(gone.terminated());
    assert!(gone.tell(Say(1)).is_err());
    settle(&system);
    wait_until("it is gone", || system.stats().actors.alive() == 1);
    let reading = system.metrics();
    assert_eq!(count(&reading, "actor.messages.accepted", &[]), 10);
    assert_eq!(count(&reading, "actor.messages.handled", &[]), 10);
    assert_eq!(
        count(&reading, "actor.messages.refused", &[("reason", "dead")]),
        1
    );
    assert_eq!(count(&reading, "actor.actors", &[]), 1);
    assert_eq!(count(&reading, "actor.spawned", &[]), 2);
    assert_eq!(count(&reading, "actor.stopped", &[]), 1);
    assert!(reading.since() <= reading.taken());
    assert_eq!(reading.left_out(), 0);
    // After the end too: a last export.
    let handle = system.handle();
    finish(system);
    let last = handle.metrics();
    assert_eq!(count(&last, "actor.messages.handled", &[]), 10);
    assert_eq!(count(&last, "actor.ready", &[]), 0);
}

/// Everything that a dashboard holds on to. A name that goes breaks those of others.
#[test]
fn the_families_have_stable_names_kinds_and_units() {
    let system = system();
    let echo = system.spawn(Echo).unwrap();
    echo.ask_blocking(Say(1)).unwrap();
    wait_until("a message was measured", || {
        // Messages from outside are measured now and then.
        echo.ask_blocking(Say(1)).unwrap();
        names(&system.metrics()).contains("actor.handler.duration")
    });
    let reading = system.metrics();
    for (name, unit, kind) in [
        ("actor.messages.offered", "{message}", Kind::Counter),
        ("actor.messages.accepted", "{message}", Kind::Counter),
        ("actor.messages.handled", "{message}", Kind::Counter),
        ("actor.messages.refused", "{message}", Kind::Counter),
        ("actor.messages.dropped", "{message}", Kind::Counter),
        ("actor.messages.queued", "{message}", Kind::UpDownCounter),
        ("actor.dead_letters", "{message}", Kind::Counter),
        ("actor.message.wait", "s", Kind::Histogram),
        ("actor.handler.duration", "s", Kind::Histogram),
        ("actor.mailbox.depth", "{message}", Kind::Histogram),
        (
            "actor.type.mailbox.messages",
            "{message}",
            Kind::UpDownCounter,
        ),
        ("actor.restarts", "{restart}", Kind::Counter),
        ("actor.asks.no_reply", "{ask}", Kind::Counter),
        ("actor.stalls", "{stall}", Kind::Counter),
        ("actor.worker.steals.near", "{steal}", Kind::Counter),
        ("actor.worker.steals.far", "{steal}", Kind::Counter),
        ("actor.messages.crossed", "1", Kind::Gauge),
        ("actor.arena.slab", "By", Kind::UpDownCounter),
        ("actor.spans.dropped", "{span}", Kind::Counter),
        ("actor.metrics.left_out", "{series}", Kind::Gauge),
    ] {
        let family = family(&reading, name);
        assert_eq!((family.unit, family.kind), (unit, kind), "{name}");
    }
    let of_type = [("type", std::any::type_name::<Echo>())];
    for name in [
        "actor.message.wait",
        "actor.handler.duration",
        "actor.mailbox.depth",
    ] {
        let Value::Histogram(spread) = value(&reading, name, &of_type) else {
            panic!("{name} is a histogram");
        };
        assert!(spread.count() > 0 && spread.min <= spread.max, "{spread:?}");
        assert_eq!(spread.counts.len(), spread.bounds.len() + 1);
        assert!(spread.bounds.is_sorted(), "{spread:?}");
    }
    let text = reading.prometheus();
    for line in [
        "# TYPE actor_messages_handled_total counter",
        "# TYPE actor_message_wait_seconds histogram",
        "# TYPE actor_arena_slab_bytes gauge",
        "# TYPE actor_messages_crossed_ratio gauge",
        "actor_dead_letters_total{reason=\"actor_stopped\"} 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    finish(system);
}

/// Handles a message when it is told to, so that the others wait.
struct Slow(Option<std::sync::mpsc::Receiver<()>>);
impl Actor for Slow {}
impl SyncHandler<Say> for Slow {
    fn handle(&mut self, Say(n): Say, _cx: &mut ActorContext<Self>) -> u32 {
        if let Some(go) = self.0.take() {
            go.recv_timeout(PATIENCE).expect("told to go on");
        }
        n
    }
}

#[test]
fn mailboxes_are_told_by_type_the_longest_ten_and_by_depth() {
    // Nobody stands in for the one worker while it is held.
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    let system = builder.watchdog(false).build().unwrap();
    let (go, wait) = std::sync::mpsc::channel();
    let slow = system.spawn(Slow(Some(wait))).unwrap();
    // The one worker is in the first handler; everything else waits.
    for n in 0..300 {
        slow.tell(Say(n)).unwrap();
    }
    let others: Vec<_> = (0..12).map(|_| system.spawn(Echo).unwrap()).collect();
    for (n, other) in others.iter().enumerate() {
        for _ in 0..=n {
            other.tell(Say(0)).unwrap();
        }
    }
    let reading = system.metrics();
    let of_slow = [("type", std::any::type_name::<Slow>())];
    let waiting = count(&reading, "actor.type.mailbox.messages", &of_slow);
    assert!((299..=300).contains(&waiting), "{waiting}");
    let longest = &family(&reading, "actor.longest.mailbox.messages").series;
    assert_eq!(longest.len(), 10, "{longest:?}");
    assert_eq!(longest[0].labels[0], ("actor", slow.id().to_string()));
    go.send(()).unwrap();
    wait_until("all is handled", || system.stats().messages.queued() == 0);
    // One of 64 messages from outside is measured: of 300, some were deep in the mailbox.
    let depth = wait_for_depth(&system);
    assert!(depth.max >= Some(10.0), "{depth:?}");
    finish(system);
}

fn wait_for_depth(system: &ActorSystem) -> Histogram {
    let of_slow = [("type", std::any::type_name::<Slow>())];
    let found = std::cell::OnceCell::new();
    wait_until("messages of it were measured", || {
        let reading = system.metrics();
        let is_there = names(&reading).contains("actor.mailbox.depth")
            && family(&reading, "actor.mailbox.depth")
                .series
                .iter()
                .any(|it| it.labels[0].1 == of_slow[0].1);
        if is_there
            && let Value::Histogram(depth) = value(&reading, "actor.mailbox.depth", &of_slow)
        {
            _ = found.set(depth);
        }
        found.get().is_some()
    });
    found.into_inner().unwrap()
}

#[test]
fn figures_of_others_join_the_systems_own_until_they_are_taken_out() {
    let system = system();
    let sold = Arc::new(AtomicU64::new(7));
    let counter = sold.clone();
    let shop = system.add_metrics(move |reading| {
        let labels = [("shop", "north")];
        let sold = counter.load(Ordering::Relaxed);
        reading
            .counter("shop.sold", "{item}", "Items sold.")
            .add(&labels, sold);
    });
    system
        .add_metrics(|reading| {
            let mut family = reading.gauge("shop.open", "", "Whether it is.");
            family.add(&[], true);
            panic!("on purpose");
        })
        .forever();
    // Not one of the core's, and not another value for one.
    let forger = system.add_metrics(|reading| {
        let mut family = reading.counter("actor.restarts", "{restart}", "Forged.");
        family.add(&[], 99_u64);
    });
    let reading = system.metrics();
    let labels = [("shop", "north")];
    assert_eq!(count(&reading, "shop.sold", &labels), 7);
    assert_eq!(count(&reading, "shop.open", &[]), 1, "before it panicked");
    assert_eq!(count(&reading, "actor.restarts", &[]), 0);
    assert_eq!(reading.left_out(), 1);
    drop(forger);
    sold.store(8, Ordering::Relaxed);
    let reading = system.metrics();
    assert_eq!(count(&reading, "shop.sold", &labels), 8);
    assert_eq!(reading.left_out(), 0);
    drop(shop);
    assert!(!names(&system.metrics()).contains("shop.sold"));
    let report = system.shutdown_blocking(Duration::from_secs(60));
    assert!(report.is_clean(), "{report}");
}

fn document(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// That docs/metrics.md says what there is, a test beside the table sees to.
#[test]
fn the_dashboard_shows_what_there_is() {
    let metrics = document("../docs/metrics.md");
    let rows = metrics.lines().filter(|row| row.starts_with("| `actor."));
    let known: BTreeSet<&str> = rows.filter_map(|row| row.split('`').nth(3)).collect();
    let dashboard = document("../docs/grafana/actors.json");
    let read: serde_json::Value = serde_json::from_str(&dashboard).expect("it is JSON");
    let panels = read["panels"].as_array().expect("panels").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array());
    let mut seen = BTreeSet::new();
    for target in targets.flatten() {
        let expression = target["expr"].as_str().expect("an expression");
        let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let words = expression.split(|char| !is_name(char));
        for name in words.filter(|word| word.starts_with("actor_")) {
            let ends = ["", "_bucket", "_sum", "_count"];
            let mut of = ends.iter().filter_map(|end| name.strip_suffix(end));
            assert!(
                of.any(|name| known.contains(name)),
                "{name} in {expression}"
            );
            seen.insert(name);
        }
    }
    assert!(seen.len() > 30, "it shows much: {seen:?}");
    for name in [
        "actor_messages_handled_total",
        "actor_message_wait_seconds_bucket",
    ] {
        assert!(seen.contains(name), "what people look for first: {name}");
    }
}
