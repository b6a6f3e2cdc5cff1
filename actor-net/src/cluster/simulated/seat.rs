//! One peer of a simulated cluster: everything above the connections, joined.
//!
//! Membership and groups are the machines of production, driven as `driver.rs` drives them. The consensus is the real
//! one, with its engine: its tasks run on tokio's simulated clock, and what they send goes through a [`Mail`] into the
//! network like all else. Regions are those of production; the actors in them are stand-ins (`hosted.rs`).

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::hosted::{Between, Hosted};
use super::ledger::Ledger;
use crate::cluster::machines::{Machines, Output};
use crate::cluster::shards::hosts;
use crate::consensus::{
    Applied, Change, Command, Consensus, NameAddress, NotSent, Post, ProposeError, Standing,
};
use crate::datagram::{Channel, Datagram};
use crate::id::{Incarnation, Life, PeerId};
use crate::membership::MemberEvent;
use crate::sharding::simulated::Settings;
use crate::sharding::{Limits, plan_all};
use crate::simulation::Machine;
use crate::wire::hello::Refusal;

/// How often whoever leads looks at the shards.
const PLAN_EVERY: Duration = Duration::from_millis(200);

/// How much time who leaves is given.
const LEAVE_WITHIN: Duration = Duration::from_secs(4);

/// Says that a life is not spoken to any more, as a handshake does.
const REFUSED: u8 = 0;

/// What the tasks of a peer's consensus have for it.
#[derive(Default)]
pub(super) struct Mail {
    inner: Mutex<Letters>,
    bell: Arc<Notify>,
}

#[derive(Default)]
struct Letters {
    out: VecDeque<(PeerId, Vec<u8>)>,
    changes: VecDeque<Change>,
    answers: VecDeque<Answer>,
    /// A plan that is being proposed.
    is_planning: bool,
    /// All have agreed that this peer has left, or took too long to.
    is_let_go: bool,
}

/// What became of a claim of a name.
pub(super) struct Answer {
    pub(super) name: String,
    pub(super) address: NameAddress,
    /// Which time of being cut off it was claimed in; 0: in none.
    pub(super) era: u64,
    pub(super) result: Result<Applied, ProposeError>,
}

impl Mail {
    pub(super) fn new(bell: Arc<Notify>) -> Self {
        Self {
            inner: Mutex::default(),
            bell,
        }
    }

    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, put: impl FnOnce(&mut Letters)) {
        put(&mut self.letters());
        self.bell.notify_one();
    }

    pub(super) fn is_empty(&self) -> bool {
        let letters = self.letters();
        letters.out.is_empty()
            && letters.changes.is_empty()
            && letters.answers.is_empty()
            && !letters.is_let_go
    }

    /// Passes on what that consensus hears, until it stops.
    pub(super) async fn follow(self: Arc<Self>, consensus: Consensus) {
        let mut changes = consensus.changes();
        while let Some(change) = changes.next().await {
            self.put(|letters| letters.changes.push_back(change));
        }
    }
}

impl Post for Mail {
    fn datagram(&self, to: &PeerId, bytes: Vec<u8>) -> Result<(), NotSent> {
        self.put(|letters| letters.out.push_back((to.clone(), bytes)));
        Ok(())
    }
}

/// What the world is to do or to look at.
#[derive(Debug)]
#[expect(dead_code, reason = "all of it goes into the trace, by its `Debug`")]
pub(super) enum Happened {
    Dial(String),
    Member(MemberEvent),
    View(u64),
    Agreed(u64),
    Claimed(String, bool),
    Restart { above: Incarnation },
    Departed,
}

pub(super) struct Seat {
    pub(super) own: Life,
    pub(super) machines: Machines,
    pub(super) consensus: Consensus,
    pub(super) mail: Arc<Mail>,
    pub(super) kinds: Vec<Hosted>,
    pub(super) answers: Vec<Answer>,
    ledger: Rc<RefCell<Ledger>>,
    connected: BTreeMap<PeerId, Incarnation>,
    buried: BTreeMap<PeerId, Incarnation>,
    plan_at: Instant,
    /// Until when it hands over what it has.
    leaving: Option<Instant>,
    is_asking: bool,
    voters_at: Option<(u64, u64)>,
    out: VecDeque<Datagram>,
    events: VecDeque<Happened>,
    /// This life has ended by itself.
    is_over: bool,
}

