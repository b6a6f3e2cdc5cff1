//! The corpus, replayed.

use std::fs;
use std::path::Path;

use super::targets;

/// What fuzzing has found interesting is run with every `cargo test`, each input through each target.
#[test]
fn the_corpus_of_the_fuzz_targets_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut inputs = 0;
    for (name, target) in targets() {
        let own = folder.join(name);
        for entry in fs::read_dir(&own).unwrap_or_else(|error| panic!("{}: {error}", own.display()))
        {
            let data = fs::read(entry.unwrap().path()).unwrap();
            target(&data);
            inputs += 1;
        }
    }
    assert!(inputs >= 2 * targets().count(), "only {inputs} inputs");
}

/// Each decoder's function has a target that cargo-fuzz can run.
#[test]
fn every_fuzz_function_is_a_target() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    for (name, _) in targets() {
        let path = format!("path = \"targets/{name}.rs\"");
        assert!(manifest.contains(&path), "fuzz/Cargo.toml has no {path}");
    }
}
