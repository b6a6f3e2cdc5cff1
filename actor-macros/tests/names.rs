//! The names that no message may have are those of `ActorRef`'s methods: the list in `parse/names.rs` is
//! held against the source of `actor-core`, where a method is added without a thought of it.

use std::fs;
use std::path::Path;

#[test]
fn no_method_of_the_ref_is_missing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("src/parse/names.rs")).expect("our own source");
    let mut methods = Vec::new();
    for file in fs::read_dir(root.join("../actor-core/src/context")).expect("the workspace") {
        let path = file.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "rs") {
            methods.extend(methods_of_the_ref(
                &fs::read_to_string(path).expect("a source"),
            ));
        }
    }
    assert!(methods.iter().any(|name| name == "tell"), "{methods:?}");
    methods.retain(|name| !list.contains(&format!("    \"{name}\",\n")));
    assert!(
        methods.is_empty(),
        "methods of ActorRef that TAKEN in parse/names.rs lacks: {methods:?}"
    );
}

/// The public methods in inherent impls of `ActorRef`, as rustfmt lays them out.
fn methods_of_the_ref(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        if line.starts_with("impl<") {
            inside = line.contains("> ActorRef<A>") && !line.contains(" for ");
        } else if line == "}" {
            inside = false;
        }
        let Some(signature) = line.strip_prefix("    pub ").filter(|_| inside) else {
            continue;
        };
        let signature = signature
            .trim_start_matches("const ")
            .trim_start_matches("async ");
        if let Some(rest) = signature.strip_prefix("fn ") {
            let end = rest.find(['<', '(']).unwrap_or(rest.len());
            names.push(rest[..end].to_owned());
        }
    }
    names
}
