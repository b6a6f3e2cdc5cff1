//! The corpus, replayed.

use std::fs;
use std::path::Path;

use super::targets;
use crate::simulation::Random;

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

/// Bytes flipped, cut out, doubled, put elsewhere: 100 changes of each input, or `ACTOR_MUTATIONS` of them.
#[test]
fn changed_inputs_of_the_corpus_are_borne() {
    let times = std::env::var("ACTOR_MUTATIONS").ok();
    let times = times.map_or(100, |times| times.parse::<u64>().expect("a number"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in targets() {
        let entries = fs::read_dir(folder.join(name)).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let inputs: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        let mut random = Random::new(1);
        for _ in 0..times {
            for input in &inputs {
                let mut data = input.clone();
                for _ in 0..=random.index(4) {
                    change(&mut data, &inputs, &mut random);
                }
                target(&data);
            }
        }
    }
}

fn change(data: &mut Vec<u8>, inputs: &[Vec<u8>], random: &mut Random) {
    if data.is_empty() {
        data.push(0);
    }
    let at = random.index(data.len());
    let end = at + random.index(data.len() - at + 1);
    match random.below(7) {
        0 => data[at] ^= 1 << random.below(8),
        1 => data[at] = [0, 1, 0x7f, 0x80, 0xff][random.index(5)],
        2 => drop(data.drain(at..end)),
        3 => data.truncate(at),
        4 => {
            let piece = data[at..end].to_vec();
            data.extend_from_slice(&piece);
        }
        5 => {
            let other = &inputs[random.index(inputs.len())];
            data.extend_from_slice(other);
        }
        _ => data.insert(at, random.next() as u8),
    }
}