impl Seat {
    pub(super) fn new(
        machines: Machines,
        consensus: Consensus,
        mail: Arc<Mail>,
        own: Life,
        ledger: &Rc<RefCell<Ledger>>,
        now: Instant,
    ) -> Self {
        let hosted = |kind, settings| Hosted::new(kind, settings, own.clone(), ledger, now);
        let entities = Settings {
            passivate_after: Some(Duration::from_millis(500)),
            patience: Duration::from_secs(20),
            barrier: Duration::from_secs(2),
            ..Settings::new(8)
        };
        let singleton = Settings {
            eager: true,
            passivate_after: None,
            ..entities.clone()
        };
        let singleton = Settings {
            shards: 1,
            ..singleton
        };
        let mut seat = Self {
            kinds: vec![
                hosted("e:account", entities),
                hosted("s:the-one", singleton),
            ],
            own,
            machines,
            consensus,
            mail,
            answers: Vec::new(),
            ledger: Rc::clone(ledger),
            connected: BTreeMap::new(),
            buried: BTreeMap::new(),
            plan_at: now,
            leaving: None,
            is_asking: false,
            voters_at: None,
            out: VecDeque::new(),
            events: VecDeque::new(),
            is_over: false,
        };
        seat.settle(now);
        seat
    }

    pub(super) fn ask(&mut self, key: u64, now: Instant) {
        if !self.is_over {
            self.kinds[0].ask(key, now);
            self.settle(now);
        }
    }

    /// Leaves in good order: what it has is handed over, then all agree, then it is gone.
    pub(super) fn leave(&mut self, now: Instant) {
        if self.leaving.is_none() && !self.is_over {
            self.machines.handle_leave(LEAVE_WITHIN, now);
            self.leaving = Some(now + LEAVE_WITHIN / 2);
            self.settle(now);
        }
    }

    /// Has it handed over what it has, or is that taking too long?
    fn go_on_leaving(&mut self, now: Instant) {
        let authority = self.consensus.authority();
        let mut slots = authority
            .shards()
            .kinds()
            .flat_map(|(_, kind)| kind.slots());
        let has_some = slots.any(|(_, slot)| slot.owner.as_ref() == Some(&self.own));
        if self.leaving.is_some_and(|until| now < until && has_some) || self.is_asking {
            return;
        }
        self.is_asking = true;
        let (consensus, mail) = (self.consensus.clone(), Arc::clone(&self.mail));
        tokio::spawn(async move {
            consensus.leave(LEAVE_WITHIN / 2).await;
            mail.put(|letters| letters.is_let_go = true);
        });
    }

    /// Wants a name for an actor of its own.
    pub(super) fn claim(&mut self, name: &str, era: u64) {
        let (name, consensus, mail) = (
            name.to_owned(),
            self.consensus.clone(),
            Arc::clone(&self.mail),
        );
        let address = NameAddress {
            life: self.own.clone(),
            number: 1,
            key: 1,
        };
        tokio::spawn(async move {
            let command = Command::ClaimName {
                name: name.clone(),
                address: address.clone(),
                actor_type: "actor".to_owned(),
            };
            let result = consensus.propose(command).await;
            let answer = Answer {
                name,
                address,
                era,
                result,
            };
            mail.put(|letters| letters.answers.push_back(answer));
        });
    }

