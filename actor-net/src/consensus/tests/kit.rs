//! Whole clusters in one thread, in simulated time, over a seeded network and disks that forget at a crash.
//!
//! What is the same for the same seed: which datagram is lost, how long each takes, when who crashes, and the
//! election timeouts (each peer has a fixed one). Time only passes when nobody has anything to do. What is not in
//! our hands is the order in which tokio wakes tasks that are due at once; it has been the same so far.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::disk::Disk;
use super::super::front::lock;
use super::super::*;
use crate::id::{ClusterId, Incarnation, Life};

/// Runs a simulation to its end.
pub(crate) fn simulate<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn peer(n: usize) -> PeerId {
    PeerId::new(&format!("p{n}")).unwrap()
}

pub(crate) fn address(life: &Life, number: u64) -> NameAddress {
    NameAddress {
        life: life.clone(),
        number,
        key: number ^ 0x5a5a,
    }
}

pub(crate) fn claim(name: &str, life: &Life, number: u64) -> Command {
    Command::ClaimName {
        name: name.to_owned(),
        address: address(life, number),
        actor_type: "bank::Account".to_owned(),
    }
}

/// The network between the peers of a simulation.
pub(crate) struct Net {
    inner: Mutex<Inner>,
}

struct Inner {
    rng: StdRng,
    loss: f64,
    peers: BTreeMap<PeerId, Consensus>,
    cut: BTreeSet<(PeerId, PeerId)>,
    links: BTreeMap<(PeerId, PeerId), Link>,
}

struct Link {
    queue: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    last: Instant,
}

struct Port {
    net: Arc<Net>,
    own: PeerId,
}

impl Post for Port {
    fn datagram(&self, to: &PeerId, bytes: Vec<u8>) -> Result<(), NotSent> {
        assert!(
            bytes.len() <= 60 << 10,
            "a datagram of {} bytes",
            bytes.len()
        );
        let mut inner = lock(&self.net.inner);
        let pair = (self.own.clone(), to.clone());
        let loss = inner.loss;
        // What is sent into a cut is lost without a word.
        if inner.cut.contains(&pair) || inner.rng.random_bool(loss) {
            return Ok(());
        }
        let delay = Duration::from_micros(inner.rng.random_range(200..8000));
        let net = Arc::clone(&self.net);
        let link = inner.links.entry(pair.clone()).or_insert_with(|| {
            let (queue, mut sent) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
            tokio::spawn(async move {
                while let Some((at, bytes)) = sent.recv().await {
                    sleep_until(at).await;
                    net.deliver(&pair, &bytes);
                }
            });
            let last = Instant::now();
            Link { queue, last }
        });
        link.last = link.last.max(Instant::now() + delay);
        link.queue.send((link.last, bytes)).unwrap();
        Ok(())
    }
}

impl Net {
    fn deliver(&self, pair: &(PeerId, PeerId), bytes: &[u8]) {
        let to = {
            let inner = lock(&self.inner);
            if inner.cut.contains(pair) {
                return;
            }
            inner.peers.get(&pair.1).cloned()
        };
        if let Some(to) = to {
            to.handle_datagram(&pair.0, bytes).unwrap();
        }
    }
}

/// A disk that outlives its peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<Files>>);

#[derive(Debug, Default)]
struct Files {
    files: BTreeMap<String, Vec<u8>>,
    is_dead: bool,
}

impl SimulatedDisk {
    /// The machine is gone: nothing is written any more; the record that was being written may be torn.
    pub(crate) fn crash(&self, rng: &mut impl Rng) {
        let mut files = lock(&self.0);
        files.is_dead = true;
        if rng.random_bool(0.5)
            && let Some(log) = files.files.get_mut("log")
        {
            let torn = super::super::frames::frame(&[7; 100]).unwrap();
            let upto = rng.random_range(1..torn.len());
            log.extend_from_slice(&torn[..upto]);
        }
    }

    /// Nothing is written any more.
    pub(crate) fn kill(&self) {
        lock(&self.0).is_dead = true;
    }

    pub(crate) fn revive(&self) {
        lock(&self.0).is_dead = false;
    }

    pub(crate) fn damage(&self, name: &str, at: impl Fn(usize) -> usize) {
        let mut files = lock(&self.0);
        let file = files.files.get_mut(name).unwrap();
        let at = at(file.len());
        file[at] ^= 1;
    }
}

impl Files {
    fn alive(&mut self) -> io::Result<&mut BTreeMap<String, Vec<u8>>> {
        if self.is_dead {
            return Err(io::Error::other("crashed"));
        }
        Ok(&mut self.files)
    }
}

impl Disk for SimulatedDisk {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(lock(&self.0).alive()?.get(name).cloned())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut files = lock(&self.0);
        let file = files.alive()?.entry(name.to_owned()).or_default();
        file.extend_from_slice(bytes);
        Ok(())
    }

    fn cut(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        let mut files = lock(&self.0);
        let file = files.alive()?.entry(name.to_owned()).or_default();
        file.truncate(bytes.try_into().unwrap());
        Ok(())
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut files = lock(&self.0);
        files.alive()?.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn blocks(&self) -> bool {
        false
    }
}

/// A cluster under test.
pub(crate) struct Cluster {
    pub(crate) net: Arc<Net>,
    pub(crate) rng: StdRng,
    pub(crate) on_disk: bool,
    pub(crate) settings: ConsensusSettings,
    pub(crate) peers: BTreeMap<usize, Consensus>,
    pub(crate) disks: BTreeMap<usize, SimulatedDisk>,
    /// The present life of each, and how the others see it.
    pub(crate) lives: BTreeMap<usize, (u64, Sight)>,
}

