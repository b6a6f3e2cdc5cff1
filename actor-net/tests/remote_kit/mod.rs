//! What the tests of actors on other peers begin with: whole peers over loopback, an actor that writes down
//! what it hears, and the books of both sides.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{Context, Message, StopReason, Terminated};
use actor_net::cluster::{Cluster, ClusterBuilder, LinkSettings, Seeds};
use actor_net::membership::{Downing, MembershipSettings};
use actor_net::remote::{Exports, RemoteStats};
use serde::{Deserialize, Serialize};

/// Long enough for a loaded machine; nothing waits for it but a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

const GRACE: Duration = Duration::from_secs(30);

/// Until it holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

// ---- Peers --------------------------------------------------------------------------------------

/// A connection breaks when a test breaks it. By default it is given up after a silence of 5 s, which is how long a loaded
/// machine may take to read a large message; what was on its way is lost then.
pub(crate) fn links() -> LinkSettings {
    let mut links = LinkSettings::default();
    links.heartbeat_timeout = PATIENCE;
    links
}

/// One process, here beside others.
pub(crate) struct Process {
    pub(crate) system: ActorSystem,
    pub(crate) cluster: Cluster,
}

impl Process {
    pub(crate) fn start(name: &str, seed: Option<&Self>) -> Self {
        Self::with(name, seed, |builder| builder)
    }

    /// Nobody is declared down and no connection is given up but by the test: a loaded machine is no reason to fail it.
    pub(crate) fn with(
        name: &str,
        seed: Option<&Self>,
        with: impl FnOnce(ClusterBuilder) -> ClusterBuilder,
    ) -> Self {
        let system = ActorSystem::builder()
            .workers(actor_core::topology::Workers::Count(1))
            .build()
            .expect("a system");
        let mut membership = MembershipSettings::default();
        membership.downing = Downing::Manual;
        membership.unstable_after = None;
        let mut builder = Cluster::builder(system.handle(), "tests")
            .peer(name)
            .membership(membership)
            .links(links())
            .exports(exports());
        if let Some(seed) = seed {
            builder = builder.seeds(Seeds::none().endpoint(seed.cluster.local_addr().into()));
        }
        let cluster = system.block_on(with(builder).start()).expect("a peer");
        Self { system, cluster }
    }

