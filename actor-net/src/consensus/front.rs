//! The front door: propose, read, look, listen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::{Config as EngineConfig, SnapshotPolicy};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::id::{ClusterId, Life, PeerId};

use super::applier::{Applier, Published};
use super::authority::{Authority, Change, Event};
use super::calls::{Calls, Network};
use super::command::{Applied, Command, Refusal, Request};
use super::contact::Contact;
use super::disk::{Directory, Disk};
use super::duties::{self, Joiner};
use super::engine::{ENGINE, Metrics, Panicked, Raft, RaftId};
use super::error::{ProposeError, StartError, Stopped, StoreError};
use super::log::{Identity, Log};
use super::message::{self, Call, Malformed, Message, Reassembly, Reply};
use super::settings::{ConsensusSettings, Storage};
use super::{Post, serve};

/// Commands of this peer that may be on their way: 512.
pub(crate) const REQUESTS_MAX: usize = 512;

/// Bytes of a command: 128 KiB.
pub(crate) const COMMAND_BYTES_MAX: usize = 128 << 10;

/// Calls of one peer that are being answered.
const SERVED_MAX: usize = REQUESTS_MAX + 64;

/// Changes that a slow reader may be behind before it is told to look at the whole: 1,024.
const CHANGES: usize = 1024;

/// Hellos and the like that wait to be looked at; more are dropped, they are repeated.
const NEWS: usize = 256;

/// Peers whose messages are being put together at a time.
const SENDERS_MAX: usize = super::authority::MEMBERS_MAX;

/// Who this is, and how it goes about it.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) cluster: ClusterId,
    pub(crate) own: Life,
    pub(crate) settings: ConsensusSettings,
}

/// How the floor below sees a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    Up,
    Unreachable,
    Down,
    Left,
}

/// A life of a peer, as the floor below sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) life: Life,
    pub(crate) sight: Sight,
}

/// Whether this peer takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It waits for others to found a cluster with, or for one to join.
    Forming { seen: usize },
    /// There is a cluster; it does not have this peer yet.
    Joining,
    /// It takes part. Without a leader nothing can be decided at the moment.
    Member { leader: Option<PeerId> },
    /// It takes part no more.
    Stopped(Stopped),
}

/// What all must agree on. A handle: clones are the same.
#[derive(Clone)]
pub(crate) struct Consensus {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) own: Life,
    pub(super) id: RaftId,
    pub(super) settings: ConsensusSettings,
    pub(super) raft: Raft,
    pub(super) log: Log,
    pub(super) calls: Arc<Calls>,
    pub(super) members: watch::Sender<Arc<BTreeMap<PeerId, Seen>>>,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) joiners: Mutex<BTreeMap<PeerId, Joiner>>,
    pub(super) wake_leader: Notify,
    /// A write was given up: the next one asks for a majority before it adds to the log.
    pub(super) doubtful: AtomicBool,
    contact: Mutex<Contact>,
    pub(super) panicked: Panicked,
    /// The others say that this life is over.
    pub(super) is_over: AtomicBool,
    published: watch::Receiver<Published>,
    changes: broadcast::Sender<Change>,
    handle: Handle,
    news: mpsc::Sender<(PeerId, Message)>,
    tasks: Mutex<Vec<AbortHandle>>,
    requests: Mutex<Requests>,
    incoming: Mutex<BTreeMap<PeerId, Incoming>>,
    served: AtomicU64,
}

/// Requests of this peer that have no answer yet.
#[derive(Debug, Default)]
struct Requests {
    last: u64,
    open: BTreeSet<u64>,
}

/// What comes from one peer.
#[derive(Debug)]
struct Incoming {
    reassembly: Reassembly,
    served: Arc<Semaphore>,
}

impl fmt::Debug for Consensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consensus")
            .field("own", &self.shared.own)
            .field("standing", &self.standing())
            .field("version", &self.authority().version())
            .finish_non_exhaustive()
    }
}

impl Consensus {
    /// Starts this peer's part, on that runtime: it finds a cluster, or founds one, by itself.
    pub(crate) async fn start(
        config: Config,
        post: Arc<dyn Post>,
        handle: Handle,
    ) -> Result<Self, StartError> {
        config.settings.check()?;
        let disk: Option<Arc<Mutex<dyn Disk>>> = match &config.settings.storage {
            Storage::Memory => None,
            Storage::Directory(path) => {
                let directory = Directory::open(path)
                    .map_err(|error| StoreError::io(&path.display().to_string(), error))?;
                Some(Arc::new(Mutex::new(directory)))
            }
        };
        let election = config.settings.election;
        Self::start_on(config, disk, election..election * 2, post, handle).await
    }

