use super::super::arbiter::{Accepted, Known, Replaces, Verdict, judge, judge_lane};
use super::super::hello::{ConnectionKind, Hello, Refusal};
use super::super::test_kit::{own, small_limits};
use crate::id::{Incarnation, PeerId};

fn hello(peer: &str, incarnation: u64, last_epoch: u32) -> Hello {
    let mut own = own(peer, incarnation);
    own.limits = small_limits();
    Hello {
        versions: own.versions,
        features: 0,
        required: 0,
        kind: ConnectionKind::Control,
        last_epoch,
        received_through: 0,
        who: own.who,
    }
}

fn known(incarnation: u64, epoch: u32) -> Known {
    Known {
        incarnation: Incarnation(incarnation),
        dead: false,
        epoch,
        connected: false,
        dialling: false,
        session: 7,
    }
}

fn id(name: &str) -> PeerId {
    PeerId::new(name).unwrap()
}

fn accepted(epoch: u32, replaces: Replaces, abandon_dial: bool) -> Verdict {
    Verdict::Accept(Accepted {
        epoch,
        replaces,
        abandon_dial,
    })
}

#[test]
fn r03_r04_old_and_dead_lives_are_refused_new_ones_replace() {
    let b = id("b");
    assert_eq!(
        judge(&b, None, &hello("a", 5, 0)),
        accepted(1, Replaces::Nothing, false)
    );
    assert_eq!(
        judge(&b, Some(&known(6, 0)), &hello("a", 5, 0)),
        Verdict::Refuse(Refusal::StaleIncarnation { known: 6 })
    );
    let dead = Known {
        dead: true,
        ..known(5, 0)
    };
    assert_eq!(
        judge(&b, Some(&dead), &hello("a", 5, 0)),
        Verdict::Refuse(Refusal::DeclaredDead)
    );
    assert_eq!(
        judge(&b, Some(&dead), &hello("a", 6, 0)),
        accepted(1, Replaces::Incarnation, false)
    );
    let connected = Known {
        connected: true,
        ..known(5, 3)
    };
    assert_eq!(
        judge(&b, Some(&connected), &hello("a", 6, 0)),
        accepted(4, Replaces::Incarnation, false)
    );
    assert_eq!(
        judge(&b, None, &hello("b", 5, 0)),
        Verdict::Refuse(Refusal::Myself)
    );
}

#[test]
fn who_knew_the_connection_and_dials_again_has_lost_it() {
    let connected = Known {
        connected: true,
        ..known(5, 3)
    };
    assert_eq!(
        judge(&id("b"), Some(&connected), &hello("a", 5, 3)),
        accepted(4, Replaces::Connection, false)
    );
    assert_eq!(
        judge(&id("b"), Some(&connected), &hello("a", 5, 2)),
        Verdict::Refuse(Refusal::AlreadyConnected)
    );
}

#[test]
fn lanes_belong_to_their_session() {
    let mut greeting = hello("a", 5, 0);
    greeting.kind = ConnectionKind::Lane {
        index: 1,
        session: 7,
    };
    let connected = Known {
        connected: true,
        ..known(5, 3)
    };
    assert_eq!(
        judge_lane(Some(&connected), 2, 8, &greeting),
        accepted(9, Replaces::Connection, false)
    );
    assert_eq!(
        judge_lane(Some(&connected), 1, 0, &greeting),
        Verdict::Refuse(Refusal::NoSuchLane { lanes: 1 })
    );
    for wrong in [
        None,
        Some(known(5, 3)),
        Some(Known {
            session: 8,
            ..connected
        }),
        Some(Known {
            incarnation: Incarnation(6),
            ..connected
        }),
    ] {
        assert_eq!(
            judge_lane(wrong.as_ref(), 2, 0, &greeting),
            Verdict::Refuse(Refusal::UnknownSession)
        );
    }
}

/// One side while two peers dial each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Peer {
    dialling: bool,
    connected: Option<u8>,
    epoch: u32,
}

