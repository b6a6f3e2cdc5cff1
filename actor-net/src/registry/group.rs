//! A group of actors of one type, wherever they live, and messages for some or all of them.
//!
//! A handle keeps the members as it last saw them, with what it needs to pick among them, and looks at one number to
//! see whether they have changed. References are made when a member is first picked.

use std::fmt;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use actor_core::{Actor, ActorRef, Handler, Message, SendError, numa_node_here};

use super::directory::{Board, Shared};
use super::entry::{JoinError, Member};
use super::group_error::{Broadcast, GroupSendError, NoMember};
use super::rendezvous::{hash, mix, pick};
use super::resolve::{ResolveError, ResolveTo, type_name};
use super::subscription::GroupEvents;
use crate::id::PeerId;
use crate::membership::MemberState;

/// Actors of one type that are called by one name, on all peers of the cluster.
///
/// Every peer puts actors of its own in ([`join`](Self::join)); they stay until they stop, are taken out, or their
/// peer is gone. When its peer begins another life, so does their membership, with other ids. All peers hear of it soon: a hop later where there is a connection. Until then they may differ about
/// who is in, so a group is for work that any member can do; for one owner of a key that all agree on there are
/// sharded actors and unique names.
///
/// A group is its name *and* the type of its actors, by [`std::any::type_name`]: members of another type are as if
/// they were not there.
///
/// | to | is sent |
/// |---|---|
/// | [`any`](Self::any) | one of two members drawn by lot, the one with fewer messages waiting |
/// | [`round_robin`](Self::round_robin) | one after the other |
/// | [`nearest`](Self::nearest) | on this NUMA node, in this process, on a peer with a short round trip |
/// | [`by_key`](Self::by_key) | the same for the same key, as long as it is there |
/// | [`broadcast`](Self::broadcast) | all |
///
/// Where one of several members can be picked, those on peers that are unreachable or leaving are passed over.
///
/// Cheap to clone; a clone is the same group. Made by [`Groups::group`](crate::cluster::Groups::group).
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_net::cluster::Cluster;
/// use actor_net::registry::{Group, GroupEvent};
///
/// #[derive(Actor)]
/// struct Resizer;
///
/// #[derive(Clone, Message)]
/// #[message(reply = u32)]
/// struct Resize { width: u32 }
///
/// impl SyncHandler<Resize> for Resizer {
///     fn handle(&mut self, resize: Resize, _cx: &mut ActorContext<Self>) -> u32 {
///         resize.width / 2
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// system.block_on(async {
///     let cluster = Cluster::builder(system.handle(), "images").start().await?;
///     let resizers: Group<Resizer> = cluster.groups().group("resizers")?;
///     let mut events = resizers.subscribe();
///     for _ in 0..3 {
///         resizers.join(system.spawn(Resizer)?)?;
///     }
///     assert!(matches!(events.next().await, GroupEvent::Current(members) if members.len() == 3));
///
///     assert_eq!(resizers.any()?.ask(Resize { width: 640 }).await?, 320);
///     let one = resizers.by_key("cat.jpg")?;
///     assert_eq!(one, resizers.by_key("cat.jpg")?);
///     let sent = resizers.broadcast(Resize { width: 64 });
///     assert_eq!((sent.offered, sent.accepted), (3, 3));
///     cluster.leave(std::time::Duration::from_secs(5)).await;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Group<A: Actor>(Arc<Inner<A>>);

struct Inner<A: Actor> {
    shared: Arc<Shared>,
    board: Arc<Board>,
    resolve: Box<dyn ResolveTo<A>>,
    roster: Mutex<Arc<Roster<A>>>,
    turn: AtomicU64,
}

/// The members as they were at a version of the board.
struct Roster<A> {
    version: u64,
    seats: Vec<Seat<A>>,
    /// Who is picked among: the places of those whose peers are up, or, where there are none, are leaving.
    reachable: Vec<usize>,
}

struct Seat<A> {
    member: Member,
    /// Of its identity, the same on all peers.
    hash: u64,
    actor: OnceLock<ActorRef<A>>,
}

impl<A: Actor> Group<A> {
    pub(super) fn new(
        shared: Arc<Shared>,
        board: Arc<Board>,
        resolve: impl ResolveTo<A> + 'static,
    ) -> Self {
        let roster = Roster {
            version: 0,
            seats: Vec::new(),
            reachable: Vec::new(),
        };
        Self(Arc::new(Inner {
            // So that peers that start together do not all begin with the same member.
            turn: AtomicU64::new(hash(shared.own().as_str().as_bytes())),
            shared,
            board,
            resolve: Box::new(resolve),
            roster: Mutex::new(Arc::new(roster)),
        }))
    }

