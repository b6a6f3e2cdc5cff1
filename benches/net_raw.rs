//! What does a link add to the TCP below it? Round trips and one-way streams of 64-byte frames, over raw
//! tokio sockets, over a link without security and over one with TLS, in turns in one run.
//!
//! Two runtimes of one thread each, as two processes of one NUMA node have them. The figures to look at are
//! the ratios to raw; the machine shows in both. `cargo bench -p benches --bench net_raw -- --quick` is a
//! smoke test.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use actor_net::transport::{
    Established, Flow, Link, LinkEnd, LinkEvents, Security, SendRefused, SharedKey, TcpLink,
    Transport, TransportSettings, Unsent,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const FRAME: usize = 64;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick" || arg == "--test");
    let (rounds, trips, frames) = if quick {
        (1, 200, 5_000)
    } else {
        (7, 10_000, 400_000)
    };
    let (near, far) = (reactor("near"), reactor("far"));
    let mut raw = Raw::connect(&near, &far);
    let plain = Linked::connect(&near, &far, Security::insecure());
    let digits = "8f1d0f6a3c5be2974ad6105e7bb3c2984411f0a9d6c7e85b2f3a90d14c6e7b25";
    let key = SharedKey::from_hex(digits).expect("a key");
    let tls = Linked::connect(&near, &far, Security::shared_key(key));

    let mut trip = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        trip[0].push(raw.round_trips(&near, trips));
        trip[1].push(plain.round_trips(trips));
        trip[2].push(tls.round_trips(trips));
    }
    println!(
        "{:<28}{:>12}{:>12}{:>12}",
        "", "raw tokio", "link", "link, TLS"
    );
    report("round trip, ns", trip);
    for per_write in [1, 16, 256] {
        let frames = if per_write == 1 { frames / 8 } else { frames };
        let mut one_way = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            one_way[0].push(raw.one_way(&near, frames, per_write));
            one_way[1].push(plain.one_way(&near, frames, per_write));
            one_way[2].push(tls.one_way(&near, frames, per_write));
        }
        report(&format!("one way, {per_write} a write, ns"), one_way);
    }
    // Frames by many small sends, each handed to the link's task, which finds out what goes together.
    let mut sent = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        sent[0].push(raw.one_way(&near, frames, 16));
        sent[1].push(plain.sends(&near, frames));
        sent[2].push(tls.sends(&near, frames));
    }
    report("one way, send(), ns (raw: 16)", sent);
}

/// Medians, and how they compare with raw.
fn report(what: &str, mut measured: [Vec<f64>; 3]) {
    let medians = measured.each_mut().map(|values| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    });
    let [raw, link, tls] = medians;
    println!(
        "{what:<30}{raw:>10.0}{link:>12.0}{tls:>12.0}    {:.2}x  {:.2}x",
        link / raw,
        tls / raw
    );
}

fn reactor(name: &str) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_name(name).enable_all();
    builder.build().expect("a runtime")
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn per(n: usize, time: Duration) -> f64 {
    time.as_nanos() as f64 / n as f64
}

/// Two sockets: one that echoes frames, one that swallows bytes.
struct Raw {
    echo: Option<TcpStream>,
    swallow: Option<TcpStream>,
    counter: Counter,
}

impl Raw {
    fn connect(near: &Runtime, far: &Runtime) -> Self {
        let pair = || {
            let (listener, addr) = far.block_on(async {
                let listener = TcpListener::bind(loopback()).await.expect("a port");
                let addr = listener.local_addr().expect("an address");
                (listener, addr)
            });
            let dialled = near.block_on(TcpStream::connect(addr)).expect("connected");
            let (accepted, _) = far.block_on(listener.accept()).expect("accepted");
            dialled.set_nodelay(true).expect("nodelay");
            accepted.set_nodelay(true).expect("nodelay");
            (dialled, accepted)
        };
        let (echo, mut echoing) = pair();
        far.spawn(async move {
            let mut frame = [0; FRAME];
            while echoing.read_exact(&mut frame).await.is_ok() {
                echoing.write_all(&frame).await.expect("written");
            }
        });
        let (swallow, mut swallowing) = pair();
        let (counter, mut count) = counter();
        far.spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(n @ 1..) = swallowing.read(&mut buffer).await {
                count.bytes(n);
            }
        });
        Self {
            echo: Some(echo),
            swallow: Some(swallow),
            counter,
        }
    }

    /// On the runtime's own thread, where the link's events are.
    fn round_trips(&mut self, near: &Runtime, n: usize) -> f64 {
        let mut tcp = self.echo.take().expect("given back");
        let task = near.spawn(async move {
            let mut frame = [7; FRAME];
            let begun = Instant::now();
            for _ in 0..n {
                tcp.write_all(&frame).await.expect("written");
                tcp.read_exact(&mut frame).await.expect("read");
            }
            (per(n, begun.elapsed()), tcp)
        });
        let (time, tcp) = near.block_on(task).expect("done");
        self.echo = Some(tcp);
        time
    }

    fn one_way(&mut self, near: &Runtime, frames: usize, per_write: usize) -> f64 {
        let mut tcp = self.swallow.take().expect("given back");
        let bytes = vec![7; FRAME * per_write];
        self.counter.expect(frames / per_write * bytes.len());
        let begun = Instant::now();
        let task = near.spawn(async move {
            for _ in 0..frames / per_write {
                tcp.write_all(&bytes).await.expect("written");
            }
            tcp
        });
        self.swallow = Some(near.block_on(task).expect("done"));
        self.counter.wait();
        per(frames, begun.elapsed())
    }
}

/// Says when so many bytes have come.
struct Counter {
    expected: mpsc::Sender<usize>,
    reached: mpsc::Receiver<()>,
}

