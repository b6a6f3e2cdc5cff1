//! The document and the types say the same: each example is read, written again, and compared.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

const DOC: &str = include_str!("../../../../docs/console-api.md");

/// The type's name behind each opening fence, and the text up to the closing one.
fn examples() -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    let mut rest = DOC;
    while let Some(at) = rest.find("```json") {
        let after = &rest[at + "```json".len()..];
        let (name, after) = after.split_once('\n').expect("a line ends");
        let (text, after) = after.split_once("```").expect("a fence is closed");
        found.push((name.trim(), text));
        rest = after;
    }
    found
}

/// Read and written again it is the same: no field is missing here or there.
fn same<T: Serialize + DeserializeOwned>(name: &str, text: &str) {
    let told: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let read: T = serde_json::from_value(told.clone())
        .unwrap_or_else(|error| panic!("the example of {name} does not fit its type: {error}"));
    let written = serde_json::to_value(&read).expect("it can be written");
    assert_eq!(
        told, written,
        "{name}: the document is left, the type right"
    );
}

macro_rules! check {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), same::<$name> as fn(&str, &str)),)*]
    };
}

#[test]
fn the_document_and_the_types_say_the_same() {
    let known = check![
        Problem,
        Session,
        Overview,
        History,
        Machine,
        Actors,
        ActorPage,
        Types,
        Traces,
        Trace,
        Asks,
        DeadLettersPage,
        Failures,
        Stalls,
        Leaks,
        ClusterAnswer,
        Shards,
        ActionDone,
        Healthz,
        Readyz,
    ];
    let examples = examples();
    for (name, check) in known {
        let mut of_it = examples.iter().filter(|(of, _)| *of == name);
        let (_, text) = of_it
            .next()
            .unwrap_or_else(|| panic!("no example of {name}"));
        assert!(of_it.next().is_none(), "two examples of {name}");
        check(name, text);
    }
    assert_eq!(
        examples.len(),
        known.len(),
        "each example is of a known type"
    );
}
