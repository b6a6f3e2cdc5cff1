//! What does a message cost when eight actors send to one?

use std::time::Instant;

use actor_core::prelude::*;
use criterion::{Criterion, criterion_group, criterion_main};

mod common;
use common::{Add, Counter, Driver, Flood};

const SENDERS: u64 = 8;

fn fan_in(c: &mut Criterion) {
    let mut group = c.benchmark_group("fan_in_8_to_1");
    for (name, mailbox) in [
        ("unbounded", Mailbox::unbounded()),
        ("bounded_1024", Mailbox::bounded(1024)),
    ] {
        let system = common::system();
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| system.spawn(Driver).expect("spawned"))
            .collect();
        let counter = system
            .actor(Counter { sum: 0 })
            .mailbox(mailbox)
            .spawn()
            .expect("spawned");
        group.bench_function(name, |b| {
            b.iter_custom(|n| {
                let each = n.div_ceil(SENDERS);
                let began = Instant::now();
                system.block_on(async {
                    let floods: Vec<_> = senders
                        .iter()
                        .map(|sender| {
                            sender.ask(Flood {
                                to: counter,
                                n: each,
                            })
                        })
                        .map(tokio::spawn)
                        .collect();
                    for flood in floods {
                        flood.await.expect("no panic").expect("answered");
                    }
                    counter.ask(Add { n: 0 }).await.expect("answered");
                });
                began.elapsed()
            });
        });
        common::close(system);
    }
    group.finish();
}

criterion_group!(benches, fan_in);
criterion_main!(benches);
