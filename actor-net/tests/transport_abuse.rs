//! Strangers who come in crowds, slowly, or with too much, and peers who vanish: what it costs, and that
//! links which exist do not notice.
//!
//! One allocator counts for the whole process, so these tests take turns.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actor_net::transport::{
    HandshakeFailure, Link, LinkEnd, Security, TransportSettings, TurnedAway,
};
use common::*;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: System does the work, with the same arguments; counting touches nothing else.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, which is the same.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that were allocated at once since it was made, above those that were then.
struct Growth(usize);

impl Growth {
    fn begin() -> Self {
        let live = LIVE.load(Ordering::Relaxed);
        PEAK.store(live, Ordering::Relaxed);
        Self(live)
    }

    fn most(&self) -> usize {
        PEAK.load(Ordering::Relaxed).saturating_sub(self.0)
    }
}

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What TLS may take for one who is not known: its own buffers, ours, a task.
const PER_STRANGER: usize = 64 << 10;

/// The frame that a healthy link echoes while others misbehave.
async fn still_well(near: &mut End) {
    near.link.send(b"still well").unwrap();
    assert_eq!(near.bytes(10).await, b"still well");
}

#[tokio::test]
async fn a_crowd_of_strangers_is_bounded_and_links_do_not_notice() {
    let _turn = TURN.lock().await;
    let settings = patient()
        .unauthenticated_max(16)
        .unauthenticated_per_source(16)
        .arrivals_per_second(100_000)
        .handshake_within(Duration::from_secs(120));
    let (there, watcher) = observed(settings, shared(DIGITS));
    let here = transport(shared(DIGITS));
    let mut listener = there.listen(loopback()).unwrap();
    let (dialled, accepted) = connect(&here, &mut listener).await;
    let (mut near, _far) = (End::of(dialled), End::echo(accepted));
    still_well(&mut near).await;
    let before = there.stats();

    let growth = Growth::begin();
    let addr = listener.local_addr();
    let mut crowd = Vec::new();
    for n in 0..400_u64 {
        let mut stranger = TcpStream::connect(addr).unwrap();
        // Half of them begin a handshake; one that was turned away may not take it.
        if n % 2 == 0 {
            let _ = stranger.write_all(&[0x16, 3, 1]);
        }
        crowd.push(stranger);
        if n % 100 == 99 {
            until("the crowd", || there.stats().arrived - before.arrived > n).await;
            still_well(&mut near).await;
        }
    }
    let stats = there.stats();
    assert_eq!(stats.unauthenticated, 16, "{stats:?}");
    assert_eq!(stats.turned_away, 400 - 16);
    assert_eq!(
        stats.tasks,
        before.tasks + 16,
        "a task for each that was let near"
    );
    assert!(growth.most() < 17 * PER_STRANGER, "{} bytes", growth.most());
    let reasons = watcher.turned_away.lock().unwrap().clone();
    assert!(reasons.iter().all(|why| matches!(
        why,
        TurnedAway::TooManyFromSource | TurnedAway::TooManyUnauthenticated
    )));

    // They go, and their places are free.
    drop(crowd);
    until("their places", || there.stats().unauthenticated == 0).await;
    still_well(&mut near).await;
    drop(connect(&here, &mut listener).await);
    at_rest(&[&here, &there]).await;
}

