//! One report: a walk, a choice of suspects, a question to each, and what they said put together.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::history::{History, Key, Told};
use super::{GrowingActors, IdleActors, LeakOptions, LeakReport, ManyWatches, StuckAsk};
use crate::cell::{
    ActorPhase, ActorSnapshot, CellRef, Inspection, Local, Runtime, Seen, census, observe,
};
use crate::clock::Tick;
use crate::id::ActorId;
use crate::mailbox::inbox::Rest;

/// Suspects of one type and parent that are asked: enough to tell whether they are alike.
const ASKED_PER_GROUP: usize = 32;

/// Groups that are told apart; actors of further ones are only counted.
const GROUPS_MAX: usize = 65_536;

/// Why somebody is a suspect.
#[derive(Clone, Copy, Debug)]
enum Why {
    Idle {
        group: usize,
    },
    Ask {
        quiet: Duration,
        waits_for: Option<ActorId>,
    },
    Watches,
}

/// What a walk found.
struct Walk {
    actors: u64,
    groups: Vec<Group>,
    suspects: Vec<(ActorId, Why)>,
    not_asked: u64,
}

#[derive(Debug)]
struct Group {
    key: Key,
    alive: u64,
    idle: u64,
    longest: Duration,
    chosen: usize,
    // What those that were asked said.
    asked: usize,
    unneeded: Vec<ActorId>,
}

/// Walks and remembers, without looking closer at anybody.
pub(crate) fn sample(runtime: &'static Runtime, history: &History) {
    let mut told = history.lock();
    walk(
        runtime,
        &mut told,
        &LeakOptions::new().looks(0, Duration::ZERO),
    );
}

/// Makes a report.
pub(crate) fn survey(
    runtime: &'static Runtime,
    history: &History,
    options: &LeakOptions,
) -> LeakReport {
    let began = Instant::now();
    let (walk, growing, observed_for) = {
        let mut told = history.lock();
        let walk = walk(runtime, &mut told, options);
        let growing = told.growing(options);
        (walk, growing, told.observed_for(Tick::now()))
    };
    let mut report = LeakReport {
        actors: walk.actors,
        observed_for,
        took: Duration::ZERO,
        idle: Vec::new(),
        asks: Vec::new(),
        growing: growing
            .into_iter()
            .map(|((parent, actor_type), counts)| GrowingActors {
                actor_type,
                parent,
                parent_type: type_of(parent),
                counts,
            })
            .collect(),
        watches: Vec::new(),
        unanswered: Vec::new(),
        not_asked: walk.not_asked,
        options: options.clone(),
    };
    let mut groups = walk.groups;
    question(walk.suspects, &mut groups, &mut report);
    report.idle = groups
        .into_iter()
        .filter(|group| !group.unneeded.is_empty())
        .map(|group| IdleActors {
            actor_type: group.key.1,
            parent: group.key.0,
            parent_type: type_of(group.key.0),
            alive: group.alive,
            idle: group.idle,
            asked: group.asked,
            unneeded: group.unneeded.len(),
            longest: group.longest,
            examples: group.unneeded,
        })
        .collect();
    report.idle.sort_by_key(|idle| std::cmp::Reverse(idle.idle));
    report
        .asks
        .sort_by_key(|ask| std::cmp::Reverse(ask.running));
    let now = |growing: &GrowingActors| growing.counts.last().map_or(0, |(_, count)| *count);
    report
        .growing
        .sort_by_key(|each| std::cmp::Reverse(now(each)));
    let most = |each: &ManyWatches| each.watchers.max(each.watching).max(each.monitors);
    report
        .watches
        .sort_by_key(|each| std::cmp::Reverse(most(each)));
    report.took = began.elapsed();
    report
}

fn walk(runtime: &'static Runtime, told: &mut Told, options: &LeakOptions) -> Walk {
    let now = Tick::now();
    let mark = told.begin_walk(now);
    let named: HashSet<ActorId> = runtime
        .names()
        .list()
        .into_iter()
        .map(|(_, holder)| holder.actor)
        .collect();
    let mut groups = Groups::default();
    let mut bearers = [0; 256];
    let mut walk = Walk {
        actors: 0,
        groups: Vec::new(),
        suspects: Vec::new(),
        not_asked: 0,
    };
    let mut room = [options.looks_max; 3];
    census(runtime, mark, |seen| {
        walk.actors += 1;
        bearers[usize::from(seen.mark)] += 1;
        let quiet = told.quiet_for(seen.mark, now);
        let mut suspect = |class: usize, why: Why| {
            if room[class] == 0 {
                walk.not_asked += 1;
                return false;
            }
            room[class] -= 1;
            walk.suspects.push((seen.actor, why));
            true
        };
        if let Some(at) = groups.find(&seen) {
            let group = &mut groups.all[at];
            group.alive += 1;
            let idle = seen.rest == Rest::Idle
                && quiet >= options.idle_for
                && !seen.held
                && !named.contains(&seen.actor);
            if idle {
                group.idle += 1;
                group.longest = group.longest.max(quiet);
                if group.chosen < ASKED_PER_GROUP && suspect(0, Why::Idle { group: at }) {
                    group.chosen += 1;
                }
            }
        }
        if seen.rest != Rest::Idle && quiet >= options.asks_for {
            let waits_for = seen.waits_for;
            suspect(1, Why::Ask { quiet, waits_for });
        }
        if seen.many_watches {
            suspect(2, Why::Watches);
        }
    });
    walk.groups = groups.merged(&mut walk.suspects);
    let counts = walk.groups.iter().map(|group| (group.key, group.alive));
    told.end_walk(now, bearers, counts.collect());
    if options.looks_max == 0 {
        walk.not_asked = 0;
    }
    walk
}