    /// Takes what its consensus has for it.
    pub(super) fn take_mail(&mut self, now: Instant) {
        let (out, changes, answers, is_let_go) = {
            let mut letters = self.mail.letters();
            let Letters {
                out,
                changes,
                answers,
                is_let_go,
                ..
            } = &mut *letters;
            (
                std::mem::take(out),
                std::mem::take(changes),
                std::mem::take(answers),
                std::mem::take(is_let_go),
            )
        };
        if self.is_over {
            return;
        }
        for (to, bytes) in out {
            self.send(&to, Channel::Consensus as u8, &bytes);
        }
        for Change { authority, .. } in changes {
            self.events.push_back(Happened::Agreed(authority.version()));
            self.ledger.borrow_mut().agreed(&self.own, &authority);
            for kind in &mut self.kinds {
                kind.learn(&authority, now);
            }
        }
        for answer in answers {
            let is_given = answer.result.is_ok();
            self.events
                .push_back(Happened::Claimed(answer.name.clone(), is_given));
            self.answers.push(answer);
        }
        if is_let_go {
            self.machines.handle_let_go();
        }
        self.settle(now);
    }

    fn send(&mut self, to: &PeerId, channel: u8, bytes: &[u8]) {
        if self.connected.contains_key(to) {
            let mut framed = Vec::with_capacity(bytes.len() + 1);
            framed.push(channel);
            framed.extend_from_slice(bytes);
            self.out.push_back(Datagram {
                to: to.clone(),
                bytes: framed,
            });
        }
    }

    fn refuse(&mut self, to: &PeerId) {
        self.out.push_back(Datagram {
            to: to.clone(),
            bytes: vec![REFUSED],
        });
    }

    /// Does all that is to be done.
    fn settle(&mut self, now: Instant) {
        while !self.is_over
            && let Some(output) = self.machines.poll_output(now)
        {
            self.act(output, now);
        }
        for at in 0..self.kinds.len() {
            while let Some((to, what)) = self.kinds[at].out.pop_front() {
                if self.connected.get(&to.peer) == Some(&to.incarnation) {
                    let bytes =
                        postcard::to_allocvec(&(at as u8, what)).expect("it can be written");
                    self.send(&to.peer, Channel::Sharding as u8, &bytes);
                }
            }
            for wish in std::mem::take(&mut self.kinds[at].wishes) {
                let consensus = self.consensus.clone();
                // It may get lost; regions say it again.
                tokio::spawn(async move { consensus.propose(Command::Shards(wish)).await });
            }
        }
    }

    fn act(&mut self, output: Output, now: Instant) {
        match output {
            Output::Send { to, channel, bytes } => self.send(&to, channel as u8, &bytes),
            Output::Dial { endpoint, .. } => {
                let host = endpoint.host().to_owned();
                self.events.push_back(Happened::Dial(host));
            }
            Output::Bury { peer, incarnation } => {
                self.buried.insert(peer.clone(), incarnation);
                let life = Life {
                    peer: peer.clone(),
                    incarnation,
                };
                for kind in &mut self.kinds {
                    kind.handle_way(&life, false, now);
                }
                if self.connected.get(&peer) == Some(&incarnation) {
                    self.refuse(&peer);
                    self.connected.remove(&peer);
                    self.machines.handle_disconnected(&peer, now);
                }
            }
            Output::Seen(seen) => self.consensus.set_members(seen),
            Output::View(view) => {
                self.ledger.borrow_mut().saw(&self.own, view.version());
                self.events.push_back(Happened::View(view.version()));
            }
            Output::Member(event) => {
                self.ledger.borrow_mut().heard(&self.own, &event);
                self.events.push_back(Happened::Member(event));
            }
            Output::Restart { above, .. } => {
                self.is_over = true;
                self.events.push_back(Happened::Restart { above });
            }
            Output::Departed { .. } => {
                self.is_over = true;
                self.events.push_back(Happened::Departed);
            }
            Output::Joined
            | Output::Isolated
            | Output::NoLongerIsolated
            | Output::AcquireLease(_)
            | Output::Groups(_) => {}
        }
    }

