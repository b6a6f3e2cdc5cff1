use std::time::Duration;

use super::SupervisionTree;
use super::walk::{Limits, Walk};
use crate::cell::{ActorPhase, ActorSnapshot};
use crate::id::ActorId;
use crate::supervision::{Restart, Supervision};

const LIMITS: Limits = Limits {
    nodes: 1000,
    children: 50,
    depth: 64,
    patience: Duration::ZERO,
};

fn id(index: u32) -> ActorId {
    ActorId::new(0, index, 1)
}

fn seen(index: u32, name: &str, children: &[u32]) -> ActorSnapshot {
    ActorSnapshot {
        actor: id(index),
        actor_type: "shop::cache::Cache<alloc::string::String, shop::Key>",
        name: Some(name.into()),
        numa_node: crate::id::NumaNodeId(0),
        phase: ActorPhase::Running,
        parent: None,
        children: children.iter().copied().map(id).collect(),
        child_count: children.len(),
        supervision: Supervision::one_for_one(),
        restart: Restart::Transient,
        restarts: 0,
        queued: 0,
        capacity: Some(1024),
        handling: None,
        asker_gone: false,
        watchers: 0,
        watching: 0,
        monitors: 0,
        links: 0,
        timers: 0,
        tasks: 0,
        registered: Vec::new(),
    }
}

/// Walks with an oracle that knows every actor by its index; `None` is gone, `Err` does not answer.
fn walk(
    limits: Limits,
    oracle: impl Fn(u32) -> Result<Option<ActorSnapshot>, ()>,
) -> SupervisionTree {
    let mut walk = Walk::new(id(0), Some(id(0)), 7, limits);
    while !walk.asked().is_empty() {
        for (index, actor) in walk.asked() {
            if let Ok(mut seen) = oracle(actor.index()) {
                if let Some(seen) = &mut seen {
                    seen.children.truncate(limits.children);
                }
                walk.answer(index, seen);
            }
        }
        walk.next_level();
    }
    walk.finish()
}

#[test]
fn a_small_tree_is_drawn() {
    let tree = walk(LIMITS, |index| {
        Ok(Some(match index {
            0 => seen(0, "root", &[1, 2]),
            1 => {
                let mut shop = seen(1, "shop", &[3, 4]);
                shop.restarts = 2;
                shop
            }
            3 => {
                let mut db = seen(3, "db", &[5]);
                db.queued = 3;
                db
            }
            4 => {
                let mut cache = seen(4, "a\nb", &[]);
                cache.phase = ActorPhase::BackingOff;
                cache.restarts = 1;
                cache
            }
            5 => {
                let mut conn = seen(5, "conn", &[]);
                conn.handling = Some("shop::Query");
                conn
            }
            _ => return Err(()),
        }))
    });
    assert_eq!(
        tree.to_string(),
        "\
actor system: 7 actors
├─ shop Cache<String, Key> actor:0.1.1 running, one_for_one, 2 restarts
│  ├─ db Cache<String, Key> actor:0.3.1 running, one_for_one, queue 3/1024
│  │  └─ conn Cache<String, Key> actor:0.5.1 running, awaits in Query
│  └─ a\\nb Cache<String, Key> actor:0.4.1 backing off, 1 restart
└─ actor:0.2.1 busy: did not answer in time"
    );
    assert!(!tree.is_complete());
    assert_eq!(tree.busy().count(), 1);
    assert_eq!(tree.roots().count(), 2);
    let of_shop: Vec<_> = tree.children(id(1)).map(|node| node.actor).collect();
    assert_eq!(of_shop, [id(3), id(4)]);
    assert_eq!(tree.find("conn").and_then(|node| node.parent), Some(id(3)));
    assert_eq!(tree.get(id(1)).and_then(|node| node.parent), None);
}

#[test]
fn what_is_left_out_is_counted_where_it_would_stand() {
    let limits = Limits {
        children: 2,
        ..LIMITS
    };
    let many: Vec<u32> = (10..20).collect();
    let tree = walk(limits, |index| {
        Ok(Some(match index {
            0 => seen(0, "root", &[1, 2, 3]),
            1 => {
                let mut pool = seen(1, "pool", &many);
                pool.child_count = 1_000_000;
                pool
            }
            11 => seen(11, "x", &[30]),
            other => seen(other, "x", &[]),
        }))
    });
    assert_eq!(
        tree.to_string(),
        "\
actor system: 7 actors
├─ pool Cache<String, Key> actor:0.1.1 running, one_for_one
│  ├─ x Cache<String, Key> actor:0.10.1 running
│  ├─ x Cache<String, Key> actor:0.11.1 running, one_for_one
│  │  └─ x Cache<String, Key> actor:0.30.1 running
│  └─ … and 999,998 more
├─ x Cache<String, Key> actor:0.2.1 running
└─ … and 1 more"
    );
    assert!(!tree.is_complete());
}

#[test]
fn who_went_meanwhile_is_not_there() {
    let tree = walk(LIMITS, |index| {
        Ok(match index {
            0 => Some(seen(0, "root", &[1, 2])),
            1 => None,
            other => Some(seen(other, "x", &[])),
        })
    });
    assert_eq!(tree.len(), 1);
    assert!(tree.to_string().contains("└─ x Cache"));
    // What is gone is not missing.
    assert!(tree.is_complete());
}

#[test]
fn the_caps_on_nodes_and_depth_hold() {
    // Everybody has two children, for ever.
    let endless = |index: u32| Ok(Some(seen(index, "x", &[index * 2 + 1, index * 2 + 2])));
    let limits = Limits {
        nodes: 20,
        ..LIMITS
    };
    let tree = walk(limits, endless);
    assert_eq!(tree.len(), 20);
    let limits = Limits { depth: 3, ..LIMITS };
    let tree = walk(limits, endless);
    assert_eq!(tree.len(), 2 + 4 + 8);
    assert!(tree.nodes().iter().all(|node| node.depth < 3));
    let drawn = tree.to_string();
    assert_eq!(drawn.lines().count(), 1 + tree.len());
    assert!(
        drawn.contains("running, one_for_one, 2 children"),
        "{drawn}"
    );
}

#[test]
fn a_silent_root_hides_everybody_and_one_that_is_gone_nobody() {
    let tree = walk(LIMITS, |_| Err(()));
    assert!(tree.is_empty() && !tree.is_complete());
    assert_eq!(tree.to_string(), "actor system: 7 actors\n└─ … and 7 more");
    let tree = walk(LIMITS, |_| Ok(None));
    assert!(tree.is_empty() && tree.is_complete());
}
