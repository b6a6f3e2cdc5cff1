//! The live tree: complete when it is small, cut and honest when it is not, and nobody waits for it.

mod common;
#[path = "common/life.rs"]
mod life;

use std::sync::mpsc;
use std::time::Duration;

use actor_core::{ActorPhase, SupervisionTree, prelude::*};
use common::{Gate, finish, system, wait_until};
use life::{Dot, Echo, Log, Node, NodeRef, Sleep, Spec, boom, quiet, with};

const LONG: Duration = Duration::from_secs(120);

/// Blocks its worker until the gate is open.
struct Block(Gate, mpsc::Sender<()>);
impl Message for Block {
    type Reply = ();
}
impl SyncHandler<Block> for Node {
    fn handle(&mut self, Block(gate, begun): Block, _cx: &mut ActorContext<Self>) {
        begun.send(()).expect("the test listens");
        gate.pass();
    }
}

#[test]
fn a_tree_shows_who_is_under_whom_and_how_they_are() {
    quiet();
    let system = system();
    let log = Log::new();
    let spec = Spec::new("top", &log)
        .child(Spec::new("left", &log).child(Spec::new("leaf", &log)))
        .child(Spec::new("right", &log));
    let top = spec.spawn(&system);
    let (leaf, right) = (spec.family.get("leaf"), spec.family.get("right"));
    let left = spec.family.get("left");
    right.crash();
    assert_eq!(right.life(), 2);
    leaf.tell(Sleep(None)).unwrap();
    log.wait("leaf sleeps");
    leaf.tell(life::Note(1)).unwrap();

    let tree = system.supervision_tree().patience(LONG).blocking();
    println!("{tree}");
    assert!(tree.is_complete());
    let order: Vec<_> = tree
        .nodes()
        .iter()
        .map(|node| node.name().unwrap())
        .collect();
    assert_eq!(order, ["top", "left", "leaf", "right"]);
    let depths: Vec<_> = tree.nodes().iter().map(|node| node.depth).collect();
    assert_eq!(depths, [0, 1, 2, 1]);
    assert_eq!(tree.get(leaf.id()).unwrap().parent, Some(left.id()));
    assert_eq!(
        tree.roots().map(|node| node.actor).collect::<Vec<_>>(),
        [top.id()]
    );
    let seen = tree.find("right").unwrap().seen.clone().unwrap();
    assert_eq!((seen.restarts, seen.phase), (1, ActorPhase::Running));
    let seen = tree.find("leaf").unwrap().seen.clone().unwrap();
    assert_eq!(seen.queued, 1);
    let drawn = tree.to_string();
    assert!(drawn.contains("├─ left Node"), "{drawn}");
    assert!(
        drawn.contains("│     └─ leaf Node") || drawn.contains("   │  └─ leaf Node"),
        "{drawn}"
    );
    assert!(drawn.contains(", 1 restart"), "{drawn}");
    assert!(drawn.contains("awaits in Sleep"), "{drawn}");

    let below = system
        .supervision_tree()
        .under(left.id())
        .patience(LONG)
        .blocking();
    assert_eq!(below.len(), 2);
    assert_eq!(below.nodes()[0].actor, left.id());

    leaf.kill();
    leaf.gone();
    top.stop();
    top.gone();
    finish(system);
}

#[test]
fn a_blocked_actor_is_busy_and_holds_nobody_up() {
    let system = ActorSystem::builder()
        .workers(actor_core::topology::Workers::Count(2))
        .build()
        .expect("a system starts");
    let log = Log::new();
    let blocked = Spec::new("blocked", &log).spawn(&system);
    let gate = Gate::new();
    let (begin, begun) = mpsc::channel();
    blocked.tell(Block(gate.clone(), begin)).unwrap();
    begun.recv_timeout(LONG).expect("it blocks");
    let idle = Spec::new("idle", &log).spawn(&system);

    // Idle may be in the blocked worker's queue until the other takes it over; that one is not.
    wait_until(
        "the other actor is seen, and the blocked one is not",
        || {
            let tree = system.supervision_tree().blocking();
            let busy: Vec<_> = tree.busy().map(|node| node.actor).collect();
            busy == [blocked.id()] && tree.find("idle").is_some()
        },
    );
    let drawn = system.supervision_tree().blocking().to_string();
    assert!(drawn.contains(&format!("{} busy", blocked.id())), "{drawn}");
    assert_eq!(idle.life(), 1);

    gate.open();
    assert_eq!(blocked.life(), 1);
    assert!(
        system
            .supervision_tree()
            .patience(LONG)
            .blocking()
            .is_complete()
    );
    finish(system);
}

