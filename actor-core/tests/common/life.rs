//! What the tests of life and death share: one actor that does what a closure says, and a log of all
//! that happens to it.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    unreachable_pub,
    reason = "compiled into each test binary, as a module"
)]
#![allow(missing_debug_implementations, reason = "not an interface")]
#![allow(clippy::type_complexity, reason = "closures as messages")]

use std::collections::HashMap;
use std::future::pending;
use std::panic::panic_any;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{ActorError, ActorId, SpawnBuilder, SpawnError, StopMode, SystemRef};

use super::common::{PATIENCE, jitter, wait_until};

/// Panics of the tests' own making begin with this, and are not printed.
pub const MEANT: &str = "meant:";

/// Keeps panics that the tests mean off the screen.
pub fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let text = payload
                .downcast_ref::<&'static str>()
                .copied()
                .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let meant = text.is_some_and(|text| text.starts_with(MEANT)) || payload.is::<Bomb>();
            if !meant {
                print(info);
            }
        }));
    });
}

/// A panic that a test means.
pub fn boom() -> ! {
    panic!("{MEANT} boom")
}

/// A panic payload whose own drop panics.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        boom()
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn say(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
        jitter();
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    pub fn has(&self, line: &str) -> bool {
        self.count(line) > 0
    }

    pub fn count(&self, line: &str) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|each| *each == line)
            .count()
    }

    /// How many lines begin so.
    pub fn starting(&self, with: &str) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|each| each.starts_with(with))
            .count()
    }

    /// The position of the first such line.
    #[track_caller]
    pub fn at(&self, line: &str) -> usize {
        let lines = self.lines();
        lines
            .iter()
            .position(|each| each == line)
            .unwrap_or_else(|| panic!("no {line:?} in {lines:#?}"))
    }

    #[track_caller]
    pub fn wait(&self, line: &str) {
        self.wait_count(line, 1);
    }

    #[track_caller]
    pub fn wait_count(&self, line: &str, n: usize) {
        let what = format!("{n} of {line:?}");
        let lines = || self.lines();
        let began = std::time::Instant::now();
        while self.count(line) < n {
            assert!(
                began.elapsed() < PATIENCE,
                "waited in vain for {what} in {:#?}",
                lines()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a hook does, beside writing into the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hook {
    #[default]
    Nothing,
    /// `started` only.
    Error,
    Panic,
    PanicWithBomb,
    /// After an await.
    PanicLater,
    /// Waits for ever.
    Hang,
}

impl Hook {
    async fn run(self) {
        match self {
            Self::Nothing | Self::Error => {}
            Self::Panic => boom(),
            Self::PanicWithBomb => panic_any(Bomb),
            Self::PanicLater => {
                tokio::time::sleep(Duration::from_millis(2)).await;
                boom()
            }
            Self::Hang => pending().await,
        }
    }
}

/// An actor that does what it is told.
pub struct Node {
    pub spec: Spec,
    /// 1 for the first life, and so on.
    pub life: u32,
    pub numbers: Vec<u64>,
    pub names: HashMap<ActorId, String>,
}

/// How a `Node` is and what it reports to.
#[derive(Clone)]
pub struct Spec {
    pub name: String,
    pub log: Log,
    pub lives: Arc<AtomicU32>,
    pub on_factory: Hook,
    /// For lives from `hooks_from` on.
    pub on_start: Hook,
    pub on_stop: Hook,
    pub on_terminated: Hook,
    pub on_drop: Hook,
    pub hooks_from: u32,
    /// Children that `started` spawns, in order, transient.
    pub children: Vec<Self>,
    /// Where `started` leaves the children's addresses.
    pub family: Family,
    pub restart: Restart,
    pub supervision: Supervision,
    pub backoff: Backoff,
    pub shutdown: Shutdown,
    pub on_panic: OnPanic,
    pub significant: bool,
}

/// Addresses by name, of the latest spawn.
#[derive(Clone, Default)]
pub struct Family(Arc<Mutex<HashMap<String, ActorRef<Node>>>>);

impl Family {
    /// Waits until there is such an actor.
    #[track_caller]
    pub fn get(&self, name: &str) -> ActorRef<Node> {
        wait_until(name, || self.0.lock().unwrap().contains_key(name));
        self.0.lock().unwrap()[name]
    }
}

impl Spec {
    pub fn new(name: &str, log: &Log) -> Self {
        Self {
            name: name.to_owned(),
            log: log.clone(),
            lives: Arc::default(),
            on_factory: Hook::Nothing,
            on_start: Hook::Nothing,
            on_stop: Hook::Nothing,
            on_terminated: Hook::Nothing,
            on_drop: Hook::Nothing,
            hooks_from: 1,
            children: Vec::new(),
            family: Family::default(),
            restart: Restart::Transient,
            supervision: Supervision::one_for_one(),
            backoff: Backoff::none(),
            shutdown: Shutdown::DEFAULT,
            on_panic: OnPanic::Restart,
            significant: false,
        }
    }

    pub fn child(mut self, mut child: Self) -> Self {
        child.share(&self.family);
        self.children.push(child);
        self
    }

    /// One family book for the whole tree.
    fn share(&mut self, family: &Family) {
        self.family = family.clone();
        for child in &mut self.children {
            child.share(family);
        }
    }

    /// Leaves an address in the family book.
    pub fn family_insert(&self, name: &str, actor: ActorRef<Node>) {
        self.family.0.lock().unwrap().insert(name.to_owned(), actor);
        jitter();
    }

    pub fn lives(&self) -> u32 {
        self.lives.load(Ordering::SeqCst)
    }

    pub fn make(&self) -> Node {
        let life = self.lives.fetch_add(1, Ordering::SeqCst) + 1;
        if life >= self.hooks_from {
            match self.on_factory {
                Hook::Panic => boom(),
                Hook::PanicWithBomb => panic_any(Bomb),
                _ => {}
            }
        }
        Node {
            spec: self.clone(),
            life,
            numbers: Vec::new(),
            names: HashMap::new(),
        }
    }

    pub fn factory(&self) -> impl FnMut() -> Node + Send + 'static + use<> {
        let spec = self.clone();
        move || spec.make()
    }

    fn set<'a>(&self, builder: SpawnBuilder<'a, Node>) -> SpawnBuilder<'a, Node> {
        builder
            .name(&self.name)
            .restart(self.restart)
            .supervision(self.supervision)
            .backoff(self.backoff)
            .shutdown(self.shutdown)
            .on_panic(self.on_panic)
            .significant(self.significant)
            .mailbox(Mailbox::unbounded())
    }

    /// At the top.
    #[track_caller]
    pub fn spawn(&self, system: &SystemRef) -> ActorRef<Node> {
        let spawned = self
            .set(system.actor(self.factory()))
            .spawn()
            .expect("a test actor is spawned");
        self.family
            .0
            .lock()
            .unwrap()
            .insert(self.name.clone(), spawned);
        spawned
    }

    /// Under an actor.
    pub fn spawn_in(&self, cx: &mut ActorContext<Node>) -> Result<ActorRef<Node>, SpawnError> {
        let spawned = self.set(cx.actor(self.factory())).spawn()?;
        self.family
            .0
            .lock()
            .unwrap()
            .insert(self.name.clone(), spawned);
        Ok(spawned)
    }
}