    /// The group's name.
    pub fn name(&self) -> &str {
        &self.0.board.group
    }

    /// Puts an actor of this process in, with weight 1. It leaves when it stops; a restart is no stop.
    ///
    /// # Errors
    ///
    /// [`JoinError`]: it lives elsewhere, it has stopped, or this peer has reached a limit.
    pub fn join(&self, actor: ActorRef<A>) -> Result<(), JoinError> {
        self.join_weighing(actor, NonZeroU16::MIN)
    }

    /// The same with a weight: how many of the keys it takes beside the other members ([`by_key`](Self::by_key)). One
    /// that is in already has its weight changed.
    ///
    /// # Errors
    ///
    /// As for [`join`](Self::join).
    pub fn join_weighing(&self, actor: ActorRef<A>, weight: NonZeroU16) -> Result<(), JoinError> {
        if !actor.is_alive() {
            return Err(JoinError::Stopped);
        }
        if !self.0.resolve.is_local(actor.id()) {
            return Err(JoinError::NotLocal);
        }
        self.0.shared.join(self.name(), actor, weight)
    }

    /// Takes an actor of this process out; whether it was in.
    pub fn leave(&self, actor: ActorRef<A>) -> bool {
        self.0.shared.leave(self.name(), actor.id().as_u64())
    }

    /// Who is in it, as this peer knows: in the order of their ids, which is the same everywhere.
    pub fn members(&self) -> Vec<Member> {
        let roster = self.roster();
        roster
            .seats
            .iter()
            .map(|seat| seat.member.clone())
            .collect()
    }

    /// How many are in it, as this peer knows.
    pub fn len(&self) -> usize {
        self.roster().seats.len()
    }

    /// Whether nobody is in it, as this peer knows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A reference to a member. What is sent to one whose peer is unreachable waits for it.
    ///
    /// # Errors
    ///
    /// [`ResolveError`]: it has stopped, or its peer is gone.
    pub fn actor(&self, member: &Member) -> Result<ActorRef<A>, ResolveError> {
        self.0.resolve.actor(&member.id.address(member.key))
    }

    /// Who comes and who goes, from now on; first who is there. See [`GroupEvent`](super::GroupEvent).
    pub fn subscribe(&self) -> GroupEvents {
        let board = Arc::clone(&self.0.board);
        GroupEvents::new(Arc::clone(&self.0.shared), board, type_name::<A>())
    }

    /// A member that has little to do: of two drawn by lot the one with fewer messages waiting, where for an actor
    /// elsewhere those are counted that wait here (M. Mitzenmacher, "The power of two choices in randomized load
    /// balancing", 2001).
    ///
    /// # Errors
    ///
    /// [`NoMember`]: nobody is in, or nobody within reach.
    pub fn any(&self) -> Result<ActorRef<A>, NoMember> {
        let roster = self.roster();
        let len = roster.reachable.len() as u64;
        if len < 2 {
            return self.from(&roster, 0);
        }
        let lot = mix(self.turn());
        let first = lot % len;
        // Another one.
        let second = (first + 1 + (lot >> 32) % (len - 1)) % len;
        let [first, second] = [self.from(&roster, first)?, self.from(&roster, second)?];
        let is_second = second.queue_len() < first.queue_len();
        Ok(if is_second { second } else { first })
    }

    /// One member after the other. Each handle and all its clones count together.
    ///
    /// # Errors
    ///
    /// As for [`any`](Self::any).
    pub fn round_robin(&self) -> Result<ActorRef<A>, NoMember> {
        let roster = self.roster();
        self.from(&roster, self.turn())
    }

    /// A member that is near: in this process and at home on the caller's NUMA node, else in this process, else on
    /// the peer with the shortest round trip. Among equally near ones in turn. On a thread that serves no NUMA node
    /// all of this process are equally near. Round trips are compared by powers of two of their microseconds, so
    /// that of peers that are about as far not one gets everything; a peer whose round trip was not measured yet
    /// (connections are timed when they are quiet) is the farthest.
    ///
    /// # Errors
    ///
    /// As for [`any`](Self::any).
    pub fn nearest(&self) -> Result<ActorRef<A>, NoMember> {
        let roster = self.roster();
        let mut seats = self.by_distance(&roster);
        let nearest = match seats.first() {
            Some((least, _)) => seats.partition_point(|(distance, _)| distance == least),
            None => return Err(self.nobody(&roster)),
        };
        let turn = self.turn() % (nearest as u64);
        if let Some(nearest) = seats.get_mut(..nearest) {
            nearest.rotate_left(usize::try_from(turn).unwrap_or(0));
        }
        self.first(seats.into_iter().map(|(_, seat)| seat))
    }

