//! What a peer does by itself: find a cluster or found one; when it leads, let newcomers in, declare down what
//! the floor below says is down, and see to the voters; and notice when the engine has failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::error::Fatal;
use openraft::impls::EmptyNode;
use openraft::{ChangeMembers, ServerState};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::id::{Incarnation, Life, PeerId};

use super::command::{Command, Request};
use super::contact::Word;
use super::engine::{Metrics, RaftId};
use super::error::Stopped;
use super::founding::{Do, Founding};
use super::front::{Shared, Sight, Standing, lock};
use super::message::{Call, Found, Hello, Message, Welcome};
use super::serve;
use super::settings::Bootstrap;
use super::voters::{self, Candidate, Step};

/// Others that a newcomer says hello to at a time, beside the leader it has heard of.
const HELLOS: usize = 8;

/// Entries of the log that a learner may be behind and still become a voter.
const BEHIND_MAX: u64 = 64;

/// A peer that wants to take part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Joiner {
    incarnation: Incarnation,
    store: Incarnation,
    zone: String,
}

/// Finds a cluster, or founds one; answers others that look for one.
pub(super) async fn newcomer(shared: Arc<Shared>, mut heard: mpsc::Receiver<(PeerId, Message)>) {
    let expected = match shared.settings.bootstrap {
        Bootstrap::Alone => 1,
        Bootstrap::Expect(peers) => peers,
        Bootstrap::Join => 0,
    };
    let founding = Founding::new(shared.id, shared.own.peer.clone(), expected);
    let mut newcomer = Newcomer {
        shared,
        founding,
        expected,
        leader: None,
        turn: 0,
        over_since: None,
    };
    let mut ticks = interval(newcomer.shared.settings.heartbeat * 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            news = heard.recv() => match news {
                Some((from, message)) => newcomer.hear(&from, message).await,
                None => return,
            },
            _ = ticks.tick() => newcomer.tick().await,
        }
    }
}

struct Newcomer {
    shared: Arc<Shared>,
    founding: Founding,
    expected: u16,
    leader: Option<RaftId>,
    turn: usize,
    over_since: Option<Instant>,
}

impl Newcomer {
    async fn tick(&mut self) {
        look_for_leader(&self.shared);
        let metrics = self.shared.metrics();
        let is_fresh = self.is_fresh();
        let has_cluster = has_cluster(&metrics);
        let nodes = nodes(&metrics);
        let is_member =
            nodes.contains(&self.shared.id) && self.shared.authority().is_up(&self.shared.own);
        self.shared.set_standing(if is_member {
            let leader = metrics.current_leader.as_ref();
            Standing::Member {
                leader: leader.and_then(RaftId::peer),
            }
        } else if has_cluster || !is_fresh {
            Standing::Joining
        } else {
            Standing::Forming {
                seen: self.founding.seen(),
            }
        });
        if self.shared.authority().is_over(&self.shared.own) {
            self.shared.is_over.store(true, Ordering::Relaxed);
        }
        if self.shared.is_over.load(Ordering::Relaxed) {
            self.end(&metrics);
            return;
        }
        if is_member {
            return;
        }
        if metrics.current_leader.is_some() {
            self.leader = metrics.current_leader;
        }
        self.say_hello(is_fresh);
        if is_fresh {
            let seen = self.shared.members.borrow().clone();
            self.founding.retain(|peer, hello| {
                seen.get(peer).is_some_and(|seen| {
                    seen.sight == Sight::Up && seen.life.incarnation == hello.incarnation
                })
            });
            self.let_go().await;
            let pin = self.shared.log.founding();
            let todo = self.founding.poll(pin.as_ref());
            self.run(todo).await;
        }
    }

    /// This life is over. If it votes, the others need its vote to do without it: it stays for a while.
    fn end(&mut self, metrics: &Metrics) {
        let since = *self.over_since.get_or_insert_with(Instant::now);
        let membership = metrics.membership_config.membership();
        let votes = membership.voter_ids().any(|id| id == self.shared.id);
        if !votes || since.elapsed() >= self.shared.settings.deadline {
            self.shared.stop(Stopped::LifeIsOver);
        }
    }