    /// The same on a given disk and with given election timeouts.
    pub(crate) async fn start_on(
        config: Config,
        disk: Option<Arc<Mutex<dyn Disk>>>,
        election: std::ops::Range<Duration>,
        post: Arc<dyn Post>,
        handle: Handle,
    ) -> Result<Self, StartError> {
        let Config {
            cluster,
            own,
            settings,
        } = config;
        let identity = Identity {
            cluster: cluster.clone(),
            id: RaftId::new(&own.peer, own.incarnation),
        };
        let log = match &disk {
            Some(disk) => Log::on_disk(identity, Arc::clone(disk))?,
            None => Log::in_memory(identity),
        };
        let id = log.identity().id;
        let (publish, published) = watch::channel(Published::default());
        let (changes, _) = broadcast::channel(CHANGES);
        let applier = Applier::new(disk, publish, changes.clone())?;
        let calls = Arc::new(Calls::new(post, log.clone()));
        let panicked = Panicked::default();
        let engine = engine_config(&cluster, &settings, election)?;
        let raft = {
            let (id, log, network) = (id, log.clone(), Network(Arc::clone(&calls)));
            let start = Raft::new(id, engine, network, log, applier);
            // On that runtime, whichever it was called on.
            let start = ENGINE.scope(Arc::clone(&panicked), start);
            let started = handle.spawn(start).await;
            started
                .map_err(|error| StartError::Engine(error.to_string()))?
                .map_err(|error| StartError::Engine(error.to_string()))?
        };
        let (news, heard) = mpsc::channel(NEWS);
        let shared = Arc::new(Shared {
            own,
            id,
            contact: Mutex::new(Contact::new(settings.election, Instant::now())),
            settings,
            raft,
            log,
            calls,
            members: watch::Sender::default(),
            standing: watch::Sender::new(Standing::Forming { seen: 1 }),
            joiners: Mutex::default(),
            wake_leader: Notify::new(),
            doubtful: AtomicBool::new(false),
            panicked,
            is_over: AtomicBool::new(false),
            published,
            changes,
            handle: handle.clone(),
            news,
            tasks: Mutex::default(),
            requests: Mutex::default(),
            incoming: Mutex::default(),
            served: AtomicU64::new(0),
        });
        let tasks = [
            handle.spawn(duties::newcomer(Arc::clone(&shared), heard)),
            handle.spawn(duties::leader(Arc::clone(&shared))),
            handle.spawn(duties::guard(Arc::clone(&shared))),
        ];
        *lock(&shared.tasks) = tasks.iter().map(|task| task.abort_handle()).collect();
        Ok(Self { shared })
    }

    /// A datagram came from a peer.
    ///
    /// # Errors
    ///
    /// It is none of ours; it is dropped, and nothing else suffers.
    pub(crate) fn handle_datagram(&self, from: &PeerId, bytes: &[u8]) -> Result<(), Malformed> {
        let (whole, served) = {
            let mut incoming = lock(&self.shared.incoming);
            if incoming.len() >= SENDERS_MAX && !incoming.contains_key(from) {
                incoming.pop_first();
            }
            let incoming = incoming.entry(from.clone()).or_insert_with(|| Incoming {
                reassembly: Reassembly::default(),
                served: Arc::new(Semaphore::new(SERVED_MAX)),
            });
            let Some(whole) = incoming.reassembly.take(bytes)? else {
                return Ok(());
            };
            (whole, Arc::clone(&incoming.served))
        };
        match message::decode(&whole)? {
            Message::Reply { id, reply } => self.shared.calls.answered(from, id, reply),
            Message::Call { id, founding, call } => {
                // Too many at once: as if it had been lost. It is asked again.
                if let Ok(permit) = served.try_acquire_owned() {
                    let (shared, from) = (Arc::clone(&self.shared), from.clone());
                    self.shared.served.fetch_add(1, Ordering::Relaxed);
                    self.shared.handle.spawn(async move {
                        serve::answer(&shared, &from, id, founding, call).await;
                        drop(permit);
                    });
                }
            }
            message @ (Message::Hello(_) | Message::Welcome(_) | Message::Found(_)) => {
                // Full: as if it had been lost. It is said again.
                let _ = self.shared.news.try_send((from.clone(), message));
            }
        }
        Ok(())
    }

