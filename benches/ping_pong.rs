//! What does a message cost when each one wakes its actor: pairs that bounce a number with `tell`?

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

mod common;

fn ping_pong(c: &mut Criterion) {
    let mut group = c.benchmark_group("ping_pong");
    for pairs in [1usize, 2, 64] {
        let system = common::system();
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{pairs}_pairs_per_message"), |b| {
            b.iter_custom(|n| {
                // At least some thousand per pair, or the start is what is measured.
                let each = (n / pairs as u64).max(2_000);
                let time = common::play(&system, pairs, each);
                time.mul_f64(n as f64 / (each * pairs as u64) as f64)
            });
        });
        common::close(system);
    }
    group.finish();
}

criterion_group!(benches, ping_pong);
criterion_main!(benches);
