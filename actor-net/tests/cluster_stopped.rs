//! H02: the process that has a singleton is stopped (SIGSTOP) in the middle of a write, declared down, and goes on
//! later: what it then writes has an old epoch, and the store refuses it.
//!
//! The store is not of the cluster: a socket of the test, so that nothing but the epoch stands between it and who writes.
//! Who writes says its epoch, is told to go on, and writes. The stopped one is held between the two, so what it does first
//! when it goes on is to write.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{ActorError, Message};
use actor_net::cluster::{Cluster, LinkSettings, Seeds};
use actor_net::membership::{MemberState, MembershipSettings};
use actor_net::sharding::{Entity, EntityContext};

use self::cluster_kit::{PATIENCE, finish, system, until_vote};

mod cluster_kit;

// ---- Who writes -----------------------------------------------------------------------------------

struct Writer {
    store: SocketAddr,
    peer: String,
    epoch: u64,
}

struct Tick;

impl Message for Tick {
    type Reply = ();
}

impl Actor for Writer {
    async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        cx.send_after(Duration::from_millis(20), Tick);
        Ok(())
    }
}

impl SyncHandler<Tick> for Writer {
    fn handle(&mut self, _: Tick, cx: &mut ActorContext<Self>) {
        // The store may be gone: the test is over.
        _ = self.write();
        cx.send_after(Duration::from_millis(20), Tick);
    }
}

impl Writer {
    fn write(&self) -> std::io::Result<()> {
        let mut store = TcpStream::connect(self.store)?;
        writeln!(store, "{} {}", self.epoch, self.peer)?;
        let mut answer = String::new();
        BufReader::new(store.try_clone()?).read_line(&mut answer)?;
        store.write_all(b"!")
    }
}

/// A peer with the singleton.
async fn peer(system: &ActorSystem, name: &str, store: SocketAddr, seeds: Seeds) -> Cluster {
    let mut membership = MembershipSettings::default();
    let ms = Duration::from_millis;
    membership.probe_interval = ms(200);
    membership.probe_timeout = ms(100);
    membership.reconnect_grace = ms(200);
    membership.stable_after = ms(1000);
    membership.unstable_after = None;
    let mut links = LinkSettings::default();
    links.redial = actor_core::Backoff::new(ms(20), ms(200));
    let own = name.to_owned();
    let made = move |context: &EntityContext| Writer {
        store,
        peer: own.clone(),
        epoch: context.epoch(),
    };
    Cluster::builder(system.handle(), "tests")
        .peer(name)
        .seeds(seeds)
        .membership(membership)
        .links(links)
        .entity(Entity::singleton("writer", made))
        .start()
        .await
        .unwrap()
}

// ---- The store ------------------------------------------------------------------------------------

#[derive(Default)]
struct Book {
    /// Epoch, peer, and whether it was accepted.
    writes: Vec<(u64, String, bool)>,
    /// The stopped one is not told to go on.
    holds: bool,
    held: usize,
}

#[derive(Clone, Default)]
struct Store(Arc<(Mutex<Book>, Condvar)>);

impl Store {
    /// Takes writes until the test is over.
    fn open(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let store = self.clone();
        std::thread::spawn(move || {
            for writer in listener.incoming().map_while(Result::ok) {
                let store = store.clone();
                // Who is killed in the middle of it has not written.
                std::thread::spawn(move || store.serve(writer).ok());
            }
        });
        addr
    }

    fn serve(&self, mut writer: TcpStream) -> std::io::Result<()> {
        let mut said = String::new();
        BufReader::new(writer.try_clone()?).read_line(&mut said)?;
        let Some((epoch, peer)) = said.trim().split_once(' ') else {
            return Ok(());
        };
        let (epoch, peer): (u64, String) = (epoch.parse().unwrap(), peer.to_owned());
        let (book, changed) = &*self.0;
        let mut open = book.lock().unwrap();
        if peer == STOPPED && open.holds {
            open.held += 1;
            changed.notify_all();
            drop(changed.wait_while(open, |open| open.holds).unwrap());
        } else {
            drop(open);
        }
        writer.write_all(b"go on\n")?;
        writer.read_exact(&mut [0])?;
        let mut open = book.lock().unwrap();
        let greatest = open.writes.iter().map(|(epoch, ..)| *epoch).max();
        let accepted = greatest.is_none_or(|greatest| epoch >= greatest);
        open.writes.push((epoch, peer, accepted));
        changed.notify_all();
        Ok(())
    }

