use super::{Random, circle, groups_by_distance};

#[test]
fn a_circle_visits_each_once_from_any_start() {
    for n in [1, 2, 7, 64] {
        let random = Random::new(n as u64);
        let mut starts = std::collections::HashSet::new();
        for _ in 0..50 * n {
            let visited: Vec<usize> = circle(n, random.next()).collect();
            starts.insert(visited[0]);
            let expected: Vec<usize> = (0..n).map(|i| (visited[0] + i) % n).collect();
            assert_eq!(visited, expected);
        }
        assert_eq!(starts.len(), n, "every start occurs");
    }
    assert_eq!(circle(0, 42).count(), 0);
}

#[test]
fn nearer_numa_nodes_come_first_and_equals_share_a_group() {
    // Two sockets with two NUMA nodes each, as the firmware of such machines tells it.
    let distances = [
        [10, 12, 32, 32],
        [12, 10, 32, 32],
        [32, 32, 10, 12],
        [32, 32, 12, 10],
    ];
    let groups = |home: usize| groups_by_distance(&distances[home], home);
    assert_eq!(*groups(0), [Box::from([1]), Box::from([2, 3])]);
    assert_eq!(*groups(3), [Box::from([2]), Box::from([0, 1])]);
    assert!(groups_by_distance(&[10], 0).is_empty());
}

#[test]
fn a_firmware_without_distances_is_one_group() {
    // Some report 10 everywhere, or 0.
    assert_eq!(*groups_by_distance(&[10, 10, 10], 1), [Box::from([0, 2])]);
    assert_eq!(*groups_by_distance(&[0, 0], 0), [Box::from([1])]);
}

#[test]
fn random_numbers_differ_between_workers_and_never_stick() {
    let mut first: Vec<u64> = (0..1000).map(|seed| Random::new(seed).next()).collect();
    first.sort_unstable();
    first.dedup();
    assert!(
        first.len() >= 500,
        "neighbours share at most their seed's last bit"
    );
    let random = Random::new(u64::MAX);
    assert!((0..1000).all(|_| random.next() != 0));
}
