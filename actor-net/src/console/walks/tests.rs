use super::*;

fn id(number: u64) -> ActorId {
    ActorId::from_number(number).expect("not 0")
}

fn found(pairs: &[(u64, u64)]) -> Vec<Vec<u64>> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(from, to)| (id(*from), id(*to)))
        .collect();
    let circles = circles(&pairs);
    let numbers = |circle: &Vec<ActorId>| circle.iter().map(|it| it.as_u64()).collect();
    circles.iter().map(numbers).collect()
}

#[test]
fn circles_of_those_that_wait_are_found_once_each() {
    assert_eq!(found(&[]), [[0; 0]; 0]);
    assert_eq!(found(&[(1, 2), (2, 3)]), [[0; 0]; 0]);
    assert_eq!(found(&[(1, 1)]), [[1]]);
    assert_eq!(found(&[(1, 2), (2, 1)]), [[1, 2]]);
    // A tail that leads into one, and two of them.
    assert_eq!(
        found(&[(9, 3), (1, 2), (2, 3), (3, 1), (8, 1)]),
        [[3, 1, 2]]
    );
    assert_eq!(
        found(&[(1, 2), (2, 1), (5, 6), (6, 5), (7, 1)]),
        [[1, 2], [5, 6]]
    );
}
