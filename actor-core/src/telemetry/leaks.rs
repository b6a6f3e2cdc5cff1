//! Leaks, named: what looks as if it had been forgotten, with the evidence and what to do.
//!
//! References are `Copy`, so nobody can know that none is left: the report goes by evidence and says which.
//! A walk over all cells (`cell::census`) finds suspects without holding anybody up; a bounded number of
//! them is then asked (`cell::inspect`), ahead of their mailboxes; `history` keeps what one walk
//! cannot know: when a suspect was first seen quiet, and how many there were before. `survey` puts it
//! together; this file is what people read.

mod history;
mod survey;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::id::ActorId;

pub(crate) use history::{Ages, History};
pub(crate) use survey::{sample, survey};

/// What counts as a leak, and how hard to look.
///
/// | option | default | |
/// |---|---|---|
/// | `idle_for` | 10 min | an actor that handled nothing for so long is looked at |
/// | `asks_for` | 30 s | a handler that runs for so long is looked at |
/// | `growth_samples` | 5 | samples over which a number must have grown; at least 2 |
/// | `growth_span` | 1 min | and the time that they must span |
/// | `growth_min` | 1000 | actors of one type under one parent below which growth is not told |
/// | `watches_min` | 10,000 | watches of one actor that are told; shorter lists than 1024 never are |
/// | `looks_max` | 1000 | suspects of each kind that are asked; at most 32 of one type and parent for idleness |
/// | `look_limit` | 500 ms | how long their answers are waited for, all together |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeakOptions {
    idle_for: Duration,
    asks_for: Duration,
    growth_samples: usize,
    growth_span: Duration,
    growth_min: u64,
    watches_min: usize,
    looks_max: usize,
    look_limit: Duration,
}

impl LeakOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            idle_for: Duration::from_secs(600),
            asks_for: Duration::from_secs(30),
            growth_samples: 5,
            growth_span: Duration::from_secs(60),
            growth_min: 1000,
            watches_min: 10_000,
            looks_max: 1000,
            look_limit: Duration::from_millis(500),
        }
    }

    /// How long an actor must have handled nothing to be looked at.
    #[must_use]
    pub const fn idle_for(mut self, time: Duration) -> Self {
        self.idle_for = time;
        self
    }

    /// How long a handler must have run to be looked at.
    #[must_use]
    pub const fn asks_for(mut self, time: Duration) -> Self {
        self.asks_for = time;
        self
    }

    /// Over how many samples, and over what time at least, a number must have grown. Fewer than 2
    /// samples are taken as 2, more than 32 as 32.
    #[must_use]
    pub const fn growth(mut self, samples: usize, span: Duration) -> Self {
        self.growth_samples = if samples < 2 {
            2
        } else if samples > history::SAMPLES_MAX / 2 {
            history::SAMPLES_MAX / 2
        } else {
            samples
        };
        self.growth_span = span;
        self
    }

    /// From how many actors of one type under one parent on growth is told.
    #[must_use]
    pub const fn growth_min(mut self, actors: u64) -> Self {
        self.growth_min = actors;
        self
    }

    /// From how many watches on an actor is told. Lists shorter than 1024 are never looked at.
    #[must_use]
    pub const fn watches_min(mut self, watches: usize) -> Self {
        self.watches_min = watches;
        self
    }

    /// How many suspects of each kind are asked, and how long their answers are waited for.
    #[must_use]
    pub const fn looks(mut self, max: usize, limit: Duration) -> Self {
        self.looks_max = max;
        self.look_limit = limit;
        self
    }
}

impl Default for LeakOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// What looks like a leak, by evidence. Print it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeakReport {
    /// Actors that were walked over.
    pub actors: u64,
    /// Time since the first sample: nothing can have been seen idle for longer.
    pub observed_for: Duration,
    /// How long the report took.
    pub took: Duration,
    /// Actors that do nothing and that nobody seems to need, by type and parent, most first.
    pub idle: Vec<IdleActors>,
    /// Handlers that nobody waits for any more, or that wait for somebody themselves, longest first.
    pub asks: Vec<StuckAsk>,
    /// Types that grow in number without end, most first.
    pub growing: Vec<GrowingActors>,
    /// Actors with very many watches, most first.
    pub watches: Vec<ManyWatches>,
    /// Suspects that did not answer: their handlers neither return nor await, or their workers are
    /// behind.
    pub unanswered: Vec<ActorId>,
    /// Suspects that were not asked, for there were too many, or the report was made in a handler.
    pub not_asked: u64,
    /// What was looked for.
    pub options: LeakOptions,
}

