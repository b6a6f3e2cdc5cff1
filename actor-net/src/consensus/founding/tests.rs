use super::*;
use crate::id::Incarnation;

fn peer(n: usize) -> PeerId {
    PeerId::new(&format!("p{n}")).unwrap()
}

fn id(n: usize) -> RaftId {
    RaftId::new(&peer(n), Incarnation(1))
}

fn hello(n: usize, expected: u16) -> Hello {
    Hello {
        incarnation: Incarnation(1),
        id: id(n),
        zone: String::new(),
        expected,
        fresh: true,
        founding: None,
    }
}

/// Peers that hear each other when the test says so.
struct Group {
    peers: BTreeMap<usize, (Founding, Option<RaftId>)>,
    on_the_way: Vec<(usize, usize, Found)>,
    founded: Vec<(usize, BTreeSet<RaftId>)>,
}

impl Group {
    fn new(count: usize, expected: u16) -> Self {
        let new = |n| (n, (Founding::new(id(n), peer(n), expected), None));
        Self {
            peers: (1..=count).map(new).collect(),
            on_the_way: Vec::new(),
            founded: Vec::new(),
        }
    }

    fn meet(&mut self, a: usize, b: usize) {
        for (to, from) in [(a, b), (b, a)] {
            let (founding, _) = self.peers.get_mut(&to).unwrap();
            let expected = founding.expected;
            founding.hello(&peer(from), &hello(from, expected));
        }
    }

    fn poll(&mut self, n: usize) {
        let (founding, pin) = self.peers.get_mut(&n).unwrap();
        let pin = *pin;
        let todo = founding.poll(pin.as_ref());
        self.run(n, todo);
    }

    fn run(&mut self, n: usize, todo: Vec<Do>) {
        for one in todo {
            match one {
                Do::Pin(pin) => self.peers.get_mut(&n).unwrap().1 = pin,
                Do::Say(to, found) => {
                    let to = (1..).find(|n| peer(*n) == to).unwrap();
                    self.on_the_way.push((n, to, found));
                }
                Do::Found(with) => self.founded.push((n, with)),
            }
        }
    }

    fn deliver(&mut self, at: usize) {
        let (from, to, found) = self.on_the_way.remove(at);
        let fresh = !self.founded.iter().any(|(_, with)| with.contains(&id(to)));
        let (founding, pin) = self.peers.get_mut(&to).unwrap();
        let pin = *pin;
        let todo = founding.hear(&peer(from), &found, pin.as_ref(), fresh);
        self.run(to, todo);
    }
}

#[test]
fn one_alone_founds_at_once() {
    let mut group = Group::new(1, 1);
    group.poll(1);
    assert_eq!(group.founded, [(1, BTreeSet::from([id(1)]))]);
    let mut never = Group::new(1, 0);
    never.poll(1);
    assert_eq!(never.founded, []);
}

#[test]
fn a_part_of_those_expected_founds_nothing() {
    let mut group = Group::new(3, 3);
    group.meet(1, 2);
    for n in 1..=3 {
        group.poll(n);
    }
    assert!(group.on_the_way.is_empty() && group.founded.is_empty());
}

#[test]
fn whatever_the_order_one_cluster_is_founded_by_all() {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    for seed in 0..500 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut group = Group::new(5, 3);
        for _ in 0..20_000 {
            if !group.founded.is_empty() {
                break;
            }
            let (a, b) = (rng.random_range(1..=5), rng.random_range(1..=5));
            match rng.random_range(0..4) {
                0 if a != b => group.meet(a, b),
                1 => group.poll(a),
                _ if !group.on_the_way.is_empty() => {
                    let at = rng.random_range(0..group.on_the_way.len());
                    if rng.random_bool(0.1) {
                        group.on_the_way.remove(at);
                    } else {
                        group.deliver(at);
                    }
                }
                _ => {}
            }
        }
        let (_, with) = group
            .founded
            .first()
            .unwrap_or_else(|| panic!("seed {seed}: none"));
        let with = with.clone();
        assert!(with.len() >= 3, "seed {seed}");
        // Whatever is still on its way, and whoever tries again: the others cannot found another.
        for _ in 0..2000 {
            let n = rng.random_range(1..=5);
            if !with.contains(&id(n)) {
                group.poll(n);
            }
            if !group.on_the_way.is_empty() {
                let at = rng.random_range(0..group.on_the_way.len());
                group.deliver(at);
            }
        }
        assert!(
            group
                .founded
                .iter()
                .all(|(_, other)| !other.is_disjoint(&with)),
            "seed {seed}: {:?}",
            group.founded
        );
    }
}
