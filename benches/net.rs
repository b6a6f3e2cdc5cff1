//! What does it cost to ask and to tell an actor in another process? Two processes on loopback, each with one worker
//! and one CPU, 64-byte messages with a trace and a deadline; and beside it, in turns in the same run, the same
//! bytes over raw tokio sockets between the same two CPUs.
//!
//! The second process is this program, started with `serve`. The figures to look at are the ratios to raw and the
//! CPU time, which other load on the machine changes less than it changes the clock.
//! `cargo bench -p benches --bench net -- --quick` is a smoke test; `--any-cpu` lets both processes run anywhere,
//! `--asks` and `--tells` leave the other out, for a profiler; `--rounds=N` changes how often each is measured.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{DeferredHandler, Reply};
use actor_net::cluster::{Cluster, Seeds};
use actor_net::remote::Exports;
use actor_net::transport::{Security, SharedKey};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const FRAME: usize = 64;
/// What a write of the raw stream has: as much as ours write at once.
const CHUNK: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let has = |wanted: &str| args.iter().any(|arg| arg == wanted);
    if has("serve") {
        let cpu = args.iter().find_map(|arg| arg.strip_prefix("--cpu="));
        settle(cpu.map(|cpu| cpu.parse().expect("the number of a CPU")));
        return serve(has("--tls"));
    }
    // Before this process takes one of them: the other inherits what this one may use.
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    let (here, there) = match cpus[..] {
        [here, there, ..] if !has("--any-cpu") => (Some(here.id), Some(there.id)),
        _ => (None, None),
    };
    settle(here);
    let sizes = if has("--quick") || has("--test") {
        Sizes {
            rounds: 1,
            asks: 200,
            tells: 5_000,
        }
    } else {
        let rounds = args.iter().find_map(|arg| arg.strip_prefix("--rounds="));
        Sizes {
            rounds: rounds.map_or(9, |rounds| rounds.parse().expect("a number of rounds")),
            asks: if has("--tells") { 1 } else { 5_000 },
            tells: if has("--asks") { 1 } else { 300_000 },
        }
    };
    measure(&sizes, there);
}

struct Sizes {
    rounds: usize,
    asks: u64,
    tells: u64,
}

/// Each process on a CPU of its own, where there are two.
fn settle(cpu: Option<usize>) {
    if let Some(id) = cpu {
        let cpu = core_affinity::CoreId { id };
        assert!(core_affinity::set_for_current(cpu), "bound to CPU {id}");
    }
}

// ---- Messages and actors --------------------------------------------------------------------------------

/// 64 bytes, here and on the wire.
#[derive(Clone, Copy, Debug, Default, Message, Serialize, Deserialize)]
#[message(remote = "bench.sample")]
struct Sample {
    values: [f64; 8],
}

/// The same, with an answer of the same size.
#[derive(Clone, Copy, Debug, Message, Serialize, Deserialize)]
#[message(remote = "bench.ask", reply = Sample)]
struct Ask(Sample);

/// Answered when so many samples have come.
#[derive(Debug, Message, Serialize, Deserialize)]
#[message(remote = "bench.count", reply = u64)]
struct Count(u64);

#[derive(Actor, Default)]
struct Meter {
    samples: u64,
    wanted: u64,
    reply: Option<Reply<u64>>,
}

impl SyncHandler<Ask> for Meter {
    fn handle(&mut self, Ask(sample): Ask, _cx: &mut ActorContext<Self>) -> Sample {
        sample
    }
}

impl SyncHandler<Sample> for Meter {
    fn handle(&mut self, sample: Sample, _cx: &mut ActorContext<Self>) {
        std::hint::black_box(sample);
        self.samples += 1;
        if self.samples == self.wanted
            && let Some(reply) = self.reply.take()
        {
            reply.send(self.samples);
        }
    }
}

impl DeferredHandler<Count> for Meter {
    fn handle(&mut self, Count(wanted): Count, reply: Reply<u64>, _cx: &mut ActorContext<Self>) {
        (self.samples, self.wanted, self.reply) = (0, wanted, Some(reply));
    }
}

/// Asks and tells from inside of the runtime, in the context of what it was asked.
#[derive(Actor)]
struct Driver {
    meter: ActorRef<Meter>,
}