/// Idle actors of one type under one parent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IdleActors {
    /// Their type.
    pub actor_type: &'static str,
    /// Their parent; `None` at the top.
    pub parent: Option<ActorId>,
    /// Its type.
    pub parent_type: Option<&'static str>,
    /// How many there are, idle or not.
    pub alive: u64,
    /// How many have handled nothing for `idle_for`, have no name and no `OwnedRef`.
    pub idle: u64,
    /// How many of these were asked.
    pub asked: usize,
    /// How many of those asked have no children, no watches either way, no links, timers or tasks.
    pub unneeded: usize,
    /// The longest that one of the idle has handled nothing, at least.
    pub longest: Duration,
    /// Some of the unneeded.
    pub examples: Vec<ActorId>,
}

/// A handler that has run for long, for nobody or waiting for somebody.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StuckAsk {
    /// The actor whose handler it is.
    pub actor: ActorId,
    /// Its type.
    pub actor_type: &'static str,
    /// Its label.
    pub name: Option<Arc<str>>,
    /// The message's type.
    pub message: Option<&'static str>,
    /// Its asker has given up: the deadline passed, or it was cancelled.
    pub asker_gone: bool,
    /// The actor that the handler waits for, in an ask of its own.
    pub waits_for: Option<ActorId>,
    /// Messages that wait behind it.
    pub queued: usize,
    /// How long it has run, at least.
    pub running: Duration,
}

/// Actors of one type under one parent whose number only grows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GrowingActors {
    /// Their type.
    pub actor_type: &'static str,
    /// Their parent; `None` at the top.
    pub parent: Option<ActorId>,
    /// Its type.
    pub parent_type: Option<&'static str>,
    /// How many there were, and how long ago; the last is now.
    pub counts: Vec<(Duration, u64)>,
}

/// An actor with very many watches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ManyWatches {
    /// The actor.
    pub actor: ActorId,
    /// Its type.
    pub actor_type: &'static str,
    /// Its label.
    pub name: Option<Arc<str>>,
    /// Actors that watch it.
    pub watchers: usize,
    /// Actors that it watches.
    pub watching: usize,
    /// Futures that wait for its end.
    pub monitors: usize,
}

impl LeakReport {
    /// Whether nothing was found. Not that nothing leaks: see `observed_for`.
    pub fn is_clean(&self) -> bool {
        self.findings() == 0
    }

    fn findings(&self) -> usize {
        self.idle.len() + self.asks.len() + self.growing.len() + self.watches.len()
    }
}

impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = self.findings();
        write!(
            f,
            "leak report: {findings} finding{} among {} actors, observed for {}, in {:.1?}",
            if findings == 1 { "" } else { "s" },
            self.actors,
            Time(self.observed_for),
            self.took,
        )?;
        if self.observed_for < self.options.idle_for {
            write!(
                f,
                "\nnote: too young to know of idle actors (needs {}); sample regularly, with \
                 system.sample_leaks_every(..)",
                Time(self.options.idle_for)
            )?;
        }
        for idle in &self.idle {
            write!(f, "\n\nIDLE  {idle}")?;
        }
        for ask in &self.asks {
            write!(f, "\n\nASK  {ask}")?;
        }
        for growing in &self.growing {
            write!(f, "\n\nGROWTH  {growing}")?;
        }
        for watches in &self.watches {
            write!(f, "\n\nWATCHES  {watches}")?;
        }
        if !self.unanswered.is_empty() {
            write!(
                f,
                "\n\n{} suspects did not answer within {}; their handlers neither return nor await, or their \
                 workers are behind: {}",
                self.unanswered.len(),
                Time(self.options.look_limit),
                Some3(&self.unanswered)
            )?;
        }
        if self.not_asked > 0 {
            write!(
                f,
                "\n\n{} suspects more were not asked (at most {} of each kind are, and none from a handler)",
                self.not_asked, self.options.looks_max
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for IdleActors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} `{}` {} do nothing\n  \
             evidence: no message handled, the longest for {} or more; mailboxes empty; no name, no OwnedRef. Of {} \
             that were asked, {} have no children, no watches either way, no links, timers or tasks\n  \
             such as: {}\n  \
             do: stop them when their work is done (cx.stop(), or a timer that does); hold those that are \
             meant to wait by an OwnedRef or a name, and they are not told of again",
            self.idle,
            self.alive,
            self.actor_type,
            Under(self.parent, self.parent_type),
            Time(self.longest),
            self.asked,
            self.unneeded,
            Some3(&self.examples),
        )
    }
}

