//! A whole simulated cluster: peers, the network between them, the clocks, and what is done to them.
//!
//! There are two clocks, kept together: the network's, by which the machines live (each by its own, which may run fast
//! or slow), and tokio's paused one, by which the tasks of the consensus live. The network goes to its next event, tokio
//! to the millisecond of it; whatever a consensus sends on the way stops both there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::ledger::Ledger;
use super::seat::{Happened, Mail, Seat};
use crate::cluster::machines::Machines;
use crate::consensus::simulated::{Disk, SimulatedDisk};
use crate::consensus::{Bootstrap, Config, Consensus, ConsensusSettings, Standing};
use crate::id::{ClusterId, Incarnation, Life, PeerId};
use crate::membership::{MemberState, Membership, MembershipSettings, Profile};
use crate::registry::machine::{Config as GroupsConfig, Groups};
use crate::simulation::{Network, Random, Weather};
use crate::transport::Endpoint;

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Where peers look for others first.
const SEEDS: usize = 2;

/// Before a peer that was declared down begins another life.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) struct World {
    pub(super) net: Network<Seat>,
    pub(super) ledger: Rc<RefCell<Ledger>>,
    pub(super) peers: Vec<PeerId>,
    pub(super) random: Random,
    /// Counts the times that somebody was cut off.
    era: u64,
    /// Since when who must be refused.
    refused: Option<(u64, Vec<PeerId>)>,
    pub(super) refusals: u64,
    began: Instant,
    bell: Arc<Notify>,
    seed: u64,
    disks: Option<BTreeMap<PeerId, SimulatedDisk>>,
    /// Peers that begin another life then, with a number above that.
    restarting: Vec<(Duration, PeerId, Incarnation)>,
}

/// Runs a simulation to its end.
pub(super) fn simulate<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// On a local network; what does not answer is noticed sooner than by default.
pub(super) fn fair() -> Weather {
    Weather {
        silence: SECOND,
        redial: 100 * MS,
        ..Weather::fair()
    }
}

pub(super) fn foul() -> Weather {
    Weather {
        delay_max: 60 * MS,
        loss: 4,
        ..fair()
    }
}

fn membership_settings() -> MembershipSettings {
    MembershipSettings {
        probe_interval: 400 * MS,
        probe_timeout: 150 * MS,
        gossip_interval: 150 * MS,
        reconnect_grace: 300 * MS,
        stable_after: 1500 * MS,
        unstable_after: Some(15 * SECOND),
        sync_interval: 5 * SECOND,
        ..MembershipSettings::default()
    }
}

impl World {
    /// So many peers, that have found each other and agree on all.
    pub(super) async fn formed(seed: u64, peers: usize, on_disk: bool) -> Self {
        let mut world = Self {
            net: Network::new(seed, fair()),
            ledger: Rc::default(),
            peers: (0..peers).map(name).collect(),
            random: Random::new(seed ^ 0x776f_726c_6400),
            era: 0,
            refused: None,
            refusals: 0,
            began: Instant::now(),
            bell: Arc::default(),
            seed,
            disks: on_disk.then(BTreeMap::new),
            restarting: Vec::new(),
        };
        for peer in world.peers.clone() {
            let founding = Bootstrap::Expect(u16::try_from(peers).expect("few"));
            let seat = world.life(&peer, Incarnation(1), founding).await;
            world.net.add(peer, Incarnation(1), seat);
        }
        world.settle("the beginning").await;
        world
    }