    /// Whether nothing has been decided here.
    fn is_fresh(&self) -> bool {
        self.shared.log.is_pristine()
    }

    fn hello(&self) -> Hello {
        Hello {
            incarnation: self.shared.own.incarnation,
            id: self.shared.id,
            zone: self.shared.settings.zone.clone(),
            expected: self.expected,
            fresh: self.is_fresh(),
            founding: self.shared.log.founding(),
        }
    }

    fn say_hello(&mut self, is_fresh: bool) {
        let hello = self.hello();
        let seen = self.shared.members.borrow().clone();
        let up = seen.values().filter(|seen| seen.sight == Sight::Up);
        let up: Vec<_> = up
            .map(|seen| &seen.life.peer)
            .filter(|peer| **peer != self.shared.own.peer)
            .collect();
        // All of them while it counts who else is new; otherwise a few, in turn, until one knows the leader.
        let few = if is_fresh { HELLOS * 2 } else { HELLOS };
        let turn = self.turn.checked_rem(up.len()).unwrap_or(0);
        let in_turn = up
            .iter()
            .cycle()
            .skip(turn)
            .take(few.min(up.len()))
            .copied();
        self.turn = self.turn.wrapping_add(few);
        let leader = self.leader.as_ref().and_then(RaftId::peer);
        let to: BTreeSet<_> = in_turn.chain(leader.as_ref()).collect();
        for peer in to {
            // Not connected: it is said again.
            let _ = self.shared.calls.send(peer, &Message::Hello(hello.clone()));
        }
    }

    /// A promise ends with the life it was given to, while nothing has been decided.
    async fn let_go(&mut self) {
        let Some(pin) = self.shared.log.founding() else {
            return;
        };
        let seen = self.shared.members.borrow().clone();
        let gone = pin
            .peer()
            .and_then(|peer| seen.get(&peer))
            .is_some_and(|seen| {
                matches!(seen.sight, Sight::Down | Sight::Left)
                    || seen.life.incarnation > pin.store() && self.leader.is_none()
            });
        if gone && pin != self.shared.id {
            self.run(vec![Do::Pin(None)]).await;
        }
    }

    async fn hear(&mut self, from: &PeerId, message: Message) {
        match message {
            Message::Hello(hello) => self.hear_hello(from, &hello),
            Message::Welcome(welcome) => self.hear_welcome(from, welcome).await,
            Message::Found(found) => {
                let pin = self.shared.log.founding();
                let fresh = self.is_fresh();
                let todo = self.founding.hear(from, &found, pin.as_ref(), fresh);
                self.run(todo).await;
            }
            Message::Call { .. } | Message::Reply { .. } => {}
        }
    }

    fn hear_hello(&mut self, from: &PeerId, hello: &Hello) {
        if !hello.id.is_of(from) || hello.zone.len() > super::command::NAME_BYTES_MAX {
            return;
        }
        let metrics = self.shared.metrics();
        if !has_cluster(&metrics) {
            self.founding.hello(from, hello);
            return;
        }
        let Some(founding) = self.shared.log.founding() else {
            return;
        };
        let life = Life {
            peer: from.clone(),
            incarnation: hello.incarnation,
        };
        let over = self.shared.authority().is_over(&life);
        let is_ours = hello.founding == Some(founding);
        let welcome = Welcome {
            founding,
            leader: metrics.current_leader,
            over,
        };
        let _ = self.shared.calls.send(from, &Message::Welcome(welcome));
        // One that has yet to hear the founding says hello again.
        if metrics.current_leader.as_ref() == Some(&self.shared.id) && is_ours && !over {
            let joiner = Joiner {
                incarnation: hello.incarnation,
                store: hello.id.store(),
                zone: hello.zone.clone(),
            };
            let mut joiners = lock(&self.shared.joiners);
            // Peers that the floor below does not see are not let in: they say it again when they are seen.
            if self.shared.members.borrow().contains_key(from) {
                joiners.insert(from.clone(), joiner);
                drop(joiners);
                self.shared.wake_leader.notify_one();
            }
        }
    }