#[messages]
impl Driver {
    /// One after the other; the time they took.
    #[message]
    async fn asks(&mut self, n: u64) -> Duration {
        let began = Instant::now();
        for _ in 0..n {
            self.meter
                .ask(Ask(Sample::default()))
                .await
                .expect("answered");
        }
        began.elapsed()
    }

    /// With backpressure; answers when the last is accepted here.
    #[message]
    async fn tells(&mut self, n: u64) {
        for _ in 0..n {
            self.meter
                .send(Sample::default())
                .await
                .expect("there is a way");
        }
    }
}

fn security(tls: bool) -> Security {
    if !tls {
        return Security::insecure();
    }
    let digits = "8f1d0f6a3c5be2974ad6105e7bb3c2984411f0a9d6c7e85b2f3a90d14c6e7b25";
    Security::shared_key(SharedKey::from_hex(digits).expect("a key"))
}

fn system() -> ActorSystem {
    ActorSystem::builder()
        .workers(Workers::Count(1))
        .build()
        .expect("the machine can run a system")
}

// ---- The second process ---------------------------------------------------------------------------------

/// Says where it listens, and serves until its standard input ends.
fn serve(tls: bool) {
    let system = system();
    let meter = system.spawn(Meter::default()).expect("spawned");
    let cluster = system.block_on(
        Cluster::builder(system.handle(), "bench")
            .peer("there")
            .security(security(tls))
            .exports(
                Exports::new()
                    .handles::<Meter, Ask>()
                    .handles::<Meter, Sample>()
                    .handles::<Meter, Count>()
                    .publish("meter", meter),
            )
            .start(),
    );
    let cluster = cluster.expect("a peer");
    let raw = reactor();
    let listener = raw
        .block_on(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))))
        .expect("a port");
    println!(
        "{} {}",
        cluster.local_addr(),
        listener.local_addr().expect("an address")
    );
    raw.spawn(serve_raw(listener));
    let _ = std::io::stdin().lines().count();
    system.block_on(cluster.leave(PATIENCE));
    finish(system);
}

/// Of two connections: frames of the first are echoed, of the second counted, and a byte says that all came.
async fn serve_raw(listener: TcpListener) {
    let (mut echo, _) = listener.accept().await.expect("a connection");
    let (mut swallow, _) = listener.accept().await.expect("a connection");
    for tcp in [&echo, &swallow] {
        tcp.set_nodelay(true).expect("nodelay");
    }
    tokio::spawn(async move {
        let mut frame = [0; FRAME];
        while echo.read_exact(&mut frame).await.is_ok() {
            echo.write_all(&frame).await.expect("written");
        }
    });
    let mut buffer = vec![0; CHUNK];
    while let Ok(mut left) = swallow.read_u64().await {
        while left > 0 {
            let n = swallow.read(&mut buffer).await.expect("bytes");
            left = left.saturating_sub(n as u64);
        }
        swallow.write_u8(1).await.expect("written");
    }
}

fn reactor() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all();
    builder.build().expect("a runtime")
}

fn finish(system: ActorSystem) {
    let report = system.shutdown_blocking(PATIENCE);
    assert!(report.conservation.holds_at_rest(), "{report}");
}

// ---- The first process ----------------------------------------------------------------------------------

/// A second process, and where it is reached.
struct There {
    process: Child,
    cluster: SocketAddr,
    raw: SocketAddr,
}

impl There {
    fn start(tls: bool, cpu: Option<usize>) -> Self {
        let this = std::env::current_exe().expect("this program");
        let mut command = Command::new(this);
        command.arg("serve");
        if tls {
            command.arg("--tls");
        }
        if let Some(cpu) = cpu {
            command.arg(format!("--cpu={cpu}"));
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a second process");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let mut addrs = line
            .split_whitespace()
            .map(|addr| addr.parse().expect("an address"));
        Self {
            cluster: addrs.next().expect("two addresses"),
            raw: addrs.next().expect("two addresses"),
            process,
        }
    }

    /// CPU time of this process's threads and of its own.
    fn cpu(&self) -> [Duration; 2] {
        [cpu_of("self"), cpu_of(&self.process.id().to_string())]
    }

    fn end(mut self) {
        drop(self.process.stdin.take());
        let status = self.process.wait().expect("it ends");
        assert!(status.success(), "the second process: {status}");
    }
}

/// As the scheduler counts; zero where that is not told.
fn cpu_of(process: &str) -> Duration {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return Duration::ZERO;
    };
    let of = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.flatten().filter_map(of).sum())
}

