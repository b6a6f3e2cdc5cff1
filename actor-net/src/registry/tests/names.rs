//! Unique names, over a store that decides at once, or refuses, or does not say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actor_core::prelude::*;
use actor_core::remote::Address;
use actor_core::{ActorId, SystemRef};

use super::super::entry::{Key, MemberId};
use super::super::name_error::{NameError, NoAnswer};
use super::super::names::{Answer, Claimed, Holder, NameStore, Names, UniqueName};
use super::super::resolve::{Resolve, ResolveError};
use super::peer;
use crate::id::{Incarnation, PeerId};

struct Worker;
impl Actor for Worker {}
struct Other;
impl Actor for Other {}

/// One for all peers.
#[derive(Default)]
struct Store(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    names: BTreeMap<String, Holder>,
    epoch: u64,
    trouble: Option<NoAnswer>,
    /// Claims are done all the same.
    silently: bool,
    /// Releases asked for.
    releases: u64,
}

impl Store {
    fn trouble(&self, trouble: Option<NoAnswer>, silently: bool) {
        let mut inner = self.0.lock().unwrap();
        (inner.trouble, inner.silently) = (trouble, silently);
    }
}

fn ready<T: Send + 'static>(answer: Result<T, NoAnswer>) -> Answer<T> {
    Box::pin(std::future::ready(answer))
}

/// The same for one peer.
struct At {
    peer: usize,
    store: Arc<Store>,
}

fn id(actor: &Address) -> MemberId {
    MemberId {
        peer: PeerId::new(&actor.peer).unwrap(),
        incarnation: Incarnation(actor.incarnation),
        number: actor.number,
    }
}

impl NameStore for At {
    fn address_of(&self, actor: ActorId) -> Address {
        Address {
            peer: peer(self.peer).as_str().into(),
            incarnation: 1,
            number: actor.as_u64(),
            key: !actor.as_u64(),
        }
    }

    fn claim(&self, name: &str, actor: &Address, actor_type: &str) -> Answer<Claimed> {
        let mut inner = self.store.0.lock().unwrap();
        if let Some(no) = inner.trouble.filter(|_| !inner.silently) {
            return ready(Err(no));
        }
        inner.epoch += 1;
        let holder = Holder {
            actor: id(actor),
            actor_type: Arc::from(actor_type),
            epoch: inner.epoch,
            key: Key(actor.key),
        };
        let holder = inner.names.entry(name.into()).or_insert(holder).clone();
        let claimed = match holder.actor == id(actor) {
            true => Claimed::Yours {
                epoch: holder.epoch,
            },
            false => Claimed::Taken(holder),
        };
        ready(inner.trouble.map_or(Ok(claimed), Err))
    }

    fn release(&self, name: &str, actor: &Address) -> Answer<bool> {
        let mut inner = self.store.0.lock().unwrap();
        inner.releases += 1;
        if let Some(no) = inner.trouble {
            return ready(Err(no));
        }
        let is_held = inner
            .names
            .get(name)
            .is_some_and(|holder| holder.actor == id(actor));
        if is_held {
            inner.names.remove(name);
        }
        ready(Ok(is_held))
    }

    fn lookup(&self, name: &str) -> Answer<Option<Holder>> {
        let inner = self.store.0.lock().unwrap();
        ready(
            inner
                .trouble
                .map_or_else(|| Ok(inner.names.get(name).cloned()), Err),
        )
    }
}

struct Way {
    own: SystemRef,
    systems: Vec<SystemRef>,
}

impl Resolve for Way {
    fn actor<A: Actor>(&self, address: &Address) -> Result<ActorRef<A>, ResolveError> {
        let at = (0..self.systems.len()).find(|at| *address.peer == *peer(*at).as_str());
        let system = self.systems[at.ok_or(ResolveError::Gone)?];
        assert_eq!(address.key, !address.number, "keys come along");
        system.resolve(address.number).ok_or(ResolveError::Gone)
    }

    fn is_local(&self, actor: ActorId) -> bool {
        self.own.resolve::<Worker>(actor.as_u64()).is_some()
            || self.own.resolve::<Other>(actor.as_u64()).is_some()
    }

