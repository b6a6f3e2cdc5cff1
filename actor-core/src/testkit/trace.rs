//! What happened in a simulation, in order, without anything that differs from run to run.
//!
//! Actors are numbered as they are spawned, because their ids name places in memory that belong to the
//! whole process. The hash covers every event since the start; the events themselves are kept up to a
//! limit, the newest. Texts (of panics, names) are kept and printed but not hashed: user code may put
//! an id or an address into them.
//!
//! The trace knows the tree, so it is also what finds orphans: see [`Recorder::broken`].

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::fault::Struck;
use crate::cell::StopReason;
use crate::cell::observe::{Event, Hook};
use crate::id::ActorId;
use crate::mailbox::node::Fate;

/// An actor of a simulation by the order of spawning; 0 is the system's root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ActorNumber(pub u32);

impl fmt::Display for ActorNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TraceEvent {
    /// Virtual time since the start of the simulation.
    pub at: Duration,
    /// The actor it happened to.
    pub actor: ActorNumber,
    /// The actor's type.
    pub actor_type: &'static str,
    /// What happened.
    pub kind: TraceKind,
}

/// What may happen.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TraceKind {
    /// It was spawned.
    Spawned {
        /// By whom; the root for top-level actors.
        parent: Option<ActorNumber>,
        /// Its name, if it has one.
        name: Option<Arc<str>>,
    },
    /// A turn of it began.
    Turn,
    /// A message was handled.
    Handled {
        /// The message's type.
        message: &'static str,
    },
    /// A message was not handled.
    Unhandled {
        /// The message's type.
        message: &'static str,
        /// Why not.
        fate: Fate,
    },
    /// A life of it ended in failure.
    Failed {
        /// Why.
        reason: StopReason,
    },
    /// It was granted another life.
    Restarted,
    /// It ended for good.
    Stopped {
        /// Why.
        reason: StopReason,
    },
    /// A planted panic was raised in its code.
    Struck {
        /// Where.
        hook: Hook,
    },
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>10.3} s  {:>4} {}: ",
            self.at.as_secs_f64(),
            self.actor,
            short(self.actor_type)
        )?;
        match &self.kind {
            TraceKind::Spawned { parent, name } => {
                f.write_str("spawned")?;
                if let Some(name) = name {
                    write!(f, " as {name:?}")?;
                }
                match parent {
                    Some(parent) => write!(f, " by {parent}"),
                    None => Ok(()),
                }
            }
            TraceKind::Turn => f.write_str("turn"),
            TraceKind::Handled { message } => write!(f, "handled {}", short(message)),
            TraceKind::Unhandled { message, fate } => {
                write!(f, "did not handle {}: {fate}", short(message))
            }
            TraceKind::Failed { reason } => write!(f, "failed: {reason}"),
            TraceKind::Restarted => f.write_str("restarted"),
            TraceKind::Stopped { reason } => write!(f, "gone: {reason}"),
            TraceKind::Struck { hook } => write!(f, "planted panic in {hook:?}"),
        }
    }
}

/// A type's name without the path to it: the part before the first `<`, after its last `::`.
pub(super) fn short(type_name: &'static str) -> &'static str {
    let end = type_name.find('<').unwrap_or(type_name.len());
    let start = type_name[..end].rfind("::").map_or(0, |at| at + 2);
    &type_name[start..]
}

/// The events of a simulation, oldest first; prints one per line.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    events: Vec<TraceEvent>,
    forgotten: u64,
}

impl Trace {
    /// The events that are kept, oldest first.
    pub fn events(&self) -> &[TraceEvent] {
        &self.events
    }

    /// Older events that were not kept (see `SimulationBuilder::trace_limit`).
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The last `n` events.
    #[must_use]
    pub fn tail(&self, n: usize) -> Self {
        let skipped = self.events.len().saturating_sub(n);
        Self {
            events: self.events[skipped..].to_vec(),
            forgotten: self.forgotten + skipped as u64,
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.forgotten > 0 {
            writeln!(f, "({} events before)", self.forgotten)?;
        }
        for event in &self.events {
            writeln!(f, "{event}")?;
        }
        Ok(())
    }
}

/// What is known of one actor.
#[derive(Debug)]
struct Known {
    actor_type: &'static str,
    parent: Option<u32>,
    living_children: u32,
    alive: bool,
}

/// Writes the trace.
#[derive(Debug)]
pub(super) struct Recorder {
    numbers: HashMap<ActorId, u32>,
    actors: Vec<Known>,
    events: VecDeque<TraceEvent>,
    limit: usize,
    forgotten: u64,
    hash: Fnv,
    restarts: u64,
    /// What must never be, as it was found.
    broken: Vec<String>,
}

impl Recorder {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            numbers: HashMap::new(),
            actors: Vec::new(),
            events: VecDeque::new(),
            limit,
            forgotten: 0,
            hash: Fnv::new(),
            restarts: 0,
            broken: Vec::new(),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.0
    }

    pub(super) fn trace(&self) -> Trace {
        Trace {
            events: self.events.iter().cloned().collect(),
            forgotten: self.forgotten,
        }
    }

    pub(super) fn broken(&self) -> &[String] {
        &self.broken
    }

    /// Actors that live, the root among them, and restarts.
    pub(super) fn counted(&self) -> (u64, u64) {
        let alive = self.actors.iter().filter(|each| each.alive).count();
        (alive as u64, self.restarts)
    }

    pub(super) fn number(&self, actor: ActorId) -> Option<ActorNumber> {
        self.numbers.get(&actor).copied().map(ActorNumber)
    }

