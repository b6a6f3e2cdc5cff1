//! The machine of groups as the rest of the process sees it: one lock around it, what its events are told to, and a
//! driver that is woken when it has something to send.
//!
//! Whoever changes the machine does so in [`Directory::drive`]: under the lock, with the events it caused put into
//! the queues of their subscribers before the lock is let go, so that a subscriber that takes the present members
//! under the same lock misses nothing and hears nothing twice. Wakers are called after that, outside of the lock.
//!
//! A group that somebody holds a handle of has a *board*: a number that goes up with each change, which handles
//! compare with that of the members they keep. So picking a member takes no lock on the machine.
//!
//! A directory stays over the lives of its peer. Between two it lists the peer's own actors only; each next life has
//! a machine of its own, in which these are again, by the names and with the keys that they have in that life.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use actor_core::{Actor, ActorId, ActorRef};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::entry::{Entry, InvalidName, JoinError, Key, Member, check_name};
use super::group::Group;
use super::machine::{Config, Drive, Event, Groups};
use super::resolve::{Resolve, type_name};
use super::subscription::{GroupEvent, Queue};
use crate::id::PeerId;

/// The key that an actor of this process has in a life.
pub(crate) type Keys = Box<dyn Fn(ActorId) -> u64 + Send>;

/// All groups, as one peer knows them. A handle: clones are the same.
#[derive(Clone)]
pub(crate) struct Directory(Arc<Shared>);

pub(super) struct Shared {
    own: PeerId,
    state: Mutex<State>,
    /// Something is to be sent.
    news: Notify,
    /// What waits for the ends of members.
    runtime: Handle,
}

struct State {
    machine: Groups,
    keys: Keys,
    boards: BTreeMap<Arc<str>, Weak<Board>>,
    /// Members of this process, by their numbers.
    watched: BTreeMap<u64, Watched>,
    malformed: u64,
}

struct Watched {
    actor: ActorId,
    /// Waits for its end.
    end: AbortHandle,
}

/// What handles of one group share.
pub(super) struct Board {
    pub(super) group: Arc<str>,
    /// Goes up with each change, under the lock of the state.
    version: AtomicU64,
    subscribers: Mutex<Vec<Weak<Queue>>>,
}

impl Directory {
    /// For the first life.
    pub(crate) fn new(config: Config, keys: Keys, runtime: Handle) -> Self {
        Self(Arc::new(Shared {
            own: config.own.clone(),
            state: Mutex::new(State {
                machine: Groups::new(config),
                keys,
                boards: BTreeMap::new(),
                watched: BTreeMap::new(),
                malformed: 0,
            }),
            news: Notify::new(),
            runtime,
        }))
    }

    /// A life is over: nothing of others is known until the [next](Self::begin).
    pub(crate) fn end(&self) {
        self.0.drive(Groups::forget_peers);
    }