impl Cluster {
    pub(crate) fn new(seed: u64, expected: u16, on_disk: bool) -> Self {
        Self {
            net: Arc::new(Net {
                inner: Mutex::new(Inner {
                    rng: StdRng::seed_from_u64(seed ^ 0xdead),
                    loss: 0.0,
                    peers: BTreeMap::new(),
                    cut: BTreeSet::new(),
                    links: BTreeMap::new(),
                }),
            }),
            rng: StdRng::seed_from_u64(seed),
            on_disk,
            settings: ConsensusSettings {
                heartbeat: Duration::from_millis(50),
                election: Duration::from_millis(250),
                bootstrap: Bootstrap::Expect(expected),
                ..ConsensusSettings::default()
            },
            peers: BTreeMap::new(),
            disks: BTreeMap::new(),
            lives: BTreeMap::new(),
        }
    }

    /// So many peers, started at once and seeing each other.
    pub(crate) async fn started(seed: u64, peers: usize, on_disk: bool) -> Self {
        let mut cluster = Self::new(seed, u16::try_from(peers).unwrap(), on_disk);
        for n in 1..=peers {
            cluster.start(n).await.unwrap();
        }
        cluster
    }

    pub(crate) fn life(&self, n: usize) -> Life {
        Life {
            peer: peer(n),
            incarnation: Incarnation(self.lives[&n].0),
        }
    }

    /// Starts a peer in its next life.
    pub(crate) async fn start(&mut self, n: usize) -> Result<(), StartError> {
        let life = self.lives.get(&n).map_or(1, |(life, _)| life + 1);
        self.lives.insert(n, (life, Sight::Up));
        let config = Config {
            cluster: ClusterId::new("test").unwrap(),
            own: self.life(n),
            settings: self.settings.clone(),
        };
        let disk = self.on_disk.then(|| {
            let disk = self.disks.entry(n).or_default();
            disk.revive();
            Arc::new(Mutex::new(disk.clone())) as Arc<Mutex<dyn Disk>>
        });
        let port = Port {
            net: Arc::clone(&self.net),
            own: peer(n),
        };
        let election = self.settings.election
            + Duration::from_millis(29 * u64::try_from(n % 8).unwrap())
            + Duration::from_millis(self.rng.random_range(0..20));
        let election = election..election + Duration::from_millis(1);
        let started =
            Consensus::start_on(config, disk, election, Arc::new(port), Handle::current()).await?;
        lock(&self.net.inner).peers.insert(peer(n), started.clone());
        self.peers.insert(n, started);
        self.tell();
        Ok(())
    }

    /// It is gone without a word.
    pub(crate) async fn crash(&mut self, n: usize) {
        lock(&self.net.inner).peers.remove(&peer(n));
        if let Some(disk) = self.disks.get(&n) {
            disk.crash(&mut self.rng);
        }
        if let Some(consensus) = self.peers.remove(&n) {
            consensus.shutdown().await;
        }
    }

    /// How the others see it from now on.
    pub(crate) fn see(&mut self, n: usize, sight: Sight) {
        self.lives.get_mut(&n).unwrap().1 = sight;
        self.tell();
    }

    fn tell(&self) {
        let seen: Vec<_> = self
            .lives
            .iter()
            .map(|(n, (_, sight))| Seen {
                life: self.life(*n),
                sight: *sight,
            })
            .collect();
        for consensus in self.peers.values() {
            consensus.set_members(seen.iter().cloned());
        }
    }

    /// Only peers of one group hear each other.
    pub(crate) fn part(&self, groups: &[&[usize]]) {
        let all: Vec<usize> = groups
            .iter()
            .flat_map(|group| group.iter().copied())
            .collect();
        let mut cut = BTreeSet::new();
        for from in &all {
            for to in &all {
                if !groups.iter().any(|g| g.contains(from) && g.contains(to)) {
                    cut.insert((peer(*from), peer(*to)));
                }
            }
        }
        lock(&self.net.inner).cut = cut;
    }

    pub(crate) fn heal(&self) {
        let mut inner = lock(&self.net.inner);
        inner.cut.clear();
        inner.loss = 0.0;
    }

    pub(crate) fn lose(&self, loss: f64) {
        lock(&self.net.inner).loss = loss;
    }

    /// Waits until it holds, looking every 10 ms of simulated time; panics after five simulated minutes.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..30_000 {
            if holds(self) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        let standings: Vec<_> = self
            .peers
            .iter()
            .map(|(n, consensus)| (n, consensus.standing(), consensus.shared.metrics()))
            .collect();
        panic!("never: {what}; {standings:#?}");
    }

    /// Who leads, by the word of the one that does.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |consensus: &Consensus| {
            let metrics = consensus.shared.metrics();
            metrics.state == openraft::ServerState::Leader
        };
        let mut leaders = self.peers.iter().filter(|(_, consensus)| leads(consensus));
        leaders.next().map(|(n, _)| *n)
    }

    pub(crate) async fn settled(&self) {
        let count = self.peers.len();
        self.until("all are members", |cluster| {
            cluster.peers.values().all(|consensus| {
                let is_member =
                    matches!(consensus.standing(), Standing::Member { leader: Some(_) });
                is_member && consensus.authority().members().count() == count
            })
        })
        .await;
    }

    /// How many vote, by the word of the leader; nothing while that changes.
    pub(crate) fn voters(&self) -> Option<usize> {
        let leader = self.leader()?;
        let metrics = self.peers[&leader].shared.metrics();
        let membership = metrics.membership_config.membership();
        match membership.get_joint_config().as_slice() {
            [voters] => Some(voters.len()),
            _ => None,
        }
    }
}
