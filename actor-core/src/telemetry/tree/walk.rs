//! Gathering the tree: a question to each actor of a level, then to their children.
//!
//! A question is a signal (`cell::inspect`): its answer costs the actor's worker the copying of a few
//! fields and of at most `children_max` numbers, and overtakes the mailbox. Nothing waits for the one
//! who asks. Level by level, because then the caps leave out what is deep and not what is late.
//!
//! The decisions are in [`Walk`], which is fed answers and knows no time; the two drivers at the end
//! of [`TreeRequest`] differ in how they wait.

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::{SupervisionTree, TreeNode};
use crate::cell::{ActorSnapshot, CellRef, Inspection, Runtime, observe};
use crate::id::ActorId;
use crate::telemetry::Stats;

/// A walk through the tree, about to begin: set its limits, then await it or call
/// [`blocking`](Self::blocking).
///
/// | limit | default | what is left out |
/// |---|---|---|
/// | `actors_max` | 1000 actors | the deepest levels, then the youngest of a level |
/// | `children_max` | 50 per parent | the youngest |
/// | `depth_max` | 64 levels | what is deeper |
/// | `patience` | 100 ms per level, ten times that in all | nobody: who does not answer is shown as busy |
#[derive(Clone, Debug)]
#[must_use = "nothing is read before it is awaited or .blocking() is called"]
pub struct TreeRequest {
    runtime: &'static Runtime,
    under: Option<ActorId>,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) nodes: usize,
    pub(super) children: usize,
    pub(super) depth: usize,
    pub(super) patience: Duration,
}

impl Limits {
    /// When the walk ends that begins now.
    fn end(&self) -> Instant {
        Instant::now() + self.patience.saturating_mul(PATIENT_LEVELS).min(YEAR)
    }

    /// When a level of it ends that begins now.
    fn level_end(&self, end: Instant) -> Instant {
        end.min(Instant::now() + self.patience.min(YEAR))
    }
}

/// Levels that may use up their patience before the rest is shown as busy unasked.
const PATIENT_LEVELS: u32 = 10;

impl TreeRequest {
    pub(crate) const fn new(runtime: &'static Runtime) -> Self {
        Self {
            runtime,
            under: None,
            limits: Limits {
                nodes: 1000,
                children: 50,
                depth: 64,
                patience: Duration::from_millis(100),
            },
        }
    }

    /// Only that actor and what is below it.
    pub const fn under(mut self, actor: ActorId) -> Self {
        self.under = Some(actor);
        self
    }

    /// The most actors in the tree; default 1000. 0 counts as 1.
    pub const fn actors_max(mut self, actors: usize) -> Self {
        self.limits.nodes = if actors == 0 { 1 } else { actors };
        self
    }

    /// The most children of one actor in the tree; default 50. Reading a long list holds its parent up
    /// by some nanoseconds per child.
    pub const fn children_max(mut self, children: usize) -> Self {
        self.limits.children = children;
        self
    }

    /// The most levels; default 64. 0 counts as 1.
    pub const fn depth_max(mut self, levels: usize) -> Self {
        self.limits.depth = if levels == 0 { 1 } else { levels };
        self
    }

    /// How long a level of the tree may take to answer; default 100 ms. Ten times that is the limit
    /// for the whole tree.
    pub const fn patience(mut self, limit: Duration) -> Self {
        self.limits.patience = limit;
        self
    }

    /// Reads the tree from a plain thread, which waits for the answers.
    ///
    /// In a handler the actor itself, and those that wait for the same worker, are shown as busy: there
    /// await the request instead, and the worker goes on meanwhile.
    pub fn blocking(self) -> SupervisionTree {
        let mut walk = self.begin();
        let end = self.limits.end();
        while !walk.asked.is_empty() {
            let (tell, told) = mpsc::channel();
            let tell = Arc::new(move |answer| drop(tell.send(answer)));
            self.ask(&walk, &tell);
            drop(tell);
            observe::run_now();
            let level_end = self.limits.level_end(end);
            while walk.waiting() {
                let left = level_end.saturating_duration_since(Instant::now());
                let Ok((index, seen)) = told.recv_timeout(left) else {
                    break;
                };
                walk.answer(index, seen);
            }
            walk.next_level();
        }
        walk.finish()
    }

    async fn gather(self) -> SupervisionTree {
        let mut walk = self.begin();
        let end = self.limits.end();
        while !walk.asked.is_empty() {
            let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
            let tell = Arc::new(move |answer| drop(tell.send(answer)));
            self.ask(&walk, &tell);
            drop(tell);
            let level_end = self.limits.level_end(end);
            let all = async {
                while walk.waiting() {
                    let Some((index, seen)) = told.recv().await else {
                        break;
                    };
                    walk.answer(index, seen);
                }
            };
            let limited = {
                // The system's own tokio keeps the time, whatever runtime the caller is on.
                let _entered = self.runtime.reactors()[0].enter();
                tokio::time::timeout_at(level_end.into(), all)
            };
            // Late is the same as silent: shown as busy.
            let _ = limited.await;
            walk.next_level();
        }
        walk.finish()
    }

    fn begin(&self) -> Walk {
        let alive = Stats::read(self.runtime).actors.alive();
        let root = self.runtime.root().id();
        match self.under {
            Some(actor) if actor != root => Walk::new(actor, None, alive, self.limits),
            _ => Walk::new(root, Some(root), alive, self.limits),
        }
    }