    fn until(&self, what: &str, holds: impl Fn(&Book) -> bool) {
        let (book, changed) = &*self.0;
        let open = book.lock().unwrap();
        let (open, late) = changed
            .wait_timeout_while(open, PATIENCE, |open| !holds(open))
            .unwrap();
        assert!(!late.timed_out(), "{what}: {:?}", open.writes);
    }

    fn hold(&self, holds: bool) {
        self.0.0.lock().unwrap().holds = holds;
        self.0.1.notify_all();
    }
}

// ---- The process that is stopped ------------------------------------------------------------------

const STOPPED: &str = "zero";
const STORE: &str = "ACTOR_NET_TEST_STORE";

/// Run as a process of its own; ends when its input does.
#[test]
#[ignore = "the other test runs it"]
fn the_other_process() {
    let Ok(store) = std::env::var(STORE) else {
        return;
    };
    let system = system();
    let peer = peer(&system, STOPPED, store.parse().unwrap(), Seeds::none());
    let zero = system.block_on(peer);
    println!("\nlistens on {}", zero.local_addr());
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).unwrap();
    std::process::exit(0);
}

/// It does not outlive the test.
struct Other(Child);

impl Other {
    fn start(store: SocketAddr) -> (Self, SocketAddr) {
        let mut own = Command::new(std::env::current_exe().unwrap());
        own.args(["the_other_process", "--exact", "--ignored", "--nocapture"])
            .env(STORE, store.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut other = Self(own.spawn().unwrap());
        let output = BufReader::new(other.0.stdout.take().unwrap());
        let addr = output.lines().map_while(Result::ok).find_map(|line| {
            let (_, addr) = line.split_once("listens on ")?;
            addr.trim().parse().ok()
        });
        (other, addr.expect("it says where it listens"))
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.args([signal, &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn h02_a_stopped_owner_goes_on_and_its_writes_are_refused_by_the_epoch() {
    let store = Store::default();
    let addr = store.open();
    let (zero, at) = Other::start(addr);
    store.until("the singleton writes", |book| book.writes.len() >= 3);
    let (first, second) = (system(), system());
    let seeds = || Seeds::none().endpoint(at.into());
    let (one, two) = first.block_on(async {
        let one = peer(&first, "one", addr, seeds()).await;
        let two = peer(&second, "two", addr, seeds()).await;
        for peer in [&one, &two] {
            peer.until_up(3, PATIENCE).await.unwrap();
        }
        until_vote(3, [&one, &two]).await;
        (one, two)
    });
    let name = actor_net::id::PeerId::new(STOPPED).unwrap();
    let former = one.view().get(&name).unwrap().incarnation();

    store.hold(true);
    store.until("it is about to write", |book| book.held > 0);
    let epoch = store.0.0.lock().unwrap().writes.last().unwrap().0;
    zero.signal("-STOP");
    store.until("another one writes, in a later epoch", |book| {
        book.writes.iter().any(|(later, ..)| *later > epoch)
    });
    zero.signal("-CONT");
    store.hold(false);
    let stale = (epoch, STOPPED.to_owned(), false);
    store.until("it writes, and is refused", |book| {
        book.writes.contains(&stale)
    });
    // It hears that it was declared down, and comes back as another.
    let mut views = one.views();
    let back = views.until(|view| {
        let zero = view.get(&name);
        zero.is_some_and(|zero| zero.state() == MemberState::Up && zero.incarnation() > former)
    });
    let back = async { tokio::time::timeout(PATIENCE, back).await };
    assert!(
        matches!(first.block_on(back), Ok(Some(_))),
        "{}",
        one.view()
    );

    let book = store.0.0.lock().unwrap();
    let mut owners = BTreeMap::new();
    for (epoch, peer, accepted) in &book.writes {
        if *accepted {
            let owner = owners.entry(epoch).or_insert(peer);
            assert_eq!(*owner, peer, "one owner in epoch {epoch}");
        }
    }
    assert!(owners.len() >= 2, "{owners:?}");
    drop(book);
    drop(zero);
    first.block_on(async {
        two.leave(Duration::from_secs(1)).await;
        one.leave(Duration::from_secs(1)).await;
    });
    finish(second);
    finish(first);
}