    /// Another life: what this peer has in groups is told anew.
    pub(crate) fn begin(&self, config: Config, keys: Keys) {
        let mut wakers = Vec::new();
        {
            let mut state = self.0.lock();
            let own = state.machine.close();
            state.tell(&mut wakers);
            state.keys = keys;
            state.machine = Groups::new(config);
            for (group, entry) in own {
                state.join_again(&group, entry);
            }
            state.tell(&mut wakers);
        }
        self.0.news.notify_one();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Lets somebody at the machine. What happened there is told to whoever wants to know.
    pub(crate) fn drive<T>(&self, work: impl FnOnce(&mut Groups) -> T) -> T {
        self.0.drive(work)
    }

    /// Returns when somebody here has changed the machine, so that it may have something to send.
    ///
    /// # Cancel safety
    ///
    /// Nothing is missed: a change while nobody waits ends the next wait at once.
    pub(crate) async fn changed(&self) {
        self.0.news.notified().await;
    }

    /// A group by its name, seen as actors of one type; `resolve` makes references of its members.
    pub(crate) fn group<A: Actor, R: Resolve>(
        &self,
        name: &str,
        resolve: Arc<R>,
    ) -> Result<Group<A>, InvalidName> {
        check_name(name)?;
        Ok(Group::new(Arc::clone(&self.0), self.0.board(name), resolve))
    }

    /// How many members each group has.
    pub(crate) fn sizes(&self) -> Vec<(Arc<str>, usize)> {
        self.0.lock().machine.sizes().collect()
    }

    /// The names of all groups that have members, in order.
    pub(crate) fn groups(&self) -> Vec<Arc<str>> {
        self.0.lock().machine.groups().cloned().collect()
    }
}

impl Drive for Directory {
    fn drive<T>(&mut self, work: impl FnOnce(&mut Groups) -> T) -> T {
        Self::drive(self, work)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        let (own, others) = state.machine.entries();
        f.debug_struct("Directory")
            .field("peer", &self.0.own)
            .field("own", &own)
            .field("others", &others)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drive<T>(&self, work: impl FnOnce(&mut Groups) -> T) -> T {
        let mut wakers = Vec::new();
        let result = {
            let mut state = self.lock();
            let result = work(&mut state.machine);
            state.tell(&mut wakers);
            result
        };
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    pub(super) const fn own(&self) -> &PeerId {
        &self.own
    }

    fn board(&self, name: &str) -> Arc<Board> {
        let mut state = self.lock();
        if let Some(board) = state.boards.get(name).and_then(Weak::upgrade) {
            return board;
        }
        // As good a time as any: those whose handles are gone.
        state.boards.retain(|_, board| board.strong_count() > 0);
        let group: Arc<str> = Arc::from(name);
        let board = Arc::new(Board {
            group: Arc::clone(&group),
            version: AtomicU64::new(1),
            subscribers: Mutex::new(Vec::new()),
        });
        state.boards.insert(group, Arc::downgrade(&board));
        board
    }

    /// Puts an actor of this process into a group until it ends or is taken out.
    pub(super) fn join<A: Actor>(
        self: &Arc<Self>,
        group: &str,
        actor: ActorRef<A>,
        weight: NonZeroU16,
    ) -> Result<(), JoinError> {
        let id = actor.id();
        let number = id.as_u64();
        let mut wakers = Vec::new();
        {
            let mut state = self.lock();
            if !actor.is_alive() {
                return Err(JoinError::Stopped);
            }
            let entry = Entry {
                number,
                // Under the lock: of the life that the machine is of.
                key: Key((state.keys)(id)),
                actor_type: Arc::from(type_name::<A>()),
                numa_node: id.numa_node(),
                weight,
            };
            state.machine.join(group, entry)?;
            let shared = Arc::downgrade(self);
            state.watched.entry(number).or_insert_with(|| {
                // If it ends before this is first polled, it is told so then.
                let end = self.runtime.spawn(async move {
                    actor.terminated().await;
                    if let Some(shared) = shared.upgrade() {
                        shared.ended(number);
                    }
                });
                let end = end.abort_handle();
                Watched { actor: id, end }
            });
            state.tell(&mut wakers);
        }
        self.news.notify_one();
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    pub(super) fn leave(&self, group: &str, number: u64) -> bool {
        let mut wakers = Vec::new();
        let was_in = {
            let mut state = self.lock();
            let was_in = state.machine.leave(group, number);
            if was_in
                && state.machine.groups_of(number).is_empty()
                && let Some(watched) = state.watched.remove(&number)
            {
                watched.end.abort();
            }
            state.tell(&mut wakers);
            was_in
        };
        self.news.notify_one();
        wakers.into_iter().for_each(Waker::wake);
        was_in
    }

    fn ended(&self, number: u64) {
        let mut wakers = Vec::new();
        {
            let mut state = self.lock();
            state.watched.remove(&number);
            state.machine.leave_all(number);
            state.tell(&mut wakers);
        }
        self.news.notify_one();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The members of a group now, and the number of the board that goes with them.
    pub(super) fn members(&self, board: &Board) -> (u64, Vec<Member>) {
        let state = self.lock();
        let version = board.version.load(Ordering::Relaxed);
        (
            version,
            state.machine.members(&board.group).cloned().collect(),
        )
    }

    /// Has a queue told of changes from now on, and what there is first.
    pub(super) fn subscribe(&self, board: &Board, queue: &Arc<Queue>) {
        let _state = self.lock();
        let mut subscribers = board.subscribers();
        subscribers.retain(|queue| queue.strong_count() > 0);
        subscribers.push(Arc::downgrade(queue));
    }

    /// What a subscriber begins with, or goes on with when it has missed something: everything before this is in
    /// it, everything after it comes.
    pub(super) fn refill(&self, board: &Board, queue: &Queue) -> Vec<Member> {
        let state = self.lock();
        queue.forget();
        let members = state.machine.members(&board.group);
        members
            .filter(|member| queue.wants(member))
            .cloned()
            .collect()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state
            .watched
            .values()
            .for_each(|watched| watched.end.abort());
    }
}

impl State {
    /// What was in a group in the life before.
    fn join_again(&mut self, group: &str, mut entry: Entry) {
        let Some(watched) = self.watched.get(&entry.number) else {
            // It has ended, and is about to be taken out.
            return;
        };
        entry.key = Key((self.keys)(watched.actor));
        if let Err(error) = self.machine.join(group, entry) {
            tracing::error!(group, %error, "an actor is not in its group any more");
        }
    }

    /// Puts what has happened where it is waited for; `wakers` are to be woken when the lock is let go.
    fn tell(&mut self, wakers: &mut Vec<Waker>) {
        while let Some(event) = self.machine.poll_event() {
            let (group, event) = match event {
                Event::Joined { group, member } => (group, GroupEvent::Joined(member)),
                Event::Changed { group, member } => (group, GroupEvent::Changed(member)),
                Event::Left { group, member, why } => (group, GroupEvent::Left { member, why }),
                Event::Refused { peer, why } => {
                    tracing::warn!(%peer, %why, "a peer's groups are not listed: it has too many members in them");
                    continue;
                }
                Event::Malformed { peer, error } => {
                    self.malformed += 1;
                    // Not a line for each: a peer can send many.
                    if self.malformed.is_power_of_two() {
                        let count = self.malformed;
                        tracing::warn!(%peer, %error, count, "a datagram about groups that means nothing was dropped");
                    }
                    continue;
                }
            };
            if let Some(board) = self.boards.get(&group).and_then(Weak::upgrade) {
                board.tell(&event, wakers);
            }
        }
    }
}

impl Board {
    /// Goes up with each change of the group. A handle that reads an older one picks among the members of a moment
    /// ago, as it would a moment ago.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<Weak<Queue>>> {
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: &GroupEvent, wakers: &mut Vec<Waker>) {
        self.version.fetch_add(1, Ordering::Relaxed);
        for queue in self.subscribers().iter().filter_map(Weak::upgrade) {
            wakers.extend(queue.push(event));
        }
    }
}
