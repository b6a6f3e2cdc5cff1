use std::time::Duration;

use super::super::{ChildSpec, SpecError, Supervisor, SupervisorSpec};
use super::DEPTH_MAX;
use crate::context::actor::Actor;
use crate::mailbox::{Mailbox, Overflow};
use crate::supervision::{AutoShutdown, Backoff, Restart, Shutdown};

struct Dot;
impl Actor for Dot {}

fn dot(name: &str) -> ChildSpec<Dot> {
    ChildSpec::new(name, || Dot)
}

fn one(child: ChildSpec<Dot>) -> SupervisorSpec {
    Supervisor::one_for_one().child_with(child)
}

/// The refusal of a tree that has a good child before and a good one after, two levels down.
#[track_caller]
fn refusal(pool: SupervisorSpec) -> SpecError {
    Supervisor::one_for_all()
        .child("first", || Dot)
        .supervisor("shop", Supervisor::one_for_one().supervisor("pool", pool))
        .child("last", || Dot)
        .build()
        .expect_err("a tree with a mistake")
}

#[track_caller]
fn says(error: &SpecError, path: &str, field: &str, text: &str) {
    assert_eq!((error.path(), error.field()), (path, field), "{error}");
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_tree_without_a_mistake_is_planned_in_the_order_it_starts() {
    let plan = Supervisor::rest_for_one()
        .child_with(dot("web").after("cache").after("db"))
        .supervisor("pool", Supervisor::simple_one_for_one())
        .child_with(dot("cache").after("db"))
        .child("db", || Dot)
        .build()
        .unwrap();
    let order: Vec<&str> = plan.0.children.iter().map(|child| &*child.name).collect();
    assert_eq!(order, ["pool", "db", "cache", "web"]);
    assert!(Supervisor::one_for_one().build().is_ok());
}

#[test]
fn bad_names_are_refused() {
    let long = "x".repeat(256);
    let bad = [
        ("", "1 to 255 bytes long"),
        (long.as_str(), "1 to 255 bytes long"),
        ("a/b", "without '/', which parts the names of a path"),
        (
            "a\n",
            "without control characters, which would garble logs and trees",
        ),
    ];
    for (name, allowed) in bad {
        let error = refusal(one(dot("fine")).child(name, || Dot));
        let text =
            format!("child shop/pool: the name {name:?} of child 1 is no name: must be {allowed}");
        says(&error, "shop/pool", "name", &text);
    }
    assert!(
        one(dot(&"x".repeat(255)))
            .child("naïve ☃", || Dot)
            .build()
            .is_ok()
    );
    let error = Supervisor::one_for_one()
        .child("", || Dot)
        .build()
        .unwrap_err();
    assert!(
        error.to_string().starts_with("supervisor: the name"),
        "{error}"
    );
}

#[test]
fn a_name_given_twice_is_refused() {
    let error = refusal(
        one(dot("a"))
            .child("b", || Dot)
            .supervisor("a", Supervisor::one_for_one()),
    );
    says(
        &error,
        "shop/pool/a",
        "name",
        "child shop/pool/a: name is given twice, to the children 0 and 2: must be unique under one \
         supervisor",
    );
    // Under two supervisors it is fine.
    let twice = one(dot("a")).supervisor("b", one(dot("a")));
    assert!(twice.build().is_ok());
}

#[test]
fn an_unknown_dependency_is_refused() {
    let error = refusal(
        one(dot("a"))
            .child_with(dot("b").after("db"))
            .child("c", || Dot),
    );
    says(
        &error,
        "shop/pool/b",
        "after",
        "child shop/pool/b: after is \"db\": must be a sibling, one of a, c",
    );
    // A cousin is no sibling.
    let error = Supervisor::one_for_one()
        .supervisor("x", one(dot("a")))
        .supervisor("y", one(dot("b").after("a")))
        .build()
        .unwrap_err();
    says(
        &error,
        "y/b",
        "after",
        "child y/b: after is \"a\": must be a sibling, and there are none",
    );
}

#[test]
fn a_dependency_cycle_is_refused_and_named() {
    let error = refusal(
        one(dot("web").after("cache"))
            .child("log", || Dot)
            .child_with(dot("cache").after("db"))
            .child_with(dot("db").after("log").after("cache")),
    );
    says(
        &error,
        "shop/pool",
        "after",
        "child shop/pool: after goes in a circle: cache after db after cache: leave one of them out",
    );
    let error = one(dot("a").after("a")).build().unwrap_err();
    says(
        &error,
        "",
        "after",
        "supervisor: after goes in a circle: a after a: leave one of them out",
    );
}

#[test]
fn a_zero_or_inverted_backoff_is_refused() {
    let ms = Duration::from_millis;
    let error = refusal(one(dot("a").backoff(Backoff::new(ms(0), ms(10)))));
    says(
        &error,
        "shop/pool/a",
        "backoff min",
        "child shop/pool/a: backoff min is 0 s: must be longer than 0 s; Backoff::none() restarts \
         at once",
    );
    let error = refusal(one(dot("a").backoff(Backoff::new(ms(20), ms(10)))));
    says(
        &error,
        "shop/pool/a",
        "backoff max",
        "child shop/pool/a: backoff max is 0.01 s with a min of 0.02 s: must be at least as long as \
         min",
    );
    let error = refusal(one(dot("a").backoff(Backoff::new(ms(1), ms(1)).jitter(101))));
    assert_eq!(error.field(), "backoff jitter");
}

#[test]
fn a_bad_intensity_or_period_is_refused_at_every_level() {
    let error = refusal(Supervisor::one_for_one().intensity(10_001));
    says(
        &error,
        "shop/pool",
        "supervision intensity",
        "child shop/pool: supervision intensity is 10001: must be 0 to 10000 restarts per period; \
         for a higher rate shorten the period",
    );
    let error = refusal(Supervisor::one_for_one().period(Duration::ZERO));
    assert_eq!(
        (error.path(), error.field()),
        ("shop/pool", "supervision period")
    );
    let error = Supervisor::one_for_one()
        .period(Duration::ZERO)
        .build()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("supervisor: supervision period is 0 s"),
        "{error}"
    );
    let own =
        dot("a").supervision(crate::supervision::Supervision::one_for_one().intensity(10_001));
    assert_eq!(refusal(one(own)).path(), "shop/pool/a");
}