impl fmt::Display for StuckAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Who(self.actor, self.actor_type, &self.name))?;
        write!(
            f,
            " has been handling `{}` for {} or more",
            self.message.unwrap_or("a message"),
            Time(self.running)
        )?;
        f.write_str("\n  evidence:")?;
        if self.asker_gone {
            f.write_str(" its asker has given up (deadline passed or cancelled)")?;
        }
        if let Some(other) = self.waits_for {
            let and = if self.asker_gone { ";" } else { "" };
            write!(f, "{and} it waits for a reply of {other}")?;
        }
        write!(f, "; {} messages wait behind it\n  do: ", self.queued)?;
        if self.waits_for.is_some() {
            f.write_str("give the ask that it waits in a deadline (.within(..)); ")?;
        }
        f.write_str(
            "have the handler look at cx.is_cancelled() between steps, or put a time-out around what it awaits",
        )
    }
}

impl fmt::Display for GrowingActors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.counts.last().map_or(0, |(_, count)| *count);
        write!(
            f,
            "{now} `{}` {}, and ever more\n  evidence:",
            self.actor_type,
            Under(self.parent, self.parent_type)
        )?;
        for (n, (ago, count)) in self.counts.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            if ago.is_zero() {
                write!(f, "{comma} {count} now")?;
            } else {
                write!(f, "{comma} {count} {} ago", Time(*ago))?;
            }
        }
        f.write_str(
            "; never fewer\n  do: find where they are spawned and who is to stop them; a parent that spawns per request \
             stops the child, or the child stops itself, when the request is done",
        )
    }
}

impl fmt::Display for ManyWatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\n  evidence: watched by {} actors and {} futures, and watching {}\n  do: cx.unwatch(..) what is no \
             longer cared for; await terminated() once and share the result; let a parent watch for its \
             children",
            Who(self.actor, self.actor_type, &self.name),
            self.watchers,
            self.monitors,
            self.watching
        )
    }
}

struct Who<'a>(ActorId, &'static str, &'a Option<Arc<str>>);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.2 {
            Some(name) => write!(f, "{name:?} ({}, `{}`)", self.0, self.1),
            None => write!(f, "{} (`{}`)", self.0, self.1),
        }
    }
}

struct Under(Option<ActorId>, Option<&'static str>);

impl fmt::Display for Under {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (None, _) => f.write_str("at the top"),
            (Some(parent), Some(kind)) => write!(f, "under {parent} (`{kind}`)"),
            (Some(parent), None) => write!(f, "under {parent}"),
        }
    }
}

/// A few of many.
struct Some3<'a>(&'a [ActorId]);

impl fmt::Display for Some3<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, actor) in self.0.iter().take(3).enumerate() {
            write!(f, "{}{actor}", if n == 0 { "" } else { ", " })?;
        }
        match self.0.len().checked_sub(3) {
            Some(more) if more > 0 => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

/// A time as people say it: `41 min`, `3 h 20 min`.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..10 => write!(f, "{:.1?}", self.0),
            10..120 => write!(f, "{seconds} s"),
            120..7200 => write!(f, "{} min", seconds / 60),
            _ => write!(f, "{} h {} min", seconds / 3600, seconds / 60 % 60),
        }
    }
}

#[cfg(test)]
mod tests;
