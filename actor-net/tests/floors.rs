//! The house rules that a compiler does not check: imports point down, the wire does no I/O and knows no
//! clock, every file says what it is, and no file outgrows a reading.

use std::fs;

use reader::{code, every_file, files, floors, names, says_unsafe, src, upward, words};

#[path = "../../actor-core/tests/reader/mod.rs"]
mod reader;

const LINES_MAX: usize = 700;

/// Files that may say `unsafe`, and why.
const UNSAFE_FILES: &[(&str, &str)] = &[];

/// What a pure state machine has no business with: the world outside, threads, the time by itself.
const IMPURE: &[&str] = &[
    "net",
    "fs",
    "thread",
    "tokio",
    "sleep",
    "elapsed",
    "Mutex",
    "SystemTime",
    "env",
    "io",
    "async",
    "await",
];

#[test]
fn imports_point_down() {
    let lib = fs::read_to_string(src().join("lib.rs")).expect("src/lib.rs");
    // Floors that are still empty are declared with their text; a block's opening is as good as a `;`.
    let floors = floors(&lib.replace(" {\n    //!", ";\n    //!"));
    assert!(floors.len() > 5, "lib.rs declares its floors: {floors:?}");
    let wrong: Vec<_> = files()
        .iter()
        .flat_map(|file| {
            let name = &file.name;
            upward(&file.floor(), &file.text, &floors)
                .map(|path| format!("{name}: {path}"))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "imports that point up the floors:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_wire_does_no_io_and_knows_no_clock() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    // The fuzzer's harness begins at some time; everything else is told.
    let pure = |file: &&reader::File| file.floor() == "wire" && file.name != "wire/fuzz.rs";
    for file in files().iter().filter(pure) {
        seen += 1;
        let code = code(&file.text);
        wrong.extend(
            words(&code)
                .filter(|word| IMPURE.contains(word))
                .map(|word| format!("{}: {word}", file.name)),
        );
        if code.contains("Instant::now") {
            wrong.push(format!("{}: Instant::now", file.name));
        }
    }
    assert!(seen > 0, "the wire has files");
    assert!(wrong.is_empty(), "not pure:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> = every_file()
        .into_iter()
        .filter(|file| !file.text.starts_with("//! ") && !file.is_test())
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
    let found: Vec<_> = files()
        .into_iter()
        .filter(|file| says_unsafe(&file.text))
        .map(|file| file.name)
        .collect();
    let listed: Vec<_> = UNSAFE_FILES.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        found, listed,
        "unsafe code, and the files that UNSAFE_FILES gives a reason for"
    );
}