    /// How the floor below sees the peers now: all of them, itself or not.
    pub(crate) fn set_members(&self, seen: impl IntoIterator<Item = Seen>) {
        let seen = seen.into_iter().map(|seen| (seen.life.peer.clone(), seen));
        self.shared.members.send_replace(Arc::new(seen.collect()));
        self.shared.wake_leader.notify_one();
    }

    /// What this peer has heard that all agreed on.
    pub(crate) fn authority(&self) -> Arc<Authority> {
        self.shared.authority()
    }

    /// The changes from now on, each with a greater version than the one before.
    pub(crate) fn changes(&self) -> Changes {
        let receiver = self.shared.changes.subscribe();
        Changes {
            version: self.authority().version(),
            receiver,
            published: self.shared.published.clone(),
        }
    }

    /// Who votes, by name, and whether that peer is still the voter that it was: one that began anew without
    /// its log is not. `None`: as it was when `known` was set, which is done here.
    pub(crate) fn voting(&self, known: &mut Option<(u64, u64)>) -> Option<Vec<(PeerId, bool)>> {
        let authority = self.authority();
        let metrics = self.shared.raft.metrics();
        let metrics = metrics.borrow();
        let config = &metrics.membership_config;
        let index = config.log_id().map_or(0, |id| id.index.saturating_add(1));
        let now = Some((index, authority.epoch()));
        if std::mem::replace(known, now) == now {
            return None;
        }
        let last = config.membership().get_joint_config().last();
        let voters = last.into_iter().flatten().filter_map(|id| {
            let peer = id.peer()?;
            let is_present = match authority.member(&peer) {
                Some(member) => member.store == id.store(),
                // Those that the cluster was founded with vote before they are members.
                None => !authority.is_over(&Life {
                    peer: peer.clone(),
                    incarnation: id.store(),
                }),
            };
            Some((peer, is_present))
        });
        Some(voters.collect())
    }

    /// Whether this peer takes part.
    pub(crate) fn standing(&self) -> Standing {
        self.shared.standing.borrow().clone()
    }

    /// Who leads, if it was heard of lately.
    pub(crate) fn leader(&self) -> Option<PeerId> {
        let is_led = self.shared.contact().is_led(Instant::now());
        let leader = is_led.then(|| self.shared.metrics().current_leader)?;
        leader.and_then(|id| id.peer())
    }

    /// Who votes, as far as this peer knows. While that changes, who voted before: until the change is finished nothing
    /// is decided without most of those.
    pub(crate) fn voters(&self) -> BTreeSet<PeerId> {
        let metrics = self.shared.metrics();
        let configs = metrics.membership_config.membership().get_joint_config();
        let voters = configs.first().into_iter().flatten();
        voters.filter_map(|id| id.peer()).collect()
    }

    /// Follows whether this peer takes part.
    pub(crate) fn standings(&self) -> watch::Receiver<Standing> {
        self.shared.standing.subscribe()
    }

