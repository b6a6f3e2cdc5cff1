//! What does tracing cost: compiled in and switched off, on and not sampled, one message in a hundred
//! sampled, all of them?
//!
//! The four settings take turns, round after round, and the medians and the least are compared: on a machine with
//! other work the difference of two runs says nothing, and there the least says most. One worker, so that two
//! that meet or do not meet at a mailbox are not taken for the price of tracing.
//! `cargo bench -p benches --bench telemetry [-- ROUNDS]`.

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{TraceContext, TracingOptions};

mod common;
use common::{Add, Counter, Player};

/// Messages of one measurement.
const MESSAGES: u64 = 200_000;
/// Balls of one game: the traces that ping-pong is made of.
const GAME: u64 = 1000;

struct Setting {
    name: &'static str,
    options: fn() -> TracingOptions,
    /// One message in so many is sent in a sampled trace.
    every: Option<u64>,
}

const SETTINGS: [Setting; 4] = [
    Setting {
        name: "off",
        options: TracingOptions::off,
        every: None,
    },
    Setting {
        name: "not sampled",
        options: TracingOptions::new,
        every: None,
    },
    Setting {
        name: "1 % sampled",
        options: TracingOptions::new,
        every: Some(100),
    },
    Setting {
        name: "all sampled",
        options: TracingOptions::new,
        every: Some(1),
    },
];

/// Sends, some of it in a trace that begins with the message.
#[derive(Actor)]
struct Source;

#[messages]
impl Source {
    #[message]
    async fn tell_often(&mut self, to: ActorRef<Counter>, n: u64, every: u64) -> Duration {
        let began = std::time::Instant::now();
        for i in 1..=n {
            if i % every == 0 {
                let context = Context::empty().with_trace(TraceContext::new_root(true));
                let sent = to.ask(Add { n: i }).context(context).send();
                sent.await.expect("the counter lives");
            } else {
                to.send(Add { n: i }).await.expect("the counter lives");
            }
        }
        to.ask(Add { n: 0 }).await.expect("the counter lives");
        began.elapsed()
    }

    #[message]
    async fn ask_often(&mut self, whom: ActorRef<Counter>, n: u64, every: u64) -> Duration {
        let began = std::time::Instant::now();
        for i in 1..=n {
            let ask = whom.ask(Add { n: i });
            let ask = if i % every == 0 {
                ask.context(Context::empty().with_trace(TraceContext::new_root(true)))
            } else {
                ask
            };
            ask.await.expect("the counter lives");
        }
        began.elapsed()
    }
}

/// One setting, with its actors.
struct Bench {
    system: ActorSystem,
    source: ActorRef<Source>,
    counter: ActorRef<Counter>,
    every: Option<u64>,
}

impl Bench {
    fn new(setting: &Setting) -> Self {
        let system = ActorSystem::builder()
            .workers(Workers::Count(1))
            .tracing((setting.options)())
            .build()
            .expect("the machine can run a system");
        Self {
            source: system.spawn(Source).expect("spawned"),
            counter: system.spawn(Counter { sum: 0 }).expect("spawned"),
            every: setting.every,
            system,
        }
    }

    /// Games that begin outside, where it is decided which of them are sampled.
    fn ping_pong(&self) -> Duration {
        // Only here: of the messages that make the source send, none is to be in a trace.
        let share = self.every.map_or(0.0, |every| 1.0 / every as f64);
        self.system
            .set_sampling(share)
            .expect("a share from 0 to 1");
        let time = (0..MESSAGES / GAME).map(|_| self.game()).sum();
        self.system.set_sampling(0.0).expect("as above");
        time
    }

    fn game(&self) -> Duration {
        let (done, ended) = std::sync::mpsc::channel();
        let player = |peer| Player {
            peer,
            done: Some(done.clone()),
            left: GAME / 2,
        };
        let first = self.system.spawn(player(None)).expect("spawned");
        let second = self.system.spawn(player(Some(first))).expect("spawned");
        let meet = first.ask(common::Meet { peer: second });
        meet.blocking().expect("answered");
        let began = std::time::Instant::now();
        first.tell(common::Ball { n: 0 }).expect("room");
        ended.recv().expect("the players play");
        let time = began.elapsed();
        first.stop();
        second.stop();
        time
    }

    fn tell(&self) -> Duration {
        let (to, n, every) = (self.counter, MESSAGES, self.every.unwrap_or(u64::MAX));
        let told = self.source.ask(TellOften { to, n, every });
        told.blocking().expect("answered")
    }

    fn ask(&self) -> Duration {
        let (whom, n, every) = (self.counter, MESSAGES, self.every.unwrap_or(u64::MAX));
        let asked = self.source.ask(AskOften { whom, n, every });
        asked.blocking().expect("answered")
    }
}

type Measure = fn(&Bench) -> Duration;

fn main() {
    let rounds: usize = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .next()
        .unwrap_or(15);
    let benches: Vec<_> = SETTINGS.iter().map(Bench::new).collect();
    let measures: [(&str, Measure); 3] = [
        ("ping_pong", Bench::ping_pong),
        ("tell", Bench::tell),
        ("ask", Bench::ask),
    ];
    println!(
        "ns per message, of {rounds} rounds of {MESSAGES} messages: the median, and the least"
    );
    for (what, measure) in measures {
        let mut times = vec![Vec::new(); benches.len()];
        for round in 0..=rounds {
            for (bench, times) in benches.iter().zip(&mut times) {
                let time = measure(bench);
                // The first warms caches.
                if round > 0 {
                    times.push(time.as_nanos() as f64 / MESSAGES as f64);
                }
            }
        }
        for times in &mut times {
            times.sort_by(f64::total_cmp);
        }
        println!("{what}");
        for (setting, each) in SETTINGS.iter().zip(&times) {
            let figure = |at: usize| {
                let more = each[at] - times[0][at];
                let share = more / times[0][at] * 100.0;
                format!("{:8.1} ns  {more:+7.1} ns  {share:+6.1} %", each[at])
            };
            println!(
                "  {:12} {}   {}",
                setting.name,
                figure(rounds / 2),
                figure(0)
            );
        }
    }
    for (setting, bench) in SETTINGS.iter().zip(benches) {
        let spans = bench.system.stats().spans;
        println!(
            "{}: {} spans, {} of them dropped",
            setting.name, spans.offered, spans.dropped
        );
        common::close(bench.system);
    }
}
