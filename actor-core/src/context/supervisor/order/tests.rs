use proptest::prelude::*;

use super::{Disorder, Wish, order};

fn wishes<'a>(children: &[(&'a str, &[&'a str])]) -> Vec<Wish<'a>> {
    children
        .iter()
        .map(|(name, after)| Wish {
            name,
            after: after.to_vec(),
        })
        .collect()
}

#[test]
fn without_wishes_the_order_is_as_declared() {
    let children = wishes(&[("c", &[]), ("a", &[]), ("b", &[])]);
    assert_eq!(order(&children), Ok(vec![0, 1, 2]));
    assert_eq!(order(&[]), Ok(vec![]));
}

#[test]
fn a_child_waits_for_those_it_is_after_and_for_nobody_else() {
    let children = wishes(&[
        ("web", &["db", "cache"]),
        ("log", &[]),
        ("cache", &["db"]),
        ("db", &[]),
    ]);
    assert_eq!(order(&children), Ok(vec![1, 3, 2, 0]));
    // Twice the same wish is one wish.
    let children = wishes(&[("b", &["a", "a"]), ("a", &[])]);
    assert_eq!(order(&children), Ok(vec![1, 0]));
}

#[test]
fn a_name_given_twice_is_found_with_both_positions() {
    let children = wishes(&[("a", &[]), ("b", &[]), ("a", &[])]);
    assert_eq!(order(&children), Err(Disorder::Duplicate(0, 2)));
}

#[test]
fn a_wish_for_nobody_is_found() {
    let children = wishes(&[("a", &[]), ("b", &["a", "nobody"])]);
    let after = "nobody".to_owned();
    assert_eq!(order(&children), Err(Disorder::Unknown { child: 1, after }));
}

#[test]
fn a_circle_is_named_without_those_that_only_wait_for_it() {
    let children = wishes(&[
        ("waits", &["a"]),
        ("a", &["b"]),
        ("b", &["free", "c"]),
        ("c", &["a"]),
        ("free", &[]),
    ]);
    assert_eq!(order(&children), Err(Disorder::Cycle(vec![1, 2, 3])));
    let children = wishes(&[("self", &["self"])]);
    assert_eq!(order(&children), Err(Disorder::Cycle(vec![0])));
}

#[test]
fn a_long_chain_declared_backwards_is_turned_around() {
    let names: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    let children: Vec<Wish<'_>> = names
        .iter()
        .enumerate()
        .map(|(n, name)| Wish {
            name,
            after: names.get(n + 1).map(String::as_str).into_iter().collect(),
        })
        .collect();
    let backwards: Vec<usize> = (0..10_000).rev().collect();
    assert_eq!(order(&children), Ok(backwards));
}

proptest! {
    /// Any wishes: either an order in which everybody comes after those it wished for, or a circle
    /// that is one.
    #[test]
    fn an_order_holds_and_a_circle_is_one(
        edges in proptest::collection::vec((0_usize..12, 0_usize..12), 0..20)
    ) {
        let names: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        let children: Vec<Wish<'_>> = names
            .iter()
            .enumerate()
            .map(|(n, name)| Wish {
                name,
                after: edges
                    .iter()
                    .filter(|(from, _)| *from == n)
                    .map(|(_, to)| names[*to].as_str())
                    .collect(),
            })
            .collect();
        match order(&children) {
            Ok(order) => {
                let place = |child: usize| order.iter().position(|each| *each == child).unwrap();
                prop_assert_eq!(order.len(), 12);
                for (from, to) in &edges {
                    prop_assert!(place(*to) < place(*from));
                }
            }
            Err(Disorder::Cycle(cycle)) => {
                prop_assert!(!cycle.is_empty());
                for (n, child) in cycle.iter().enumerate() {
                    let next = cycle[(n + 1) % cycle.len()];
                    prop_assert!(edges.contains(&(*child, next)), "{cycle:?} in {edges:?}");
                }
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}