/// Frames under way: 0 and 1 are the dials of peer 0 and 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Frame {
    Hello { dial: u8, last_epoch: u32 },
    Welcome { dial: u8, epoch: u32 },
    Confirm { dial: u8, epoch: u32 },
    No { dial: u8 },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct World {
    peers: [Peer; 2],
    /// Which side a frame goes to, and the frame; those of one dial keep their order.
    flying: Vec<(usize, Frame)>,
    /// Dials that were given up by their dialler.
    abandoned: [bool; 2],
}

const NAMES: [&str; 2] = ["a", "b"];

impl World {
    fn deliver(&self, at: usize) -> Self {
        let mut next = self.clone();
        let (to, frame) = next.flying.remove(at);
        let names = NAMES.map(id);
        match frame {
            Frame::Hello { dial, last_epoch } => {
                let me = &next.peers[to];
                let known = Known {
                    connected: me.connected.is_some(),
                    dialling: me.dialling,
                    ..known(1, me.epoch)
                };
                let verdict = judge(
                    &names[to],
                    Some(&known),
                    &hello(NAMES[1 - to], 1, last_epoch),
                );
                let answer = match verdict {
                    Verdict::Accept(accepted) => {
                        if accepted.abandon_dial {
                            next.abandoned[to] = true;
                            next.peers[to].dialling = false;
                        }
                        Frame::Welcome {
                            dial,
                            epoch: accepted.epoch,
                        }
                    }
                    Verdict::Refuse(_) => Frame::No { dial },
                };
                next.flying.push((1 - to, answer));
            }
            Frame::Welcome { dial, epoch } => {
                if !next.abandoned[dial as usize] {
                    let me = &mut next.peers[to];
                    (me.connected, me.epoch, me.dialling) = (Some(dial), epoch, false);
                    next.flying.push((1 - to, Frame::Confirm { dial, epoch }));
                }
            }
            Frame::Confirm { dial, epoch } => {
                let me = &mut next.peers[to];
                (me.connected, me.epoch) = (Some(dial), epoch);
            }
            Frame::No { dial } => {
                if !next.abandoned[dial as usize] {
                    next.peers[to].dialling = false;
                }
            }
        }
        next
    }

    /// A peer that has no connection and no dial starts one.
    fn dial(&self, who: usize) -> Self {
        let mut next = self.clone();
        next.peers[who].dialling = true;
        let last_epoch = next.peers[who].epoch;
        let dial = who as u8;
        next.flying
            .push((1 - who, Frame::Hello { dial, last_epoch }));
        next
    }
}

#[test]
fn when_both_dial_at_once_one_connection_is_left_in_every_order() {
    let idle = Peer {
        dialling: false,
        connected: None,
        epoch: 0,
    };
    let start = World {
        peers: [idle.clone(), idle],
        flying: Vec::new(),
        abandoned: [false; 2],
    };
    // Each peer dials once, at any time, as long as it has no connection then.
    let mut open = vec![(start, [false; 2])];
    let mut seen = std::collections::BTreeSet::new();
    let mut ends = 0;
    while let Some((world, dialled)) = open.pop() {
        if !seen.insert((world.clone(), dialled)) {
            continue;
        }
        let mut stuck = true;
        for who in 0..2 {
            let peer = &world.peers[who];
            if !dialled[who] && peer.connected.is_none() && !peer.dialling {
                let mut dialled = dialled;
                dialled[who] = true;
                open.push((world.dial(who), dialled));
                stuck = false;
            }
        }
        for at in 0..world.flying.len() {
            let (to, frame) = &world.flying[at];
            let dial = |frame: &Frame| match frame {
                Frame::Hello { dial, .. }
                | Frame::Welcome { dial, .. }
                | Frame::Confirm { dial, .. }
                | Frame::No { dial } => *dial,
            };
            let first = world.flying[..at]
                .iter()
                .all(|(other, earlier)| other != to || dial(earlier) != dial(frame));
            if first {
                open.push((world.deliver(at), dialled));
                stuck = false;
            }
        }
        if stuck {
            ends += 1;
            let [a, b] = &world.peers;
            assert_eq!(a.connected, b.connected, "{world:?}");
            assert!(a.connected.is_some(), "{world:?}");
            assert_eq!(a.epoch, b.epoch, "{world:?}");
        }
    }
    assert!(ends > 2, "{ends} ends");
}
