//! The house rules that a compiler does not check: imports point down, one door to atomics, every file
//! says what it is, no file outgrows a reading, and unsafe code lives where a reason is given.
//!
//! A small reader of Rust source, not a parser: it knows comments, strings, `use` trees and paths that
//! begin with `crate::`. The fixtures at the end show that it sees what it should.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Files that may say `unsafe`, and why.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("cell/administer.rs", "a parent's orders about its children"),
    ("cell/again.rs", "the owner's side of the header"),
    ("cell/end.rs", "the owner's side of the header"),
    ("cell/birth.rs", "claims cells and lays down states"),
    ("cell/children.rs", "links siblings through their cells"),
    (
        "cell/deadline.rs",
        "looks after children that were told to stop",
    ),
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
    ("cell/overflow.rs", "a signal handler"),
    ("cell/rehome.rs", "moves a state from block to block"),
    ("cell/running.rs", "follows vtables, which are static"),
    ("cell/runtime.rs", "runs cells for the scheduler"),
    ("cell/simulated.rs", "runs cells without a worker"),
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
    (
        "context/lent.rs",
        "a state on a thread of the blocking pool",
    ),
    ("context/message_context.rs", "counted blocks from the slab"),
    ("context/outgoing.rs", "pushes nodes"),
    ("context/reentrant.rs", "a state that is lent"),
    ("context/reply.rs", "the responder's side of a node"),
    ("context/send.rs", "takes a refused node back"),
    ("context/spawn.rs", "writes states"),
    ("context/stash.rs", "a handler is on its cell's owner"),
    ("context/timer_node.rs", "typed nodes of timers"),
    ("context/timers.rs", "a handler is on its cell's owner"),
    ("context/stream.rs", "typed nodes"),
    ("context/actor_ref.rs", "takes a refused node back"),
    ("context/watching.rs", "a handler is on its cell's owner"),
    ("mailbox/inbox.rs", "nodes as tagged addresses"),
    ("mailbox/lane.rs", "a stack of boxes"),
    ("mailbox/node.rs", "intrusive links"),
    ("mailbox/reply.rs", "a waker in a shared slot"),
    ("memory/arena.rs", "blocks cut from mapped chunks"),
    ("memory/bind.rs", "mbind"),
    ("memory/cache.rs", "magazines behind a thread-local pointer"),
    ("memory/residency.rs", "move_pages"),
    ("scheduler/barrier.rs", "membarrier"),
    ("scheduler/lifo.rs", "a task taken from its owner's slot"),
    ("scheduler/park.rs", "futex"),
    ("scheduler/pool.rs", "declares take_turn"),
    ("scheduler/ring.rs", "slots shared with thieves"),
    ("scheduler/task.rs", "thin pointers with their own link"),
    ("scheduler/worker.rs", "calls take_turn"),
    ("system/listen.rs", "setsockopt"),
    (
        "scheduler/timer/alarm.rs",
        "a block behind two functions of the floor above",
    ),
    ("topology/affinity.rs", "sched_setaffinity"),
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

// The reader.

struct File {
    /// Below src/, with `/`.
    name: String,
    text: String,
}

impl File {
    fn floor(&self) -> String {
        let end = self.name.find(['/', '.']).unwrap_or(self.name.len());
        self.name[..end].to_owned()
    }

    fn module(&self) -> String {
        let name = self.name.trim_end_matches(".rs").trim_end_matches("/mod");
        name.replace('/', "::")
    }

    /// Tests and models may reach wherever they like.
    fn is_test(&self) -> bool {
        let stem = self
            .name
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs");
        stem == "tests"
            || stem == "test_tree"
            || stem.ends_with("_tests")
            || stem.ends_with("_loom")
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn every_file() -> Vec<File> {
    fn walk(folder: &Path, files: &mut Vec<File>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(src())
                    .expect("below src")
                    .to_string_lossy()
                    .replace('\\', "/");
                files.push(File {
                    name,
                    text: fs::read_to_string(&path).expect("readable source"),
                });
            }
        }
    }
    let mut files = Vec::new();
    walk(&src(), &mut files);
    files.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(files.len() > 50, "only {} files found", files.len());
    files
}

/// Without tests, models and the map itself (which re-exports everything).
fn files() -> Vec<File> {
    every_file()
        .into_iter()
        .filter(|file| !file.is_test() && file.name != "lib.rs")
        .collect()
}

fn names(files: &[File]) -> Vec<&str> {
    files.iter().map(|file| file.name.as_str()).collect()
}

