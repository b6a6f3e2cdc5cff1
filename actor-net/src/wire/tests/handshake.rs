use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::handshake::{
    Admission, Dial, Handshake, HandshakeError, HandshakeEvent, Own, Seal, SessionAuth,
};
use super::super::hello::{ConnectionKind, Hello, Refusal, Versions};
use super::super::test_kit::{admission, dial, own};
use crate::id::{ClusterId, Incarnation, PeerId};

/// A toy: enough to tell keys and bytes apart.
struct Toy(u64);

impl Seal for Toy {
    fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut tag = [0; 32];
        for (at, place) in tag.iter_mut().enumerate() {
            let mut hash = self.0 ^ at as u64;
            for byte in parts.iter().copied().flatten() {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
            *place = (hash >> 32) as u8;
        }
        tag
    }
}

fn keyed(key: u64, exporter: &[u8]) -> SessionAuth {
    SessionAuth {
        exporter: exporter.to_vec(),
        seal: Some(Arc::new(Toy(key))),
        ..SessionAuth::default()
    }
}

struct Side {
    machine: Handshake,
    event: Option<HandshakeEvent>,
    admission: Option<Admission>,
    greeted: Option<Box<Hello>>,
}

impl Side {
    fn new(machine: Handshake) -> Self {
        Self {
            machine,
            event: None,
            admission: Some(admission()),
            greeted: None,
        }
    }

    /// Bytes in, one at a time if so wished; bytes out.
    fn turn(&mut self, bytes: &[u8], each: usize) -> Vec<u8> {
        for piece in bytes.chunks(each.max(1)) {
            self.machine.receive(piece);
            self.look();
        }
        self.look();
        let mut out = Vec::new();
        self.machine.transmit(&mut out);
        out
    }

    fn look(&mut self) {
        match self.machine.poll_event() {
            Some(HandshakeEvent::Greeted(hello)) => {
                self.greeted = Some(hello);
                match self.admission {
                    Some(admission) => self.machine.admit(admission),
                    None => self.machine.refuse(Refusal::AlreadyConnected),
                }
            }
            Some(event) => self.event = Some(event),
            None => {}
        }
    }

    fn error(&self) -> &HandshakeError {
        match &self.event {
            Some(HandshakeEvent::Failed(error)) => error,
            other => panic!("not a failure: {other:?}"),
        }
    }
}

fn run(dialler: &mut Side, acceptor: &mut Side, each: usize) {
    for _ in 0..4 {
        let out = dialler.turn(&[], each);
        let back = acceptor.turn(&out, each);
        let out = dialler.turn(&back, each);
        acceptor.turn(&out, each);
    }
}

fn pair(dialler: Own, acceptor: Own, auth: [SessionAuth; 2], dial: Dial) -> [Side; 2] {
    let now = Instant::now();
    let [left, right] = auth;
    let mut dialler = Side::new(Handshake::dial(dialler, left, dial, now));
    let mut acceptor = Side::new(Handshake::accept(acceptor, right, now));
    run(&mut dialler, &mut acceptor, usize::MAX);
    [dialler, acceptor]
}

fn open() -> [SessionAuth; 2] {
    [SessionAuth::default(), SessionAuth::default()]
}

/// Both sides end, with the same reason; the first to say no has refused.
fn refused_by_acceptor([dialler, acceptor]: &[Side; 2], expected: &Refusal) {
    assert_eq!(acceptor.error(), &HandshakeError::Refused(expected.clone()));
    assert_eq!(
        dialler.error(),
        &HandshakeError::RefusedByPeer(expected.clone())
    );
}

fn refused_by_dialler([dialler, acceptor]: &[Side; 2], expected: &Refusal) {
    assert_eq!(dialler.error(), &HandshakeError::Refused(expected.clone()));
    assert_eq!(
        acceptor.error(),
        &HandshakeError::RefusedByPeer(expected.clone())
    );
}