    /// The member that takes a key: the same for the same key on all peers that know the same members. When one goes
    /// its keys are spread over the others, when one comes it takes its share, and no other key moves (rendezvous
    /// hashing: D. G. Thaler, C. V. Ravishankar, 1998). A member of weight 3 takes three times as many as one of
    /// weight 1. Takes time in proportion to the number of members, about 0.1 us each.
    ///
    /// Keys that somebody else may choose can be chosen so that all go to one member.
    ///
    /// # Errors
    ///
    /// [`NoMember`]: nobody is in, or the one that takes this key is out of reach: no other takes it instead.
    pub fn by_key(&self, key: impl AsRef<[u8]>) -> Result<ActorRef<A>, NoMember> {
        let roster = self.roster();
        let seats = roster.seats.iter();
        let seats = seats.map(|seat| (seat.hash, seat.member.weight));
        let seat = pick(hash(key.as_ref()), seats).and_then(|at| roster.seats.get(at));
        match seat {
            Some(seat) => self.first([seat]),
            None => Err(self.nobody(&roster)),
        }
    }

    /// Tells [any](Self::any) member.
    ///
    /// # Errors
    ///
    /// [`GroupSendError`], with the message.
    pub fn tell_any<M: Message>(&self, message: M) -> Result<(), GroupSendError<M>>
    where
        A: Handler<M>,
    {
        tell(self.any(), message)
    }

    /// Tells the next one [in turn](Self::round_robin).
    ///
    /// # Errors
    ///
    /// [`GroupSendError`], with the message.
    pub fn tell_round_robin<M: Message>(&self, message: M) -> Result<(), GroupSendError<M>>
    where
        A: Handler<M>,
    {
        tell(self.round_robin(), message)
    }

    /// Tells a [near](Self::nearest) member.
    ///
    /// # Errors
    ///
    /// [`GroupSendError`], with the message.
    pub fn tell_nearest<M: Message>(&self, message: M) -> Result<(), GroupSendError<M>>
    where
        A: Handler<M>,
    {
        tell(self.nearest(), message)
    }

    /// Tells the member that takes a [key](Self::by_key).
    ///
    /// # Errors
    ///
    /// [`GroupSendError`], with the message.
    pub fn tell_by_key<M: Message>(
        &self,
        key: impl AsRef<[u8]>,
        message: M,
    ) -> Result<(), GroupSendError<M>>
    where
        A: Handler<M>,
    {
        tell(self.by_key(key), message)
    }

    /// Tells all members, without waiting: who has no room goes without. Nobody being there is no error, and
    /// [`Broadcast::offered`] says so.
    pub fn broadcast<M: Message + Clone>(&self, message: M) -> Broadcast
    where
        A: Handler<M>,
    {
        let roster = self.roster();
        let mut sent = Broadcast::default();
        for seat in &roster.seats {
            sent.offered += 1;
            match self.resolved(seat) {
                Ok(actor) => match actor.tell(message.clone()) {
                    Ok(()) => sent.accepted += 1,
                    Err(SendError::Full { .. }) => sent.full += 1,
                    Err(SendError::Dead { .. }) => sent.dead += 1,
                    Err(_) => sent.otherwise += 1,
                },
                Err(ResolveError::Gone) => sent.dead += 1,
                Err(_) => sent.unreachable += 1,
            }
        }
        sent
    }

    /// The members as of now.
    fn roster(&self) -> Arc<Roster<A>> {
        let inner = &self.0;
        let mut roster = inner.roster.lock().unwrap_or_else(PoisonError::into_inner);
        if roster.version != inner.board.version() {
            let (version, members) = inner.shared.members(&inner.board);
            let actor_type = type_name::<A>();
            let members = members.into_iter();
            let members = members.filter(|member| *member.actor_type == *actor_type);
            let seats = members.map(Seat::new).collect();
            *roster = Arc::new(Roster::new(version, seats));
        }
        Arc::clone(&roster)
    }

