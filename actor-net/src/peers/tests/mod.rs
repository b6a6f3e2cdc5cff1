//! Peers over loopback: what every test begins with, and one file for each subject.

mod bad_input;
mod coming_back;
mod idle;
mod meeting;
mod traffic;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actor_core::Backoff;
use bytes::Bytes;
use tokio::runtime::Handle;

use super::{Config, ConnectError, Contact, Interruption, Peer, PeerEvents, PeerLost, Peers};
use crate::id::{ClusterId, Incarnation, PeerId};
use crate::transport::{Endpoint, Security, SharedKey, Transport, TransportSettings};
use crate::wire::credit::Charge;
use crate::wire::lane::LaneEvent;
use crate::wire::message::{Address, Addressed, Head, Target};
use crate::wire::outbox::Outgoing;
use crate::wire::signal::{End, Signal, SignalKind};
use crate::wire::table::MessageTable;

/// Long enough for a loaded machine; nothing waits for it but a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come"),
    }
}

/// Until it holds.
async fn until(what: impl fmt::Display, mut holds: impl FnMut() -> bool) {
    patiently(&what.to_string(), async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// What was heard of peers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Up(u64),
    Interrupted(Interruption),
    Lost(u64, PeerLost),
    /// The number in its payload, and whether it was said before `up`.
    Message(u64),
    Delivered(u64),
    Unknown(u64),
    Dropped(u64),
    Signal(u64),
    Ended(u64),
    Datagram(u8, Vec<u8>),
    Other(String),
}

#[derive(Default)]
struct Log {
    heard: Mutex<Vec<(PeerId, Heard)>>,
    refused: Mutex<Vec<(Contact, ConnectError)>>,
    /// Charges are kept, not given back.
    keep: std::sync::atomic::AtomicBool,
    kept: Mutex<Vec<(usize, Charge)>>,
}

impl Log {
    fn note(&self, peer: &Peer, heard: Heard) {
        self.heard.lock().unwrap().push((peer.id().clone(), heard));
    }

    fn all(&self) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|(_, heard)| heard.clone()).collect()
    }

    fn count(&self, is_it: impl Fn(&Heard) -> bool) -> usize {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|(_, heard)| is_it(heard)).count()
    }

    fn messages(&self) -> Vec<u64> {
        let number = |heard: &Heard| match heard {
            Heard::Message(number) => Some(*number),
            _ => None,
        };
        self.all().iter().filter_map(number).collect()
    }

    fn ups(&self) -> usize {
        self.count(|heard| matches!(heard, Heard::Up(_)))
    }

    fn refusals(&self) -> Vec<String> {
        let refused = self.refused.lock().unwrap();
        refused.iter().map(|(_, error)| error.to_string()).collect()
    }
}

impl PeerEvents for Log {
    fn up(&self, peer: &Arc<Peer>) {
        assert!(peer.is_connected());
        self.note(peer, Heard::Up(peer.incarnation().0));
    }

    fn interrupted(&self, peer: &Arc<Peer>, why: &Interruption) {
        assert!(!peer.is_connected());
        self.note(peer, Heard::Interrupted(why.clone()));
    }

    fn lost(&self, peer: &Arc<Peer>, why: &PeerLost) {
        assert!(peer.is_lost());
        self.note(peer, Heard::Lost(peer.incarnation().0, *why));
    }

    fn lane_event(&self, peer: &Arc<Peer>, lane: usize, event: LaneEvent) {
        let heard = match event {
            LaneEvent::Message(message) => {
                if self.keep.load(std::sync::atomic::Ordering::SeqCst) {
                    self.kept.lock().unwrap().push((lane, message.charge));
                } else {
                    peer.release(lane, message.charge);
                }
                Heard::Message(u64::from_le_bytes(message.payload[..8].try_into().unwrap()))
            }
            LaneEvent::Delivered { token } => Heard::Delivered(token),
            LaneEvent::Lost { token, .. } => Heard::Unknown(token),
            LaneEvent::Dropped { message, .. } => Heard::Dropped(message.token),
            other => Heard::Other(format!("{other:?}")),
        };
        self.note(peer, heard);
    }

    fn signal(&self, peer: &Arc<Peer>, signal: Signal) {
        let heard = match signal.kind {
            SignalKind::Terminated(_) => Heard::Ended(signal.from.id),
            _ => Heard::Signal(signal.from.id),
        };
        self.note(peer, heard);
    }

    fn datagram(&self, peer: &Arc<Peer>, channel: u8, bytes: Bytes) {
        self.note(peer, Heard::Datagram(channel, bytes.to_vec()));
    }

    fn refused(&self, who: &Contact, error: &ConnectError) {
        let mut refused = self.refused.lock().unwrap();
        refused.push((who.clone(), error.clone()));
    }
}