    pub(crate) fn sees(&self, peers: usize) {
        let up = self.cluster.until_up(peers, PATIENCE);
        self.system
            .block_on(up)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    pub(crate) fn spawn(&self, witness: &Witness) -> ActorRef<Witness> {
        self.system.spawn(witness.clone()).expect("an actor")
    }

    pub(crate) fn publish(&self, name: &str, witness: &Witness) -> ActorRef<Witness> {
        let actor = self.spawn(witness);
        assert!(self.cluster.publish(name, actor), "the name is free");
        actor
    }

    pub(crate) fn find(&self, there: &Self, name: &str) -> ActorRef<Witness> {
        let looking = self.cluster.lookup(there.cluster.peer(), name);
        let found = self.system.block_on(looking);
        found.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn stats(&self) -> RemoteStats {
        self.cluster.stats().expect("it is in a life")
    }

    pub(crate) fn leave(&self) {
        self.system.block_on(self.cluster.leave(GRACE));
    }

    /// Everything that was accepted is accounted for.
    pub(crate) fn finish(self) {
        self.leave();
        let report = self.system.shutdown_blocking(PATIENCE);
        assert!(report.is_clean(), "{report}");
    }
}

// ---- A process of its own -------------------------------------------------------------------------

const SEED: &str = "ACTOR_NET_TEST_SEED";
const LISTEN: &str = "ACTOR_NET_TEST_LISTEN";

/// What the test `the_other_process` of a file does where [`Other`] runs it: a peer named two, with a published
/// witness, until its input ends. Run by itself it does nothing.
pub(crate) fn be_the_other_process(with: impl FnOnce(ClusterBuilder) -> ClusterBuilder) {
    let Ok(seed) = std::env::var(SEED) else {
        return;
    };
    let listen: SocketAddr = std::env::var(LISTEN).unwrap().parse().unwrap();
    let seed: SocketAddr = seed.parse().unwrap();
    let two = Process::with("two", None, |builder| {
        let seeds = Seeds::none().endpoint(seed.into());
        with(builder).seeds(seeds).listen(listen)
    });
    two.publish("witness", &Witness::default());
    println!("\nlistens on {}", two.cluster.local_addr());
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).unwrap();
    std::process::exit(0);
}

/// A process that does not outlive the test.
pub(crate) struct Other(Child);

impl Other {
    /// `own` is a command that runs this very program; where the process listens comes back with it.
    pub(crate) fn start(
        mut own: Command,
        seed: SocketAddr,
        listen: SocketAddr,
    ) -> (Self, SocketAddr) {
        own.args(["the_other_process", "--exact", "--ignored", "--nocapture"])
            .env(SEED, seed.to_string())
            .env(LISTEN, listen.to_string())
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

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Two that know each other.
pub(crate) fn pair() -> (Process, Process) {
    let one = Process::start("one", None);
    let two = Process::start("two", Some(&one));
    one.sees(2);
    two.sees(2);
    (one, two)
}

/// Three that know each other.
pub(crate) fn trio() -> (Process, Process, Process) {
    let (one, two) = pair();
    let three = Process::start("three", Some(&one));
    for process in [&one, &two, &three] {
        process.sees(3);
    }
    (one, two, three)
}

/// No connection broke and nothing is under way: all that went out came in or is known not to have been
/// sent, and all that came in is accounted for.
pub(crate) fn check_books(all: &[&Process]) {
    wait_until("the books balance", || {
        let stats: Vec<_> = all.iter().map(|process| process.stats()).collect();
        let sum = |of: fn(&RemoteStats) -> u64| stats.iter().map(of).sum::<u64>();
        let not_sent = sum(|it| it.dropped_expired + it.dropped_cancelled + it.dropped_discarded);
        let refused = sum(|it| {
            it.refused_dead
                + it.refused_not_exported
                + it.refused_malformed
                + it.refused_full
                + it.refused_overloaded
                + it.refused_expired
        });
        sum(|it| it.lost_tells + it.lost_asks + it.lost_answers) == 0
            && sum(|it| it.held) == 0
            && sum(|it| it.tells_out + it.asks_out) == sum(|it| it.tells_in + it.asks_in) + not_sent
            && sum(|it| it.answers_out) == sum(|it| it.answers_in)
            && sum(|it| it.tells_in + it.asks_in) == sum(|it| it.delivered) + refused
    });
}

/// The books balance, all leave, and everything that was accepted is accounted for.
pub(crate) fn finish<const N: usize>(all: [Process; N]) {
    check_books(&all.each_ref());
    // The one that the others know the cluster by is the last.
    for process in all.into_iter().rev() {
        process.finish();
    }
}

// ---- What is exported ---------------------------------------------------------------------------

pub(crate) fn exports() -> Exports {
    Exports::new()
        .handles::<Witness, Note>()
        .handles::<Witness, Bulk>()
        .handles::<Witness, Hold>()
        .handles::<Witness, HoldVia>()
        .handles::<Witness, LookAt>()
        .handles::<Witness, Meet>()
        .handles::<Witness, AskFor>()
        .handles::<Witness, Say>()
        .handles::<Witness, Circle>()
        .handles::<Witness, Broken>()
        .handles::<Witness, Unlucky>()
        .handles::<Witness, Fail>()
        .spawns("witness", |first: u64| {
            assert_ne!(first, 13, "on purpose");
            let witness = Witness::default();
            witness.note(Heard::Note(0, first));
            witness
        })
}

/// What a witness has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// From whom, and the number.
    Note(u64, u64),
    Ended(StopReason),
    /// A handler begins to wait, and was told to go on.
    Held,
    Released,
    /// A handler that waited was cancelled.
    Cancelled,
}

/// Writes down what it hears; clones share what is written.
#[derive(Clone, Default)]
pub(crate) struct Witness {
    heard: Arc<Mutex<Vec<Heard>>>,
    /// Who holds waits for a permit, if there is one; else until cancelled.
    pub(crate) gate: Option<Arc<tokio::sync::Semaphore>>,
}

impl Witness {
    pub(crate) fn gated() -> (Self, Arc<tokio::sync::Semaphore>) {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let witness = Self {
            gate: Some(gate.clone()),
            ..Self::default()
        };
        (witness, gate)
    }

