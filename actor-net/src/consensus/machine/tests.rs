use super::*;
use crate::id::{Incarnation, PeerId};

fn life(n: u8, incarnation: u64) -> Life {
    Life {
        peer: PeerId::new(&format!("p{n}")).unwrap(),
        incarnation: Incarnation(incarnation),
    }
}

fn up(life: &Life) -> Command {
    Command::Up {
        life: life.clone(),
        store: life.incarnation,
        zone: String::new(),
    }
}

fn down(life: &Life) -> Command {
    Command::Down {
        life: life.clone(),
        left: false,
    }
}

fn at(life: &Life, number: u64) -> NameAddress {
    NameAddress {
        life: life.clone(),
        number,
        key: 1,
    }
}

fn claim(name: &str, address: NameAddress) -> Command {
    Command::ClaimName {
        name: name.to_owned(),
        address,
        actor_type: TYPE.to_owned(),
    }
}

const TYPE: &str = "bank::Account";

/// A machine, and who asks it.
struct Asked {
    machine: Machine,
    sequence: u64,
}

impl Asked {
    fn with(lives: &[&Life]) -> Self {
        let mut asked = Self {
            machine: Machine::default(),
            sequence: 0,
        };
        for life in lives {
            asked.ask(life, up(life)).unwrap();
        }
        asked
    }

    fn ask(&mut self, by: &Life, command: Command) -> Outcome {
        self.sequence += 1;
        let request = Request {
            by: by.clone(),
            sequence: self.sequence,
            answered: self.sequence,
            command,
        };
        let version = self.machine.authority().version();
        let (outcome, events) = self.machine.apply(&request);
        let changed = outcome.as_ref().is_ok_and(|applied| applied.changed > 0);
        assert_eq!(changed, !events.is_empty(), "{outcome:?} {events:?}");
        let grown = self.machine.authority().version() - version;
        assert_eq!(grown, u64::from(changed));
        outcome
    }
}

#[test]
fn g02_a_life_that_is_over_does_not_return() {
    let (first, second, third) = (life(1, 1), life(1, 2), life(1, 3));
    let mut asked = Asked::with(&[&first]);
    let over = |life: &Life| Err(Refusal::LifeIsOver { life: life.clone() });
    // A later life ends the earlier one.
    asked.ask(&second, up(&second)).unwrap();
    assert_eq!(asked.ask(&first, up(&first)), over(&first));
    assert!(!asked.machine.authority().is_up(&first));
    asked.ask(&second, down(&second)).unwrap();
    assert_eq!(asked.ask(&second, up(&second)), over(&second));
    // Said again it changes nothing; nor does the end of an earlier life touch a later one.
    assert_eq!(asked.ask(&second, down(&second)).unwrap().changed, 0);
    asked.ask(&third, up(&third)).unwrap();
    assert_eq!(asked.ask(&third, down(&second)).unwrap().changed, 0);
    assert!(asked.machine.authority().is_up(&third));
    assert_eq!(asked.machine.authority().epoch(), 4);
    // One that nobody heard of can be over, too.
    let stranger = life(9, 5);
    assert_eq!(asked.ask(&third, down(&stranger)).unwrap().changed, 1);
    assert!(asked.machine.authority().is_over(&stranger));
}

#[test]
fn r12_a_name_has_one_owner_until_it_is_released_or_the_owner_is_down() {
    let (one, two) = (life(1, 1), life(2, 1));
    let mut asked = Asked::with(&[&one, &two]);
    asked.ask(&one, claim("a", at(&one, 1))).unwrap();
    let taken = Err(Refusal::NameTaken {
        name: "a".to_owned(),
        by: Box::new(NameRecord {
            address: at(&one, 1),
            actor_type: TYPE.to_owned(),
            epoch: 3,
        }),
    });
    assert_eq!(asked.ask(&two, claim("a", at(&two, 1))), taken);
    let again = asked.ask(&one, claim("a", at(&one, 1))).unwrap();
    assert_eq!(
        (again.changed, again.version),
        (0, 3),
        "since when it has it"
    );
    // Nobody speaks of another's actors.
    let another = asked.ask(&two, claim("b", at(&one, 1)));
    assert!(
        matches!(another, Err(Refusal::NotTheOwner { .. })),
        "{another:?}"
    );
    let release = |address| Command::ReleaseName {
        name: "a".to_owned(),
        address,
    };
    let not_yours = asked.ask(&two, release(at(&two, 1))).unwrap_err();
    assert!(not_yours.to_string().contains("p1"), "{not_yours}");
    asked.ask(&one, release(at(&one, 1))).unwrap();
    asked.ask(&two, claim("a", at(&two, 7))).unwrap();
    asked.ask(&one, down(&two)).unwrap();
    assert_eq!(asked.machine.authority().name("a"), None);
    // Only members own names.
    let late = asked.ask(&one, claim("a", at(&two, 8)));
    assert_eq!(late, Err(Refusal::LifeIsOver { life: two.clone() }));
    let nobody = asked.ask(&two, claim("a", at(&one, 8)));
    assert_eq!(nobody, Err(Refusal::LifeIsOver { life: two }));
    for bytes in [0, NAME_BYTES_MAX + 1] {
        let wrong = asked.ask(&one, claim(&"x".repeat(bytes), at(&one, 1)));
        assert_eq!(wrong, Err(Refusal::Name { bytes }));
    }
    let wrong = Command::ClaimName {
        name: "a".to_owned(),
        address: at(&one, 1),
        actor_type: "x".repeat(NAME_BYTES_MAX + 1),
    };
    assert!(matches!(asked.ask(&one, wrong), Err(Refusal::Name { .. })));
}