    async fn hear_welcome(&mut self, from: &PeerId, welcome: Welcome) {
        let ours = self.shared.log.founding();
        if ours.as_ref() != Some(&welcome.founding) {
            if !self.is_fresh() {
                tracing::warn!(
                    peer = %from,
                    theirs = %welcome.founding,
                    ours = ?ours,
                    "a peer belongs to another founding of the cluster; the two never merge: stop one, and \
                     start its peers anew"
                );
                return;
            }
            let pin = Do::Pin(Some(welcome.founding));
            self.run(vec![pin]).await;
        }
        if welcome.over {
            self.shared.is_over.store(true, Ordering::Relaxed);
            return;
        }
        if welcome.leader.is_some() {
            self.leader = welcome.leader;
        }
    }

    async fn run(&mut self, todo: Vec<Do>) {
        for one in todo {
            match one {
                Do::Pin(founding) => {
                    if let Err(error) = self.shared.log.set_founding(founding).await {
                        self.shared.stop(Stopped::Store(error.to_string()));
                        return;
                    }
                }
                Do::Say(peer, found) => self.say(&peer, found),
                Do::Found(with) => self.found(with).await,
            }
        }
    }

    fn say(&self, peer: &PeerId, found: Found) {
        // Not connected: it is said again.
        let _ = self.shared.calls.send(peer, &Message::Found(found));
    }

    async fn found(&self, with: BTreeSet<RaftId>) {
        let ready = |zone: String| Candidate {
            zone,
            reachable: true,
            caught_up: true,
        };
        let zone = |id: &RaftId| {
            id.peer()
                .map_or_else(String::new, |peer| self.founding.zone(&peer))
        };
        let members: BTreeMap<_, _> = with
            .into_iter()
            .map(|id| {
                let zone = zone(&id);
                (id, ready(zone))
            })
            .collect();
        let first = BTreeSet::from([self.shared.id]);
        let max = self.shared.settings.voters_max;
        let voters = voters::choose(&self.shared.id, &first, &members, max);
        let voters: BTreeMap<_, _> = voters.into_iter().map(|id| (id, EmptyNode {})).collect();
        if let Err(error) = self.shared.raft.initialize(voters).await {
            // A voter that was asked before: it has a cluster by now, or will hear of one.
            tracing::warn!(%error, "founding a cluster was not possible");
        }
    }
}