    fn note(&self, heard: Heard) {
        self.heard.lock().unwrap().push(heard);
    }

    pub(crate) fn all(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, what: &Heard) -> usize {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|it| *it == what).count()
    }

    pub(crate) fn ends(&self) -> Vec<StopReason> {
        let end = |heard| match heard {
            Heard::Ended(reason) => Some(reason),
            _ => None,
        };
        self.all().into_iter().filter_map(end).collect()
    }

    /// The numbers from one sender, in the order in which they came.
    pub(crate) fn notes_of(&self, from: u64) -> Vec<u64> {
        let number = |heard| match heard {
            Heard::Note(of, n) if of == from => Some(n),
            _ => None,
        };
        self.all().into_iter().filter_map(number).collect()
    }

    pub(crate) fn until(&self, what: &Heard, times: usize) {
        wait_until(&format!("{what:?}, {times} times"), || {
            self.count(what) >= times
        });
    }

    async fn hold(&self) {
        self.note(Heard::Held);
        match &self.gate {
            Some(gate) => {
                gate.acquire().await.expect("it stays open").forget();
                self.note(Heard::Released);
            }
            None => {
                let context = Context::current();
                let token = context.cancel_token().expect("an ask has one");
                token.cancelled().await;
                self.note(Heard::Cancelled);
            }
        }
    }
}

impl Actor for Witness {
    async fn terminated(&mut self, who: Terminated, _: &mut ActorContext<Self>) {
        self.note(Heard::Ended(who.reason));
    }
}

macro_rules! message {
    ($name:literal, $message:ident { $($field:ident: $type:ty),* } -> $reply:ty) => {
        #[derive(Debug, Message, Serialize, Deserialize)]
        #[message(remote = $name, reply = $reply)]
        pub(crate) struct $message { $(pub(crate) $field: $type),* }
    };
}

message!("tests.note", Note { from: u64, n: u64 } -> u64);
impl SyncHandler<Note> for Witness {
    fn handle(&mut self, note: Note, _: &mut ActorContext<Self>) -> u64 {
        self.note(Heard::Note(note.from, note.n));
        note.n
    }
}

message!("tests.bulk", Bulk { from: u64, n: u64, bytes: Vec<u8> } -> Vec<u8>);
impl SyncHandler<Bulk> for Witness {
    fn handle(&mut self, bulk: Bulk, _: &mut ActorContext<Self>) -> Vec<u8> {
        self.note(Heard::Note(bulk.from, bulk.n));
        bulk.bytes
    }
}

message!("tests.hold", Hold {} -> ());
impl Handler<Hold> for Witness {
    async fn handle(&mut self, _: Hold, _: &mut ActorContext<Self>) {
        self.hold().await;
    }
}

// Asks the next one, which asks the next one; the last holds.
message!("tests.hold-via", HoldVia { via: Vec<ActorRef<Witness>> } -> ());
impl Handler<HoldVia> for Witness {
    async fn handle(&mut self, mut hold: HoldVia, _: &mut ActorContext<Self>) {
        if hold.via.is_empty() {
            return self.hold().await;
        }
        let next = hold.via.remove(0);
        self.note(Heard::Held);
        match next.ask(hold).await {
            Ok(()) => self.note(Heard::Released),
            Err(_) => self.note(Heard::Cancelled),
        }
    }
}

/// The context of a message as its handler sees it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) left: Option<Duration>,
    pub(crate) trace: Option<String>,
    pub(crate) baggage: String,
}

// What each hop sees, the first one first.
message!("tests.look-at", LookAt { via: Vec<ActorRef<Witness>> } -> Vec<Sight>);
impl Handler<LookAt> for Witness {
    async fn handle(&mut self, mut look: LookAt, _: &mut ActorContext<Self>) -> Vec<Sight> {
        let context = Context::current();
        let mut seen = vec![Sight {
            left: context.remaining(),
            trace: context.trace().map(|trace| trace.trace_id().to_string()),
            baggage: context.baggage().to_string(),
        }];
        if !look.via.is_empty() {
            let next = look.via.remove(0);
            seen.extend(next.ask(look).await.expect("the next one answers"));
        }
        seen
    }
}

