//! Panics planted in user code that knows nothing of them.
//!
//! A planted panic is raised where the runtime calls user code, inside of what catches the user's own
//! panics, and unwinds without the panic hook: nothing is printed. A fault in a `Drop` strikes after
//! the value's fields are gone, as a `Drop` implementation that panics.

use crate::cell::observe::{Hook, Place};
use crate::context::{Actor, ActorRef, Message};
use crate::id::ActorId;

use super::chance::Chance;

/// A panic to be raised in user code: where, in whose, and how often.
///
/// Says nothing more: the first time any actor comes to that hook.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_core::testkit::{Fault, Hook, Simulation};
///
/// struct Shop;
/// impl Actor for Shop {}
///
/// let sim = Simulation::new(7);
/// // The second life of any `Shop` fails to start.
/// sim.inject(Fault::panic_in(Hook::Started).of_type::<Shop>().nth(2));
/// // One call in a hundred of any `Drop` of a state fails.
/// sim.inject(Fault::panic_in(Hook::StateDrop).chance(0.01));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a fault does nothing before Simulation::inject"]
pub struct Fault {
    hook: Hook,
    resumed: Option<bool>,
    actor: Option<ActorId>,
    actor_type: Option<&'static str>,
    message: Option<&'static str>,
    chance: Option<f64>,
    /// Matches to let pass first.
    skip: u64,
    /// Strikes left.
    times: u64,
    text: String,
}

impl Fault {
    /// A panic in that hook: before the first line of user code in it, or in a `Drop` after the last.
    pub fn panic_in(hook: Hook) -> Self {
        Self {
            hook,
            resumed: Some(false),
            actor: None,
            actor_type: None,
            message: None,
            chance: None,
            skip: 0,
            times: 1,
            text: format!("planted panic in {hook:?}"),
        }
    }

    /// In an async hook or handler: when it goes on after an `.await` that was not ready at once.
    pub const fn after_await(mut self) -> Self {
        self.resumed = Some(true);
        self
    }

    /// In an async hook or handler: before its first line or after an `.await`, whichever comes.
    pub const fn anywhere(mut self) -> Self {
        self.resumed = None;
        self
    }

    /// Only in that actor, in whichever life.
    pub fn of<A>(mut self, actor: ActorRef<A>) -> Self {
        self.actor = Some(actor.id());
        self
    }

    /// Only in actors of that type.
    pub fn of_type<A: Actor>(mut self) -> Self {
        self.actor_type = Some(std::any::type_name::<A>());
        self
    }

    /// Only for messages of that type: their handler, their drop, the drop of their reply.
    pub fn on<M: Message>(mut self) -> Self {
        self.message = Some(std::any::type_name::<M>());
        self
    }

    /// The `n`th time only; 1 is the first, and so is 0.
    pub const fn nth(mut self, n: u64) -> Self {
        self.skip = n.saturating_sub(1);
        self
    }

    /// So many times in all, from the first (or the [`nth`](Self::nth)) on.
    pub const fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Every time.
    pub const fn always(self) -> Self {
        self.times(u64::MAX)
    }

    /// Every time with that probability (0 to 1; what lies beyond counts as the nearer of the two),
    /// as the seed decides.
    pub const fn chance(mut self, probability: f64) -> Self {
        self.chance = Some(probability);
        self.times = u64::MAX;
        self
    }

    /// The panic's text. Default: "planted panic in .." and the hook.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    fn fits(&self, place: Place, actor: ActorId, actor_type: Option<&'static str>) -> bool {
        self.times > 0
            && self.hook == place.hook
            && self.resumed.is_none_or(|resumed| resumed == place.resumed)
            && self.actor.is_none_or(|wanted| wanted == actor)
            && (self.actor_type.is_none() || self.actor_type == actor_type)
            && self.message.is_none_or(|wanted| wanted == place.message)
    }
}

/// A planted panic that was raised.
#[derive(Debug)]
pub(super) struct Struck {
    pub(super) hook: Hook,
    pub(super) actor: ActorId,
    pub(super) text: String,
}

/// All that is planted in one simulation.
#[derive(Debug)]
pub(super) struct Plan {
    faults: Vec<Fault>,
    chance: Chance,
    struck: u64,
}

impl Plan {
    pub(super) fn new(chance: Chance) -> Self {
        Self {
            faults: Vec::new(),
            chance,
            struck: 0,
        }
    }

    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn struck(&self) -> u64 {
        self.struck
    }

    /// Faults that are to strike a certain number of times and have not done so yet.
    pub(super) fn waiting(&self) -> usize {
        let certain = |fault: &&Fault| fault.times != u64::MAX;
        self.faults.iter().filter(certain).count()
    }

    /// User code is about to run at `place`: the panic to raise there, if any.
    pub(super) fn strike(
        &mut self,
        place: Place,
        actor: ActorId,
        actor_type: Option<&'static str>,
    ) -> Option<Struck> {
        let chance = &mut self.chance;
        let at = self.faults.iter_mut().position(|fault| {
            if !fault.fits(place, actor, actor_type) {
                return false;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                return false;
            }
            fault
                .chance
                .is_none_or(|probability| chance.fraction() < probability)
        })?;
        let fault = &mut self.faults[at];
        let text = fault.text.clone();
        if fault.times != u64::MAX {
            fault.times = fault.times.saturating_sub(1);
            if fault.times == 0 {
                drop(self.faults.remove(at));
            }
        }
        self.struck += 1;
        Some(Struck {
            hook: place.hook,
            actor,
            text,
        })
    }
}
