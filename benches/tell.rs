//! What does a stream of messages cost from one actor to another: across two workers, and as placed by
//! default?

use std::time::Instant;

use actor_core::prelude::*;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

mod common;
use common::{Add, Counter, Driver, Flood};

fn tell(c: &mut Criterion) {
    let mut group = c.benchmark_group("tell_1_to_1");
    group.throughput(Throughput::Elements(1));
    for (name, mailbox) in [
        ("unbounded", Mailbox::unbounded()),
        ("bounded_1024", Mailbox::bounded(1024)),
    ] {
        for across in [true, false] {
            let system = if across {
                common::two_workers()
            } else {
                common::system()
            };
            let place = |index| {
                if across {
                    Placement::Node(common::side(&system, index))
                } else {
                    Placement::Inherit
                }
            };
            let driver = system
                .actor(Driver)
                .placement(place(0))
                .spawn()
                .expect("spawned");
            let counter = system
                .actor(Counter { sum: 0 })
                .mailbox(mailbox)
                .placement(place(1))
                .spawn()
                .expect("spawned");
            let how = if across {
                "across_two_workers"
            } else {
                "default_placement"
            };
            group.bench_function(format!("{name}_{how}"), |b| {
                b.iter_custom(|n| {
                    let began = Instant::now();
                    driver
                        .ask_blocking(Flood { to: counter, n })
                        .expect("answered");
                    // Answered after all that was sent before.
                    counter.ask_blocking(Add { n: 0 }).expect("answered");
                    began.elapsed()
                });
            });
            common::close(system);
        }
    }
    group.finish();
}

criterion_group!(benches, tell);
criterion_main!(benches);
