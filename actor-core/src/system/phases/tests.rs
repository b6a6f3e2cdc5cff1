//! Orders that readers expect, and graphs that have none.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn named(phases: &[ShutdownPhase]) -> Vec<String> {
    plan(phases)
        .unwrap()
        .into_iter()
        .map(|step| match step {
            Step::User(index) => phases[index].name.clone(),
            own => own.own_name().unwrap().to_owned(),
        })
        .collect()
}

fn phase(name: &str) -> ShutdownPhase {
    ShutdownPhase::new(name)
}

#[test]
fn x04_the_runtimes_own_chain() {
    assert_eq!(
        named(&[]),
        ["unready", "drain-delay", "stop-intake", "drain-actors"]
    );
}

#[test]
fn x04_each_runs_where_a_reader_expects_it() {
    let phases = [
        phase("last"),
        phase("leave").before("drain-actors"),
        phase("goodbye").after("unready"),
        phase("first").before("unready"),
        phase("flush-2").after("flush-1"),
        phase("flush-1").after("drain-actors"),
        phase("between").after("unready").before("drain-delay"),
        phase("both").after("goodbye").after("leave"),
    ];
    assert_eq!(
        named(&phases),
        [
            "first",
            "unready",
            "goodbye",
            "between",
            "drain-delay",
            "stop-intake",
            "leave",
            "both",
            "drain-actors",
            "last",
            "flush-1",
            "flush-2",
        ]
    );
}

#[test]
fn x04_circles_are_named_in_the_order_of_running() {
    let refused = plan(&[
        phase("a").after("c"),
        phase("b").after("a"),
        phase("c").after("b"),
    ]);
    let Err(PhaseError::Circle { path }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(path.len(), 4);
    assert_eq!(path.first(), path.last());
    let at = |name: &str| path.iter().position(|each| each == name).unwrap();
    assert_eq!((at("a") + 1) % 3, at("b") % 3);
    // Also through the runtime's own.
    let error = plan(&[phase("a").after("drain-actors").before("unready")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "shutdown phases wait for each other in a circle: unready -> drain-delay -> stop-intake -> \
         drain-actors -> a -> unready"
    );
    // And with itself.
    let error = plan(&[phase("a").after("a")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "shutdown phases wait for each other in a circle: a -> a"
    );
}

#[test]
fn x04_what_else_is_refused_says_what_to_do() {
    let text = |phases: &[ShutdownPhase]| plan(phases).unwrap_err().to_string();
    assert_eq!(
        text(&[phase("a").after("drain")]),
        "shutdown phase \"a\" refers to \"drain\", which there is not; there are: unready, drain-delay, \
         stop-intake, drain-actors, a"
    );
    assert_eq!(
        text(&[phase("a"), phase("a")]),
        "two shutdown phases are called \"a\""
    );
    assert_eq!(
        text(&[phase("unready")]),
        "shutdown phase \"unready\": the runtime has a phase of that name; choose another one"
    );
    assert_eq!(
        text(&[phase("")]),
        "shutdown phase \"\": its name has 0 bytes; 1 to 64 are allowed"
    );
    assert_eq!(
        text(&[phase("a").timeout(Duration::ZERO)]),
        "shutdown phase \"a\": its timeout is zero; give it more than that"
    );
}

#[test]
fn x04_a_long_chain_does_not_use_the_stack() {
    let length = if cfg!(miri) { 60 } else { 3000 };
    let mut phases = vec![phase("0")];
    for n in 1..length {
        phases.push(phase(&n.to_string()).before((n - 1).to_string()));
    }
    let order = named(&phases);
    assert_eq!(order.last().unwrap(), "0");
    assert!(
        order
            .windows(2)
            .filter(|pair| pair[1].parse() == pair[0].parse::<i32>().map(|n| n - 1))
            .count()
            >= length - 1
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 256 })
    })]

    /// Any graph either has a sequence that keeps all its edges, or is refused for a circle that is one.
    #[test]
    fn x04_any_graph(edges in proptest::collection::vec((0_usize..8, 0_usize..12, any::<bool>()), 0..14)) {
        let name = |index: usize| match OWN.get(index) {
            Some((name, _)) => (*name).to_owned(),
            None => format!("p{}", index - OWN_COUNT),
        };
        let mut phases: Vec<_> = (0..8).map(|n| phase(&format!("p{n}"))).collect();
        for (from, to, after) in &edges {
            let target = name(*to);
            if *after {
                phases[*from].after.push(target);
            } else {
                phases[*from].before.push(target);
            }
        }
        match plan(&phases) {
            Ok(_) => {
                let order = named(&phases);
                prop_assert_eq!(order.len(), 12);
                let at = |name: &str| order.iter().position(|each| each == name).unwrap();
                for phase in &phases {
                    for after in &phase.after {
                        prop_assert!(at(after) < at(&phase.name));
                    }
                    for before in &phase.before {
                        prop_assert!(at(&phase.name) < at(before));
                    }
                }
                for pair in OWN.windows(2) {
                    prop_assert!(at(pair[0].0) < at(pair[1].0));
                }
            }
            Err(PhaseError::Circle { path }) => {
                prop_assert_eq!(path.first(), path.last());
                for pair in path.windows(2) {
                    let chained = OWN.windows(2).any(|own| own[0].0 == pair[0] && own[1].0 == pair[1]);
                    let said = phases.iter().any(|phase| {
                        (phase.name == pair[1] && phase.after.contains(&pair[0]))
                            || (phase.name == pair[0] && phase.before.contains(&pair[1]))
                            || (phase.name == pair[1]
                                && pair[0] == DRAIN_ACTORS
                                && phase.after.is_empty()
                                && phase.before.is_empty())
                    });
                    prop_assert!(chained || said, "{pair:?}");
                }
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
