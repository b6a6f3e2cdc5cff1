use crate::engine;
use crate::machine::{Costs, Machine};
use crate::options::{self, Options, Wish};
use crate::policy::{self, Policy};
use crate::report;
use crate::result::Outcome;
use crate::workload::Workload;

const MESSAGES: u64 = 6_000;

fn machine() -> Machine {
    Machine::new(2, 4, Costs::DEFAULT)
}

fn outcome(workload: &str, policy: Policy) -> Outcome {
    let machine = machine();
    let all = Workload::all(machine.cores());
    let workload = all.iter().find(|each| each.name == workload);
    let workload = workload.expect("one of the workloads");
    engine::run(&machine, policy, workload, MESSAGES, 7)
}

#[test]
fn what_is_sent_is_handled_under_every_policy() {
    let machine = machine();
    // The floods are in the test below.
    let closed = |workload: &Workload| !workload.ends();
    for workload in Workload::all(machine.cores()).into_iter().filter(closed) {
        for policy in policy::ALL {
            let outcome = engine::run(&machine, policy, &workload, MESSAGES, 1);
            let what = format!("{} under \"{}\"", workload.name, policy.name);
            assert_eq!(outcome.offered, outcome.handled, "{what}");
            assert_eq!(outcome.queued, 0, "{what}");
        }
    }
}

#[test]
fn every_way_of_crossing_delivers_the_storm() {
    let options = Options {
        sockets: vec![2],
        messages: MESSAGES,
        ..Options::default()
    };
    for row in report::lanes(&options, Costs::DEFAULT) {
        assert_eq!(row.outcome.offered, row.outcome.handled, "{row:?}");
        // Per sender 1,024 in bursts and what it tells itself, and one to begin with.
        assert!(row.outcome.handled >= 64 * 1024, "{row:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    for policy in policy::ALL {
        let (first, second) = (outcome("service", policy), outcome("service", policy));
        assert_eq!(first, second, "{}", policy.name);
    }
}

#[test]
fn ours_crosses_less_than_what_knows_nothing_of_numa() {
    let ours = outcome("communities", policy::OURS);
    for naive in [
        "random stealing",
        "random homes, direct push",
        "one global queue",
    ] {
        let naive = policy::ALL.iter().find(|policy| policy.name == naive);
        let naive = outcome("communities", *naive.expect("one of the policies"));
        assert!(ours.crossing < naive.crossing, "{ours:?} {naive:?}");
        assert!(ours.data < naive.data, "{ours:?} {naive:?}");
    }
}

#[test]
fn the_balancer_brings_pairs_together() {
    let named = |name| {
        *policy::ALL
            .iter()
            .find(|policy| policy.name == name)
            .expect("a policy")
    };
    let before = outcome("pairs", named("ours, placed anywhere"));
    let after = outcome("pairs", named("anywhere, balanced"));
    assert!(after.moves > 0, "{after:?}");
    assert!(after.crossing < before.crossing, "{before:?} {after:?}");
}

#[test]
fn who_never_steals_far_never_does() {
    let never = policy::ALL.iter().find(|policy| !policy.far);
    let outcome = outcome("no locality", *never.expect("one of the policies"));
    assert_eq!(outcome.steals_far, 0.0);
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let parse = |line: &str| options::parse(line.split_whitespace().map(str::to_owned));
    for line in [
        "--sockets 3",
        "--sockets 16",
        "--cores-per-socket 0",
        "--messages x",
        "--seed",
        "--what",
    ] {
        let option = line.split(' ').next().unwrap_or_default();
        let why = parse(line).expect_err(line);
        assert!(why.contains(option), "{why}");
    }
    assert!(matches!(parse("--quick --seed 3"), Ok(Wish::Run(options)) if options.seed == 3));
}
