use super::*;

const SECOND: u64 = 1_000_000_000;

fn actor(index: u32) -> ActorId {
    ActorId::new(0, index, 1)
}

fn at(seconds: u64) -> Tick {
    Tick(1 + seconds * SECOND)
}

fn samples(balancer: &mut Balancer, actor: ActorId, from: &[u32]) {
    for (numa_index, count) in from.iter().enumerate() {
        (0..*count).for_each(|_| balancer.handle_sample(actor, numa_index));
    }
}

#[test]
fn a_clear_majority_moves_an_actor_and_less_does_not() {
    let mut balancer = Balancer::new(Balancing::new(), 2, at(0));
    samples(&mut balancer, actor(1), &[8, 24]);
    samples(&mut balancer, actor(2), &[9, 24]);
    samples(&mut balancer, actor(3), &[0, 31]);
    samples(&mut balancer, actor(4), &[32, 0]);
    let moves = balancer.poll_moves(at(0), |_| Some(0));
    let expected = Move {
        actor: actor(1),
        from: 0,
        to: 1,
    };
    // 2: no majority. 3: too few. 4: at home.
    assert_eq!(moves, [expected]);
}

#[test]
fn who_is_gone_is_not_moved() {
    let mut balancer = Balancer::new(Balancing::new(), 2, at(0));
    samples(&mut balancer, actor(1), &[0, 100]);
    assert_eq!(balancer.poll_moves(at(0), |_| None), []);
}

#[test]
fn one_that_goes_to_and_fro_stays_longer_each_time() {
    let mut balancer = Balancer::new(Balancing::new(), 2, at(0));
    let (mut home, mut moved_at) = (0, Vec::new());
    // The traffic is always on the other side.
    for second in 0..200 {
        let from = if home == 0 { [0, 100] } else { [100, 0] };
        samples(&mut balancer, actor(1), &from);
        for each in balancer.poll_moves(at(second), |_| Some(home)) {
            home = each.to;
            moved_at.push(second);
        }
    }
    // 10 s, 20 s, 40 s, 80 s.
    assert_eq!(moved_at, [0, 10, 30, 70, 150]);
}

#[test]
fn of_two_partners_one_moves_and_the_other_stays() {
    let mut balancer = Balancer::new(Balancing::new(), 2, at(0));
    samples(&mut balancer, actor(1), &[0, 100]);
    samples(&mut balancer, actor(2), &[100, 0]);
    let home = |actor_: ActorId| Some(usize::from(actor_ == actor(2)));
    let moves = balancer.poll_moves(at(0), home);
    assert_eq!(moves.len(), 1);
    assert_eq!((moves[0].actor, moves[0].to), (actor(1), 1));
    // Both at 1 now: what is seen from here on keeps them there.
    samples(&mut balancer, actor(1), &[0, 100]);
    samples(&mut balancer, actor(2), &[0, 100]);
    assert_eq!(balancer.poll_moves(at(60), |_| Some(1)), []);
}

#[test]
fn moves_are_capped_per_second() {
    let options = Balancing::new().moves_per_second(3);
    let mut balancer = Balancer::new(options, 2, at(0));
    let mut moved = Vec::new();
    for second in 0..3 {
        for index in 0..10 {
            samples(&mut balancer, actor(index), &[0, 100]);
        }
        let moves = balancer.poll_moves(at(second), |_| Some(0));
        assert_eq!(moves.len(), 3, "in second {second}");
        moved.extend(moves.iter().map(|each| each.actor));
        assert_eq!(balancer.poll_moves(at(second), |_| Some(0)), []);
    }
    moved.sort_unstable();
    moved.dedup();
    assert_eq!(moved.len(), 9, "each at most once");
}

#[test]
fn what_was_long_ago_is_forgotten() {
    let mut balancer = Balancer::new(Balancing::new(), 2, at(0));
    samples(&mut balancer, actor(1), &[0, 20]);
    for second in 1..10 {
        assert_eq!(balancer.poll_moves(at(second), |_| Some(0)), []);
    }
    assert!(balancer.actors.is_empty());
    samples(&mut balancer, actor(1), &[0, 20]);
    assert_eq!(balancer.poll_moves(at(10), |_| Some(0)), [], "20, not 40");
}

#[test]
fn memory_is_bounded() {
    let mut balancer = Balancer::new(Balancing::new(), 2, at(0));
    for index in 0..(ACTORS_MAX as u32 + 1000) {
        balancer.handle_sample(actor(index), 1);
    }
    assert_eq!(balancer.actors.len(), ACTORS_MAX);
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let field = |options: Balancing| options.check().unwrap_err().field();
    assert_eq!(field(Balancing::new().majority(50)), "balancing majority");
    assert_eq!(field(Balancing::new().majority(101)), "balancing majority");
    assert_eq!(field(Balancing::new().samples(3)), "balancing samples");
    let none = Balancing::new().moves_per_second(0);
    assert_eq!(field(none), "balancing moves_per_second");
}

#[test]
fn under_the_cap_those_with_most_messages_go_first() {
    let options = Balancing::new().moves_per_second(2);
    let mut balancer = Balancer::new(options, 2, at(0));
    for (index, messages) in [(1, 40), (2, 400), (3, 60), (4, 4000), (5, 50)] {
        samples(&mut balancer, actor(index), &[0, messages]);
    }
    let moves = balancer.poll_moves(at(0), |_| Some(0));
    let went: Vec<_> = moves.iter().map(|each| each.actor).collect();
    assert_eq!(went, [actor(4), actor(2)]);
}