    /// Asks all to agree on a command, within the deadline that is set.
    ///
    /// # Errors
    ///
    /// [`ProposeError::Refused`]: all agreed that it does not fit. Otherwise see [`ProposeError`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves it open whether the command is applied; it is never applied twice.
    pub(crate) async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        self.propose_within(command, self.shared.settings.deadline)
            .await
    }

    /// The same within a time of one's own.
    pub(crate) async fn propose_within(
        &self,
        command: Command,
        patience: Duration,
    ) -> Result<Applied, ProposeError> {
        let shared = &*self.shared;
        let bytes = message::encode(&command).map_or(usize::MAX, |bytes| bytes.len());
        if bytes > COMMAND_BYTES_MAX {
            let max = COMMAND_BYTES_MAX;
            return Err(ProposeError::TooLarge { bytes, max });
        }
        let open = Open::new(&shared.requests).ok_or(ProposeError::Busy { max: REQUESTS_MAX })?;
        let mut request = Request {
            by: shared.own.clone(),
            sequence: open.sequence,
            answered: 0,
            command,
        };
        let mut uncertain = false;
        let trying = async {
            loop {
                request.answered = open.answered();
                let reply = shared
                    .ask_leader(Call::Propose(request.clone()), &mut uncertain)
                    .await;
                match reply {
                    Some(Reply::Outcome(Ok(applied))) => return Ok(applied),
                    Some(Reply::Outcome(Err(refusal))) => match &refusal {
                        // It is on its way to become one.
                        Refusal::NotAMember { life } if *life == shared.own => shared.pause().await,
                        Refusal::LifeIsOver { life } if *life == shared.own => {
                            shared.is_over.store(true, Ordering::Relaxed);
                            return Err(ProposeError::Stopped(Stopped::LifeIsOver));
                        }
                        _ => return Err(ProposeError::Refused(refusal)),
                    },
                    _ => shared.pause().await,
                }
            }
        };
        let done = shared.unless_stopped(patience, trying).await;
        done.unwrap_or(Err(ProposeError::NoQuorum {
            waited: patience,
            uncertain,
        }))
    }

    /// What all agreed on, with everything in it that was agreed on before this was called.
    ///
    /// # Errors
    ///
    /// [`ProposeError::NoQuorum`] and [`ProposeError::Stopped`].
    pub(crate) async fn read(&self) -> Result<Arc<Authority>, ProposeError> {
        let shared = &*self.shared;
        let patience = shared.settings.deadline;
        let mut published = shared.published.clone();
        let trying = async {
            let upto = loop {
                match shared.ask_leader(Call::Read, &mut false).await {
                    Some(Reply::ReadAt(upto)) => break upto,
                    _ => shared.pause().await,
                }
            };
            let upto = upto.map(|upto| upto.index);
            let has = |published: &Published| {
                published.applied.as_ref().map(|applied| applied.index) >= upto
            };
            match published.wait_for(has).await {
                Ok(published) => Ok(Arc::clone(&published.authority)),
                Err(_) => Err(ProposeError::Stopped(shared.why_stopped())),
            }
        };
        let done = shared.unless_stopped(patience, trying).await;
        done.unwrap_or(Err(ProposeError::NoQuorum {
            waited: patience,
            uncertain: false,
        }))
    }

    /// Leaves for good: all agree that this life is over, and what it still owns is free; then the others see to it
    /// that they do without its vote. Whether they did within that time.
    ///
    /// # Cancel safety
    ///
    /// It is over, or not, as far as it came.
    pub(crate) async fn leave(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let life = self.shared.own.clone();
        let over = Command::Down { life, left: true };
        match self.propose_within(over, patience).await {
            // It may not be told any more, as it takes part no more.
            Ok(_) => self.shared.is_over.store(true, Ordering::Relaxed),
            Err(ProposeError::Stopped(_)) => return true,
            Err(error) => {
                tracing::debug!(%error, "leaving without the others' word");
                return false;
            }
        }
        let mut standings = self.standings();
        let stopped = standings.wait_for(|standing| matches!(standing, Standing::Stopped(_)));
        timeout_at(until, stopped).await.is_ok()
    }

    /// Takes part no more. What this peer owns stays its own until its life is declared down.
    pub(crate) async fn shutdown(&self) {
        self.shared.stop(Stopped::ShutDown);
        // A join error is a panic, which has been told already.
        let _ = self.shared.raft.shutdown().await;
    }
}

