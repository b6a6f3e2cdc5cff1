//! One round of a group restart: who is stopped next, who is started next.
//!
//! ```text
//!   stopping: youngest to oldest, each down or gone before the next is told
//!     -> the one that failed sits out its back-off
//!     -> starting: oldest to youngest, each up before the next is told
//! ```
//!
//! So nothing of the old is alive when the first of the new starts (S02, S03). The round knows children
//! by a name and takes what happens to them as events; it asks for one thing at a time. As in OTP
//! (`supervisor.erl`, `restart_multiple_children`) it matters not how a member ends while the round
//! stops it: an end of its own is neither counted nor final, unless the member cannot come back.
//!
//! A member that fails to start ends the round; the supervisor counts the failure and begins another
//! round with what is up by then, which stops that first (S11).

use std::collections::HashMap;
use std::hash::Hash;

/// Where one member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Runs, or is on its way to.
    Up,
    /// Has been told to stop.
    Told,
    /// Has ended and waits for the word to start again.
    Down,
    /// Was terminated earlier and only its specification is left: it is started with the others.
    Kept,
    /// Has been told to start.
    Starting,
    /// Was started by this round.
    Back,
    /// Will not come back.
    Gone,
}

/// What the supervisor is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Order<C> {
    /// Stop this child so that it can be started again.
    Stop(C),
    /// Have this child sit out its back-off.
    Prepare(C),
    /// Start this child, which is down.
    Start(C),
    /// Start a new child from the specification that was kept; [`Round::revived`] says what became of it.
    Revive(C),
    /// Nothing before the next event.
    Wait,
    /// The round is over.
    Done,
}

/// What it means that a child reports to be down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Report {
    /// The round was waiting for it, or would have stopped it anyway.
    Expected,
    /// It could not be started: a failure, and the end of this round.
    StartFailed,
    /// A failure that this round is not about; to be seen to when it is over.
    Later,
}

/// A group restart under way.
#[derive(Debug)]
pub(crate) struct Round<C> {
    /// Oldest first.
    members: Vec<(C, Standing)>,
    at: HashMap<C, usize>,
    /// Whose failure it is.
    failed: Option<usize>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Members from here on are down or gone.
    Stopping(usize),
    Preparing,
    /// Members before this one are back or gone.
    Starting(usize),
}

impl<C: Copy + Eq + Hash> Round<C> {
    /// A round over `members`, oldest first, because of `failed`.
    pub(crate) fn new(members: Vec<(C, Standing)>, failed: C) -> Self {
        let at: HashMap<C, usize> = members
            .iter()
            .enumerate()
            .map(|(index, (child, _))| (*child, index))
            .collect();
        Self {
            failed: at.get(&failed).copied(),
            stage: Stage::Stopping(members.len()),
            members,
            at,
        }
    }

    /// Whether the child takes part and is down.
    pub(crate) fn is_down(&self, child: C) -> bool {
        self.standing(child) == Some(Standing::Down)
    }

    /// Where the child stands, if it takes part.
    pub(crate) fn standing(&self, child: C) -> Option<Standing> {
        self.at.get(&child).map(|index| self.members[*index].1)
    }

    /// What to do next; to be asked again after each order but `Wait` and `Done`.
    pub(crate) fn next(&mut self) -> Order<C> {
        loop {
            match self.stage {
                Stage::Stopping(0) => {
                    self.stage = Stage::Preparing;
                    if let Some((child, Standing::Down)) = self.failed.map(|at| self.members[at]) {
                        return Order::Prepare(child);
                    }
                    self.stage = Stage::Starting(0);
                }
                Stage::Stopping(above) => {
                    let (child, standing) = &mut self.members[above - 1];
                    match standing {
                        Standing::Up => {
                            *standing = Standing::Told;
                            return Order::Stop(*child);
                        }
                        Standing::Told => return Order::Wait,
                        _ => self.stage = Stage::Stopping(above - 1),
                    }
                }
                Stage::Preparing => return Order::Wait,
                Stage::Starting(below) => {
                    let Some((child, standing)) = self.members.get_mut(below) else {
                        return Order::Done;
                    };
                    match std::mem::replace(standing, Standing::Starting) {
                        Standing::Down => return Order::Start(*child),
                        Standing::Kept => return Order::Revive(*child),
                        Standing::Starting => return Order::Wait,
                        other => {
                            *standing = other;
                            self.stage = Stage::Starting(below + 1);
                        }
                    }
                }
            }
        }
    }

    /// A child has ended and waits for the word to start again.
    pub(crate) fn down(&mut self, child: C) -> Report {
        let Some(index) = self.at.get(&child) else {
            return Report::Later;
        };
        let standing = &mut self.members[*index].1;
        match standing {
            Standing::Up | Standing::Told | Standing::Down => {
                *standing = Standing::Down;
                if self.stage == Stage::Preparing && self.failed == Some(*index) {
                    // It kept its children, and one of them failed it once more before it heard that it
                    // is to prepare: it was not down then, and has to be told again.
                    self.stage = Stage::Stopping(0);
                }
                Report::Expected
            }
            Standing::Starting => {
                *standing = Standing::Down;
                Report::StartFailed
            }
            Standing::Back | Standing::Kept | Standing::Gone => Report::Later,
        }
    }

    /// The child that failed has sat out its back-off.
    pub(crate) fn ready(&mut self, child: C) {
        if self.stage == Stage::Preparing && self.at.get(&child).copied() == self.failed {
            self.stage = Stage::Starting(0);
        }
    }

    /// A child is up.
    pub(crate) fn up(&mut self, child: C) {
        if let Some(index) = self.at.get(&child)
            && self.members[*index].1 == Standing::Starting
        {
            self.members[*index].1 = Standing::Back;
        }
    }

    /// A child is gone for good, or its specification is.
    pub(crate) fn gone(&mut self, child: C) {
        if let Some(index) = self.at.get(&child).copied() {
            self.members[index].1 = Standing::Gone;
            if self.stage == Stage::Preparing && self.failed == Some(index) {
                self.stage = Stage::Starting(0);
            }
        }
    }

    /// A kept specification has become this child.
    pub(crate) fn revived(&mut self, kept: C, child: C) {
        if let Some(index) = self.at.remove(&kept) {
            self.members[index].0 = child;
            self.at.insert(child, index);
        }
    }
}

#[cfg(test)]
mod tests;