impl Node {
    fn say(&self, what: &str) {
        self.spec.log.say(format!("{} {what}", self.spec.name));
    }

    fn hook(&self, hook: Hook) -> Hook {
        if self.life >= self.spec.hooks_from {
            hook
        } else {
            Hook::Nothing
        }
    }
}

impl Actor for Node {
    async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        self.say(&format!("started {}", self.life));
        for child in self.spec.children.clone() {
            child.spawn_in(cx)?;
        }
        let hook = self.hook(self.spec.on_start);
        hook.run().await;
        if hook == Hook::Error {
            Err("no luck".into())
        } else {
            Ok(())
        }
    }

    async fn stopped(&mut self, reason: &StopReason, _cx: &mut ActorContext<Self>) {
        self.say(&format!("stopping: {reason}"));
        self.hook(self.spec.on_stop).run().await;
        self.say("stopped");
    }

    async fn terminated(&mut self, who: Terminated, _cx: &mut ActorContext<Self>) {
        let name = self.names.get(&who.actor).cloned().unwrap_or_default();
        self.say(&format!("heard of {name}: {}", who.reason));
        self.hook(self.spec.on_terminated).run().await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.say(&format!("dropped {}", self.life));
        match self.hook(self.spec.on_drop) {
            // Twice at once would end the process; see `abort_class`.
            Hook::Panic if !std::thread::panicking() => boom(),
            Hook::PanicWithBomb if !std::thread::panicking() => panic_any(Bomb),
            _ => {}
        }
    }
}

/// Does something in the actor and answers.
pub struct With<R>(Box<dyn FnOnce(&mut Node, &mut ActorContext<Node>) -> R + Send>);