    async fn life(&mut self, peer: &PeerId, incarnation: Incarnation, found: Bootstrap) -> Seat {
        let number: u64 = peer.as_str()[1..].parse().expect("p and a number");
        let own = Life {
            peer: peer.clone(),
            incarnation,
        };
        let seed = self.seed ^ (number << 20) ^ (incarnation.0 << 40);
        let profile = Profile::new(1_000 + number)
            .with_endpoint(endpoint(peer))
            .expect("within limits");
        let now = self.net.start();
        let mut membership = Membership::new(
            peer.clone(),
            incarnation,
            profile,
            membership_settings(),
            seed,
            now,
        );
        membership.join(self.peers.iter().take(SEEDS).map(endpoint));
        let groups = Groups::new(GroupsConfig::new(peer.clone(), incarnation, seed));
        let settings = ConsensusSettings {
            heartbeat: 100 * MS,
            election: 400 * MS,
            deadline: 2 * SECOND,
            bootstrap: found,
            snapshot_after: 64,
            ..ConsensusSettings::default()
        };
        // The engine draws from the thread's chance; a range of one leaves it none.
        let election = settings.election + MS * (47 * u32::try_from(number).expect("few"));
        let election = election + MS * u32::try_from(self.random.below(30)).expect("few");
        let config = Config {
            cluster: ClusterId::new("simulated").expect("a name"),
            own: own.clone(),
            settings,
        };
        let disk = self.disks.as_mut().map(|disks| {
            let disk = disks.entry(peer.clone()).or_default();
            disk.revive();
            Arc::new(Mutex::new(disk.clone())) as Arc<Mutex<dyn Disk>>
        });
        let mail = Arc::new(Mail::new(Arc::clone(&self.bell)));
        let consensus = Consensus::start_on(
            config,
            disk,
            election..election + MS,
            mail.clone(),
            Handle::current(),
        );
        let consensus = consensus.await.expect("it starts");
        tokio::spawn(mail.clone().follow(consensus.clone()));
        Seat::new(
            Machines::new(membership, groups),
            consensus,
            mail,
            own,
            &self.ledger,
            now,
        )
    }

    // ---- Time

    pub(super) async fn run_for(&mut self, time: Duration) {
        let end = self.net.now() + time;
        loop {
            self.look().await;
            let now = self.net.now();
            if now >= end {
                return;
            }
            let next = self.net.next_at().map_or(end, |next| next.min(end));
            tokio::select! {
                biased;
                () = self.bell.notified() => {}
                () = sleep_until(self.began + next) => {}
            }
            // Whoever is due at the same time.
            for _ in 0..3 {
                yield_now().await;
            }
            self.net.run_to(self.began.elapsed().min(end));
        }
    }

    /// Runs until it holds, looking every 50 ms, for so long at most; whether it then holds.
    pub(super) async fn run_until(
        &mut self,
        limit: Duration,
        holds: impl Fn(&mut Self) -> bool,
    ) -> bool {
        let end = self.net.now() + limit;
        while !holds(self) {
            if self.net.now() >= end {
                return false;
            }
            self.run_for(50 * MS).await;
        }
        true
    }

    /// So long, and everybody who runs asks entities now and then.
    pub(super) async fn load(&mut self, time: Duration) {
        let end = self.net.now() + time;
        while self.net.now() < end {
            for peer in self.peers.clone() {
                if self.net.is_running(&peer) && self.random.chance(50) {
                    let key = self.random.below(20);
                    self.net.with(&peer, |seat, now| seat.ask(key, now));
                }
            }
            let pause = 20 * MS + MS * u32::try_from(self.random.below(60)).expect("few");
            self.run_for(pause.min(end - self.net.now())).await;
        }
    }

    /// What the peers and their tasks have to say.
    async fn look(&mut self) {
        for at in 0..self.peers.len() {
            let peer = self.peers[at].clone();
            if self.net.is_running(&peer) && !self.net.machine(&peer).mail.is_empty() {
                self.net.with(&peer, Seat::take_mail);
            }
            for (_, event) in self.net.events(&peer) {
                self.happened(&peer, event).await;
            }
        }
        let now = self.net.now();
        while let Some(at) = self.restarting.iter().position(|(at, ..)| *at <= now) {
            let (_, peer, above) = self.restarting.remove(at);
            if self.net.is_crashed(&peer) {
                // Whoever was down was in a cluster: it never founds another.
                self.begin(&peer, above, Bootstrap::Join).await;
            }
        }
    }

    async fn happened(&mut self, peer: &PeerId, event: Happened) {
        match event {
            Happened::Dial(host) => {
                let other = PeerId::new(&host).expect("a name");
                if other != *peer && self.peers.contains(&other) {
                    self.net.connect(peer, &other);
                }
            }
            Happened::Restart { above } => {
                self.end(peer).await;
                self.restarting
                    .push((self.net.now() + PAUSE, peer.clone(), above));
            }
            Happened::Departed => self.end(peer).await,
            Happened::Claimed(..) => {
                let answers = self
                    .net
                    .with(peer, |seat, _| std::mem::take(&mut seat.answers));
                for answer in answers {
                    let mut ledger = self.ledger.borrow_mut();
                    // Made while it was cut off, and it is still.
                    let refused = self.refused.as_ref();
                    let is_refused = refused.is_some_and(|(era, _)| *era == answer.era);
                    match answer.result {
                        Ok(applied) => {
                            assert!(
                                !is_refused,
                                "{peer} was given {} without a majority",
                                answer.name
                            );
                            ledger.claimed(&answer.name, &answer.address, applied.version);
                        }
                        Err(_) => {
                            ledger.not_claimed += 1;
                            self.refusals += u64::from(is_refused);
                        }
                    }
                }
            }
            Happened::Member(_) | Happened::View(_) | Happened::Agreed(_) => {}
        }
    }

