//! Groups and unique names, over the lives of this peer.
//!
//! Handles that users have stay; what is behind them is that of the present life. What actors of this process are
//! called by others changes with each life (the number of the life, the keys), so a new one tells its groups anew.
//! Unique names end with a life: the others have given them back, and perhaps to somebody else.

use std::sync::{Mutex, PoisonError};

use tokio::task::AbortHandle;

use super::life::Opened;
use super::lives::Plan;
use crate::id::Life as LifeId;
use crate::registry::agreed::Agreed;
use crate::registry::directory::{Directory, Keys};
use crate::registry::machine::Config;
use crate::registry::names::Names;

/// See the module.
pub(super) struct Registered {
    pub(super) groups: Directory,
    pub(super) names: Names,
    /// Overhears who gets which name, for the present life.
    follows: Mutex<Option<AbortHandle>>,
}

impl Registered {
    /// For the first life.
    pub(super) fn new(plan: &Plan, opened: &Opened) -> Self {
        let runtime = plan.system.tokio();
        let registered = Self {
            groups: Directory::new(config(plan, opened), keys(opened), runtime.clone()),
            names: Names::new(runtime.clone()),
            follows: Mutex::default(),
        };
        registered.begin_names(plan, opened);
        registered
    }

    /// For another.
    pub(super) fn begin(&self, plan: &Plan, opened: &Opened) {
        self.groups.begin(config(plan, opened), keys(opened));
        self.begin_names(plan, opened);
    }

    /// The present life is over.
    pub(super) fn end(&self) {
        self.follow(None);
        self.groups.end();
        self.names.end();
    }

    fn begin_names(&self, plan: &Plan, opened: &Opened) {
        let life = &opened.life;
        let own = LifeId {
            peer: plan.peer.clone(),
            incarnation: life.incarnation,
        };
        let consensus = life.consensus.clone();
        let hearsay = self.names.hearsay().clone();
        let follows = hearsay.follow(own.clone(), consensus.clone());
        let follows = plan.system.tokio().spawn(follows);
        self.follow(Some(follows.abort_handle()));
        let agreed = Agreed::new(own, consensus, life.remote.clone());
        self.names.begin(std::sync::Arc::new(agreed));
    }

    fn follow(&self, next: Option<AbortHandle>) {
        let mut follows = self.follows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(former) = std::mem::replace(&mut *follows, next) {
            former.abort();
        }
    }
}

fn config(plan: &Plan, opened: &Opened) -> Config {
    let mut config = Config::new(plan.peer.clone(), opened.life.incarnation, opened.seed);
    config.limits = plan.groups.clone();
    config
}

fn keys(opened: &Opened) -> Keys {
    let remote = opened.life.remote.clone();
    Box::new(move |actor| remote.address_of(actor).key)
}