/// One figure of one round: by the clock, and CPU time of this process and of the other; ns a message.
#[derive(Clone, Copy)]
struct Figure {
    wall: f64,
    cpu: [f64; 2],
}

fn timed(there: &There, n: u64, work: impl FnOnce() -> Duration) -> Figure {
    let before = there.cpu();
    let wall = work();
    let after = there.cpu();
    let each = |time: Duration| time.as_nanos() as f64 / n as f64;
    Figure {
        wall: each(wall),
        cpu: [0, 1].map(|at| each(after[at].saturating_sub(before[at]))),
    }
}

struct Raw {
    runtime: Runtime,
    echo: Option<TcpStream>,
    swallow: Option<TcpStream>,
}

impl Raw {
    fn connect(there: &There) -> Self {
        let runtime = reactor();
        let connect = || {
            let tcp = runtime
                .block_on(TcpStream::connect(there.raw))
                .expect("connected");
            tcp.set_nodelay(true).expect("nodelay");
            Some(tcp)
        };
        let (echo, swallow) = (connect(), connect());
        Self {
            runtime,
            echo,
            swallow,
        }
    }

    fn round_trips(&mut self, n: u64) -> Duration {
        let mut tcp = self.echo.take().expect("given back");
        // A task, so that it runs on the thread that drives the sockets.
        let task = self.runtime.spawn(async move {
            let mut frame = [7; FRAME];
            let began = Instant::now();
            for _ in 0..n {
                tcp.write_all(&frame).await.expect("written");
                tcp.read_exact(&mut frame).await.expect("read");
            }
            (began.elapsed(), tcp)
        });
        let (time, tcp) = self.runtime.block_on(task).expect("done");
        self.echo = Some(tcp);
        time
    }

    fn one_way(&mut self, n: u64) -> Duration {
        let mut tcp = self.swallow.take().expect("given back");
        let task = self.runtime.spawn(async move {
            let chunk = vec![7; CHUNK];
            let mut left = n * FRAME as u64;
            let began = Instant::now();
            tcp.write_u64(left).await.expect("written");
            while left > 0 {
                let part = left.min(CHUNK as u64);
                tcp.write_all(&chunk[..part as usize])
                    .await
                    .expect("written");
                left -= part;
            }
            tcp.read_u8().await.expect("all came");
            (began.elapsed(), tcp)
        });
        let (time, tcp) = self.runtime.block_on(task).expect("done");
        self.swallow = Some(tcp);
        time
    }
}

/// This process's peer, and an actor that drives it.
struct Here {
    system: ActorSystem,
    cluster: Cluster,
    driver: ActorRef<Driver>,
    meter: ActorRef<Meter>,
    there: There,
}