message!("tests.meet", Meet { whom: ActorRef<Witness> } -> ActorRef<Witness>);
impl SyncHandler<Meet> for Witness {
    fn handle(&mut self, meet: Meet, _: &mut ActorContext<Self>) -> ActorRef<Self> {
        meet.whom
    }
}

message!("tests.ask-for", AskFor { whom: ActorRef<Witness>, n: u64 } -> Result<u64, String>);
impl Handler<AskFor> for Witness {
    async fn handle(&mut self, ask: AskFor, _: &mut ActorContext<Self>) -> Result<u64, String> {
        let asked = ask.whom.ask(Note { from: 0, n: ask.n }).await;
        asked.map_err(|error| error.to_string())
    }
}

// Tells so many, some of them large, and ends.
message!("tests.say", Say { to: ActorRef<Witness>, from: u64, count: u64, large: usize } -> ());
impl Handler<Say> for Witness {
    async fn handle(&mut self, say: Say, cx: &mut ActorContext<Self>) {
        for n in 0..say.count {
            let bytes = vec![0; if n % 7 == 3 { say.large } else { 0 }];
            let from = say.from;
            say.to
                .send(Bulk { from, n, bytes })
                .await
                .expect("it lives");
        }
        cx.stop();
    }
}

// Each asks the next one; who asks in a circle is told.
message!("tests.circle", Circle { via: Vec<ActorRef<Witness>> } -> Result<u64, String>);
impl Handler<Circle> for Witness {
    async fn handle(
        &mut self,
        mut circle: Circle,
        _: &mut ActorContext<Self>,
    ) -> Result<u64, String> {
        if circle.via.is_empty() {
            return Ok(0);
        }
        let next = circle.via.remove(0);
        match next.ask(circle).await {
            Ok(deeper) => deeper.map(|n| n + 1),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Unreadable(pub(crate) u8);
impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u8::deserialize(from)? {
            1 => Ok(Self(1)),
            2 => panic!("on purpose"),
            _ => Err(serde::de::Error::custom("on purpose")),
        }
    }
}

message!("tests.broken", Broken { broken: Unreadable } -> u64);
impl SyncHandler<Broken> for Witness {
    fn handle(&mut self, _: Broken, _: &mut ActorContext<Self>) -> u64 {
        1
    }
}

message!("tests.unlucky", Unlucky {} -> ());
impl SyncHandler<Unlucky> for Witness {
    fn handle(&mut self, _: Unlucky, _: &mut ActorContext<Self>) {
        panic!("on purpose");
    }
}

message!("tests.fail", Fail {} -> ());
impl SyncHandler<Fail> for Witness {
    fn handle(&mut self, _: Fail, cx: &mut ActorContext<Self>) {
        cx.fail("by its own word");
    }
}

// Travels, and is exported nowhere.
message!("tests.not-there", NotThere {} -> ());
impl SyncHandler<NotThere> for Witness {
    fn handle(&mut self, _: NotThere, _: &mut ActorContext<Self>) {}
}

/// Never leaves its process.
#[derive(Debug)]
pub(crate) struct Stays;
impl Message for Stays {
    type Reply = ();
}
impl SyncHandler<Stays> for Witness {
    fn handle(&mut self, _: Stays, _: &mut ActorContext<Self>) {}
}

/// From here, to whoever it is about.
pub(crate) struct Watch(pub(crate) ActorRef<Witness>);
impl Message for Watch {
    type Reply = ();
}
impl SyncHandler<Watch> for Witness {
    fn handle(&mut self, Watch(who): Watch, cx: &mut ActorContext<Self>) {
        cx.watch(who);
    }
}

pub(crate) struct Unwatch(pub(crate) ActorRef<Witness>);
impl Message for Unwatch {
    type Reply = ();
}
impl SyncHandler<Unwatch> for Witness {
    fn handle(&mut self, Unwatch(who): Unwatch, cx: &mut ActorContext<Self>) {
        cx.unwatch(who);
    }
}

pub(crate) struct Link(pub(crate) ActorRef<Witness>);
impl Message for Link {
    type Reply = ();
}
impl SyncHandler<Link> for Witness {
    fn handle(&mut self, Link(who): Link, cx: &mut ActorContext<Self>) {
        cx.link(who);
    }
}