#[tokio::test]
async fn a_byte_at_a_time_is_cut_off_by_the_time_of_the_whole() {
    let _turn = TURN.lock().await;
    let settings = patient().handshake_within(Duration::from_millis(300));
    let (there, watcher) = observed(settings, shared(DIGITS));
    let listener = there.listen(loopback()).unwrap();
    let addr = listener.local_addr();
    let growth = Growth::begin();
    let slow: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut tcp = TcpStream::connect(addr).unwrap();
                tcp.set_read_timeout(Some(Duration::from_millis(20)))
                    .unwrap();
                // A record that promises more than ever comes; each byte is progress, and none helps.
                let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
                for byte in hello.into_iter().chain(std::iter::repeat(7)) {
                    if tcp.write_all(&[byte]).is_err() {
                        return;
                    }
                    match tcp.read(&mut [0; 16]) {
                        Ok(0) => return,
                        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
                        _ => {}
                    }
                }
            })
        })
        .collect();
    until("all to be cut off", || {
        watcher.refused.lock().unwrap().len() == 8
    })
    .await;
    for refused in watcher.refused.lock().unwrap().iter() {
        assert!(
            matches!(refused, HandshakeFailure::TimedOut { .. }),
            "{refused:?}"
        );
    }
    assert!(growth.most() < 9 * PER_STRANGER, "{} bytes", growth.most());
    for thread in slow {
        tokio::task::spawn_blocking(move || thread.join().unwrap())
            .await
            .unwrap();
    }
    at_rest(&[&there]).await;
}

#[tokio::test]
async fn c11_a_stranger_who_sends_much_is_cut_off_and_costs_little() {
    let _turn = TURN.lock().await;
    let (there, watcher) = observed(patient(), shared(DIGITS));
    let listener = there.listen(loopback()).unwrap();
    let growth = Growth::begin();
    let addr = listener.local_addr();
    // A hello that claims 16 MiB, in records as large as they may be.
    let flood = std::thread::spawn(move || {
        let mut tcp = TcpStream::connect(addr).unwrap();
        let mut record = vec![0x16, 3, 1, 0x40, 0];
        record.extend([1, 0xff, 0xff, 0xff]);
        record.resize(5 + 0x4000, 7);
        for _ in 0..64 {
            if tcp.write_all(&record).is_err() {
                return;
            }
        }
    });
    let refusal = watcher.refusal().await;
    assert!(
        matches!(
            refusal,
            HandshakeFailure::TooManyBytes { limit: 16384 } | HandshakeFailure::Tls(_)
        ),
        "{refusal:?}"
    );
    assert!(growth.most() < 4 * PER_STRANGER, "{} bytes", growth.most());
    tokio::task::spawn_blocking(move || flood.join().unwrap())
        .await
        .unwrap();
    at_rest(&[&there]).await;
}

/// A peer that is stopped, as by SIGSTOP: its kernel answers, it does not read.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_peer_that_stops_reading_is_noticed() {
    let _turn = TURN.lock().await;
    let server = TcpListener::bind(loopback()).unwrap();
    let addr = server.local_addr().unwrap();
    let stopped = std::thread::spawn(move || {
        let (mut tcp, _) = server.accept().unwrap();
        tcp.read_exact(&mut [0; 16]).unwrap();
        tcp.write_all(b"actornet\x01\0\0\0\0\0\0\0").unwrap();
        tcp
    });
    let settings = patient().user_timeout(Duration::from_millis(500));
    let (here, _) = observed(settings, Security::insecure());
    let mut near = End::of(here.dial(&addr.into()).await.unwrap());
    let still_open = stopped.join().unwrap();
    // As much as kernel and queue take, so that bytes wait that nobody takes.
    while near.link.room(64 << 10).now().is_some() && near.link.send(&[0; 64 << 10]).is_ok() {
        tokio::task::yield_now().await;
    }
    let (_, end, unsent) = near.end().await;
    assert!(
        matches!(
            end,
            LinkEnd::Io {
                kind: std::io::ErrorKind::TimedOut,
                ..
            }
        ),
        "{end}"
    );
    assert!(end.to_string().contains("user_timeout"), "{end}");
    assert!(unsent.frames > 0);
    drop(still_open);
    at_rest(&[&here]).await;
}