    fn turn(&self) -> u64 {
        // Only the number matters, and that no other gets it.
        self.0.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The reachable member at a place, or the next one that there is a reference to.
    fn from(&self, roster: &Roster<A>, at: u64) -> Result<ActorRef<A>, NoMember> {
        if roster.reachable.is_empty() {
            return Err(self.nobody(roster));
        }
        let at = usize::try_from(at % (roster.reachable.len() as u64)).unwrap_or(0);
        let (before, after) = roster.reachable.split_at(at);
        let places = after.iter().chain(before);
        self.first(places.filter_map(|at| roster.seats.get(*at)))
    }

    /// Why none of the reachable is picked: there is none.
    fn nobody(&self, roster: &Roster<A>) -> NoMember {
        let group = self.name().into();
        match roster.seats.first() {
            Some(seat) => NoMember::OutOfReach {
                group,
                member: seat.member.id.clone(),
                why: ResolveError::Unreachable,
            },
            None => NoMember::Empty { group },
        }
    }

    /// Who is picked among, the nearest first.
    fn by_distance<'a>(&self, roster: &'a Roster<A>) -> Vec<(Distance, &'a Seat<A>)> {
        let here = numa_node_here();
        let mut last: Option<(&PeerId, Distance)> = None;
        let seats = roster
            .reachable
            .iter()
            .filter_map(|at| roster.seats.get(*at));
        let distances = seats.map(|seat| {
            let member = &seat.member;
            if member.id.peer == *self.0.shared.own() {
                let is_near = here.is_none_or(|here| here == member.numa_node);
                return (Distance::Here { is_far: !is_near }, seat);
            }
            // They are in the order of their peers, so each peer is asked about once.
            let distance = match last {
                Some((peer, distance)) if *peer == member.id.peer => distance,
                _ => Distance::of(self.0.resolve.round_trip(&member.id.peer)),
            };
            last = Some((&member.id.peer, distance));
            (distance, seat)
        });
        let mut distances: Vec<_> = distances.collect();
        distances.sort_by_key(|(distance, _)| *distance);
        distances
    }

    /// The first one within reach.
    fn first<'a>(
        &self,
        seats: impl IntoIterator<Item = &'a Seat<A>>,
    ) -> Result<ActorRef<A>, NoMember> {
        let mut unreachable = None;
        for seat in seats {
            match self.resolved(seat) {
                Ok(actor) => return Ok(actor),
                Err(why) => unreachable = Some((seat.member.id.clone(), why)),
            }
        }
        let group = self.name().into();
        Err(match unreachable {
            Some((member, why)) => NoMember::OutOfReach { group, member, why },
            None => NoMember::Empty { group },
        })
    }

    fn resolved(&self, seat: &Seat<A>) -> Result<ActorRef<A>, ResolveError> {
        if seat.member.peer_state == MemberState::Unreachable {
            return Err(ResolveError::Unreachable);
        }
        if let Some(actor) = seat.actor.get() {
            return Ok(*actor);
        }
        let actor = self.actor(&seat.member)?;
        Ok(*seat.actor.get_or_init(|| actor))
    }
}

/// How far a member is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    /// In this process, perhaps on another NUMA node.
    Here {
        is_far: bool,
    },
    /// A round trip of that power of two of microseconds.
    There {
        power: u32,
    },
    Unknown,
}

impl Distance {
    fn of(round_trip: Option<Duration>) -> Self {
        let Some(time) = round_trip else {
            return Self::Unknown;
        };
        let power = time.as_micros().checked_ilog2().unwrap_or(0);
        Self::There { power }
    }
}

fn tell<A: Handler<M>, M: Message>(
    to: Result<ActorRef<A>, NoMember>,
    message: M,
) -> Result<(), GroupSendError<M>> {
    match to {
        Ok(actor) => actor.tell(message).map_err(GroupSendError::Refused),
        Err(why) => Err(GroupSendError::NoMember { why, message }),
    }
}

impl<A> Roster<A> {
    fn new(version: u64, seats: Vec<Seat<A>>) -> Self {
        let state = |seat: &Seat<A>| seat.member.peer_state;
        let places = |are: fn(MemberState) -> bool| {
            let places = seats.iter().enumerate();
            let places = places.filter(|(_, seat)| are(state(seat)));
            places.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let mut reachable =
            places(|state| !matches!(state, MemberState::Unreachable | MemberState::Leaving));
        if reachable.is_empty() {
            reachable = places(|state| state == MemberState::Leaving);
        }
        Self {
            version,
            seats,
            reachable,
        }
    }
}

impl<A> Seat<A> {
    fn new(member: Member) -> Self {
        let id = &member.id;
        let hash = mix(hash(id.peer.as_str().as_bytes()) ^ mix(id.incarnation.0 ^ mix(id.number)));
        Self {
            hash,
            member,
            actor: OnceLock::new(),
        }
    }
}

// By hand: a derive would ask the same of `A`.
impl<A: Actor> Clone for Group<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor> fmt::Debug for Group<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.name())
            .field("members", &self.len())
            .finish_non_exhaustive()
    }
}