struct Count {
    expected: mpsc::Receiver<usize>,
    reached: mpsc::Sender<()>,
    left: usize,
}

fn counter() -> (Counter, Count) {
    let (expected, expects) = mpsc::channel();
    let (reaches, reached) = mpsc::channel();
    let counter = Counter { expected, reached };
    let count = Count {
        expected: expects,
        reached: reaches,
        left: 0,
    };
    (counter, count)
}

impl Counter {
    /// Said before the first of the bytes is sent.
    fn expect(&self, bytes: usize) {
        self.expected.send(bytes).expect("the other end is up");
    }

    fn wait(&self) {
        self.reached.recv().expect("the other end is up");
    }
}

impl Count {
    fn bytes(&mut self, n: usize) {
        if self.left == 0 {
            self.left = self.expected.recv().expect("somebody measures");
        }
        self.left -= n;
        if self.left == 0 {
            // At the very end nobody listens any more.
            let _ = self.reached.send(());
        }
    }
}

/// Two links of one transport: one to one that echoes, one to one that swallows.
struct Linked {
    echo: TcpLink,
    trips: mpsc::Sender<usize>,
    done: mpsc::Receiver<()>,
    swallow: TcpLink,
    counter: Counter,
    _transport: Transport,
}

impl Linked {
    fn connect(near: &Runtime, far: &Runtime, security: Security) -> Self {
        let settings = TransportSettings::default();
        let transport = Transport::start(settings, security, near.handle()).expect("started");
        let mut listener = transport.listen(loopback()).expect("a port");
        let mut pair = || -> (Established, Established) {
            let endpoint = listener.local_addr().into();
            let both = async { tokio::join!(transport.dial(&endpoint), listener.accept()) };
            let (dialled, accepted) = near.block_on(both);
            (dialled.expect("dialled"), accepted.expect("accepted"))
        };
        let (dialled, accepted) = pair();
        let echoing = |link: &TcpLink| Echo(link.clone(), 0);
        accepted.start(far.handle(), echoing).expect("a link");
        let (trips, to_go) = mpsc::channel();
        let (tell, done) = mpsc::channel();
        let echo = dialled.start(near.handle(), |link| Trips {
            link: link.clone(),
            to_go,
            left: 0,
            partial: 0,
            tell,
        });
        let (dialled, accepted) = pair();
        let (counter, count) = counter();
        accepted
            .start(far.handle(), |_| Swallow(count))
            .expect("a link");
        let swallow = dialled.start(near.handle(), |_| Deaf).expect("a link");
        Self {
            echo: echo.expect("a link"),
            trips,
            done,
            swallow,
            counter,
            _transport: transport,
        }
    }

    fn round_trips(&self, n: usize) -> f64 {
        self.trips.send(n).expect("the link is up");
        let begun = Instant::now();
        self.echo.send(&[7; FRAME]).expect("sent");
        self.done.recv().expect("the link is up");
        per(n, begun.elapsed())
    }

    /// Queues so many frames, then flushes, on a thread of its own: as a worker does after a turn.
    fn one_way(&self, near: &Runtime, frames: usize, per_write: usize) -> f64 {
        self.stream(near, frames / per_write * per_write, |n| {
            if n % per_write == per_write - 1 {
                self.swallow.flush();
            }
        })
    }

    /// Leaves it to the link's task what is written together.
    fn sends(&self, near: &Runtime, frames: usize) -> f64 {
        self.stream(near, frames, |_| self.swallow.kick())
    }

    fn stream(&self, near: &Runtime, frames: usize, after: impl Fn(usize)) -> f64 {
        self.counter.expect(frames * FRAME);
        let begun = Instant::now();
        for n in 0..frames {
            while let Err(SendRefused::Full { .. }) = self.swallow.queue(&[7; FRAME]) {
                self.swallow.kick();
                let room = self.swallow.room(FRAME);
                near.handle().block_on(room).expect("the link is up");
            }
            after(n);
        }
        self.counter.wait();
        per(frames, begun.elapsed())
    }
}

/// Sends the next ping when the pong is here.
struct Trips {
    link: TcpLink,
    to_go: mpsc::Receiver<usize>,
    left: usize,
    partial: usize,
    tell: mpsc::Sender<()>,
}

impl LinkEvents for Trips {
    fn received(&mut self, bytes: &[u8]) -> Flow {
        self.partial += bytes.len();
        while self.partial >= FRAME {
            self.partial -= FRAME;
            if self.left == 0 {
                self.left = self.to_go.recv().expect("somebody measures");
            }
            self.left -= 1;
            if self.left == 0 {
                let _ = self.tell.send(());
            } else {
                self.link.queue(&[7; FRAME]).expect("queued");
                self.link.flush();
            }
        }
        Flow::Continue
    }

    fn closed(&mut self, _: &LinkEnd, _: Unsent) {}
}

struct Echo(TcpLink, usize);

impl LinkEvents for Echo {
    fn received(&mut self, bytes: &[u8]) -> Flow {
        self.1 += bytes.len();
        while self.1 >= FRAME {
            self.1 -= FRAME;
            self.0.queue(&[7; FRAME]).expect("queued");
        }
        self.0.flush();
        Flow::Continue
    }

    fn closed(&mut self, _: &LinkEnd, _: Unsent) {}
}

struct Swallow(Count);

impl LinkEvents for Swallow {
    fn received(&mut self, bytes: &[u8]) -> Flow {
        self.0.bytes(bytes.len());
        Flow::Continue
    }

    fn closed(&mut self, _: &LinkEnd, _: Unsent) {}
}

struct Deaf;

impl LinkEvents for Deaf {
    fn received(&mut self, _: &[u8]) -> Flow {
        Flow::Continue
    }

    fn closed(&mut self, _: &LinkEnd, _: Unsent) {}
}
