//! The replicated state machine: requests in, in the agreed order, outcomes and events out.
//!
//! Pure, and the same everywhere: it knows no clock, no randomness and no order but that of names and numbers. Laws:
//!
//! - A life that has been declared down stays down, as does every life before it (as long as it is remembered:
//!   [`REMEMBERED_MAX`] peers).
//! - Only members own things. What a member owned has no owner from the command that declares it down.
//! - No shard has two owners in one epoch (`shard_map`).
//! - A request is applied once. Its outcome is kept until the sender says that it has it, or is down.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, Life, PeerId};

use super::authority::{
    Authority, Event, MEMBERS_MAX, MemberRecord, NAMES_MAX, Over, REMEMBERED_MAX,
};
use super::command::{
    Applied, Command, Limited, MOVES_MAX, NAME_BYTES_MAX, NameAddress, NameRecord, Refusal, Request,
};
use super::shard_map::{self, ShardCommand, ShardMap};

/// Outcomes that are kept for one member: 1,024. It has fewer requests on their way (`REQUESTS_MAX`).
pub(crate) const OUTCOMES_MAX: usize = 1024;

/// What became of a request, the same on every peer.
pub(crate) type Outcome = Result<Applied, Refusal>;

/// The state machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    authority: Authority,
    sessions: BTreeMap<Life, Session>,
    events: Vec<Event>,
}

/// The requests of one member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Session {
    /// It has the answers to all before this one.
    answered: u64,
    outcomes: BTreeMap<u64, Outcome>,
}

impl Machine {
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Applies a request; the events are what it changed.
    pub(crate) fn apply(&mut self, request: &Request) -> (Outcome, Vec<Event>) {
        // These two need no session: to say them again changes nothing. And who says them need not be a member,
        // or no longer.
        if let Command::Up { .. } | Command::Down { .. } = request.command {
            return (self.run(request), std::mem::take(&mut self.events));
        }
        if !self.authority.is_up(&request.by) {
            return (Err(self.not_a_member(&request.by)), Vec::new());
        }
        let session = self.sessions.entry(request.by.clone()).or_default();
        session.answered = session.answered.max(request.answered);
        session.outcomes = session.outcomes.split_off(&session.answered);
        if let Some(outcome) = session.outcomes.get(&request.sequence) {
            return (outcome.clone(), Vec::new());
        }
        if request.sequence < session.answered {
            let sequence = request.sequence;
            return (Err(Refusal::Superseded { sequence }), Vec::new());
        }
        if session.outcomes.len() >= OUTCOMES_MAX {
            return (Err(full(Limited::Requests, OUTCOMES_MAX)), Vec::new());
        }
        let outcome = self.run(request);
        // A command may have ended its sender's session with its life.
        if let Some(session) = self.sessions.get_mut(&request.by) {
            session.outcomes.insert(request.sequence, outcome.clone());
        }
        (outcome, std::mem::take(&mut self.events))
    }

    fn run(&mut self, request: &Request) -> Outcome {
        let by = &request.by;
        match &request.command {
            Command::Up { life, store, zone } => self.up(life, *store, zone),
            Command::Down { life, left } => Ok(self.down(life, *left)),
            Command::ClaimName {
                name,
                address,
                actor_type,
            } => self.claim_name(by, name, address, actor_type),
            Command::ReleaseName { name, address } => self.release_name(name, address),
            Command::Shards(command) => self.shards(by, command),
        }
    }

    fn up(&mut self, life: &Life, store: Incarnation, zone: &str) -> Outcome {
        if self.authority.is_over(life) {
            return Err(Refusal::LifeIsOver { life: life.clone() });
        }
        if self.authority.is_up(life) {
            return Ok(self.same());
        }
        if zone.len() > NAME_BYTES_MAX {
            return Err(Refusal::Name { bytes: zone.len() });
        }
        let before = self.authority.member(&life.peer);
        let earlier = before.map(|member| Life {
            peer: life.peer.clone(),
            incarnation: member.incarnation,
        });
        if earlier.is_none() && self.authority.members.len() >= MEMBERS_MAX {
            return Err(full(Limited::Members, MEMBERS_MAX));
        }
        let version = self.next();
        self.authority.epoch += 1;
        if let Some(earlier) = earlier {
            self.end(&earlier, false);
        }
        let record = MemberRecord {
            incarnation: life.incarnation,
            store,
            zone: zone.to_owned(),
            since: self.authority.epoch,
        };
        Arc::make_mut(&mut self.authority.members).insert(life.peer.clone(), record);
        self.events.push(Event::Up(life.clone()));
        Ok(Applied {
            version,
            changed: 1,
        })
    }

