//! Who is known, and which connection of whom counts: values in, verdicts out.
//!
//! A control connection comes about in two steps on either side, since a dialler does not know whom it will
//! reach. The acceptor *reserves* when it has read the greeting, and *takes* when the dialler has confirmed;
//! the dialler *claims* when it has read the answer, before it confirms. Where a reservation and a claim meet
//! both sides have dialled at once: the dial of the smaller id counts, on both sides, and the other one is
//! withdrawn. (Where both knew whom they dial the arbiter sees it earlier.)

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{Incarnation, PeerId};
use crate::wire::arbiter::{Accepted, Known, Verdict, judge, judge_lane};
use crate::wire::hello::{Hello, Introduction, Refusal};

/// All peers that were ever met, by name. `P` is a present life.
#[derive(Debug)]
pub(super) struct Book<P> {
    own: PeerId,
    entries: BTreeMap<PeerId, Entry<P>>,
}

#[derive(Debug)]
struct Entry<P> {
    /// Of the last life; 0 before the first was met.
    incarnation: Incarnation,
    dead: bool,
    life: Option<Arc<P>>,
    epoch: u32,
    session: u128,
    connected: bool,
    reserved: Option<Reservation>,
    /// Greetings of ours that are out.
    dialling: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reservation {
    incarnation: Incarnation,
    session: u128,
}

/// What to do about a connection that has come about.
#[derive(Debug)]
pub(super) struct Taken<P> {
    pub(super) life: Arc<P>,
    /// It is a new one: nothing of what the other side counts is of this life.
    pub(super) fresh: bool,
    /// The life that is over by it.
    pub(super) ended: Option<Arc<P>>,
}

/// What a dialler says of its last connection to a peer.
#[derive(Debug)]
pub(super) struct Memory<P> {
    pub(super) incarnation: Option<Incarnation>,
    pub(super) epoch: u32,
    pub(super) life: Option<Arc<P>>,
}

impl<P> Default for Entry<P> {
    fn default() -> Self {
        Self {
            incarnation: Incarnation(0),
            dead: false,
            life: None,
            epoch: 0,
            session: 0,
            connected: false,
            reserved: None,
            dialling: 0,
        }
    }
}

impl<P> Entry<P> {
    fn known(&self) -> Known {
        Known {
            incarnation: self.incarnation,
            dead: self.dead,
            epoch: self.epoch,
            connected: self.connected,
            dialling: self.dialling > 0,
            session: self.session,
        }
    }

    /// A connection with this life of the peer counts from now on.
    fn take(
        &mut self,
        who: &Introduction,
        session: u128,
        epoch: u32,
        new: impl FnOnce() -> Arc<P>,
    ) -> Taken<P> {
        let same = self.incarnation == who.incarnation;
        let ended = if same { None } else { self.life.take() };
        self.reserved = None;
        self.incarnation = who.incarnation;
        self.dead = false;
        self.session = session;
        self.epoch = epoch;
        self.connected = true;
        let (life, fresh) = match &self.life {
            Some(life) => (life.clone(), false),
            None => (new(), true),
        };
        self.life = Some(life.clone());
        Taken { life, fresh, ended }
    }
}

impl<P> Book<P> {
    pub(super) fn new(own: PeerId) -> Self {
        Self {
            own,
            entries: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, peer: &PeerId) -> Option<Arc<P>> {
        self.entries.get(peer)?.life.clone()
    }

    pub(super) fn all(&self) -> Vec<Arc<P>> {
        self.entries
            .values()
            .filter_map(|entry| entry.life.clone())
            .collect()
    }

    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.entries.get(peer).is_some_and(|entry| entry.connected)
    }

    /// What to say to a peer that is dialled.
    pub(super) fn memory(&self, peer: &PeerId) -> Memory<P> {
        let entry = self.entries.get(peer);
        Memory {
            incarnation: entry
                .map(|entry| entry.incarnation)
                .filter(|incarnation| incarnation.0 > 0),
            epoch: entry.map_or(0, |entry| entry.epoch),
            life: entry.and_then(|entry| entry.life.clone()),
        }
    }

    /// A greeting to this peer goes out; [`dialled`](Self::dialled) when it is answered, or not.
    pub(super) fn dialling(&mut self, peer: &PeerId) {
        self.entries.entry(peer.clone()).or_default().dialling += 1;
    }

