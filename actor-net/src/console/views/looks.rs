//! Looks at several actors at a time: each is answered by its own worker, and none is waited for longer than the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actor_core::{ActorId, ActorSnapshot, InspectError, SystemRef};
use tokio::task::JoinSet;

use super::id;
use crate::console::api::ActorName;

/// How long an actor may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);
/// Ancestors that one answer asks after.
const ANCESTORS_MAX: usize = 200;
/// Levels that are gone up.
const LEVELS_MAX: usize = 64;

/// What came of a look.
#[derive(Clone, Debug)]
pub(super) enum Look {
    Seen(Arc<ActorSnapshot>),
    /// It did not answer.
    Busy,
    Gone,
}

impl Look {
    pub(super) fn seen(&self) -> Option<&ActorSnapshot> {
        match self {
            Self::Seen(seen) => Some(seen),
            Self::Busy | Self::Gone => None,
        }
    }
}

/// What was seen of actors, each looked at once.
pub(super) struct Looks {
    system: SystemRef,
    known: HashMap<ActorId, Look>,
}

impl Looks {
    pub(super) fn new(system: SystemRef) -> Self {
        Self {
            system,
            known: HashMap::new(),
        }
    }

    /// Looks at those that were not looked at before, all at once.
    pub(super) async fn look(&mut self, actors: Vec<ActorId>) {
        let mut asked = JoinSet::new();
        for actor in actors {
            if self.known.contains_key(&actor) {
                continue;
            }
            self.known.insert(actor, Look::Busy);
            let system = self.system;
            asked.spawn(async move { (actor, system.inspect(actor, PATIENCE).await) });
        }
        while let Some(told) = asked.join_next().await {
            // A task of ours neither panics nor is cancelled but with the system.
            let Ok((actor, told)) = told else { continue };
            let look = match told {
                Ok(seen) => Look::Seen(Arc::new(seen)),
                Err(InspectError::Gone { .. }) => Look::Gone,
                Err(_) => Look::Busy,
            };
            self.known.insert(actor, look);
        }
    }

    pub(super) fn get(&self, actor: ActorId) -> Option<&Look> {
        self.known.get(&actor)
    }

    pub(super) fn seen(&self, actor: ActorId) -> Option<&ActorSnapshot> {
        self.get(actor)?.seen()
    }

    /// Looks at the ancestors of actors that were seen.
    pub(super) async fn look_up(&mut self, actors: &[ActorId]) {
        let mut level: Vec<ActorId> = actors.to_vec();
        let mut room = ANCESTORS_MAX;
        for _ in 0..LEVELS_MAX {
            let mut parents: Vec<ActorId> = level
                .iter()
                .filter_map(|actor| self.seen(*actor)?.parent)
                .filter(|parent| !self.known.contains_key(parent))
                .collect();
            parents.sort_unstable();
            parents.dedup();
            parents.truncate(room);
            if parents.is_empty() {
                return;
            }
            room -= parents.len();
            self.look(parents.clone()).await;
            level = parents;
        }
    }

    /// The ancestors of an actor that were seen, from the top down; `None` when one of them did not answer.
    pub(super) fn ancestors(&self, actor: ActorId) -> Option<Vec<ActorId>> {
        let mut up = Vec::new();
        let mut at = self.seen(actor)?.parent;
        while let Some(parent) = at {
            if up.len() == LEVELS_MAX {
                return None;
            }
            up.push(parent);
            at = self.seen(parent)?.parent;
        }
        up.reverse();
        Some(up)
    }

    /// Names, or ids without one, with `/` between.
    pub(super) fn path(&self, actor: ActorId) -> Option<String> {
        let mut line = self.ancestors(actor)?;
        line.push(actor);
        let step = |actor: &ActorId| {
            let name = self.seen(*actor).and_then(|seen| seen.name.as_deref());
            name.map_or_else(|| id(*actor), str::to_owned)
        };
        Some(line.iter().map(step).collect::<Vec<_>>().join("/"))
    }

    /// As `name`, for an id that may be nobody's here.
    pub(super) fn known(&self, actor: ActorId) -> ActorName {
        if self.system.find_actor(&actor.to_string()).is_some() {
            return self.name(actor);
        }
        ActorName {
            id: id(actor),
            actor_type: None,
            name: None,
        }
    }

    /// What an actor is called, as far as it is known.
    pub(super) fn name(&self, actor: ActorId) -> ActorName {
        let seen = self.seen(actor);
        let shown = || {
            self.system
                .glance(actor)
                .map(|shown| shown.actor_type.to_owned())
        };
        ActorName {
            id: id(actor),
            actor_type: seen.map(|seen| seen.actor_type.to_owned()).or_else(shown),
            name: seen.and_then(|seen| seen.name.as_deref().map(str::to_owned)),
        }
    }
}
