//! A small reader of Rust source, not a parser: it knows comments, strings, `use` trees and paths that
//! begin with `crate::`. The floors tests of several crates share it; each reads its own `src/`.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "no crate's test uses all of it, and a test has no outside"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

pub struct File {
    /// Below src/, with `/`.
    pub name: String,
    pub text: String,
}

impl File {
    pub fn floor(&self) -> String {
        let end = self.name.find(['/', '.']).unwrap_or(self.name.len());
        self.name[..end].to_owned()
    }

    pub fn module(&self) -> String {
        let name = self.name.trim_end_matches(".rs").trim_end_matches("/mod");
        name.replace('/', "::")
    }

    /// Tests and models may reach wherever they like.
    pub fn is_test(&self) -> bool {
        let stem = self
            .name
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs");
        stem == "tests"
            || self.name.contains("/tests/")
            || stem == "test_tree"
            || stem.ends_with("_tests")
            || stem.ends_with("_loom")
    }
}

pub fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

pub fn every_file() -> Vec<File> {
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
    assert!(files.len() > 2, "only {} files found", files.len());
    files
}

/// Without tests, models and the map itself (which re-exports everything).
pub fn files() -> Vec<File> {
    every_file()
        .into_iter()
        .filter(|file| !file.is_test() && file.name != "lib.rs")
        .collect()
}

pub fn names(files: &[File]) -> Vec<&str> {
    files.iter().map(|file| file.name.as_str()).collect()
}

/// The number of each module's floor, from the comments that open the floors in lib.rs.
pub fn floors(lib: &str) -> BTreeMap<String, usize> {
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
pub fn upward<'a>(
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

pub fn atomics(text: &str) -> Vec<String> {
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

pub fn says_unsafe(text: &str) -> bool {
    words(&code(text)).any(|word| word == "unsafe")
}

/// Every path that begins with `root::`, groups taken apart: `crate::a::{b, c::{d}}` is two paths.
pub fn paths(text: &str, root: &str) -> BTreeSet<String> {
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
pub fn tree(rest: &str, prefix: &str, paths: &mut BTreeSet<String>) -> usize {
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

pub fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

/// The text without comments and without what stands in strings.
pub fn code(text: &str) -> String {
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
pub fn string_end(rest: &str) -> &str {
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