    pub(super) fn dialled(&mut self, peer: &PeerId) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.dialling = entry.dialling.saturating_sub(1);
        }
    }

    /// An acceptor's verdict on a greeting. If it accepts, `session` is kept for it.
    pub(super) fn reserve(&mut self, hello: &Hello, session: u128) -> Result<Accepted, Refusal> {
        let peer = &hello.who.peer;
        let known = self.entries.get(peer).map(Entry::known);
        match judge(&self.own, known.as_ref(), hello) {
            Verdict::Refuse(refusal) => Err(refusal),
            Verdict::Accept(accepted) => {
                self.entries.entry(peer.clone()).or_default().reserved = Some(Reservation {
                    incarnation: hello.who.incarnation,
                    session,
                });
                Ok(accepted)
            }
        }
    }

    /// What was reserved has not come about.
    pub(super) fn release(&mut self, peer: &PeerId, session: u128) {
        if let Some(entry) = self.entries.get_mut(peer)
            && entry.reserved.is_some_and(|it| it.session == session)
        {
            entry.reserved = None;
        }
    }

    /// The dialler has confirmed what was reserved.
    pub(super) fn take(
        &mut self,
        who: &Introduction,
        session: u128,
        epoch: u32,
        new: impl FnOnce() -> Arc<P>,
    ) -> Result<Taken<P>, Refusal> {
        let entry = self.entries.entry(who.peer.clone()).or_default();
        let reserved = Reservation {
            incarnation: who.incarnation,
            session,
        };
        if entry.reserved != Some(reserved) {
            return Err(Refusal::SimultaneousConnect);
        }
        entry.still_wanted(who)?;
        Ok(entry.take(who, session, epoch, new))
    }

    /// A dialler's verdict on an answer. `said`: the last connection that the greeting knew of.
    pub(super) fn claim(
        &mut self,
        who: &Introduction,
        (session, epoch, said): (u128, u32, u32),
        new: impl FnOnce() -> Arc<P>,
    ) -> Result<Taken<P>, Refusal> {
        let ours_counts = self.own < who.peer;
        let entry = self.entries.entry(who.peer.clone()).or_default();
        entry.still_wanted(who)?;
        let same = entry.incarnation == who.incarnation;
        let reserved = entry
            .reserved
            .is_some_and(|it| it.incarnation == who.incarnation);
        let other = same && entry.connected && entry.epoch != said;
        if (reserved || other) && !ours_counts {
            return Err(Refusal::SimultaneousConnect);
        }
        Ok(entry.take(who, session, epoch, new))
    }

    /// The verdict on the greeting of a data lane, and the life that it is of.
    pub(super) fn lane(
        &self,
        hello: &Hello,
        lanes: impl FnOnce(&P) -> (usize, u32),
    ) -> Result<(Arc<P>, Accepted), Refusal> {
        let entry = self.entries.get(&hello.who.peer);
        let known = entry.map(Entry::known);
        let life = entry.and_then(|entry| entry.life.clone());
        let (lanes, epoch) = life.as_deref().map_or((0, 0), lanes);
        match judge_lane(known.as_ref(), lanes, epoch, hello) {
            Verdict::Refuse(refusal) => Err(refusal),
            Verdict::Accept(accepted) => life
                .map(|life| (life, accepted))
                .ok_or(Refusal::UnknownSession),
        }
    }

    /// A control connection has ended.
    pub(super) fn disconnected(&mut self, peer: &PeerId, session: u128) {
        if let Some(entry) = self.entries.get_mut(peer)
            && entry.session == session
        {
            entry.connected = false;
        }
    }

    /// A life is over, and stays so. The life, if it was the present one; also one that was never met stays
    /// away then.
    pub(super) fn bury(&mut self, peer: &PeerId, incarnation: Incarnation) -> Option<Arc<P>> {
        let entry = self.entries.entry(peer.clone()).or_default();
        if incarnation < entry.incarnation {
            return None;
        }
        let older = entry.life.take();
        entry.incarnation = incarnation;
        entry.dead = true;
        entry.connected = false;
        entry.reserved = None;
        older
    }
}

impl<P> Entry<P> {
    fn still_wanted(&self, who: &Introduction) -> Result<(), Refusal> {
        if who.incarnation < self.incarnation {
            let known = self.incarnation.0;
            return Err(Refusal::StaleIncarnation { known });
        }
        if self.dead && who.incarnation == self.incarnation {
            return Err(Refusal::DeclaredDead);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