    /// Who leads says who should own what.
    fn plan(&mut self, now: Instant) {
        self.plan_at = now + PLAN_EVERY;
        let leads = matches!(
            self.consensus.standing(),
            Standing::Member { leader: Some(leader) } if leader == self.own.peer
        );
        if !leads || std::mem::replace(&mut self.mail.letters().is_planning, true) {
            return;
        }
        let authority = self.consensus.authority();
        let hosts = hosts(&self.machines.view());
        let wishes = plan_all(authority.shards(), &hosts, Limits::default());
        let (consensus, mail) = (self.consensus.clone(), Arc::clone(&self.mail));
        tokio::spawn(async move {
            for wish in wishes {
                if consensus.propose(Command::Shards(wish)).await.is_err() {
                    break;
                }
            }
            mail.letters().is_planning = false;
        });
    }

    /// Whether a life of a peer is one that is not spoken to.
    fn is_buried(&self, peer: &PeerId, incarnation: Incarnation) -> bool {
        let buried = self.buried.get(peer);
        buried.is_some_and(|buried| incarnation <= *buried)
    }
}

impl Machine for Seat {
    type Event = Happened;

    fn handle_datagram(&mut self, from: &PeerId, bytes: &[u8], now: Instant) {
        let Some((channel, bytes)) = bytes.split_first() else {
            panic!("an empty datagram");
        };
        if self.is_over {
            return;
        }
        if *channel == REFUSED {
            self.machines.handle_refusal(&Refusal::DeclaredDead);
            return self.settle(now);
        }
        let Some(incarnation) = self.connected.get(from).copied() else {
            // Said again: it may not have come.
            if self.buried.contains_key(from) {
                self.refuse(from);
            }
            return;
        };
        let channel = Channel::of(*channel).expect("a channel");
        if !self.machines.handle_datagram(from, channel, bytes, now) {
            match channel {
                Channel::Consensus => {
                    let taken = self.consensus.handle_datagram(from, bytes);
                    assert_eq!(taken, Ok(()), "a datagram of the consensus from {from}");
                }
                _ => {
                    let (at, what): (u8, Between) =
                        postcard::from_bytes(bytes).expect("written here");
                    let from = Life {
                        peer: from.clone(),
                        incarnation,
                    };
                    self.kinds[usize::from(at)].handle(&from, what, now);
                }
            }
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.is_over {
            return;
        }
        if let Some(voters) = self.consensus.voting(&mut self.voters_at) {
            self.machines.handle_voters(voters);
        }
        let authority = self.consensus.authority();
        self.machines.handle_agreed(&authority, now);
        self.machines.handle_timeout(now);
        for kind in &mut self.kinds {
            if kind.poll_timeout().is_some_and(|at| at <= now) {
                kind.handle_timeout(now);
            }
        }
        if self.plan_at <= now {
            self.plan(now);
            if self.leaving.is_some() {
                self.go_on_leaving(now);
            }
        }
        self.settle(now);
    }

    fn handle_connected(&mut self, peer: &PeerId, incarnation: Incarnation, now: Instant) {
        if self.is_over {
            return;
        }
        if self.is_buried(peer, incarnation) {
            return self.refuse(peer);
        }
        self.connected.insert(peer.clone(), incarnation);
        let life = Life {
            peer: peer.clone(),
            incarnation,
        };
        self.machines.handle_connected(peer, incarnation, now);
        for kind in &mut self.kinds {
            kind.handle_way(&life, true, now);
        }
        self.settle(now);
    }

    fn handle_disconnected(&mut self, peer: &PeerId, now: Instant) {
        if self.connected.remove(peer).is_some() && !self.is_over {
            self.machines.handle_disconnected(peer, now);
            self.settle(now);
        }
    }

    fn poll_transmit(&mut self) -> Option<Datagram> {
        self.out.pop_front()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let kinds = self.kinds.iter().filter_map(Hosted::poll_timeout);
        let others = [self.machines.poll_timeout(), Some(self.plan_at)];
        kinds.chain(others.into_iter().flatten()).min()
    }

    fn poll_event(&mut self) -> Option<Happened> {
        self.events.pop_front()
    }
}
