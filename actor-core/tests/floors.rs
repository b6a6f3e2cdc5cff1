//! The house rules that a compiler does not check: imports point down, one door to atomics, every file
//! says what it is, no file outgrows a reading, and unsafe code lives where a reason is given.
//!
//! A small reader of Rust source, not a parser: it knows comments, strings, `use` trees and paths that
//! begin with `crate::`. The fixtures at the end show that it sees what it should.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use reader::{File, atomics, every_file, files, floors, names, paths, says_unsafe, src, upward};

mod reader;

/// Files that may say `unsafe`, and why.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("cell/administer.rs", "a parent's orders about its children"),
    ("cell/again.rs", "the owner's side of the header"),
    ("cell/end.rs", "the owner's side of the header"),
    ("cell/extra.rs", "a box in a block of the slab"),
    ("cell/birth.rs", "claims cells and lays down states"),
    ("cell/children.rs", "links siblings through their cells"),
    (
        "cell/deadline.rs",
        "looks after children that were told to stop",
    ),
    ("cell/crossing.rs", "delivers what it took off a lane"),
    ("cell/dedicated.rs", "the owner's side of the header"),
    ("cell/failure.rs", "the parent of children that fail"),
    (
        "cell/family.rs",
        "what a parent remembers, in its extra part",
    ),
    ("cell/frame.rs", "declares the frames' function table"),
    ("cell/header.rs", "the cell: type-stable memory, wakers"),
    ("cell/inspect.rs", "the owner looks at its own cell"),
    ("cell/life.rs", "the owner's side of the header"),
    (
        "cell/local.rs",
        "a thread-local pointer to the worker's own things",
    ),
    ("cell/links.rs", "the owner notes its links"),
    ("cell/monitor.rs", "the owner notes who waits for its end"),
    ("cell/names.rs", "the owner notes its names"),
    ("cell/orders.rs", "the owner heeds its signals"),
    ("cell/overflow.rs", "a signal handler"),
    ("cell/proxy.rs", "the owner passes orders on"),
    ("cell/room.rs", "the owner's side of the inbox"),
    ("cell/header/place.rs", "the header's fields"),
    ("cell/rehome.rs", "moves a state from block to block"),
    ("cell/running.rs", "follows vtables, which are static"),
    ("cell/runtime.rs", "runs cells for the scheduler"),
    ("cell/simulated.rs", "runs cells without a worker"),
    (
        "cell/spanning.rs",
        "looks at the contexts of the owner's nodes",
    ),
    ("cell/stamps.rs", "blocks in the place of a node's context"),
    ("cell/stash.rs", "lists of nodes that are the owner's"),
    (
        "cell/timers.rs",
        "timers are in the cell's extra part, which is the owner's",
    ),
    (
        "cell/tasks.rs",
        "nodes that are pushed again, the owner's work",
    ),
    ("cell/sequence.rs", "the parent of children that are held"),
    ("cell/turn.rs", "the owner's side of inbox and header"),
    ("cell/vtable.rs", "declares the actors' function table"),
    ("cell/watch.rs", "notices are nodes"),
    (
        "context/actor_context.rs",
        "a handler is on its cell's owner",
    ),
    ("context/attached.rs", "work that is given the state"),
    ("context/call.rs", "the asker's side of a node"),
    ("context/children.rs", "a handler is on its cell's owner"),
    ("context/envelope.rs", "typed nodes"),
    ("context/forward.rs", "typed nodes"),
    ("context/harness.rs", "typed states and frames"),
    ("context/inbound.rs", "answers that lie in blocks"),
    ("context/proxy.rs", "messages moved out of typed nodes"),
    (
        "context/lent.rs",
        "a state on a thread of the blocking pool",
    ),
    ("context/message_context.rs", "counted blocks from the slab"),
    ("context/outgoing.rs", "pushes nodes"),
    (
        "context/placement.rs",
        "the owner asks what its subtree was told",
    ),
    ("context/reentrant.rs", "a state that is lent"),
    ("context/reply.rs", "the responder's side of a node"),
    ("context/send.rs", "takes a refused node back"),
    (
        "context/hook_spans.rs",
        "polls a pinned hook beside its span",
    ),
    (
        "context/spanning.rs",
        "puts a handler's context into its node",
    ),
    ("context/spawn.rs", "writes states"),
    ("context/stash.rs", "a handler is on its cell's owner"),
    ("context/timer_node.rs", "typed nodes of timers"),
    ("context/timers.rs", "a handler is on its cell's owner"),
    ("context/stream.rs", "typed nodes"),
    ("context/actor_ref.rs", "takes a refused node back"),
    ("context/watching.rs", "a handler is on its cell's owner"),
    ("mailbox/batch.rs", "nodes as tagged addresses"),
    ("mailbox/inbox.rs", "nodes as tagged addresses"),
    ("mailbox/lane.rs", "a stack of boxes"),
    ("mailbox/node.rs", "intrusive links"),
    ("mailbox/reply.rs", "a waker in a shared slot"),
    ("memory/arena.rs", "blocks cut from mapped chunks"),
    ("memory/bind.rs", "mbind"),
    ("memory/cache.rs", "magazines behind a thread-local pointer"),
    ("memory/large.rs", "blocks cut from mapped chunks"),
    ("memory/map.rs", "mmap and madvise"),
    ("memory/numa_box.rs", "a box of its own"),
    ("memory/residency.rs", "move_pages"),
    ("stack/capture.rs", "a signal handler"),
    ("stack/unwind.rs", "the loader's tables"),
    ("scheduler/barrier.rs", "membarrier"),
    ("scheduler/lifo.rs", "a task taken from its owner's slot"),
    ("scheduler/park.rs", "futex"),
    ("scheduler/pool.rs", "declares take_turn"),
    ("scheduler/ring.rs", "slots shared with thieves"),
    ("scheduler/task.rs", "thin pointers with their own link"),
    (
        "scheduler/pool/stepped.rs",
        "declares a driver that takes no turns",
    ),
    ("scheduler/worker.rs", "calls take_turn"),
    ("scheduler/worker/stepped.rs", "tasks of a model"),
    (
        "sync/spool.rs",
        "slots that one side fills and the other empties",
    ),
    ("system/listen.rs", "setsockopt"),
    (
        "scheduler/timer/alarm.rs",
        "a block behind two functions of the floor above",
    ),
    ("scheduler/timer/slab.rs", "entries in blocks of an arena"),
    (
        "telemetry/spans/collector.rs",
        "takes from the spools, under its lock",
    ),
    ("topology/affinity.rs", "sched_setaffinity"),
    ("trace/spans.rs", "whose side of a spool a caller is on"),
];