    fn round_trip(&self, _: &PeerId) -> Option<std::time::Duration> {
        None
    }
}

struct Peers {
    systems: Vec<ActorSystem>,
    names: Vec<Names>,
    store: Arc<Store>,
}

impl Peers {
    fn new() -> Self {
        let systems: Vec<_> = (0..2).map(|_| ActorSystem::new().unwrap()).collect();
        let store = Arc::new(Store::default());
        let names = systems.iter().enumerate().map(|(at, system)| {
            let names = Names::new(system.tokio().clone());
            let store = Arc::clone(&store);
            names.begin(Arc::new(At { peer: at, store }));
            names
        });
        Self {
            names: names.collect(),
            store,
            systems,
        }
    }

    fn name<A: Actor>(&self, at: usize, name: &str) -> UniqueName<A> {
        let systems: Vec<SystemRef> = self.systems.iter().map(|system| **system).collect();
        let own = systems[at];
        self.names[at]
            .name(name, Arc::new(Way { own, systems }))
            .unwrap()
    }

    fn wait<T>(&self, future: impl Future<Output = T> + Send) -> T {
        self.systems[0].block_on(future)
    }
}

/// Asks until nobody has it.
async fn free(name: &UniqueName<Worker>) {
    while name.holder().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_name_has_one_holder_whom_all_find() {
    let peers = Peers::new();
    let names = [0, 1].map(|at| peers.name::<Worker>(at, "leader"));
    let workers = [0, 1].map(|at| peers.systems[at].spawn(|| Worker).unwrap());
    let none = peers.wait(names[0].actor()).unwrap_err();
    assert!(matches!(none, NameError::NotFound { .. }), "{none}");
    let epoch = peers.wait(names[0].claim(workers[0])).unwrap();
    assert_eq!(
        peers.wait(names[0].claim(workers[0])),
        Ok(epoch),
        "asking twice does no harm"
    );
    let taken = peers.wait(names[1].claim(workers[1])).unwrap_err();
    let NameError::Taken { holder, .. } = &taken else {
        panic!("{taken}");
    };
    assert_eq!(holder.actor.peer, peer(0));
    assert_eq!(
        taken.to_string(),
        format!("the name \"leader\" is taken: {} has it", holder.actor)
    );
    assert_eq!(peers.wait(names[1].actor()), Ok(workers[0]));
    // Only its holder frees it.
    assert_eq!(peers.wait(names[1].release(workers[1])), Ok(false));
    assert_eq!(peers.wait(names[0].release(workers[0])), Ok(true));
    let later = peers.wait(names[1].claim(workers[1])).unwrap();
    assert!(later > epoch, "a new holder has a later epoch");
}

#[test]
fn an_actor_that_ends_gives_its_names_back() {
    let peers = Peers::new();
    let names = ["a", "b"].map(|name| peers.name::<Worker>(0, name));
    let worker = peers.systems[0].spawn(|| Worker).unwrap();
    for name in &names {
        peers.wait(name.claim(worker)).unwrap();
    }
    worker.stop();
    for name in &names {
        peers.wait(free(name));
    }
}

#[test]
fn a_name_is_given_back_also_when_that_takes_several_times() {
    let peers = Peers::new();
    let name = peers.name::<Worker>(0, "leader");
    let worker = peers.systems[0].spawn(|| Worker).unwrap();
    peers.wait(name.claim(worker)).unwrap();
    peers.store.trouble(Some(NoAnswer::NoMajority), false);
    worker.stop();
    while peers.store.0.lock().unwrap().releases < 2 {
        std::thread::yield_now();
    }
    assert_eq!(peers.store.0.lock().unwrap().names.len(), 1);
    peers.store.trouble(None, false);
    peers.wait(free(&name));
}

#[test]
fn a_minority_is_refused_and_an_unknown_outcome_said() {
    let peers = Peers::new();
    let name = peers.name::<Worker>(0, "leader");
    let worker = peers.systems[0].spawn(|| Worker).unwrap();
    peers.store.trouble(Some(NoAnswer::NoMajority), false);
    assert_eq!(peers.wait(name.claim(worker)), Err(NameError::NoMajority));
    assert_eq!(peers.wait(name.actor()), Err(NameError::NoMajority));
    assert_eq!(peers.wait(name.release(worker)), Err(NameError::NoMajority));
    // It was given, and nobody said so: its end gives it back all the same.
    peers.store.trouble(Some(NoAnswer::Unknown), true);
    assert_eq!(peers.wait(name.claim(worker)), Err(NameError::Unknown));
    peers.store.trouble(None, false);
    assert_eq!(peers.wait(name.actor()), Ok(worker));
    worker.stop();
    peers.wait(free(&name));
}

#[test]
fn who_cannot_have_a_name_is_told_why() {
    let peers = Peers::new();
    let name = peers.name::<Worker>(0, "leader");
    let elsewhere = peers.systems[1].spawn(|| Worker).unwrap();
    assert_eq!(peers.wait(name.claim(elsewhere)), Err(NameError::NotLocal));
    let worker = peers.systems[0].spawn(|| Worker).unwrap();
    peers.wait(name.claim(worker)).unwrap();
    let other = peers.name::<Other>(1, "leader");
    let wrong = peers.wait(other.actor()).unwrap_err();
    assert!(wrong.to_string().contains("not a"), "{wrong}");
    assert!(matches!(wrong, NameError::WrongType { .. }));
    let way = || {
        let own = *peers.systems[0];
        Arc::new(Way {
            own,
            systems: vec![own],
        })
    };
    let longer = "x".repeat(256);
    for text in ["", "a\0b", &longer] {
        assert!(peers.names[0].name::<Worker, Way>(text, way()).is_err());
    }
}

#[test]
fn between_two_lives_names_are_refused_and_the_next_one_claims_anew() {
    let peers = Peers::new();
    let name = peers.name::<Worker>(0, "leader");
    let worker = peers.systems[0].spawn(|| Worker).unwrap();
    peers.wait(name.claim(worker)).unwrap();
    peers.names[0].end();
    assert_eq!(peers.wait(name.claim(worker)), Err(NameError::NotAMember));
    assert_eq!(peers.wait(name.release(worker)), Err(NameError::NotAMember));
    assert_eq!(peers.wait(name.actor()), Err(NameError::NotAMember));
    let store = Arc::clone(&peers.store);
    peers.names[0].begin(Arc::new(At { peer: 0, store }));
    peers.wait(name.claim(worker)).unwrap();
    worker.stop();
    peers.wait(free(&name));
}

/// Whoever gives up waiting for the answer leaves nothing behind that nobody gives back.
#[test]
fn a_claim_that_is_dropped_is_given_back_by_the_end_of_its_actor() {
    let peers = Peers::new();
    let name = peers.name::<Worker>(0, "leader");
    let worker = peers.systems[0].spawn(|| Worker).unwrap();
    peers.wait(async {
        let mut claim = Box::pin(name.claim(worker));
        let first =
            std::future::poll_fn(|cx| std::task::Poll::Ready(claim.as_mut().poll(cx).is_ready()));
        first.await;
        drop(claim);
        while name.holder().await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    worker.stop();
    peers.wait(free(&name));
}

/// Again and again two claim one name at once: one has it, the other hears who.
#[test]
fn w11_two_claim_one_name_at_once_and_one_has_it() {
    let peers = Peers::new();
    let workers = [0, 1].map(|at| peers.systems[at].spawn(|| Worker).unwrap());
    let rounds = 500;
    for round in 0..rounds {
        let names = [0, 1].map(|at| peers.name::<Worker>(at, &format!("name-{round}")));
        let other = {
            let name = names[1].clone();
            let worker = workers[1];
            peers.systems[1]
                .tokio()
                .spawn(async move { name.claim(worker).await })
        };
        let mine = peers.wait(names[0].claim(workers[0]));
        let others = peers.wait(other).unwrap();
        let holder = peers.wait(names[0].actor()).unwrap();
        match (mine, others) {
            (Ok(_), Err(NameError::Taken { .. })) => assert_eq!(holder, workers[0]),
            (Err(NameError::Taken { .. }), Ok(_)) => assert_eq!(holder, workers[1]),
            both => panic!("{both:?}"),
        }
    }
}
