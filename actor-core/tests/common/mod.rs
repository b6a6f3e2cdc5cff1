//! What the integration tests share: a system, patience, and the check that ends every test.
//!
//! Every test ends with [`settle`]: the books must come to rest and the conservation law must hold,
//! whatever the test was about. The shape of the machine is the environment's (`ACTOR_TOPOLOGY`), so
//! that one suite runs over all of them.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    unreachable_pub,
    reason = "compiled into each test binary, as a module"
)]
#![allow(missing_debug_implementations, reason = "not an interface")]

pub mod traces;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{Conservation, SystemRef};

/// How long a test waits for what must come: far beyond any honest delay on a busy machine, also if
/// `tools/chaos` keeps half of the threads frozen. Under ThreadSanitizer everything takes ten times as long.
pub const PATIENCE: Duration = Duration::from_secs(if cfg!(actor_tsan) { 400 } else { 120 });

/// Lets some time pass, up to `ACTOR_TEST_JITTER` milliseconds; none by default.
///
/// Called where a test has just told others of something, a line in a log, a gate that opens, and what they
/// conclude from it must not depend on how far the teller has got since.
pub fn jitter() {
    static MOST: OnceLock<u64> = OnceLock::new();
    static SHAKE: Mutex<Shake> = Mutex::new(Shake(0x2545_f491_4f6c_dd1d));
    let most = *MOST.get_or_init(|| {
        let asked = std::env::var("ACTOR_TEST_JITTER").ok();
        asked.map_or(0, |ms| ms.parse().expect("ACTOR_TEST_JITTER in ms"))
    });
    if most > 0 {
        // Mostly none, or a log of thousands of lines would take minutes.
        let (draw, micros) = {
            let mut shake = SHAKE.lock().unwrap_or_else(PoisonError::into_inner);
            (shake.below(4), shake.below(most * 1000))
        };
        let pause = if draw == 0 { micros } else { micros / 1000 };
        std::thread::sleep(Duration::from_micros(pause));
    }
}

/// A system on the machine as it is, or as `ACTOR_TOPOLOGY` describes it.
pub fn system() -> ActorSystem {
    ActorSystem::new().expect("a system starts")
}

/// Waits until no message is waiting or being handled, and checks the conservation law.
///
/// The books must say the same twice in a row: a message on its way from one actor to the next is in
/// neither's mailbox for a moment.
#[track_caller]
pub fn settle(system: &SystemRef) -> Conservation {
    let began = Instant::now();
    let mut last = None;
    loop {
        let books = system.stats().messages;
        if books.holds_at_rest() && last == Some(books) {
            return books;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "the books do not come to rest:\n{}",
            system.stats()
        );
        last = Some(books);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// [`settle`], then a clean shutdown, after which the law must still hold.
#[track_caller]
pub fn finish(system: ActorSystem) -> Conservation {
    settle(&system);
    let report = system.shutdown_blocking(PATIENCE);
    assert!(report.is_clean(), "not a clean shutdown:\n{report}");
    assert!(report.conservation.holds_at_rest(), "{report}");
    report.conservation
}

/// Waits until `is` says so.
#[track_caller]
pub fn wait_until(what: &str, is: impl FnMut() -> bool) {
    wait_within(PATIENCE, what, is);
}

/// Waits until `is` says so, at most that long.
#[track_caller]
pub fn wait_within(patience: Duration, what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(
            began.elapsed() < patience,
            "waited {patience:?} in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Counts the values it has made that are still alive, and those that were dropped.
#[derive(Clone, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

/// A payload whose drop is counted, exactly once or the test says so.
#[derive(Debug)]
pub struct Token {
    counts: Arc<Counts>,
}

impl Tally {
    /// None made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more payload.
    pub fn token(&self) -> Token {
        self.0.made.fetch_add(1, Ordering::SeqCst);
        Token {
            counts: self.0.clone(),
        }
    }

    pub fn made(&self) -> usize {
        self.0.made.load(Ordering::SeqCst)
    }

    pub fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    /// Payloads that are still somewhere.
    pub fn alive(&self) -> usize {
        let dropped = self.dropped();
        let made = self.made();
        assert!(dropped <= made, "{dropped} drops of {made} payloads");
        made - dropped
    }

    /// Waits until every payload has been dropped, once.
    #[track_caller]
    pub fn all_dropped(&self) {
        wait_until("every payload is dropped", || self.alive() == 0);
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// A gate that tests hold shut while an actor waits in its handler, thread and all.
#[derive(Clone, Default)]
pub struct Gate(Arc<(std::sync::Mutex<bool>, std::sync::Condvar)>);

impl Gate {
    /// A gate that is shut.
    pub fn new() -> Self {
        Self::default()
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
        jitter();
    }

    /// Waits until it is open, in async code.
    pub async fn passed(&self) {
        while !*self.0.0.lock().unwrap() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self
            .0
            .1
            .wait_timeout_while(open, PATIENCE, |open| !*open)
            .unwrap();
        assert!(*open, "nobody opened the gate");
    }
}

/// A small generator for tests that shake things: xorshift64*, the same run for the same seed.
pub struct Shake(u64);

impl Shake {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// An address where nobody listens, and nobody will while the socket lives.
pub fn nobody_listens() -> (tokio::net::TcpSocket, std::net::SocketAddr) {
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = held.local_addr().unwrap();
    (held, address)
}

/// Polls once: `None` while it is pending.
pub async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Waits for what must come soon.
pub async fn within<F: Future>(future: F) -> F::Output {
    let began = Instant::now();
    let output = tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it hangs");
    // A future that was not woken is ready all the same when the time-out polls it once more.
    assert!(began.elapsed() < PATIENCE, "a wake-up was lost");
    output
}

/// Runs the test of this name once more, alone in a process of its own, and says whether this is that
/// process: for what is measured of the whole process, which other tests would disturb.
#[track_caller]
pub fn is_alone(test: &str) -> bool {
    const ROLE: &str = "ACTOR_TEST_ALONE";
    if std::env::var_os(ROLE).is_some() {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{test}, alone: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    false
}
