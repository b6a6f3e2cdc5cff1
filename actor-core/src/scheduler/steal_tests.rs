use super::*;

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

fn seen(distance: u32, idle_us: u64, queued: usize) -> FarView {
    FarView {
        distance,
        idle_for: Duration::from_micros(idle_us),
        queued,
        workers: 2,
    }
}

#[test]
fn patience_is_what_the_move_costs() {
    let wait = |distance, idle, queued| {
        let wait = CrossNuma::Balanced.wait(&seen(distance, idle, queued));
        wait.unwrap().as_micros()
    };
    // Another socket: 20 us; less so much already waited; nothing left.
    assert_eq!(
        [
            wait(20, 0, 1),
            wait(20, 15, 1),
            wait(20, 20, 1),
            wait(20, 99, 1)
        ],
        [20, 5, 0, 0]
    );
    // The other half of the own socket, and a socket behind another.
    assert_eq!([wait(12, 0, 1), wait(32, 0, 1)], [4, 44]);
    // Ten for each worker wait: the last of them would wait ten times as long.
    assert_eq!(
        [wait(20, 0, 4), wait(20, 0, 20), wait(20, 0, 10_000)],
        [10, 2, 0]
    );
    // Firmware that says nothing useful.
    assert_eq!(
        [wait(10, 0, 1), wait(0, 0, 1), wait(255, 0, 1)],
        [0, 0, 490]
    );
}

#[test]
fn a_time_that_was_set_is_kept_whatever_waits_and_however_near() {
    let policy = CrossNuma::IdleFor(Duration::from_millis(1));
    for distance in [10, 12, 20, 255] {
        for queued in [1, 100, usize::MAX] {
            let wait = |idle| {
                policy
                    .wait(&seen(distance, idle, queued))
                    .unwrap()
                    .as_micros()
            };
            assert_eq!(
                [wait(0), wait(400), wait(1000), wait(5000)],
                [1000, 600, 0, 0]
            );
        }
    }
    assert_eq!(CrossNuma::Never.wait(&seen(11, u64::MAX, usize::MAX)), None);
    let at_once = CrossNuma::IdleFor(Duration::ZERO);
    assert_eq!(at_once.wait(&seen(255, 0, 1)), Some(Duration::ZERO));
}