impl<R: Send + 'static> Message for With<R> {
    type Reply = R;
}

impl<R: Send + 'static> SyncHandler<With<R>> for Node {
    fn handle(&mut self, With(act): With<R>, cx: &mut ActorContext<Self>) -> R {
        act(self, cx)
    }
}

/// A closure as a message.
pub fn with<R, F>(act: F) -> With<R>
where
    F: FnOnce(&mut Node, &mut ActorContext<Node>) -> R + Send + 'static,
{
    With(Box::new(act))
}

/// Writes a number down; the answer is the life that did.
pub struct Note(pub u64);

impl Message for Note {
    type Reply = u32;
}

impl SyncHandler<Note> for Node {
    fn handle(&mut self, Note(n): Note, _cx: &mut ActorContext<Self>) -> u32 {
        self.numbers.push(n);
        self.life
    }
}

/// Panics.
pub struct Crash;

impl Message for Crash {
    type Reply = ();
}

impl SyncHandler<Crash> for Node {
    fn handle(&mut self, Crash: Crash, _cx: &mut ActorContext<Self>) {
        boom()
    }
}

/// Panics before or after an await.
pub struct CrashAsync {
    pub after_await: bool,
    pub bomb: bool,
}

impl Message for CrashAsync {
    type Reply = ();
}

impl Handler<CrashAsync> for Node {
    async fn handle(&mut self, how: CrashAsync, _cx: &mut ActorContext<Self>) {
        if how.after_await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if how.bomb { panic_any(Bomb) } else { boom() }
    }
}

/// Waits, without holding a worker up, and then acts.
pub struct HoldThen(
    pub tokio::sync::oneshot::Receiver<()>,
    pub Box<dyn FnOnce(&mut ActorContext<Node>) + Send>,
);

impl Message for HoldThen {
    type Reply = ();
}

impl Handler<HoldThen> for Node {
    async fn handle(&mut self, HoldThen(go, act): HoldThen, cx: &mut ActorContext<Self>) {
        go.await.expect("the test lets it go");
        act(cx);
    }
}

/// Awaits that long, then answers; with `None` for ever.
pub struct Sleep(pub Option<Duration>);

impl Message for Sleep {
    type Reply = ();
}

impl Handler<Sleep> for Node {
    async fn handle(&mut self, Sleep(time): Sleep, _cx: &mut ActorContext<Self>) {
        self.say("sleeps");
        let _woken = SayOnDrop(
            self.spec.log.clone(),
            format!("{} sleep over", self.spec.name),
        );
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => pending().await,
        }
    }
}

struct SayOnDrop(Log, String);

impl Drop for SayOnDrop {
    fn drop(&mut self) {
        self.0.say(std::mem::take(&mut self.1));
    }
}

/// Verbs for `ActorRef<Node>`.
pub trait NodeRef {
    /// The present life, once the actor gets to it.
    fn life(&self) -> u32;
    /// Crashes it and waits until the asker was told.
    fn crash(&self);
    /// Watches `other`, under a name for the log.
    fn watches(&self, other: ActorRef<Node>, name: &str);
    fn kill(&self);
    /// Waits until it is gone for good.
    fn gone(&self);
}

impl NodeRef for ActorRef<Node> {
    #[track_caller]
    fn life(&self) -> u32 {
        self.ask_blocking(Note(0)).expect("the actor answers")
    }

    #[track_caller]
    fn crash(&self) {
        let answer = self.ask_blocking(Crash);
        assert!(
            matches!(answer, Err(AskError::Panicked { .. })),
            "{answer:?}"
        );
    }

    #[track_caller]
    fn watches(&self, other: ActorRef<Node>, name: &str) {
        let name = name.to_owned();
        self.ask_blocking(with(move |node, cx| {
            node.names.insert(other.id(), name);
            cx.watch(other);
        }))
        .expect("the actor watches");
    }

    fn kill(&self) {
        self.stop_with(StopMode::Kill);
    }

    #[track_caller]
    fn gone(&self) {
        wait_until("the actor is gone", || !self.is_alive());
    }
}

/// A tiny actor for crowds.
pub struct Dot;

impl Actor for Dot {}

/// A number for a `Dot`, which answers it.
pub struct Echo(pub u64);

impl Message for Echo {
    type Reply = u64;
}

impl SyncHandler<Echo> for Dot {
    fn handle(&mut self, Echo(n): Echo, _cx: &mut ActorContext<Self>) -> u64 {
        n
    }
}

/// A number from everybody.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::SeqCst)
}