impl Shared {
    pub(super) fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.published.borrow().authority)
    }

    /// When a leader was last heard of.
    pub(super) fn contact(&self) -> MutexGuard<'_, Contact> {
        lock(&self.contact)
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow().clone()
    }

    /// Asks whoever leads, this peer or another, once. `uncertain` becomes true when it may have heard.
    async fn ask_leader(&self, call: Call, uncertain: &mut bool) -> Option<Reply> {
        let leader = self.metrics().current_leader?;
        let patience = self.settings.deadline / 2;
        let is_write = matches!(call, Call::Propose(_));
        let reply = if leader == self.id {
            Some(serve::lead(self, call, patience).await)
        } else {
            let reply = self.calls.call(&leader.peer()?, call, patience).await;
            if let Err(super::calls::CallError::Timeout) = reply {
                *uncertain |= is_write;
            }
            reply.ok()
        };
        if let Some(Reply::NoQuorum { uncertain: true }) = reply {
            *uncertain |= is_write;
        }
        reply
    }

    /// Waits a little, for a leader to be found.
    async fn pause(&self) {
        sleep(self.settings.heartbeat).await;
    }

    async fn unless_stopped<T>(
        &self,
        patience: Duration,
        trying: impl Future<Output = Result<T, ProposeError>>,
    ) -> Option<Result<T, ProposeError>> {
        let mut standing = self.standing.subscribe();
        let deadline = Instant::now() + patience;
        let stopped = standing.wait_for(|standing| matches!(standing, Standing::Stopped(_)));
        tokio::select! {
            biased;
            _ = stopped => Some(Err(ProposeError::Stopped(self.why_stopped()))),
            done = timeout_at(deadline, trying) => done.ok(),
        }
    }

    fn why_stopped(&self) -> Stopped {
        match &*self.standing.borrow() {
            Standing::Stopped(why) => why.clone(),
            _ => Stopped::ShutDown,
        }
    }

    /// Takes part no more; the first reason stays.
    pub(super) fn stop(&self, why: Stopped) {
        let is_first = self.standing.send_if_modified(|standing| {
            let is_first = !matches!(standing, Standing::Stopped(_));
            if is_first {
                *standing = Standing::Stopped(why);
            }
            is_first
        });
        if !is_first {
            return;
        }
        let raft = self.raft.clone();
        self.handle.spawn(async move {
            // It may hang if its store does: then it hangs here, and nowhere else.
            let _ = timeout(Duration::from_secs(60), raft.shutdown()).await;
        });
        // Last: one of them may be running this.
        for task in lock(&self.tasks).drain(..) {
            task.abort();
        }
    }

    pub(super) fn set_standing(&self, now: Standing) {
        self.standing.send_if_modified(|standing| {
            let is_news = !matches!(standing, Standing::Stopped(_)) && *standing != now;
            if is_news {
                *standing = now;
            }
            is_news
        });
    }
}

/// A request that has no answer yet.
struct Open<'a> {
    requests: &'a Mutex<Requests>,
    sequence: u64,
}

impl<'a> Open<'a> {
    fn new(requests: &'a Mutex<Requests>) -> Option<Self> {
        let mut all = lock(requests);
        if all.open.len() >= REQUESTS_MAX {
            return None;
        }
        all.last += 1;
        let sequence = all.last;
        all.open.insert(sequence);
        Some(Self { requests, sequence })
    }

    /// All before this one have their answers.
    fn answered(&self) -> u64 {
        let all = lock(self.requests);
        all.open.first().copied().unwrap_or(self.sequence)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        lock(self.requests).open.remove(&self.sequence);
    }
}

/// The changes, one after the other.
#[derive(Debug)]
pub(crate) struct Changes {
    version: u64,
    receiver: broadcast::Receiver<Change>,
    published: watch::Receiver<Published>,
}

impl Changes {
    /// The next change; `None` when the consensus has stopped. A reader that was too slow, or a peer that got a
    /// snapshot, gets one with [`Event::Replaced`] in place of those it missed.
    ///
    /// # Cancel safety
    ///
    /// No change is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Change> {
        loop {
            let change = match self.receiver.recv().await {
                Ok(change) => change,
                Err(broadcast::error::RecvError::Lagged(_)) => Change {
                    authority: Arc::clone(&self.published.borrow().authority),
                    events: Arc::new([Event::Replaced]),
                },
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            if change.authority.version() > self.version {
                self.version = change.authority.version();
                return Some(change);
            }
        }
    }
}

fn engine_config(
    cluster: &ClusterId,
    settings: &ConsensusSettings,
    election: std::ops::Range<Duration>,
) -> Result<Arc<EngineConfig>, StartError> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let config = EngineConfig {
        cluster_name: cluster.to_string(),
        heartbeat_interval: millis(settings.heartbeat),
        election_timeout_min: millis(election.start),
        election_timeout_max: millis(election.end),
        install_snapshot_timeout: millis(settings.election).max(1000),
        max_payload_entries: 256,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(settings.snapshot_after),
        replication_lag_threshold: settings.snapshot_after.saturating_mul(2),
        max_in_snapshot_log_to_keep: settings.snapshot_after / 4,
        snapshot_max_chunk_size: 256 << 10,
        ..EngineConfig::default()
    };
    match config.validate() {
        Ok(config) => Ok(Arc::new(config)),
        Err(error) => Err(StartError::Engine(error.to_string())),
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