/// A future's value, if it has one already.
trait Now: Future + Sized {
    fn now(self) -> Option<Self::Output> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(self).poll(&mut cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}

impl<F: Future> Now for F {}

/// A peer behind a cable that was pulled, with nothing to send: only probes can notice.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_half_open_peer_is_noticed_on_an_idle_link() {
    let _turn = TURN.lock().await;
    let Some(cable) = namespace::Cable::lay() else {
        eprintln!("skipped: no right to make network namespaces here");
        return;
    };
    let settings = patient().user_timeout(Duration::from_secs(1));
    let peer = cable.peer();
    let remote = settings.clone();
    let there = tokio::task::spawn_blocking(move || cable.inside(|| peer_process(&remote, peer)));
    let (here, _) = observed(settings, shared(DIGITS));
    let dialled = patiently("the peer", async {
        loop {
            match here.dial(&peer.into()).await {
                Ok(dialled) => break dialled,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await;
    let mut near = End::of(dialled);
    near.link.send(b"there?").unwrap();
    near.bytes(6).await;
    namespace::Cable::cut();
    let (_, end, _) = near.end().await;
    assert!(matches!(end, LinkEnd::Io { .. }), "{end}");
    // The other side notices by itself, too.
    patiently("the other side", there).await.unwrap();
    at_rest(&[&here]).await;
}

/// The other side of the cable: echoes until its link ends.
#[cfg(target_os = "linux")]
fn peer_process(settings: &TransportSettings, addr: std::net::SocketAddr) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(async {
        let (transport, _) = observed(settings.clone(), shared(DIGITS));
        let mut listener = transport.listen(addr).unwrap();
        let accepted = patiently("a peer", listener.accept()).await.unwrap();
        let (_, end, _) = End::echo(accepted).end().await;
        assert!(matches!(end, LinkEnd::Io { .. }), "{end}");
        at_rest(&[&transport]).await;
    });
}

#[cfg(target_os = "linux")]
mod namespace {
    use std::fs::File;
    use std::net::SocketAddr;
    use std::os::fd::AsRawFd;
    use std::process::{Command, Stdio};

    /// A network namespace and two ends of a virtual cable, which go away with the test.
    pub(crate) struct Cable(());

    fn name(what: &str) -> String {
        format!("an{}{what}", std::process::id() % 100_000)
    }

    fn ip(args: &str) -> bool {
        let mut command = Command::new("ip");
        command.args(args.split_whitespace());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    impl Cable {
        /// `None` where this may not be done.
        pub(crate) fn lay() -> Option<Self> {
            let (ns, a, b) = (name("n"), name("a"), name("b"));
            if !ip(&format!("netns add {ns}")) {
                return None;
            }
            let cable = Self(());
            let laid = [
                format!("link add {a} type veth peer name {b} netns {ns}"),
                format!("addr add {}.1/24 dev {a}", Self::net()),
                format!("link set {a} up"),
                format!("-n {ns} addr add {}.2/24 dev {b}", Self::net()),
                format!("-n {ns} link set {b} up"),
                format!("-n {ns} link set lo up"),
            ];
            laid.iter().all(|args| ip(args)).then_some(cable)
        }

        /// A network of this process's own.
        fn net() -> String {
            format!("10.213.{}", std::process::id() % 250)
        }

        pub(crate) fn peer(&self) -> SocketAddr {
            format!("{}.2:4710", Self::net()).parse().unwrap()
        }

        /// Pulls it at the far end: this end keeps its addresses and routes, and nothing arrives.
        pub(crate) fn cut() {
            assert!(ip(&format!("-n {} link set {} down", name("n"), name("b"))));
        }

        /// Runs something in the namespace, on a thread that is used for nothing else.
        pub(crate) fn inside(self, run: impl FnOnce() + Send) {
            let path = format!("/run/netns/{}", name("n"));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let namespace = File::open(path).unwrap();
                    // SAFETY: a system call on an open file; it changes this thread, which ends soon.
                    let moved = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
                    assert_eq!(moved, 0, "{}", std::io::Error::last_os_error());
                    run();
                });
            });
        }
    }

    impl Drop for Cable {
        fn drop(&mut self) {
            ip(&format!("link del {}", name("a")));
            ip(&format!("netns del {}", name("n")));
        }
    }
}
