//! The live tree of actors as a value: to print, to search, to walk through.
//!
//! Nothing here touches an actor. [`walk`] gathers the nodes, oldest first and level by level, and
//! this file puts them in reading order (a node before its children) and draws them. What was left
//! out because of a cap is counted where it would have stood.

mod draw;
mod walk;

#[cfg(feature = "otlp")]
pub(crate) use draw::short_type as short_type_name;
pub use walk::TreeRequest;

use crate::cell::ActorSnapshot;
use crate::id::ActorId;

/// The actors of a system as they stood when they were asked, parents before their children.
///
/// Made by [`SystemRef::supervision_tree`](crate::SystemRef::supervision_tree). Each actor answered by
/// itself, between two messages, so two lines may be some microseconds apart; one that did not answer
/// in time is there as [`TreeNode::is_busy`], without its children.
///
/// `Display` draws it with box characters, one line per actor:
///
/// ```text
/// actor system: 5 actors
/// ├─ shop Supervisor actor:0.1.1 running, one_for_all, 2 restarts
/// │  ├─ db Db actor:0.2.1 running, queue 3/1024
/// │  └─ cache Cache actor:0.3.1 backing off, 7 restarts
/// └─ … and 2 more
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SupervisionTree {
    /// In reading order.
    nodes: Vec<TreeNode>,
    /// Actors alive when the walk began, in the whole system.
    alive: u64,
    /// Top-level actors (or, below one actor, none) that are not in `nodes`.
    hidden: usize,
}

/// One actor of a [`SupervisionTree`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TreeNode {
    /// The actor.
    pub actor: ActorId,
    /// Its parent in the tree; `None` at the top.
    pub parent: Option<ActorId>,
    /// 0 at the top of the tree.
    pub depth: usize,
    /// What it said of itself; `None` if it did not answer in time.
    pub seen: Option<ActorSnapshot>,
    /// Children that are not in the tree: over a cap, or gone while the tree was read.
    pub hidden_children: usize,
}

impl TreeNode {
    /// Whether it did not answer in time: its handler neither returns nor awaits, or its worker is
    /// behind.
    pub const fn is_busy(&self) -> bool {
        self.seen.is_none()
    }

    /// The label it was spawned with.
    pub fn name(&self) -> Option<&str> {
        self.seen.as_ref()?.name.as_deref()
    }
}

impl SupervisionTree {
    /// All nodes, each before its children, siblings in the order they were started.
    pub fn nodes(&self) -> &[TreeNode] {
        &self.nodes
    }

    /// The nodes at the top.
    pub fn roots(&self) -> impl Iterator<Item = &TreeNode> {
        self.nodes.iter().filter(|node| node.depth == 0)
    }

    /// The children of an actor that are in the tree, oldest first.
    pub fn children(&self, parent: ActorId) -> impl Iterator<Item = &TreeNode> {
        let at = self.position(parent);
        let depth = at.map_or(0, |at| self.nodes[at].depth);
        let below = at.map_or(&[][..], |at| &self.nodes[at + 1..]);
        below
            .iter()
            .take_while(move |node| node.depth > depth)
            .filter(move |node| node.depth == depth + 1)
    }

    /// The node of an actor.
    pub fn get(&self, actor: ActorId) -> Option<&TreeNode> {
        self.position(actor).map(|at| &self.nodes[at])
    }

    /// The first node with that label, in reading order.
    pub fn find(&self, name: &str) -> Option<&TreeNode> {
        self.nodes.iter().find(|node| node.name() == Some(name))
    }

    /// Nodes in the tree.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether nothing was left out and everybody answered.
    pub fn is_complete(&self) -> bool {
        self.hidden == 0
            && self
                .nodes
                .iter()
                .all(|node| node.hidden_children == 0 && !node.is_busy())
    }

    /// Those that did not answer in time.
    pub fn busy(&self) -> impl Iterator<Item = &TreeNode> {
        self.nodes.iter().filter(|node| node.is_busy())
    }

    /// Actors alive in the whole system when the tree was read, in the tree or not.
    pub const fn alive(&self) -> u64 {
        self.alive
    }

    fn position(&self, actor: ActorId) -> Option<usize> {
        self.nodes.iter().position(|node| node.actor == actor)
    }
}

#[cfg(test)]
mod tests;