impl Here {
    fn join(tls: bool, cpu: Option<usize>) -> Self {
        let there = There::start(tls, cpu);
        let system = system();
        let (cluster, meter) = system.block_on(async {
            let cluster = Cluster::builder(system.handle(), "bench")
                .peer("here")
                .security(security(tls))
                .seeds(Seeds::none().endpoint(there.cluster.into()))
                .start()
                .await
                .expect("a peer");
            cluster.until_up(2, PATIENCE).await.expect("both are up");
            let peer = actor_net::id::PeerId::new("there").expect("a name");
            let until = Instant::now() + PATIENCE;
            let meter = loop {
                match cluster.lookup::<Meter>(&peer, "meter").await {
                    Ok(meter) => break meter,
                    Err(error) => assert!(Instant::now() < until, "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            (cluster, meter)
        });
        let driver = system.spawn(Driver { meter }).expect("spawned");
        Self {
            system,
            cluster,
            driver,
            meter,
            there,
        }
    }

    /// What every message has: a trace and a deadline.
    fn context() -> Context {
        Context::empty()
            // Not recorded: spans are another question (benches/telemetry.rs).
            .with_trace(actor_core::TraceContext::new_root(false))
            .with_timeout(Duration::from_secs(600))
    }

    fn asks(&self, n: u64) -> Figure {
        timed(&self.there, n, || {
            let asks = self.driver.ask(Asks { n }).context(Self::context());
            asks.blocking().expect("answered")
        })
    }

    /// Until the last is handled there.
    fn tells(&self, n: u64) -> Figure {
        timed(&self.there, n, || {
            self.system.block_on(async {
                let all = tokio::spawn(self.meter.ask(Count(n)).into_future());
                // The count begins before the first tell: an answer to a later question says that it has.
                tokio::task::yield_now().await;
                self.meter
                    .ask(Ask(Sample::default()))
                    .await
                    .expect("answered");
                let began = Instant::now();
                let tells = self.driver.ask(Tells { n }).context(Self::context());
                tells.await.expect("sent");
                let counted = all.await.expect("not cancelled").expect("counted");
                assert_eq!(counted, n);
                began.elapsed()
            })
        })
    }

    fn end(self) {
        let stats = self.cluster.stats();
        self.system.block_on(self.cluster.leave(PATIENCE));
        drop(self.cluster);
        finish(self.system);
        self.there.end();
        println!("books: {}", stats.expect("one life to the end"));
    }
}

fn measure(sizes: &Sizes, cpu: Option<usize>) {
    let plain = Here::join(false, cpu);
    let tls = Here::join(true, cpu);
    let mut raw = Raw::connect(&plain.there);
    let mut trips = [const { Vec::new() }; 3];
    let mut ways = [const { Vec::new() }; 3];
    for round in 0..=sizes.rounds {
        let figures = [
            timed(&plain.there, sizes.asks, || raw.round_trips(sizes.asks)),
            plain.asks(sizes.asks),
            tls.asks(sizes.asks),
        ];
        let ways_now = [
            timed(&plain.there, sizes.tells, || raw.one_way(sizes.tells)),
            plain.tells(sizes.tells),
            tls.tells(sizes.tells),
        ];
        // The first is to warm up.
        if round > 0 {
            for (all, figure) in trips.iter_mut().zip(figures) {
                all.push(figure);
            }
            for (all, figure) in ways.iter_mut().zip(ways_now) {
                all.push(figure);
            }
        }
    }
    plain.end();
    tls.end();
    report(trips, ways);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(trips: [Vec<Figure>; 3], ways: [Vec<Figure>; 3]) {
    // Against the raw figure of the same round: what else the machine does, it does to both.
    let ratio = |of: &[Figure]| {
        let pairs = of.iter().zip(&trips[0]);
        median(pairs.map(|(of, raw)| of.wall / raw.wall).collect())
    };
    let walls = |of: &[Figure]| median(of.iter().map(|it| it.wall).collect());
    let cpus = |of: &[Figure]| {
        let all = median(of.iter().map(|it| it.cpu[0] + it.cpu[1]).collect());
        let each = [0, 1].map(|at| median(of.iter().map(|it| it.cpu[at]).collect()));
        format!("{all:>10.0}{:>8.0}{:>8.0}", each[0], each[1])
    };
    println!(
        "\n{:<28}{:>10}{:>10}{:>8}{:>8}{:>10}{:>12}",
        "64 bytes, with context", "ns", "CPU ns", "here", "there", "to raw", "goal"
    );
    for (what, of, goal) in [
        ("round trip, raw tokio TCP", &trips[0], ""),
        ("ask", &trips[1], "<= 1.6x"),
        ("ask, TLS 1.3", &trips[2], "<= 2x"),
    ] {
        println!(
            "{what:<28}{:>10.0}{}{:>9.2}x{goal:>12}",
            walls(of),
            cpus(of),
            ratio(of)
        );
    }
    for (what, of, goal) in [
        ("one way, raw, 64 KiB writes", &ways[0], ""),
        ("tell", &ways[1], "<= 300 ns"),
        ("tell, TLS 1.3", &ways[2], "<= 500 ns"),
    ] {
        println!(
            "{what:<28}{:>10.0}{}{:>10}{goal:>12}",
            walls(of),
            cpus(of),
            ""
        );
    }
}