#[test]
fn r01_both_know_each_other_before_anything_else_is_read() {
    for each in [1, 7, usize::MAX] {
        for auth in [open(), [keyed(1, b"tls"), keyed(1, b"tls")]] {
            let now = Instant::now();
            let [left, right] = auth;
            let wanted = Some(PeerId::new("b").unwrap());
            let dial = Dial {
                wanted,
                received_through: 5,
                ..dial()
            };
            let mut dialler = Side::new(Handshake::dial(own("a", 3), left, dial, now));
            let mut acceptor = Side::new(Handshake::accept(own("b", 4), right, now));
            run(&mut dialler, &mut acceptor, each);
            let (Some(HandshakeEvent::Established(a)), Some(HandshakeEvent::Established(b))) =
                (dialler.event, acceptor.event)
            else {
                panic!("not established");
            };
            assert_eq!((a.peer.peer.as_str(), b.peer.peer.as_str()), ("b", "a"));
            assert_eq!(a.peer.incarnation, Incarnation(4));
            assert_eq!(b.peer.incarnation, Incarnation(3));
            assert_eq!(
                (a.version, a.epoch, a.session),
                (b.version, b.epoch, b.session)
            );
            assert_eq!((a.received_through, b.received_through), (0, 5));
        }
    }
}

#[test]
fn what_follows_the_handshake_in_the_same_read_is_not_lost() {
    let now = Instant::now();
    let mut dialler = Handshake::dial(own("a", 1), SessionAuth::default(), dial(), now);
    let mut acceptor = Side::new(Handshake::accept(own("b", 1), SessionAuth::default(), now));
    let mut hello = Vec::new();
    dialler.transmit(&mut hello);
    let welcome = acceptor.turn(&hello, usize::MAX);
    dialler.receive(&welcome);
    let mut confirm = Vec::new();
    dialler.transmit(&mut confirm);
    confirm.extend_from_slice(b"the first frames");
    let taken = acceptor.machine.receive(&confirm);
    assert_eq!(taken, confirm.len());
    acceptor.look();
    let Some(HandshakeEvent::Established(established)) = acceptor.event else {
        panic!("not established");
    };
    assert_eq!(established.decoder.buffered(), "the first frames".len());
}

#[test]
fn a_wrong_key_is_refused_and_learns_nothing() {
    for auth in [
        [keyed(1, b"tls"), keyed(2, b"tls")],
        // Relayed into another TLS session.
        [keyed(1, b"one"), keyed(1, b"two")],
        [SessionAuth::default(), keyed(1, b"tls")],
        [keyed(1, b"tls"), SessionAuth::default()],
    ] {
        let sides = pair(own("a", 1), own("b", 1), auth, dial());
        refused_by_acceptor(&sides, &Refusal::Authentication);
    }
}

#[test]
fn proof_is_looked_at_before_anything_that_would_tell_a_stranger_something() {
    let mut stranger = own("a", 1);
    stranger.who.cluster = ClusterId::new("guess").unwrap();
    stranger.versions = Versions { min: 9, max: 9 };
    let auth = [keyed(1, b"tls"), keyed(2, b"tls")];
    let sides = pair(stranger, own("b", 1), auth, dial());
    refused_by_acceptor(&sides, &Refusal::Authentication);
}

#[test]
fn a_recorded_greeting_does_not_open_another_session() {
    let now = Instant::now();
    let mut dialler = Handshake::dial(own("a", 1), keyed(1, b"first"), dial(), now);
    let mut recorded = Vec::new();
    dialler.transmit(&mut recorded);
    let mut acceptor = Side::new(Handshake::accept(own("b", 1), keyed(1, b"second"), now));
    acceptor.turn(&recorded, usize::MAX);
    let refused = HandshakeError::Refused(Refusal::Authentication);
    assert_eq!(acceptor.error(), &refused);
    // A greeting played back to its own author is no answer either.
    dialler.receive(&recorded);
    let Some(HandshakeEvent::Failed(HandshakeError::Wire(_))) = dialler.poll_event() else {
        panic!("a reflected greeting was taken");
    };
}

#[test]
fn b_bad_greetings_are_told_to_both_sides() {
    let mut old = own("a", 1);
    old.versions = Versions { min: 7, max: 9 };
    let sides = pair(old, own("b", 1), open(), dial());
    let ours = Versions { min: 1, max: 1 };
    refused_by_acceptor(&sides, &Refusal::Version { ours });

    let mut other = own("a", 1);
    other.who.cluster = ClusterId::new("other").unwrap();
    let sides = pair(other, own("b", 1), open(), dial());
    let ours = "tests".to_owned();
    refused_by_acceptor(&sides, &Refusal::Cluster { ours });

    let mut needy = own("a", 1);
    (needy.features, needy.required) = (4, 4);
    let sides = pair(needy, own("b", 1), open(), dial());
    refused_by_acceptor(&sides, &Refusal::Features { missing: 4 });

    let sides = pair(own("a", 1), own("a", 2), open(), dial());
    refused_by_acceptor(&sides, &Refusal::Myself);

    let to = Dial {
        wanted: Some(PeerId::new("c").unwrap()),
        ..dial()
    };
    let sides = pair(own("a", 1), own("b", 1), open(), to);
    let wanted = "c".to_owned();
    refused_by_dialler(&sides, &Refusal::NotTheOneDialled { wanted });

    let to = Dial {
        known: Some(Incarnation(5)),
        ..dial()
    };
    let sides = pair(own("a", 1), own("b", 4), open(), to);
    refused_by_dialler(&sides, &Refusal::StaleIncarnation { known: 5 });

    let certified = SessionAuth {
        peer: Some(PeerId::new("c").unwrap()),
        cluster: Some(ClusterId::new("tests").unwrap()),
        ..SessionAuth::default()
    };
    let auth = [SessionAuth::default(), certified];
    let sides = pair(own("a", 1), own("b", 1), auth, dial());
    let authenticated = "c of tests".to_owned();
    refused_by_acceptor(&sides, &Refusal::Identity { authenticated });
}