    // ---- Peers

    async fn begin(&mut self, peer: &PeerId, above: Incarnation, found: Bootstrap) {
        let incarnation = Incarnation(above.0.max(self.net.incarnation(peer).0) + 1);
        let seat = self.life(peer, incarnation, found).await;
        let before = self.net.restart(peer, incarnation, seat);
        drop(before);
    }

    /// The process is gone, or its life is over.
    async fn end(&mut self, peer: &PeerId) {
        if self.net.is_crashed(peer) {
            return;
        }
        self.net.crash(peer);
        let seat = self.net.machine(peer);
        self.ledger.borrow_mut().crash(&seat.own);
        let consensus = seat.consensus.clone();
        if let Some(disk) = self.disks.as_ref().and_then(|disks| disks.get(peer)) {
            disk.kill();
        }
        consensus.shutdown().await;
    }

    /// Killed, without a word.
    pub(super) async fn crash(&mut self, peer: &PeerId) {
        self.restarting.retain(|(_, other, _)| other != peer);
        self.end(peer).await;
    }

    /// Started again, by whoever starts processes.
    pub(super) async fn restart(&mut self, peer: &PeerId) {
        self.crash(peer).await;
        let above = self.net.incarnation(peer);
        self.begin(peer, above, Bootstrap::Join).await;
    }

    /// Nothing passes between these and the others. They are too few to decide anything, unless the others had been
    /// declared down before.
    pub(super) fn cut_off(&mut self, few: &[PeerId]) {
        assert!(few.len() * 2 < self.peers.len(), "few: {few:?}");
        let mut all_vote = true;
        for peer in self.peers.clone() {
            let voters = self.voters(&peer);
            all_vote &= self.net.is_running(&peer) && self.all_vote(&voters);
        }
        let rest = self.peers.iter().filter(|peer| !few.contains(peer));
        let rest: Vec<_> = rest.cloned().collect();
        self.net.partition(&[few.to_vec(), rest]);
        if all_vote {
            self.era += 1;
            self.refused = Some((self.era, few.to_vec()));
        }
    }

    pub(super) fn claim(&mut self, peer: &PeerId, name: &str) {
        if self.net.is_running(peer) {
            let refused = self.refused.as_ref();
            let refused = refused.filter(|(_, few)| few.contains(peer));
            let era = refused.map_or(0, |(era, _)| *era);
            self.net.with(peer, |seat, _| seat.claim(name, era));
        }
    }

    fn voters(&mut self, peer: &PeerId) -> Vec<(PeerId, bool)> {
        let voters = |seat: &mut Seat, _| seat.consensus.voting(&mut None);
        self.net.with(peer, voters).unwrap_or_default()
    }

    /// Whether as many vote as may: with fewer, one crash could take all that was agreed on along.
    fn all_vote(&self, voters: &[(PeerId, bool)]) -> bool {
        let enough = self.peers.len() - (self.peers.len() + 1) % 2;
        voters.len() == enough && voters.iter().all(|(_, is_present)| *is_present)
    }

    /// The weather is fair, everything passes, and whoever stands still goes on.
    pub(super) fn calm(&mut self) {
        self.net.set_weather(fair());
        self.net.heal();
        self.refused = None;
        for peer in self.peers.clone() {
            self.net.resume(&peer);
        }
    }

    /// Until everybody runs, all see all, all agree on all, everything has an owner, and nothing waits.
    pub(super) async fn settle(&mut self, what: &str) {
        let until = self.net.now() + 90 * SECOND;
        while let Some(trouble) = self.trouble() {
            assert!(
                self.net.now() < until,
                "after {what}, at {:?}: {trouble}{}",
                self.net.now(),
                self.describe()
            );
            // Somebody starts processes that have ended.
            for peer in self.peers.clone() {
                let waits = self.restarting.iter().any(|(_, other, _)| *other == peer);
                if self.net.is_crashed(&peer) && !waits {
                    self.restart(&peer).await;
                }
            }
            self.run_for(50 * MS).await;
        }
        self.ledger.borrow().check_members();
    }

