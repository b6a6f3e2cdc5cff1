//! What does an actor cost: spawned from an actor with an eight-byte state, and its first message
//! handled?

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

mod common;
use common::{Driver, SpawnMany};

fn spawn(c: &mut Criterion) {
    let mut group = c.benchmark_group("spawn");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    group.bench_function("and_first_message", |b| {
        b.iter_custom(|n| {
            // A system of its own each time: the cells of earlier ones are warm, as in a service that
            // has run for a while.
            let system = common::system();
            let parent = system.spawn(Driver).expect("spawned");
            let began = Instant::now();
            parent.ask_blocking(SpawnMany { n }).expect("answered");
            while system.stats().messages.handled < n + 1 {
                std::thread::sleep(Duration::from_micros(100));
            }
            let time = began.elapsed();
            common::close(system);
            time
        });
    });
    group.finish();
}

criterion_group!(benches, spawn);
criterion_main!(benches);
