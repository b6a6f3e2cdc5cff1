//! Strangers and bytes that should not be: each is told on both sides where there are two, nothing of it is heard
//! above, and connections that are well do not notice.

use super::*;
use crate::wire::hello::Versions;
use crate::wire::lane::Lane;

/// Two that are well, and what they have heard of each other so far.
struct Healthy {
    a: Party,
    b: Party,
    b_at_a: Arc<Peer>,
    said: u64,
}

impl Healthy {
    async fn begin(a: Party, b: Party) -> Self {
        a.dial(&b);
        let b_at_a = a.meets("b").await;
        b.meets("a").await;
        Self {
            a,
            b,
            b_at_a,
            said: 0,
        }
    }

    /// A word still goes over, by the connections that were there from the beginning.
    async fn is_well(&mut self) {
        self.said += 1;
        let (said, signal) = (self.said, self.said);
        self.b_at_a.push(0, tell(1, said)).unwrap();
        self.b_at_a.signal(watch(signal)).unwrap();
        until("a word", || self.b.log.messages().last() == Some(&said)).await;
        until("a signal", || {
            self.b.log.count(|it| *it == Heard::Signal(signal)) == 1
        })
        .await;
        for party in [&self.a, &self.b] {
            assert_eq!(party.log.ups(), 1, "{:?}", party.log.all());
            let broken = |it: &Heard| matches!(it, Heard::Interrupted(_) | Heard::Lost(..));
            assert_eq!(party.log.count(broken), 0, "{:?}", party.log.all());
        }
    }