    /// Sends the questions of one level.
    fn ask<T>(&self, walk: &Walk, tell: &Arc<T>)
    where
        T: Fn((usize, Option<ActorSnapshot>)) + Send + Sync + 'static,
    {
        for &index in &walk.asked {
            let (actor, tell) = (walk.nodes[index].actor, tell.clone());
            let inspection = Inspection {
                children_max: self.limits.children,
                tell: Box::new(move |seen| tell((index, seen))),
            };
            CellRef::of(actor).inspect(actor.generation(), inspection);
        }
    }
}

/// Instants do not go on for ever.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl IntoFuture for TreeRequest {
    type Output = SupervisionTree;
    type IntoFuture = Pin<Box<dyn Future<Output = SupervisionTree> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.gather())
    }
}

/// A tree that grows.
#[derive(Debug)]
pub(super) struct Walk {
    limits: Limits,
    alive: u64,
    /// The system's root, when it is the beginning: nobody's actor, so not shown.
    root: Option<ActorId>,
    /// Level after level. Children know their parent by its index.
    nodes: Vec<Found>,
    /// The nodes of the present level.
    asked: Vec<usize>,
    answered: usize,
}

#[derive(Debug)]
struct Found {
    actor: ActorId,
    parent: Option<usize>,
    depth: usize,
    state: State,
    children: Vec<usize>,
}

#[derive(Debug)]
enum State {
    Silent,
    Seen(Box<ActorSnapshot>),
    Gone,
}

impl Walk {
    pub(super) fn new(first: ActorId, root: Option<ActorId>, alive: u64, limits: Limits) -> Self {
        Self {
            limits,
            alive,
            root,
            nodes: vec![Found {
                actor: first,
                parent: None,
                depth: 0,
                state: State::Silent,
                children: Vec::new(),
            }],
            asked: vec![0],
            answered: 0,
        }
    }

    /// Those of the present level, by index.
    #[cfg(test)]
    pub(super) fn asked(&self) -> Vec<(usize, ActorId)> {
        let ask = |&index: &usize| (index, self.nodes[index].actor);
        self.asked.iter().map(ask).collect()
    }

    /// Whether somebody of this level has not answered.
    pub(super) fn waiting(&self) -> bool {
        self.answered < self.asked.len()
    }

    pub(super) fn answer(&mut self, index: usize, seen: Option<ActorSnapshot>) {
        self.answered += 1;
        self.nodes[index].state = seen.map_or(State::Gone, |seen| State::Seen(Box::new(seen)));
    }

    /// Goes on to the children of those that answered.
    pub(super) fn next_level(&mut self) {
        let level = std::mem::take(&mut self.asked);
        self.answered = 0;
        // The root is no line of the tree and no level of it.
        let extra = usize::from(self.root.is_some());
        for parent in level {
            let depth = self.nodes[parent].depth + 1;
            let State::Seen(seen) = &self.nodes[parent].state else {
                continue;
            };
            let room = self
                .limits
                .nodes
                .saturating_add(extra)
                .saturating_sub(self.nodes.len());
            if depth >= self.limits.depth.saturating_add(extra) || room == 0 {
                continue;
            }
            let children: Vec<ActorId> = seen.children.iter().copied().take(room).collect();
            for actor in children {
                let index = self.nodes.len();
                self.nodes.push(Found {
                    actor,
                    parent: Some(parent),
                    depth,
                    state: State::Silent,
                    children: Vec::new(),
                });
                self.nodes[parent].children.push(index);
                self.asked.push(index);
            }
        }
    }

    /// Puts what was found in reading order.
    pub(super) fn finish(mut self) -> SupervisionTree {
        let whole = self.root.is_some();
        let mut tree = SupervisionTree {
            nodes: Vec::with_capacity(self.nodes.len()),
            alive: self.alive,
            hidden: 0,
        };
        // Last in, first out, so the eldest child is pushed last.
        let mut open = vec![0];
        while let Some(index) = open.pop() {
            let found = &mut self.nodes[index];
            let children = std::mem::take(&mut found.children);
            let state = std::mem::replace(&mut found.state, State::Gone);
            let (actor, parent, depth) = (found.actor, found.parent, found.depth);
            let seen = match state {
                // With whatever is below it: its children went before it.
                State::Gone => continue,
                State::Silent => None,
                State::Seen(seen) => Some(*seen),
            };
            open.extend(children.iter().rev());
            // A child that went while the tree was read is not missing from it.
            let hidden = seen
                .as_ref()
                .map_or(0, |seen| seen.child_count.saturating_sub(children.len()));
            if index == 0 && whole {
                // A root that did not answer hides everybody.
                tree.hidden = match &seen {
                    Some(_) => hidden,
                    None => usize::try_from(self.alive).unwrap_or(usize::MAX),
                };
                continue;
            }
            let parent = parent
                .map(|parent| self.nodes[parent].actor)
                .filter(|parent| Some(*parent) != self.root);
            tree.nodes.push(TreeNode {
                actor,
                parent,
                depth: depth - usize::from(whole),
                seen,
                hidden_children: hidden,
            });
        }
        tree
    }
}