#[test]
fn a_request_that_is_repeated_is_answered_and_not_applied_again() {
    let one = life(1, 1);
    let mut machine = Asked::with(&[&one]).machine;
    let mut ask = |sequence, answered, command| {
        machine.apply(&Request {
            by: one.clone(),
            sequence,
            answered,
            command,
        })
    };
    let name = |n: u64| claim("a", at(&life(1, 1), n));
    let (first, events) = ask(1, 1, name(1));
    assert_eq!(events.len(), 1);
    let free = Command::ReleaseName {
        name: "a".to_owned(),
        address: at(&life(1, 1), 1),
    };
    ask(2, 1, free).0.unwrap();
    // Late, while the name is free again: the old answer, and it stays free.
    assert_eq!(ask(1, 1, name(1)), (first, Vec::new()));
    assert_eq!(ask(3, 3, name(3)).0.unwrap().changed, 1);
    let late = Err(Refusal::Superseded { sequence: 2 });
    assert_eq!(ask(2, 1, name(1)), (late, Vec::new()));
}

#[test]
fn a_shard_is_let_go_by_its_owner_alone_and_free_when_that_is_down() {
    let (one, two) = (life(1, 1), life(2, 1));
    let mut asked = Asked::with(&[&one, &two]);
    let declare = |user: &Life| {
        Command::Shards(ShardCommand::Declare {
            kind: "k".to_owned(),
            shards: 2,
            user: user.clone(),
            hosts: true,
        })
    };
    let assign = |epoch, to: &Life| {
        Command::Shards(ShardCommand::Assign {
            kind: "k".to_owned(),
            shards: vec![(0, epoch, to.clone())],
        })
    };
    asked.ask(&one, declare(&one)).unwrap();
    asked.ask(&two, declare(&two)).unwrap();
    asked.ask(&one, assign(0, &two)).unwrap();
    let release = Command::Shards(ShardCommand::Release {
        kind: "k".to_owned(),
        owner: two.clone(),
        shards: vec![(0, 1)],
    });
    let refused = asked.ask(&one, release).unwrap_err();
    assert!(matches!(refused, Refusal::NotTheOwner { .. }), "{refused}");
    assert_eq!(asked.ask(&one, assign(1, &one)).unwrap().changed, 0);
    asked.ask(&one, down(&two)).unwrap();
    asked.ask(&one, assign(1, &one)).unwrap();
    let slot = asked.machine.authority().shards().kind("k").unwrap();
    let slot = slot.slot(0).unwrap();
    assert_eq!((slot.epoch, &slot.owner), (2, &Some(one.clone())));
    let many = Command::Shards(ShardCommand::Assign {
        kind: "k".to_owned(),
        shards: vec![(0, 0, one.clone()); MOVES_MAX + 1],
    });
    let what = Limited::Moves;
    let max = MOVES_MAX;
    assert_eq!(asked.ask(&one, many), Err(Refusal::Full { what, max }));
}

#[test]
fn what_is_written_down_is_what_is_read() {
    let (one, two) = (life(1, 1), life(2, 4));
    let mut asked = Asked::with(&[&one, &two]);
    for number in 0..300 {
        let name = format!("n{number}");
        asked.ask(&two, claim(&name, at(&two, number))).unwrap();
    }
    asked.ask(&one, down(&life(3, 3))).unwrap();
    let saved = asked.machine.save();
    let loaded = Machine::load(saved.clone());
    assert_eq!(loaded.save(), saved);
    assert_eq!(loaded.authority().names().count(), 300);
    // An old copy is not touched by what comes later.
    let before = asked.machine.authority().clone();
    asked.ask(&one, down(&two)).unwrap();
    assert_eq!(before.names().count(), 300);
    assert_eq!(asked.machine.authority().names().count(), 0);
}