const LINES_MAX: usize = 700;

#[test]
fn imports_point_down() {
    let lib = fs::read_to_string(src().join("lib.rs")).expect("src/lib.rs");
    let floors = floors(&lib);
    assert!(floors.len() > 8, "lib.rs declares its floors: {floors:?}");
    let mut wrong = Vec::new();
    for file in files() {
        wrong.extend(
            upward(&file.floor(), &file.text, &floors).map(|path| format!("{}: {path}", file.name)),
        );
    }
    assert!(
        wrong.is_empty(),
        "imports that point up the floors:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn only_sync_names_atomics() {
    let wrong: Vec<_> = files()
        .into_iter()
        .filter(|file| file.floor() != "sync")
        .flat_map(|file| {
            atomics(&file.text)
                .into_iter()
                .map(move |path| format!("{}: {path}", file.name))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "atomics go through crate::sync, so that models see them:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_file_says_what_it_is() {
    // A unit-test file beside its module needs no head: the names of its tests are one.
    let silent: Vec<_> = every_file()
        .into_iter()
        .filter(|file| {
            !file.text.starts_with("//! ") && (!file.is_test() || file.name.ends_with("_loom.rs"))
        })
        .collect();
    assert!(
        silent.is_empty(),
        "files without a head: {:?}",
        names(&silent)
    );
}

#[test]
fn no_file_outgrows_a_reading() {
    let long: Vec<_> = every_file()
        .into_iter()
        .filter(|file| file.text.lines().count() > LINES_MAX)
        .collect();
    assert!(
        long.is_empty(),
        "over {LINES_MAX} lines: {:?}",
        names(&long)
    );
}

#[test]
fn unsafe_lives_where_a_reason_is_given() {
    let listed: BTreeSet<_> = UNSAFE_FILES
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let found: BTreeSet<_> = files()
        .into_iter()
        .filter(|file| says_unsafe(&file.text))
        .map(|file| file.name)
        .collect();
    let new: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(
        new.is_empty(),
        "unsafe code in files that UNSAFE_FILES gives no reason for: {new:?}"
    );
    assert!(
        gone.is_empty(),
        "UNSAFE_FILES names files without unsafe code: {gone:?}"
    );
}

/// Circles between the files of one floor are allowed and worth knowing: `cargo test -- --nocapture`.
#[test]
fn circles_within_a_floor_are_listed() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let files = files();
    let known: BTreeSet<_> = files.iter().map(File::module).collect();
    for file in &files {
        let module = file.module();
        let parent = module
            .rsplit_once("::")
            .map_or("", |(parent, _)| parent)
            .to_owned();
        let base = if file.name.ends_with("mod.rs") {
            module.clone()
        } else {
            parent
        };
        for path in paths(&file.text, "super") {
            let first = path.split("::").nth(1).unwrap_or_default();
            let target = format!("{base}::{first}");
            if known.contains(&target) && target != module {
                edges.entry(module.clone()).or_default().insert(target);
            }
        }
    }
    for (from, to) in &edges {
        for back in to
            .iter()
            .filter(|to| *from < **to && edges.get(*to).is_some_and(|to| to.contains(from)))
        {
            println!("{from} <-> {back}");
        }
    }
    assert!(!edges.is_empty(), "the reader sees imports within floors");
}

// The fixtures: planted violations must be reported, look-alikes must not.

fn three_floors() -> BTreeMap<String, usize> {
    floors(
        "// Floor 0. Ground.\npub(crate) mod sync;\n\n// Floor 1. Middle.\npub mod middle;\n#[cfg(x)]\n// Floor 2. Top.\npub mod top;\n",
    )
}

#[test]
fn the_reader_reads_the_floors() {
    let floors = three_floors();
    assert_eq!((floors["sync"], floors["middle"], floors["top"]), (0, 1, 2));
}

#[test]
fn a_planted_circle_is_reported() {
    let planted = r#"
        use std::fmt;
        use crate::{sync::{self, Mutex}, top::{deep::{Thing, Other as Else}, More}};
        // crate::top::Comment is no import.
        fn f() -> crate::top::Inline { "crate::top::Text"; crate::sync::g::<u8>() }
        macro_rules! m { () => { $crate::top::Macro } }
    "#;
    let found: Vec<_> = upward("middle", planted, &three_floors()).collect();
    assert_eq!(
        found,
        [
            "crate::top::Inline",
            "crate::top::Macro",
            "crate::top::More",
            "crate::top::deep::Other",
            "crate::top::deep::Thing",
        ]
    );
    assert_eq!(upward("top", planted, &three_floors()).count(), 0);
    let found: Vec<_> = upward("middle", "use crate::ReExport;", &three_floors()).collect();
    assert_eq!(found, ["crate::ReExport"], "lib.rs stands above all floors");
}

#[test]
fn a_planted_atomic_is_reported() {
    for planted in [
        "use std::sync::atomic::AtomicU8;",
        "use std::{fmt, sync::{Arc, atomic::{AtomicU8, Ordering}}};",
        "static N: core::sync::atomic::AtomicU8 = todo();",
        "use loom::thread;",
    ] {
        assert!(!atomics(planted).is_empty(), "{planted}");
    }
    for innocent in [
        "use std::sync::Arc;",
        "// std::sync::atomic",
        "use crate::sync::atomic::AtomicU8;",
        "\"std::sync::atomic\"",
    ] {
        assert!(
            atomics(innocent).is_empty(),
            "{innocent}: {:?}",
            atomics(innocent)
        );
    }
}

#[test]
fn planted_unsafe_is_reported() {
    assert!(says_unsafe("fn f() { unsafe { g() } }"));
    assert!(says_unsafe("let quote = '\"'; unsafe { g() }"));
    assert!(!says_unsafe("// unsafe\nlet not_unsafe = \"unsafe\";"));
}