    async fn ends(self) {
        tokio::join!(self.a.ends(), self.b.ends());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_told_why_and_disturb_nobody() {
    let own = || shared(DIGITS);
    let (a, b) = (
        Party::with(config("a", 1), own(), 0),
        Party::with(config("b", 1), own(), 0),
    );
    let mut healthy = Healthy::begin(a, b).await;

    let mut elsewhere = config("c", 1);
    elsewhere.cluster = ClusterId::new("elsewhere").unwrap();
    let mut later = config("c", 1);
    later.versions = Some(Versions { min: 7, max: 9 });
    let namesake = config("a", 1);
    let told = [
        (elsewhere, own(), "it belongs to cluster `tests`"),
        (later, own(), "versions"),
        (namesake, own(), "peer reached itself"),
    ];
    for (config, security, text) in told {
        let stranger = Party::with(config, security, 0);
        stranger.dial(&healthy.a);
        stranger.refuses(text).await;
        healthy.a.refuses(text).await;
        healthy.is_well().await;
        assert!(stranger.peers.all().is_empty());
        stranger.ends().await;
    }
    // A wrong key does not come as far as a greeting: the transport of both counts it.
    let stranger = Party::with(config("c", 1), shared(OTHER), 0);
    let refused = |party: &Party| party.transport.stats().refused;
    let before = refused(&healthy.a);
    stranger.dial(&healthy.a);
    stranger.refuses("key").await;
    until("the listener counts it", || refused(&healthy.a) > before).await;
    healthy.is_well().await;
    stranger.ends().await;
    assert_eq!(healthy.a.peers.all().len(), 1);
    healthy.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r08_bytes_that_are_no_frames_end_their_connection_and_no_other() {
    let (a, b) = (Party::start(config("a", 1)), Party::start(config("b", 1)));
    let mut healthy = Healthy::begin(a, b).await;
    let mut said = 0;
    // A length beyond all limits, and what is no frame at all.
    let oversize: &[u8] = &[0xff, 0xff, 0xff, 0x7f, 16, 0];
    let garbage: &[u8] = &[0xee; 300];
    for bytes in [oversize, garbage] {
        // A third peer that speaks well, until it does not: over a lane, and over the control connection.
        let c = Party::start(config("c", 1 + said));
        c.dial(&healthy.b);
        let (b_at_c, c_at_b) = (c.meets("b").await, healthy.b.meets("c").await);
        said += 1;
        let number = 1_000 + said;
        b_at_c.push(0, tell(1, number)).unwrap();
        until("a word", || healthy.b.log.messages().contains(&number)).await;

        let session = b_at_c.watch().borrow().id;
        b_at_c.lane_port(0).say_raw(bytes);
        // Its lane is closed, and opened anew; the rest stays.
        until("the lane's end", || c_at_b.lane_port(0).links() > 1).await;
        b_at_c.push(0, tell(1, number + 100)).unwrap();
        until("a word over the next lane", || {
            healthy.b.log.messages().contains(&(number + 100))
        })
        .await;
        assert_eq!(b_at_c.watch().borrow().id, session, "the same session");

        let interrupted = healthy.b.log.count(is_fault);
        b_at_c.control_port(0).say_raw(bytes);
        until("the interruption, with its reason", || {
            healthy.b.log.count(is_fault) > interrupted
        })
        .await;
        until("both are back", || {
            b_at_c.is_connected() && b_at_c.watch().borrow().id != session
        })
        .await;
        assert!(c.log.count(is_told) > 0, "{:?}", c.log.all());
        // Nothing is kept for what was announced.
        assert!(c_at_b.lane_port(0).lock().machine.memory() < 64 << 10);
        assert!(c_at_b.control_port(0).lock().machine.memory() < 64 << 10);
        c.ends().await;
        until("its goodbye", || c_at_b.is_lost()).await;
        // The other peer has not noticed.
        healthy.b_at_a.push(0, tell(1, said)).unwrap();
        until("a word", || healthy.b.log.messages().contains(&said)).await;
        let broken = |it: &Heard| matches!(it, Heard::Interrupted(_) | Heard::Lost(..));
        assert_eq!(healthy.a.log.count(broken), 0, "{:?}", healthy.a.log.all());
    }
    healthy.said = said;
    healthy.ends().await;
}

/// Its own side's view of what the other sent.
fn is_fault(heard: &Heard) -> bool {
    matches!(heard, Heard::Interrupted(Interruption::Fault(_)))
}

/// The other side said why, or was gone before that could be read.
fn is_told(heard: &Heard) -> bool {
    matches!(
        heard,
        Heard::Interrupted(Interruption::Goodbye(_) | Interruption::Ended(_))
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greeting_byte_by_byte_is_cut_off_by_the_time_of_the_whole() {
    let mut impatient = config("a", 1);
    impatient.limits.handshake_timeout = Duration::from_millis(300);
    let (a, b) = (Party::start(impatient), Party::start(config("b", 1)));
    let mut healthy = Healthy::begin(a, b).await;
    healthy.is_well().await;
    let open = healthy.a.transport.stats().links;
    let slow = Transport::start(settings(), Security::insecure(), &Handle::current()).unwrap();
    let mut sessions = Vec::new();
    for _ in 0..8 {
        sessions.push(slow.dial(&healthy.a.addr.into()).await.unwrap());
    }
    // A byte of what may be a frame, now and then; the header is not whole before the time is over.
    let trickling = tokio::spawn(async move {
        let mut round = 0_u64;
        while !sessions.is_empty() {
            let mut open = Vec::new();
            for mut session in sessions {
                let byte = if round == 0 { 200 } else { 0 };
                if session.write_all(&[byte]).await.is_ok() {
                    open.push(session);
                }
            }
            sessions = open;
            round += 1;
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
    });
    patiently("all are cut off", trickling).await.unwrap();
    healthy.a.refuses("took longer than the 300 ms").await;
    until("their places are free", || {
        healthy.a.transport.stats().links <= open
    })
    .await;
    healthy.is_well().await;
    slow.shutdown(Duration::ZERO).await;
    healthy.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_a_flood_holds_no_more_than_the_windows() {
    let (a, b, b_at_a, a_at_b) = pair().await;
    b.log.keep.store(true, std::sync::atomic::Ordering::SeqCst);
    // Large and small by turns, as fast as they are taken, until none is.
    let limits = config("a", 1).limits;
    let (mut number, mut full) = (0, 0);
    while full < 200 {
        number += 1;
        let size = if number % 2 == 0 { 100_000 } else { 8_000 };
        match b_at_a.push(0, sized(number % 5, number, size)) {
            Ok(()) => full = 0,
            Err(crate::peers::PushError::Full(_)) => {
                full += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
        let memory = lane(&a_at_b, |lane| lane.memory());
        let (waiting, _) = lane(&b_at_a, |lane| lane.load());
        let window = limits.window_large as usize + limits.window_bytes as usize;
        assert!(memory <= window + (64 << 10), "{memory}");
        assert!(waiting <= limits.outbox_bytes + 101_000, "{waiting}");
    }
    b.log.keep.store(false, std::sync::atomic::Ordering::SeqCst);
    for (lane, charge) in std::mem::take(&mut *b.log.kept.lock().unwrap()) {
        a_at_b.release(lane, charge);
    }
    // It flows again.
    let last = 1 << 40;
    loop {
        match b_at_a.push(0, tell(9, last)) {
            Ok(()) => break,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    until("the last", || b.log.messages().contains(&last)).await;
    let ((), ()) = tokio::join!(a.ends(), b.ends());
}

fn lane<T>(peer: &Peer, look: impl FnOnce(&Lane) -> T) -> T {
    look(&peer.lane_port(0).lock().machine)
}
