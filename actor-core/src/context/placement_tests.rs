use super::*;

fn nodes(numbers: &[u8]) -> impl Iterator<Item = NumaNodeId> + '_ {
    numbers.iter().map(|number| NumaNodeId(*number))
}

#[test]
fn keys_fall_on_all_numa_nodes_alike() {
    let mut hits = [0u32; 4];
    for key in 0..40_000 {
        hits[by_key(key, nodes(&[0, 1, 4, 7]))] += 1;
    }
    assert!(
        hits.iter().all(|hits| (9_500..10_500).contains(hits)),
        "{hits:?}"
    );
}

#[test]
fn a_numa_node_that_goes_away_moves_only_its_own_keys() {
    let (before, after) = ([0, 1, 4, 7], [0, 4, 7]);
    for key in 0..10_000 {
        let was = before[by_key(key, nodes(&before))];
        let is = after[by_key(key, nodes(&after))];
        assert!(was == is || was == 1, "key {key}: from {was} to {is}");
    }
}

#[test]
fn the_lightest_has_the_least_to_do_per_worker() {
    let load = |work, workers, asleep| Load {
        work,
        workers,
        asleep,
    };
    // Two of eight busy against one of two.
    assert_eq!(lightest(&[load(0, 2, 1), load(0, 8, 6)], 0), 1);
    // Queued work counts as busy workers do.
    assert_eq!(lightest(&[load(5, 2, 2), load(0, 2, 0)], 0), 1);
    // Equals take turns.
    let equal = [load(0, 2, 2), load(0, 2, 2), load(0, 2, 2)];
    assert_eq!([0, 1, 2].map(|first| lightest(&equal, first)), [0, 1, 2]);
}