#[test]
fn a_crowd_is_cut_and_counted() {
    const CROWD: usize = 5_000;
    let system = system();
    let log = Log::new();
    let parent = Spec::new("parent", &log).spawn(&system);
    parent
        .ask_blocking(with(|_, cx| {
            for _ in 0..CROWD {
                cx.spawn(Dot).expect("spawned");
            }
        }))
        .unwrap();
    for _ in 0..100 {
        system.spawn(Dot).unwrap();
    }

    let tree = system.supervision_tree().patience(LONG).blocking();
    assert_eq!(tree.len(), 50 + 50);
    assert_eq!(tree.alive(), CROWD as u64 + 101);
    let parent_node = tree.get(parent.id()).unwrap();
    assert_eq!(parent_node.hidden_children, CROWD - 50);
    assert_eq!(tree.children(parent.id()).count(), 50);
    let drawn = tree.to_string();
    assert_eq!(drawn.lines().count(), 1 + 100 + 2, "{drawn}");
    assert!(drawn.contains("│  └─ … and 4,950 more"), "{drawn}");
    assert!(drawn.ends_with("\n└─ … and 51 more"), "{drawn}");

    let whole = system
        .supervision_tree()
        .actors_max(usize::MAX)
        .children_max(usize::MAX)
        .patience(LONG)
        .blocking();
    assert_eq!(whole.len(), CROWD + 101);
    assert!(whole.is_complete());
    finish(system);
}

/// Reads the tree inside of a handler.
struct Look;
impl Message for Look {
    type Reply = SupervisionTree;
}
struct Looker(actor_core::SystemRef);
impl Actor for Looker {}
impl Handler<Look> for Looker {
    async fn handle(&mut self, Look: Look, _cx: &mut ActorContext<Self>) -> SupervisionTree {
        self.0.supervision_tree().patience(LONG).await
    }
}

#[test]
fn a_handler_that_awaits_the_tree_is_in_it() {
    let system = system();
    let handle = system.handle();
    let looker = system.actor(Looker(handle)).name("looker").spawn().unwrap();
    let dot = system.spawn(Dot).unwrap();
    let tree = looker.ask_blocking(Look).unwrap();
    assert!(tree.is_complete());
    let seen = tree.find("looker").unwrap().seen.clone().unwrap();
    assert!(
        seen.handling
            .is_some_and(|message| message.ends_with("Look"))
    );
    assert_eq!(dot.ask_blocking(Echo(3)).unwrap(), 3);
    // Any executor will do.
    let tree = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async { handle.supervision_tree().patience(LONG).await });
    assert_eq!(tree.len(), 2);
    finish(system);
}

#[test]
fn trees_read_while_everything_restarts_come_to_an_end_and_make_sense() {
    quiet();
    let system = system();
    let log = Log::new();
    let mut spec = Spec::new("top", &log);
    spec.supervision = Supervision::one_for_one().intensity(10_000);
    for name in ["a", "b", "c"] {
        spec = spec.child(Spec::new(name, &log));
    }
    spec.spawn(&system);
    let storm = ["a", "b", "c"].map(|name| spec.family.get(name));
    for _ in 0..30 {
        for each in storm {
            each.tell(with(|_, _| boom())).unwrap();
        }
        let tree = system.supervision_tree().patience(LONG).blocking();
        assert!(tree.is_complete(), "{tree}");
        assert_eq!(tree.len(), 4, "{tree}");
    }
    finish(system);
}

#[test]
fn after_the_shutdown_the_tree_is_empty() {
    let system = system();
    let handle = system.handle();
    system.spawn(Dot).unwrap();
    finish(system);
    let tree = handle.supervision_tree().blocking();
    assert!(tree.is_empty());
    assert!(tree.is_complete(), "{tree}");
}
