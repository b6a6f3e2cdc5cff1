//! What does a question and its answer cost: asked by an actor, by a plain thread, by a tokio task?

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

mod common;
use common::{Add, AskOften, Counter, Driver};

fn ask(c: &mut Criterion) {
    let mut group = c.benchmark_group("ask");
    let system = common::system();
    let driver = system.spawn(Driver).expect("spawned");
    let counter = system.spawn(Counter { sum: 0 }).expect("spawned");
    group.bench_function("from_an_actor", |b| {
        b.iter_custom(|n| {
            driver
                .ask_blocking(AskOften { whom: counter, n })
                .expect("answered")
        });
    });
    group.bench_function("from_an_actor_with_deadline", |b| {
        b.iter_custom(|n| {
            driver
                .ask(AskOften { whom: counter, n })
                .within(Duration::from_secs(600))
                .blocking()
                .expect("answered")
        });
    });
    group.bench_function("from_a_tokio_task", |b| {
        b.iter_custom(|n| {
            system.block_on(async {
                let began = Instant::now();
                for i in 0..n {
                    counter.ask(Add { n: i }).await.expect("answered");
                }
                began.elapsed()
            })
        });
    });
    group.finish();
    common::close(system);
}

criterion_group!(benches, ask);
criterion_main!(benches);