/// Asks the suspects and sorts the answers in.
fn question(suspects: Vec<(ActorId, Why)>, groups: &mut [Group], report: &mut LeakReport) {
    if Local::current().is_some() {
        // Those on this worker could not answer before this thread is free.
        report.not_asked += suspects.len() as u64;
        return;
    }
    let (tell, told) = mpsc::channel();
    for (n, (actor, _)) in suspects.iter().enumerate() {
        let tell = tell.clone();
        let inspection = Inspection {
            children_max: 0,
            // Nobody listens any more when the time is up.
            tell: Box::new(move |seen| drop(tell.send((n, seen)))),
        };
        CellRef::of(*actor).inspect(actor.generation(), inspection);
    }
    drop(tell);
    let until = Instant::now() + report.options.look_limit;
    let mut open: Vec<bool> = vec![true; suspects.len()];
    observe::run_now();
    while let Ok((n, seen)) = told.recv_timeout(until.saturating_duration_since(Instant::now())) {
        open[n] = false;
        if let Some(seen) = seen {
            judge(&seen, suspects[n].1, groups, report);
        }
    }
    let mut unanswered: Vec<_> = suspects
        .iter()
        .zip(open)
        .filter(|(_, open)| *open)
        .map(|((actor, _), _)| *actor)
        .collect();
    unanswered.sort_unstable();
    unanswered.dedup();
    report.unanswered = unanswered;
}

/// One answer.
fn judge(seen: &ActorSnapshot, why: Why, groups: &mut [Group], report: &mut LeakReport) {
    match why {
        Why::Idle { group } => {
            let group = &mut groups[group];
            group.asked += 1;
            if is_unneeded(seen) {
                group.unneeded.push(seen.actor);
            }
        }
        Why::Ask { quiet, waits_for } => {
            if seen.handling.is_some() && (seen.asker_gone || waits_for.is_some()) {
                report.asks.push(StuckAsk {
                    actor: seen.actor,
                    actor_type: seen.actor_type,
                    name: seen.name.clone(),
                    message: seen.handling,
                    asker_gone: seen.asker_gone,
                    waits_for,
                    queued: seen.queued,
                    running: quiet,
                });
            }
        }
        Why::Watches => {
            let most = seen.watchers.max(seen.watching).max(seen.monitors);
            if most >= report.options.watches_min {
                report.watches.push(ManyWatches {
                    actor: seen.actor,
                    actor_type: seen.actor_type,
                    name: seen.name.clone(),
                    watchers: seen.watchers,
                    watching: seen.watching,
                    monitors: seen.monitors,
                });
            }
        }
    }
}

/// Whether nothing but a message could ever make this actor do something, or anybody miss it.
fn is_unneeded(seen: &ActorSnapshot) -> bool {
    seen.phase == ActorPhase::Running
        && seen.handling.is_none()
        && seen.queued == 0
        && seen.child_count == 0
        && seen.watchers == 0
        && seen.watching == 0
        && seen.monitors == 0
        && seen.links == 0
        && seen.timers == 0
        && seen.tasks == 0
        && seen.registered.is_empty()
}

/// The groups of a walk, by what can be compared at once.
#[derive(Default)]
struct Groups {
    at: HashMap<(Option<ActorId>, usize), usize>,
    all: Vec<Group>,
    /// The one found last: neighbours in memory are often of one kind.
    last: Option<((Option<ActorId>, usize), usize)>,
}

impl Groups {
    fn find(&mut self, seen: &Seen) -> Option<usize> {
        let key = (seen.parent, std::ptr::from_ref(seen.kind) as usize);
        if let Some((last, at)) = self.last
            && last == key
        {
            return Some(at);
        }
        let at = match self.at.get(&key) {
            Some(at) => *at,
            None if self.all.len() < GROUPS_MAX => {
                let at = self.all.len();
                self.all.push(Group {
                    key: (seen.parent, (seen.kind.type_name)()),
                    alive: 0,
                    idle: 0,
                    longest: Duration::ZERO,
                    chosen: 0,
                    asked: 0,
                    unneeded: Vec::new(),
                });
                self.at.insert(key, at);
                at
            }
            None => return None,
        };
        self.last = Some((key, at));
        Some(at)
    }

    /// One group for each type: the compiler may have made several vtables for one.
    fn merged(self, suspects: &mut [(ActorId, Why)]) -> Vec<Group> {
        let mut at: HashMap<Key, usize> = HashMap::new();
        let mut merged: Vec<Group> = Vec::new();
        let mut moved = Vec::with_capacity(self.all.len());
        for group in self.all {
            let to = *at.entry(group.key).or_insert(merged.len());
            moved.push(to);
            match merged.get_mut(to) {
                Some(same) => {
                    same.alive += group.alive;
                    same.idle += group.idle;
                    same.longest = same.longest.max(group.longest);
                }
                None => merged.push(group),
            }
        }
        for (_, why) in suspects {
            if let Why::Idle { group } = why {
                *group = moved[*group];
            }
        }
        merged
    }
}

fn type_of(parent: Option<ActorId>) -> Option<&'static str> {
    parent.and_then(|parent| CellRef::of(parent).type_name_of(parent.generation()))
}
