//! foca, driven: its timers, its packets, and what it tells.
//!
//! Two of its timers never fire. It would declare a suspect down after a fixed time; here a suspicion lasts
//! until it is refuted or until the strategy decides (`README.md`). And its probes are slowed down by our own
//! health, for which it has no knob: it asks to be called after some time, and is called after a multiple of it.

use std::collections::{BTreeMap, VecDeque};
use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use foca::{Config, Foca, Member, Notification, PeriodicParams, Runtime, State, Timer};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::codec::{Codec, Told};
use super::facts::{Fact, Facts};
use super::health::Health;
use super::identity::Identity;
use super::packet::SWIM;
use super::settings::MembershipSettings;
use crate::datagram::Datagram;

/// Bytes of a packet: some 60 members. More, and every packet of a large cluster carries all that is new; less, and
/// news of many take long.
const PACKET_BYTES: usize = 4096;

pub(super) struct Swim {
    foca: Foca<Identity, Codec, StdRng, Facts>,
    config: Config,
    told: Receiver<Told>,
    shell: Shell,
}

/// What foca asks for.
struct Shell {
    now: Instant,
    health: Health,
    timers: BTreeMap<(Instant, u64), Timer<Identity>>,
    next: u64,
    out: VecDeque<Datagram>,
    /// Members whose probe by us has failed.
    failed: Vec<(Identity, u16)>,
    /// Whether a probe is under way.
    probing: bool,
    /// We were declared down.
    defunct: bool,
}

impl Runtime<Identity> for Shell {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        if matches!(notification, Notification::Defunct) {
            self.defunct = true;
        }
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        let mut bytes = Vec::with_capacity(data.len() + 1);
        bytes.push(SWIM);
        bytes.extend_from_slice(data);
        let to = to.peer;
        self.out.push_back(Datagram { to, bytes });
    }

    fn submit_after(&mut self, event: Timer<Identity>, after: Duration) {
        let after = match &event {
            Timer::ChangeSuspectToDown {
                member_id,
                incarnation,
                ..
            } => {
                self.failed.push((member_id.clone(), *incarnation));
                return;
            }
            Timer::SendIndirectProbe { .. } => {
                self.probing = true;
                after * self.health.patience()
            }
            Timer::ProbeRandomMember(_) => after * self.health.patience(),
            _ => after,
        };
        self.next += 1;
        self.timers.insert((self.now + after, self.next), event);
    }
}

impl Swim {
    pub(super) fn new(
        own: Identity,
        settings: &MembershipSettings,
        seed: u64,
        now: Instant,
    ) -> Self {
        let config = config(settings);
        let (tell, told) = mpsc::channel();
        let foca = Foca::with_custom_broadcast(
            own,
            config.clone(),
            StdRng::seed_from_u64(seed),
            Codec::new(tell.clone()),
            Facts::new(tell),
        );
        Self {
            foca,
            config,
            told,
            shell: Shell {
                now,
                health: Health::default(),
                timers: BTreeMap::new(),
                next: 0,
                out: VecDeque::new(),
                failed: Vec::new(),
                probing: false,
                defunct: false,
            },
        }
    }

    /// Whether it could be read.
    pub(super) fn data(&mut self, packet: &[u8], now: Instant) -> bool {
        self.shell.now = now;
        self.foca.handle_data(packet, &mut self.shell).is_ok()
    }

    /// News from elsewhere than foca's packets.
    pub(super) fn apply(
        &mut self,
        members: impl Iterator<Item = Member<Identity>>,
        pass_on: bool,
        now: Instant,
    ) {
        self.shell.now = now;
        // An error can only be of the codec's writer, into a buffer without a limit.
        let _no_error = self.foca.apply_many(members, pass_on, &mut self.shell);
    }

    /// Tells everybody.
    pub(super) fn spread(&mut self, fact: &Fact) {
        // Too large it cannot be, nor unreadable: we have just written it.
        let _no_error = self.foca.add_broadcast(&fact.encode());
    }

    /// Calls what is due; members that are forgotten now.
    pub(super) fn timeout(&mut self, now: Instant) -> Vec<Identity> {
        self.shell.now = now;
        let mut forgotten = Vec::new();
        while let Some(entry) = self.shell.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let timer = entry.remove();
            let probe = matches!(timer, Timer::ProbeRandomMember(_));
            let answered = self.shell.probing;
            if let Timer::RemoveDown(id) = &timer {
                forgotten.push(id.clone());
            }
            let failed = self.shell.failed.len();
            // Errors here are of a probe that a change of state has cut short: foca begins anew by itself.
            let _begins_anew = self.foca.handle_timer(timer, &mut self.shell);
            if probe && answered && self.shell.failed.len() == failed {
                self.shell.health.improve();
            }
        }
        forgotten
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let first = self.shell.timers.first_key_value();
        first.map(|((time, _), _)| *time)
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Datagram> {
        self.shell.out.pop_front()
    }

    pub(super) fn poll_told(&mut self) -> Option<Told> {
        self.told.try_recv().ok()
    }

    pub(super) fn poll_failed(&mut self) -> Option<(Identity, u16)> {
        self.shell.failed.pop()
    }

    pub(super) fn is_defunct(&self) -> bool {
        self.shell.defunct
    }

    pub(super) fn health(&mut self) -> &mut Health {
        &mut self.shell.health
    }

    /// All members foca knows, without ourselves.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member<Identity>> {
        self.foca.iter_membership_state()
    }

    /// News are passed on so often that they reach everybody: by the logarithm of the number of peers.
    pub(super) fn resize(&mut self, peers: usize) {
        let wanted = transmissions(peers);
        if self.config.max_transmissions != wanted {
            self.config.max_transmissions = wanted;
            // It refuses other changes only.
            let _no_error = self.foca.set_config(self.config.clone());
        }
    }

    /// Time that has not passed for us: everything is due so much later.
    pub(super) fn shift(&mut self, by: Duration) {
        let timers = std::mem::take(&mut self.shell.timers);
        let later = timers
            .into_iter()
            .map(|((at, n), timer)| ((at + by, n), timer));
        self.shell.timers = later.collect();
    }
}

/// memberlist's `retransmitMult` 4 times the digits of the number of peers, 6 at least.
fn transmissions(peers: usize) -> NonZeroU8 {
    let digits = (peers as f64 + 1.0).log10().ceil() as u8;
    NonZeroU8::new(digits.saturating_mul(4).clamp(6, 40)).unwrap_or(NonZeroU8::MIN)
}

fn config(settings: &MembershipSettings) -> Config {
    let at_least_one = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
    let mut config = Config::simple();
    config.probe_period = settings.probe_interval;
    config.probe_rtt = settings.probe_timeout;
    config.num_indirect_probes = at_least_one(settings.indirect_probes);
    config.max_transmissions = transmissions(1);
    config.remove_down_after = Some(settings.forget_after);
    config.max_packet_size = at_least_one(PACKET_BYTES);
    config.notify_down_members = true;
    config.periodic_gossip = Some(PeriodicParams {
        frequency: settings.gossip_interval,
        num_members: at_least_one(settings.gossip_fanout),
    });
    // Our own exchange does both (`Packet::Sync`), with those that are down among what it tells.
    config.periodic_announce = None;
    config.periodic_announce_to_down_members = None;
    config
}

pub(super) fn is_alive(state: State) -> bool {
    matches!(state, State::Alive)
}