    fn down(&mut self, life: &Life, left: bool) -> Applied {
        if self.authority.is_over(life) {
            return self.same();
        }
        let version = self.next();
        self.authority.epoch += 1;
        // A life that nobody heard of yet is over all the same; a later one that is up is not over: that case
        // is caught above. One that is up and earlier than this is over with it.
        let up = self.authority.member(&life.peer);
        let up = up.map(|member| member.incarnation);
        if let Some(incarnation) = up {
            let peer = life.peer.clone();
            self.end(&Life { peer, incarnation }, left);
        }
        if up.is_none_or(|incarnation| incarnation != life.incarnation) {
            let life = life.clone();
            self.events.push(Event::Down { life, left });
        }
        self.remember(life, left);
        Applied {
            version,
            changed: 1,
        }
    }

    /// A member is none any more, and what it owned is free.
    fn end(&mut self, life: &Life, left: bool) {
        Arc::make_mut(&mut self.authority.members).remove(&life.peer);
        self.remember(life, left);
        self.sessions.remove(life);
        let life = life.clone();
        self.events.push(Event::Down {
            life: life.clone(),
            left,
        });
        let names = self.authority.names();
        let names: Vec<_> = names
            .filter(|(_, by)| by.address.life == life)
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in names {
            self.authority.names.remove(&name);
            self.events.push(Event::Name { name, is: None });
        }
        let kinds = self.authority.shards.kinds();
        let used = kinds.filter(|(_, kind)| kind.is_user(&life));
        let used: Vec<_> = used.map(|(name, _)| name.to_owned()).collect();
        if !used.is_empty() {
            Arc::make_mut(&mut self.authority.shards).remove(&life);
        }
        let changed = used.into_iter().map(|kind| Event::Shards { kind });
        self.events.extend(changed);
    }

    fn remember(&mut self, life: &Life, left: bool) {
        let since = self.authority.epoch;
        let over = Arc::make_mut(&mut self.authority.over);
        let last = over.entry(life.peer.clone()).or_insert(Over {
            incarnation: life.incarnation,
            since,
            left,
        });
        if last.incarnation < life.incarnation {
            *last = Over {
                incarnation: life.incarnation,
                since,
                left,
            };
        }
        while over.len() > REMEMBERED_MAX {
            let oldest = over.iter().min_by_key(|(_, over)| over.since);
            let Some(oldest) = oldest.map(|(peer, _)| peer.clone()) else {
                return;
            };
            over.remove(&oldest);
        }
    }

    fn claim_name(
        &mut self,
        asker: &Life,
        name: &str,
        address: &NameAddress,
        actor_type: &str,
    ) -> Outcome {
        check_name(name)?;
        if actor_type.len() > NAME_BYTES_MAX {
            let bytes = actor_type.len();
            return Err(Refusal::Name { bytes });
        }
        self.check_member(&address.life)?;
        // Nobody speaks of another's actors.
        if address.life != *asker {
            return Err(Refusal::NotTheOwner {
                what: format!("{address}"),
                owner: Some(address.life.clone()),
            });
        }
        match self.authority.name(name) {
            Some(by) if by.address == *address => {
                return Ok(Applied {
                    version: by.epoch,
                    changed: 0,
                });
            }
            Some(by) => {
                return Err(Refusal::NameTaken {
                    name: name.to_owned(),
                    by: Box::new(by.clone()),
                });
            }
            None => {}
        }
        if self.authority.names.len() >= NAMES_MAX {
            return Err(full(Limited::Names, NAMES_MAX));
        }
        let version = self.next();
        let by = NameRecord {
            address: address.clone(),
            actor_type: actor_type.to_owned(),
            epoch: version,
        };
        let name = name.to_owned();
        self.authority.names.insert(name.clone(), by.clone());
        let is = Some(Box::new(by));
        self.events.push(Event::Name { name, is });
        Ok(Applied {
            version,
            changed: 1,
        })
    }