/// The number of each module's floor, from the comments that open the floors in lib.rs.
fn floors(lib: &str) -> BTreeMap<String, usize> {
    let mut floors = BTreeMap::new();
    let mut floor = None;
    for line in lib.lines() {
        if let Some(rest) = line.strip_prefix("// Floor ") {
            floor = rest
                .split('.')
                .next()
                .and_then(|number| number.parse().ok());
        }
        let declared = line
            .trim_end_matches(';')
            .rsplit_once("mod ")
            .filter(|_| line.ends_with(';'));
        if let (Some((_, module)), Some(floor)) = (declared, floor) {
            floors.insert(module.to_owned(), floor);
        }
    }
    floors
}

/// The paths in `text` that lead from `floor` to a higher one, or to what lib.rs re-exports.
fn upward<'a>(
    floor: &str,
    text: &str,
    floors: &'a BTreeMap<String, usize>,
) -> impl Iterator<Item = String> + 'a {
    let own = floors.get(floor).copied();
    paths(text, "crate").into_iter().filter(move |path| {
        let target = path.split("::").nth(1).unwrap_or_default();
        match (own, floors.get(target)) {
            (Some(own), Some(target)) => *target > own,
            // Not a floor: a re-export of lib.rs, which stands above all.
            _ => true,
        }
    })
}

fn atomics(text: &str) -> Vec<String> {
    ["std", "core", "loom"]
        .into_iter()
        .flat_map(|root| paths(text, root))
        .filter(|path| {
            path.starts_with("loom::")
                || path.starts_with("std::sync::atomic")
                || path.starts_with("core::sync::atomic")
        })
        .collect()
}

fn says_unsafe(text: &str) -> bool {
    words(&code(text)).any(|word| word == "unsafe")
}

/// Every path that begins with `root::`, groups taken apart: `crate::a::{b, c::{d}}` is two paths.
fn paths(text: &str, root: &str) -> BTreeSet<String> {
    let code = code(text);
    let mut paths = BTreeSet::new();
    let start = format!("{root}::");
    let mut from = 0;
    while let Some(at) = code[from..].find(&start) {
        let at = from + at;
        from = at + start.len();
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            // `$crate` in a macro of ours, or the end of another path or name.
            if before != Some('$') && !code[..at].ends_with(" ::") {
                continue;
            }
        }
        tree(&code[from..], root, &mut paths);
    }
    paths
}

/// Reads one path or group from the start of `rest`; returns how far it read.
fn tree(rest: &str, prefix: &str, paths: &mut BTreeSet<String>) -> usize {
    let trimmed = rest.trim_start();
    let skipped = rest.len() - trimmed.len();
    if let Some(group) = trimmed.strip_prefix('{') {
        let mut at = 0;
        loop {
            at += tree(&group[at..], prefix, paths);
            let after = group[at..].trim_start();
            at = group.len() - after.len();
            match after.chars().next() {
                Some(',') => at += 1,
                _ => return skipped + 1 + (at + 1).min(group.len()),
            }
            if group[at..].trim_start().starts_with('}') {
                let after = group[at..].trim_start();
                return skipped + 1 + group.len() - after.len() + 1;
            }
        }
    }
    let name: String = trimmed
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '*')
        .collect();
    let read = skipped + name.len();
    let path = if name.is_empty() {
        prefix.to_owned()
    } else {
        format!("{prefix}::{name}")
    };
    if let Some(more) = rest[read..].strip_prefix("::") {
        // A turbofish ends the path.
        if !more.starts_with('<') {
            return read + 2 + tree(more, &path, paths);
        }
    }
    paths.insert(path);
    // `as name`
    let after = rest[read..].trim_start();
    match after.strip_prefix("as ") {
        Some(alias) => {
            let end = alias
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(alias.len());
            rest.len() - alias.len() + end
        }
        None => read,
    }
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

/// The text without comments and without what stands in strings.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with("/*") {
            rest = &rest[rest.find("*/").map_or(rest.len(), |at| at + 2)..];
        } else if rest.starts_with("r#\"") {
            rest = rest
                .get(3..)
                .and_then(|inside| inside.split_once("\"#"))
                .map_or("", |(_, after)| after);
        } else if rest.starts_with("'\"'") {
            rest = &rest[3..];
        } else if c == '"' {
            rest = string_end(&rest[1..]);
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    code
}

/// What follows the string whose inside `rest` begins with.
fn string_end(rest: &str) -> &str {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &rest[at + 1..],
            _ => {}
        }
    }
    ""
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
