//! `docs/contract.md` is true: every check has a test, and the table names exactly the tests there are.
//!
//! A test belongs to a check by its name: `s05_limit_is_exact` to S05. To rewrite the table after adding
//! or renaming tests: `ACTOR_BLESS=1 cargo test -p actor-core --test contract`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What must have a test. Still to come: reliable delivery (D01 to D06).
const CHECKS: &[(char, u32)] = &[
    ('S', 25),
    ('W', 12),
    ('M', 20),
    ('T', 5),
    ('X', 5),
    ('R', 12),
    ('G', 8),
    ('B', 10),
    ('H', 6),
];

/// Promises that have tests of their own beside those of their checks.
const PROMISES: u32 = 14;

#[test]
fn every_check_has_a_test_and_the_table_names_it() {
    let tests = tests_by_check();
    let path = root().join("docs/contract.md");
    let text = fs::read_to_string(&path).expect("docs/contract.md");
    let blessed = with_tests(&text, &tests);
    if std::env::var_os("ACTOR_BLESS").is_some() {
        fs::write(&path, &blessed).expect("docs/contract.md is written");
    }
    let rows: Vec<String> = text.lines().filter_map(check_of).collect();
    let mut wrong = Vec::new();
    for (letter, last) in CHECKS {
        for number in 1..=*last {
            let check = format!("{letter}{number:02}");
            if !rows.contains(&check) {
                wrong.push(format!("{check} has no row in docs/contract.md"));
            }
            if !tests.contains_key(&check) {
                wrong.push(format!(
                    "{check} has no test: none is named {}_..",
                    check.to_lowercase()
                ));
            }
        }
    }
    for (check, names) in &tests {
        if !rows.contains(check) {
            wrong.push(format!("{} claims {check}, which is no check", names[0]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        std::env::var_os("ACTOR_BLESS").is_some() || text == blessed,
        "docs/contract.md does not name the tests as they are; \
         run ACTOR_BLESS=1 cargo test -p actor-core --test contract"
    );
}

#[test]
fn the_reader_knows_tests_and_rows() {
    let source = "#[test]\nfn s05_limit() {}\n/// #[test]\nfn s06_helper() {}\n#[test]\n#[ignore]\nfn m1_no() {}\n\
        #[tokio::test]\nasync fn c13_all() {}\n#[test]\nfn plain() {}";
    let mut found = BTreeMap::new();
    read_tests(source, "f.rs", &mut found);
    let all: Vec<_> = found
        .iter()
        .map(|(check, names)| (check.as_str(), names.len()))
        .collect();
    assert_eq!(all, [("C13", 1), ("S05", 1)]);
    assert_eq!(check_of("| S05 | text | |").as_deref(), Some("S05"));
    assert_eq!(check_of("| C1 | text | M01 | |").as_deref(), Some("C01"));
    assert_eq!(check_of("| check | given | tests |"), None);
    let table = with_tests("| C13 | all | X01 | old |\n| S06 | a / b |  |", &found);
    assert_eq!(
        table,
        "| C13 | all | X01 | `c13_all` (f) |\n| S06 | a / b | |\n"
    );
}

/// The id in a row's first cell, with two digits.
fn check_of(line: &str) -> Option<String> {
    let id = line.strip_prefix("| ")?.split(' ').next()?;
    let (letter, number) = id.split_at_checked(1)?;
    let known = letter == "C" || CHECKS.iter().any(|(known, _)| known.to_string() == letter);
    let number: u32 = number.parse().ok()?;
    (known && (letter != "C" || number <= PROMISES)).then(|| format!("{letter}{number:02}"))
}

/// The text with the last cell of each row filled in.
fn with_tests(text: &str, tests: &BTreeMap<String, Vec<String>>) -> String {
    let mut blessed = String::new();
    for line in text.lines() {
        match check_of(line) {
            Some(check) => {
                let cells = line.trim_end().trim_end_matches('|');
                let kept = cells.rfind('|').map_or(cells, |at| &cells[..at]);
                let names = tests.get(&check).map(|names| names.join(", "));
                blessed.push_str(kept.trim_end());
                match names {
                    Some(names) => blessed.push_str(&format!(" | {names} |")),
                    None => blessed.push_str(" | |"),
                }
            }
            None => blessed.push_str(line),
        }
        blessed.push('\n');
    }
    blessed
}

/// Every test whose name begins with a check's id.
fn tests_by_check() -> BTreeMap<String, Vec<String>> {
    let mut tests = BTreeMap::new();
    for folder in [
        "actor-core/tests",
        "actor-core/src",
        "actor-net/tests",
        "actor-net/src",
        "examples",
        "actor-macros/tests",
    ] {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).expect("a source file");
            let file = path
                .strip_prefix(root())
                .expect("below the root")
                .to_string_lossy()
                .replace("actor-core/tests/", "")
                .replace("actor-net/tests/", "actor-net/");
            // This file's own fixtures are none.
            if file != "contract.rs" {
                read_tests(&text, &file, &mut tests);
            }
        }
    }
    for names in tests.values_mut() {
        names.sort();
    }
    tests
}

fn read_tests(text: &str, file: &str, tests: &mut BTreeMap<String, Vec<String>>) {
    let mut attributed = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") && line.contains("test") {
            attributed = true;
        } else if line.starts_with("fn ") || line.starts_with("async fn ") {
            let name = line.trim_start_matches("async ").trim_start_matches("fn ");
            let name = name.split(['(', '<']).next().unwrap_or_default();
            if attributed && let Some(check) = check_of_name(name) {
                let file = file.trim_end_matches(".rs");
                tests
                    .entry(check)
                    .or_default()
                    .push(format!("`{name}` ({file})"));
            }
            attributed = false;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            attributed = false;
        }
    }
}

/// `s05_limit` is of S05; two digits, or it is some other name. `c8_..` is of C8.
fn check_of_name(name: &str) -> Option<String> {
    let (id, _) = name.split_once('_')?;
    let letter = id.chars().next()?.to_ascii_uppercase();
    let digits = &id[1..];
    let number: u32 = digits.parse().ok()?;
    let known = CHECKS.iter().any(|(known, _)| *known == letter) && digits.len() == 2;
    (known || letter == 'C' && id.len() <= 3 && number <= PROMISES)
        .then(|| format!("{letter}{number:02}"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