    fn release_name(&mut self, name: &str, address: &NameAddress) -> Outcome {
        match self.authority.name(name) {
            Some(by) if by.address == *address => {}
            other => {
                return Err(Refusal::NotTheOwner {
                    what: format!("the name {name:?}"),
                    owner: other.map(|by| by.address.life.clone()),
                });
            }
        }
        let version = self.next();
        self.authority.names.remove(name);
        self.events.push(Event::Name {
            name: name.to_owned(),
            is: None,
        });
        Ok(Applied {
            version,
            changed: 1,
        })
    }

    fn shards(&mut self, by: &Life, command: &ShardCommand) -> Outcome {
        let (kind, moves) = match command {
            ShardCommand::Declare { kind, user, .. } => {
                self.check_member(user)?;
                (kind, 1)
            }
            ShardCommand::Assign { kind, shards } | ShardCommand::Move { kind, shards } => {
                (kind, shards.len())
            }
            // Only the owner knows that the last of its actors has ended.
            ShardCommand::Release { owner, .. } if owner != by => {
                return Err(Refusal::NotTheOwner {
                    what: "a shard".to_owned(),
                    owner: Some(owner.clone()),
                });
            }
            ShardCommand::Release { kind, shards, .. } => (kind, shards.len()),
        };
        if moves > MOVES_MAX {
            return Err(full(Limited::Moves, MOVES_MAX));
        }
        let Authority {
            shards, members, ..
        } = &mut self.authority;
        // Only members own: a life that is not one yet is as one that is no more.
        let is_gone = |life: &Life| {
            members
                .get(&life.peer)
                .is_none_or(|member| member.incarnation != life.incarnation)
        };
        let kind = kind.clone();
        match Arc::make_mut(shards).apply(command, &is_gone) {
            shard_map::Applied::Changed(changed) => {
                self.events.push(Event::Shards { kind });
                let version = self.next();
                Ok(Applied { version, changed })
            }
            shard_map::Applied::Nothing => Ok(self.same()),
            shard_map::Applied::OtherShards(is) => Err(Refusal::ShardCount { kind, is }),
            shard_map::Applied::Invalid => Err(Refusal::NoSuchShards { kind }),
        }
    }

    fn check_member(&self, life: &Life) -> Result<(), Refusal> {
        if self.authority.is_up(life) {
            Ok(())
        } else {
            Err(self.not_a_member(life))
        }
    }

    fn not_a_member(&self, life: &Life) -> Refusal {
        let life = life.clone();
        if self.authority.is_over(&life) {
            Refusal::LifeIsOver { life }
        } else {
            Refusal::NotAMember { life }
        }
    }

    /// The version of the change that is being made.
    fn next(&mut self) -> u64 {
        self.authority.version += 1;
        self.authority.version
    }

    /// Nothing had to change.
    fn same(&self) -> Applied {
        Applied {
            version: self.authority.version,
            changed: 0,
        }
    }

    /// The whole state, to be written down.
    pub(crate) fn save(&self) -> Saved {
        let authority = &self.authority;
        Saved {
            version: authority.version,
            epoch: authority.epoch,
            members: (*authority.members).clone(),
            over: (*authority.over).clone(),
            names: authority
                .names
                .iter()
                .map(|(name, at)| (name.clone(), at.clone()))
                .collect(),
            shards: (*authority.shards).clone(),
            sessions: self.sessions.clone(),
        }
    }

    /// The state that was written down.
    pub(crate) fn load(saved: Saved) -> Self {
        Self {
            authority: Authority {
                version: saved.version,
                epoch: saved.epoch,
                members: Arc::new(saved.members),
                over: Arc::new(saved.over),
                names: saved.names.into_iter().collect(),
                shards: Arc::new(saved.shards),
            },
            sessions: saved.sessions,
            events: Vec::new(),
        }
    }
}

/// The whole state as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Saved {
    version: u64,
    epoch: u64,
    members: BTreeMap<PeerId, MemberRecord>,
    over: BTreeMap<PeerId, Over>,
    names: BTreeMap<String, NameRecord>,
    shards: ShardMap,
    sessions: BTreeMap<Life, Session>,
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) {
        Ok(())
    } else {
        Err(Refusal::Name { bytes: name.len() })
    }
}

fn full(what: Limited, max: usize) -> Refusal {
    Refusal::Full { what, max }
}

#[cfg(test)]
mod tests;