#[test]
fn bad_options_of_a_child_are_refused() {
    let error = refusal(one(dot("a").shutdown(Shutdown::After(Duration::ZERO))));
    assert_eq!((error.path(), error.field()), ("shop/pool/a", "shutdown"));
    let error = refusal(one(dot("a").mailbox(Mailbox::bounded(0))));
    says(
        &error,
        "shop/pool/a",
        "mailbox",
        "child shop/pool/a: mailbox is 0 messages: must be 1 to 60000, or Mailbox::unbounded()",
    );
    let half = Mailbox::bounded(40_000).overflow(Overflow::DropOldest);
    assert_eq!(refusal(one(dot("a").mailbox(half))).field(), "mailbox");
}

#[test]
fn significance_that_means_nothing_is_refused() {
    let any = |child| {
        Supervisor::one_for_one()
            .auto_shutdown(AutoShutdown::Any)
            .child_with(child)
    };
    let error = refusal(one(dot("a").significant()));
    says(
        &error,
        "shop/pool/a",
        "significant",
        "child shop/pool/a: significant is true under a supervisor whose auto_shutdown is Never: \
         must be false, or the supervisor's auto_shutdown Any or All",
    );
    let error = refusal(any(dot("a").significant().restart(Restart::Permanent)));
    assert_eq!(
        (error.path(), error.field()),
        ("shop/pool/a", "significant")
    );
    for restart in [Restart::Transient, Restart::Temporary] {
        assert!(any(dot("a").significant().restart(restart)).build().is_ok());
    }
    // A supervisor may be significant, too.
    let significant = ChildSpec::supervisor("a", Supervisor::one_for_one()).significant();
    let tree = Supervisor::one_for_one().auto_shutdown(AutoShutdown::All);
    assert!(tree.child_with(significant).build().is_ok());
}

#[test]
fn a_tree_that_is_too_deep_is_refused() {
    let nested = |levels: usize| {
        (1..levels).fold(Supervisor::one_for_one(), |below, _| {
            Supervisor::one_for_one().supervisor("x", below)
        })
    };
    assert!(nested(DEPTH_MAX).build().is_ok());
    let error = nested(DEPTH_MAX + 1).build().unwrap_err();
    assert_eq!(error.field(), "supervisor");
    assert_eq!(error.path().split('/').count(), DEPTH_MAX);
}

#[test]
fn a_bad_or_repeated_name_for_the_registry_is_refused() {
    let error = refusal(one(dot("a").registered("x\n")));
    says(
        &error,
        "shop/pool/a",
        "registered",
        "child shop/pool/a: registered is \"x\\n\": must be a name of 1 to 255 bytes without control \
         characters",
    );
    let error = Supervisor::one_for_one()
        .supervisor("pool", one(dot("a").registered("shop")))
        .child_with(dot("b").registered("shop"))
        .build()
        .unwrap_err();
    says(
        &error,
        "b",
        "registered",
        "child b: registered is \"shop\", which is also the name of pool/a: must be the name of one \
         actor in the system",
    );
}