    /// What is not as it should be when all is calm.
    fn trouble(&mut self) -> Option<String> {
        let lives: BTreeMap<_, _> = self
            .peers
            .iter()
            .map(|peer| (peer.clone(), self.net.incarnation(peer)))
            .collect();
        for peer in self.peers.clone() {
            if !self.net.is_running(&peer) {
                return Some(format!("{peer} does not run"));
            }
            let voters = self.voters(&peer);
            if !self.all_vote(&voters) {
                return Some(format!("{peer} knows of other voters: {voters:?}"));
            }
            let trouble = self.net.with(&peer, |seat, _| {
                let view = seat.machines.view();
                let live = view.members().iter().filter(|m| !m.state().is_over());
                let seen: BTreeMap<_, _> = live
                    .filter(|member| member.state() == MemberState::Up)
                    .map(|member| (member.peer().clone(), member.incarnation()))
                    .collect();
                if seen != lives {
                    return Some("does not see all");
                }
                let is_member = matches!(
                    seat.consensus.standing(),
                    Standing::Member { leader: Some(_) }
                );
                let authority = seat.consensus.authority();
                let members = authority.members();
                let members: BTreeMap<_, _> = members
                    .map(|(peer, member)| (peer.clone(), member.incarnation))
                    .collect();
                if !is_member || members != lives {
                    return Some("has another list of members");
                }
                for hosted in &seat.kinds {
                    let Some(kind) = authority.shards().kind(hosted.kind) else {
                        return Some("knows a kind of nothing");
                    };
                    let is_owned = |owner: &Option<Life>| {
                        owner
                            .as_ref()
                            .is_some_and(|life| lives.get(&life.peer) == Some(&life.incarnation))
                    };
                    if !kind
                        .slots()
                        .all(|(_, slot)| is_owned(&slot.owner) && slot.next.is_none())
                    {
                        return Some("has a shard without an owner, or on its way");
                    }
                    if !hosted.is_quiet() {
                        return Some("has messages that wait");
                    }
                }
                None
            });
            if let Some(trouble) = trouble {
                return Some(format!("{peer} {trouble}"));
            }
        }
        None
    }

    fn describe(&mut self) -> String {
        let mut text = String::new();
        for peer in self.peers.clone() {
            let runs = self.net.is_running(&peer);
            let line = self.net.with(&peer, |seat, _| {
                let authority = seat.consensus.authority();
                let members: Vec<_> = authority
                    .members()
                    .map(|(peer, member)| format!("{peer}#{}", member.incarnation.0))
                    .collect();
                format!(
                    "\n{} runs: {runs}; {}\n   {:?}; agreed {}: {members:?}; {:?}",
                    seat.own,
                    seat.machines.view(),
                    seat.consensus.standing(),
                    authority.version(),
                    authority.shards()
                )
            });
            text.push_str(&line);
        }
        text
    }

    /// All is as it was before: what is asked is handled, and a name can be had.
    pub(super) async fn works(&mut self) {
        self.run_for(SECOND).await;
        let before = self.ledger.borrow().asked();
        self.load(SECOND).await;
        // What is under way arrives.
        self.run_for(SECOND).await;
        self.settle("some load").await;
        let asked = self.ledger.borrow().asked() - before;
        let handled = self.ledger.borrow().handled_after(before);
        assert_eq!(
            asked, handled,
            "in calm weather all that is asked is handled"
        );
        let had = self.ledger.borrow().claimed;
        let peer = self.peers[self.random.index(self.peers.len())].clone();
        let name = format!("after {:?}", self.net.now());
        self.claim(&peer, &name);
        let given = self
            .run_until(10 * SECOND, |world| world.ledger.borrow().claimed > had)
            .await;
        assert!(given, "{peer} was not given a name");
    }
}

pub(super) fn name(number: usize) -> PeerId {
    PeerId::new(&format!("p{number}")).expect("a name")
}

fn endpoint(peer: &PeerId) -> Endpoint {
    format!("{peer}:4710").parse().expect("an endpoint")
}
