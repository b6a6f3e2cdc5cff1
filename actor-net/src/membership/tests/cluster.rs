//! A simulated cluster of membership machines, with a driver that does what they ask for, and the laws that hold
//! at every moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::event::{Event, MemberChange, RestartReason};
use super::super::machine::Membership;
use super::super::profile::Profile;
use super::super::settings::MembershipSettings;
use super::super::view::{MemberState, View};
use crate::datagram::Datagram;
use crate::id::{Incarnation, PeerId};
use crate::simulation::{Machine, Network, Weather};
use crate::transport::Endpoint;

pub(super) const SECOND: Duration = Duration::from_secs(1);

impl Machine for Membership {
    type Event = Event;

    fn handle_datagram(&mut self, from: &PeerId, bytes: &[u8], now: Instant) {
        self.handle_datagram(from, bytes, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn handle_connected(&mut self, peer: &PeerId, incarnation: Incarnation, now: Instant) {
        self.handle_connected(peer, incarnation, now);
    }

    fn handle_disconnected(&mut self, peer: &PeerId, now: Instant) {
        self.handle_disconnected(peer, now);
    }

    fn poll_transmit(&mut self) -> Option<Datagram> {
        self.poll_transmit()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        Self::poll_timeout(self)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }
}

pub(super) fn name(number: usize) -> PeerId {
    PeerId::new(&format!("p{number}")).expect("a name")
}

pub(super) fn endpoint(peer: &PeerId) -> Endpoint {
    format!("{peer}:4710").parse().expect("an endpoint")
}

/// What is remembered of one life.
#[derive(Default)]
struct Life {
    version: u64,
    /// The greatest life of each peer that was seen to end.
    ended: BTreeMap<PeerId, Incarnation>,
}

pub(super) struct Cluster {
    pub(super) network: Network<Membership>,
    pub(super) settings: MembershipSettings,
    pub(super) log: Vec<(Duration, PeerId, Event)>,
    pub(super) seeds: Vec<PeerId>,
    /// Whether a peer that must restart does.
    pub(super) restarts: bool,
    seed: u64,
    lives: BTreeMap<PeerId, Life>,
    /// How often its events are looked at.
    pub(super) pump_every: Duration,
}

impl Cluster {
    pub(super) fn new(seed: u64, weather: Weather, settings: MembershipSettings) -> Self {
        Self {
            network: Network::new(seed, weather),
            settings,
            log: Vec::new(),
            seeds: vec![name(0), name(1)],
            restarts: true,
            seed,
            lives: BTreeMap::new(),
            pump_every: Duration::from_millis(20),
        }
    }

    /// So many peers, that have found each other.
    pub(super) fn formed(seed: u64, peers: usize, settings: MembershipSettings) -> Self {
        let mut cluster = Self::new(seed, Weather::fair(), settings);
        for number in 0..peers {
            cluster.start(&name(number));
        }
        let formed = cluster.run_until(30 * SECOND, Self::all_see_all);
        assert!(formed, "they find each other: {}", cluster.views());
        cluster
    }

    fn machine(&self, peer: &PeerId, incarnation: Incarnation) -> Membership {
        let number: u64 = peer.as_str()[1..].parse().expect("p and a number");
        let profile = Profile::new(1_000 + number)
            .with_endpoint(endpoint(peer))
            .and_then(|profile| profile.with_role("tests"))
            .expect("within limits");
        let seed = self.seed ^ (number << 20) ^ (incarnation.0 << 40);
        let now = self.network.start();
        Membership::new(
            peer.clone(),
            incarnation,
            profile,
            self.settings.clone(),
            seed,
            now,
        )
    }

    pub(super) fn start(&mut self, peer: &PeerId) {
        let incarnation = Incarnation(1);
        let mut machine = self.machine(peer, incarnation);
        machine.join(self.seeds.iter().map(endpoint));
        self.lives.insert(peer.clone(), Life::default());
        self.network.add(peer.clone(), incarnation, machine);
        self.pump();
    }

    /// Another life of it.
    pub(super) fn restart(&mut self, peer: &PeerId) {
        let incarnation = Incarnation(self.network.incarnation(peer).0 + 1);
        let mut machine = self.machine(peer, incarnation);
        machine.join(self.seeds.iter().map(endpoint));
        self.lives.insert(peer.clone(), Life::default());
        self.network.restart(peer, incarnation, machine);
        self.pump();
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.network.now() + time;
        while self.network.now() < end {
            let left = end - self.network.now();
            self.network.run_for(left.min(self.pump_every));
            self.pump();
        }
    }

    pub(super) fn run_until(
        &mut self,
        limit: Duration,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let end = self.network.now() + limit;
        while self.network.now() < end {
            if holds(self) {
                return true;
            }
            self.run_for(self.pump_every * 5);
        }
        holds(self)
    }

    /// Does what the machines ask for, and checks what holds at every moment.
    fn pump(&mut self) {
        for peer in self.network.peers() {
            for (at, event) in self.network.events(&peer) {
                self.law(&peer, &event);
                match &event {
                    Event::Dial {
                        peer: None,
                        endpoint,
                    } => {
                        let seed = PeerId::new(endpoint.host()).expect("a seed's name");
                        if self.network.peers().contains(&seed) {
                            self.network.connect(&peer, &seed);
                        }
                    }
                    Event::MustRestart { .. } if self.restarts => self.restart(&peer),
                    Event::Departed => self.network.crash(&peer),
                    _ => {}
                }
                if !matches!(event, Event::Dial { .. }) {
                    self.log.push((at, peer.clone(), event));
                }
            }
        }
    }

    /// G07: versions grow. G02, G08: a life that was seen to end never returns.
    fn law(&mut self, peer: &PeerId, event: &Event) {
        let Event::Member(event) = event else {
            return;
        };
        let life = self.lives.get_mut(peer).expect("started");
        assert!(event.version > life.version, "{peer}: {event:?}");
        life.version = event.version;
        let (about, incarnation) = (event.member.peer(), event.member.incarnation());
        let ended = life.ended.get(about).copied();
        match event.change {
            MemberChange::Down(_) | MemberChange::Left => {
                let ended = ended.map_or(incarnation, |ended| ended.max(incarnation));
                life.ended.insert(about.clone(), ended);
            }
            _ => assert!(
                ended.is_none_or(|ended| incarnation > ended),
                "{peer} saw {about} end in {ended:?}, and now {event:?}"
            ),
        }
    }

    pub(super) fn view(&mut self, peer: &PeerId) -> std::sync::Arc<View> {
        self.network.with(peer, |machine, _| machine.view())
    }

    pub(super) fn state(&mut self, of: usize, at: usize) -> Option<MemberState> {
        let view = self.view(&name(at));
        view.get(&name(of)).map(|member| member.state())
    }

    /// All that run see all that run, in their present lives, and nobody else as anything but gone.
    pub(super) fn all_see_all(&mut self) -> bool {
        let peers = self.network.peers();
        let running = peers.iter().filter(|peer| self.network.is_running(peer));
        let lives: BTreeMap<_, _> = running
            .map(|peer| (peer.clone(), self.network.incarnation(peer)))
            .collect();
        lives.keys().all(|peer| {
            if self.network.machine(peer).up() != lives.len() {
                return false;
            }
            let view = self.view(peer);
            let live = view.members().iter().filter(|m| !m.state().is_over());
            let seen: BTreeMap<_, _> = live
                .filter(|member| member.state() == MemberState::Up)
                .map(|member| (member.peer().clone(), member.incarnation()))
                .collect();
            seen == lives
        })
    }

    pub(super) fn views(&mut self) -> String {
        let peers = self.network.peers();
        let views = peers.iter().map(|peer| self.view(peer).to_string());
        let views: Vec<_> = views.collect();
        format!("\n{}", views.join("\n"))
    }

    /// What has happened, to whom, as seen by whom.
    pub(super) fn changes(&self) -> Vec<(PeerId, PeerId, MemberChange)> {
        let events = self.log.iter().filter_map(|(_, at, event)| match event {
            Event::Member(event) => Some((
                at.clone(),
                event.member.peer().clone(),
                event.change.clone(),
            )),
            _ => None,
        });
        events.collect()
    }

    pub(super) fn restarted(&self) -> Vec<(PeerId, RestartReason)> {
        let events = self.log.iter().filter_map(|(_, at, event)| match event {
            Event::MustRestart { why, .. } => Some((at.clone(), why.clone())),
            _ => None,
        });
        events.collect()
    }
}