/// What a leader does, as long as it leads.
pub(super) async fn leader(shared: Arc<Shared>) {
    let mut ticks = interval(shared.settings.heartbeat * 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut term_read = None;
    loop {
        tokio::select! {
            biased;
            () = shared.wake_leader.notified() => {}
            _ = ticks.tick() => {}
        }
        let metrics = shared.metrics();
        if metrics.state != ServerState::Leader
            || metrics.current_leader.as_ref() != Some(&shared.id)
        {
            term_read = None;
            lock(&shared.joiners).clear();
            continue;
        }
        let patience = shared.settings.deadline;
        // A new leader knows what was agreed on only when an entry of its own term is agreed on.
        if term_read != Some(metrics.current_term) {
            match timeout(patience, shared.raft.ensure_linearizable()).await {
                Ok(Ok(_)) => term_read = Some(metrics.current_term),
                _ => continue,
            }
        }
        if admit(&shared, patience).await && bury(&shared, patience).await {
            see_to_voters(&shared, patience).await;
        }
    }
}

/// Lets newcomers in, this peer first. `false`: no majority.
async fn admit(shared: &Shared, patience: Duration) -> bool {
    let own = Joiner {
        incarnation: shared.own.incarnation,
        store: shared.id.store(),
        zone: shared.settings.zone.clone(),
    };
    let joiners = std::mem::take(&mut *lock(&shared.joiners));
    let joiners = [(shared.own.peer.clone(), own)].into_iter().chain(joiners);
    let seen = shared.members.borrow().clone();
    for (peer, joiner) in joiners {
        let Joiner {
            incarnation,
            store,
            zone,
        } = joiner;
        let is_seen = seen
            .get(&peer)
            .is_some_and(|seen| seen.sight == Sight::Up && seen.life.incarnation == incarnation);
        let is_own = peer == shared.own.peer;
        let life = Life { peer, incarnation };
        let authority = shared.authority();
        if authority.is_up(&life) || authority.is_over(&life) || !is_seen && !is_own {
            continue;
        }
        if !decide(shared, Command::Up { life, store, zone }, patience).await {
            return false;
        }
    }
    true
}

/// Declares down what the floor below says is down. `false`: no majority.
async fn bury(shared: &Shared, patience: Duration) -> bool {
    let seen = shared.members.borrow().clone();
    let nodes = nodes(&shared.metrics());
    for seen in seen.values() {
        let left = match seen.sight {
            Sight::Down => false,
            Sight::Left => true,
            Sight::Up | Sight::Unreachable => continue,
        };
        let life = seen.life.clone();
        let authority = shared.authority();
        let takes_part = authority.is_up(&life) || nodes.iter().any(|id| id.is_of(&life.peer));
        if authority.is_over(&life) || !takes_part {
            continue;
        }
        if !decide(shared, Command::Down { life, left }, patience).await {
            return false;
        }
    }
    true
}

async fn decide(shared: &Shared, command: Command, patience: Duration) -> bool {
    let request = Request {
        by: shared.own.clone(),
        // These two commands do no harm twice, and need no number.
        sequence: 0,
        answered: 0,
        command,
    };
    let reply = serve::lead(shared, Call::Propose(request), patience).await;
    matches!(reply, super::message::Reply::Outcome(_))
}

async fn see_to_voters(shared: &Shared, patience: Duration) {
    let metrics = shared.metrics();
    let membership = metrics.membership_config.membership();
    let configs = membership.get_joint_config();
    let nodes = nodes(&metrics);
    let members = candidates(shared, &metrics, &nodes);
    let max = shared.settings.voters_max;
    let Some(step) = voters::next(&shared.id, configs, &nodes, &members, max) else {
        return;
    };
    tracing::debug!(?step, "who takes part changes");
    let change = match step {
        Step::Learn(ids) => {
            ChangeMembers::AddNodes(ids.into_iter().map(|id| (id, EmptyNode {})).collect())
        }
        Step::Vote(ids) => ChangeMembers::ReplaceAllVoters(ids),
        Step::Forget(ids) => ChangeMembers::RemoveNodes(ids),
    };
    // Voters that vote no more go on to learn; those that are gone are forgotten in the next step.
    let changed = timeout(patience, shared.raft.change_membership(change, true)).await;
    if let Ok(Err(error)) = changed {
        // Another change is on its way, or somebody else leads: it is looked at again.
        tracing::debug!(%error, "who takes part did not change");
    }
}

/// What is known of everybody who takes part or should.
fn candidates(
    shared: &Shared,
    metrics: &Metrics,
    nodes: &BTreeSet<RaftId>,
) -> BTreeMap<RaftId, Candidate> {
    let authority = shared.authority();
    let seen = shared.members.borrow().clone();
    let last = metrics.last_log_index.unwrap_or(0);
    let candidate = |id: &RaftId, zone: &str| {
        let is_own = *id == shared.id;
        let known = metrics.replication.as_ref().and_then(|all| all.get(id));
        let known = known.and_then(Option::as_ref).map(|upto| upto.index);
        let sight = id.peer().and_then(|peer| seen.get(&peer));
        Candidate {
            zone: zone.to_owned(),
            reachable: is_own || sight.is_some_and(|seen| seen.sight == Sight::Up),
            caught_up: is_own || known.is_some_and(|known| known + BEHIND_MAX >= last),
        }
    };
    let mut all = BTreeMap::new();
    for (peer, member) in authority.members() {
        let id = RaftId::new(peer, member.store);
        let candidate = candidate(&id, &member.zone);
        all.insert(id, candidate);
    }
    // Those that the cluster was founded with vote before they are members.
    for id in nodes {
        let Some(peer) = id.peer() else { continue };
        let is_over = authority.is_over(&Life {
            peer: peer.clone(),
            incarnation: id.store(),
        });
        if authority.member(&peer).is_none() && !is_over {
            all.insert(*id, candidate(id, ""));
        }
    }
    all
}

/// Notices when the engine has failed.
pub(super) async fn guard(shared: Arc<Shared>) {
    let mut metrics = shared.raft.metrics();
    let mut ticks = interval(shared.settings.heartbeat * 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let has_ended = metrics.has_changed().is_err();
        let state = metrics.borrow_and_update().running_state.clone();
        let why = match state {
            Err(Fatal::StorageError(error)) => Stopped::Store(error.to_string()),
            Err(Fatal::Stopped) => Stopped::ShutDown,
            Err(Fatal::Panicked) => Stopped::Panicked,
            Ok(()) if has_ended || shared.panicked.load(Ordering::Relaxed) => Stopped::Panicked,
            Ok(()) => continue,
        };
        shared.stop(why);
        return;
    }
}

/// Looks whether somebody leads, and says so when that has changed for long.
fn look_for_leader(shared: &Shared) {
    let now = Instant::now();
    let metrics = shared.metrics();
    let acknowledged = metrics.millis_since_quorum_ack.map(Duration::from_millis);
    let has_cluster = shared.log.founding().is_some();
    let word = {
        let mut contact = shared.contact();
        if acknowledged.is_some_and(|ago| ago <= shared.settings.election) {
            contact.handle_leader(now);
        } else if !has_cluster {
            contact.handle_no_cluster(now);
        }
        contact.poll_word(now)
    };
    match word {
        Some(Word::Lost(silent)) => {
            let voters = metrics.membership_config.membership().voter_ids();
            let voters: BTreeSet<_> = voters.filter_map(|id| id.peer()).collect();
            let gone = gone_of(shared, &voters);
            tracing::error!(
                peer = %shared.own.peer,
                ?silent,
                voters = names(&voters, "not known here"),
                gone = names(&gone, "none"),
                "nobody leads the cluster: who is a member and who has which shard or unique name is not decided until \
                 somebody does; if most of the voters are gone for good, start all peers anew"
            );
        }
        Some(Word::Back(silent)) => {
            tracing::info!(peer = %shared.own.peer, ?silent, "somebody leads the cluster again");
        }
        None => {}
    }
}

/// Those that are not there, or not what they were when they became voters.
fn gone_of(shared: &Shared, voters: &BTreeSet<PeerId>) -> BTreeSet<PeerId> {
    let seen = shared.members.borrow().clone();
    let authority = shared.authority();
    let is_there = |peer: &&PeerId| {
        **peer == shared.own.peer
            || seen.get(*peer).is_some_and(|seen| {
                let known = authority.member(peer).map(|member| member.incarnation);
                seen.sight == Sight::Up && known.is_none_or(|known| known == seen.life.incarnation)
            })
    };
    let gone = voters.iter().filter(|peer| !is_there(peer));
    gone.cloned().collect()
}

fn names(peers: &BTreeSet<PeerId>, nobody: &str) -> String {
    if peers.is_empty() {
        return nobody.to_owned();
    }
    let names: Vec<_> = peers.iter().map(PeerId::as_str).collect();
    names.join(", ")
}

fn has_cluster(metrics: &Metrics) -> bool {
    let membership = metrics.membership_config.membership();
    membership.voter_ids().next().is_some()
}

fn nodes(metrics: &Metrics) -> BTreeSet<RaftId> {
    let membership = metrics.membership_config.membership();
    membership.nodes().map(|(id, _)| *id).collect()
}