/// One process.
struct Party {
    peers: Peers,
    transport: Transport,
    log: Arc<Log>,
    addr: SocketAddr,
}

const DIGITS: &str = "8f1d0f6a3c5be2974ad6105e7bb3c2984411f0a9d6c7e85b2f3a90d14c6e7b25";
const OTHER: &str = "17a98d20ce4ba0f37756fa89c1b0d2e35f608437bd3a19eec4682b05f1739dcc";

fn shared(digits: &str) -> Security {
    Security::shared_key(SharedKey::from_hex(digits).unwrap())
}

fn id(name: &str) -> PeerId {
    PeerId::new(name).unwrap()
}

/// Times that no loaded machine exceeds; a test that is about one sets it.
fn config(name: &str, incarnation: u64) -> Config {
    let cluster = ClusterId::new("tests").unwrap();
    let own = Incarnation(incarnation);
    let mut config = Config::new(cluster, id(name), own, vec![Handle::current()]);
    config.limits.handshake_timeout = 2 * PATIENCE;
    config.limits.heartbeat_timeout = 2 * PATIENCE;
    config.exports = MessageTable::new([("number", 7)]);
    let ms = Duration::from_millis;
    config.redial = Backoff::new(ms(5), ms(50));
    config
}

fn settings() -> TransportSettings {
    TransportSettings::default()
        .connect_within(2 * PATIENCE)
        .handshake_within(2 * PATIENCE)
        .close_within(2 * PATIENCE)
        .user_timeout(2 * PATIENCE)
        .unauthenticated_per_source(64)
        .arrivals_per_second(100_000)
}

impl Party {
    fn start(config: Config) -> Self {
        Self::with(config, Security::insecure(), 0)
    }

    fn with(config: Config, security: Security, port: u16) -> Self {
        let transport = Transport::start(settings(), security, &Handle::current()).unwrap();
        let log = Arc::new(Log::default());
        let peers = Peers::start(config, transport.clone(), log.clone()).unwrap();
        let addr = peers
            .listen(SocketAddr::from(([127, 0, 0, 1], port)))
            .unwrap();
        Self {
            peers,
            transport,
            log,
            addr,
        }
    }

    fn dial(&self, other: &Self) {
        self.peers.connect(Endpoint::from(other.addr), None);
    }

    /// The other one, when it is up.
    async fn meets(&self, name: &str) -> Arc<Peer> {
        let name = id(name);
        until(format!("{name} up"), || {
            self.peers
                .get(&name)
                .is_some_and(|peer| peer.is_connected())
        })
        .await;
        self.peers.get(&name).unwrap()
    }

    async fn refuses(&self, text: &str) {
        until(
            format!("a refusal with {text:?}, of {:?}", self.log.refusals()),
            || self.log.refusals().iter().any(|it| it.contains(text)),
        )
        .await;
    }

    /// Its connections are cut without a word, and nobody answers any more.
    async fn dies(&self) {
        self.peers.0.closing.cancel();
        self.peers.0.over.cancel();
        for peer in self.peers.all() {
            self.peers.0.lose(&peer, PeerLost::ShutdownHere);
        }
        patiently("its end", self.transport.shutdown(Duration::ZERO)).await;
    }

    async fn ends(self) {
        assert!(
            patiently("the end", self.peers.shutdown(2 * PATIENCE)).await,
            "nothing is cut off: {:?}",
            self.transport.stats()
        );
    }
}

/// Two that are connected: `a` dialled.
async fn pair() -> (Party, Party, Arc<Peer>, Arc<Peer>) {
    let (a, b) = (Party::start(config("a", 1)), Party::start(config("b", 1)));
    a.dial(&b);
    let (b_at_a, a_at_b) = (a.meets("b").await, b.meets("a").await);
    (a, b, b_at_a, a_at_b)
}

/// A message with a number, which is its token, too.
fn tell(pair: u64, number: u64) -> Outgoing {
    sized(pair, number, 8)
}

fn sized(pair: u64, number: u64, bytes: usize) -> Outgoing {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(bytes.max(8), 0);
    Outgoing {
        pair,
        head: Head::Tell(Addressed {
            message_type: 0,
            target: Target::Actor(Address { id: 1, key: 2 }),
            sender: None,
            context: None,
        }),
        payload: Bytes::from(payload).into(),
        deadline: None,
        cancel: None,
        token: number,
    }
}

fn watch(number: u64) -> Signal {
    Signal {
        from: Address { id: number, key: 0 },
        to: Address { id: 0, key: 0 },
        kind: SignalKind::Watch,
    }
}

fn ended(number: u64) -> Signal {
    let detail = String::new();
    Signal {
        kind: SignalKind::Terminated(End {
            reason: 1,
            detail,
            marked: true,
        }),
        ..watch(number)
    }
}