    pub(super) fn type_of(&self, actor: ActorId) -> Option<&'static str> {
        let number = *self.numbers.get(&actor)?;
        Some(self.actors[number as usize].actor_type)
    }

    pub(super) fn record(&mut self, at: Duration, event: &Event<'_>) {
        match *event {
            Event::Spawned {
                actor,
                parent,
                actor_type,
                name,
            } => {
                let parent = parent.and_then(|parent| self.numbers.get(&parent).copied());
                let number = self.actors.len() as u32;
                self.numbers.insert(actor, number);
                self.actors.push(Known {
                    actor_type,
                    parent,
                    living_children: 0,
                    alive: true,
                });
                if let Some(parent) = parent {
                    if !self.actors[parent as usize].alive {
                        self.broken.push(format!(
                            "#{number} was spawned under #{parent}, which is gone"
                        ));
                    }
                    self.actors[parent as usize].living_children += 1;
                }
                let kind = TraceKind::Spawned {
                    parent: parent.map(ActorNumber),
                    name: name.map(Arc::from),
                };
                self.push(at, number, kind, 1, &[actor_type]);
            }
            Event::Turn { actor } => {
                // A cell whose actor is gone has turns to bury what still comes.
                if let Some(&number) = self.numbers.get(&actor) {
                    self.push(at, number, TraceKind::Turn, 2, &[]);
                }
            }
            Event::Handled { actor, message } => {
                self.push_of(at, actor, TraceKind::Handled { message }, 3, &[message]);
            }
            Event::Unhandled {
                actor,
                message,
                fate,
            } => {
                let kind = TraceKind::Unhandled { message, fate };
                self.push_of(at, actor, kind, 0x10 + fate as u8, &[message]);
            }
            Event::Failed { actor, reason } => {
                let reason = reason.clone();
                let code = 0x20 + reason_code(&reason);
                self.push_of(at, actor, TraceKind::Failed { reason }, code, &[]);
            }
            Event::Restarted { actor } => {
                self.restarts += 1;
                self.push_of(at, actor, TraceKind::Restarted, 4, &[]);
            }
            Event::Stopped { actor, reason } => {
                let reason = reason.clone();
                self.stopped(actor);
                let code = 0x30 + reason_code(&reason);
                self.push_of(at, actor, TraceKind::Stopped { reason }, code, &[]);
            }
            Event::FromChild { parent, child, or } => self.heard(parent, child, or),
        }
    }

    pub(super) fn struck(&mut self, at: Duration, struck: &Struck) {
        let hook = struck.hook;
        let code = 0x40 + hook as u8;
        self.push_of(at, struck.actor, TraceKind::Struck { hook }, code, &[]);
    }

    fn stopped(&mut self, actor: ActorId) {
        let Some(&number) = self.numbers.get(&actor) else {
            return;
        };
        let known = &mut self.actors[number as usize];
        if !known.alive {
            self.broken.push(format!("#{number} ended twice"));
            return;
        }
        known.alive = false;
        let (orphans, parent) = (known.living_children, known.parent);
        if orphans > 0 {
            self.broken.push(format!(
                "#{number} ended before {orphans} of its children: they are orphans"
            ));
        }
        if let Some(parent) = parent {
            self.actors[parent as usize].living_children -= 1;
        }
    }

    fn heard(&mut self, parent: ActorId, child: ActorId, or: ActorId) {
        let Some(&at) = self.numbers.get(&parent) else {
            self.broken.push(format!(
                "{parent} heard of {child} as its child and never was"
            ));
            return;
        };
        let is_its_child = [child, or].iter().any(|child| {
            let child = self.numbers.get(child);
            child.is_some_and(|&child| self.actors[child as usize].parent == Some(at))
        });
        if !is_its_child {
            self.broken
                .push(format!("#{at} heard of {child}, which is not its child"));
        }
    }

    fn push_of(
        &mut self,
        at: Duration,
        actor: ActorId,
        kind: TraceKind,
        code: u8,
        texts: &[&'static str],
    ) {
        // What happens in a cell after its actor's end (late dead letters) is told of the next
        // generation, which has no number yet.
        if let Some(&number) = self.numbers.get(&actor) {
            self.push(at, number, kind, code, texts);
        }
    }

    fn push(&mut self, at: Duration, number: u32, kind: TraceKind, code: u8, texts: &[&str]) {
        self.hash.write(&[code]);
        self.hash.write(&number.to_le_bytes());
        // Nanoseconds of 584 years.
        self.hash.write(&(at.as_nanos() as u64).to_le_bytes());
        for text in texts {
            self.hash.write(text.as_bytes());
        }
        if self.limit == 0 {
            self.forgotten += 1;
            return;
        }
        if self.events.len() == self.limit {
            self.events.pop_front();
            self.forgotten += 1;
        }
        self.events.push_back(TraceEvent {
            at,
            actor: ActorNumber(number),
            actor_type: self.actors[number as usize].actor_type,
            kind,
        });
    }
}

/// The kind of a reason, without its text.
fn reason_code(reason: &StopReason) -> u8 {
    match reason {
        StopReason::Normal => 0,
        StopReason::Shutdown => 1,
        StopReason::Killed => 2,
        StopReason::Panicked(_) => 3,
        StopReason::Failed(_) => 4,
        StopReason::StartFailed(_) => 5,
        StopReason::NotFound => 6,
        _ => 7,
    }
}

/// FNV-1a, 64 bits: the same in every build, and fast for a few bytes at a time.
#[derive(Debug)]
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