#[test]
fn whoever_is_not_admitted_hears_why() {
    let now = Instant::now();
    let mut dialler = Side::new(Handshake::dial(
        own("a", 1),
        SessionAuth::default(),
        dial(),
        now,
    ));
    let mut acceptor = Side::new(Handshake::accept(own("b", 1), SessionAuth::default(), now));
    acceptor.admission = None;
    run(&mut dialler, &mut acceptor, usize::MAX);
    refused_by_acceptor(&[dialler, acceptor], &Refusal::AlreadyConnected);
}

#[test]
fn r02_the_whole_handshake_has_one_deadline() {
    let now = Instant::now();
    let mut dialler = Handshake::dial(own("a", 1), SessionAuth::default(), dial(), now);
    let mut acceptor = Handshake::accept(own("b", 1), SessionAuth::default(), now);
    let mut hello = Vec::new();
    dialler.transmit(&mut hello);
    // A byte now and then does not help.
    for second in 0..5 {
        acceptor.receive(&hello[second..=second]);
        acceptor.tick(now + Duration::from_secs(second as u64));
        assert!(acceptor.poll_event().is_none());
    }
    assert_eq!(acceptor.poll_timeout(), Some(now + Duration::from_secs(5)));
    acceptor.tick(now + Duration::from_secs(5));
    let Some(HandshakeEvent::Failed(error)) = acceptor.poll_event() else {
        panic!("no failure");
    };
    let slow = Refusal::TooSlow { limit_ms: 5000 };
    assert_eq!(error, HandshakeError::Refused(slow.clone()));
    assert_eq!(acceptor.poll_timeout(), None);
    let mut out = Vec::new();
    acceptor.transmit(&mut out);
    dialler.receive(&out);
    let Some(HandshakeEvent::Failed(error)) = dialler.poll_event() else {
        panic!("the dialler does not hear of it");
    };
    assert_eq!(error, HandshakeError::RefusedByPeer(slow));
}

#[test]
fn a_lane_belongs_to_the_session_it_was_dialled_for() {
    let lane = Dial {
        kind: ConnectionKind::Lane {
            index: 0,
            session: 99,
        },
        ..dial()
    };
    let sides = pair(own("a", 1), own("b", 1), open(), lane);
    refused_by_dialler(&sides, &Refusal::UnknownSession);
}

#[test]
fn refusals_say_what_to_do_and_survive_the_wire() {
    let text = || "x".to_owned();
    for refusal in [
        Refusal::Authentication,
        Refusal::Version {
            ours: Versions { min: 1, max: 3 },
        },
        Refusal::Cluster { ours: text() },
        Refusal::Features { missing: 2 },
        Refusal::Identity {
            authenticated: text(),
        },
        Refusal::NotTheOneDialled { wanted: text() },
        Refusal::StaleIncarnation { known: 9 },
        Refusal::DeclaredDead,
        Refusal::SimultaneousConnect,
        Refusal::AlreadyConnected,
        Refusal::UnknownSession,
        Refusal::NoSuchLane { lanes: 2 },
        Refusal::TooManyConnections { max: 256 },
        Refusal::ShuttingDown,
        Refusal::TooSlow { limit_ms: 5000 },
        Refusal::Myself,
        Refusal::Malformed { detail: text() },
        Refusal::Other {
            code: 200,
            detail: text(),
        },
    ] {
        let mut body = Vec::new();
        refusal.encode(&mut body);
        assert_eq!(Refusal::decode(&body), Ok(refusal.clone()));
        assert!(refusal.to_string().len() > 5);
    }
}
